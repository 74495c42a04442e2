//! Tidy CSV: `runs.csv.gz` and `points.csv.gz`.

use super::draft::Draft;
use super::tidy_runs::TidyRuns;
use super::{ExportedRun, Exporter, readings};
use crate::ImportError;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes the two tables.
#[derive(Debug)]
pub(super) struct TidyCsv {
    dir: PathBuf,
    draft: Draft,
    points: GzEncoder<BufWriter<File>>,
    runs: TidyRuns,
}

impl TidyCsv {
    pub(super) fn new(dir: &Path) -> Result<Self, ImportError> {
        let (draft, file) = Draft::new(dir.join("points.csv.gz"))?;
        let mut points = GzEncoder::new(file, Compression::default());
        let header = points.write_all(b"run_id,step,metric,value,stderr,unit,wall_secs\n");
        header.map_err(|e| draft.failed(e))?;
        Ok(Self { dir: dir.to_path_buf(), draft, points, runs: TidyRuns::default() })
    }
}

impl Exporter for TidyCsv {
    fn run(&mut self, run: &ExportedRun<'_>) -> Result<(), ImportError> {
        self.runs.add(run);
        let (id, out) = (quoted(run.id), &mut self.points);
        let written = readings::each(run, |r| {
            // The shortest text that reads back to the same bits.
            write!(out, "{id},{},{},{},", r.step, quoted(r.metric), r.value)?;
            if let Some(stderr) = r.stderr {
                write!(out, "{stderr}")?;
            }
            write!(out, ",{},", quoted(r.unit))?;
            if r.wall_secs.is_finite() {
                write!(out, "{}", r.wall_secs)?;
            }
            out.write_all(b"\n")
        });
        written.map_err(|e| self.draft.failed(e))
    }

    fn finish(self: Box<Self>) -> Result<Vec<PathBuf>, ImportError> {
        let (draft, file) = Draft::new(self.dir.join("runs.csv.gz"))?;
        let mut out = GzEncoder::new(file, Compression::default());
        let columns = self.runs.columns();
        let mut write = || -> std::io::Result<()> {
            write!(out, "run_id")?;
            for column in &columns {
                write!(out, ",{}", quoted(column))?;
            }
            out.write_all(b"\n")?;
            for (id, cells) in self.runs.rows(&columns) {
                write!(out, "{}", quoted(id))?;
                for cell in cells {
                    write!(out, ",{}", quoted(&cell.unwrap_or_default()))?;
                }
                out.write_all(b"\n")?;
            }
            Ok(())
        };
        write().map_err(|e| draft.failed(e))?;
        let points = self.points.finish().map_err(|e| self.draft.failed(e))?;
        let file = out.finish().map_err(|e| draft.failed(e))?;
        Ok(vec![self.draft.place(points)?, draft.place(file)?])
    }
}

/// A field of CSV.
fn quoted(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}
