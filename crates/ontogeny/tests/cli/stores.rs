//! Stores that cannot be used: exit code 4 and what to do.

use crate::support::{Sandbox, answer, run_id};
use insta::assert_snapshot;
use ontogeny_core::{RunManifest, RunStatus};
use std::fs;

#[test]
fn reading_needs_a_store() {
    assert_snapshot!(Sandbox::empty().run("runs ls").fails_with(4), @r"
    error: failed to open the store: there is none yet, start a run to make one: ontogeny-store
      help: name the store with --store, or make one with `ontogeny run`
    ");
}

#[test]
fn a_file_is_no_store() {
    let sandbox = Sandbox::empty();
    fs::write(sandbox.path("notes.txt"), "mine").unwrap();
    for command in ["runs ls", "run skills"] {
        let text = sandbox.run(&format!("{command} --store notes.txt")).fails_with(4);
        assert!(text.contains("notes.txt") && text.contains("help: "), "{text}");
    }
    assert_eq!(fs::read_to_string(sandbox.path("notes.txt")).unwrap(), "mine");
}

#[test]
fn a_folder_of_other_things_is_left_alone() {
    let sandbox = Sandbox::empty();
    fs::create_dir(sandbox.path("photos")).unwrap();
    fs::write(sandbox.path("photos/cat.png"), "meow").unwrap();
    let reading = sandbox.run("runs ls --store photos").fails_with(4);
    assert_snapshot!(reading, @r"
    error: failed to open the store: the folder holds other files and no `ontogeny.json`, choose another one: photos
      help: name another folder with --store
    ");
    assert_eq!(sandbox.run("run skills --store photos").fails_with(4), reading);
    assert_eq!(fs::read_dir(sandbox.path("photos")).unwrap().count(), 1);
}

#[test]
fn a_store_of_a_later_version_is_left_alone() {
    let sandbox = Sandbox::with_runs();
    let marker = sandbox.path("ontogeny-store/ontogeny.json");
    fs::write(&marker, r#"{ "format": "ontogeny store", "version": 99 }"#).unwrap();
    for command in ["runs ls", "run skills", "fork tiny.s0@20"] {
        let text = sandbox.run(command).fails_with(4);
        assert!(text.contains("format version 99") && text.contains("update Ontogeny"), "{text}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_place_that_cannot_be_written_is_named() {
    // Not even root can make folders there.
    let text = Sandbox::empty().run("run skills --store /sys/ontogeny").fails_with(4);
    assert!(text.contains("no permission or a read-only file system"), "{text}");
    assert!(text.contains("make the folder writable"), "{text}");
}

#[test]
fn a_run_that_another_process_writes_is_not_touched() {
    let sandbox = Sandbox::with_runs();
    sandbox.run("fork tiny.s0@20 --name f").ok();
    let mut writer = sandbox.store().resume_run(&run_id("f")).unwrap();
    let open = RunManifest { status: RunStatus::Open, ..writer.manifest().clone() };
    writer.set_manifest(&open).unwrap();
    let text = sandbox.run("fork tiny.s0@20 --name f").fails_with(4);
    assert!(text.contains("another process is writing it"), "{text}");
    assert!(text.contains("help: wait until the other process has finished"), "{text}");
    drop(writer);
    sandbox.run("fork tiny.s0@20 --name f").ok();
}

#[test]
fn the_environment_names_the_store_and_the_argument_wins() {
    let sandbox = Sandbox::with_runs();
    fs::rename(sandbox.path("ontogeny-store"), sandbox.path("elsewhere")).unwrap();
    let named = answer(sandbox.command("runs ls").env("ONTOGENY_STORE", "elsewhere")).ok();
    assert!(named.contains("tiny.s0"), "{named}");
    let both =
        answer(sandbox.command("runs ls --store nowhere").env("ONTOGENY_STORE", "elsewhere"));
    assert!(both.fails_with(4).contains("nowhere"));
    let empty = answer(sandbox.command("runs ls").env("ONTOGENY_STORE", ""));
    assert!(empty.fails_with(4).contains(": ontogeny-store"));
}
