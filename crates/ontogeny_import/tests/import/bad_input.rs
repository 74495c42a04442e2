//! Files that are not what they should be: errors name file, record and byte; the good part can be kept.

use crate::support::{
    CSV, HF, JSONL, LM_EVAL_OLD, POINTS, TEXT, event, framed, gzip, masked, points, read, scalar,
    tfevents, wandb,
};
use insta::assert_snapshot;
use ontogeny_import::{Collected, ImportError, Input, Options, format_named, import, unit_of};

fn forced(format: &str) -> Options {
    Options { format: Some(format_named(format).unwrap()), ..Options::default() }
}

fn keep_going() -> Options {
    Options { keep_going: true, ..Options::default() }
}

#[track_caller]
fn fails(name: &str, bytes: impl Into<Vec<u8>>, options: &Options) -> String {
    read(name, bytes, options).unwrap_err().to_string()
}

fn changed(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at] ^= 0x40;
    bytes
}

#[test]
fn a_file_that_ends_in_the_middle_of_an_event_is_read_up_to_there() {
    let whole = tfevents(3);
    for cut in [1, 5, 20, 60] {
        let (read, report) = read("e", &whole[..whole.len() - cut], &Options::default()).unwrap();
        assert!(read.n_points() >= 4, "{cut}");
        assert_eq!(report.notes.len(), 1, "{cut}");
        assert!(report.notes[0].starts_with("e ends within record "), "{}", report.notes[0]);
    }
}

#[test]
fn a_changed_event_is_told_with_record_and_byte() {
    let version = tfevents(0).len();
    let whole = tfevents(3);
    assert_snapshot!(fails("e", changed(whole.clone(), version + 20), &Options::default()),
        @"read tfevents: record 2 at byte 40: the checksum of its data does not match, bytes were changed or lost: e");
    assert_snapshot!(fails("e", changed(whole.clone(), version + 3), &Options::default()),
        @"read tfevents: record 2 at byte 40: the checksum of its length does not match, bytes were changed or lost: e");
    let (kept, report) = read("e", changed(whole.clone(), version + 20), &keep_going()).unwrap();
    assert_eq!((kept.n_points(), report.n_problems), (5, 1));
    let (kept, report) = read("e", changed(whole, version + 3), &keep_going()).unwrap();
    assert_eq!((kept.n_points(), report.n_problems), (0, 1));
}

#[test]
fn a_large_file_is_read_and_its_damage_told_as_that_of_a_small_one() {
    // Large enough to be read by a thread of its own.
    let n = 60_000;
    let (whole, start) = (tfevents(60_000), tfevents(30_000).len());
    assert!(whole.len() > 5 << 20);
    let (all, report) = read("e", whole.clone(), &Options::default()).unwrap();
    assert_eq!(all.n_points(), 2 * n);
    let input = Input::from_bytes("e", whole.clone());
    assert_eq!(report.files, [("e".to_owned(), input.fingerprint().unwrap())]);
    let (unpacked, _) = read("e.gz", gzip(&whole), &Options::default()).unwrap();
    for name in ["loss", "lr"] {
        assert_eq!(points(&all, 0, name), points(&unpacked, 0, name));
    }

    let damaged = changed(whole.clone(), start + 20);
    let place = format!("record {} at byte {start}", n + 2);
    assert!(fails("e", damaged.clone(), &Options::default()).contains(&place), "{place}");
    let (kept, report) = read("e", damaged.clone(), &keep_going()).unwrap();
    assert_eq!((kept.n_points(), report.n_problems), (2 * n - 1, 1));
    assert!(report.problems[0].to_string().contains(&place), "{}", report.problems[0]);
    // What comes after the damage belongs to the file all the same.
    let lost = changed(whole.clone(), start + 3);
    let (kept, report) = read("e", lost.clone(), &keep_going()).unwrap();
    assert_eq!((kept.n_points(), report.n_problems), (n, 1));
    let print = Input::from_bytes("e", lost).fingerprint().unwrap();
    assert_eq!(report.files[0].1, print);

    let torn = &whole[..whole.len() - 5];
    let (kept, report) = read("e", torn, &Options::default()).unwrap();
    assert_eq!(kept.n_points(), 2 * n - 1);
    assert!(report.notes[0].starts_with(&format!("e ends within record {}", 2 * n + 1)));
}

#[test]
fn an_absurd_length_sets_no_memory_aside() {
    let mut file = scalar(0.0, 1, "x", 1.0);
    let len = (u64::MAX / 2).to_le_bytes();
    file.extend(len);
    file.extend(masked(&len).to_le_bytes());
    file.extend([0; 100]);
    let (kept, report) = read("e", file.clone(), &Options::default()).unwrap();
    assert_eq!((kept.n_points(), report.notes.len()), (1, 1));
    // The same where the size of the file is not known beforehand.
    let (kept, _) = read("e.gz", gzip(&file), &Options::default()).unwrap();
    assert_eq!(kept.n_points(), 1);
    // A length inside an event that leaves it.
    let value = [vec![0x0a], vec![0xff; 9], vec![0x01], b"tag".to_vec()].concat();
    assert_snapshot!(fails("e", event(0.0, 1, &value), &Options::default()),
        @"read tfevents: record 1 at byte 0: it is not a well-formed protocol buffer: e");
}

#[test]
fn another_format_under_the_right_name_is_told() {
    assert_snapshot!(fails("e", CSV, &forced("tfevents")),
        @"read tfevents: record 1 at byte 0: it is not a TensorBoard event file: e");
    assert_snapshot!(fails("run.wandb", CSV, &forced("wandb")),
        @"read wandb: record 0 at byte 0: it is not a W&B offline log file: run.wandb");
    assert_snapshot!(fails("t.json", CSV, &forced("hf-trainer")),
        @"read hf-trainer: record 0 at byte 0: bad JSON: expected a value: t.json");
    assert_snapshot!(fails("t.json", "{}", &forced("hf-trainer")),
        @"read hf-trainer: record 0 at byte 0: expected a `log_history` as in trainer_state.json: t.json");
    assert_snapshot!(fails("r.json", HF, &forced("lm-eval")),
        @"read lm-eval: record 1 at byte 0: expected `results` as in an evaluation: r.json");
    assert_snapshot!(fails("p.csv", CSV, &forced("tidy")),
        @"read tidy: record 1 at byte 0: expected a column `run_id`: p.csv");
    assert_snapshot!(fails("c.csv", "a,b\n1,2\n", &forced("csv")),
        @"read csv: record 1 at byte 0: expected a column `step`: c.csv");
    assert_snapshot!(fails("t.log", "hello\n", &forced("text")),
        @"read text: record 1 at byte 0: expected at least one line with a step; describe the lines with --pattern: t.log");
    assert!(read("e", HF, &forced("jsonl")).is_err());
}

#[test]
fn a_wandb_log_being_written_is_read_up_to_its_end() {
    let whole = wandb(50);
    for cut in [1, 6, 100, 400] {
        let (read, report) =
            read("r.wandb", &whole[..whole.len() - cut], &Options::default()).unwrap();
        assert!(points(&read, 0, "val/loss").len() >= 48, "{cut}");
        assert!(report.notes.iter().any(|n| n.contains("ends within record")), "{cut}");
    }
    assert_snapshot!(fails("r.wandb", changed(whole.clone(), 100), &Options::default()),
        @"read wandb: record 2 at byte 32: the checksum of its data does not match, bytes were changed or lost: r.wandb");
    // A file that ends where a block has no room for a header.
    let mut full = framed(&[vec![0x0a; 32_768 - 7 - 7 - 3]]);
    assert_eq!(full.len() % 32_768, 32_765);
    assert!(read("r.wandb", full.clone(), &Options::default()).is_err(), "no protocol buffer");
    full.extend([0, 0]);
    assert!(read("r.wandb", full, &keep_going()).is_ok());
    // What is after a damaged block of a long file is kept.
    let long = wandb(500);
    let (kept, report) = read("r.wandb", changed(long, 40_000), &keep_going()).unwrap();
    let n = points(&kept, 0, "val/loss").len();
    assert!((300..500).contains(&n) && report.n_problems >= 1, "{n} {}", report.n_problems);
}

#[test]
fn bad_rows_are_told_with_row_and_byte() {
    assert_snapshot!(fails("t.csv", "step,x\n0,1\n1,2,3\n", &Options::default()),
        @"read csv: record 3 at byte 11: expected 2 fields as in the header, found 3: t.csv");
    assert_snapshot!(fails("t.csv", "step,x\n0,1\n1.5,2\n", &Options::default()),
        @"read csv: record 3 at byte 11: expected a step (a whole number from 0) in `step`, found `1.5`: t.csv");
    assert_snapshot!(fails("t.csv", "step,x\n0,1\n1,oops\n", &Options::default()),
        @"read csv: record 3 at byte 11: expected a number in `x`, found `oops`: t.csv");
    assert_snapshot!(fails("t.csv", "step,x,x\n0,1,1\n", &Options::default()),
        @"read csv: record 1 at byte 0: column `x` is there twice: t.csv");
    assert_snapshot!(fails("p.csv", format!("{POINTS}2,3,arc,,acc,much,\n"), &Options::default()),
        @"read tidy: record 7 at byte 162: expected a number in `value`, found `much`: p.csv");
    assert_snapshot!(fails("t.jsonl", format!("{JSONL}{{\"step\": 20, \"loss\": }}\n{{}}\n"), &Options::default()),
        @"read jsonl: record 3 at byte 107: bad JSON: expected a value: t.jsonl");
    let rows = "step,x\n0,1\n1,oops\n2,3\nx,4\n3,5\n";
    let (kept, report) = read("t.csv", rows, &keep_going()).unwrap();
    assert_eq!((points(&kept, 0, "x"), report.n_problems), (vec![(0, 1.0), (2, 3.0), (3, 5.0)], 2));
}

#[test]
fn cut_json_is_told_and_its_good_part_kept() {
    let cut = &HF[..140];
    assert_snapshot!(fails("t.json", cut, &Options::default()),
        @"read hf-trainer: record 2 at byte 140: the file ends in the middle of it: t.json");
    let (kept, _) = read("t.json", cut, &keep_going()).unwrap();
    assert_eq!(points(&kept, 0, "loss"), [(10, 2.5)]);
    let (kept, report) = read("t.jsonl", &JSONL[..JSONL.len() - 10], &Options::default()).unwrap();
    assert_eq!((points(&kept, 0, "loss"), report.notes.len()), (vec![(0, 2.5)], 1));
    assert_snapshot!(fails("m.json", LM_EVAL_OLD.replace("revision=step512", "x=y"), &Options::default()),
        @r"read lm-eval: record 1 at byte 0: no step in the file's name, folder or model_args; say where it is with --step-from, e.g. 'step(\d+)': m.json");
}

#[test]
fn a_gzip_bomb_is_refused_before_it_fills_anything() {
    let mut rows = "step,x\n".to_owned();
    rows.push_str(&"0,1\n".repeat(1000));
    let zeros = vec![b'\n'; 400 << 20];
    let bomb = gzip(&[rows.as_bytes(), &zeros].concat());
    let text = fails("t.csv.gz", bomb.clone(), &Options::default());
    assert!(text.contains("compressed bytes expand to more than"), "{text}");
    let (kept, _) = read("t.csv.gz", bomb, &keep_going()).unwrap();
    assert_eq!(kept.n_points(), 1000);
}

#[test]
fn damaged_gzip_is_told() {
    let whole = gzip(CSV.as_bytes());
    let cut = &whole[..whole.len() - 12];
    let text = fails("t.csv.gz", cut, &Options::default());
    assert!(text.contains("the gzip stream is damaged"), "{text}");
    let text = fails("t.csv.gz", changed(whole, 20), &forced("csv"));
    assert!(text.contains("t.csv.gz"), "{text}");
}

#[test]
fn a_line_or_quote_without_end_is_refused() {
    let line = vec![b'1'; 65 << 20];
    let text =
        fails("t.csv", [b"step,x\n0,\"".to_vec(), line.clone()].concat(), &Options::default());
    assert!(text.contains("claims a length"), "{text}");
    let text =
        fails("t.log", [b"step:1 a:1\nstep:2 a:2\n".to_vec(), line].concat(), &Options::default());
    assert!(text.contains("claims a length"), "{text}");
}

#[test]
fn a_sink_that_fails_ends_the_import_even_when_going_on() {
    #[derive(Debug)]
    struct Full(u32);
    impl ontogeny_import::Sink for Full {
        fn run(
            &mut self,
            _: ontogeny_import::RunKey,
            _: &ontogeny_import::RunMeta,
        ) -> Result<(), ontogeny_import::SinkError> {
            Ok(())
        }
        fn config(
            &mut self,
            _: ontogeny_import::RunKey,
            _: &serde_json::Map<String, serde_json::Value>,
        ) -> Result<(), ontogeny_import::SinkError> {
            Ok(())
        }
        fn series(
            &mut self,
            _: ontogeny_import::SeriesKey,
            _: ontogeny_import::RunKey,
            _: &str,
            _: &str,
        ) -> Result<(), ontogeny_import::SinkError> {
            Ok(())
        }
        fn reading(
            &mut self,
            _: ontogeny_import::SeriesKey,
            _: ontogeny_import::Reading,
        ) -> Result<(), ontogeny_import::SinkError> {
            self.0 += 1;
            if self.0 > 3 { Err("full".into()) } else { Ok(()) }
        }
    }
    for bytes in [tfevents(5), wandb(5), TEXT.into(), POINTS.into()] {
        let unit = unit_of(Input::from_bytes("x", bytes), &keep_going()).unwrap();
        let failed = import(&unit, &keep_going(), &mut Full(0)).unwrap_err();
        assert!(matches!(failed, ImportError::Sink { .. }), "{failed}");
    }
    let _ = Collected::default();
}
