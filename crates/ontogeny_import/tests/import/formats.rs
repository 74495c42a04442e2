//! Every format, from a small file with known content.

use crate::support::{
    CSV, HF, JSONL, LM_EVAL_NEW, LM_EVAL_OLD, POINTS, TEXT, bytes, event, gzip, number, points,
    read, record, scalar, tfevents, unit, wandb,
};
use ontogeny_import::{LogPattern, Options, StepRule, TableShape};
use serde_json::json;

#[test]
fn formats_are_recognised_by_content() {
    for (bytes, format) in [
        (tfevents(2), "tfevents"),
        (wandb(2), "wandb"),
        (HF.into(), "hf-trainer"),
        (LM_EVAL_OLD.into(), "lm-eval"),
        (LM_EVAL_NEW.into(), "lm-eval"),
        (JSONL.into(), "jsonl"),
        (POINTS.into(), "tidy"),
        (CSV.into(), "csv"),
        (TEXT.into(), "text"),
    ] {
        // The name says nothing, or lies.
        for name in ["x", "events.out.tfevents.1.host", "trainer_state.json", "points.csv"] {
            for bytes in [bytes.clone(), gzip(&bytes)] {
                let unit = unit(name, bytes, &Options::default()).unwrap();
                assert_eq!(unit.format.name(), format, "{name}");
            }
        }
    }
    for nothing in
        ["", "hello world", "# step 5\n\nWhat a step.\n", "a,b\n1,2\n", "{\"a\": 1}", "\0\u{1}"]
    {
        assert!(unit("x.txt", nothing, &Options::default()).is_err(), "{nothing:?}");
    }
}

#[test]
fn tfevents_hold_scalars_in_both_encodings() {
    let (read, report) = read("events.out.tfevents.1", tfevents(3), &Options::default()).unwrap();
    assert_eq!(points(&read, 0, "loss"), [(0, 10.0), (1, 5.0), (2, f64::from(10.0_f32 / 3.0))]);
    assert_eq!(points(&read, 0, "lr"), [(0, 0.0), (1, 0.1), (2, 0.2)]);
    assert_eq!((report.n_runs, report.n_series, report.n_points), (1, 2, 6));
    assert_eq!(report.files[0].1.blake3.len(), 64);
}

#[test]
fn late_and_repeated_steps_keep_their_order() {
    let mut file = Vec::new();
    for (step, value) in [(0, 1.0), (10, 2.0), (10, 3.0), (5, 4.0), (20, 5.0)] {
        file.extend(scalar(0.0, step, "x", value));
    }
    let (mut read, report) = read("e", file, &Options::default()).unwrap();
    assert_eq!(points(&read, 0, "x"), [(0, 1.0), (10, 2.0), (10, 3.0), (5, 4.0), (20, 5.0)]);
    assert_eq!((report.n_repeated, report.n_late), (1, 1));
    read.settle();
    assert_eq!(points(&read, 0, "x"), [(0, 1.0), (5, 4.0), (10, 3.0), (20, 5.0)]);
}

#[test]
fn what_is_no_scalar_is_passed_over() {
    let image = [bytes(1, b"img"), bytes(4, b"png")].concat();
    let text = [bytes(1, b"txt"), bytes(8, &[number(1, 7), bytes(8, b"hi")].concat())].concat();
    let vector =
        [bytes(1, b"v"), bytes(8, &[number(1, 1), bytes(2, &bytes(2, &number(1, 3)))].concat())]
            .concat();
    let mut file: Vec<u8> = [image, text, vector].iter().flat_map(|v| event(0.0, 1, v)).collect();
    file.extend(record(&[vec![9], 0f64.to_le_bytes().to_vec(), bytes(4, b"graph")].concat()));
    file.extend(scalar(0.0, -1, "x", 1.0));
    file.extend(scalar(0.0, 1, "x", 1.0));
    let (read, report) = read("e", file, &Options::default()).unwrap();
    assert_eq!((read.n_points(), report.n_passed_over, report.n_without_step), (1, 3, 1));
}

#[test]
fn wandb_rows_cross_blocks() {
    let (read, report) = read("run.wandb", wandb(300), &Options::default()).unwrap();
    let loss = points(&read, 0, "val/loss");
    assert_eq!((loss.len(), loss[1], loss[299].0), (300, (10, 2.5), 2990));
    assert!(loss[3].1.is_nan() && report.n_not_finite == 1);
    assert_eq!(json!(read.runs[0].meta.config), json!({"lr": 0.02}));
    assert_eq!(read.runs[0].series.len(), 1, "clocks are no series");
}

#[test]
fn hf_trainer_states_hold_series_and_configuration() {
    let (read, _) = read("trainer_state.json", HF, &Options::default()).unwrap();
    assert_eq!(points(&read, 0, "loss"), [(10, 2.5)]);
    assert!(points(&read, 0, "eval_loss")[0].1.is_nan());
    assert_eq!(read.runs[0].get("eval_runtime").unwrap().unit, "s");
    assert_eq!(json!(read.runs[0].meta.config), json!({"max_steps": 20, "train_batch_size": 4}));
}

#[test]
fn evaluations_of_both_layouts_become_steps_of_a_run() {
    let (old, _) = read("a.json", LM_EVAL_OLD, &Options::default()).unwrap();
    assert_eq!(points(&old, 0, "arc/acc"), [(512, 0.25)]);
    assert_eq!(points(&old, 0, "arc/acc.stderr"), [(512, 0.01)]);
    let (new, _) = read("b.json", LM_EVAL_NEW, &Options::default()).unwrap();
    assert_eq!(points(&new, 0, "arc/acc"), [(1000, 0.5)]);
    assert_eq!(points(&new, 0, "arc/exact_match[strict]"), [(1000, 0.1)]);
    assert!(new.runs[0].get("arc/exact_match[strict].stderr").is_none());
    assert_eq!(new.runs[0].meta.config["model"], "org/m");
    let step_from = Some(StepRule::new("at(\\d+)").unwrap());
    let (named, _) =
        read("m-at7.json", LM_EVAL_OLD, &Options { step_from, ..Options::default() }).unwrap();
    assert_eq!(points(&named, 0, "lambada/ppl"), [(7, 26.5)]);
}

#[test]
fn text_logs_are_read_by_themselves_and_by_pattern() {
    let (plain, _) = read("train.log", TEXT, &Options::default()).unwrap();
    assert_eq!(points(&plain, 0, "val_loss"), [(0, 10.9), (50, 4.5), (100, 3.25)]);
    assert_eq!(points(&plain, 0, "train_time_ms"), [(0, 0.0), (50, 1200.0), (100, 2400.0)]);
    assert_eq!(plain.runs[0].get("train_time_ms").unwrap().unit, "ms");
    assert!(points(&plain, 0, "step_avg_ms")[0].1.is_nan());
    assert_eq!(json!(plain.runs[0].meta.config), json!({"total_steps": 100}));
    let nano =
        "iter 0: loss 4.2829, time 7.5ms, mfu -100.00%\nstep 250: train loss 2.5, val loss 2.75\n";
    let (nano, _) = read("nano.log", nano, &Options::default()).unwrap();
    assert_eq!(points(&nano, 0, "loss"), [(0, 4.2829)]);
    assert_eq!(points(&nano, 0, "mfu_percent"), [(0, -100.0)]);
    assert_eq!(
        (points(&nano, 0, "train_loss"), points(&nano, 0, "val_loss")),
        (vec![(250, 2.5)], vec![(250, 2.75)])
    );
    let pattern = Some(LogPattern::new(r"val_loss:(?<val>\S+).*of (?<step>\d+)").unwrap());
    let options = Options { pattern, ..Options::default() };
    let (own, _) = read("x", "val_loss:1.5 is that of 30\nnoise\n", &options).unwrap();
    assert_eq!(points(&own, 0, "val"), [(30, 1.5)]);
}

#[test]
fn tables_and_lines_with_a_step() {
    let (csv, report) = read("t.csv", CSV, &Options::default()).unwrap();
    assert_eq!(points(&csv, 0, "acc"), [(0, 0.1), (20, 0.9)]);
    assert_eq!(points(&csv, 0, "loss")[..2], [(0, 2.5), (10, 1.25)]);
    assert_eq!(report.notes, ["column `note` holds text (3 cells) and was passed over"]);
    let (jsonl, _) = read("t.jsonl", JSONL, &Options::default()).unwrap();
    assert_eq!(points(&jsonl, 0, "eval.acc"), [(0, 0.1)]);
    assert!(points(&jsonl, 0, "loss")[1].1.is_nan());
    let options = Options { step_key: Some("t".into()), ..Options::default() };
    let (own, _) = read("t.csv", "t\tstep\tx\n7\t0\t1.5\n", &options).unwrap();
    assert_eq!((points(&own, 0, "x"), points(&own, 0, "step")), (vec![(7, 1.5)], vec![(7, 0.0)]));
}

#[test]
fn tidy_points_name_their_series_after_task_and_tags() {
    let (tidy, report) = read("points.csv", POINTS, &Options::default()).unwrap();
    assert_eq!(points(&tidy, 0, "arc/acc"), [(0, 0.25), (10, 0.5)]);
    assert_eq!(points(&tidy, 0, "arc/acc.stderr"), [(0, 0.01), (10, 0.02)]);
    assert_eq!(points(&tidy, 0, "tokens"), [(0, 0.0), (10, 1000.0)]);
    assert_eq!(points(&tidy, 0, "loss"), [(10, 2.5)]);
    assert_eq!((tidy.runs.len(), report.n_without_step), (2, 1));
    let tagged = "run_id,step,task,prompt,metric,value\na,1,wino,p1,em,0.5\na,1,,p1,em,0.25\n";
    let (tagged, _) = read("points.csv", tagged, &Options::default()).unwrap();
    assert_eq!(points(&tagged, 0, "wino[prompt=p1]/em"), [(1, 0.5)]);
    assert_eq!(points(&tagged, 0, "em[prompt=p1]"), [(1, 0.25)]);
}

#[test]
fn a_table_of_many_runs_is_read_as_it_is_described() {
    let text = "data,learner,size,val,test,note\na,7,16,.5,.4,x\na,7,32,.3,,y\nb,7,16,.2,.1,z\n";
    let shape = TableShape {
        run: vec!["data".into(), "learner".into()],
        step: Some("size".into()),
        series: vec!["val".into(), "te*".into()],
        ..TableShape::default()
    };
    let options = Options { table: Some(shape), ..Options::default() };
    let (wide, report) = read("t.csv", text, &options).unwrap();
    assert_eq!((report.format, wide.runs.len()), ("table", 2));
    assert_eq!(wide.runs[0].meta.name, "a/7");
    assert_eq!(points(&wide, 0, "val"), [(16, 0.5), (32, 0.3)]);
    assert_eq!(points(&wide, 0, "test"), [(16, 0.4)]);
    // What is neither name, step nor reading is known of the run, from its first row.
    assert_eq!(wide.runs[0].meta.config["note"], "x");
    assert_eq!(wide.runs[0].meta.config["learner"], 7);
    assert!(!wide.runs[0].meta.config.contains_key("val"));

    let long = TableShape {
        run: vec!["model".into()],
        metric: vec!["condition".into()],
        value: Some("top1".into()),
        ..TableShape::default()
    };
    let options = Options { table: Some(long), ..Options::default() };
    let (long, _) = read("t.csv", "model,condition,top1\nm,val,70\nm,blur,50\n", &options).unwrap();
    assert_eq!(
        (points(&long, 0, "val"), points(&long, 0, "blur")),
        (vec![(0, 70.0)], vec![(0, 50.0)])
    );

    // Without a name every row is a run, numbered.
    let rows = TableShape { series: vec!["loss".into()], ..TableShape::default() };
    let options = Options { table: Some(rows), ..Options::default() };
    let (rows, _) = read("t.csv", "params,loss\n1e6,3.5\n1e7,3\n", &options).unwrap();
    assert_eq!(
        (rows.runs[1].meta.name.as_str(), points(&rows, 1, "loss")),
        ("row-2", vec![(0, 3.0)])
    );
    assert_eq!(rows.runs[1].meta.config["params"], 1e7);
}
