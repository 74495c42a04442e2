//! No bytes make a parser panic, hang or ask for memory it does not need.

use crate::mutation::{mutate, random_from, rounds};
use crate::support::{
    CSV, HF, JSONL, LM_EVAL_NEW, LM_EVAL_OLD, POINTS, RUNS, TEXT, gzip, tfevents, wandb,
};
use ontogeny_core::Series;
use ontogeny_import::export::{ExportedRun, exporter};
use ontogeny_import::{Collected, Input, Options, TableShape, formats, import, unit_of};
use proptest::prelude::*;
use serde_json::Map;

fn parquet() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let mut out = exporter("parquet", dir.path()).unwrap();
    let series = Series::from_pairs("loss", "nats", (0..50).map(|i| (i, 1.0 / (i + 1) as f64)));
    out.run(&ExportedRun {
        id: "a",
        config: &Map::new(),
        series: &[&series],
        began_unix_secs: 0.0,
        wall_secs: &[],
    })
    .unwrap();
    out.finish().unwrap();
    std::fs::read(dir.path().join("points.parquet")).unwrap()
}

/// A valid file of every kind.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("e.tfevents.1", tfevents(5)),
        ("r.wandb", wandb(120)),
        ("trainer_state.json", HF.into()),
        ("a_step1.json", LM_EVAL_OLD.into()),
        ("b.json", LM_EVAL_NEW.into()),
        ("t.jsonl", JSONL.into()),
        ("points.csv", POINTS.into()),
        ("runs.csv", RUNS.into()),
        ("t.csv", CSV.into()),
        ("t.log", TEXT.into()),
        ("points.parquet", parquet()),
        ("t.csv.gz", gzip(CSV.as_bytes())),
    ]
}

/// Reads bytes in every format, by content and by force, strictly and going on.
fn read_all(name: &str, bytes: &[u8]) {
    for keep_going in [false, true] {
        for format in std::iter::once(None).chain(formats().iter().copied().map(Some)) {
            let table = format.filter(|f| f.name() == "table").map(|_| TableShape {
                run: vec!["run_id".into()],
                metric: vec!["metric".into()],
                value: Some("value".into()),
                ..TableShape::default()
            });
            let options = Options { format, keep_going, table, ..Options::default() };
            let input = Input::from_bytes(name, bytes.to_vec());
            let Ok(unit) = unit_of(input, &options) else { continue };
            let mut collected = Collected::default();
            let read = import(&unit, &options, &mut collected);
            if let Ok(report) = read {
                assert_eq!(report.n_points, collected.n_points() as u64);
                assert!(keep_going || report.n_problems == 0);
            }
        }
    }
}

/// Repairs the checksums of a TensorBoard file, so that damage reaches the protocol buffers.
fn repaired(mut file: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while let Some(len) = file.get(at..at + 8) {
        let n = u64::from_le_bytes(len.try_into().unwrap());
        let Some(end) = usize::try_from(n).ok().and_then(|n| n.checked_add(at + 12)) else { break };
        if end + 4 > file.len() {
            break;
        }
        let crc = crate::support::masked(&file[at..at + 8]).to_le_bytes();
        file[at + 8..at + 12].copy_from_slice(&crc);
        let crc = crate::support::masked(&file[at + 12..end]).to_le_bytes();
        file[end..end + 4].copy_from_slice(&crc);
        at = end + 4;
    }
    file
}

/// The same for W&B: the data of whole pieces.
fn repaired_wandb(mut file: Vec<u8>) -> Vec<u8> {
    let mut at = 7;
    while at + 7 <= file.len() {
        let left = 32_768 - at % 32_768;
        if left < 7 {
            at += left;
            continue;
        }
        let n = usize::from(u16::from_le_bytes([file[at + 4], file[at + 5]]));
        if at + 7 + n > file.len() || n + 7 > left {
            break;
        }
        let crc = crc32fast::hash(&file[at + 6..at + 7 + n]).to_le_bytes();
        file[at..at + 4].copy_from_slice(&crc);
        at += 7 + n;
    }
    file
}

fn one_round(pick: usize, mut random: impl FnMut() -> u64, seeds: &[(&str, Vec<u8>)]) {
    let (name, mut bytes) = seeds[pick % seeds.len()].clone();
    mutate(&mut bytes, &mut random);
    read_all(name, &bytes);
    match name {
        "e.tfevents.1" => read_all(name, &repaired(bytes)),
        "r.wandb" => read_all(name, &repaired_wandb(bytes)),
        _ => {}
    }
}

#[test]
fn valid_files_of_every_kind_are_read_by_every_parser() {
    for (name, bytes) in seeds() {
        read_all(name, &bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn law_10_mutated_files_make_no_parser_panic(pick in any::<usize>(), seed in any::<u64>()) {
        one_round(pick, random_from(seed), &seeds());
    }

    #[test]
    fn law_10_random_bytes_make_no_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_all("x", &bytes);
    }
}

/// `ONTOGENY_FUZZ_SECS=600 cargo test -p ontogeny_import --release -- --ignored slow_fuzz --nocapture`
#[test]
#[ignore = "slow: ten minutes"]
fn slow_fuzz_every_parser() {
    let seeds = seeds();
    let (n, secs) = rounds(|pick, random| one_round(pick, random, &seeds));
    println!("{n} mutated files in {secs} s, no finding");
}
