//! The ledger keeps every entry, from any number of writers.

use crate::support::scratch;
use ontogeny_core::{FixedClock, LedgerBody};
use ontogeny_store::{Store, StoreError};
use std::fs;

fn note(text: &str) -> LedgerBody {
    LedgerBody::Note { about: "t".to_owned(), text: text.to_owned() }
}

fn filled(n: usize) -> (tempfile::TempDir, Store) {
    let (dir, store) = scratch();
    for i in 0..n {
        store.ledger().append(note(&i.to_string()), &FixedClock(i as f64 / 3.0)).unwrap();
    }
    (dir, store)
}

#[test]
fn several_bodies_at_once_are_sealed_in_order_or_not_at_all() {
    let (_dir, store) = filled(2);
    let ledger = store.ledger();
    let sealed = ledger.append_all(["2", "3", "4"].map(note), &FixedClock(1.0)).unwrap();
    assert_eq!(sealed.iter().map(|e| e.seq).collect::<Vec<_>>(), [2, 3, 4]);
    assert!(ledger.append_all([], &FixedClock(1.0)).unwrap().is_empty());
    // A body that JSON could not give back refuses the whole batch.
    assert!(ledger.append_all([note("5"), note("6")], &FixedClock(f64::NAN)).is_err());
    assert_eq!(store.ledger().verify().unwrap(), 5);
    assert_eq!(ledger.append(note("5"), &FixedClock(2.0)).unwrap().seq, 5);
    assert_eq!(store.ledger().verify().unwrap(), 6);
}

#[test]
fn many_writers_keep_one_chain() {
    let (dir, store) = scratch();
    std::thread::scope(|s| {
        for thread in 0..8 {
            let path = dir.path();
            s.spawn(move || {
                // A store of its own, as another process would have.
                let ledger = Store::open(path).unwrap().ledger();
                for i in 0..10 {
                    ledger.append(note(&format!("{thread}/{i}")), &FixedClock(0.0)).unwrap();
                }
            });
        }
    });
    let entries = store.ledger().entries().unwrap();
    assert_eq!((entries.len(), store.ledger().verify().unwrap()), (80, 80));
    for thread in 0..8 {
        let mine: Vec<_> = entries
            .iter()
            .filter_map(|e| match &e.body {
                LedgerBody::Note { text, .. } => text.strip_prefix(&format!("{thread}/")),
                _ => None,
            })
            .collect();
        assert_eq!(mine, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    }
}

#[test]
fn a_torn_line_is_cut_and_the_chain_goes_on() {
    let (_dir, store) = filled(3);
    let path = store.ledger().path();
    let whole = fs::read(&path).unwrap();
    let line = whole.split_inclusive(|&b| b == b'\n').next_back().unwrap().to_vec();
    for n in 0..line.len() {
        fs::write(&path, [&whole[..], &line[..n]].concat()).unwrap();
        let fresh = Store::open(store.path()).unwrap().ledger();
        assert_eq!(fresh.verify().unwrap(), 3);
    }
    store.ledger().append(note("3"), &FixedClock(0.0)).unwrap();
    assert_eq!(Store::open(store.path()).unwrap().ledger().verify().unwrap(), 4);
}

#[test]
fn the_first_entries_are_kept_whatever_became_of_their_head() {
    for head in [None, Some(format!("{{\"n_entries\":0,\"hash\":\"{}\"}}", "0".repeat(64)))] {
        let (_dir, store) = filled(1);
        let path = store.path().join("ledger/head.json");
        match head {
            None => fs::remove_file(&path).unwrap(),
            Some(head) => fs::write(&path, head).unwrap(),
        }
        let other = Store::open(store.path()).unwrap();
        assert_eq!(other.ledger().verify().unwrap(), 1);
        assert_eq!(other.ledger().append(note("1"), &FixedClock(1.0)).unwrap().seq, 1);
        assert_eq!(store.ledger().verify().unwrap(), 2);
    }
}

#[test]
fn an_entry_without_its_head_is_kept() {
    let (_dir, store) = filled(3);
    let head = store.path().join("ledger/head.json");
    let before = fs::read(&head).unwrap();
    store.ledger().append(note("3"), &FixedClock(0.0)).unwrap();
    fs::write(&head, before).unwrap();
    let fresh = Store::open(store.path()).unwrap().ledger();
    assert_eq!(fresh.append(note("4"), &FixedClock(0.0)).unwrap().seq, 4);
    assert_eq!(fresh.verify().unwrap(), 5);
}

/// Disturbs a ledger of five entries; reading it and appending to it must both fail, in old and new handles.
#[track_caller]
fn check_broken(disturb: fn(Vec<String>) -> Vec<String>, expected: &str) {
    let (_dir, store) = filled(5);
    let path = store.ledger().path();
    let lines: Vec<String> =
        fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    let disturbed: String = disturb(lines).into_iter().map(|l| l + "\n").collect();
    fs::write(&path, &disturbed).unwrap();
    for ledger in [store.ledger(), Store::open(store.path()).unwrap().ledger()] {
        for e in
            [ledger.verify().unwrap_err(), ledger.append(note("x"), &FixedClock(0.0)).unwrap_err()]
        {
            let mut text = e.to_string().replace(&store.path().display().to_string(), "<store>");
            if let StoreError::LedgerBroken { source, .. } = &e {
                text = source.to_string();
            }
            assert_eq!(text, expected);
        }
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), disturbed, "a broken ledger is not written to");
}

#[test]
fn an_edited_entry_is_found() {
    check_broken(
        |mut l| {
            l[2] = l[2].replace("\"text\":\"2\"", "\"text\":\"9 \"");
            l
        },
        "ledger entry 2 was changed after it was sealed: its hash does not match its content",
    );
}

#[test]
fn a_removed_entry_is_found() {
    check_broken(
        |mut l| {
            l.remove(1);
            l
        },
        "ledger entry 1 is missing or out of place (found 2)",
    );
}

#[test]
fn a_removed_end_is_found() {
    check_broken(
        |mut l| {
            l.truncate(3);
            l
        },
        "trust the ledger: 5 entries were sealed and 3 are there, the last ones were removed: <store>/ledger/ledger.jsonl",
    );
}

#[test]
fn a_line_that_is_no_entry_is_found() {
    check_broken(
        |mut l| {
            l[3].truncate(20);
            l
        },
        "trust the ledger: line 4 is not an entry: <store>/ledger/ledger.jsonl",
    );
}

#[test]
fn a_claim_that_could_not_be_read_back_is_refused() {
    let (_dir, store) = filled(1);
    let score = ontogeny_core::Score {
        forecast: "f".to_owned(),
        score: None,
        baselines: vec![("persistence".to_owned(), f64::NAN)],
        pit: None,
        refused: None,
    };
    let e = store.ledger().append(LedgerBody::Score(score), &FixedClock(0.0)).unwrap_err();
    assert!(matches!(e, StoreError::Encode { .. }), "{e}");
    assert_eq!(store.ledger().verify().unwrap(), 1);
}
