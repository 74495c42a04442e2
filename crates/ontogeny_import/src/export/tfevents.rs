//! TensorBoard event files: a folder for each run with one file in it.
//!
//! Single precision is all that the older encoding has, so a series that needs double precision is written as tensors of
//! doubles, which TensorBoard's scalars show as well. The configuration goes to `hparams.json` beside the file.

use super::draft::Draft;
use super::{ExportedRun, Exporter};
use crate::ImportError;
use crate::formats::{dtype, put_record};
use crate::wire::{put_bytes, put_varint};
use ontogeny_core::{Point, Series};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes a folder for each run.
#[derive(Debug)]
pub(super) struct TfEvents {
    dir: PathBuf,
    files: Vec<PathBuf>,
}

impl TfEvents {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf(), files: Vec::new() }
    }
}

/// Whether single precision holds every value.
fn is_single(series: &Series) -> bool {
    series.points.iter().all(|p| p.value.is_nan() || f64::from(p.value as f32) == p.value)
}

fn event(out: &mut Vec<u8>, wall_time: f64, point: &Point, value: &[u8]) {
    out.clear();
    out.push(1 << 3 | 1);
    out.extend_from_slice(&wall_time.to_le_bytes());
    if point.step.0 > 0 {
        out.push(2 << 3);
        put_varint(out, point.step.0);
    }
    let mut summary = Vec::with_capacity(value.len() + 4);
    put_bytes(&mut summary, 1, value);
    put_bytes(out, 5, &summary);
}

/// A value of a summary; the first of a series says that it is for the scalars dashboard.
fn summary_value(out: &mut Vec<u8>, tag: &str, value: f64, single: bool, is_first: bool) {
    out.clear();
    put_bytes(out, 1, tag.as_bytes());
    if single {
        out.push(2 << 3 | 5);
        out.extend_from_slice(&(value as f32).to_le_bytes());
        return;
    }
    let mut tensor = vec![1 << 3];
    put_varint(&mut tensor, dtype::DOUBLE);
    put_bytes(&mut tensor, 2, &[]);
    put_bytes(&mut tensor, 4, &value.to_le_bytes());
    put_bytes(out, 8, &tensor);
    if is_first {
        let (mut plugin, mut metadata) = (Vec::new(), Vec::new());
        put_bytes(&mut plugin, 1, b"scalars");
        put_bytes(&mut metadata, 1, &plugin);
        metadata.push(4 << 3); // The data class of scalars.
        put_varint(&mut metadata, 1);
        put_bytes(out, 9, &metadata);
    }
}

impl Exporter for TfEvents {
    fn run(&mut self, run: &ExportedRun<'_>) -> Result<(), ImportError> {
        let dir = self.dir.join(run.id);
        std::fs::create_dir_all(&dir).map_err(|e| ImportError::io("create the folder", &dir, e))?;
        let began = run.began_unix_secs.max(0.0);
        let name = format!("events.out.tfevents.{:010}.ontogeny", began as u64);
        let (draft, mut file) = Draft::new(dir.join(name))?;
        let (mut record, mut payload, mut value) = (Vec::new(), Vec::new(), Vec::new());
        payload.push(1 << 3 | 1);
        payload.extend_from_slice(&began.to_le_bytes());
        put_bytes(&mut payload, 3, b"brain.Event:2");
        put_record(&mut record, &payload);
        file.write_all(&record).map_err(|e| draft.failed(e))?;
        for series in run.series {
            let single = is_single(series);
            for (i, point) in series.points.iter().enumerate() {
                summary_value(&mut value, &series.name, point.value, single, i == 0);
                let wall = run.wall_secs_at(point.step);
                let wall = if wall.is_finite() { began + wall } else { began };
                event(&mut payload, wall, point, &value);
                record.clear();
                put_record(&mut record, &payload);
                file.write_all(&record).map_err(|e| draft.failed(e))?;
            }
        }
        if !run.config.is_empty() {
            let (draft, mut out) = Draft::new(dir.join("hparams.json"))?;
            let written = serde_json::to_writer_pretty(&mut out, run.config);
            written.map_err(|e| draft.failed(e.into()))?;
            self.files.push(draft.place(out)?);
        }
        self.files.push(draft.place(file)?);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<PathBuf>, ImportError> {
        Ok(self.files)
    }
}
