//! Damage behind a checksum that fits: whoever wrote the file meant it so, and still no decoder panics, hangs or takes
//! memory without end.
//!
//! A changed byte alone would hardly get past a checksum, and show nothing of what is behind. So each round changes one
//! file, mends its checksums as `docs/store-format.md` describes them, and reads what needs the file.

use crate::mutation::{mutate, random_from, rounds};
use crate::support::{manifest, run_id};
use crate::{flips, indices};
use ontogeny_core::{Clocks, Dtype, Step, StudyId};
use ontogeny_store::{OwnedTensor, Store};
use proptest::prelude::*;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// How the checksums of a file are mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Log,
    /// `X.b3` beside it.
    Parquet,
    /// The index of a segment: CRCs inside, and its line in `X.b3`.
    Index,
    List,
    Object,
    /// The hash as the last member.
    Json,
    /// Chained hashes, which cannot be mended without sealing anew.
    Ledger,
}

fn kind(path: &Path) -> Option<Kind> {
    let text = path.to_string_lossy();
    let ends = |end: &str| text.ends_with(end);
    if ends("live.log") {
        Some(Kind::Log)
    } else if ends(".parquet") {
        Some(Kind::Parquet)
    } else if ends(".idx") {
        Some(Kind::Index)
    } else if path.parent()?.ends_with("checkpoints") {
        Some(Kind::List)
    } else if ends("ledger.jsonl") || ends("head.json") {
        Some(Kind::Ledger)
    } else if ends("manifest.json") || ends("findings.json") {
        Some(Kind::Json)
    } else {
        (path.file_name()?.len() == 64).then_some(Kind::Object)
    }
}

/// A file, its kind and what is in it.
type Seed = (PathBuf, Kind, Vec<u8>);

/// The store of the test of flipped bits, with checkpoints of every kind of number.
fn seeds() -> (tempfile::TempDir, Store, Vec<Seed>) {
    let (dir, store) = flips::filled();
    let mut w = store.create_run(&manifest("t")).unwrap();
    for t in 0..5_u64 {
        let at = |i: usize| (i as f32 * 0.7).sin() + 1e-3 * (t as f32) * (i as f32).cos();
        let floats: Vec<f32> = (0..300).map(at).collect();
        let raw = |name: &str, dtype, bytes: Vec<u8>| OwnedTensor {
            name: name.to_owned(),
            dtype,
            shape: vec![300],
            bytes,
        };
        let upper = |f: &f32| f.to_le_bytes()[2..].to_vec();
        let tensors = [
            OwnedTensor::from_f32("w", &[300], &floats),
            raw("d", Dtype::F64, floats.iter().flat_map(|&f| f64::from(f).to_le_bytes()).collect()),
            raw("b", Dtype::Bf16, floats.iter().flat_map(upper).collect()),
            raw("h", Dtype::F16, floats.iter().flat_map(upper).collect()),
            raw(
                "i",
                Dtype::I64,
                (0..300_i64).flat_map(|i| (i * t.cast_signed()).to_le_bytes()).collect(),
            ),
            raw("u", Dtype::U8, (0..300_u64).map(|i| (i / 7 + t) as u8).collect()),
        ];
        let views: Vec<_> = tensors.iter().map(OwnedTensor::view).collect();
        w.checkpoint(Step(t), &views, t.into()).unwrap();
    }
    drop(w);
    // Segments with a pyramid, one of them merged.
    let mut w = store.create_run(&manifest("u")).unwrap();
    for t in 0..9_u64 {
        for i in 0..300 {
            let step = Step(300 * t + i);
            w.append(step, Clocks::default(), &[("long", "1", i as f64), ("x", "1", f64::NAN)])
                .unwrap();
        }
        w.append(Step(t), Clocks::default(), &[("late", "1", 0.5)]).unwrap();
        w.seal().unwrap();
    }
    drop(w);
    assert!(store.path().join("runs/u/metrics/seg-000001-000008.idx").is_file());
    let found = flips::files(store.path()).into_iter();
    let files = found.filter_map(|p| kind(&p).map(|k| (p.clone(), k, fs::read(&p).unwrap())));
    let files = files.collect();
    (dir, store, files)
}

/// Frames of a log: `acked` and payload.
fn frames(mut log: &[u8]) -> Vec<([u8; 8], Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = log.split_at_checked(20) {
        let n = u32::from_le_bytes(head[4..8].try_into().unwrap()) as usize;
        frames.push((head[8..16].try_into().unwrap(), rest[..n].to_vec()));
        log = &rest[n..];
    }
    frames
}

fn log_of(frames: &[([u8; 8], Vec<u8>)]) -> Vec<u8> {
    let mut log = Vec::new();
    for (acked, payload) in frames {
        let mut guarded = (payload.len() as u32).to_le_bytes().to_vec();
        guarded.extend(acked);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&guarded), payload);
        log.extend(b"ONTF");
        log.extend(&guarded);
        log.extend(crc.to_le_bytes());
        log.extend(payload);
    }
    log
}

/// Changes one value somewhere in `json`.
fn mutate_json(json: &mut Value, random: &mut dyn FnMut() -> u64) {
    let n = match json {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        _ => 0,
    };
    if n > 0 && !random().is_multiple_of(8) {
        let at = (random() % n as u64) as usize;
        return match json {
            Value::Array(items) => mutate_json(&mut items[at], random),
            Value::Object(fields) => {
                mutate_json(fields.values_mut().nth(at).expect("there are n"), random);
            }
            _ => unreachable!("only these have items"),
        };
    }
    *json = match (random() % 10, &*json) {
        (0, _) => Value::Null,
        (1, _) => Value::from(random()),
        (2, _) => Value::from(random().cast_signed()),
        (3, _) => Value::from(u64::MAX - random() % 3),
        (4, _) => Value::from(random() % 5),
        (5, _) => Value::from(f64::from_bits(random())),
        (6, old) => Value::Array(vec![old.clone(); (random() % 4) as usize]),
        (7, Value::String(old)) => Value::from(format!("{old}{old}")),
        (8, Value::String(old)) => {
            let mut bytes = old.clone().into_bytes();
            mutate(&mut bytes, random);
            Value::from(String::from_utf8_lossy(&bytes).into_owned())
        }
        (_, old) => old.as_u64().map_or(Value::from(""), |n| Value::from(n.wrapping_add(1))),
    };
}

/// The list of a checkpoint with the hash of what is in it.
fn list_of(mut list: Value) -> Vec<u8> {
    let fields = ["format_version", "step", "tensors", "extra", "state_hash"];
    let content = Value::Array(fields.map(|f| list[f].clone()).to_vec());
    // `Value` sorts its keys and writes no spaces, as the format wants it.
    let hash = blake3::hash(content.to_string().as_bytes()).to_hex().to_string();
    if let Value::Object(list) = &mut list {
        list.insert("hash".to_owned(), hash.into());
    }
    serde_json::to_vec_pretty(&list).unwrap()
}

/// One file as somebody might have meant it, with whatever vouches for it.
fn changed(
    path: &Path,
    kind: Kind,
    bytes: &[u8],
    random: &mut dyn FnMut() -> u64,
) -> Vec<(PathBuf, Vec<u8>)> {
    let mut raw = bytes.to_vec();
    let new = match kind {
        Kind::Log => {
            let mut frames = frames(bytes);
            let at = (random() % frames.len() as u64) as usize;
            match random() % 6 {
                0 => frames[at].0 = random().to_le_bytes(),
                1 => drop(frames.remove(at)),
                2 => frames.push(frames[at].clone()),
                _ => mutate(&mut frames[at].1, random),
            }
            log_of(&frames)
        }
        Kind::Object => {
            // 13 bytes of head; then, in what is written now, a checksum of the length and what follows.
            let mut body = raw.split_off(if raw[4] == 3 { 17 } else { 13 });
            mutate(&mut body, &mut *random);
            if random().is_multiple_of(16) {
                raw[5..13].copy_from_slice(&(random() % (1 << 30)).to_le_bytes());
            }
            if raw[4] == 3 {
                let crc = crc32c::crc32c_append(crc32c::crc32c(&raw[5..13]), &body);
                raw[13..17].copy_from_slice(&crc.to_le_bytes());
            }
            raw.extend(body);
            raw
        }
        Kind::List => {
            let mut list: Value = serde_json::from_slice(bytes).unwrap();
            mutate_json(&mut list, random);
            list_of(list)
        }
        Kind::Json if random().is_multiple_of(2) => {
            let mut value: Value = serde_json::from_slice(bytes).unwrap();
            mutate_json(&mut value, random);
            serde_json::to_vec(&value).unwrap()
        }
        Kind::Index => indices::changed(bytes, &path.with_extension("parquet"), random),
        Kind::Parquet | Kind::Json | Kind::Ledger => {
            mutate(&mut raw, random);
            raw
        }
    };
    let mut files = vec![(path.to_path_buf(), new)];
    if kind == Kind::Parquet {
        let name = path.file_name().unwrap().to_string_lossy();
        let line = format!("{}  {name}\n", blake3::hash(&files[0].1).to_hex());
        files.push((path.with_extension("b3"), line.into_bytes()));
    }
    if kind == Kind::Index {
        let sums = fs::read_to_string(path.with_extension("b3")).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let kept = sums.lines().find(|l| !l.contains(".idx")).unwrap();
        let line = format!("{kept}\n{}  {name}\n", blake3::hash(&files[0].1).to_hex());
        files.push((path.with_extension("b3"), line.into_bytes()));
    }
    files
}

/// Reads all that one file may be needed for.
fn read(store: &Store, path: &Path, kind: Kind) {
    let below = path.strip_prefix(store.path()).unwrap();
    let folder = below.components().nth(1).unwrap().as_os_str().to_string_lossy().into_owned();
    let runs: &[&str] = if kind == Kind::Object { &["r", "s", "t"] } else { &[&folder] };
    if below.starts_with("ledger") {
        let _ = store.ledger().verify();
        let _ = store.ledger().entries();
    } else if below.starts_with("studies") {
        let study = store.study(&StudyId::new("st").unwrap());
        let _ = (study.manifest::<Value>(), study.findings());
    } else {
        for run in runs {
            let Ok(reader) = store.run(&run_id(run)) else { continue };
            if kind == Kind::Index {
                let names = reader.series_names().unwrap_or_default();
                let _ = reader.summaries().is_ok();
                for name in names.iter().map(String::as_str).chain(["x", "long", "late"]) {
                    let _ = (reader.series(name).is_ok(), reader.readings(name).is_ok());
                    for (from, to) in [(0, u64::MAX), (100, 900)] {
                        let _ = reader.overview(name, Step(from)..=Step(to), 50).is_ok();
                    }
                }
                let _ = store.resume_run(&run_id(run)).is_ok();
            } else if matches!(kind, Kind::Object | Kind::List) {
                for step in reader.checkpoints().unwrap_or_default() {
                    let _ = reader.checkpoint(step);
                    let _ = reader.checkpoint_tensor(step, "w");
                }
            } else {
                let _ = (reader.all_series().is_ok(), reader.recorded_clocks().is_ok());
                let names = reader.tensor_names().unwrap_or_default();
                let _ = names.iter().filter(|n| reader.tensor(n).is_ok()).count();
                let _ = (reader.events(), reader.zooms().is_ok(), reader.torn_tails());
            }
        }
    }
}

fn one_round(store: &Store, seeds: &[Seed], pick: usize, random: &mut dyn FnMut() -> u64) {
    let (path, kind, bytes) = &seeds[pick % seeds.len()];
    let files = changed(path, *kind, bytes, random);
    let before: Vec<_> = files.iter().map(|(p, _)| fs::read(p).unwrap()).collect();
    for (path, new) in &files {
        fs::write(path, new).unwrap();
    }
    read(store, path, *kind);
    for ((path, _), old) in files.iter().zip(before) {
        fs::write(path, old).unwrap();
    }
}

#[test]
fn files_that_are_mended_without_a_change_are_read() {
    let (_dir, store, seeds) = seeds();
    for (path, kind, bytes) in &seeds {
        match kind {
            Kind::Log => assert_eq!(&log_of(&frames(bytes)), bytes, "{}", path.display()),
            Kind::List => {
                fs::write(path, list_of(serde_json::from_slice(bytes).unwrap())).unwrap();
            }
            Kind::Object => {
                let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[5..13]), &bytes[17..]);
                assert_eq!((bytes[4], &bytes[13..17]), (3, &crc.to_le_bytes()[..]));
            }
            Kind::Index => assert_eq!(&indices::mended(bytes), bytes, "{}", path.display()),
            Kind::Parquet | Kind::Json | Kind::Ledger => {}
        }
    }
    assert!(store.verify().unwrap().is_whole());
    for wanted in
        [Kind::Log, Kind::Parquet, Kind::Index, Kind::List, Kind::Object, Kind::Json, Kind::Ledger]
    {
        assert!(seeds.iter().any(|(_, k, _)| *k == wanted), "no {wanted:?}");
    }
}

#[test]
fn law_8_mutated_files_with_fitting_checksums_make_no_reader_panic() {
    let (_dir, store, seeds) = seeds();
    let config =
        ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(pick in any::<usize>(), seed in any::<u64>())| {
        one_round(&store, &seeds, pick, &mut random_from(seed));
    });
}

/// The largest resident set of this process so far, bytes; where the system says it.
fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// `ONTOGENY_FUZZ_SECS=600 cargo test -p ontogeny_store --release --test store -- --ignored slow_fuzz --nocapture`
#[test]
#[ignore = "slow: ten minutes"]
fn slow_fuzz_every_decoder_of_the_store() {
    let (_dir, store, seeds) = seeds();
    let (n, secs) = rounds(|pick, random| one_round(&store, &seeds, pick, random));
    let peak = peak_bytes().unwrap_or(0);
    assert!(peak < 1 << 30, "{peak} bytes of memory at most");
    println!("{n} mutated files in {secs} s and {} MB, no finding", peak >> 20);
}
