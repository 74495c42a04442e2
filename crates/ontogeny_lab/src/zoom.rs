//! Zooming: a stretch of a run executed again with denser readings, kept beside the run.
//!
//! Everything the run recorded on the stretch is compared: hashes, losses, and the readings of every probe at
//! the steps that were read. A zoom that is not the run is refused and nothing of it is kept.
//!
//! # Probes that remember
//!
//! Some probes remember earlier readings (a running median). Their readings belong to the run's own cadence. Where
//! the run has the probe, a reading between two recorded ones is made with the memory of the last recorded one
//! and then forgotten: it is what the probe would have said had the run been read at this step next. At
//! recorded steps the memory moves on as it did, and the readings are those that were recorded. A probe that the
//! run does not have begins to remember at the first step of the zoom, and reads at the zoom's cadence.

use crate::conductor::versions;
use crate::fork::{self, ProbeState};
use crate::replay::{
    FINGERPRINT, Follow, Replay, STATE_HASH, Start, bits_of, first_step, last_hash, recorded_at,
};
use crate::{Conductor, LabError, config_of, observe};
use ontogeny_analysis::detectors::detect;
use ontogeny_core::{
    Censoring, Clocks, Direction, Event, Point, RunId, Step, ZoomId, ZoomManifest,
};
use ontogeny_engine::Outputs;
use ontogeny_probes::{ProbeSet, Readings};
use ontogeny_store::{RunReader, Store, TensorValues, ZoomWriter};
use ontogeny_train::Update;
use std::collections::BTreeMap;

/// What to look at more closely.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoomPlan {
    /// The run.
    pub run: RunId,
    /// First step to read.
    pub from: Step,
    /// Last step to read.
    pub to: Step,
    /// Steps between two readings.
    pub every: u64,
    /// The probes; `None` for those of the run.
    pub probes: Option<Vec<String>>,
    /// Whether to keep the state at every step that is read.
    pub checkpoints: bool,
}

/// A zoom that is in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Zoomed {
    /// What it is.
    pub manifest: ZoomManifest,
    /// Whether it was there already.
    pub was_there: bool,
}

/// An event as it was recorded, and as the same detector finds it with the readings of zooms.
#[derive(Debug, Clone, PartialEq)]
pub struct Refined {
    /// As it was recorded.
    pub recorded: Event,
    /// On the recorded readings and those of zooms together. Its persistence counts denser readings, so it may be
    /// found earlier, outside the recorded interval, where the level was held for a moment only.
    pub merged: Event,
    /// The recorded interval, narrowed: after the last reading within it at which the level was not reached, and
    /// no later than the next one. `None` for an event that was never seen.
    pub narrowed: Option<(Step, Step)>,
}

/// The events of a run, recorded and refined. Events whose rule or series the run does not have are left out.
///
/// # Errors
/// What the store reports.
pub fn refined_events(reader: &RunReader) -> Result<Vec<Refined>, LabError> {
    let (manifest, all) = (reader.manifest(), reader.all_series()?);
    let mut found = Vec::new();
    for recorded in reader.events()? {
        let Some(rule) = manifest.rules.iter().find(|r| r.event == recorded.name) else { continue };
        let Some(series) = all.get(&rule.series) else { continue };
        let Some(merged) = detect(rule, &manifest.run, series) else { continue };
        let narrowed = match recorded.when {
            Censoring::Right { .. } => None,
            Censoring::Interval { lo, hi } => {
                let inside: Vec<_> =
                    series.points.iter().filter(|p| p.step >= lo && p.step <= hi).collect();
                let holds = |p: &&&Point| match rule.direction {
                    Direction::Rising => p.value >= rule.level,
                    Direction::Falling => p.value <= rule.level,
                };
                let n_held = inside.iter().rev().take_while(holds).count();
                let first = inside.len() - n_held;
                let hi = inside.get(first).map_or(hi, |p| p.step);
                Some((first.checked_sub(1).map_or(lo, |i| inside[i].step), hi))
            }
        };
        found.push(Refined { recorded, merged, narrowed });
    }
    Ok(found)
}

impl ZoomPlan {
    /// The stretch around an event of the run, to be read at every step: its interval, widened on both sides by
    /// `margin`, or else by its own length (and by no less than the distance of two readings), within what was
    /// recorded.
    ///
    /// # Errors
    /// [`LabError::NoStretch`] if the event was not seen; what the store reports.
    pub fn around(
        store: &Store,
        run: &RunId,
        event: &Event,
        margin: Option<u64>,
    ) -> Result<Self, LabError> {
        let reader = store.run(run)?;
        let first = first_step(reader.manifest());
        let last = last_hash(&reader)?.unwrap_or(first).min(reader.manifest().step);
        let Censoring::Interval { lo, hi } = event.when else {
            let why = format!("event {} was not seen by step {}", event.name, event.known_at);
            return Err(LabError::NoStretch { run: run.clone(), from: first, to: last, why });
        };
        if reader.manifest().imported().is_some() {
            return Err(LabError::NotTrainedHere { run: run.clone() });
        }
        let usual =
            || config_of(store, run).map(|c| hi.0.saturating_sub(lo.0).max(c.record.probe_every));
        let reach = margin.map_or_else(usual, Ok)?;
        Ok(Self {
            run: run.clone(),
            from: Step(lo.0.saturating_sub(reach)).max(first),
            to: Step(hi.0.saturating_add(reach)).min(last),
            every: 1,
            probes: None,
            checkpoints: false,
        })
    }

    /// The name of the zoom: equal plans have equal names.
    fn id(&self, probes: &[String]) -> ZoomId {
        let mut text = format!("{}-{}-by-{}", self.from, self.to, self.every);
        if self.probes.is_some() {
            text = format!("{text}-{}", probes.join("-"));
        }
        if self.checkpoints {
            text += "-checkpoints";
        }
        // Steps, dashes and names of probes are safe in a name; a long list of probes is cut off.
        let safe = ZoomId::made_of(&text);
        safe.unwrap_or_else(|| unreachable!("{text} begins with a digit"))
    }

    fn refuse(&self, why: impl Into<String>) -> LabError {
        let (run, from, to) = (self.run.clone(), self.from, self.to);
        LabError::NoStretch { run, from, to, why: why.into() }
    }

    /// Whether the stretch lies within what the run recorded.
    fn check(&self, reader: &RunReader) -> Result<(), LabError> {
        let first = first_step(reader.manifest());
        if self.every == 0 || self.from > self.to {
            return Err(self.refuse("there is no step to read"));
        }
        if self.from < first {
            return Err(self.refuse(format!("it began at step {first}; zoom into its parent")));
        }
        // Beyond the step of the manifest an open run may yet go back.
        match last_hash(reader)?.map(|s| s.min(reader.manifest().step)) {
            None => Err(self.refuse("it recorded no hash of its state to compare a replay with")),
            Some(last) if self.to > last => Err(self.refuse(format!(
                "the last recorded hash of its state, without which nothing shows that a replay is the run, is at step \
                 {last}"
            ))),
            Some(_) => Ok(()),
        }
    }
}

impl Conductor<'_> {
    /// Executes a stretch of a run again with denser readings and keeps them beside the run. A zoom that is in the
    /// store is read, not repeated. No recorded file is touched.
    ///
    /// # Errors
    /// [`LabError::NoStretch`]; [`LabError::ReplayDiffers`] and [`LabError::ReadingDiffers`] if it is not the run, and
    /// [`LabError::ReplayStopped`] after a request to stop: then nothing is kept.
    pub fn zoom(&self, plan: &ZoomPlan) -> Result<Zoomed, LabError> {
        let reader = self.store.run(&plan.run)?;
        if reader.manifest().imported().is_some() {
            return Err(LabError::NotTrainedHere { run: plan.run.clone() });
        }
        plan.check(&reader)?;
        let own = config_of(self.store, &plan.run)?.record.probes;
        let probes = plan.probes.clone().unwrap_or_else(|| own.clone());
        let id = plan.id(&probes);
        if let Some(manifest) = reader.zooms()?.iter().find(|z| z.id == id) {
            if manifest.probes != probes {
                return Err(plan.refuse(format!(
                    "a zoom with other probes has the name {id}; remove it first"
                )));
            }
            return Ok(Zoomed { manifest: manifest.clone(), was_there: true });
        }
        let mut look = Look::begin(self, plan, &own, &probes)?;
        let done = look.go();
        look.replay.finished();
        done?;
        let manifest = look.manifest(self, plan, id, probes);
        let made = look.writer.publish(&manifest)?;
        Ok(Zoomed { manifest, was_there: !made })
    }
}

/// A zoom in the making.
struct Look<'a> {
    plan: &'a ZoomPlan,
    /// Probes of the run.
    own: &'a [String],
    replay: Replay<'a>,
    writer: ZoomWriter,
    probes: ProbeSet,
    readings: Readings,
    joined: Outputs,
    /// The update that made the present step.
    made: Option<Update>,
    n_equal: u64,
    n_readings: u64,
    /// Probes that remember and began to do so here.
    began_here: Vec<String>,
    unread: BTreeMap<String, String>,
}

impl<'a> Look<'a> {
    fn begin(
        conductor: &Conductor<'a>,
        plan: &'a ZoomPlan,
        own: &'a [String],
        names: &[String],
    ) -> Result<Self, LabError> {
        let probe = |source| LabError::Probe { source };
        let mut probes = ProbeSet::named(names.iter().map(String::as_str)).map_err(probe)?;
        let follow = Follow { watch: conductor.watch, is_shown: true };
        let replay = Replay::begin(conductor.store, &plan.run, plan.from, Start::Before, follow)?;
        if let Some(memory) = &replay.memory {
            let known = |name: &String| own.contains(name);
            let memory: ProbeState = memory
                .iter()
                .filter(|(name, _)| known(name))
                .map(|(n, m)| (n.clone(), m.clone()))
                .collect();
            probes.restore(&memory).map_err(probe)?;
        }
        replay.announce(plan.to);
        Ok(Self {
            plan,
            own,
            writer: conductor.store.begin_zoom(&plan.run)?,
            replay,
            probes,
            readings: Readings::new(),
            joined: Outputs::default(),
            made: None,
            n_equal: 0,
            n_readings: 0,
            began_here: Vec::new(),
            unread: BTreeMap::new(),
        })
    }

    /// Reads the stretch, and goes on to the first recorded hash at its end or after it.
    fn go(&mut self) -> Result<(), LabError> {
        let plan = self.plan;
        // Where it begins with a checkpoint, the probes remember the reading that was made there.
        let mut has_read = self.replay.memory.is_some();
        loop {
            let step = self.replay.step();
            let is_wanted = step >= plan.from
                && step <= plan.to
                && ((step.0 - plan.from.0).is_multiple_of(plan.every) || step == plan.to);
            let recorded = recorded_at(self.replay.reader(), FINGERPRINT, step)?.is_some();
            if step <= plan.to && (is_wanted || recorded) && !has_read {
                self.read(step, is_wanted, recorded)?;
            }
            has_read = false;
            if step >= plan.to && self.replay.equal_at >= Some(plan.to) {
                return Ok(());
            }
            self.made = Some(self.replay.update()?);
        }
    }

    /// Lets the probes look, compares what was recorded, and keeps what was not.
    fn read(&mut self, step: Step, is_wanted: bool, recorded: bool) -> Result<(), LabError> {
        let train = |source| LabError::Train { run: self.plan.run.clone(), source };
        let before = self.probes.state();
        // As the run did it, so that the bits are the same.
        let looks = step.0 < self.replay.trainer().config().horizon
            && self.probes.names().next().is_some()
            && self.replay.trainer().task().contained().is_some();
        let seen = if looks {
            let taps = self.replay.trainer().task().taps();
            Some(self.replay.trainer_mut().look_ahead(taps).map_err(train)?)
        } else {
            None
        };
        self.readings.clear();
        let last_loss = self.made.map_or(f64::NAN, |m| m.loss);
        observe::observe(
            self.replay.trainer(),
            (seen.as_ref(), &mut self.joined),
            last_loss,
            &mut self.probes,
            &mut self.readings,
        )
        .map_err(train)?;
        self.remember(before, is_wanted, recorded)?;
        for r in &self.readings.reasons {
            let first = || format!("step {step}: {}", r.reason);
            self.unread.entry(r.probe.clone()).or_insert_with(first);
        }
        self.keep_scalars(step, is_wanted)?;
        self.keep_vectors(step, is_wanted)?;
        if is_wanted && self.plan.checkpoints {
            fork::save_zoomed(&mut self.writer, self.replay.trainer())?;
        }
        Ok(())
    }

    /// Decides for every probe whether it remembers this reading: those of the run the recorded ones, others those
    /// of the zoom.
    fn remember(
        &mut self,
        mut before: ProbeState,
        is_wanted: bool,
        recorded: bool,
    ) -> Result<(), LabError> {
        let after = self.probes.state();
        let mut kept = after.clone();
        for name in self.probes.names().map(str::to_owned) {
            let is_own = self.own.contains(&name);
            if !is_own && after.contains_key(&name) && !self.began_here.contains(&name) {
                self.began_here.push(name.clone());
            }
            if !(if is_own { recorded } else { is_wanted }) {
                match before.remove(&name) {
                    Some(memory) => drop(kept.insert(name, memory)),
                    None => drop(kept.remove(&name)),
                }
            }
        }
        if kept != after {
            self.probes.restore(&kept).map_err(|source| LabError::Probe { source })?;
        }
        Ok(())
    }

    fn keep_scalars(&mut self, step: Step, is_wanted: bool) -> Result<(), LabError> {
        let state = self.replay.trainer().state();
        let mut rows: Vec<(&str, &str, f64)> = (self.readings.scalars.iter())
            .map(|r| (r.name.as_str(), r.unit.as_str(), r.value))
            .collect();
        if let Some(update) = &self.made {
            rows.extend([
                ("batch.loss", "nats", update.loss),
                ("batch.accuracy", "1", update.accuracy),
            ]);
            rows.push(("lr", "1", update.lr));
            if update.update_cosine.is_finite() {
                rows.push(("update.cosine", "1", update.update_cosine));
            }
        }
        let n_compared = rows.len();
        rows.push((FINGERPRINT, "1", bits_of(&state.params_hash())));
        rows.push((STATE_HASH, "1", bits_of(&state.hash())));
        let mut new = Vec::new();
        for (i, &(series, unit, now)) in rows.iter().enumerate() {
            match recorded_at(self.replay.reader(), series, step)? {
                Some(was) if was.to_bits() != now.to_bits() => {
                    let (run, series) = (self.plan.run.clone(), series.to_owned());
                    return Err(LabError::ReadingDiffers { run, step, series, was, now });
                }
                // Hashes are counted where they are compared.
                Some(_) => self.n_equal += u64::from(i < n_compared),
                None => new.push((series, unit, now)),
            }
        }
        if is_wanted {
            // Nobody looked at the wall clock when the run was here.
            let clocks = Clocks { wall_secs: f64::NAN, ..state.clocks };
            self.n_readings += new.len() as u64;
            self.writer.append(step, clocks, &new)?;
        }
        Ok(())
    }

    fn keep_vectors(&mut self, step: Step, is_wanted: bool) -> Result<(), LabError> {
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
        for v in &self.readings.vectors {
            let all = self.replay.reader().recorded_tensor(&v.name)?;
            let place = all.binary_search_by_key(&step, |r| r.step);
            let Some(was) = place.ok().map(|i| &all[i]) else {
                if is_wanted {
                    self.n_readings += 1;
                    let shape = [v.values.len()];
                    self.writer.append_tensor(step, &v.name, &v.unit, &shape, &v.values)?;
                }
                continue;
            };
            let is_same =
                matches!(&was.values, TensorValues::F32(old) if bits(old) == bits(&v.values));
            if !is_same {
                let old = was.values.to_f64();
                let pairs = old.iter().zip(&v.values);
                let apart =
                    pairs.enumerate().find(|(_, (a, b))| a.to_bits() != f64::from(**b).to_bits());
                let (i, (&was, &now)) = apart.unwrap_or((0, (&f64::NAN, &f32::NAN)));
                return Err(LabError::ReadingDiffers {
                    run: self.plan.run.clone(),
                    step,
                    series: format!("{}[{i}]", v.name),
                    was,
                    now: f64::from(now),
                });
            }
            self.n_equal += 1;
        }
        Ok(())
    }

    fn manifest(
        &self,
        conductor: &Conductor<'_>,
        plan: &ZoomPlan,
        id: ZoomId,
        probes: Vec<String>,
    ) -> ZoomManifest {
        ZoomManifest {
            format_version: ZoomManifest::FORMAT_VERSION,
            run: plan.run.clone(),
            id,
            from: plan.from,
            to: plan.to,
            every: plan.every,
            probes,
            began_here: self.began_here.clone(),
            has_checkpoints: plan.checkpoints,
            origin: self.replay.origin,
            n_hashes_equal: self.replay.n_hashes as u64,
            equal_at: self.replay.equal_at.unwrap_or(plan.to),
            n_readings_equal: self.n_equal + self.replay.n_losses as u64,
            n_readings: self.n_readings,
            versions: versions(),
            created_unix_secs: conductor.clock.unix_secs(),
            unread: self.unread.clone(),
        }
    }
}
