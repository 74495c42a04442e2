//! Which other runs a forecast learns from.

use super::Args;
use crate::commands::report;
use crate::describe;
use crate::face::record;
use crate::names;
use ontogeny_core::{RunId, Step};
use ontogeny_lab::RunRecord;
use ontogeny_store::Store;

/// The runs that are named, those of the study that is named, or those that share the study of `run`. Runs that
/// cannot be read are named on stderr and left out, unless they were asked for by name.
pub(super) fn read(
    store: &Store,
    run: &RunRecord,
    args: &Args,
    json: bool,
) -> anyhow::Result<Vec<RunRecord>> {
    if args.alone {
        return Ok(Vec::new());
    }
    if !args.with.is_empty() {
        return (args.with.iter())
            .map(|name| Ok(record(store, &names::run_id(name)?)?))
            .collect::<anyhow::Result<_>>();
    }
    let study = match &args.with_study {
        Some(name) => Some(report::known(store, name)?),
        None => run.manifest.study.clone(),
    };
    let mates: Vec<RunId> = (describe::readable_runs(store, json)?.into_iter())
        // Forks are not exchangeable with runs that were left alone.
        .filter(|m| m.study == study && m.run != *run.id() && m.fork.is_none())
        .map(|m| m.run)
        .collect();
    let mut out = Vec::new();
    for id in mates {
        match record(store, &id) {
            Ok(r) => out.push(r),
            Err(e) => describe::skipped(id.as_str(), &e, json),
        }
    }
    Ok(out)
}

/// The median of the last steps of a series in these runs.
pub(super) fn usual_end(runs: &[RunRecord], series: &str) -> Option<Step> {
    let mut ends: Vec<Step> =
        runs.iter().filter_map(|r| r.series.get(series)?.last()).map(|p| p.step).collect();
    ends.sort_unstable();
    ends.get(ends.len() / 2).copied()
}
