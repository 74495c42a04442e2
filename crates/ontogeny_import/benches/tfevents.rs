//! Reading TensorBoard files: how fast our reader is on the bytes that a peer is given too.
//!
//! `cargo bench -p ontogeny_import -- write FILE N` makes a file of N scalars of 20 tags, step by step as a training
//! loop does; `-- write-tensors FILE N` the same as TensorFlow 2 encodes them. `-- read FILE [ROUNDS]` reads it and
//! prints seconds, readings, bytes and peak memory as JSON; `-- bounds FILE` what reading alone and CRC32C alone
//! cost on the same bytes. `benches/peers/tensorboard.sh` calls them all and TensorBoard's own loader on the
//! same file.

use ontogeny_import::{Discard, Input, Options, import, unit_of};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::time::Instant;

/// Series of the file.
const N_TAGS: u64 = 20;
/// Bytes that are read at a time where nothing but reading is measured.
const PIECE: usize = 1 << 18;
/// Bytes of a file whose checksums are computed in memory.
const IN_MEMORY: u64 = 1 << 30;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |n: &str| n.parse::<u64>().expect("a number");
    match words[..] {
        ["write", path, n] => write(Path::new(path), number(n), simple_value),
        ["write-tensors", path, n] => write(Path::new(path), number(n), tensor),
        ["read", path] => read(Path::new(path), 5),
        ["read", path, rounds] => read(Path::new(path), number(rounds)),
        ["bounds", path] => bounds(Path::new(path)),
        _ => {
            let dir = std::env::temp_dir().join(format!("ontogeny-bench-{}", std::process::id()));
            std::fs::create_dir_all(&dir).expect("a temporary folder");
            let path = dir.join("events.out.tfevents.1.bench");
            write(&path, 1_000_000, simple_value);
            read(&path, 5);
            std::fs::remove_dir_all(&dir).expect("the temporary folder");
        }
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put(out: &mut Vec<u8>, key: u8, bytes: &[u8]) {
    out.push(key);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// As PyTorch's `SummaryWriter` does.
fn simple_value(out: &mut Vec<u8>, value: f32) {
    out.push(0x15);
    out.extend(value.to_le_bytes());
}

/// As `tf.summary.scalar` does, without the metadata that it writes at every step.
fn tensor(out: &mut Vec<u8>, value: f32) {
    let mut tensor = vec![0x08, 1, 0x12, 0, 0x22, 4];
    tensor.extend(value.to_le_bytes());
    put(out, 0x42, &tensor);
}

/// A record's checksum, masked as TensorFlow does.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Writes `n` scalars, holding one record at a time.
fn write(path: &Path, n: u64, encode: fn(&mut Vec<u8>, f32)) {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).expect("a new file"));
    let mut record = |payload: &[u8]| {
        let len = (payload.len() as u64).to_le_bytes();
        for part in [&len[..], &masked(&len).to_le_bytes(), payload, &masked(payload).to_le_bytes()]
        {
            out.write_all(part).expect("room on the disk");
        }
    };
    let began = 1.7e9_f64;
    let mut version = vec![0x09];
    version.extend(began.to_le_bytes());
    put(&mut version, 0x1a, b"brain.Event:2");
    record(&version);
    let tags: Vec<String> = (0..N_TAGS).map(|t| format!("train/metric_{t:02}")).collect();
    let (mut payload, mut value, mut summary) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..n {
        let (step, t) = (i / N_TAGS, i % N_TAGS);
        value.clear();
        put(&mut value, 0x0a, tags[t as usize].as_bytes());
        encode(&mut value, (t as f32 + 1.0) / (step as f32 + 1.0).sqrt());
        summary.clear();
        put(&mut summary, 0x0a, &value);
        payload.clear();
        payload.push(0x09);
        payload.extend((began + 0.01 * i as f64).to_le_bytes());
        if step > 0 {
            payload.push(0x10);
            put_varint(&mut payload, step);
        }
        put(&mut payload, 0x2a, &summary);
        record(&payload);
    }
    out.flush().expect("room on the disk");
}

/// The shortest of several turns, in seconds.
fn best(rounds: u64, mut turn: impl FnMut()) -> f64 {
    let times = (0..rounds).map(|_| {
        let began = Instant::now();
        turn();
        began.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

fn read(path: &Path, rounds: u64) {
    let options = Options::default();
    let unit = unit_of(Input::from_path(path), &options).expect("an event file");
    let mut n_points = 0;
    let secs = best(rounds, || {
        n_points = import(&unit, &options, &mut Discard).expect("a sound file").n_points;
    });
    let n_bytes = std::fs::metadata(path).map_or(0, |m| m.len());
    let line = serde_json::json!({
        "secs": secs, "n": n_points, "n_bytes": n_bytes, "peak_memory_mb": peak_memory_mb(),
    });
    writeln!(std::io::stdout(), "{line}").expect("a reader of the output");
}

/// The largest resident set of this process so far, where the system tells.
fn peak_memory_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

/// What cannot be avoided: reading the file into one buffer, and the checksums of its records in memory.
fn bounds(path: &Path) {
    let mut piece = vec![0; PIECE];
    let read_secs = best(5, || {
        let mut file = File::open(path).expect("the file");
        while file.read(&mut piece).expect("the file") > 0 {}
    });
    let n_bytes = std::fs::metadata(path).map_or(0, |m| m.len());
    let (mut crc_secs, mut stream_secs) = (None, None);
    if n_bytes <= IN_MEMORY {
        let bytes = std::fs::read(path).expect("the file");
        crc_secs = Some(best(5, || {
            let mut rest = &bytes[..];
            while let Some((header, after)) = rest.split_at_checked(12) {
                let len = u64::from_le_bytes(*header.first_chunk().expect("8 of 12 bytes"));
                let (payload, after) = after.split_at(len as usize);
                let is_sound = masked(&header[..8]).to_le_bytes() == header[8..]
                    && masked(payload).to_le_bytes() == after[..4];
                assert!(is_sound, "a sound file");
                rest = &after[4..];
            }
        }));
        let mut crc = 0;
        stream_secs = Some(best(5, || crc ^= crc32c::crc32c(std::hint::black_box(&bytes))));
        std::hint::black_box(crc);
    }
    let line = serde_json::json!({
        "read_secs": read_secs, "crc_of_records_secs": crc_secs, "crc_of_whole_secs": stream_secs,
    });
    writeln!(std::io::stdout(), "{line}").expect("a reader of the output");
}
