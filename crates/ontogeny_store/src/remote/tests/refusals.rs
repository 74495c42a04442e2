//! What cannot be done is refused before anything is touched.

use super::support::{Watched, make, make_run, manifest, note, now, on, push, read};
use crate::remote::{PushOptions, Remote};
use crate::{Store, StoreError};
use object_store::ObjectStoreExt;
use object_store::path::Path as Key;
use ontogeny_core::{FixedClock, LedgerBody, RunId, StudyId, ZoomId};
use std::collections::BTreeMap;

#[test]
fn nothing_is_written_to_a_store_that_is_only_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = make(dir.path());
    let memory = Watched::in_memory();
    push(&store, &on(&memory));
    let there = read(&memory, &dir.path().join("cache"));
    memory.forget();
    let run = RunId::new("a").unwrap();
    let note = LedgerBody::Note { about: String::new(), text: String::new() };
    let study = there.study(&StudyId::new("s").unwrap());
    let options = PushOptions::default();
    let refused: Vec<StoreError> = vec![
        there.create_run(&manifest("new", 0.0)).unwrap_err(),
        there.resume_run(&run).unwrap_err(),
        there.begin_zoom(&run).unwrap_err(),
        there.remove_zoom(&run, &ZoomId::new("closer").unwrap()).unwrap_err(),
        there.ledger().append(note, &FixedClock(0.0)).unwrap_err(),
        study.write_report("").unwrap_err(),
        there.stage().unwrap_err(),
        there.usage().unwrap_err(),
        there.repair(true).unwrap_err(),
        there.collect_garbage(&[], true).unwrap_err(),
        there.push(&on(&memory), options, &|_| ()).unwrap_err(),
    ];
    for e in refused {
        let StoreError::OnlyRead { url, .. } = &e else { panic!("{e}") };
        assert_eq!(url, "mem://bucket/a/b");
    }
    assert!(memory.puts().is_empty());
    assert_eq!(there.url(), Some("mem://bucket/a/b"));
}

#[track_caller]
fn fails_with(store: &Store, memory: &std::sync::Arc<Watched>, expected: &str) {
    let keys = memory.keys();
    let done = store.push(&on(memory), PushOptions::default(), &|_| ());
    let text = match done {
        Err(e) => e.to_string(),
        Ok(pushed) => pushed.problems.iter().map(ToString::to_string).collect::<String>(),
    };
    assert_eq!(text, expected);
    assert_eq!(memory.keys(), keys);
}

#[test]
fn what_is_not_a_continuation_is_not_replaced() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let one = make(dirs[0].path());
    let memory = Watched::in_memory();
    push(&one, &on(&memory));
    let other = Store::open_or_create(dirs[1].path()).unwrap();
    make_run(&other, "b", 3.0);
    fails_with(
        &other,
        &memory,
        "push: the run of this name there is not the one that is here: mem://bucket/a/b/runs/b",
    );
    std::fs::remove_dir_all(other.path().join("runs")).unwrap();
    note(&other, "of another chain");
    fails_with(
        &other,
        &memory,
        "push: the ledger there is not the one that is here: mem://bucket/a/b/ledger",
    );
}

#[test]
fn other_files_and_later_versions_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = make(dir.path());
    let put = |memory: &Watched, key: &str, text: &'static str| {
        now(memory.inner.put(&Key::from(key), text.into())).unwrap();
    };
    let memory = Watched::in_memory();
    put(&memory, "a/b/holiday.jpg", "");
    fails_with(
        &store,
        &memory,
        "open the store: the folder holds other files and no `ontogeny.json`, choose another one: mem://bucket/a/b",
    );
    let e = Store::open_remote(&on(&memory), &dir.path().join("cache")).unwrap_err();
    assert!(matches!(e, StoreError::NotAStore { .. }), "{e}");
    let memory = Watched::in_memory();
    put(&memory, "a/b/ontogeny.json", r#"{"format": "ontogeny store", "version": 9}"#);
    fails_with(
        &store,
        &memory,
        "open a file of format version 9: this Ontogeny reads up to 1, update it: mem://bucket/a/b/ontogeny.json",
    );
    let e = Store::open_remote(&on(&Watched::in_memory()), &dir.path().join("none")).unwrap_err();
    assert_eq!(
        e.to_string(),
        "open the store: there is none yet, start a run to make one: mem://bucket/a/b"
    );
}

#[test]
fn an_object_store_that_does_not_answer_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = make(dir.path());
    let memory = Watched::in_memory();
    memory.fail_at(0);
    fails_with(&store, &memory, "read: mem://bucket/a/b/ontogeny.json");
    let e = Store::open_remote(&on(&memory), &dir.path().join("cache")).unwrap_err();
    assert_eq!(e.to_string(), "read: mem://bucket/a/b/ontogeny.json");
    let source = std::error::Error::source(&e).unwrap().to_string();
    assert_eq!(source, "Generic watched error: made to fail by a test");
}

#[test]
fn a_url_that_is_none_is_refused() {
    let none = BTreeMap::new();
    for url in ["s3:bucket", "ftp://host/folder", "https://example.org/folder", "s3://", "nothing"]
    {
        let text = Remote::connect(url, &none).unwrap_err().to_string();
        assert!(text.starts_with("understand the URL of an object store: "), "{text}");
        assert!(text.ends_with(&format!(": {url}")), "{text}");
    }
}
