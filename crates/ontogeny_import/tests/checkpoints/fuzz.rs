//! No bytes make a reader of checkpoints panic, hang or ask for memory it does not need.

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

/// Changes bytes as damage and malice do.
fn mutate(bytes: &mut Vec<u8>, mut random: impl FnMut() -> u64) {
    for _ in 0..=random() % 4 {
        if bytes.is_empty() {
            return;
        }
        let at = (random() % bytes.len() as u64) as usize;
        match random() % 7 {
            0 => bytes[at] ^= 1 << (random() % 8),
            1 => bytes[at] = random() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..(at + 1 + (random() % 16) as usize).min(bytes.len()))),
            4 => bytes.insert(at, random() as u8),
            5 => {
                let n = (random() % 64) as usize;
                let piece: Vec<u8> = bytes[at..(at + n).min(bytes.len())].to_vec();
                let to = (random() % bytes.len() as u64) as usize;
                bytes.splice(to..to, piece);
            }
            _ => {
                let value = [0, u64::MAX, 1 << 31, 1 << 63, 0x7fff_ffff][(random() % 5) as usize];
                let n = bytes.len().min(at + 8) - at;
                bytes[at..at + n].copy_from_slice(&value.to_le_bytes()[..n]);
            }
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

/// Addressed random numbers (splitmix64): every round can be repeated from its number.
fn random_from(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
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
#[ignore = "slow"]
fn slow_fuzz_every_reader_of_checkpoints() {
    #[expect(clippy::disallowed_methods, reason = "a test may be told how long to run")]
    let secs = std::env::var("ONTOGENY_FUZZ_SECS").ok().and_then(|s| s.parse().ok()).unwrap_or(600);
    let began = std::time::Instant::now();
    let (seeds, mut n) = (seeds(), 0);
    while began.elapsed().as_secs() < secs {
        let mut random = random_from(n);
        let pick = random() as usize;
        let round = std::time::Instant::now();
        one_round(pick, random, &seeds);
        assert!(round.elapsed().as_secs() < 10, "round {n} took {:?}", round.elapsed());
        n += 1;
    }
    println!("{n} mutated checkpoints in {secs} s, no finding");
}
