//! MNIST by path: what is read, and what is said when the files are not what they should be.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

use ontogeny_core::{Schedule, Seeds};
use ontogeny_engine::{Engine, Inputs};
use ontogeny_train::tasks::mnist::MnistConfig;
use ontogeny_train::tasks::{TaskConfig, Threat};
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

fn images(n: u32, side: u32, first: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3];
    bytes.extend([n, side, side].iter().flat_map(|v| v.to_be_bytes()));
    bytes.extend((0..n).flat_map(|i| vec![first + i as u8; (side * side) as usize]));
    bytes
}

fn labels(n: u32) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 1];
    bytes.extend(n.to_be_bytes());
    bytes.extend((0..n).map(|i| (i % 10) as u8));
    bytes
}

/// Twelve training images and four test images, each of one grey that no other has.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let files = [images(12, 28, 10), labels(12), images(4, 28, 100), labels(4)];
    for (name, bytes) in NAMES.iter().zip(files) {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

fn config(dir: &Path) -> MnistConfig {
    let config = MnistConfig::of(dir.to_str().unwrap(), 0.1).unwrap();
    let threat = Threat { n_watched: 2, ..config.threat };
    MnistConfig { n_train: 8, n_probe: 3, n_audit: 4, batch_examples: 50, threat, ..config }
}

fn refusal(config: &MnistConfig, dir: &Path) -> String {
    let e = TaskConfig::Mnist(config.clone()).build(0).unwrap_err();
    let causes = std::iter::successors(e.source(), |e| (*e).source()).map(ToString::to_string);
    let said = std::iter::once(e.to_string()).chain(causes).collect::<Vec<_>>().join(": ");
    said.replace(dir.to_str().unwrap(), "DIR")
}

/// The grey of each image.
fn greys(inputs: &Inputs) -> Vec<u8> {
    let Inputs::Images { values, .. } = inputs else { panic!("images are read") };
    values.chunks(784).map(|image| (image[0] * 255.0).round() as u8).collect()
}

#[test]
fn splits_share_no_example_and_follow_the_data_seed() {
    let dir = folder();
    let of = |seed| TaskConfig::Mnist(config(dir.path())).build(seed).unwrap();
    let (a, b) = (of(1), of(2));
    let sets = |t: &dyn ontogeny_train::tasks::Task| -> [Vec<u8>; 3] {
        let eval = t.eval_sets();
        [&t.batch(0).inputs, &eval[0].batch.inputs, &eval[1].batch.inputs].map(greys)
    };
    let [train, probe, audit] = sets(&*a);
    assert_eq!((train.len(), probe.len(), audit), (50, 3, vec![100, 101, 102, 103]));
    assert!(train.iter().chain(&probe).all(|g| (10..22).contains(g)));
    assert!(!probe.iter().any(|g| train.contains(g)));
    assert_ne!(sets(&*b)[0], train);
    assert_eq!(sets(&*of(1))[0], train);
    // Grey 10 + i has class i mod 10.
    let batch = a.batch(3);
    for (grey, class) in greys(&batch.inputs).iter().zip(&batch.targets) {
        assert_eq!(u32::from(grey - 10) % 10, *class);
    }
}

#[test]
fn compressed_files_and_files_with_a_dot_are_the_same_data() {
    let (plain, other) = (folder(), folder());
    for name in NAMES {
        let bytes = fs::read(other.path().join(name)).unwrap();
        fs::remove_file(other.path().join(name)).unwrap();
        let to = other.path().join(format!("{}.gz", name.replace("-idx", ".idx")));
        let mut gz = flate2::write::GzEncoder::new(
            fs::File::create(to).unwrap(),
            flate2::Compression::fast(),
        );
        gz.write_all(&bytes).unwrap();
        gz.finish().unwrap();
    }
    assert_eq!(config(plain.path()).files, config(other.path()).files);
}

#[test]
fn files_that_are_not_what_they_should_be_are_named_with_what_to_do() {
    let spoiled = |name: &str, with: Option<Vec<u8>>| {
        let dir = folder();
        let config = config(dir.path());
        match with {
            Some(bytes) => fs::write(dir.path().join(name), bytes).unwrap(),
            None => fs::remove_file(dir.path().join(name)).unwrap(),
        }
        refusal(&config, dir.path())
    };
    insta::assert_snapshot!(spoiled(NAMES[3], None), @"read the data of task mnist: find t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz in DIR: put the four files of MNIST (or of a set in its format) there, or give another task.path");
    insta::assert_snapshot!(spoiled(NAMES[0], Some(labels(12))), @"read the data of task mnist: read DIR/train-images-idx3-ubyte: it begins with 00 00 08 01, not with 00 00 08 03: it holds no images in IDX format");
    insta::assert_snapshot!(spoiled(NAMES[0], Some(vec![])), @"read the data of task mnist: read DIR/train-images-idx3-ubyte: it begins with nothing, not with 00 00 08 03: it holds no images in IDX format");
    insta::assert_snapshot!(spoiled(NAMES[0], Some(vec![0, 0, 8, 3, 0, 0])), @"read the data of task mnist: read DIR/train-images-idx3-ubyte: 12 bytes should follow its header, 2 do: copy or download it again");
    insta::assert_snapshot!(spoiled(NAMES[0], Some(images(12, 32, 10))), @"read the data of task mnist: read DIR/train-images-idx3-ubyte: its images have 32 by 32 pixels, this task takes 28 by 28: scale them, or use another task");
    insta::assert_snapshot!(spoiled(NAMES[0], Some(images(12, 28, 10)[..5000].to_vec())), @"read the data of task mnist: read DIR/train-images-idx3-ubyte: 9408 bytes should follow its header, 4984 do: copy or download it again");
    insta::assert_snapshot!(spoiled(NAMES[0], Some([images(12, 28, 10), vec![0]].concat())), @"read the data of task mnist: read DIR/train-images-idx3-ubyte: 9408 bytes should follow its header, more do: copy or download it again");
    let mut huge = vec![0, 0, 8, 3];
    huge.extend([u32::MAX, 28, 28].iter().flat_map(|v| v.to_be_bytes()));
    insta::assert_snapshot!(spoiled(NAMES[0], Some(huge)), @"read the data of task mnist: read DIR/train-images-idx3-ubyte: it says that it holds 4294967295 examples; between 1 and 1000000 are read");
    insta::assert_snapshot!(spoiled(NAMES[1], Some(labels(11))), @"read the data of task mnist: read DIR/train-labels-idx1-ubyte: it has 11 classes for 12 images: the files do not belong together");
    let mut wrong = labels(12);
    wrong[10] = 77;
    insta::assert_snapshot!(spoiled(NAMES[1], Some(wrong)), @"read the data of task mnist: read DIR/train-labels-idx1-ubyte: the class of example 2 is 77; they are numbered from 0 to 9");
    let other = spoiled(NAMES[2], Some(images(4, 28, 101)));
    let hashes = |s: &str| {
        s.split(' ')
            .map(|w| if w.trim_end_matches([',', ';']).len() == 64 { "HASH" } else { w })
            .collect::<Vec<_>>()
            .join(" ")
    };
    insta::assert_snapshot!(hashes(&other), @"read the data of task mnist: use the files in DIR: their hash is HASH the configuration asks for HASH give the folder that it was made from as task.path, or set task.files to the hash of these for a run of its own");
}

#[test]
fn more_examples_than_there_are_and_a_missing_hash_are_refused() {
    let dir = folder();
    let many = MnistConfig { n_train: 10, ..config(dir.path()) };
    insta::assert_snapshot!(refusal(&many, dir.path()), @"read the data of task mnist: take 13 examples from DIR: it holds 12; lower task.n_train or task.n_probe");
    let none = MnistConfig { files: "latest".into(), ..config(dir.path()) };
    insta::assert_snapshot!(TaskConfig::Mnist(none).check().unwrap_err().to_string(), @r#"configuration key task.files is "latest", but must lie in 64 hexadecimal digits (the files are part of what a run is)"#);
    let nowhere = MnistConfig::of("no-such-folder", 0.1).unwrap_err();
    insta::assert_snapshot!(nowhere.source().unwrap().to_string(), @"find train-images-idx3-ubyte or train-images-idx3-ubyte.gz in no-such-folder: put the four files of MNIST (or of a set in its format) there, or give another task.path");
}

/// The real files, where this machine has them.
fn shared() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a test may be told where large data are")]
    let told = std::env::var_os("ONTOGENY_TEST_DATA").map(PathBuf::from);
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let path = told.unwrap_or(beside).join("tasks/mnist");
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there (set ONTOGENY_TEST_DATA)", path.display());
    None
}

#[test]
fn the_real_files_are_read_and_learned_from() {
    let Some(path) = shared() else { return };
    let task = MnistConfig::of(path.to_str().unwrap(), 0.1).unwrap();
    assert_eq!((task.n_train, task.n_probe, task.n_audit), (59_000, 1000, 10_000));
    let far = task.class_distances(1000).unwrap();
    // Different digits differ somewhere by nearly the full range: eps .3 is far from asking the impossible.
    assert!(far.quantile(0.1).unwrap() > 0.6, "{:?}", far.quantile(0.1));
    let task = MnistConfig { n_audit: 500, ..task };
    let config = ontogeny_train::RunConfig {
        task: TaskConfig::Mnist(task),
        model: serde_json::from_str(r#"{"kind": "mlp", "widths": [32], "activation": "relu"}"#)
            .unwrap(),
        init_scale: 1.0,
        objective: ontogeny_engine::Objective::CrossEntropy.into(),
        optimizer: ontogeny_train::OptimizerConfig {
            beta2: 0.999,
            ..ontogeny_train::OptimizerConfig::adamw(3e-3, 0.0)
        },
        horizon: 200,
        lanes: ontogeny_engine::LanePlan { lanes: 2, chunk_examples: 64 },
        record: ontogeny_train::RecordPlan {
            probe_every: 100,
            checkpoint_every: 0,
            probes: vec![],
            hash_every: 0,
            probe_at: vec![],
            checkpoint_at: vec![],
        },
    };
    assert!(matches!(config.optimizer.weight_decay, Schedule::Constant(_)));
    let engine = std::sync::Arc::new(Engine::cpu(1).unwrap());
    let seeds = Seeds { init_seed: 1, data_seed: 2, noise_seed: 3 };
    let mut trainer = ontogeny_train::Trainer::new(config, seeds, engine).unwrap();
    for _ in 0..200 {
        trainer.update().unwrap();
    }
    let out = trainer.evaluate(1, &[]).unwrap();
    let set = &trainer.task().eval_sets()[1].batch.targets;
    let right = (0..500).filter(|&i| {
        let row = out.logits.row(i);
        row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0 == set[i] as usize
    });
    assert!(right.count() > 425, "an MLP of 32 units has more than 85 % after 200 updates");
}
