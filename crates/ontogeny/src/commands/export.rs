//! `ontogeny export`: runs for other tools.

use crate::describe;
use crate::face::{Face, write_json};
use crate::failure::Failure;
use crate::names;
use crate::text::count;
use ontogeny_core::{RunManifest, Series, Step};
use ontogeny_import::export::{ExportedRun, FORMATS, exporter};
use ontogeny_store::{RunReader, Store};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Write the series of runs for other tools
///
/// `csv` and `parquet` write a tidy folder, `runs` and `points`; `tfevents` a folder per run that TensorBoard reads.
/// What is written can be imported again and is the same to the last bit. Vector readings are left out: they
/// are no scalars (`ontogeny series --csv` has them). Readings of zooms are written among the recorded ones.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny export skills.a.s0 skills.a.s1 --to out --format parquet
  ontogeny export --study pythia --to out --format tfevents")]
pub(crate) struct Args {
    /// The runs
    #[arg(value_name = "RUN", required_unless_present = "study")]
    runs: Vec<String>,

    /// All runs of this study
    #[arg(long, value_name = "ID")]
    study: Option<String>,

    /// The folder to write into; made if need be
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// csv, parquet or tfevents
    #[arg(long, value_name = "NAME", value_parser = FORMATS, default_value = "csv")]
    format: String,

    /// Leave out the readings of zooms
    #[arg(long)]
    recorded: bool,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let readers = args.readers(&store, face)?;
    let mut exporter = exporter(&args.format, &args.to)?;
    let (mut n_readings, mut n_vectors) = (0, 0);
    for reader in &readers {
        let all = if args.recorded { reader.recorded()? } else { reader.all_series()? };
        let series: Vec<&Series> = all.values().collect();
        n_readings += series.iter().map(|s| s.points.len()).sum::<usize>();
        let vectors =
            if args.recorded { reader.recorded_tensor_names()? } else { reader.tensor_names()? };
        n_vectors += vectors.len();
        // At the readings of zooms nobody looked at a clock.
        let clocks = reader.recorded_clocks()?;
        let has_clock = clocks.values().any(|c| c.wall_secs != 0.0);
        let wall: Vec<(Step, f64)> =
            clocks.iter().filter(|_| has_clock).map(|(s, c)| (*s, c.wall_secs)).collect();
        let manifest = reader.manifest();
        exporter.run(&ExportedRun {
            id: manifest.run.as_str(),
            config: &config(manifest),
            series: &series,
            began_unix_secs: manifest.created_unix_secs,
            wall_secs: &wall,
        })?;
    }
    let files = exporter.finish()?;
    if face.json {
        let runs: Vec<_> = readers.iter().map(|r| &r.manifest().run).collect();
        let answer = json!({ "runs": runs, "files": files, "n_readings": n_readings, "n_vectors_left_out": n_vectors });
        write_json(out, &answer)?;
        return Ok(());
    }
    let (runs, readings) = (count(readers.len(), "run"), count(n_readings, "reading"));
    writeln!(out, "wrote {readings} of {runs} to {}", args.to.display())?;
    if n_vectors > 0 {
        writeln!(
            out,
            "note: {n_vectors} vector series are no scalars and were left out; `ontogeny series --csv` has them"
        )?;
    }
    Ok(())
}

/// Hyper-parameters, and what an importer had kept apart from them.
fn config(manifest: &RunManifest) -> Map<String, Value> {
    let mut config = manifest.hyper_parameters();
    if let Some(from) = manifest.imported() {
        config.extend(from.outcomes);
    }
    config
}

impl Args {
    fn readers(&self, store: &Store, face: &Face) -> anyhow::Result<Vec<RunReader>> {
        let mut ids = Vec::new();
        for name in &self.runs {
            let id = names::run_id(name)?;
            if ids.contains(&id) {
                return Err(Failure::usage(format!("run {id} is named twice")).into());
            }
            ids.push(id);
        }
        if let Some(name) = &self.study {
            let study = crate::commands::report::known(store, name)?;
            let of_study = describe::readable_runs(store, face.json)?;
            let of_study = of_study.into_iter().filter(|m| m.study.as_ref() == Some(&study));
            ids.extend(of_study.map(|m| m.run).filter(|id| !self.runs.contains(&id.to_string())));
        }
        if ids.is_empty() {
            return Err(Failure::usage("there is no run to export").into());
        }
        Ok(ids.iter().map(|id| store.run(id)).collect::<Result<_, _>>()?)
    }
}
