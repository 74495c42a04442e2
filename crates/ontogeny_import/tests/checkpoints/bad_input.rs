//! Law 10: foreign files cannot run code, escape their folder or exhaust memory; and every mistake has a place.

use crate::support::{
    dict, floats, int, mistake, pickle, read, safetensors, tensor, text, torch, tuple, values, zip,
};
use insta::assert_snapshot;

const W: &str = r#""w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;

fn one(body: &[u8]) -> Vec<u8> {
    torch(&pickle(body), &[&floats(&[1.0, 2.0, 3.0, 4.0])])
}

fn view(offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    dict(&[("w", tensor("FloatStorage", "0", 4, offset, shape, strides))])
}

#[test]
fn law_10_safetensors_that_lie_are_refused() {
    let data = floats(&[1.0, 2.0]);
    let good = safetensors(&format!("{{{W}}}"), &data);
    assert_eq!(values(&read("x", &good).unwrap(), "w"), [1.0, 2.0]);
    let of = |header: &str| mistake(&safetensors(header, &data));
    assert_snapshot!(mistake(&good[..good.len() - 1]), @"read safetensors: tensor `w`: it needs bytes 62 to 70 of a file of 69; the file was cut off: x");
    assert_snapshot!(mistake(&good[..20]), @"read safetensors: the header: it needs bytes 8 to 62 of a file of 20; the file was cut off: x");
    let huge = [&(99_999_999_u64).to_le_bytes()[..], &good[8..]].concat();
    assert_snapshot!(mistake(&huge), @"read safetensors: the header: it needs bytes 8 to 100000007 of a file of 70; the file was cut off: x");
    assert_snapshot!(of(&format!("{{{W},{W}}}")), @"read safetensors: tensor `w`: the name is there twice: x");
    assert_snapshot!(of(r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#), @"read safetensors: tensor `v`: its bytes begin at 0 and should begin at 4: tensors overlap or leave a hole: x");
    assert_snapshot!(of(r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#), @"read safetensors: tensor `w`: its bytes begin at 4 and should begin at 0: tensors overlap or leave a hole: x");
    assert_snapshot!(of(r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#), @"read safetensors: the end: 4 bytes belong to no tensor: x");
    assert_snapshot!(of(r#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#), @"read safetensors: tensor `w`: shape [3] of F32 needs 12 bytes and there are 8: x");
    assert_snapshot!(of(r#"{"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#), @"read safetensors: tensor `w`: shape [4294967296, 4294967296] is larger than memory can be: x");
    assert_snapshot!(of(r#"{"w":{"dtype":"F4","shape":[16],"data_offsets":[0,8]}}"#), @"read safetensors: tensor `w`: numbers of type F4 cannot be kept: x");
    assert_snapshot!(of(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]}}"#), @"read safetensors: tensor `w`: it needs bytes 81 to 18446744073709551615 of a file of 89; the file was cut off: x");
    assert_snapshot!(of(r#"{"w":{"dtype":"F32","shape":[2]}}"#), @"read safetensors: the header: bad JSON (missing field `data_offsets` at line 1 column 32): x");
    assert_snapshot!(of("{"), @"read safetensors: the header: bad JSON (EOF while parsing an object at line 1 column 1): x");
    assert_snapshot!(mistake(&safetensors("{}", b"")), @"read safetensors: the content: it holds no tensor: x");
}

#[test]
fn law_10_what_a_pickle_would_call_is_named_and_not_called() {
    let dir = tempfile::tempdir().unwrap();
    let touched = dir.path().join("touched");
    let call = [
        b"cposix\nsystem\n".to_vec(),
        tuple(&[text(&format!("touch {}", touched.display()))]),
        b"R".to_vec(),
    ]
    .concat();
    // As a value beside a tensor, ...
    let w = tensor("FloatStorage", "0", 4, 0, &[4], &[1]);
    let read = read("x.pt", &one(&dict(&[("evil", call.clone()), ("w", w.clone())]))).unwrap();
    assert_eq!(values(&read, "w"), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(
        (read.n_skipped, &read.skipped[..]),
        (1, &["`evil`: `posix.system` is not called, and not read".to_owned()][..])
    );
    // ... as everything there is, ...
    assert_snapshot!(mistake(&one(&call)), @"read torch: the content: it holds no tensor; `all of it`: `posix.system` is not called, and not read: x");
    // ... as the storage of a tensor, ...
    let given = tuple(&[call.clone(), int(0), tuple(&[int(1)]), tuple(&[int(1)])]);
    let odd = [b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec(), given, b"R".to_vec()].concat();
    assert_snapshot!(mistake(&one(&dict(&[("w", odd)]))), @"read torch: `w`: expected what PyTorch or numpy describe a tensor with: x");
    // ... as what makes the function that is called.
    let made = [call, b")R".to_vec()].concat();
    let got = crate::support::read("x.pt", &one(&dict(&[("made", made), ("w", w)]))).unwrap();
    assert_eq!(got.n_skipped, 1);
    assert!(!touched.exists());
}

#[test]
fn law_10_views_that_reach_outside_are_refused() {
    assert_eq!(values(&read("x", &one(&view(1, &[2], &[2]))).unwrap(), "w"), [2.0, 4.0]);
    assert_snapshot!(mistake(&one(&view(1, &[4], &[1]))), @"read torch: tensor `w`: offset 1, shape [4] and strides [1] reach outside a storage of 4 values: x");
    assert_snapshot!(mistake(&one(&view(-1, &[1], &[1]))), @"read torch: `w`: expected a number from 0: x");
    assert_snapshot!(mistake(&one(&view(0, &[2], &[i64::MAX]))), @"read torch: tensor `w`: offset 0, shape [2] and strides [9223372036854775807] reach outside a storage of 4 values: x");
    assert_snapshot!(mistake(&one(&view(0, &[2, 2], &[1]))), @"read torch: `w`: expected what PyTorch or numpy describe a tensor with: x");
    // A number of four bytes, repeated without end.
    assert_snapshot!(mistake(&one(&view(0, &[1 << 40], &[0]))), @"read torch: tensor `w`: the tensors take more than 268445744 bytes, far more than the file has: it repeats or expands the same bytes; save copies of its tensors if you trust it: x");
    assert_snapshot!(mistake(&one(&view(0, &[1 << 40, 1 << 40], &[0, 0]))), @"read torch: tensor `w`: shape [1099511627776, 1099511627776] is larger than memory can be: x");
    // A storage that says it is larger than its entry.
    let long = dict(&[("w", tensor("FloatStorage", "0", 5, 0, &[1], &[1]))]);
    assert_snapshot!(mistake(&one(&long)), @"read torch: entry `archive/data/0`: it needs bytes 0 to 20 of a file of 16; the file was cut off: x");
    let absent = dict(&[("w", tensor("FloatStorage", "7", 4, 0, &[1], &[1]))]);
    assert_snapshot!(mistake(&one(&absent)), @"read torch: tensor `w`: expected a storage in the archive, found `archive/data/7, which is not there`: x");
    let quantized = dict(&[("w", tensor("QInt8Storage", "0", 4, 0, &[1], &[1]))]);
    assert_snapshot!(mistake(&one(&quantized)), @"read torch: `w`: numbers of type torch.QInt8Storage cannot be kept: x");
}

#[test]
fn law_10_pickles_that_expand_end() {
    // A list of ten times the list before, twelve times over: 10^12 leaves in two hundred bytes.
    let mut laughs = b"]q\x00K\x01a".to_vec();
    for i in 0..12_u8 {
        laughs.extend([b"](".to_vec(), [b'h', i].repeat(10), vec![b'e', b'q', i + 1]].concat());
    }
    assert_snapshot!(mistake(&one(&laughs)), @"read torch: `0/0/0/0/0/1/9/8/6/7/7/2`: more than 4194304 values: not a checkpoint: x");
    // The same with a long text, so that the text would fill memory first.
    let mut texts = [text(&"x".repeat(100_000)), b"q\x00".to_vec()].concat();
    for i in 0..4_u8 {
        texts.extend([b"](".to_vec(), [b'h', i].repeat(50), vec![b'e', b'q', i + 1]].concat());
    }
    assert_snapshot!(mistake(&one(&texts)), @"read torch: `0/0/13/21`: more than 67108864 bytes of text beside the tensors: not a checkpoint: x");
    // A list in itself.
    assert_snapshot!(mistake(&one(b"]q\x00h\x00a")), @"read torch: `0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0`: it is nested more than 64 levels deep: x");
    let deep = [b"]".repeat(1000), b"a".repeat(999)].concat();
    assert_snapshot!(mistake(&one(&deep)), @"read torch: `0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0`: it is nested more than 64 levels deep: x");
    // A parameter around a parameter around ...
    let mut wrapped = tensor("FloatStorage", "0", 4, 0, &[4], &[1]);
    for _ in 0..100 {
        let given = tuple(&[wrapped, b"\x88".to_vec(), b"N".to_vec()]);
        wrapped = [b"ctorch._utils\n_rebuild_parameter\n".to_vec(), given, b"R".to_vec()].concat();
    }
    assert_snapshot!(mistake(&one(&dict(&[("w", wrapped)]))), @"read torch: `w`: it is nested more than 8 levels deep: x");
    assert_snapshot!(mistake(&one(&b"(".repeat(70_000))), @"read torch: archive/data.pkl at byte 65538: more than 65536 marks: not a checkpoint: x");
}

#[test]
fn law_10_broken_pickles_are_refused_with_their_place() {
    for body in [
        &b"X\xff\xff\xff\xffabc"[..],
        b"h\x05",
        b"0",
        b"t",
        b"R",
        b"u",
        b"b",
        b"K\x01K\x02a",
        b"(1",
        b"(0",
    ] {
        let said = mistake(&one(body));
        assert!(said.contains("archive/data.pkl at byte"), "{said}");
    }
    assert_snapshot!(mistake(&one(b"\x82\x01")), @"read torch: archive/data.pkl at byte 2: instruction 0x82 is not one that tensors are saved with: x");
    assert_snapshot!(mistake(&one(b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f")), @"read torch: archive/data.pkl at byte 2: it needs bytes 11 to 9223372036854775818 of a file of 12; the file was cut off: x");
    assert_snapshot!(mistake(&torch(b"\x80\x02}", &[])), @"read torch: archive/data.pkl at byte 3: it needs bytes 3 to 4 of a file of 3; the file was cut off: x");
}

#[test]
fn law_10_archives_that_lie_are_refused() {
    let body = pickle(&view(0, &[4], &[1]));
    let data = floats(&[1.0, 2.0, 3.0, 4.0]);
    let of = |entries: &[(&str, &[u8])]| {
        let all = [&[("archive/data.pkl", &body[..]), ("archive/data/0", &data)], entries].concat();
        zip(&all)
    };
    assert!(read("x", &of(&[])).is_ok());
    assert_snapshot!(mistake(&of(&[("../../etc/passwd", b"x")])), @"read torch: entry `../../etc/passwd`: the name leaves its folder: x");
    assert_snapshot!(mistake(&of(&[("/etc/passwd", b"x")])), @"read torch: entry `/etc/passwd`: the name leaves its folder: x");
    assert_snapshot!(mistake(&of(&[("archive\\..\\x", b"x")])), @r"read torch: entry `archive\..\x`: the name leaves its folder: x");
    assert_snapshot!(mistake(&of(&[("archive/data/0", b"x")])), @"read torch: entry `archive/data/0`: the name is there twice: x");
    assert_snapshot!(mistake(&of(&[("archive/byteorder", b"big")])), @"read torch: archive/byteorder: it was written by a big-endian machine; save it again on a little-endian one: x");
    assert_snapshot!(mistake(&of(&[("other/data.pkl", &body)])), @"read torch: the archive: expected one `data.pkl` in the folder of the archive: x");
    let good = of(&[]);
    assert_snapshot!(mistake(&good[..good.len() - 30]), @"read torch: the directory of the archive: expected the end of a zip archive; was the file cut off?: x");
    // A changed byte of a storage.
    let mut changed = good.clone();
    let at = changed.windows(4).position(|w| w == 2.0_f32.to_le_bytes()).unwrap();
    changed[at] ^= 1;
    assert_snapshot!(mistake(&changed), @"read torch: entry `archive/data/0`: its checksum does not match, bytes were changed or lost: x");
    // An entry that lies in the bytes of another, as in archives that expand without end.
    let inner = zip(&[("archive/data/1", &data)]);
    let inner = &inner[..30 + 14 + 16];
    let mut overlapping = of(&[("archive/data/2", inner), ("archive/data/1", &data)]);
    let at = overlapping.windows(14).position(|w| w == b"archive/data/1").unwrap() as u32 - 30;
    let entry = overlapping.windows(14).rposition(|w| w == b"archive/data/1").unwrap();
    overlapping[entry - 4..entry].copy_from_slice(&at.to_le_bytes());
    assert_snapshot!(mistake(&overlapping), @"read torch: entry `archive/data/1`: its bytes begin at 319 and should begin at 379: tensors overlap or leave a hole: x");
    // Lengths beyond the file.
    let central = good.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    let mut long = good.clone();
    long[central + 20..central + 28].copy_from_slice(&[0xfe; 8]);
    assert_snapshot!(mistake(&long), @"read torch: entry `archive/data/0`: it needs bytes 259 to 4278124545 of a file of 419; the file was cut off: x");
    let mut packed = good;
    packed[central + 10] = 12;
    assert_snapshot!(mistake(&packed), @"read torch: entry `archive/data/0`: it is packed with method 12; unpack and pack it again without compression: x");
}

#[test]
fn law_10_arrays_of_objects_and_false_headers_are_refused() {
    let npy = |header: &str, data: &[u8]| {
        let n = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &n[..], header.as_bytes(), data].concat()
    };
    let header = |descr: &str, shape: &str| {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
    };
    assert!(read("x", &npy(&header("<f4", "(1,)"), &[0; 4])).is_ok());
    assert_snapshot!(mistake(&npy(&header("|O", "(1,)"), &[0; 4])), @"read npy: array `tensor`: numbers of type numpy |O cannot be kept: x");
    assert_snapshot!(mistake(&npy(&header(">f4", "(1,)"), &[0; 4])), @"read npy: array `tensor`: it was written by a big-endian machine; save it again on a little-endian one: x");
    assert_snapshot!(mistake(&npy(&header("<f4", "(2,)"), &[0; 4])), @"read npy: array `tensor`: shape [2] of F32 needs 8 bytes and there are 4: x");
    assert_snapshot!(mistake(&npy(&header("<f4", "(99999999999999999999,)"), &[0; 4])), @"read npy: array `tensor`: expected a shape of whole numbers: x");
    assert_snapshot!(mistake(&npy(&header("<f4", "(1,)"), &[0; 4])[..20]), @"read npy: array `tensor`: it needs bytes 0 to 67 of a file of 20; the file was cut off: x");
}
