//! Small archives, pickles and safetensors files, made here.

use ontogeny_import::checkpoints::{ForeignCheckpoint, ForeignTensor, read_checkpoint_file};
use ontogeny_import::{ImportError, Input};
use std::path::PathBuf;

/// A zip archive of stored entries.
pub(crate) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let at = file.len() as u32;
        let crc = crc32fast::hash(bytes);
        let n = (bytes.len() as u32).to_le_bytes();
        let middle = [&[0; 8][..], &crc.to_le_bytes(), &n, &n, &(name.len() as u16).to_le_bytes()];
        let middle = middle.concat();
        file.extend([b"PK\x03\x04\x14\x00", &middle[..], b"\0\0", name.as_bytes(), bytes].concat());
        let rest = [&[0; 12][..], &at.to_le_bytes(), name.as_bytes()].concat();
        directory.extend([b"PK\x01\x02\x14\x00\x14\x00", &middle[..], &rest].concat());
    }
    let (n, at) = ((entries.len() as u16).to_le_bytes(), file.len() as u32);
    file.extend_from_slice(&directory);
    let len = (directory.len() as u32).to_le_bytes();
    file.extend([b"PK\x05\x06\0\0\0\0", &n[..], &n, &len, &at.to_le_bytes(), b"\0\0"].concat());
    file
}

/// What `torch.save` would write: a pickle and storages `0`, `1`, ...
pub(crate) fn torch(pickle: &[u8], storages: &[&[u8]]) -> Vec<u8> {
    let names: Vec<String> = (0..storages.len()).map(|i| format!("archive/data/{i}")).collect();
    let mut entries: Vec<(&str, &[u8])> =
        vec![("archive/data.pkl", pickle), ("archive/byteorder", b"little")];
    entries.extend(names.iter().map(String::as_str).zip(storages.iter().copied()));
    entries.push(("archive/version", b"3\n"));
    zip(&entries)
}

/// A text in a pickle.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A whole number in a pickle.
pub(crate) fn int(n: i64) -> Vec<u8> {
    [b"\x8a\x08", &n.to_le_bytes()[..]].concat()
}

/// A tuple in a pickle.
pub(crate) fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(".to_vec(), items.concat(), b"t".to_vec()].concat()
}

/// A dict in a pickle.
pub(crate) fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<u8> =
        entries.iter().flat_map(|(k, v)| [text(k), v.clone()].concat()).collect();
    [b"}(".to_vec(), entries, b"u".to_vec()].concat()
}

/// A tensor of a storage, as `torch.save` describes it.
pub(crate) fn tensor(
    class: &str,
    key: &str,
    n: i64,
    offset: i64,
    shape: &[i64],
    strides: &[i64],
) -> Vec<u8> {
    let numbers = |ns: &[i64]| tuple(&ns.iter().map(|&n| int(n)).collect::<Vec<_>>());
    let class = format!("ctorch\n{class}\n").into_bytes();
    let storage = tuple(&[text("storage"), class, text(key), text("cpu"), int(n)]);
    let storage = [storage, b"Q".to_vec()].concat();
    let hooks = b"ccollections\nOrderedDict\n)R".to_vec();
    let given =
        tuple(&[storage, int(offset), numbers(shape), numbers(strides), b"\x89".to_vec(), hooks]);
    [b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec(), given, b"R".to_vec()].concat()
}

/// A whole pickle.
pub(crate) fn pickle(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02", body, b"."].concat()
}

/// A safetensors file of a header and bytes.
pub(crate) fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

pub(crate) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Reads bytes as a checkpoint.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<ForeignCheckpoint, ImportError> {
    read_checkpoint_file(Input::from_bytes(name, bytes.to_vec()))
}

/// What is wrong with bytes.
#[track_caller]
pub(crate) fn mistake(bytes: &[u8]) -> String {
    read("x", bytes).unwrap_err().to_string()
}

#[track_caller]
pub(crate) fn tensor_of<'a>(checkpoint: &'a ForeignCheckpoint, name: &str) -> &'a ForeignTensor {
    let found = checkpoint.tensors.iter().find(|t| t.name == name);
    let names = || checkpoint.tensors.iter().map(|t| t.name.as_str()).collect::<Vec<_>>();
    found.unwrap_or_else(|| panic!("no tensor {name}: {:?}", names()))
}

/// The single-precision numbers of a tensor.
#[track_caller]
pub(crate) fn values(checkpoint: &ForeignCheckpoint, name: &str) -> Vec<f32> {
    let bytes = &tensor_of(checkpoint, name).bytes;
    bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

/// A committed file.
pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/checkpoints")).join(name)
}

/// The shared data, where this machine has them.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a test may be told where large data are")]
    let told = std::env::var_os("ONTOGENY_TEST_DATA").map(PathBuf::from);
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let path = told.unwrap_or(beside).join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there (set ONTOGENY_TEST_DATA)", path.display());
    None
}
