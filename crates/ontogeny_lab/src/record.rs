//! A finished run as the analyses see it.

use crate::LabError;
use crate::replay::STATE_HASH;
use ontogeny_core::{Event, Prefix, RunId, RunManifest, RunStatus, Series, Step, StopReason};
use ontogeny_store::{RunReader, StoreError};
use ontogeny_train::RunConfig;
use std::collections::BTreeMap;

/// Manifest, series and events of a run that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// What the run was.
    pub manifest: RunManifest,
    /// Its scalar series by name.
    pub series: BTreeMap<String, Series>,
    /// Its events, seen or censored, one per rule.
    pub events: Vec<Event>,
}

impl RunRecord {
    /// What a run recorded, finished or not. Readings of zooms are left out: whoever forecasts, detects, seals or
    /// scores reads the same before and after somebody has looked closer.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn read(reader: &RunReader) -> Result<Self, StoreError> {
        let (series, events) = (reader.recorded()?.clone(), reader.events()?);
        Ok(Self { manifest: reader.manifest().clone(), series, events })
    }

    /// Its name.
    pub fn id(&self) -> &RunId {
        &self.manifest.run
    }

    /// Its configuration.
    ///
    /// # Errors
    /// [`LabError::Config`] if it was trained elsewhere, or by a version that knew other settings.
    pub fn config(&self) -> Result<RunConfig, LabError> {
        serde_json::from_value(self.manifest.config.clone())
            .map_err(|source| LabError::Config { run: self.id().clone(), source })
    }

    /// The event called `name`, seen or not.
    pub fn event(&self, name: &str) -> Option<&Event> {
        self.events.iter().find(|e| e.name == name)
    }

    /// The first step at which the event called `name` was seen.
    pub fn time(&self, name: &str) -> Option<Step> {
        self.event(name)?.when.seen_at()
    }

    /// The step of the reading at which the event called `name` was known: the first at which a fork or a
    /// forecast can start from it.
    pub fn known(&self, name: &str) -> Option<Step> {
        self.event(name).filter(|e| !e.when.is_censored()).map(|e| e.known_at)
    }

    /// Whether the run ended because something was not finite.
    pub fn diverged(&self) -> bool {
        matches!(self.manifest.status, RunStatus::Done { reason: StopReason::Diverged { .. } })
    }

    /// The value of a series at a step, or the last one before it.
    pub fn value(&self, series: &str, step: Step) -> Option<f64> {
        Some(self.series.get(series)?.at_or_before(step)?.value)
    }

    /// What a forecaster may see of the run at `cutoff`.
    pub fn prefix(&self, cutoff: Step) -> Prefix {
        prefix_of(self.id(), &self.series, cutoff)
    }
}

/// Whether a series says how a run was kept and not what it was: costs differ from machine to machine, and how often
/// the state is hashed is a choice of who records. Likewise what was read on the audit split, which decides outcomes and
/// must inform nobody before. No forecaster sees it, and no sealed prefix holds it.
pub(crate) fn is_bookkeeping(name: &str) -> bool {
    name.starts_with("cost.") || name.starts_with("audit.") || name == STATE_HASH
}

/// A prefix over everything but the bookkeeping.
pub(crate) fn prefix_of(run: &RunId, series: &BTreeMap<String, Series>, cutoff: Step) -> Prefix {
    let science = series.values().filter(|s| !is_bookkeeping(&s.name));
    Prefix::cut(run.clone(), cutoff, science)
}
