//! A listing says what the manifests say, whatever the index of runs holds.

use crate::support::{flip_bit, manifest, run_id, scratch};
use ontogeny_core::{RunManifest, Step};
use ontogeny_store::Store;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

fn index(store: &Store) -> PathBuf {
    store.path().join("index/runs.idx")
}

fn steps(store: &Store) -> Vec<(String, u64)> {
    let listing = store.runs().unwrap();
    assert!(listing.damaged.is_empty(), "{:?}", listing.damaged);
    listing.runs.into_iter().map(|m| (m.run.to_string(), m.step.0)).collect()
}

/// A store of so many runs whose manifests were written a minute ago.
fn many(n: u64) -> (tempfile::TempDir, Store) {
    let (dir, store) = scratch();
    for i in 0..n {
        drop(store.create_run(&manifest(&format!("r{i:03}"))).unwrap());
        age(&store, &format!("r{i:03}"));
    }
    (dir, store)
}

fn age(store: &Store, run: &str) {
    let path = store.path().join(format!("runs/{run}/manifest.json"));
    let file = fs::File::options().write(true).open(path).unwrap();
    let now = file.metadata().unwrap().modified().unwrap();
    file.set_modified(now - Duration::from_mins(1)).unwrap();
}

fn change(store: &Store, run: &str, step: u64) {
    let mut w = store.resume_run(&run_id(run)).unwrap();
    w.set_manifest(&RunManifest { step: Step(step), ..manifest(run) }).unwrap();
}

#[test]
fn a_listing_is_that_of_the_manifests() {
    let (_dir, store) = many(80);
    let first = steps(&store);
    assert_eq!(first.len(), 80);
    assert!(index(&store).is_file());
    assert_eq!(steps(&store), first);
    // Replaced by one of the same length, a new one, one that goes, and one that is damaged.
    change(&store, "r007", 7);
    drop(store.create_run(&manifest("new")).unwrap());
    fs::remove_dir_all(store.path().join("runs/r009")).unwrap();
    let listed = steps(&store);
    assert_eq!(listed.len(), 80);
    assert!(listed.contains(&("r007".to_owned(), 7)) && listed[0].0 == "new");
    assert!(!listed.iter().any(|l| l.0 == "r009"));
    flip_bit(&store.path().join("runs/r011/manifest.json"), 100);
    let listing = store.runs().unwrap();
    assert_eq!(listing.runs.len(), 79);
    assert_eq!(listing.damaged[0].0, "r011");
}

#[test]
fn what_was_just_written_is_not_taken_from_the_index() {
    let (_dir, store) = many(80);
    for i in 0..80 {
        change(&store, &format!("r{i:03}"), 1);
    }
    steps(&store);
    // Even where file and time are the same as before, which a clock that is slow may do.
    let path = store.path().join("runs/r000/manifest.json");
    let then = fs::metadata(&path).unwrap().modified().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json.as_object_mut().unwrap().remove("blake3");
    json["role"] = "fat".into();
    let new = json.to_string();
    fs::write(&path, format!("{new:<0$}", text.len())).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), text.len() as u64);
    fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
    assert_eq!(store.runs().unwrap().runs[0].role, "fat");
}

#[test]
fn a_damaged_index_is_as_good_as_none() {
    let (_dir, store) = many(80);
    let listed = steps(&store);
    let whole = fs::read(index(&store)).unwrap();
    for at in [0, 5, 40, 8 * whole.len() / 2, 8 * whole.len() - 1] {
        flip_bit(&index(&store), at);
        let verified = store.verify().unwrap();
        assert_eq!(verified.problems.len(), usize::from(at != 40), "{:?}", verified.problems);
        assert_eq!(steps(&store), listed);
        // It was made anew.
        assert!(store.verify().unwrap().is_whole());
    }
    fs::write(index(&store), &whole[..whole.len() / 2]).unwrap();
    assert_eq!(store.repair(true).unwrap().repairs.len(), 1);
    assert!(!index(&store).exists());
    assert!(store.usage().unwrap().total() > 0);
    assert_eq!(steps(&store), listed);
}

#[test]
fn several_who_list_at_once_do_not_disturb_one_another() {
    let (_dir, store) = many(100);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(steps(&store).len(), 100);
                    let _ = fs::remove_file(index(&store));
                }
            });
        }
    });
    assert!(store.verify().unwrap().is_whole());
}
