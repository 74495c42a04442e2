//! Files that PyTorch, numpy and safetensors wrote (`tests/fixtures/checkpoints/make.py`), and a real series.

use crate::support::{fixture, shared, tensor_of, values};
use ontogeny_import::Input;
use ontogeny_import::checkpoints::{
    Counts, Dtype, ForeignCheckpoint, find_checkpoints, read_checkpoint, read_checkpoint_file,
};
use serde_json::json;
use std::fs;

fn read(name: &str) -> ForeignCheckpoint {
    read_checkpoint_file(Input::from_path(fixture(name))).unwrap()
}

#[test]
fn a_training_checkpoint_comes_in_whole() {
    let checkpoint = read("training.pt");
    let names: Vec<&str> = checkpoint.tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "model/bias",
            "model/weight",
            "optimizer/state/0/exp_avg",
            "optimizer/state/0/exp_avg_sq",
            "optimizer/state/0/step",
            "optimizer/state/1/exp_avg",
            "optimizer/state/1/exp_avg_sq",
            "optimizer/state/1/step",
        ]
    );
    assert_eq!(tensor_of(&checkpoint, "model/weight").shape, [2, 3]);
    // The gradient of the sum is the input, and beta1 is 0.9.
    let moments = values(&checkpoint, "optimizer/state/0/exp_avg");
    for (found, expected) in moments.iter().zip([0.0, 0.1, 0.2, 0.0, 0.1, 0.2]) {
        assert!((found - expected).abs() < 1e-6, "{moments:?}");
    }
    let beside = &checkpoint.extra["values"];
    assert_eq!(beside["args"], json!({"lr": 0.01, "name": "try", "widths": [3, 2]}));
    assert_eq!(beside["best"], "NaN");
    assert_eq!((&beside["step"], &beside["epoch"]), (&json!(1), &json!(0.5)));
    assert_eq!(beside["optimizer"]["param_groups"][0]["betas"], json!([0.9, 0.999]));
    assert_eq!((checkpoint.n_skipped, checkpoint.format.as_str()), (0, "torch"));
}

#[test]
fn views_types_and_payloads_come_in_as_they_are() {
    let checkpoint = read("views.pt");
    let base: Vec<f32> = (0..12_u8).map(f32::from).collect();
    assert_eq!(values(&checkpoint, "base"), base);
    let transposed: Vec<f32> =
        (0..4).flat_map(|c| (0..3).map(move |r| (4 * r + c) as f32)).collect();
    assert_eq!(values(&checkpoint, "transposed"), transposed);
    assert_eq!(tensor_of(&checkpoint, "transposed").shape, [4, 3]);
    assert_eq!(values(&checkpoint, "column"), [1.0, 5.0, 9.0]);
    assert_eq!(values(&checkpoint, "tail"), base[4..]);
    assert_eq!(values(&checkpoint, "expanded"), [1.0; 6]);
    assert_eq!(values(&checkpoint, "tied_a"), values(&checkpoint, "tied_b"));
    assert_eq!(values(&checkpoint, "parameter"), [1.5]);
    assert_eq!(tensor_of(&checkpoint, "empty").shape, [0, 4]);
    let scalar = tensor_of(&checkpoint, "scalar");
    assert_eq!((scalar.shape.len(), scalar.bytes.as_slice()), (0, &3_i64.to_le_bytes()[..]));
    let bits: Vec<u32> = values(&checkpoint, "nan").iter().map(|v| v.to_bits()).collect();
    assert_eq!(bits, [0x7fc0_1234, (-0x003f_edcc_i32).cast_unsigned()]);
    for (name, dtype, bytes) in [
        ("float64", Dtype::F64, [0.0_f64, 1.0, 2.0].map(f64::to_le_bytes).concat()),
        ("float16", Dtype::F16, vec![0, 0, 0, 0x3c, 0, 0x40]),
        ("bfloat16", Dtype::Bf16, vec![0, 0, 0x80, 0x3f, 0, 0x40]),
        ("int16", Dtype::I16, vec![0, 0, 1, 0, 2, 0]),
        ("int8", Dtype::I8, vec![0, 1, 2]),
        ("uint8", Dtype::U8, vec![0, 1, 2]),
        ("bool", Dtype::Bool, vec![0, 1, 1]),
        ("uint16", Dtype::U16, vec![0, 0, 1, 0, 2, 0]),
        ("uint64", Dtype::U64, [0_u64, 1, 2].map(u64::to_le_bytes).concat()),
    ] {
        let found = tensor_of(&checkpoint, &format!("types/{name}"));
        assert_eq!((found.dtype, &found.bytes), (dtype, &bytes), "{name}");
    }
    // What has no type here is kept as its bytes, and what it was is remembered.
    assert_eq!(tensor_of(&checkpoint, "types/complex64").shape, [3, 8]);
    assert_eq!(
        checkpoint.extra["dtypes"],
        json!({"types/complex64": "C64", "types/float8_e4m3fn": "F8_E4M3"})
    );
}

#[test]
fn the_states_of_generators_come_in() {
    let checkpoint = read("rng_state.pth");
    assert_eq!(tensor_of(&checkpoint, "numpy/1").shape, [624]);
    assert_eq!(tensor_of(&checkpoint, "numpy/1").dtype, Dtype::U32);
    let fortran: Vec<u8> = (0..6_i16).flat_map(i16::to_le_bytes).collect();
    assert_eq!(tensor_of(&checkpoint, "fortran").bytes, fortran);
    let beside = &checkpoint.extra["values"];
    assert_eq!(beside["python"], json!([3, [1, 2, 624], null]));
    assert_eq!((&beside["numpy"][0], &beside["scalar"]), (&json!("MT19937"), &json!(2.5)));
}

#[test]
fn arrays_of_numpy_come_in() {
    let arrays = read("arrays.npz");
    let b: Vec<u8> = (0..6_i64).flat_map(i64::to_le_bytes).collect();
    assert_eq!((&tensor_of(&arrays, "b").bytes, tensor_of(&arrays, "a").dtype), (&b, Dtype::F64));
    assert_eq!(values(&read("one.npy"), "tensor"), [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn safetensors_come_in() {
    let checkpoint = read("small.safetensors");
    assert_eq!(values(&checkpoint, "w"), (0..12_u8).map(f32::from).collect::<Vec<_>>());
    assert_eq!(tensor_of(&checkpoint, "half").dtype, Dtype::F16);
    assert_eq!(checkpoint.extra["dtypes"], json!({"f8": "F8_E4M3"}));
    assert_eq!(checkpoint.extra["values"]["metadata"], json!({"format": "pt"}));
}

#[test]
fn what_cannot_be_read_is_told_with_what_to_do() {
    let mistake = |name: &str| {
        let e = read_checkpoint_file(Input::from_path(fixture(name))).unwrap_err().to_string();
        e.replace(&fixture(name).display().to_string(), name)
    };
    insta::assert_snapshot!(mistake("legacy.pt"), @r#"read torch-legacy: the file: it has the format of PyTorch before 1.6; load it there with `torch.load(path, map_location="cpu", weights_only=True)` and save it again with `torch.save`: legacy.pt"#);
    insta::assert_snapshot!(mistake("module.pt"), @"read torch: the content: it holds no tensor; `all of it`: `torch.nn.modules.linear.Linear` is not called, and not read: module.pt");
}

/// Files of a tar archive, in the form that `checkpoints.tar` has.
fn untar(bytes: &[u8], mut take: impl FnMut(&str, &[u8])) {
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + 512).filter(|h| h[0] != 0) {
        let text = |from: usize, n: usize| {
            let field = header[from..from + n].split(|&b| b == 0 || b == b' ').next().unwrap();
            std::str::from_utf8(field).unwrap()
        };
        let n = usize::from_str_radix(text(124, 12), 8).unwrap();
        take(text(0, 100), &bytes[at + 512..at + 512 + n]);
        at += 512 + n.next_multiple_of(512);
    }
}

#[test]
fn a_real_series_of_251_comes_in() {
    let Some(path) = shared("fixtures/checkpoint-series/checkpoints.tar") else { return };
    let dir = tempfile::tempdir().unwrap();
    untar(&fs::read(path).unwrap(), |name, bytes| fs::write(dir.path().join(name), bytes).unwrap());
    let found = find_checkpoints(&[dir.path().to_path_buf()], None).unwrap();
    assert_eq!((found.steps.len(), found.counts), (251, Counts::Epochs));
    let steps: Vec<u64> = found.steps.iter().map(|s| s.step).collect();
    assert_eq!(steps, (0..=250).collect::<Vec<_>>());
    let mut before: Option<Vec<f32>> = None;
    for step in &found.steps {
        let checkpoint = read_checkpoint(step).unwrap();
        let shapes: Vec<(&str, &[usize])> =
            checkpoint.tensors.iter().map(|t| (t.name.as_str(), &t.shape[..])).collect();
        assert_eq!(
            shapes,
            [
                ("linear1.bias", &[30][..]),
                ("linear1.weight", &[30, 60]),
                ("linear2.bias", &[10]),
                ("linear2.weight", &[10, 30]),
                ("out_layer.bias", &[5]),
                ("out_layer.weight", &[5, 10]),
            ]
        );
        // Small steps of gradient descent: weights move, and not far.
        let weights = values(&checkpoint, "linear1.weight");
        if let Some(before) = before {
            let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|x| x * x).sum::<f32>().sqrt();
            let moved = norm(&mut weights.iter().zip(&before).map(|(a, b)| a - b));
            assert!(moved > 0.0 && moved < 0.3 * norm(&mut before.iter().copied()), "{moved}");
        }
        before = Some(weights);
    }
}
