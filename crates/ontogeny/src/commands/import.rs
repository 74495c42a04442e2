//! `ontogeny import`: runs that were recorded elsewhere.

use crate::describe;
use crate::face::{CLOCK, Face, write_json};
use crate::failure::Failure;
use crate::importing::{Known, StoreSink, Ticker};
use crate::names;
use crate::text::{Table, count};
use ontogeny_core::{RunId, RunManifest, StudyId};
use ontogeny_import::{
    Discard, Found, LogPattern, Options, Report, StepRule, TableShape, Unit, find, format_named,
    import,
};
use ontogeny_store::{Store, StoreError};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Import runs that others recorded: logs, evaluations, tables
///
/// The format of every file is recognised by its content. A folder is walked in sorted order; files in it that are
/// in no known format are listed and left out. Runs appear in the store whole, all of them, or not at all, and
/// bytes that were imported before are not imported again. Steps that repeat or come late are kept in the order in which they
/// were written: of several readings at a step, the last counts.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny import logs/
  ontogeny import evals/ --step-from 'step(\\d+)' --study pythia
  ontogeny import train.log --pattern 'it (?<step>\\d+) loss (?<loss>\\S+)'
  ontogeny import old.wandb --keep-going --dry-run
  ontogeny import curves.csv --run-by dataset,learner --step-key train_size --columns test_err,val_err
  ontogeny import top1.csv --run-by model --series-by condition --value top1

Formats: tfevents, wandb, hf-trainer, lm-eval, jsonl, tidy, csv, text, and table (with --run-by); those of text also
as .gz")]
pub(crate) struct Args {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Put the runs into this study
    #[arg(long, value_name = "NAME")]
    study: Option<String>,

    /// The format of all files, instead of looking at their content
    #[arg(long, value_name = "NAME")]
    format: Option<String>,

    /// Where evaluations say their step: a regular expression with a group, tried on the file's name,
    /// the model's arguments and the folders; or one number for all
    #[arg(long, value_name = "REGEX")]
    step_from: Option<String>,

    /// The lines of plain-text logs: a regular expression with groups named `step` and after the series
    #[arg(long, value_name = "REGEX")]
    pattern: Option<String>,

    /// The column or key that holds the step in CSV, JSONL and W&B logs
    #[arg(long, value_name = "NAME")]
    step_key: Option<String>,

    /// The CSV is a table of many runs: the columns whose cells name the run
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    run_by: Vec<String>,

    /// Of such a table: the columns that are series, with * for anything
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', requires = "run_by")]
    columns: Vec<String>,

    /// Of such a table with a reading per row: the columns whose cells name the series
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', requires = "value")]
    series_by: Vec<String>,

    /// Of such a table with a reading per row: the column of the reading
    #[arg(long, value_name = "COLUMN", requires = "run_by")]
    value: Option<String>,

    /// Pass over what is damaged, say where it is, and keep the rest
    #[arg(long)]
    keep_going: bool,

    /// Put runs in the place of imported ones of the same name
    #[arg(long)]
    replace: bool,

    /// Read and report, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// What became of a unit.
enum Fate {
    /// It was read; its runs are staged.
    Read(Report, Vec<RunId>),
    /// The same bytes are in the store as these runs.
    Unchanged(Vec<RunId>),
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let options = args.options()?;
    let study = args.study.as_deref().map(names::study_id).transpose()?;
    let found = find(&args.paths, &options)?;
    let mut ticker = Ticker::new(face.json);
    let fates = if args.dry_run {
        dry_run(&found.units, &options, &mut ticker)
    } else {
        args.import(&found, &options, study.as_ref(), face, &mut ticker)
    };
    ticker.clear();
    let fates = fates?;
    if face.json {
        write_json(out, &to_json(&found, &fates, args.dry_run))?;
        return Ok(());
    }
    write(&found, &fates, args.dry_run, out)
}

/// Reads everything and keeps nothing.
fn dry_run(units: &[Unit], options: &Options, ticker: &mut Ticker) -> anyhow::Result<Vec<Fate>> {
    let mut fates = Vec::new();
    for (i, unit) in units.iter().enumerate() {
        ticker.unit(&unit.name, i, units.len());
        fates.push(Fate::Read(import(unit, options, &mut Discard)?, Vec::new()));
    }
    Ok(fates)
}

impl Args {
    fn options(&self) -> anyhow::Result<Options> {
        Ok(Options {
            format: self.format.as_deref().map(format_named).transpose()?,
            step_from: self.step_from.as_deref().map(StepRule::new).transpose()?,
            pattern: self.pattern.as_deref().map(LogPattern::new).transpose()?,
            step_key: self.step_key.clone(),
            table: (!self.run_by.is_empty()).then(|| TableShape {
                run: self.run_by.clone(),
                step: self.step_key.clone(),
                metric: self.series_by.clone(),
                value: self.value.clone(),
                series: self.columns.clone(),
            }),
            keep_going: self.keep_going,
        })
    }

    fn import(
        &self,
        found: &Found,
        options: &Options,
        study: Option<&StudyId>,
        face: &Face,
        ticker: &mut Ticker,
    ) -> anyhow::Result<Vec<Fate>> {
        let store = face.store_or_new()?;
        let manifests = describe::readable_runs(&store, face.json)?;
        let mut known = Known::new(&manifests);
        let staging = store.stage()?;
        let mut sink = StoreSink::new(&staging, &CLOCK, study.cloned(), ticker);
        let (mut fates, mut staged) = (Vec::new(), Vec::new());
        for (i, unit) in found.units.iter().enumerate() {
            if let Some(runs) = known.runs_of(unit, options, study)? {
                fates.push(Fate::Unchanged(runs.to_vec()));
                continue;
            }
            sink.begin(&unit.name, i, found.units.len());
            let report = import(unit, options, &mut sink)?;
            let made = sink.finish(&report, &options.describe())?;
            for manifest in &made {
                self.check_free(manifest, &store, &known)?;
            }
            for manifest in &made {
                if let Some(from) = manifest.imported() {
                    known.learn(&manifest.run, study.cloned(), from);
                }
            }
            let ids: Vec<RunId> = made.into_iter().map(|m| m.run).collect();
            staged.extend_from_slice(&ids);
            fates.push(Fate::Read(report, ids));
        }
        drop(sink);
        staging.publish(&staged, self.replace)?;
        if let Some(study) = study.filter(|_| !staged.is_empty()) {
            note_study(&store, study)?;
        }
        Ok(fates)
    }

    /// A run of this name may be in the store only if it is to be replaced, and may be.
    fn check_free(
        &self,
        manifest: &RunManifest,
        store: &Store,
        known: &Known,
    ) -> anyhow::Result<()> {
        let run = &manifest.run;
        match store.run(run) {
            Err(StoreError::UnknownRun { .. }) => return Ok(()),
            Ok(_) if self.replace && known.is_imported(run) => return Ok(()),
            Ok(_) if self.replace => {
                let what = format!("run {run} was trained here and is not replaced");
                return Err(Failure::usage(what).help("name another store with --store").into());
            }
            _ => {}
        }
        let what = format!("run {run} is in the store already, with other content");
        let help = "--replace puts the new one in its place; or name another store with --store";
        Err(Failure::usage(what).help(help).into())
    }
}

/// A study of imported runs has a folder, so that it can be listed and named.
fn note_study(store: &Store, study: &StudyId) -> Result<(), StoreError> {
    let folder = store.study(study);
    if folder.exists() { Ok(()) } else { folder.write_manifest(&json!({ "kind": "imported" })) }
}

fn to_json(found: &Found, fates: &[Fate], is_dry: bool) -> Value {
    let unit = |(unit, fate): (&Unit, &Fate)| {
        let (name, format) = (&unit.name, unit.format.name());
        let report = match fate {
            Fate::Unchanged(runs) => {
                return json!({ "unit": name, "format": format, "fate": "unchanged", "runs": runs });
            }
            Fate::Read(report, runs) => (report, runs),
        };
        let (r, runs) = report;
        let files = r.files.iter().map(|(path, print)| json!({ "path": path, "n_bytes": print.n_bytes, "blake3": print.blake3 }));
        json!({
            "unit": name, "format": format, "fate": if is_dry { "read" } else { "imported" },
            "runs": runs, "n_runs": r.n_runs, "n_series": r.n_series, "n_readings": r.n_points,
            "n_repeated": r.n_repeated, "n_late": r.n_late, "n_not_finite": r.n_not_finite,
            "n_without_step": r.n_without_step, "n_passed_over": r.n_passed_over,
            "notes": r.notes, "n_problems": r.n_problems,
            "problems": r.problems.iter().map(|p| format!("failed to {p}")).collect::<Vec<_>>(),
            "files": files.collect::<Vec<_>>(),
        })
    };
    json!({
        "units": found.units.iter().zip(fates).map(unit).collect::<Vec<_>>(),
        "unrecognised": found.unrecognised,
        "dry_run": is_dry,
    })
}

fn write(found: &Found, fates: &[Fate], is_dry: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut table = Table::new([
        "source",
        "format",
        "runs",
        "series",
        "readings",
        "repeated",
        "late",
        "not finite",
        "left out",
        "fate",
    ]);
    let (mut n_new, mut n_old) = (0, 0);
    for (unit, fate) in found.units.iter().zip(fates) {
        let (name, format) = (unit.name.as_str(), unit.format.name());
        match fate {
            Fate::Unchanged(runs) => {
                n_old += runs.len();
                let n = runs.len().to_string();
                table.row([name, format, &n, "", "", "", "", "", "", "already imported"]);
            }
            Fate::Read(r, runs) => {
                n_new += runs.len();
                let left_out = r.n_without_step + r.n_problems;
                let fate = if is_dry { "dry run" } else { "imported" };
                let n_runs = if is_dry { r.n_runs } else { runs.len() };
                let counts = [n_runs as u64, r.n_series as u64, r.n_points, r.n_repeated, r.n_late];
                let [n_runs, series, readings, repeated, late] = counts.map(|n| n.to_string());
                let (bad, left) = (r.n_not_finite.to_string(), left_out.to_string());
                let row = [
                    name, format, &n_runs, &series, &readings, &repeated, &late, &bad, &left, fate,
                ];
                table.row(row);
            }
        }
    }
    table.write(out, "")?;
    for fate in fates {
        let Fate::Read(r, _) = fate else { continue };
        let n = r.n_without_step;
        let without = (n > 0)
            .then(|| format!("{n} readings have a negative step, so none, and were left out"));
        for note in r.notes.iter().chain(&without) {
            writeln!(out, "note: {}: {note}", r.name)?;
        }
        for problem in &r.problems {
            writeln!(out, "passed over: failed to {problem}")?;
        }
        if r.n_problems > r.problems.len() as u64 {
            writeln!(out, "passed over: {} more", r.n_problems - r.problems.len() as u64)?;
        }
    }
    if !found.unrecognised.is_empty() {
        let n = found.unrecognised.len();
        let some: Vec<String> =
            found.unrecognised.iter().take(5).map(|p| p.display().to_string()).collect();
        let more = if n > 5 { ", ..." } else { "" };
        writeln!(out, "{} in no known format: {}{more}", count(n, "file"), some.join(", "))?;
    }
    if is_dry {
        writeln!(out, "\nnothing was written")?;
    } else {
        let old = if n_old > 0 { format!(", {n_old} already there") } else { String::new() };
        writeln!(out, "\n{} imported{old}; `ontogeny runs ls` lists them", count(n_new, "run"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_import::formats;

    #[test]
    fn the_help_names_every_format() {
        let help = clap::Command::new("x");
        let help = <Args as clap::Args>::augment_args(help).render_long_help().to_string();
        for format in formats() {
            assert!(help.contains(format.name()), "{}", format.name());
        }
    }
}
