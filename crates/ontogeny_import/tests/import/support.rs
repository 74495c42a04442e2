//! Small files in every format, made here.

use ontogeny_import::{Collected, ImportError, Input, Options, Report, Unit, import, unit_of};
use std::path::PathBuf;

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A field that is a number of variable length.
pub(crate) fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field of bytes.
pub(crate) fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

pub(crate) fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A record of a TensorBoard file.
pub(crate) fn record(payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u64).to_le_bytes();
    [&len[..], &masked(&len).to_le_bytes(), payload, &masked(payload).to_le_bytes()].concat()
}

/// An event with one value that TensorBoard 1 would write.
pub(crate) fn scalar(wall: f64, step: i64, tag: &str, value: f32) -> Vec<u8> {
    let value = [bytes(1, tag.as_bytes()), vec![2 << 3 | 5], value.to_le_bytes().to_vec()].concat();
    event(wall, step, &value)
}

/// An event with one value of a summary.
pub(crate) fn event(wall: f64, step: i64, value: &[u8]) -> Vec<u8> {
    let head = [vec![1 << 3 | 1], wall.to_le_bytes().to_vec()].concat();
    record(&[head, number(2, step.cast_unsigned()), bytes(5, &bytes(1, value))].concat())
}

/// A TensorBoard file: its version, then `n` steps of two scalars, one of them a tensor of a double.
pub(crate) fn tfevents(n: i64) -> Vec<u8> {
    let version = [vec![1 << 3 | 1], 1e9_f64.to_le_bytes().to_vec(), bytes(3, b"brain.Event:2")];
    let mut file = record(&version.concat());
    for step in 0..n {
        let wall = 1e9 + step as f64;
        file.extend(scalar(wall, step, "loss", 10.0 / (step + 1) as f32));
        let shape = bytes(2, &[]);
        let tensor = [number(1, 2), shape, bytes(4, &(0.1 * step as f64).to_le_bytes())].concat();
        let value = [bytes(1, b"lr"), bytes(8, &tensor)].concat();
        file.extend(event(wall, step, &value));
    }
    file
}

/// A W&B file with a configuration and `n` rows of history; its records are cut at block borders.
pub(crate) fn wandb(n: u64) -> Vec<u8> {
    let item = |key: &str, json: &str| {
        bytes(1, &[bytes(2, key.as_bytes()), bytes(16, json.as_bytes())].concat())
    };
    let config = bytes(1, &[bytes(1, b"lr"), bytes(16, b"0.02")].concat());
    let mut records = vec![bytes(17, &bytes(4, &config))];
    for i in 0..n {
        let loss = if i == 3 { "NaN".to_owned() } else { format!("{}", 5.0 / (i + 1) as f64) };
        let row = [
            item("_step", &(10 * i).to_string()),
            item("val/loss", &loss),
            item("note", &format!("\"{}\"", "x".repeat(300))),
            item("_runtime", &format!("{i}.5")),
        ];
        records.push(bytes(2, &row.concat()));
    }
    framed(&records)
}

/// Records in blocks of 32 KiB, as LevelDB cuts them, with the CRC that W&B writes.
pub(crate) fn framed(records: &[Vec<u8>]) -> Vec<u8> {
    let mut file = b":W&B\xe1\xbe\x00".to_vec();
    for record in records {
        let (mut rest, mut is_first) = (&record[..], true);
        loop {
            let left = 32_768 - file.len() % 32_768;
            if left < 7 {
                file.resize(file.len() + left, 0);
                continue;
            }
            let n = rest.len().min(left - 7);
            let is_last = n == rest.len();
            let kind = match (is_first, is_last) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            let data = [&[kind], &rest[..n]].concat();
            file.extend(crc32fast::hash(&data).to_le_bytes());
            file.extend((n as u16).to_le_bytes());
            file.extend(&data);
            rest = &rest[n..];
            is_first = false;
            if is_last {
                break;
            }
        }
    }
    file
}

pub(crate) const HF: &str = r#"{"best_metric": null, "epoch": 1.0, "log_history": [
  {"loss": 2.5, "learning_rate": 5e-05, "epoch": 0.5, "step": 10},
  {"eval_loss": NaN, "eval_runtime": 1.25, "epoch": 1.0, "step": 20}
], "max_steps": 20, "train_batch_size": 4}"#;

pub(crate) const LM_EVAL_OLD: &str = r#"{"results": {"arc": {"acc": 0.25, "acc_stderr": 0.01}, "lambada": {"ppl": 26.5}},
  "versions": {"arc": 0}, "config": {"model": "hf", "model_args": "pretrained=org/m,revision=step512", "num_fewshot": 0}}"#;

pub(crate) const LM_EVAL_NEW: &str = r#"{"results": {"arc": {"alias": " - arc", "acc,none": 0.5, "acc_stderr,none": 0.02,
  "exact_match,strict": 0.1, "exact_match_stderr,strict": "N/A"}}, "configs": {"arc": {}}, "versions": {"arc": 1}, "n-shot": {"arc": 0},
  "config": {"model": "hf", "model_args": {"pretrained": "org/m", "revision": "step1000"}}}"#;

pub(crate) const TEXT: &str = "starting\nstep:0/100 val_loss:10.9 train_time:0ms step_avg:nanms\nstep:50/100 val_loss:4.5 train_time:1200ms step_avg:24.5ms\nstep:100/100 val_loss:3.25 train_time:2400ms step_avg:24.0ms\n";

pub(crate) const CSV: &str = "step,loss,acc,note\n0,2.5,0.1,a\n10,1.25,,b\n20,nan,0.9,c\n";

pub(crate) const JSONL: &str = "{\"step\": 0, \"loss\": 2.5, \"eval\": {\"acc\": 0.1}}\n{\"step\": 10, \"loss\": NaN, \"note\": \"x\"}\n";

pub(crate) const POINTS: &str = "run_id,step,task,tokens,metric,value,stderr\n0,0,arc,0,acc,0.25,0.01\n0,10,arc,1000,acc,0.5,0.02\n0,10,,1000,loss,2.5,\n1,0,arc,0,acc,0.3,0.01\n1,-1,arc,,acc,0.4,0.01\n";

pub(crate) const RUNS: &str = "run_id,run,lr,deduped,hparams_json,final_acc\n0,model a,0.001,True,\"{\"\"beta\"\": 0.9}\",0.5\n1,model/b,0.002,False,,0.4\n";

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A unit of bytes under a name.
pub(crate) fn unit(
    name: &str,
    bytes: impl Into<Vec<u8>>,
    options: &Options,
) -> Result<Unit, ImportError> {
    unit_of(Input::from_bytes(name, bytes.into()), options)
}

/// Imports bytes under a name.
pub(crate) fn read(
    name: &str,
    bytes: impl Into<Vec<u8>>,
    options: &Options,
) -> Result<(Collected, Report), ImportError> {
    let mut collected = Collected::default();
    let report = import(&unit(name, bytes, options)?, options, &mut collected)?;
    Ok((collected, report))
}

/// Points of a series of the first run.
pub(crate) fn points(collected: &Collected, run: usize, name: &str) -> Vec<(u64, f64)> {
    let series = collected.runs[run].get(name);
    let series =
        series.unwrap_or_else(|| panic!("no series {name}: {:?}", collected.runs[run].series));
    series.points.iter().map(|p| (p.step.0, p.value)).collect()
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
