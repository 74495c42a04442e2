//! Which string is inserted when: the plan, and the treatments that change it from a step on.

use super::CanariesConfig;
use ontogeny_core::random::Philox;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The part of the run in which a string is inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// The first third.
    Early,
    /// The second third.
    Middle,
    /// The last third.
    Late,
    /// Anywhere.
    Uniform,
}

impl Placement {
    /// All of them, in the order of the canaries.
    pub const ALL: [Self; 4] = [Self::Early, Self::Middle, Self::Late, Self::Uniform];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::Middle => "middle",
            Self::Late => "late",
            Self::Uniform => "uniform",
        }
    }

    /// Its steps.
    pub(super) fn steps(self, n: u64) -> (u64, u64) {
        match self {
            Self::Early => (0, n / 3),
            Self::Middle => (n / 3, 2 * n / 3),
            Self::Late => (2 * n / 3, n),
            Self::Uniform => (0, n),
        }
    }
}

/// What is done from a step on. Each is absent (`null`) at first, and switched on by a fork.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Treatments {
    /// From this step on no string is inserted that has been before.
    pub dedup_from: Option<u64>,
    /// From this step on a byte is dropped from the loss if the hash of the 13 before it is a multiple of 4 (goldfish
    /// loss, Hans et al. 2024, arXiv:2406.10209).
    pub goldfish_from: Option<u64>,
    /// Moves insertions that are still to come.
    pub moved: Option<Move>,
    /// Ascends the loss of the canaries, then trains on a few of them again.
    pub unlearn: Option<Unlearn>,
}

/// Insertions from a step on come sooner or later, as many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// First step whose insertions are moved.
    pub from: u64,
    /// Whether to the last half of what remains, and not to the first.
    pub late: bool,
}

/// Post-hoc unlearning and the test that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlearn {
    /// First update that climbs the loss of the canaries.
    pub from: u64,
    /// Updates that do.
    pub n_steps: u64,
    /// Share of the canaries that every later batch holds, beside text; the others are not trained on.
    pub relearned: f64,
}

/// A string that is inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Inserted {
    Canary(u32),
    Duplicate(u32),
}

/// Insertions by place: `step * batch_examples + example`.
pub(super) type Plan = BTreeMap<u64, Inserted>;

/// Makes the plan of a configuration. Treatments change nothing before they begin.
pub(super) fn plan(config: &CanariesConfig, data_seed: u64) -> Plan {
    let mut plan = Plan::new();
    let stream = Philox::new(data_seed, "canaries.places");
    let n = config.n_steps;
    let mut add = |id: u64, what: Inserted, placement: Placement, count: u32| {
        let (from, to) = placement.steps(n);
        let draws = stream.at(id);
        for copy in 0..u64::from(count) {
            place(&mut plan, config.batch_examples, (from, to), draws.uniform(copy), what);
        }
    };
    for (i, c) in config.canaries().into_iter().enumerate() {
        add(i as u64, Inserted::Canary(i as u32), c.placement, c.count);
    }
    let n_canaries = config.n_canaries() as u64;
    for (i, count) in config.duplicates().into_iter().enumerate() {
        add(n_canaries + i as u64, Inserted::Duplicate(i as u32), Placement::Uniform, count);
    }
    treated(config, data_seed, plan)
}

/// Puts a string into the first free place of some steps from a drawn one on. There is one: the configuration is
/// checked to leave most places free.
fn place(plan: &mut Plan, batch: usize, (from, to): (u64, u64), at: f64, what: Inserted) {
    let (first, n) = (from * batch as u64, (to - from) * batch as u64);
    let start = (at * n as f64) as u64;
    let free = (0..n).map(|i| first + (start + i) % n).find(|slot| !plan.contains_key(slot));
    if let Some(slot) = free {
        plan.insert(slot, what);
    }
}

fn treated(config: &CanariesConfig, data_seed: u64, mut plan: Plan) -> Plan {
    let t = &config.treatments;
    let batch = config.batch_examples as u64;
    if let Some(m) = t.moved {
        let later = plan.split_off(&(m.from * batch));
        let middle = u64::midpoint(m.from, config.n_steps);
        let into = if m.late { (middle, config.n_steps) } else { (m.from, middle) };
        let draws = Philox::new(data_seed, "canaries.moved").at(u64::from(m.late));
        for (i, what) in (0..).zip(later.into_values()) {
            place(&mut plan, config.batch_examples, into, draws.uniform(i), what);
        }
    }
    if let Some(from) = t.dedup_from {
        let mut seen = std::collections::BTreeSet::new();
        plan.retain(|slot, what| seen.insert(*what) || *slot < from * batch);
    }
    if let Some(u) = t.unlearn {
        plan.split_off(&(u.from * batch));
    }
    plan
}

/// Bytes before a byte that decide whether it is dropped.
const CONTEXT: usize = 13;
/// One in so many bytes is dropped.
const DROPPED: u64 = 4;

/// Whether goldfish loss drops the byte after `before`; of a window's first bytes what there is decides.
pub(super) fn is_dropped(before: &[u8]) -> bool {
    let seen = &before[before.len().saturating_sub(CONTEXT)..];
    // FNV-1a, and its upper half: the lower bits of a product depend on the lower bits alone.
    let hash = seen
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    (hash >> 32).is_multiple_of(DROPPED)
}
