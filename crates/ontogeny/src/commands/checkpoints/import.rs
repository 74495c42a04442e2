//! `ontogeny checkpoints import`: states that were saved elsewhere.

use super::bar::Bar;
use crate::face::{CLOCK, Face, write_json};
use crate::failure::Failure;
use crate::names;
use crate::progress::Interrupt;
use crate::text::{count, size};
use ontogeny_core::{
    Clock, Clocks, Imported, RunId, RunManifest, RunStatus, Seeds, SourceFile, Step, StopReason,
    Versions,
};
use ontogeny_import::checkpoints::{
    ForeignCheckpoint, FoundCheckpoints, find_checkpoints, read_checkpoint,
};
use ontogeny_import::{ImportError, StepRule};
use ontogeny_lab::LabError;
use ontogeny_store::{RunWriter, Store, StoreError, TensorView, state_hash};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

/// What the steps count, in what is stored beside the tensors.
const COUNTS: &str = "/imported/counts";
/// Things left out that are named one by one.
const MAX_NAMED: usize = 5;

/// Import checkpoints that others saved: safetensors, PyTorch, numpy
///
/// Files are recognised by their content, also sharded ones; folders are walked. Pickles are read as data: nothing in them
/// is called, and what would have been is told. The step is told by names (step1000, checkpoint-1000, epoch_00100, 100.pt);
/// files that tell the same step are one checkpoint. Checkpoints are stored one after another, each of them whole, so an
/// interrupted import goes on with the same command: a step that is there with the same state is passed over, and
/// one with another state is an error.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny checkpoints import checkpoints/ --run mine
  ontogeny checkpoints import output/ --run bert --keep-going
  ontogeny checkpoints import nets/ --step-from 'it(\\d+)' --dry-run")]
pub(crate) struct Args {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// The run that gets them: a new one, or one that was imported; by default named after the folder
    #[arg(long, value_name = "ID")]
    run: Option<String>,

    /// Where names say their step: a regular expression with a group
    #[arg(long, value_name = "REGEX")]
    step_from: Option<String>,

    /// Pass over checkpoints that are damaged, say where, and keep the rest
    #[arg(long)]
    keep_going: bool,

    /// Read and report, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// What became of what was found.
#[derive(Debug, Default)]
struct Tally {
    imported: Vec<u64>,
    already: Vec<u64>,
    raw_bytes: u64,
    stored_bytes: u64,
    n_tensors: usize,
    /// What files hold and was not read, with the step.
    skipped: Vec<(u64, Vec<String>, usize)>,
    problems: Vec<ImportError>,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let rule = args.step_from.as_deref().map(StepRule::new).transpose()?;
    let run = args.run_id()?;
    let found = find_checkpoints(&args.paths, rule)?;
    let mut bar = Bar::new(found.steps.len(), face.json);
    let mut tally = Tally::default();
    let done = if args.dry_run {
        args.dry_run(&found, &mut tally, &mut bar)
    } else {
        args.import(&found, &run, face, &mut tally, &mut bar)
    };
    bar.clear();
    done?;
    if face.json {
        write_json(out, &to_json(&found, &tally, &run, args.dry_run))?;
        return Ok(());
    }
    write(&found, &tally, &run, args.dry_run, out)
}

impl Args {
    fn run_id(&self) -> Result<RunId, Failure> {
        if let Some(name) = &self.run {
            return names::run_id(name);
        }
        let real = self.paths[0].canonicalize().ok();
        let name = real.as_deref().and_then(|p| {
            let folder = if p.is_dir() { Some(p) } else { p.parent() };
            Some(folder?.file_name()?.to_string_lossy().into_owned())
        });
        name.and_then(|n| RunId::made_of(&n)).ok_or_else(|| {
            Failure::usage("no name for the run can be made of the path")
                .help("give one with --run")
        })
    }

    /// Reads a step; `None` if it is damaged and that is passed over.
    fn read(
        &self,
        found: &FoundCheckpoints,
        i: usize,
        tally: &mut Tally,
    ) -> Result<Option<ForeignCheckpoint>, ImportError> {
        match read_checkpoint(&found.steps[i]) {
            Ok(checkpoint) => {
                if checkpoint.n_skipped > 0 {
                    let skipped = checkpoint.skipped.clone();
                    tally.skipped.push((checkpoint.step, skipped, checkpoint.n_skipped));
                }
                tally.n_tensors = tally.n_tensors.max(checkpoint.tensors.len());
                Ok(Some(checkpoint))
            }
            Err(e @ ImportError::Checkpoint { .. }) if self.keep_going => {
                tally.problems.push(e);
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    fn dry_run(
        &self,
        found: &FoundCheckpoints,
        tally: &mut Tally,
        bar: &mut Bar,
    ) -> anyhow::Result<()> {
        for (i, step) in found.steps.iter().enumerate() {
            if let Some(checkpoint) = self.read(found, i, tally)? {
                tally.imported.push(step.step);
                tally.raw_bytes += raw_bytes(&checkpoint);
            }
            bar.next(step.step);
        }
        Ok(())
    }

    fn import(
        &self,
        found: &FoundCheckpoints,
        run: &RunId,
        face: &Face,
        tally: &mut Tally,
        bar: &mut Bar,
    ) -> anyhow::Result<()> {
        let store = face.store_or_new()?;
        let interrupt = Interrupt::listen(|_| {
            let notice = "stopping after this checkpoint; press Ctrl-C again to leave at once";
            let _ = writeln!(std::io::stderr(), "{notice}");
        })?;
        let mut writer = existing(&store, run, found)?;
        let steps = writer.as_ref().map_or_else(|| Ok(Vec::new()), RunWriter::checkpoints)?;
        let there: BTreeSet<Step> = steps.into_iter().collect();
        let done = (|| -> anyhow::Result<()> {
            for (i, step) in found.steps.iter().enumerate() {
                if interrupt.is_requested() {
                    return Err(LabError::Stopped.into());
                }
                let Some(checkpoint) = self.read(found, i, tally)? else { continue };
                let writer = match &mut writer {
                    Some(writer) => writer,
                    // Not before there is something to keep.
                    none => none.insert(store.create_run(&self.manifest(run, &checkpoint))?),
                };
                keep(&store, writer, &checkpoint, found, &there, tally)?;
                bar.next(step.step);
            }
            Ok(())
        })();
        // Also after a failure: what is there has its provenance.
        if let Some(writer) = &mut writer {
            finish(&store, writer, done.is_ok())?;
        }
        done?;
        if writer.is_none() {
            let what = "no checkpoint could be read, so nothing was imported";
            return Err(match tally.problems.pop() {
                Some(problem) => anyhow::Error::from(problem).context(Failure::data(what)),
                None => Failure::data(what).into(),
            });
        }
        Ok(())
    }

    fn manifest(&self, run: &RunId, first: &ForeignCheckpoint) -> RunManifest {
        let from = Imported {
            format: first.format.clone(),
            name: self.paths[0].display().to_string(),
            files: Vec::new(),
            checkpoints: Vec::new(),
            options: self.step_from.as_ref().map_or_else(String::new, |r| format!("step-from={r}")),
            n_readings: 0,
            outcomes: Map::new(),
        };
        RunManifest {
            format_version: RunManifest::FORMAT_VERSION,
            run: run.clone(),
            study: None,
            role: "imported".to_owned(),
            cell: String::new(),
            config: RunManifest::imported_config(Map::new(), &from),
            seeds: Seeds::all(0),
            fork: None,
            rules: Vec::new(),
            versions: Versions {
                ontogeny: env!("CARGO_PKG_VERSION").to_owned(),
                engine: "imported".to_owned(),
            },
            created_unix_secs: CLOCK.unix_secs(),
            step: Step(0),
            clocks: Clocks::default(),
            status: RunStatus::Open,
            unread: BTreeMap::new(),
        }
    }
}

/// The writer of a run that is there already and may get checkpoints of others.
fn existing(
    store: &Store,
    run: &RunId,
    found: &FoundCheckpoints,
) -> anyhow::Result<Option<RunWriter>> {
    let reader = match store.run(run) {
        Err(StoreError::UnknownRun { .. }) => return Ok(None),
        other => other?,
    };
    if reader.manifest().imported().is_none() {
        let what = format!("run {run} was trained here and takes no checkpoints of others");
        return Err(Failure::usage(what).help("name another run with --run").into());
    }
    // The tenth epoch is not the tenth step.
    if let Some(&step) = reader.checkpoints()?.first() {
        let extra = reader.checkpoint_summary(step)?.extra;
        let (there, now) = (extra.pointer(COUNTS).and_then(Value::as_str), found.counts.name());
        if let Some(there) = there.filter(|&there| there != now) {
            let what = format!("the checkpoints of run {run} are at {there}, and these at {now}");
            let help = "name another run with --run, or say where the step is with --step-from";
            return Err(Failure::usage(what).help(help).into());
        }
    }
    Ok(Some(store.resume_run(run)?))
}

/// Stores a checkpoint, unless it is there.
fn keep(
    store: &Store,
    writer: &mut RunWriter,
    checkpoint: &ForeignCheckpoint,
    found: &FoundCheckpoints,
    there: &BTreeSet<Step>,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let views: Vec<TensorView<'_>> = checkpoint
        .tensors
        .iter()
        .map(|t| TensorView { name: &t.name, dtype: t.dtype, shape: &t.shape, bytes: &t.bytes })
        .collect();
    let step = Step(checkpoint.step);
    if there.contains(&step) {
        let run = writer.run();
        let known = store.run(run)?.checkpoint_summary(step)?.state_hash;
        if known != state_hash(&views) {
            let what =
                format!("run {run} has a checkpoint at step {step} already, with another state");
            let help = "name another run with --run";
            return Err(Failure::usage(what).help(help).into());
        }
        tally.already.push(step.0);
        return Ok(());
    }
    let files: Vec<SourceFile> = checkpoint.files.iter().map(source).collect();
    let mut extra = checkpoint.extra.clone();
    extra.insert(
        "imported".to_owned(),
        json!({
            "format": checkpoint.format, "counts": found.counts.name(), "files": files,
            "not_read": checkpoint.skipped,
        }),
    );
    let info = writer.checkpoint(step, &views, Value::Object(extra))?;
    tally.imported.push(step.0);
    tally.raw_bytes += info.raw_bytes;
    tally.stored_bytes += info.stored_bytes;
    Ok(())
}

/// Brings the manifest up to date: the last step, and the files that all checkpoints came from.
fn finish(store: &Store, writer: &mut RunWriter, is_whole: bool) -> Result<(), StoreError> {
    let mut manifest = writer.manifest().clone();
    let Some(mut from) = manifest.imported() else { return Ok(()) };
    let reader = store.run(&manifest.run)?;
    from.checkpoints.clear();
    for step in reader.checkpoints()? {
        let mut extra = reader.checkpoint_summary(step)?.extra;
        let files = extra.pointer_mut("/imported/files").map(Value::take).unwrap_or_default();
        let files: Vec<SourceFile> = serde_json::from_value(files).unwrap_or_default();
        from.checkpoints.extend(files);
        manifest.step = manifest.step.max(step);
    }
    manifest.config = RunManifest::imported_config(manifest.hyper_parameters(), &from);
    if is_whole && manifest.status == RunStatus::Open {
        let why = "imported: the source ends here".to_owned();
        manifest.status = RunStatus::Done { reason: StopReason::Settled { why } };
    }
    writer.set_manifest(&manifest)
}

fn source((path, print): &(String, ontogeny_import::Fingerprint)) -> SourceFile {
    SourceFile { path: path.clone(), n_bytes: print.n_bytes, blake3: print.blake3.clone() }
}

fn raw_bytes(checkpoint: &ForeignCheckpoint) -> u64 {
    checkpoint.tensors.iter().map(|t| t.bytes.len() as u64).sum()
}

fn to_json(found: &FoundCheckpoints, tally: &Tally, run: &RunId, is_dry: bool) -> Value {
    let skipped =
        tally.skipped.iter().map(|(step, some, n)| json!({ "step": step, "what": some, "n": n }));
    let problems: Vec<String> = tally.problems.iter().map(|e| format!("failed to {e}")).collect();
    json!({
        "run": run, "is_dry_run": is_dry, "counts": found.counts.name(),
        "imported": tally.imported, "already_there": tally.already, "n_tensors": tally.n_tensors,
        "raw_bytes": tally.raw_bytes, "stored_bytes": tally.stored_bytes,
        "not_read": skipped.collect::<Vec<_>>(), "problems": problems,
        "without_step": found.without_step, "unrecognised": found.unrecognised,
    })
}

fn write(
    found: &FoundCheckpoints,
    tally: &Tally,
    run: &RunId,
    is_dry: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let all = tally.imported.iter().chain(&tally.already);
    let span = match (all.clone().min(), all.max()) {
        (Some(first), Some(last)) => format!(", {} {first} to {last}", found.counts.name()),
        _ => String::new(),
    };
    let n = count(tally.imported.len(), "checkpoint");
    let tensors = format!("{} each", count(tally.n_tensors, "tensor"));
    let raw = size(tally.raw_bytes);
    if is_dry {
        writeln!(out, "run {run}: {n} can be read{span}, {tensors}, {raw}")?;
    } else {
        let already = match tally.already.len() {
            0 => String::new(),
            n => format!(", {n} already there"),
        };
        let stored = match tally.imported.len() {
            0 => String::new(),
            _ => format!(", {raw} stored in {}", size(tally.stored_bytes)),
        };
        writeln!(out, "run {run}: {n} imported{already}{span}, {tensors}{stored}")?;
    }
    if let Some((step, some, _)) = tally.skipped.first() {
        for what in some.iter().take(MAX_NAMED) {
            writeln!(out, "note: not read at step {step}: {what}")?;
        }
        let n: usize = tally.skipped.iter().map(|s| s.2).sum();
        let more = n - some.len().min(MAX_NAMED);
        if more > 0 {
            writeln!(out, "note: {more} more like this; --json lists them")?;
        }
    }
    for problem in &tally.problems {
        writeln!(out, "passed over: failed to {problem}")?;
    }
    for (files, why) in [
        (&found.without_step, "of checkpoints left out, because their names tell no step"),
        (&found.unrecognised, "in no known format"),
    ] {
        if !files.is_empty() {
            let some: Vec<String> =
                files.iter().take(MAX_NAMED).map(|p| p.display().to_string()).collect();
            let more = if files.len() > MAX_NAMED { ", ..." } else { "" };
            writeln!(out, "{} {why}: {}{more}", count(files.len(), "file"), some.join(", "))?;
        }
    }
    if is_dry {
        writeln!(out, "nothing was written")?;
    }
    Ok(())
}
