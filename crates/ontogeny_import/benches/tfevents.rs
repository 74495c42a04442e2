//! Reading TensorBoard files: how fast our reader is on the bytes that a peer is given too.
//!
//! `cargo bench -p ontogeny_import -- write FILE N` makes a file of N scalars (20 tags, both encodings);
//! `-- read FILE` reads it and prints seconds, readings and bytes as JSON. `benches/peers/tensorboard.sh` calls both
//! and TensorBoard's own loader on the same file.

use ontogeny_core::Series;
use ontogeny_import::export::{ExportedRun, exporter};
use ontogeny_import::{Discard, Input, Options, import, unit_of};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// Series of the file.
const N_TAGS: u64 = 20;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["write", path, n] => write(Path::new(path), n.parse().expect("a number of scalars")),
        ["read", path] => read(Path::new(path)),
        _ => {
            let dir = std::env::temp_dir().join(format!("ontogeny-bench-{}", std::process::id()));
            std::fs::create_dir_all(&dir).expect("a temporary folder");
            let path = dir.join("events.out.tfevents.1.bench");
            write(&path, 1_000_000);
            read(&path);
            std::fs::remove_dir_all(&dir).expect("the temporary folder");
        }
    }
}

/// Writes `n` scalars, step by step as a training loop does.
fn write(path: &Path, n: u64) {
    let series: Vec<Series> = (0..N_TAGS)
        .map(|t| {
            let steps = n / N_TAGS;
            let value = |s: u64| f64::from((t as f32 + 1.0) / (s as f32 + 1.0).sqrt());
            Series::from_pairs(
                format!("train/metric_{t:02}"),
                "unknown",
                (0..steps).map(|s| (s, value(s))),
            )
        })
        .collect();
    let all: Vec<&Series> = series.iter().collect();
    let dir = path.with_extension("parts");
    let mut out = exporter("tfevents", &dir).expect("a folder beside the file");
    let config = serde_json::Map::new();
    let run = ExportedRun {
        id: "bench",
        config: &config,
        series: &all,
        began_unix_secs: 1.7e9,
        wall_secs: &[],
    };
    out.run(&run).expect("the file");
    let files = out.finish().expect("the file");
    std::fs::rename(&files[0], path).expect("the file");
    std::fs::remove_dir_all(&dir).expect("an empty folder");
}

fn read(path: &Path) {
    let options = Options::default();
    let unit = unit_of(Input::from_path(path), &options).expect("an event file");
    let mut best = f64::INFINITY;
    let mut n_points = 0;
    for _ in 0..5 {
        let began = Instant::now();
        let report = import(&unit, &options, &mut Discard).expect("a sound file");
        best = best.min(began.elapsed().as_secs_f64());
        n_points = report.n_points;
    }
    let n_bytes = std::fs::metadata(path).map_or(0, |m| m.len());
    let line = serde_json::json!({ "secs": best, "n": n_points, "n_bytes": n_bytes });
    writeln!(std::io::stdout(), "{line}").expect("a reader of the output");
}
