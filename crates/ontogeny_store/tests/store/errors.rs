//! Every way in which a store can be wrong has its own message, and stays where it is.

use crate::support::{append, flip, manifest, message, run_id, scratch, steps};
use ontogeny_core::{Clocks, RunManifest, Step};
use ontogeny_store::{OwnedTensor, Store, StoreError};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A store with a good run and a run `bad` with a segment, a log, events and checkpoints at 10 and 20.
fn two_runs() -> (tempfile::TempDir, Store) {
    let (dir, store) = scratch();
    for name in ["good", "bad"] {
        let mut w = store.create_run(&manifest(name)).unwrap();
        append(&mut w, 0..50);
        w.seal().unwrap();
        append(&mut w, 50..60);
        w.write_events(&[]).unwrap();
        for t in [10, 20] {
            let tensor = OwnedTensor::from_f32("w", &[2], &[t as f32, name.len() as f32]);
            w.checkpoint(Step(t), &[tensor.view()], serde_json::Value::Null).unwrap();
        }
    }
    assert!(store.verify().unwrap().is_whole());
    (dir, store)
}

/// Law 8: disturbs the run `bad`; the other stays whole, and the message says what is wrong.
#[track_caller]
fn check_damage(disturb: impl Fn(&Path)) -> String {
    let (_dir, store) = two_runs();
    disturb(&store.path().join("runs/bad"));
    assert_eq!(steps(&store, "good"), (0..60).collect::<Vec<_>>());
    store.run(&run_id("good")).unwrap().checkpoint(Step(10)).unwrap();
    let listing = store.runs().unwrap();
    assert!(listing.runs.iter().any(|m| m.run.as_str() == "good"));
    let problems = store.verify().unwrap().problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(matches!(&problems[0], StoreError::Damaged { run, .. } if run.as_str() == "bad"));
    let text = message(Err::<(), _>(problems.into_iter().next().unwrap()), &store);
    // Chunk names and parser positions are content; only the first letters of hashes are shown.
    let hex = |c: char| c.is_ascii_hexdigit();
    text.split_inclusive(|c| !hex(c))
        .map(|w| {
            if w.len() >= 64 {
                format!("<hash>{}", w.trim_start_matches(hex))
            } else {
                w.to_owned()
            }
        })
        .collect()
}

#[test]
fn law_8_a_damaged_manifest_hurts_nobody() {
    insta::assert_snapshot!(check_damage(|run| fs::write(run.join("manifest.json"), "{\n  \"format_version\": oops").unwrap()), @"read run bad: bad JSON at line 2, column 21 (expected value at line 2 column 21); restore the file from a copy: <store>/runs/bad/manifest.json");
    insta::assert_snapshot!(check_damage(|run| {
        let other = fs::read(run.with_file_name("good").join("manifest.json")).unwrap();
        fs::write(run.join("manifest.json"), other).unwrap();
    }), @"read run bad: it says that it belongs to run good: <store>/runs/bad/manifest.json");
}

#[test]
fn law_8_a_flipped_byte_hurts_nobody() {
    insta::assert_snapshot!(check_damage(|run| flip(&run.join("metrics/seg-000001.parquet"), 100)), @"read run bad: its checksum does not match its content, bytes were changed; restore it from a copy: <store>/runs/bad/metrics/seg-000001.parquet");
    insta::assert_snapshot!(check_damage(|run| flip(&run.join("events.parquet"), 10)), @"read run bad: its checksum does not match its content, bytes were changed; restore it from a copy: <store>/runs/bad/events.parquet");
    insta::assert_snapshot!(check_damage(|run| flip(&run.join("metrics/live.log"), 150)), @"read run bad: the log is damaged at byte 95, before its acknowledged end at 707; restore it from a copy: <store>/runs/bad/metrics/live.log");
    insta::assert_snapshot!(check_damage(|run| {
        let path = run.join("checkpoints/20.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("\"step\":20", "\"step\":21")).unwrap();
    }), @"read run bad: its checksum does not match its content, bytes were changed; restore it from a copy: <store>/runs/bad/checkpoints/20.json");
    insta::assert_snapshot!(check_damage(|run| {
        let object = object_of(run);
        let len = fs::metadata(&object).unwrap().len();
        flip(&object, len as usize - 1);
    }), @"read run bad: its checksum does not match its content, bytes were changed; restore it from a copy: <store>/objects/eb/<hash>");
}

#[test]
fn law_8_a_missing_file_hurts_nobody() {
    insta::assert_snapshot!(check_damage(|run| fs::remove_file(run.join("metrics/seg-000001.parquet")).unwrap()), @"read run bad: segment 1 is missing: <store>/runs/bad/metrics/seg-000001.parquet");
    insta::assert_snapshot!(check_damage(|run| fs::remove_file(run.join("metrics/seg-000001.b3")).unwrap()), @"read run bad: the checksum file beside it is missing: <store>/runs/bad/metrics/seg-000001.parquet");
    insta::assert_snapshot!(check_damage(|run| fs::remove_file(object_of(run)).unwrap()), @"read run bad: chunk <hash> is missing, copy it from another store that has it: <store>/objects/eb/<hash>");
}

/// The object that holds the checkpoint at step 20.
fn object_of(run: &Path) -> PathBuf {
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(run.join("checkpoints/20.json")).unwrap()).unwrap();
    let chunk = index["tensors"][0]["pieces"][0]["chunk"].as_str().unwrap();
    run.join("../../objects").join(&chunk[..2]).join(chunk).canonicalize().unwrap()
}

#[test]
fn a_damaged_run_is_not_written_to() {
    let (_dir, store) = two_runs();
    let log = store.path().join("runs/bad/metrics/live.log");
    flip(&log, 150);
    let before = fs::read(&log).unwrap();
    assert!(matches!(store.resume_run(&run_id("bad")), Err(StoreError::Damaged { .. })));
    assert_eq!(fs::read(&log).unwrap(), before);
}

#[test]
fn folders_that_are_not_ours_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(&dir.path().join("ours")).unwrap();
    let show = |r: Result<Store, StoreError>| {
        message(r, &store).replace(&dir.path().display().to_string(), "<dir>")
    };
    insta::assert_snapshot!(show(Store::open(&dir.path().join("nothing"))), @"open the store: there is none yet, start a run to make one: <dir>/nothing");
    fs::create_dir(dir.path().join("other")).unwrap();
    fs::write(dir.path().join("other/thesis.tex"), "").unwrap();
    insta::assert_snapshot!(show(Store::open_or_create(&dir.path().join("other"))), @"open the store: the folder holds other files and no `ontogeny.json`, choose another one: <dir>/other");
    fs::write(store.path().join("ontogeny.json"), r#"{"format":"ontogeny store","version":2}"#)
        .unwrap();
    insta::assert_snapshot!(show(Store::open_or_create(store.path())), @"open a file of format version 2: this Ontogeny reads up to 1, update it: <store>/ontogeny.json");
    fs::write(store.path().join("ontogeny.json"), "{").unwrap();
    insta::assert_snapshot!(show(Store::open_or_create(store.path())), @"read: bad JSON at line 1, column 1 (EOF while parsing an object at line 1 column 1); restore the file from a copy: <store>/ontogeny.json");
}

#[test]
fn a_run_of_a_later_version_is_refused_and_listed() {
    let (_dir, store) = two_runs();
    let newer = RunManifest { format_version: 2, ..manifest("bad") };
    let mut json = serde_json::to_value(newer).unwrap();
    json["status"] = "unheard of".into();
    fs::write(store.path().join("runs/bad/manifest.json"), json.to_string()).unwrap();
    insta::assert_snapshot!(message(store.run(&run_id("bad")), &store), @"open a file of format version 2: this Ontogeny reads up to 1, update it: <store>/runs/bad/manifest.json");
    assert_eq!(store.runs().unwrap().damaged.len(), 1);
}

#[test]
fn runs_that_exist_are_unknown_or_locked_say_so() {
    let (_dir, store) = two_runs();
    insta::assert_snapshot!(message(store.create_run(&manifest("good")), &store), @"create run good: it exists already, resume it or choose another name: <store>/runs/good");
    insta::assert_snapshot!(message(store.run(&run_id("goood")), &store), @"find run goood: there is none of that name, did you mean `good`?: <store>/runs");
    insta::assert_snapshot!(message(store.resume_run(&run_id("xyz")), &store), @"find run xyz: there is none of that name: <store>/runs");
    let writer = store.resume_run(&run_id("good")).unwrap();
    insta::assert_snapshot!(message(store.resume_run(&run_id("good")), &store), @"write run good: another process is writing it; wait for it or stop it (a dead one frees the lock): <store>/runs/good/lock");
    drop(writer);
    store.resume_run(&run_id("good")).unwrap();
}

#[test]
fn a_checkpoint_that_does_not_exist_names_its_neighbours() {
    let (_dir, store) = two_runs();
    let at = |t| message(store.run(&run_id("good")).unwrap().checkpoint(Step(t)), &store);
    insta::assert_snapshot!(at(15), @"find a checkpoint of run good at step 15: there is none, the nearest are at 10 and 20");
    insta::assert_snapshot!(at(25), @"find a checkpoint of run good at step 25: there is none, the last is at 20");
    insta::assert_snapshot!(at(5), @"find a checkpoint of run good at step 5: there is none, the first is at 10");
    store.resume_run(&run_id("good")).unwrap().truncate_after(Step(0)).unwrap();
    insta::assert_snapshot!(at(5), @"find a checkpoint of run good at step 5: the run has none");
}

#[test]
fn a_series_keeps_its_unit_across_seals_and_resumes() {
    let (_dir, store) = two_runs();
    let mut w = store.resume_run(&run_id("good")).unwrap();
    let wrong = |w: &mut ontogeny_store::RunWriter| {
        message(
            w.append(Step(99), Clocks::default(), &[("x", "1", 0.0), ("loss", "bits", 1.0)]),
            &store,
        )
    };
    insta::assert_snapshot!(wrong(&mut w), @"append to run good: series loss is in `nats`, not in `bits`; give it another name");
    w.seal().unwrap();
    assert!(!wrong(&mut w).is_empty());
    w.sync().unwrap();
    assert_eq!(steps(&store, "good").len(), 60);
    assert_eq!(store.run(&run_id("good")).unwrap().series("x").unwrap(), None);
}

#[test]
fn a_manifest_that_could_not_be_read_back_is_refused() {
    let (_dir, store) = two_runs();
    let mut w = store.resume_run(&run_id("good")).unwrap();
    let mut m = manifest("good");
    m.clocks.lr_time = f64::NAN;
    insta::assert_snapshot!(message(w.set_manifest(&m), &store), @"encode a value so that it can be read back, is it finite?: <store>/runs/good/manifest.json");
    assert_eq!(w.manifest(), &manifest("good"));
    store.run(&run_id("good")).unwrap();
}

/// A file system of its own, taken away at the end.
#[cfg(target_os = "linux")]
struct Mount(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl Mount {
    fn call(program: &str, args: &[&str]) -> bool {
        let output = std::process::Command::new(program).args(args).output();
        output.is_ok_and(|o| o.status.success())
    }

    /// `None`, and a line that says so, where this process may not mount.
    fn tmpfs(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().to_str().unwrap();
        if Self::call("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", target]) {
            return Some(Self(dir));
        }
        // Past the capture of the test harness: a skipped test must be seen.
        let _ = writeln!(std::io::stderr(), "SKIPPED: this process may not mount a file system");
        None
    }

    fn remount(&self, how: &str) {
        let target = self.0.path().to_str().unwrap();
        assert!(Self::call("mount", &["-o", &format!("remount,{how}"), target]));
    }
}

#[cfg(target_os = "linux")]
impl Drop for Mount {
    fn drop(&mut self) {
        Self::call("umount", &["-l", self.0.path().to_str().unwrap()]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_says_so_and_keeps_what_was_acknowledged() {
    let Some(mount) = Mount::tmpfs("512k") else { return };
    let store = Store::open_or_create(mount.0.path()).unwrap();
    let mut w = store.create_run(&manifest("r")).unwrap();
    append(&mut w, 0..100);
    w.sync().unwrap();
    let ballast = mount.0.path().join("ballast");
    let _ = fs::write(&ballast, vec![1; 1 << 20]);
    append(&mut w, 100..1000);
    insta::assert_snapshot!(message(w.sync(), &store), @"write: the disk is full; everything acknowledged is safe, free some space and go on: <store>/runs/r/metrics/live.log");
    let state = OwnedTensor::from_f32("w", &[100_000], &vec![0.5; 100_000]);
    for tensors in [vec![], vec![state.view()]] {
        let written = w.checkpoint(Step(1000), &tensors, serde_json::Value::Null);
        assert!(matches!(written, Err(StoreError::Full { .. })));
    }
    // One that is written later fails at the next call that can tell.
    w.checkpoint_later(Step(1001), vec![state.clone()], serde_json::Value::Null).ok();
    assert!(matches!(w.sync(), Err(StoreError::Full { .. })));
    let body = ontogeny_core::LedgerBody::Note { about: "r".to_owned(), text: "x".repeat(5000) };
    let sealed = store.ledger().append(body, &ontogeny_core::FixedClock(0.0));
    assert!(matches!(sealed, Err(StoreError::Full { .. })));
    assert_eq!(steps(&store, "r"), (0..100).collect::<Vec<_>>());
    assert!(store.verify().unwrap().is_whole());
    fs::remove_file(ballast).unwrap();
    w.sync().unwrap();
    w.seal().unwrap();
    assert_eq!(steps(&store, "r"), (0..1000).collect::<Vec<_>>());
    w.checkpoint_later(Step(1002), vec![state.clone()], serde_json::Value::Null).unwrap();
    w.sync().unwrap();
    assert_eq!(store.run(&run_id("r")).unwrap().checkpoint(Step(1002)).unwrap().tensors, [state]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_read_only_folder_is_read_and_not_written() {
    let Some(mount) = Mount::tmpfs("1m") else { return };
    let store = Store::open_or_create(mount.0.path()).unwrap();
    let mut w = store.create_run(&manifest("r")).unwrap();
    append(&mut w, 0..10);
    drop(w);
    mount.remount("ro");
    let store = Store::open_or_create(mount.0.path()).unwrap();
    assert_eq!(steps(&store, "r").len(), 10);
    insta::assert_snapshot!(message(store.create_run(&manifest("s")), &store), @"write: no permission or a read-only file system: <store>/runs");
    insta::assert_snapshot!(message(store.resume_run(&run_id("r")), &store), @"write: no permission or a read-only file system: <store>/runs/r/lock");
    mount.remount("rw");
}
