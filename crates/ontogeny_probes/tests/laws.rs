//! Laws that hold for every probe in the list, so that a newcomer is tested before its author writes a test.

mod hand_made;

use hand_made::HandMade;
use ontogeny_core::Step;
use ontogeny_probes::{Observation, ProbeError, ProbeSet, Readings, probe, probes};
use std::collections::BTreeSet;

fn network() -> HandMade {
    HandMade::new(13, 8, 33, &[2, 5], 3.0, 0.1)
}

fn measured(set: &mut ProbeSet, o: &Observation<'_>) -> Readings {
    let mut readings = Readings::new();
    set.measure(o, &mut readings);
    readings
}

#[test]
fn the_list_equals_the_folder() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/probes");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "mod")
        .collect();
    let list: BTreeSet<String> = probes().iter().map(|entry| entry.spec.name.to_owned()).collect();
    assert_eq!(list, files);
    assert_eq!(list.len(), probes().len(), "a name is listed twice");
}

#[test]
fn every_probe_names_its_units_and_sources_and_is_found_by_its_name() {
    for entry in probes() {
        let spec = entry.spec;
        for text in [spec.unit, spec.source, spec.summary, spec.needs] {
            assert!(!text.trim().is_empty(), "{} leaves a field empty", spec.name);
        }
        assert!(!spec.outputs.is_empty());
        for output in spec.outputs {
            assert!(!(output.unit.is_empty() || output.summary.is_empty()), "{}", output.name);
        }
        assert_eq!((entry.make)().spec(), spec);
        assert_eq!(probe(spec.name).unwrap().spec, spec);
    }
}

#[test]
fn a_misspelled_name_is_answered_with_the_right_one() {
    let message = |name| ProbeSet::named([name]).unwrap_err().to_string();
    assert_eq!(
        message("weight_norm"),
        "find a probe named \"weight_norm\"; did you mean \"weight_norms\"?"
    );
    assert_eq!(message("llc"), "find a probe named \"llc\"");
}

#[test]
fn every_reading_is_announced_by_its_probe_with_its_unit() {
    let network = network();
    for entry in probes() {
        let mut set = ProbeSet::named([entry.spec.name]).unwrap();
        let readings = measured(&mut set, &network.observe(1));
        assert_eq!(readings.reasons, [], "{}", entry.spec.name);
        let scalars = readings.scalars.iter().map(|r| (&r.name, &r.unit));
        let vectors = readings.vectors.iter().map(|r| (&r.name, &r.unit));
        let mut n = 0;
        for (name, unit) in scalars.chain(vectors) {
            let is_announced =
                entry.spec.outputs.iter().any(|o| fits(o.name, name) && o.unit == *unit);
            assert!(is_announced, "{} writes {name} in {unit}", entry.spec.name);
            n += 1;
        }
        assert!(n > 0, "{} is silent", entry.spec.name);
    }
}

/// Whether `name` is the pattern with every `<...>` replaced.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('<') {
        None => pattern == name,
        Some((before, rest)) => {
            let after = rest.split_once('>').map_or("", |(_, after)| after);
            let Some(tail) = name.strip_prefix(before) else { return false };
            (1..=tail.len()).any(|n| tail.is_char_boundary(n) && fits(after, &tail[n..]))
        }
    }
}

#[test]
fn no_name_is_written_twice() {
    let readings = measured(&mut ProbeSet::all(), &network().observe(1));
    let names: Vec<&str> = readings
        .scalars
        .iter()
        .map(|r| r.name.as_str())
        .chain(readings.vectors.iter().map(|r| r.name.as_str()))
        .collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
}

#[test]
fn state_saves_and_resumes_as_if_it_had_never_stopped() {
    let network = network();
    let run = |stops: &[u64]| {
        let (mut set, mut all) = (ProbeSet::all(), Vec::new());
        for step in 0..40 {
            if stops.contains(&step) {
                let state = set.state();
                assert!(state.values().flatten().all(|x| x.is_finite()));
                set = ProbeSet::all();
                set.restore(&state).unwrap();
            }
            let mut o = network.observe(step);
            o.train_loss = if step % 17 == 16 { 30.0 } else { 1.0 / (step + 1) as f64 };
            all.push(measured(&mut set, &o));
        }
        all
    };
    assert_eq!(run(&[1, 15, 16, 17, 33]), run(&[]));
}

#[test]
fn a_state_that_is_not_its_own_is_refused() {
    for entry in probes() {
        for state in [&[1.0][..], &[f64::NAN; 7], &[1.0; 500]] {
            let mut probe = (entry.make)();
            let before = probe.state();
            assert!(
                matches!(probe.restore(state), Err(ProbeError::State { .. })),
                "{}",
                entry.spec.name
            );
            assert_eq!(probe.state(), before);
        }
        assert!((entry.make)().restore(&(entry.make)().state()).is_ok());
    }
}

#[test]
fn an_empty_observation_leaves_a_reason_and_no_number() {
    for entry in probes() {
        let mut set = ProbeSet::named([entry.spec.name]).unwrap();
        let readings = measured(&mut set, &Observation::new(Step(0)));
        assert!(readings.scalars.is_empty() && readings.vectors.is_empty(), "{}", entry.spec.name);
        assert!(readings.reasons.iter().all(|r| r.probe == entry.spec.name));
        assert!(!readings.reasons.is_empty(), "{}", entry.spec.name);
    }
}

#[test]
fn what_is_not_finite_leaves_a_reason_and_stops_nobody() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut network = network();
        network.spoil(bad);
        for entry in probes() {
            let mut set = ProbeSet::named([entry.spec.name]).unwrap();
            let mut o = network.observe(0);
            o.train_loss = f64::from(bad);
            let readings = measured(&mut set, &o);
            assert!(!readings.reasons.is_empty(), "{} with {bad}", entry.spec.name);
            // The next observation is read as if nothing had been.
            assert_eq!(measured(&mut set, &self::network().observe(1)).reasons, []);
        }
    }
}

#[test]
fn parts_that_do_not_fit_leave_a_reason() {
    let network = network();
    let spoilers: [fn(&mut Observation<'_>); 8] = [
        |o| o.sets[0].logits = &[0.0],
        |o| o.sets[0].targets = &[0],
        |o| o.sets[0].targets = &[99; 169],
        |o| o.sets[0].n_classes = 0,
        |o| o.sets[0].taps.clear(),
        |o| o.sets[0].groups[0].members = &[1_000_000],
        |o| o.modular.as_mut().unwrap().p = 12,
        |o| o.params.iter_mut().for_each(|p| p.shape = &[3]),
    ];
    for (i, spoil) in spoilers.into_iter().enumerate() {
        let mut o = network.observe(0);
        spoil(&mut o);
        let readings = measured(&mut ProbeSet::all(), &o);
        assert!(!readings.reasons.is_empty(), "spoiler {i}");
    }
}

#[test]
fn a_reading_has_the_same_bits_every_time() {
    let network = network();
    let first = measured(&mut ProbeSet::all(), &network.observe(1));
    assert_eq!(measured(&mut ProbeSet::all(), &network.observe(1)), first);
}
