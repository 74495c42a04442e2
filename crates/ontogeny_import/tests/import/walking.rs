//! Folders: what is one unit, what is left out, what is refused.

use crate::support::{CSV, LM_EVAL_NEW, LM_EVAL_OLD, POINTS, RUNS, gzip, points, scalar, tfevents};
use ontogeny_import::{Collected, Found, ImportError, Options, find, import};
use serde_json::json;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join("top").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

fn found(dir: &Path) -> Result<Found, ImportError> {
    find(&[dir.join("top")], &Options::default())
}

fn collect(found: &Found, unit: usize) -> Collected {
    let mut collected = Collected::default();
    import(&found.units[unit], &Options::default(), &mut collected).unwrap();
    collected
}

#[test]
fn files_that_belong_together_are_one_unit() {
    let dir = folder(&[
        ("README.md", b"# step 1\n".to_vec()),
        ("a/events.out.tfevents.2.h", scalar(0.0, 20, "x", 2.0)),
        ("a/events.out.tfevents.1.h", tfevents(2)),
        ("a/hparams.json", b"{\"lr\": 0.5}".to_vec()),
        ("b/events.out.tfevents.1.h", tfevents(2)),
        ("evals/s1/r.json", LM_EVAL_OLD.into()),
        ("evals/s2/r.json", LM_EVAL_NEW.replace("step1000", "step8").into()),
        ("tidy/points.csv.gz", gzip(POINTS.as_bytes())),
        ("tidy/runs.csv", RUNS.into()),
        ("wide.csv", CSV.into()),
        (".hidden/wide.csv", CSV.into()),
    ]);
    let found = found(dir.path()).unwrap();
    let names: Vec<(&str, &str, usize)> =
        found.units.iter().map(|u| (u.name.as_str(), u.format.name(), u.files.len())).collect();
    assert_eq!(
        names,
        [
            ("top", "lm-eval", 2),
            ("top/a", "tfevents", 2),
            ("top/b", "tfevents", 1),
            ("top/tidy", "tidy", 2),
            ("top/wide", "csv", 1),
        ]
    );
    assert_eq!(found.unrecognised.len(), 2);
    // Steps of one model in order, whatever the order of the files.
    assert_eq!(points(&collect(&found, 0), 0, "arc/acc"), [(8, 0.5), (512, 0.25)]);
    let run = collect(&found, 1);
    assert_eq!(json!(run.runs[0].meta.config), json!({"lr": 0.5}));
    assert_eq!(points(&run, 0, "x"), [(20, 2.0)]);
    let tidy = collect(&found, 3);
    assert_eq!(
        (tidy.runs[0].meta.name.as_str(), tidy.runs[1].meta.name.as_str()),
        ("model a", "model/b")
    );
    let expected = json!({"lr": 0.001, "deduped": true, "hparams": {"beta": 0.9}});
    assert_eq!(json!(tidy.runs[0].meta.config), expected);
    assert_eq!(json!(tidy.runs[0].meta.outcomes), json!({"final_acc": 0.5}));
}

#[test]
fn one_file_of_a_folder_is_the_run_of_that_folder() {
    let dir = folder(&[("a/events.out.tfevents.1.h", tfevents(2))]);
    let path = dir.path().join("top/a/events.out.tfevents.1.h");
    let found = find(&[path], &Options::default()).unwrap();
    assert_eq!(found.units[0].name, "a");
}

#[test]
fn points_that_are_named_alone_find_their_runs() {
    let dir = folder(&[("points.csv", POINTS.into()), ("runs.csv", RUNS.into())]);
    let found = find(&[dir.path().join("top/points.csv")], &Options::default()).unwrap();
    assert_eq!(collect(&found, 0).runs[1].meta.name, "model/b");
}

#[cfg(unix)]
#[test]
fn law_10_links_out_of_the_folder_are_refused() {
    let dir = folder(&[("a/wide.csv", CSV.into())]);
    fs::write(dir.path().join("secret.csv"), CSV).unwrap();
    let inside = dir.path().join("top/link.csv");
    std::os::unix::fs::symlink(dir.path().join("top/a/wide.csv"), &inside).unwrap();
    std::os::unix::fs::symlink(dir.path().join("top"), dir.path().join("top/a/loop")).unwrap();
    assert_eq!(found(dir.path()).unwrap().units.len(), 2);
    std::os::unix::fs::symlink("../secret.csv", dir.path().join("top/out.csv")).unwrap();
    let refused = found(dir.path()).unwrap_err();
    assert!(matches!(refused, ImportError::LinkOutside { .. }), "{refused}");
}

#[test]
fn nothing_to_import_is_said() {
    let dir = folder(&[("notes.txt", b"hello".to_vec())]);
    assert!(matches!(found(dir.path()), Err(ImportError::NothingThere { .. })));
    let missing = find(&[dir.path().join("nowhere")], &Options::default());
    assert!(matches!(missing, Err(ImportError::Missing { .. })));
    let named = find(&[dir.path().join("top/notes.txt")], &Options::default());
    assert!(matches!(named, Err(ImportError::Unrecognised { .. })));
}
