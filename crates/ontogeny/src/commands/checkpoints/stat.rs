//! `ontogeny checkpoints stat`: what checkpoints take, and how far the state moves between them.

use super::bar::Bar;
use super::{Span, parts, wanted};
use crate::face::{Face, write_json};
use crate::names;
use crate::text::{Table, count, number, size};
use ontogeny_core::Step;
use ontogeny_store::{Checkpoint, CheckpointSummary, OwnedTensor};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

/// Groups that have a column; --json has all.
const MAX_COLUMNS: usize = 6;
/// Tensors that are called the biggest.
const N_BIGGEST: usize = 5;

/// Measure the checkpoints of a run: bytes, shared chunks, and the change from each to the next
///
/// The change of a group of tensors is the norm (L2) of the difference to the checkpoint before, divided by the norm there;
/// whole numbers, truth values and single numbers (counters) are left out. Groups are the parts of the state (weights, moments), its modules, or single
/// tensors. A chunk is shared if an earlier checkpoint of the run has it too; it is stored once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny checkpoints stat skills.a.s0
  ontogeny checkpoints stat skills.a.s0 --by module --steps 0..400
  ontogeny checkpoints stat skills.a.s0 --sizes --json")]
pub(crate) struct Args {
    /// The run
    #[arg(value_name = "RUN")]
    run: String,

    /// Only checkpoints from step A to step B
    #[arg(long, value_name = "A..B", value_parser = Span::parse)]
    steps: Option<Span>,

    /// Groups of tensors whose change is told
    #[arg(long, value_name = "WHAT", value_parser = ["part", "module", "tensor"], default_value = "part")]
    by: String,

    /// Only sizes: the numbers are not read
    #[arg(long)]
    sizes: bool,
}

/// A checkpoint beside the one before.
#[derive(Debug)]
struct Row {
    summary: CheckpointSummary,
    /// Bytes on disk of chunks that no earlier checkpoint has.
    new_bytes: u64,
    n_shared: usize,
    /// By group; none for the first checkpoint.
    change: BTreeMap<String, Option<f64>>,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let reader = face.store()?.run(&names::run_id(&args.run)?)?;
    let steps = wanted(reader.checkpoints()?, args.steps, &args.run)?;
    let mut bar = Bar::new(steps.len(), face.json);
    let (mut rows, mut seen, mut before) = (Vec::new(), BTreeSet::new(), None);
    for &step in &steps {
        let summary = reader.checkpoint_summary(step)?;
        let (mut new_bytes, mut n_shared) = (0, 0);
        for (chunk, n_bytes) in &summary.chunks {
            if seen.insert(chunk.clone()) {
                new_bytes += n_bytes;
            } else {
                n_shared += 1;
            }
        }
        let mut change = BTreeMap::new();
        if !args.sizes {
            let now = reader.checkpoint(step)?;
            if let Some(before) = &before {
                change = changes(before, &now, |name| group(name, &args.by));
            }
            before = Some(now);
        }
        rows.push(Row { summary, new_bytes, n_shared, change });
        bar.next(step.0);
    }
    bar.clear();
    if face.json {
        write_json(out, &to_json(args, &rows))?;
        return Ok(());
    }
    write(args, &rows, out)
}

/// The group of a tensor.
fn group<'a>(name: &'a str, by: &str) -> &'a str {
    match by {
        "tensor" => name,
        "module" => name.rsplit_once(['/', '.']).map_or(name, |(module, _)| module),
        _ => parts::part(name),
    }
}

/// Norm of the difference over the norm before, by group. `None` where that is no number: nothing but zeros before, or
/// what is not finite. Tensors that only one of the two has, with another shape or without axes
/// (counters, which would drown the rest) have no difference.
fn changes<'a>(
    before: &'a Checkpoint,
    now: &'a Checkpoint,
    group: impl Fn(&'a str) -> &'a str,
) -> BTreeMap<String, Option<f64>> {
    let old: BTreeMap<&str, &OwnedTensor> =
        before.tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for new in &now.tensors {
        let Some(old) =
            old.get(new.name.as_str()).filter(|o| o.shape == new.shape && !new.shape.is_empty())
        else {
            continue;
        };
        let (Some(a), Some(b)) = (old.floats(), new.floats()) else { continue };
        let (moved, norm) = sums.entry(group(&new.name)).or_default();
        for (a, b) in a.zip(b) {
            *moved += (b - a) * (b - a);
            *norm += a * a;
        }
    }
    let ratio = |(moved, norm): (f64, f64)| Some((moved / norm).sqrt()).filter(|r| r.is_finite());
    sums.into_iter().map(|(group, sums)| (group.to_owned(), ratio(sums))).collect()
}

fn ratio(raw: u64, stored: u64) -> Option<f64> {
    (stored > 0).then(|| raw as f64 / stored as f64)
}

/// Raw bytes, stored bytes (each chunk once), chunks, shared chunks of all.
fn totals(rows: &[Row]) -> (u64, u64, usize, usize) {
    let raw = rows.iter().map(|r| r.summary.raw_bytes).sum();
    let stored = rows.iter().map(|r| r.new_bytes).sum();
    let n_shared = rows.iter().map(|r| r.n_shared).sum();
    (raw, stored, rows.iter().map(|r| r.summary.n_chunks).sum(), n_shared)
}

fn to_json(args: &Args, rows: &[Row]) -> Value {
    let (raw, stored, n_chunks, n_shared) = totals(rows);
    let checkpoints = rows.iter().map(|r| {
        let s = &r.summary;
        json!({
            "step": s.step, "state_hash": s.state_hash, "n_tensors": s.tensors.len(), "raw_bytes": s.raw_bytes,
            "stored_bytes": s.stored_bytes(), "new_bytes": r.new_bytes, "n_chunks": s.n_chunks,
            "n_shared_chunks": r.n_shared, "change": r.change,
        })
    });
    json!({
        "run": args.run, "by": args.by, "raw_bytes": raw, "stored_bytes": stored,
        "ratio": ratio(raw, stored), "n_chunks": n_chunks, "n_shared_chunks": n_shared,
        "checkpoints": checkpoints.collect::<Vec<_>>(),
    })
}

fn write(args: &Args, rows: &[Row], out: &mut dyn Write) -> anyhow::Result<()> {
    let (raw, stored, n_chunks, n_shared) = totals(rows);
    let said =
        |raw, stored| ratio(raw, stored).map_or_else(|| "-".to_owned(), |r| format!("{r:.2}"));
    let (n, chunks) = (count(rows.len(), "checkpoint"), count(n_chunks, "chunk"));
    let (raw_text, stored_text, all) = (size(raw), size(stored), said(raw, stored));
    writeln!(
        out,
        "{n}, {raw_text}, stored in {stored_text} (ratio {all}); {chunks}, {n_shared} shared\n"
    )?;

    if let Some(last) = rows.last() {
        let mut tensors: Vec<_> = last.summary.tensors.iter().collect();
        tensors.sort_by_key(|t| std::cmp::Reverse(t.raw_bytes));
        let mut table = Table::new(["biggest tensors", "type", "shape", "raw"]);
        for t in tensors.into_iter().take(N_BIGGEST) {
            let shape: Vec<String> = t.shape.iter().map(usize::to_string).collect();
            let dtype = serde_json::to_value(t.dtype)?;
            let dtype = dtype.as_str().unwrap_or_default().to_owned();
            table.row([
                t.name.clone(),
                dtype,
                format!("[{}]", shape.join(", ")),
                size(t.raw_bytes),
            ]);
        }
        table.write(out, "")?;
        writeln!(out)?;
    }
    // The groups that hold most have a column each.
    let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
    for t in rows.iter().flat_map(|r| &r.summary.tensors) {
        *bytes.entry(group(&t.name, &args.by)).or_default() += t.raw_bytes;
    }
    let measured: BTreeSet<&str> =
        rows.iter().flat_map(|r| r.change.keys()).map(String::as_str).collect();
    let mut groups: Vec<&str> = measured.iter().copied().collect();
    groups.sort_by_key(|g| std::cmp::Reverse(bytes.get(g).copied()));
    groups.truncate(MAX_COLUMNS);
    let fixed = ["step", "raw", "stored", "new", "ratio", "chunks", "shared"].map(str::to_owned);
    let mut table = Table::new(fixed.into_iter().chain(groups.iter().map(|g| format!("Δ {g}"))));
    for r in rows {
        let s = &r.summary;
        let change = groups.iter().map(|&g| match r.change.get(g) {
            Some(Some(change)) => number(*change),
            _ => "-".to_owned(),
        });
        let (stored, step): (u64, Step) = (s.stored_bytes(), s.step);
        let fixed = [
            step.to_string(),
            size(s.raw_bytes),
            size(stored),
            size(r.new_bytes),
            said(s.raw_bytes, stored),
            s.n_chunks.to_string(),
            r.n_shared.to_string(),
        ];
        table.row(fixed.into_iter().chain(change));
    }
    table.write(out, "")?;
    let n_more = measured.len() - groups.len();
    if n_more > 0 {
        writeln!(out, "\nthe {} with most bytes are shown, {n_more} more in --json", groups.len())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(tensors: &[(&str, &[f32])]) -> Checkpoint {
        let tensors =
            tensors.iter().map(|(n, v)| OwnedTensor::from_f32(*n, &[v.len()], v)).collect();
        let state_hash = String::new();
        Checkpoint { step: Step(0), tensors, extra: Value::Null, state_hash }
    }

    #[test]
    fn the_change_is_relative_to_what_was() {
        let a =
            checkpoint(&[("params/w", &[3.0, 4.0]), ("params/b", &[0.0]), ("m/w", &[0.0, 0.0])]);
        let b =
            checkpoint(&[("params/w", &[3.0, 4.5]), ("params/b", &[0.0]), ("m/w", &[1.0, 0.0])]);
        let by_part = changes(&a, &b, |n| group(n, "part"));
        assert_eq!(by_part, BTreeMap::from([("m".into(), None), ("params".into(), Some(0.1))]));
        let by_tensor = changes(&a, &b, |n| group(n, "tensor"));
        assert_eq!(by_tensor["params/w"], Some(0.1));
        assert_eq!(by_tensor["params/b"], None);
        assert_eq!(group("model/h.0.attn.weight", "module"), "model/h.0.attn");
        assert_eq!(group("bias", "module"), "bias");
    }
}
