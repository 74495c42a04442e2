//! The house rules that a machine can check: arrows between crates, who names what, and the size of rooms.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Crate name to its allowed arrows inside the workspace. A new arrow is a decision.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("ontogeny_core", &[][..]),
        ("ontogeny_engine", &["ontogeny_core"][..]),
        ("ontogeny_store", &["ontogeny_core"][..]),
        ("ontogeny_analysis", &["ontogeny_core"][..]),
        ("ontogeny_probes", &["ontogeny_core", "ontogeny_engine"][..]),
        ("ontogeny_train", &["ontogeny_core", "ontogeny_engine"][..]),
        ("ontogeny_report", &["ontogeny_core"][..]),
        ("ontogeny_import", &["ontogeny_core"][..]),
        (
            "ontogeny_lab",
            &[
                "ontogeny_core",
                "ontogeny_engine",
                "ontogeny_store",
                "ontogeny_analysis",
                "ontogeny_probes",
                "ontogeny_train",
            ][..],
        ),
        (
            "ontogeny",
            &[
                "ontogeny_core",
                "ontogeny_engine",
                "ontogeny_store",
                "ontogeny_analysis",
                "ontogeny_probes",
                "ontogeny_train",
                "ontogeny_report",
                "ontogeny_import",
                "ontogeny_lab",
            ][..],
        ),
    ])
}

fn crates() -> Vec<String> {
    let dir = fs::read_dir(root().join("crates")).unwrap();
    let mut names: Vec<String> =
        dir.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every Rust file below `dir`, with its text.
fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found.sort();
    found
}

/// The code of a file without its tests and its comments.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    body.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn arrows_between_crates_point_down_only() {
    let allowed = allowed();
    for name in crates() {
        let manifest =
            fs::read_to_string(root().join("crates").join(&name).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or("");
        let dependencies = dependencies.split("\n[").next().unwrap_or("");
        let arrows: BTreeSet<&str> = (dependencies.lines())
            .filter_map(|l| l.split(['.', ' ', '=']).next())
            .filter(|d| d.starts_with("ontogeny"))
            .collect();
        let may = allowed
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} is a new room: say so here"));
        let bad: Vec<&&str> = arrows.iter().filter(|a| !may.contains(a)).collect();
        assert!(bad.is_empty(), "{name} must not depend on {bad:?}");
    }
    assert!(crates().len() <= 12, "twelve rooms at most");
}

#[test]
fn only_the_engine_names_the_tensor_library() {
    for name in crates().iter().filter(|n| *n != "ontogeny_engine") {
        let dir = root().join("crates").join(name);
        let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap();
        assert!(!manifest.contains("burn"), "{name}/Cargo.toml");
        for (path, text) in sources(&dir.join("src")) {
            assert!(!code(&text).contains("burn::"), "{}", path.display());
        }
    }
}

#[test]
fn law_11_below_the_faces_nobody_prints_reads_the_environment_asks_the_time_or_draws_unseeded() {
    let forbidden = [
        "println!(",
        "print!(",
        "eprintln!(",
        "eprint!(",
        "dbg!(",
        "env::var(",
        "env::var_os(",
        "env::vars(",
        "SystemTime::now(",
        "Instant::now(",
        "thread_rng(",
        "rand::rng(",
        "from_entropy(",
        "getrandom(",
    ];
    for name in crates().iter().filter(|n| *n != "ontogeny") {
        for (path, text) in sources(&root().join("crates").join(name).join("src")) {
            let code = code(&text);
            for word in forbidden {
                assert!(!code.contains(word), "{} says {word}", path.display());
            }
        }
    }
}

#[test]
fn rooms_have_their_sentence_and_files_stay_readable() {
    for name in crates() {
        let dir = root().join("crates").join(&name);
        let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap();
        let sentence = manifest
            .lines()
            .find_map(|l| l.strip_prefix("description = "))
            .unwrap()
            .trim_matches('"');
        let readme = fs::read_to_string(dir.join("README.md")).unwrap();
        assert!(readme.contains(sentence), "{name}/README.md lacks its sentence: {sentence}");
        for (path, text) in sources(&dir.join("src")) {
            let n = text.lines().count();
            assert!(n <= 800, "{} has {n} lines: where is its second idea?", path.display());
        }
    }
}

#[test]
fn nothing_names_a_path_of_the_machine_it_was_written_on() {
    let mut all = sources(&root().join("crates"));
    for dir in
        [root(), root().join("docs"), root().join("docs/decisions"), root().join("docs/findings")]
    {
        let Ok(entries) = fs::read_dir(dir) else { continue };
        for path in entries.map(|e| e.unwrap().path()) {
            if path.extension().is_some_and(|e| e == "md" || e == "toml") {
                let text = fs::read_to_string(&path).unwrap();
                all.push((path, text));
            }
        }
    }
    // Written in two parts, so that this file does not name them either.
    let words = [["/wo", "rk/"].concat(), ["/tmp/bash", "_jobs"].concat(), ["/ro", "ot/"].concat()];
    for (path, text) in all {
        for word in &words {
            assert!(!text.contains(word.as_str()), "{} names {word}", path.display());
        }
    }
}
