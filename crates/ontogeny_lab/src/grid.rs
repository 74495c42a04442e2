//! Many runs at once, one thread each.

use crate::LabError;
use crate::conductor::{Conductor, Observer};
use crate::plan::RunPlan;
use crate::record::RunRecord;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

impl Conductor<'_> {
    /// Conducts `plans`, `threads` at a time, and returns the finished runs in the order of the plans.
    ///
    /// Which thread takes which run depends on timing; what comes out does not. Runs finished earlier are
    /// read from the store, so an interrupted grid goes on where it was.
    ///
    /// # Errors
    /// The first error in the order of the plans; the other threads stop at their next run.
    pub fn conduct_all<'o>(
        &self,
        stage: &str,
        plans: &[RunPlan],
        threads: usize,
        observer: &(dyn Fn(&RunPlan) -> Box<dyn Observer + 'o> + Sync),
    ) -> Result<Vec<RunRecord>, LabError> {
        let from = |p: &RunPlan| p.fork.as_ref().map_or(0, |f| f.step.0);
        let n_updates = plans.iter().map(|p| p.config.horizon.saturating_sub(from(p))).sum();
        self.watch.stage(stage, plans.len(), n_updates);
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let slots: Vec<Mutex<Option<Result<RunRecord, LabError>>>> =
            plans.iter().map(|_| Mutex::new(None)).collect();
        std::thread::scope(|scope| {
            for _ in 0..threads.clamp(1, plans.len().max(1)) {
                scope.spawn(|| {
                    while !failed.load(Ordering::Relaxed) {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        let Some(plan) = plans.get(i) else { break };
                        let result = self.conduct(plan, &mut *observer(plan));
                        failed.fetch_or(result.is_err(), Ordering::Relaxed);
                        if let Ok(mut slot) = slots[i].lock() {
                            *slot = Some(result);
                        }
                    }
                });
            }
        });
        // A slot stays empty only behind an error in an earlier or concurrent one.
        let results = slots.into_iter().filter_map(|s| s.into_inner().ok().flatten());
        let records: Vec<RunRecord> = results.collect::<Result<_, _>>()?;
        if records.len() == plans.len() { Ok(records) } else { Err(LabError::Stopped) }
    }
}
