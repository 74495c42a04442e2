//! Conducts one run: trains, looks, records, detects, and can stop and go on at any reading.

use crate::plan::{RunPlan, StopRule};
use crate::record::{RunRecord, prefix_of};
use crate::replay::{FINGERPRINT, Follow, Replay, STATE_HASH, bits_of};
use crate::watch::{Progress, Watch};
use crate::{LabError, fork, observe};
use ontogeny_analysis::detectors::{OnlineThreshold, detect};
use ontogeny_core::{
    Censoring, Clock, Event, ForkPoint, Point, Prefix, RunId, RunManifest, RunStatus, Series, Step,
    StopReason, ThresholdRule, Versions,
};
use ontogeny_engine::{Engine, Outputs};
use ontogeny_probes::{ProbeSet, Readings, VectorReading};
use ontogeny_store::{Ledger, RunWriter, Store, StoreError};
use ontogeny_train::{TrainError, TrainState, Trainer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is needed to conduct runs.
#[derive(Debug, Clone, Copy)]
pub struct Conductor<'a> {
    /// Where everything is kept.
    pub store: &'a Store,
    /// The store's ledger; one handle, so that the chain is verified once.
    pub ledger: &'a Ledger,
    /// Wall time.
    pub clock: &'a dyn Clock,
    /// Who follows.
    pub watch: &'a dyn Watch,
}

/// A run in the middle.
#[derive(Debug)]
pub struct Live<'a> {
    /// Its plan.
    pub plan: &'a RunPlan,
    /// The step of this reading.
    pub step: Step,
    /// Readings so far.
    pub series: &'a BTreeMap<String, Series>,
    /// Events confirmed so far.
    pub events: &'a [Event],
    /// The vector-valued readings of this step.
    pub vectors: &'a [VectorReading],
}

impl Live<'_> {
    /// What a forecaster may see at `cutoff`, which is no later than now.
    pub fn prefix(&self, cutoff: Step) -> Prefix {
        prefix_of(&self.plan.id, self.series, cutoff.min(self.step))
    }
}

/// Accompanies a live run, e.g. to seal forecasts. It must depend on readings and events only, so that a
/// resumed run meets the same decisions.
pub trait Observer {
    /// After each reading.
    ///
    /// # Errors
    /// Whatever stops the study.
    fn reading(&mut self, _live: &Live<'_>) -> Result<(), LabError> {
        Ok(())
    }

    /// When the run is over.
    ///
    /// # Errors
    /// Whatever stops the study.
    fn finished(&mut self, _record: &RunRecord) -> Result<(), LabError> {
        Ok(())
    }
}

/// Observes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}

/// The version of everything that can change a bit.
pub fn versions() -> Versions {
    Versions {
        ontogeny: env!("CARGO_PKG_VERSION").to_owned(),
        engine: format!("cpu {}", instruction_set()),
    }
}

/// The widest instructions of this machine that the engine uses: they decide how sums are split into lanes.
fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            return "x86_64+avx512";
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return "x86_64+avx2";
        }
    }
    std::env::consts::ARCH
}

/// A one-thread engine: runs of a grid are parallel, so that each of them need not be.
pub(crate) fn engine() -> Result<Arc<Engine>, LabError> {
    Ok(Arc::new(Engine::cpu(1).map_err(|source| LabError::Engine { source })?))
}

impl Conductor<'_> {
    /// Conducts `plan` with one thread, from wherever it stands, and returns the finished run.
    ///
    /// A run that is already finished in the store is read, not repeated.
    ///
    /// # Errors
    /// [`LabError::Stopped`] after a request to stop; [`LabError::RunDiffers`] if the store holds a run of
    /// this name that was made differently; what store and trainer report. A run that diverges is no error:
    /// it is finished, and its manifest says at which step.
    pub fn conduct(
        &self,
        plan: &RunPlan,
        observer: &mut dyn Observer,
    ) -> Result<RunRecord, LabError> {
        if let Some(manifest) = self.existing(plan)?
            && matches!(manifest.status, RunStatus::Done { .. })
        {
            let record = self.read(&plan.id)?;
            let unused = plan.config.horizon.saturating_sub(start_of(plan).0);
            self.watch.run_finished(&plan.id, unused);
            observer.finished(&record)?;
            return Ok(record);
        }
        let mut run = Running::start(*self, plan).map_err(LabError::of_work)?;
        run.go(observer)?;
        let record = run.finish();
        observer.finished(&record)?;
        Ok(record)
    }

    /// A finished run, from the store.
    ///
    /// # Errors
    /// What the store reports.
    pub fn read(&self, id: &RunId) -> Result<RunRecord, LabError> {
        Ok(RunRecord::read(&self.store.run(id)?)?)
    }

    /// The run of this plan as the store knows it, checked to be the same run.
    fn existing(&self, plan: &RunPlan) -> Result<Option<RunManifest>, LabError> {
        let manifest = match self.store.run(&plan.id) {
            Ok(reader) => reader.manifest().clone(),
            Err(StoreError::UnknownRun { .. }) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let differs = |what| LabError::RunDiffers { run: plan.id.clone(), what };
        if manifest.config != config_json(plan)? {
            return Err(differs("configuration"));
        }
        if manifest.seeds != plan.seeds {
            return Err(differs("seed"));
        }
        let fork = manifest.fork.as_ref().map(|f| (&f.parent, f.step, &f.set));
        if fork != plan.fork.as_ref().map(|f| (&f.parent, f.step, &f.set)) {
            return Err(differs("fork point"));
        }
        Ok(Some(manifest))
    }
}

fn config_json(plan: &RunPlan) -> Result<serde_json::Value, LabError> {
    let config = |source| LabError::Config { run: plan.id.clone(), source };
    serde_json::to_value(&plan.config).map_err(config)
}

fn start_of(plan: &RunPlan) -> Step {
    plan.fork.as_ref().map_or(Step(0), |f| f.step)
}

/// One run being conducted.
struct Running<'a> {
    conductor: Conductor<'a>,
    plan: &'a RunPlan,
    trainer: Trainer,
    probes: ProbeSet,
    writer: RunWriter,
    series: BTreeMap<String, Series>,
    watches: Vec<OnlineThreshold>,
    events: Vec<Event>,
    unread: BTreeMap<String, String>,
    readings: Readings,
    /// Outputs of the evaluation set, kept for their memory.
    joined: Outputs,
    train_secs: f64,
    probe_secs: f64,
    last_loss: f64,
}

impl<'a> Running<'a> {
    fn start(conductor: Conductor<'a>, plan: &'a RunPlan) -> Result<Self, LabError> {
        let store = conductor.store;
        let follow = Follow { watch: conductor.watch, is_shown: false };
        let probes = ProbeSet::named(plan.config.record.probes.iter().map(String::as_str))
            .map_err(|source| LabError::Probe { source })?;
        let train = |source| LabError::Train { run: plan.id.clone(), source };
        let engine = engine()?;
        let fresh =
            || Trainer::new(plan.config.clone(), plan.seeds, Arc::clone(&engine)).map_err(train);
        let mut running = if conductor.existing(plan)?.is_some() {
            let mut writer = store.resume_run(&plan.id)?;
            let reader = store.run(&plan.id)?;
            let saved = fork::last_checkpoint(&reader, Step(u64::MAX), fresh()?.layout())?;
            let (state, probe_state) = match saved {
                Some((state, probe_state)) => (Some(state), probe_state),
                None => (None, BTreeMap::new()),
            };
            let first = start_of(plan);
            let at = state.as_ref().map_or(first, |s| s.step);
            let state = match (state, &plan.fork) {
                (Some(state), _) => Some(state),
                (None, Some(f)) => Some(Replay::state_of(store, &f.parent, f.step, follow)?),
                (None, None) => None,
            };
            writer.truncate_after(at)?;
            let trainer = match state {
                Some(s) => {
                    Trainer::from_state(plan.config.clone(), plan.seeds, Arc::clone(&engine), s)
                        .map_err(train)?
                }
                None => fresh()?,
            };
            let series = if at == first {
                BTreeMap::new()
            } else {
                store.run(&plan.id)?.recorded()?.clone()
            };
            let mut running = Self::with(conductor, plan, trainer, probes, writer, series);
            if at != first {
                running
                    .probes
                    .restore(&probe_state)
                    .map_err(|source| LabError::Probe { source })?;
                running.catch_up();
            }
            running
        } else {
            let (trainer, fork) = match &plan.fork {
                None => (fresh()?, None),
                Some(f) => {
                    let state = Replay::state_of(store, &f.parent, f.step, follow)?;
                    let state_hash = state.hash();
                    let point = ForkPoint {
                        parent: f.parent.clone(),
                        step: f.step,
                        set: f.set.clone(),
                        state_hash,
                    };
                    let trainer = Trainer::from_state(
                        plan.config.clone(),
                        plan.seeds,
                        Arc::clone(&engine),
                        state,
                    );
                    (trainer.map_err(train)?, Some(point))
                }
            };
            let manifest = RunManifest {
                format_version: RunManifest::FORMAT_VERSION,
                run: plan.id.clone(),
                study: plan.study.clone(),
                role: plan.role.clone(),
                cell: plan.cell.clone(),
                config: config_json(plan)?,
                seeds: plan.seeds,
                fork,
                rules: plan.rules.clone(),
                versions: versions(),
                created_unix_secs: conductor.clock.unix_secs(),
                step: trainer.state().step,
                clocks: trainer.state().clocks,
                status: RunStatus::Open,
                unread: BTreeMap::new(),
            };
            let writer = store.create_run(&manifest)?;
            Self::with(conductor, plan, trainer, probes, writer, BTreeMap::new())
        };
        running.recover_costs();
        conductor.watch.run_started(&running.progress());
        Ok(running)
    }

    fn with(
        conductor: Conductor<'a>,
        plan: &'a RunPlan,
        trainer: Trainer,
        probes: ProbeSet,
        writer: RunWriter,
        series: BTreeMap<String, Series>,
    ) -> Self {
        Self {
            conductor,
            plan,
            trainer,
            probes,
            writer,
            series,
            watches: plan.rules.iter().cloned().map(OnlineThreshold::new).collect(),
            events: Vec::new(),
            unread: BTreeMap::new(),
            readings: Readings::new(),
            joined: Outputs::default(),
            train_secs: 0.0,
            probe_secs: 0.0,
            last_loss: f64::NAN,
        }
    }

    fn recover_costs(&mut self) {
        let last =
            |name: &str| self.series.get(name).and_then(Series::last).map_or(0.0, |p| p.value);
        (self.train_secs, self.probe_secs) = (last("cost.train_secs"), last("cost.probe_secs"));
    }

    fn progress(&self) -> Progress<'_> {
        Progress {
            run: &self.plan.id,
            step: self.trainer.state().step,
            horizon: self.plan.config.horizon,
            loss: self.last_loss,
            last_event: self.events.last(),
        }
    }

    /// Trains to the end, to divergence, or until asked to stop.
    fn go(&mut self, observer: &mut dyn Observer) -> Result<(), LabError> {
        let record = &self.plan.config.record;
        let horizon = self.plan.config.horizon;
        let first = self.trainer.state().step;
        loop {
            let step = self.trainer.state().step;
            let is_last = step.0 >= horizon;
            let is_rung = self.plan.stop == StopRule::At(step);
            if record.reads(step.0) || is_last || is_rung || step == first {
                // A resumed run has this reading already; it comes out the same and replaces itself.
                self.read(step, is_last)?;
                observer.reading(&Live {
                    plan: self.plan,
                    step,
                    series: &self.series,
                    events: &self.events,
                    vectors: &self.readings.vectors,
                })?;
                self.conductor.watch.run_progress(&self.progress());
                let reason = if is_last { Some(StopReason::Horizon) } else { self.settled(step) };
                if let Some(reason) = reason {
                    return self.close(reason);
                }
                let due = record.keeps(step.0) && step != first;
                if due {
                    self.checkpoint()?;
                }
                if self.conductor.watch.should_stop() {
                    if !due {
                        self.checkpoint()?;
                    }
                    self.writer.sync()?;
                    return Err(LabError::Stopped);
                }
            }
            if let Some(reason) = self.update(step)? {
                return self.close(reason);
            }
        }
    }

    /// One update. Its numbers are kept at the step it makes: that is when they are known, and a prefix cut
    /// there is the same whether the run goes on or not.
    fn update(&mut self, step: Step) -> Result<Option<StopReason>, LabError> {
        let start = self.conductor.clock.unix_secs();
        let update = match self.trainer.update() {
            Ok(u) => u,
            Err(TrainError::Diverged { step, what }) => {
                let what = what.to_owned();
                return Ok(Some(StopReason::Diverged { step, what }));
            }
            Err(source) => return Err(LabError::Train { run: self.plan.id.clone(), source }),
        };
        let secs = self.conductor.clock.unix_secs() - start;
        self.train_secs += secs;
        self.trainer.add_wall_secs(secs);
        self.last_loss = update.loss;
        let made = step.next();
        let mut rows = vec![("batch.loss", "nats", update.loss)];
        let is_read = self.plan.config.record.reads(made.0);
        if is_read {
            rows.extend([("batch.accuracy", "1", update.accuracy), ("lr", "1", update.lr)]);
            if update.update_cosine.is_finite() {
                rows.push(("update.cosine", "1", update.update_cosine));
            }
        }
        let is_read = is_read || made.0 >= self.plan.config.horizon;
        if self.is_hashed(made) && !is_read {
            rows.push((STATE_HASH, "1", bits_of(&self.trainer.state().hash())));
        }
        self.keep(made, &rows).map(|()| None)
    }

    /// Whether the hash of the whole state is recorded at a step: at the chosen ones, or else at every tenth reading,
    /// and at the ends of the run. The parameters alone are hashed at every reading; moments that differ show in
    /// them one update later.
    fn is_hashed(&self, step: Step) -> bool {
        let record = &self.plan.config.record;
        let every = match record.hash_every {
            0 => record.probe_every.saturating_mul(10),
            n => n,
        };
        let ends = [start_of(self.plan), Step(self.plan.config.horizon)];
        step.0.is_multiple_of(every) || ends.contains(&step)
    }

    /// The first half of the coming update; its time is training time.
    fn look_ahead(&mut self) -> Result<Outputs, LabError> {
        let start = self.conductor.clock.unix_secs();
        let taps = self.trainer.task().taps();
        let seen = (self.trainer.look_ahead(taps))
            .map_err(|source| LabError::Train { run: self.plan.id.clone(), source })?;
        let secs = self.conductor.clock.unix_secs() - start;
        self.train_secs += secs;
        self.trainer.add_wall_secs(secs);
        Ok(seen)
    }

    /// Lets the probes look at the weights of `step`.
    fn read(&mut self, step: Step, is_last: bool) -> Result<(), LabError> {
        // Where the batch is part of what is read, the coming update's forward pass serves both.
        let looks = !is_last
            && self.probes.names().next().is_some()
            && self.trainer.task().contained().is_some();
        let seen = if looks { Some(self.look_ahead()?) } else { None };
        let start = self.conductor.clock.unix_secs();
        self.readings.clear();
        observe::observe(
            &self.trainer,
            (seen.as_ref(), &mut self.joined),
            self.last_loss,
            &mut self.probes,
            &mut self.readings,
        )
        .map_err(|source| LabError::Train { run: self.plan.id.clone(), source })?;
        let state = self.trainer.state();
        let fingerprint = bits_of(&state.params_hash());
        let hash = self.is_hashed(step).then(|| bits_of(&state.hash()));
        self.probe_secs += self.conductor.clock.unix_secs() - start;
        let readings = std::mem::take(&mut self.readings);
        let mut rows: Vec<(&str, &str, f64)> =
            readings.scalars.iter().map(|r| (r.name.as_str(), r.unit.as_str(), r.value)).collect();
        rows.push((FINGERPRINT, "1", fingerprint));
        rows.extend(hash.map(|h| (STATE_HASH, "1", h)));
        rows.push(("cost.train_secs", "s", self.train_secs));
        rows.push(("cost.probe_secs", "s", self.probe_secs));
        self.keep(step, &rows)?;
        for v in &readings.vectors {
            self.writer.append_tensor(step, &v.name, &v.unit, &[v.values.len()], &v.values)?;
        }
        for r in &readings.reasons {
            let first = || format!("step {step}: {}", r.reason);
            self.unread.entry(r.probe.clone()).or_insert_with(first);
        }
        self.readings = readings;
        Ok(())
    }

    fn keep(&mut self, step: Step, rows: &[(&str, &str, f64)]) -> Result<(), LabError> {
        self.writer.append(step, self.trainer.state().clocks, rows)?;
        for &(name, unit, value) in rows {
            let series = match self.series.get_mut(name) {
                Some(s) => s,
                None => {
                    self.series.entry(name.to_owned()).or_insert_with(|| Series::new(name, unit))
                }
            };
            // A resumed run reads its last checkpoint's step again.
            if series.points.last().is_some_and(|p| p.step >= step) {
                series.points.retain(|p| p.step < step);
            }
            let point = Point { step, value };
            series.points.push(point);
            for watch in self.watches.iter_mut().filter(|w| w.rule().series == name) {
                if watch.feed(point).is_some() {
                    self.events.extend(watch.event(&self.plan.id));
                }
            }
        }
        Ok(())
    }

    /// Shows the readings of a resumed run to the detectors again.
    fn catch_up(&mut self) {
        for watch in &mut self.watches {
            let series = self.series.get(&watch.rule().series);
            for point in series.map_or(&[][..], |s| &s.points) {
                if watch.feed(*point).is_some() {
                    self.events.extend(watch.event(&self.plan.id));
                }
            }
        }
    }

    fn settled(&self, now: Step) -> Option<StopReason> {
        let (events, extra) = match &self.plan.stop {
            StopRule::Horizon => return None,
            StopRule::At(at) => {
                let why = format!("step {at}, as planned");
                return (now >= *at).then_some(StopReason::Settled { why });
            }
            StopRule::After { events, extra } => (events, extra),
        };
        let mut last = Step(0);
        for name in events {
            last = last.max(self.events.iter().find(|e| &e.name == name)?.when.seen_at()?);
        }
        let why = events.join(", ");
        (now.0 >= last.0 + extra).then_some(StopReason::Settled { why })
    }

    fn checkpoint(&mut self) -> Result<(), LabError> {
        fork::save(&mut self.writer, &self.trainer, &self.probes.state())?;
        Ok(self.writer.set_manifest_later(&self.manifest(RunStatus::Open))?)
    }

    fn manifest(&self, status: RunStatus) -> RunManifest {
        let state: &TrainState = self.trainer.state();
        RunManifest {
            step: state.step,
            clocks: state.clocks,
            status,
            unread: self.unread.clone(),
            ..self.writer.manifest().clone()
        }
    }

    fn close(&mut self, reason: StopReason) -> Result<(), LabError> {
        let now = self.trainer.state().step;
        for rule in &self.plan.rules {
            if !self.events.iter().any(|e| e.name == rule.event) {
                let found =
                    self.series.get(&rule.series).and_then(|s| detect(rule, &self.plan.id, s));
                self.events.push(found.unwrap_or_else(|| never_looked(rule, &self.plan.id, now)));
            }
        }
        let order = |e: &Event| self.plan.rules.iter().position(|r| r.event == e.name);
        self.events.sort_by_key(order);
        fork::save(&mut self.writer, &self.trainer, &self.probes.state())?;
        self.writer.write_events(&self.events)?;
        self.writer.sync()?;
        self.writer.seal()?;
        Ok(self.writer.set_manifest(&self.manifest(RunStatus::Done { reason }))?)
    }

    fn finish(self) -> RunRecord {
        let unused =
            self.plan.config.horizon - self.trainer.state().step.0.min(self.plan.config.horizon);
        self.conductor.watch.run_finished(&self.plan.id, unused);
        RunRecord {
            manifest: self.writer.manifest().clone(),
            series: self.series,
            events: self.events,
        }
    }
}

/// The event of a rule whose series was never recorded.
fn never_looked(rule: &ThresholdRule, run: &RunId, now: Step) -> Event {
    Event {
        run: run.clone(),
        name: rule.event.clone(),
        series: rule.series.clone(),
        when: Censoring::Right { horizon: now },
        known_at: now,
        detector: "no readings".to_owned(),
        evidence: 0.0,
    }
}
