//! What is written is read again, bit for bit.

use crate::support::{dict, floats, pickle, read, tensor, torch};
use ontogeny_import::Input;
use ontogeny_import::checkpoints::{Dtype, OutTensor, read_checkpoint_file, write_safetensors};
use proptest::prelude::*;
use std::collections::BTreeMap;

const DTYPES: [Dtype; 13] = [
    Dtype::F64,
    Dtype::F32,
    Dtype::F16,
    Dtype::Bf16,
    Dtype::I64,
    Dtype::I32,
    Dtype::I16,
    Dtype::I8,
    Dtype::U64,
    Dtype::U32,
    Dtype::U16,
    Dtype::U8,
    Dtype::Bool,
];

fn a_tensor() -> impl Strategy<Value = (Dtype, Vec<usize>, Vec<u8>)> {
    (0..DTYPES.len(), prop::collection::vec(0..5_usize, 0..4)).prop_flat_map(|(i, shape)| {
        let n = shape.iter().product::<usize>() * DTYPES[i].size_bytes();
        (Just(DTYPES[i]), Just(shape), prop::collection::vec(any::<u8>(), n))
    })
}

proptest! {
    #[test]
    fn written_safetensors_are_read_again(tensors in prop::collection::vec(a_tensor(), 1..6)) {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..tensors.len()).map(|i| format!("layer.{i}")).collect();
        let out: Vec<OutTensor<'_>> = names.iter().zip(&tensors)
            .map(|(name, (dtype, shape, bytes))| OutTensor { name, dtype: *dtype, shape, bytes, was: None })
            .collect();
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let path = write_safetensors(&dir.path().join("x.safetensors"), &out, &metadata).unwrap();
        let back = read_checkpoint_file(Input::from_path(path)).unwrap();
        prop_assert_eq!(back.tensors.len(), out.len());
        for (t, o) in back.tensors.iter().zip(&out) {
            prop_assert_eq!((t.name.as_str(), t.dtype, &t.shape[..], &t.bytes[..]), (o.name, o.dtype, o.shape, o.bytes));
        }
    }
}

#[test]
fn types_that_are_kept_as_bytes_are_written_as_what_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let out = [
        OutTensor { name: "c", dtype: Dtype::U8, shape: &[1, 8], bytes: &[1; 8], was: Some("C64") },
        OutTensor {
            name: "f",
            dtype: Dtype::U8,
            shape: &[2],
            bytes: &[3; 2],
            was: Some("F8_E5M2"),
        },
    ];
    let path = dir.path().join("x.safetensors");
    write_safetensors(&path, &out, &BTreeMap::new()).unwrap();
    let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
    assert!(text.contains(r#"{"data_offsets":[0,8],"dtype":"C64","shape":[1]}"#), "{text}");
    assert!(text.contains(r#"{"data_offsets":[8,10],"dtype":"F8_E5M2","shape":[2]}"#), "{text}");
    let back = read_checkpoint_file(Input::from_path(path)).unwrap();
    assert_eq!(
        (&back.tensors[0].shape[..], &back.tensors[0].bytes[..]),
        (&[1, 8][..], &[1; 8][..])
    );
}

#[test]
fn one_state_is_the_same_in_every_format() {
    let (a, b) = (floats(&[1.0, 2.0]), floats(&[3.0]));
    let body = dict(&[
        ("b", tensor("FloatStorage", "0", 1, 0, &[1], &[1])),
        ("a", tensor("FloatStorage", "1", 2, 0, &[2], &[1])),
    ]);
    let from_torch = read("x.pt", &torch(&pickle(&body), &[&b, &a])).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let out = [
        OutTensor { name: "a", dtype: Dtype::F32, shape: &[2], bytes: &a, was: None },
        OutTensor { name: "b", dtype: Dtype::F32, shape: &[1], bytes: &b, was: None },
    ];
    let path = dir.path().join("x.safetensors");
    write_safetensors(&path, &out, &BTreeMap::new()).unwrap();
    assert_eq!(read_checkpoint_file(Input::from_path(path)).unwrap().tensors, from_torch.tensors);
}
