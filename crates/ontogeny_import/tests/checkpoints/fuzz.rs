//! No bytes make a reader of checkpoints panic, hang or ask for memory it does not need.

use crate::mutation::{mutate, random_from, rounds};
use crate::support::{dict, fixture, floats, pickle, read, safetensors, tensor, torch};
use ontogeny_import::Input;
use ontogeny_import::checkpoints::{parse_index, read_checkpoint_file};
use proptest::prelude::*;

const INDEX: &str = r#"{"metadata":{"total_size":8},"weight_map":{"a":"m-1.bin","b":"m-2.bin"}}"#;

/// A valid file of every kind.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = vec![
        ("index", INDEX.into()),
        (
            "made.pt",
            torch(
                &pickle(&dict(&[("w", tensor("FloatStorage", "0", 4, 1, &[1, 2], &[1, 2]))])),
                &[&floats(&[1.0, 2.0, 3.0, 4.0])],
            ),
        ),
        (
            "made.safetensors",
            safetensors(
                r#"{"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}"#,
                &[0; 6],
            ),
        ),
    ];
    for name in [
        "training.pt",
        "views.pt",
        "rng_state.pth",
        "small.safetensors",
        "arrays.npz",
        "one.npy",
        "module.pt",
    ] {
        seeds.push((name, std::fs::read(fixture(name)).unwrap()));
    }
    seeds
}

fn read_all(name: &str, bytes: &[u8]) {
    let input = Input::from_bytes(name, bytes.to_vec());
    if name == "index" {
        let _ = parse_index(&input, bytes);
        return;
    }
    if let Ok(checkpoint) = read_checkpoint_file(input) {
        for t in &checkpoint.tensors {
            let n = t.shape.iter().product::<usize>() * t.dtype.size_bytes();
            assert_eq!(n, t.bytes.len(), "{}", t.name);
        }
    }
}

/// The stored entries of an intact archive.
fn entries(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let number = |at: usize, n: usize| {
        archive[at..at + n].iter().rev().fold(0, |v, &b| v << 8 | usize::from(b))
    };
    let end = archive.len() - 22;
    let (mut at, n) = (number(end + 16, 4), number(end + 10, 2));
    (0..n)
        .map(|_| {
            let (len, name) = (number(at + 24, 4), number(at + 28, 2));
            let (extra, comment, local) =
                (number(at + 30, 2), number(at + 32, 2), number(at + 42, 4));
            let text = String::from_utf8(archive[at + 46..at + 46 + name].to_vec()).unwrap();
            let from = local + 30 + number(local + 26, 2) + number(local + 28, 2);
            at += 46 + name + extra + comment;
            (text, archive[from..from + len].to_vec())
        })
        .collect()
}

/// Changes what is in an archive and packs it again, so that damage reaches the pickle behind checksums and directory.
fn mutated_within(archive: &[u8], mut random: impl FnMut() -> u64) -> Vec<u8> {
    let mut all = entries(archive);
    // The pickle mostly, and sometimes anything.
    let at = if random().is_multiple_of(4) {
        (random() % all.len() as u64) as usize
    } else {
        all.iter().position(|(name, _)| name.ends_with("data.pkl")).unwrap()
    };
    mutate(&mut all[at].1, random);
    let all: Vec<(&str, &[u8])> = all.iter().map(|(n, b)| (n.as_str(), &b[..])).collect();
    crate::support::zip(&all)
}

fn one_round(pick: usize, mut random: impl FnMut() -> u64, seeds: &[(&str, Vec<u8>)]) {
    let (name, bytes) = &seeds[pick % seeds.len()];
    if name.contains(".pt") && !random().is_multiple_of(4) {
        read_all(name, &mutated_within(bytes, random));
        return;
    }
    let mut bytes = bytes.clone();
    mutate(&mut bytes, random);
    read_all(name, &bytes);
}

#[test]
fn valid_files_of_every_kind_are_read() {
    for (name, bytes) in seeds().into_iter().filter(|(n, _)| !["index", "module.pt"].contains(n)) {
        read(name, &bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        if name.contains(".pt") {
            // Packing an archive again changes nothing.
            let all = entries(&bytes);
            let all: Vec<(&str, &[u8])> = all.iter().map(|(n, b)| (n.as_str(), &b[..])).collect();
            let again = read(name, &crate::support::zip(&all)).unwrap();
            assert_eq!(again.tensors, read(name, &bytes).unwrap().tensors);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn law_10_mutated_checkpoints_make_no_reader_panic(pick in any::<usize>(), seed in any::<u64>()) {
        one_round(pick, random_from(seed), &seeds());
    }

    #[test]
    fn law_10_random_pickles_make_no_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all("x", &bytes);
        read_all("x.pt", &torch(&bytes, &[]));
    }
}

/// `ONTOGENY_FUZZ_SECS=600 cargo test -p ontogeny_import --release --test checkpoints -- --ignored slow_fuzz --nocapture`
#[test]
#[ignore = "slow: ten minutes"]
fn slow_fuzz_every_reader_of_checkpoints() {
    let seeds = seeds();
    let (n, secs) = rounds(|pick, random| one_round(pick, random, &seeds));
    println!("{n} mutated checkpoints in {secs} s, no finding");
}
