//! Everything that is written is read back, bit for bit.

use crate::support::{manifest, run_id, scratch};
use ontogeny_core::{
    Band, Block, Censoring, Clocks, EffectRow, Event, Fan, Figure, FigureBody, Findings, Heatmap,
    Line, Marker, Panel, Section, Step, StudyId,
};
use ontogeny_store::{OwnedTensor, Store, TensorValues};

#[test]
fn a_run_comes_back_from_log_and_segments() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    for t in 0..100 {
        let clocks = Clocks { n_examples: t * 8, flop: t as f64, lr_time: 0.5, wall_secs: 1.0 };
        w.append(
            Step(t),
            clocks,
            &[("train.loss", "nats", 1.0 / t as f64), ("acc", "1", f64::NAN)],
        )
        .unwrap();
        if t % 10 == 0 {
            w.append_tensor(Step(t), "spectrum", "1", &[2, 3], &[t as f32; 6]).unwrap();
            w.append_tensor_f64(Step(t), "wide", "1", &[3], &[t as f64; 3]).unwrap();
        }
        if t == 50 {
            w.seal().unwrap();
        }
    }
    w.sync().unwrap();
    let r = store.run(&run_id("r")).unwrap();
    assert_eq!(r.series_names().unwrap(), ["acc", "train.loss"]);
    let s = r.series("train.loss").unwrap().unwrap();
    assert_eq!(
        (s.points.len(), s.points[0].value, s.points[99].value),
        (100, f64::INFINITY, 1.0 / 99.0)
    );
    assert_eq!(r.clocks().unwrap()[&Step(7)].n_examples, 56);
    let t = r.tensor("spectrum").unwrap();
    assert_eq!((t.len(), t[9].step, t[9].shape.clone()), (10, Step(90), vec![2, 3]));
    assert_eq!(r.tensor("wide").unwrap()[8].values, TensorValues::F64(vec![80.0; 3]));
}

#[test]
fn a_checkpoint_comes_back_and_equal_chunks_are_stored_once() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    let big: Vec<f32> = (0..700_000).map(|i| (i as f32).sin()).collect();
    let tensors = [
        OwnedTensor::from_f32("a", &[3], &[1.0, f32::NAN, -0.0]),
        OwnedTensor::from_f32("big", &[700, 1000], &big),
        OwnedTensor::from_f32("empty", &[0, 4], &[]),
        OwnedTensor::from_f32("scalar", &[], &[7.0]),
    ];
    let views: Vec<_> = tensors.iter().map(OwnedTensor::view).collect();
    let extra = serde_json::json!({"cursor": 17, "lr": 0.1});
    let first = w.checkpoint(Step(10), &views, extra.clone()).unwrap();
    assert_eq!((first.n_chunks, first.n_new_chunks), (4, 4));
    let second = w.checkpoint(Step(20), &views, extra.clone()).unwrap();
    assert_eq!((second.n_new_chunks, second.stored_bytes), (0, 0));
    assert_eq!(first.state_hash, second.state_hash);
    let r = store.run(&run_id("r")).unwrap();
    assert_eq!(r.checkpoints().unwrap(), [Step(10), Step(20)]);
    let c = r.checkpoint(Step(20)).unwrap();
    assert_eq!(
        (c.tensors.as_slice(), c.extra, c.state_hash),
        (&tensors[..], extra, first.state_hash)
    );
}

#[test]
fn a_store_is_reopened() {
    let (dir, store) = scratch();
    drop(store.create_run(&manifest("r")).unwrap());
    assert_eq!(Store::open(dir.path()).unwrap().runs().unwrap().runs, [manifest("r")]);
}

#[test]
fn events_come_back_and_are_replaced() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    let event = |name: &str, when| Event {
        run: run_id("r"),
        name: name.to_owned(),
        series: "test.accuracy".to_owned(),
        when,
        known_at: Step(120),
        detector: "threshold(rising, 0.95, w=3)".to_owned(),
        evidence: f64::NEG_INFINITY,
    };
    let events = [
        event("T_mem", Censoring::Interval { lo: Step(0), hi: Step(100) }),
        event("T_grok", Censoring::Right { horizon: Step(5000) }),
        event("T_late", Censoring::Interval { lo: Step(7), hi: Step(u64::MAX) }),
    ];
    let read = || store.run(&run_id("r")).unwrap().events().unwrap();
    assert_eq!(read(), []);
    w.write_events(&events).unwrap();
    assert_eq!(read(), events);
    w.write_events(&events[1..2]).unwrap();
    assert_eq!(read(), events[1..2]);
    let path = w.path().join("events.b3");
    assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 1);
}

#[test]
fn a_study_keeps_its_files() {
    let (_dir, store) = scratch();
    let study = store.study(&StudyId::new("grokking").unwrap());
    assert!(!study.exists() && study.findings().unwrap().is_none());
    study.write_manifest(&serde_json::json!({"seeds": 3})).unwrap();
    let manifest: serde_json::Value = study.manifest().unwrap().unwrap();
    assert_eq!(manifest["seeds"], 3);
    study.write_figure("a.svg", b"<svg/>").unwrap();
    assert_eq!(std::fs::read(study.path().join("figures/a.svg")).unwrap(), b"<svg/>");
    assert_eq!(std::fs::read(study.write_report("<html>").unwrap()).unwrap(), b"<html>");
    assert_eq!(store.studies().unwrap(), [StudyId::new("grokking").unwrap()]);
}

/// Findings in which every number is `x` and every option is given, or absent.
fn findings(x: f64, given: bool) -> Findings {
    let option = given.then_some((x, x));
    let line = Line { points: vec![(1.0, x), (x, 2.0)], ..Line::default() };
    let marker = Marker { x, name: "T".to_owned() };
    let panel = Panel {
        y_range: option,
        lines: vec![line.clone()],
        bands: vec![Band { name: String::new(), points: vec![(x, x, 1.0)] }],
        markers: vec![marker.clone()],
        ..Panel::default()
    };
    let heatmap = Heatmap {
        x: vec![x],
        y: vec![x],
        values: vec![vec![x, 0.0]],
        markers: vec![marker],
        ..Heatmap::default()
    };
    let fan = Fan {
        cutoff: x,
        quantiles: vec![x],
        never_prob: x,
        horizon: x,
        outcome: None,
        ..Fan::default()
    };
    let row = EffectRow {
        value: x,
        interval: option,
        pairs: vec![x],
        predicted: option.map(|_| (x, x, x)),
        ..EffectRow::default()
    };
    let label = String::new;
    let bodies = [
        FigureBody::Panels { x_label: label(), x_log: true, panels: vec![panel] },
        FigureBody::Heatmap(heatmap),
        FigureBody::Fans { x_label: label(), x_log: false, fans: vec![fan] },
        FigureBody::Effects { x_label: label(), seed_band: None, rows: vec![row] },
        FigureBody::Scatter {
            x_label: label(),
            y_label: label(),
            log: false,
            diagonal: true,
            groups: vec![line],
        },
    ];
    let figure = |body| Block::Figure(Figure { name: label(), caption: label(), body });
    let blocks = bodies.into_iter().map(figure).chain([Block::Text("text".to_owned())]).collect();
    Findings { sections: vec![Section { heading: label(), blocks }], ..Findings::default() }
}

#[test]
fn findings_come_back_with_nan_for_what_json_cannot_say() {
    let (_dir, store) = scratch();
    let study = store.study(&StudyId::new("s").unwrap());
    for given in [true, false] {
        study.write_findings(&findings(0.1, given)).unwrap();
        assert_eq!(study.findings().unwrap().unwrap(), findings(0.1, given));
        for x in [f64::NAN, f64::INFINITY] {
            study.write_findings(&findings(x, given)).unwrap();
            let found = study.findings().unwrap().unwrap();
            assert_eq!(format!("{found:?}"), format!("{:?}", findings(f64::NAN, given)));
        }
    }
    let path = study.path().join("findings.json");
    std::fs::write(path, "{\n \"study\": 7}").unwrap();
    let e = study.findings().unwrap_err().to_string();
    assert!(e.contains("line 2, column 11"), "{e}");
}
