//! `ontogeny checkpoints export`: states for PyTorch and whoever reads safetensors.

use super::{Span, parts, wanted};
use crate::face::{Face, write_json};
use crate::failure::Failure;
use crate::names;
use crate::text::{count, size};
use ontogeny_core::{RunId, Step};
use ontogeny_import::checkpoints::{OutTensor, write_safetensors};
use ontogeny_store::{Checkpoint, OwnedTensor, RunReader};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Write checkpoints as safetensors, which PyTorch loads
///
/// Into a folder: `model.safetensors` has the weights under the names of the model, `state.safetensors` the rest of the
/// state (moments of the optimizer and so on), `extra.json` what is no tensor, `README.md` says which is which. Into a
/// file that ends in .safetensors: everything, under the names of the store. Several steps become folders `step<N>`.
/// Every bit is as it was; files and folders appear whole or not at all, and nothing is overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny checkpoints export skills.a.s0@400 --to out
  ontogeny checkpoints export skills.a.s0 --steps 0..400 --to out
  ontogeny checkpoints export skills.a.s0 --to last.safetensors")]
pub(crate) struct Args {
    /// The run, and the step; the last checkpoint if there is neither a step nor --steps
    #[arg(value_name = "RUN[@STEP]")]
    run: String,

    /// The folder or .safetensors file to write; it must not be there yet
    #[arg(long, value_name = "PATH")]
    to: PathBuf,

    /// All checkpoints from step A to step B
    #[arg(long, value_name = "A..B", value_parser = Span::parse)]
    steps: Option<Span>,

    /// safetensors
    #[arg(long, value_name = "NAME", value_parser = ["safetensors"], default_value = "safetensors")]
    format: String,
}

/// A file that was written.
#[derive(Debug)]
struct Written {
    step: Step,
    path: PathBuf,
    n_tensors: usize,
    n_bytes: u64,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let (run, step) = if args.run.contains('@') {
        names::run_at_step(&args.run).map(|(run, step)| (run, Some(step)))?
    } else {
        (names::run_id(&args.run)?, None)
    };
    if step.is_some() && args.steps.is_some() {
        return Err(Failure::usage("both RUN@STEP and --steps say what to export").into());
    }
    let reader = face.store()?.run(&run)?;
    let steps = match (step, args.steps) {
        (Some(step), _) => vec![step],
        (None, Some(span)) => wanted(reader.checkpoints()?, Some(span), run.as_str())?,
        (None, None) => {
            let all = wanted(reader.checkpoints()?, None, run.as_str())?;
            all.into_iter().next_back().into_iter().collect()
        }
    };
    let is_file = args.to.extension().is_some_and(|e| e == "safetensors");
    let mut written = Vec::new();
    if args.steps.is_none() {
        let checkpoint = reader.checkpoint(steps[0])?;
        refuse_existing(&args.to, is_file)?;
        if is_file {
            written.push(whole(&args.to, &run, &checkpoint)?);
        } else {
            written.extend(folder(&args.to, &run, &checkpoint)?);
        }
    } else {
        written.extend(args.folders(&reader, &run, &steps, is_file)?);
    }
    if face.json {
        let files = written.iter().map(|w| {
            json!({ "step": w.step, "path": w.path, "n_tensors": w.n_tensors, "n_bytes": w.n_bytes })
        });
        let answer =
            json!({ "run": run, "format": args.format, "files": files.collect::<Vec<_>>() });
        write_json(out, &answer)?;
        return Ok(());
    }
    for w in &written {
        let (n, bytes) = (count(w.n_tensors, "tensor"), size(w.n_bytes));
        writeln!(out, "step {}: {n}, {bytes}: {}", w.step, w.path.display())?;
    }
    Ok(())
}

impl Args {
    fn folders(
        &self,
        reader: &RunReader,
        run: &RunId,
        steps: &[Step],
        is_file: bool,
    ) -> anyhow::Result<Vec<Written>> {
        if is_file {
            let what = "several steps do not go into one file";
            return Err(Failure::usage(what).help("name a folder with --to").into());
        }
        let place = |step: Step| self.to.join(format!("step{step}"));
        for &step in steps {
            refuse_existing(&place(step), false)?;
        }
        fs::create_dir_all(&self.to).map_err(|e| cannot("make", &self.to, &e))?;
        let mut written = Vec::new();
        for &step in steps {
            written.extend(folder(&place(step), run, &reader.checkpoint(step)?)?);
        }
        Ok(written)
    }
}

fn cannot(action: &str, path: &Path, e: &io::Error) -> Failure {
    Failure::usage(format!("cannot {action} {}: {e}", path.display()))
        .help("name another place with --to")
}

/// Nothing is overwritten; an empty folder is as good as none.
fn refuse_existing(path: &Path, is_file: bool) -> Result<(), Failure> {
    let is_empty_dir =
        !is_file && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    if path.exists() && !is_empty_dir {
        let what = format!("{} is there already", path.display());
        return Err(Failure::usage(what).help("name another place with --to"));
    }
    Ok(())
}

/// The safetensors type, and what the importer remembers of the original one.
fn out_tensor<'a>(name: &'a str, t: &'a OwnedTensor, c: &'a Checkpoint) -> OutTensor<'a> {
    let was = c.extra.get("dtypes").and_then(|d| d.get(&t.name)).and_then(|w| w.as_str());
    OutTensor { name, dtype: t.dtype, shape: &t.shape, bytes: &t.bytes, was }
}

fn metadata(run: &RunId, c: &Checkpoint) -> BTreeMap<String, String> {
    let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    BTreeMap::from([
        // Readers of transformers look for it.
        entry("format", "pt"),
        entry("ontogeny.run", run.as_str()),
        entry("ontogeny.step", &c.step.to_string()),
        entry("ontogeny.state_hash", &c.state_hash),
    ])
}

fn write_file(
    path: &Path,
    tensors: &[OutTensor<'_>],
    metadata: &BTreeMap<String, String>,
    step: Step,
) -> anyhow::Result<Written> {
    let path = write_safetensors(path, tensors, metadata)?;
    let n_bytes = tensors.iter().map(|t| t.bytes.len() as u64).sum();
    Ok(Written { step, path, n_tensors: tensors.len(), n_bytes })
}

/// Everything in one file.
fn whole(path: &Path, run: &RunId, c: &Checkpoint) -> anyhow::Result<Written> {
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|e| cannot("make", folder, &e))?;
    }
    let tensors: Vec<OutTensor<'_>> = c.tensors.iter().map(|t| out_tensor(&t.name, t, c)).collect();
    let mut metadata = metadata(run, c);
    metadata.insert("ontogeny.extra".to_owned(), c.extra.to_string());
    write_file(path, &tensors, &metadata, c.step)
}

/// A folder, made beside its place and renamed when it is whole.
fn folder(to: &Path, run: &RunId, c: &Checkpoint) -> anyhow::Result<Vec<Written>> {
    let name = to.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let name = if name.is_empty() { "export".to_owned() } else { name };
    let draft = to.with_file_name(format!(".tmp-{}-{name}", std::process::id()));
    let made = fill(&draft, run, c).and_then(|written| {
        // An empty folder makes way.
        fs::rename(&draft, to).map_err(|e| cannot("make", to, &e))?;
        Ok(written)
    });
    let mut written = made.inspect_err(|_| {
        // The first failure is the one that is reported.
        let _ = fs::remove_dir_all(&draft);
    })?;
    for w in &mut written {
        w.path = to.join(w.path.file_name().unwrap_or_default());
    }
    Ok(written)
}

fn fill(draft: &Path, run: &RunId, c: &Checkpoint) -> anyhow::Result<Vec<Written>> {
    fs::create_dir_all(draft).map_err(|e| cannot("make", draft, &e))?;
    let mut weights: Vec<(&str, &OwnedTensor)> =
        c.tensors.iter().filter_map(|t| Some((parts::weight(&t.name)?, t))).collect();
    let names: BTreeSet<&str> = weights.iter().map(|w| w.0).collect();
    // Two parts may have weights of one name: then all keep their whole names.
    if names.len() < weights.len() {
        for (name, tensor) in &mut weights {
            *name = &tensor.name;
        }
    }
    let rest: Vec<&OwnedTensor> =
        c.tensors.iter().filter(|t| parts::weight(&t.name).is_none()).collect();
    let (weights, rest) = if weights.is_empty() {
        (rest.into_iter().map(|t| (t.name.as_str(), t)).collect(), Vec::new())
    } else {
        (weights, rest)
    };
    let metadata = metadata(run, c);
    let model: Vec<OutTensor<'_>> = weights.iter().map(|(n, t)| out_tensor(n, t, c)).collect();
    let mut written =
        vec![write_file(&draft.join("model.safetensors"), &model, &metadata, c.step)?];
    if !rest.is_empty() {
        let rest: Vec<OutTensor<'_>> = rest.iter().map(|t| out_tensor(&t.name, t, c)).collect();
        written.push(write_file(&draft.join("state.safetensors"), &rest, &metadata, c.step)?);
    }
    let extra = serde_json::to_string_pretty(&c.extra)? + "\n";
    for (name, text) in [("extra.json", extra), ("README.md", readme(run, c, &weights))] {
        let path = draft.join(name);
        fs::write(&path, text).map_err(|e| cannot("write", &path, &e))?;
    }
    Ok(written)
}

/// What is in the folder.
fn readme(run: &RunId, c: &Checkpoint, weights: &[(&str, &OwnedTensor)]) -> String {
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    let told: BTreeSet<&str> = weights.iter().map(|w| w.1.name.as_str()).collect();
    for t in c.tensors.iter().filter(|t| !told.contains(t.name.as_str())) {
        *groups.entry(parts::part(&t.name)).or_default() += 1;
    }
    let rest: Vec<String> =
        groups.iter().map(|(part, n)| format!("- `{part}/...`: {}", count(*n, "tensor"))).collect();
    let rest = if rest.is_empty() {
        "There is no other state.".to_owned()
    } else {
        format!(
            "`state.safetensors` has the rest of the state, by the names of the store:\n\n{}",
            rest.join("\n")
        )
    };
    let n = count(weights.len(), "tensor");
    let (step, hash) = (c.step, &c.state_hash);
    format!(
        "# Run {run}, step {step}\n\n\
         Exported by Ontogeny {version}. State hash: `{hash}`.\n\n\
         `model.safetensors` has the weights: {n}, under the names of the model. {rest}\n\n\
         `extra.json` has what is no tensor: counters, settings, and where the state came from.\n\n\
         ```python\n\
         from safetensors.torch import load_file\n\
         weights = load_file(\"model.safetensors\")\n\
         ```\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}
