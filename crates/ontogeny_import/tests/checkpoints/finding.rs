//! Files become steps.

use crate::support::{dict, floats, pickle, safetensors, tensor, torch, values};
use insta::assert_snapshot;
use ontogeny_import::checkpoints::{Counts, FoundCheckpoints, find_checkpoints, read_checkpoint};
use ontogeny_import::{ImportError, StepRule};
use std::fs;
use tempfile::TempDir;

fn weights(value: f32) -> Vec<u8> {
    let header = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    safetensors(header, &floats(&[value]))
}

fn state(name: &str, value: f32) -> Vec<u8> {
    let body = dict(&[(name, tensor("FloatStorage", "0", 1, 0, &[1], &[1]))]);
    torch(&pickle(&body), &[&floats(&[value])])
}

fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

fn find(dir: &TempDir) -> Result<FoundCheckpoints, ImportError> {
    find_checkpoints(&[dir.path().to_path_buf()], None)
}

/// The message without the temporary folder.
#[track_caller]
fn mistake(dir: &TempDir) -> String {
    let error = match find(dir) {
        Err(e) => e,
        Ok(found) => found.steps.iter().find_map(|s| read_checkpoint(s).err()).expect("a mistake"),
    };
    error.to_string().replace(&dir.path().display().to_string(), "DIR")
}

#[test]
fn folders_of_a_trainer_become_steps_with_their_parts() {
    let dir = folder(&[
        ("checkpoint-1000/model.safetensors", weights(2.0)),
        ("checkpoint-1000/optimizer.pt", state("m", 3.0)),
        ("checkpoint-1000/rng_state_0.pth", state("r", 4.0)),
        ("checkpoint-1000/trainer_state.json", b"{}".to_vec()),
        ("checkpoint-500/model.safetensors", weights(1.0)),
        ("model.safetensors", weights(9.0)),
    ]);
    let found = find(&dir).unwrap();
    assert_eq!(found.steps.iter().map(|s| s.step).collect::<Vec<_>>(), [500, 1000]);
    assert_eq!(found.counts, Counts::Steps);
    assert_eq!((found.without_step.len(), found.unrecognised.len()), (1, 1));
    let last = read_checkpoint(&found.steps[1]).unwrap();
    let names: Vec<&str> = last.tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["model/w", "optimizer/m", "rng_state_0/r"]);
    assert_eq!((last.format.as_str(), last.files.len()), ("safetensors+torch", 3));
    // The same tensor has the same name at every step.
    assert_eq!(values(&read_checkpoint(&found.steps[0]).unwrap(), "model/w"), [1.0]);
}

#[test]
fn files_named_by_step_need_no_labels() {
    let dir = folder(&[
        ("step0.safetensors", weights(0.0)),
        ("step10.safetensors", weights(1.0)),
        ("step_20.pt", state("w", 2.0)),
    ]);
    for (i, step) in find(&dir).unwrap().steps.iter().enumerate() {
        assert_eq!(step.step, 10 * i as u64);
        assert_eq!(values(&read_checkpoint(step).unwrap(), "w"), [i as f32]);
    }
}

#[test]
fn shards_are_put_together() {
    let index = r#"{"metadata":{},"weight_map":{"a":"model-00001-of-00002.safetensors","w":"model-00002-of-00002.safetensors"}}"#;
    let a =
        safetensors(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, &floats(&[7.0]));
    let whole = [
        ("step5/model.safetensors.index.json", index.into()),
        ("step5/model-00001-of-00002.safetensors", a.clone()),
        ("step5/model-00002-of-00002.safetensors", weights(8.0)),
    ];
    let dir = folder(&whole);
    let read = read_checkpoint(&find(&dir).unwrap().steps[0]).unwrap();
    assert_eq!((values(&read, "a"), values(&read, "w")), (vec![7.0], vec![8.0]));
    assert_eq!(read.files.len(), 3);
    // The index itself may be named.
    let path = dir.path().join("step5/model.safetensors.index.json");
    let read = read_checkpoint(&find_checkpoints(&[path], None).unwrap().steps[0]).unwrap();
    assert_eq!(read.tensors.len(), 2);
    // Without the index the numbers tell.
    let read = read_checkpoint(&find(&folder(&whole[1..])).unwrap().steps[0]).unwrap();
    assert_eq!(read.tensors.len(), 2);

    assert_snapshot!(mistake(&folder(&whole[..2])), @"read index: the checkpoint: shard model-00002-of-00002.safetensors is missing; all shards must lie beside one another: DIR/step5/model.safetensors.index.json");
    assert_snapshot!(mistake(&folder(&whole[2..])), @"read safetensors: the checkpoint: shard model-00001-of-00002 is missing; all shards must lie beside one another: DIR/step5/model-00002-of-00002.safetensors");
    let swapped = [
        whole[0].clone(),
        ("step5/model-00001-of-00002.safetensors", weights(8.0)),
        ("step5/model-00002-of-00002.safetensors", a),
    ];
    assert_snapshot!(mistake(&folder(&swapped)), @"read safetensors: tensor `w`: it lies in model-00001-of-00002.safetensors and the index says model-00002-of-00002.safetensors: DIR/step5/model-00001-of-00002.safetensors");
    let more = r#"{"weight_map":{"z":"m.safetensors","w":"m.safetensors"}}"#;
    let files = [("1.index.json", more.into()), ("m.safetensors", weights(0.0))];
    assert_snapshot!(mistake(&folder(&files)), @"read index: tensor `z`: the index says that it lies in m.safetensors, and it does not: DIR/1.index.json");
    let less = r#"{"weight_map":{"z":"m.safetensors"}}"#;
    let files = [("1.index.json", less.into()), ("m.safetensors", weights(0.0))];
    assert_snapshot!(mistake(&folder(&files)), @"read safetensors: tensor `w`: it lies in m.safetensors and the index does not name it: DIR/m.safetensors");
    let out = r#"{"weight_map":{"z":"../m.safetensors"}}"#;
    assert_snapshot!(mistake(&folder(&[("1.index.json", out.into())])), @"read index: shard `../m.safetensors`: the name leaves its folder: DIR/1.index.json");
}

#[test]
fn names_that_do_not_fit_together_are_refused() {
    let (w, v) = (weights(0.0), weights(1.0));
    let mixed = [("epoch_1.safetensors", w.clone()), ("step_100.safetensors", v.clone())];
    assert_snapshot!(mistake(&folder(&mixed)), @"put checkpoints in order: DIR/epoch_1.safetensors tells epochs, DIR/step_100.safetensors tells steps; name those of one kind, or say where the step is with --step-from");
    let twice = [("a/step_1.safetensors", w.clone()), ("b/step_1.safetensors", v.clone())];
    assert_snapshot!(mistake(&folder(&twice)), @"put checkpoints in order: DIR/a/step_1.safetensors and DIR/b/step_1.safetensors both tell step 1 and do not lie together; import them as two runs");
    let same = [("step_1.safetensors", w.clone()), ("step-1.safetensors", v)];
    assert_snapshot!(mistake(&folder(&same)), @"put checkpoints in order: DIR/step-1.safetensors and DIR/step_1.safetensors both tell step 1 and do not lie together; import them as two runs");
    assert_snapshot!(mistake(&folder(&[("best.safetensors", w)])), @r"find the step of DIR/best.safetensors: its name and folder tell none; say where it is with --step-from, e.g. 'net(\d+)'");
    assert_snapshot!(mistake(&folder(&[("notes.txt", b"hello".to_vec())])), @"find a checkpoint: no file is in a known format (safetensors, torch, torch-legacy, npz, npy): DIR");
}

#[test]
fn the_rule_of_the_user_counts() {
    let dir = folder(&[("epoch1_it300.pt", state("w", 1.0)), ("epoch2_it600.pt", state("w", 2.0))]);
    let rule = StepRule::new(r"it(\d+)").unwrap();
    let found = find_checkpoints(&[dir.path().to_path_buf()], Some(rule)).unwrap();
    assert_eq!(found.steps.iter().map(|s| s.step).collect::<Vec<_>>(), [300, 600]);
    assert_eq!(found.counts, Counts::ByRule);
}

#[cfg(unix)]
#[test]
fn law_10_links_out_of_the_folder_are_refused() {
    let outside = folder(&[("step1.safetensors", weights(0.0))]);
    let dir = folder(&[("step2.safetensors", weights(0.0))]);
    let target = outside.path().join("step1.safetensors");
    std::os::unix::fs::symlink(target, dir.path().join("step1.safetensors")).unwrap();
    assert!(matches!(find(&dir), Err(ImportError::LinkOutside { .. })));
}
