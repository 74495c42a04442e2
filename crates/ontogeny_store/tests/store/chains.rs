//! Checkpoints that are stored as what is new against those before.

use crate::support::{flip, manifest, message, run_id, scratch};
use ontogeny_core::{ForkPoint, Step};
use ontogeny_store::{CheckpointInfo, Dtype, OwnedTensor, RunWriter, Store};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

const DTYPES: [Dtype; 13] = [
    Dtype::F64,
    Dtype::F32,
    Dtype::F16,
    Dtype::Bf16,
    Dtype::I64,
    Dtype::I32,
    Dtype::I16,
    Dtype::I8,
    Dtype::U64,
    Dtype::U32,
    Dtype::U16,
    Dtype::U8,
    Dtype::Bool,
];

fn save(w: &mut RunWriter, step: u64, tensors: &[OwnedTensor]) -> CheckpointInfo {
    let views: Vec<_> = tensors.iter().map(OwnedTensor::view).collect();
    w.checkpoint(Step(step), &views, serde_json::Value::Null).unwrap()
}

/// Weights that move a little at each step.
fn weights(n: usize, step: u64) -> OwnedTensor {
    let value = |i: usize| {
        (i as f32 * 0.7).sin() + 1e-4 * (step as f32 * 0.1 + i as f32).cos() * (step as f32).sqrt()
    };
    OwnedTensor::from_f32("w", &[n], &(0..n).map(value).collect::<Vec<_>>())
}

fn chunk_of(store: &Store, run: &str, step: u64) -> String {
    let index = store.path().join(format!("runs/{run}/checkpoints/{step}.json"));
    let index: serde_json::Value = serde_json::from_slice(&fs::read(index).unwrap()).unwrap();
    index["tensors"][0]["pieces"][0]["chunk"].as_str().unwrap().to_owned()
}

fn object(store: &Store, chunk: &str) -> PathBuf {
    store.path().join("objects").join(&chunk[..2]).join(chunk)
}

/// The chunk against which one is stored: 32 bytes behind the header, the checksum and a count.
fn base_of(store: &Store, chunk: &str) -> Option<String> {
    let bytes = fs::read(object(store, chunk)).unwrap();
    let hex = |b: &u8| format!("{b:02x}");
    (bytes[17] > 0).then(|| bytes[18..50].iter().map(hex).collect())
}

fn n_links(store: &Store, chunk: &str) -> usize {
    let mut n = 0;
    let mut at = chunk.to_owned();
    while let Some(base) = base_of(store, &at) {
        (at, n) = (base, n + 1);
    }
    n
}

/// Bit patterns of any type that floats find hard, or near to what was there before, or anything.
fn state(n_steps: usize) -> impl Strategy<Value = Vec<(Dtype, Vec<Vec<u8>>)>> {
    let special = proptest::sample::select(vec![
        0_u64,
        1 << 63,
        1,
        0x8000_0000_0000_0001,
        f64::NAN.to_bits() | 0xBEEF,
        0x7FF0_0000_0000_0001,
        0x7F80_0001_FFC0_0002,
        0x7C01_FC01_7F81_FF81,
        0x8000_0000_0000_8000,
        f64::INFINITY.to_bits(),
        u64::MAX,
    ]);
    let word = prop_oneof![special, any::<u64>()];
    let tensor = (0..DTYPES.len(), proptest::collection::vec(word, 0..40), any::<u64>());
    proptest::collection::vec(tensor, 0..6).prop_map(move |tensors| {
        let series = |(dtype, words, seed): (usize, Vec<u64>, u64)| {
            let width = DTYPES[dtype].size_bytes();
            let at = |t: u64| {
                let moved = words.iter().enumerate().map(|(i, w)| {
                    let noise = seed.rotate_left((t * 7 + i as u64) as u32) >> 48;
                    // Some stay, some move a little, some by anything.
                    match (seed >> (i % 60)) & 3 {
                        0 => *w,
                        1 => w.wrapping_add(t * noise),
                        2 => (f64::from_bits(*w) * (1.0 + t as f64 * 1e-3)).to_bits(),
                        _ => w.wrapping_mul(t + 1) ^ noise,
                    }
                });
                moved.flat_map(|w| w.to_le_bytes()[8 - width..].to_vec()).collect()
            };
            (DTYPES[dtype], (0..n_steps as u64).map(at).collect())
        };
        tensors.into_iter().map(series).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_bit_of_every_type_comes_back(state in state(6)) {
        let (_dir, store) = scratch();
        let mut w = store.create_run(&manifest("r")).unwrap();
        let at = |t: usize| -> Vec<OwnedTensor> {
            let tensors = state.iter().enumerate().map(|(i, (dtype, bytes))| OwnedTensor {
                name: format!("t{i}"),
                dtype: *dtype,
                shape: vec![bytes[t].len() / dtype.size_bytes()],
                bytes: bytes[t].clone(),
            });
            tensors.collect()
        };
        for t in 0..6 {
            save(&mut w, t as u64, &at(t));
            if t == 3 {
                drop(w);
                w = store.resume_run(&run_id("r")).unwrap();
            }
        }
        let (forward, alone) = (store.run(&run_id("r")).unwrap(), store.run(&run_id("r")).unwrap());
        for t in 0..6 {
            prop_assert_eq!(forward.checkpoint(Step(t as u64)).unwrap().tensors, at(t));
        }
        for tensor in at(5).into_iter().rev() {
            let found = alone.checkpoint_tensor(Step(5), &tensor.name).unwrap();
            prop_assert_eq!(found, Some(tensor));
        }
        prop_assert!(store.verify().unwrap().is_whole());
    }
}

#[test]
fn larger_tensors_of_all_float_types_come_back() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    let at = |t: u64| -> Vec<OwnedTensor> {
        let singles = weights(5000, t).to_f32().unwrap();
        let of = |name: &str, dtype, bytes: Vec<u8>| OwnedTensor {
            name: name.to_owned(),
            dtype,
            shape: vec![5000],
            bytes,
        };
        let doubles = singles.iter().flat_map(|v| (f64::from(*v) / 3.0).to_le_bytes()).collect();
        let halves: Vec<u8> = singles.iter().flat_map(|v| v.to_le_bytes()[2..].to_vec()).collect();
        vec![
            of("f32", Dtype::F32, singles.iter().flat_map(|v| v.to_le_bytes()).collect()),
            of("f64", Dtype::F64, doubles),
            of("bf16", Dtype::Bf16, halves.clone()),
            of("f16", Dtype::F16, halves),
        ]
    };
    let infos: Vec<CheckpointInfo> = (0..5).map(|t| save(&mut w, t, &at(t))).collect();
    // Differences are of use: later checkpoints take less than the first.
    assert!(infos[4].stored_bytes * 10 < infos[0].stored_bytes * 7, "{infos:?}");
    let r = store.run(&run_id("r")).unwrap();
    for t in (0..5).rev() {
        assert_eq!(r.checkpoint(Step(t)).unwrap().tensors, at(t));
    }
    assert_eq!(r.checkpoint_tensor(Step(3), "bf16").unwrap().as_ref(), at(3).get(2));
    assert_eq!(r.checkpoint_tensor(Step(3), "nothing").unwrap(), None);
    assert!(r.checkpoint_tensor(Step(7), "f32").is_err());
}

#[test]
fn chains_end() {
    for (n, steps, longest) in [(100, 150, 64), (1 << 18, 35, 16)] {
        let (_dir, store) = scratch();
        let mut w = store.create_run(&manifest("r")).unwrap();
        (0..steps).for_each(|t| drop(save(&mut w, t, &[weights(n, t)])));
        let links = (0..steps).map(|t| n_links(&store, &chunk_of(&store, "r", t)));
        assert_eq!(links.max(), Some(longest), "{n} numbers");
        let last = Step(steps - 1);
        let found = store.run(&run_id("r")).unwrap().checkpoint_tensor(last, "w").unwrap();
        assert_eq!(found, Some(weights(n, last.0)));
    }
}

#[test]
fn a_resumed_run_and_a_fork_go_on_from_what_is_there() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    (0..4).for_each(|t| drop(save(&mut w, t, &[weights(5000, t)])));
    drop(w);
    let mut w = store.resume_run(&run_id("r")).unwrap();
    save(&mut w, 4, &[weights(5000, 4)]);
    assert_eq!(n_links(&store, &chunk_of(&store, "r", 4)), 4);
    w.truncate_after(Step(1)).unwrap();
    save(&mut w, 9, &[weights(5000, 9)]);
    assert_eq!(n_links(&store, &chunk_of(&store, "r", 9)), 2);
    let mut fork = manifest("f");
    fork.fork = Some(ForkPoint {
        parent: run_id("r"),
        step: Step(5),
        set: Vec::new(),
        state_hash: String::new(),
    });
    let mut w = store.create_run(&fork).unwrap();
    save(&mut w, 6, &[weights(5000, 6)]);
    assert_eq!(base_of(&store, &chunk_of(&store, "f", 6)), Some(chunk_of(&store, "r", 1)));
    assert!(store.verify().unwrap().is_whole());
}

#[test]
fn going_back_and_forth_makes_no_circle() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    // The same states again and again, backwards too: objects are written once.
    for (i, t) in [0, 1, 2, 1, 0, 2, 0, 1, 3, 2, 1, 0].into_iter().enumerate() {
        save(&mut w, i as u64, &[weights(500, t)]);
    }
    assert!(store.verify().unwrap().is_whole());
    // A damaged object is replaced by one that stands alone, though its state comes after those stored against it.
    let chunk = chunk_of(&store, "r", 0);
    flip(&object(&store, &chunk), 20);
    let mut w = store.create_run(&manifest("again")).unwrap();
    for (i, t) in [2, 1, 0].into_iter().enumerate() {
        save(&mut w, i as u64, &[weights(500, t)]);
    }
    let whole = store.verify().unwrap();
    assert!(whole.is_whole(), "{:?}", whole.problems);
}

#[test]
fn checkpoints_are_written_beside_what_goes_on() {
    let (_dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    for t in 0..100 {
        w.append(Step(t), ontogeny_core::Clocks::default(), &[("loss", "nats", t as f64)]).unwrap();
        let extra = serde_json::json!({ "cursor": t });
        w.checkpoint_later(Step(t), vec![weights(100_000, t)], extra).unwrap();
        let now = ontogeny_core::RunManifest { step: Step(t), ..manifest("r") };
        w.set_manifest_later(&now).unwrap();
        assert_eq!(w.manifest().step, Step(t));
        if t == 50 {
            w.sync().unwrap();
            let r = store.run(&run_id("r")).unwrap();
            assert_eq!((r.manifest().step, r.checkpoints().unwrap().len()), (Step(50), 51));
        }
        if t == 60 {
            w.truncate_after(Step(60)).unwrap();
        }
    }
    // Dropping it waits.
    drop(w);
    let r = store.run(&run_id("r")).unwrap();
    assert_eq!((r.manifest().step, r.checkpoints().unwrap().len()), (Step(99), 100));
    for t in [0, 50, 98, 99] {
        let c = r.checkpoint(Step(t)).unwrap();
        assert_eq!((c.tensors, c.extra["cursor"].as_u64()), (vec![weights(100_000, t)], Some(t)));
    }
    assert!(store.verify().unwrap().is_whole());
}

/// A store with a run of three checkpoints, the last stored against the one before it, and so on.
fn chain() -> (tempfile::TempDir, Store, [String; 3]) {
    let (dir, store) = scratch();
    let mut w = store.create_run(&manifest("r")).unwrap();
    (0..3).for_each(|t| drop(save(&mut w, t, &[weights(50, t)])));
    let chunks = [0, 1, 2].map(|t| chunk_of(&store, "r", t));
    (dir, store, chunks)
}

#[test]
fn a_flip_of_any_byte_is_found_and_named() {
    let (_dir, store, chunks) = chain();
    for (t, chunk) in chunks.iter().enumerate() {
        let path = object(&store, chunk);
        for at in 0..fs::metadata(&path).unwrap().len() as usize {
            flip(&path, at);
            let r = store.run(&run_id("r")).unwrap();
            for later in t as u64..3 {
                let text = message(r.checkpoint(Step(later)), &store);
                assert!(
                    text.starts_with("read run r: ") && text.ends_with(chunk.as_str()),
                    "{text}"
                );
            }
            for earlier in 0..t as u64 {
                assert!(r.checkpoint(Step(earlier)).is_ok());
            }
            flip(&path, at);
        }
    }
    assert!(store.verify().unwrap().is_whole());
}

/// The messages of `verify`, with the chunks by their steps.
fn problems(store: &Store, chunks: &[String; 3]) -> String {
    let problems = store.verify().unwrap().problems.into_iter();
    let mut text = problems.map(|e| message(Err::<(), _>(e), store)).collect::<Vec<_>>().join("\n");
    for (t, chunk) in chunks.iter().enumerate() {
        text = text.replace(chunk.as_str(), &format!("<chunk {t}>"));
        text = text.replace(&format!("/{}/", &chunk[..2]), "/<..>/");
    }
    text
}

#[test]
fn a_missing_base_is_named_with_what_needs_it() {
    let (_dir, store, chunks) = chain();
    fs::remove_file(object(&store, &chunks[1])).unwrap();
    insta::assert_snapshot!(problems(&store, &chunks), @"
    read run r: chunk <chunk 1> is missing, copy it from another store that has it: <store>/objects/<..>/<chunk 1>
    read run r: chunk <chunk 1> is missing, copy it from another store that has it (chunk <chunk 2> is stored as a difference against it): <store>/objects/<..>/<chunk 1>
    ");
}

/// Writes another base into an object, with a checksum that fits.
fn forge(path: &Path, base: &str) {
    let mut bytes = fs::read(path).unwrap();
    for (i, byte) in bytes[18..50].iter_mut().enumerate() {
        *byte = u8::from_str_radix(&base[2 * i..2 * i + 2], 16).unwrap();
    }
    // The raw length, and all that follows the checksum.
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes[5..13]), &bytes[17..]);
    bytes[13..17].copy_from_slice(&checksum.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_forged_circle_is_found() {
    let (_dir, store, chunks) = chain();
    forge(&object(&store, &chunks[1]), &chunks[2]);
    insta::assert_snapshot!(problems(&store, &chunks), @"
    read run r: its chain of differences has no end; restore the objects from a copy: <store>/objects/<..>/<chunk 1>
    read run r: its chain of differences has no end; restore the objects from a copy: <store>/objects/<..>/<chunk 2>
    ");
    forge(&object(&store, &chunks[1]), &chunks[1]);
    assert_eq!(store.verify().unwrap().problems.len(), 2);
    let r = store.run(&run_id("r")).unwrap();
    assert!(r.checkpoint(Step(0)).is_ok() && r.checkpoint(Step(1)).is_err());
}

#[test]
fn a_store_of_the_first_version_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    let store = Store::open(&path).unwrap();
    let r = store.run(&run_id("demo-s0")).unwrap();
    for step in r.checkpoints().unwrap() {
        let loss = (-(step.0 as f64) / 200.0).exp() as f32;
        let found = r.checkpoint(step).unwrap().tensors[0].to_f32().unwrap();
        assert_eq!(found.map_bits(), [loss, 0.5, f32::NAN, 0.0].to_vec().map_bits());
    }
    let whole = store.verify().unwrap();
    assert!(whole.is_whole(), "{:?}", whole.problems);
    assert_eq!((whole.n_runs, whole.n_chunks), (1, 11));
}

/// Chunks as the first coder of residuals wrote them.
#[test]
fn residuals_of_an_earlier_coder_are_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1-codec-3");
    let store = Store::open(&path).unwrap();
    let chunk = chunk_of(&store, "r", 5);
    assert_eq!((fs::read(object(&store, &chunk)).unwrap()[4], n_links(&store, &chunk)), (3, 5));
    let r = store.run(&run_id("r")).unwrap();
    for step in 0..6 {
        let tensors = r.checkpoint(Step(step)).unwrap().tensors;
        let names: Vec<(&str, Dtype)> = tensors.iter().map(|t| (&*t.name, t.dtype)).collect();
        let [f32, f16, bf16] = [Dtype::F32, Dtype::F16, Dtype::Bf16];
        let kinds = [("w", f32), ("h", f16), ("b", bf16), ("d", Dtype::F64), ("i", Dtype::I64)];
        assert_eq!(names, kinds);
        let w = tensors[0].to_f32().unwrap();
        assert_eq!(w[7..11].to_vec().map_bits()[..2], [0x7fc0_0000, 0x7f80_0000]);
        assert_eq!(w[9..11].to_vec().map_bits(), [0x8000_0000, 714]);
        let counts = tensors[4].bytes.as_chunks::<8>().0.iter().map(|&b| i64::from_le_bytes(b));
        let expected = (0..50).map(|i| i * 1000 + 7 * step.cast_signed());
        assert!(counts.eq(expected));
    }
    // Every chunk has the hash that is its name.
    let whole = store.verify().unwrap();
    assert!(whole.is_whole(), "{:?}", whole.problems);
    assert_eq!((whole.n_runs, whole.n_chunks), (1, 6));
}

trait Bits {
    fn map_bits(&self) -> Vec<u32>;
}

impl Bits for Vec<f32> {
    fn map_bits(&self) -> Vec<u32> {
        self.iter().map(|v| v.to_bits()).collect()
    }
}
