//! A replay that is not its run: where they part, and why that may be.

use ontogeny_core::{RunId, Step, Versions};
use ontogeny_engine::Layout;
use ontogeny_store::Checkpoint;
use ontogeny_train::TrainState;
use std::collections::BTreeMap;
use std::fmt;

/// Tensors that are named one by one; the others are counted.
const MAX_NAMED: usize = 6;

/// Which recorded number differed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sign {
    /// The hash of the whole state.
    State,
    /// The hash of the whole state, with equal parameters: moments or another part beside them.
    Moments,
    /// The hash of the parameters.
    Parameters,
    /// The loss of the update that made the step.
    Loss,
    /// The hash of the state with which a fork left its parent.
    ForkPoint,
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::State => "the hash of the state",
            Self::Moments => "the hash of the state, but not that of its parameters,",
            Self::Parameters => "the hash of the parameters",
            Self::Loss => "the loss of the update that made it",
            Self::ForkPoint => "the state with which it left its parent",
        })
    }
}

/// How a tensor of a replay differs from that of the checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorDifference {
    /// Its name in the checkpoint.
    pub name: String,
    /// Values that differ in any bit.
    pub n_differing: usize,
    /// All its values; what the checkpoint has not counts as differing.
    pub n_values: usize,
    /// The largest difference between finite values.
    pub max_abs: f64,
}

/// What a closer look found; `None` where it could not be had.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Located {
    /// Whether a second replay came out as the first, so that this machine repeats itself.
    pub repeats: Option<bool>,
    /// The first checkpoint at or after the difference, and the tensors that differ there, most differing first.
    pub tensors: Option<(Step, Vec<TensorDifference>)>,
}

/// The first difference between a replay and what its run recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// The run.
    pub run: RunId,
    /// Step of the recorded state the replay began with.
    pub origin: Step,
    /// What differed first.
    pub sign: Sign,
    /// The step at which it did.
    pub step: Step,
    /// The last recorded hash that was equal: they part after it, and no later than at `step`. `None` if the very
    /// first number differs.
    pub equal_at: Option<Step>,
    /// Who made the run.
    pub made_by: Versions,
    /// Who replays it.
    pub here: Versions,
    /// What a closer look found.
    pub located: Located,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, origin, sign, step, .. } = self;
        write!(
            f,
            "a replay of run {run} from step {origin} is not the run: at step {step} {sign} differs"
        )?;
        match self.equal_at {
            Some(at) if at.0 + 1 == step.0 => write!(f, ", so it is the update of step {at}"),
            Some(at) => write!(f, ", the last equal hash is at step {at}"),
            None => Ok(()),
        }
    }
}

impl Divergence {
    /// The likely cause and, from a checkpoint, the tensors that differ.
    pub fn explanation(&self) -> String {
        let cause = self.cause();
        match &self.located.tensors {
            None => cause,
            Some((at, some)) if some.is_empty() => {
                format!("{cause}; at the checkpoint of step {at} every tensor is equal again")
            }
            Some((at, some)) => {
                format!("{cause}; at the checkpoint of step {at} differ {}", named(some))
            }
        }
    }

    fn cause(&self) -> String {
        if self.located.repeats == Some(false) {
            return "two replays on this machine differ from one another: its memory, or the engine, cannot be trusted"
                .to_owned();
        }
        let (then, now) = (&self.made_by, &self.here);
        if then.engine != now.engine {
            return format!(
                "the run was made with {} and this is {}: bits are promised for one instruction set",
                then.engine, now.engine
            );
        }
        if then.ontogeny != now.ontogeny {
            return format!(
                "the run was made by ontogeny {} and this is {}",
                then.ontogeny, now.ontogeny
            );
        }
        "version and instruction set are those of the run: its configuration or its files were changed, or it was \
         made by another build"
            .to_owned()
    }
}

fn named(tensors: &[TensorDifference]) -> String {
    let one = |t: &TensorDifference| format!("{} ({} of {})", t.name, t.n_differing, t.n_values);
    let mut parts: Vec<String> = tensors.iter().take(MAX_NAMED).map(one).collect();
    if tensors.len() > MAX_NAMED {
        parts.push(format!("{} more", tensors.len() - MAX_NAMED));
    }
    parts.join(", ")
}

/// The tensors of `state` that are not those of `saved`, bit for bit; those of which the largest share differs
/// come first.
pub(crate) fn differing_tensors(
    state: &TrainState,
    layout: &Layout,
    saved: &Checkpoint,
) -> Vec<TensorDifference> {
    let theirs: BTreeMap<&str, Vec<f32>> =
        saved.tensors.iter().filter_map(|t| Some((t.name.as_str(), t.to_f32()?))).collect();
    let mut found = Vec::new();
    state.for_each_tensor(layout, |t| {
        let n_values = t.values.len();
        let (n_differing, max_abs) = match theirs.get(t.name) {
            Some(other) if other.len() == n_values => {
                let pairs = || t.values.iter().zip(other);
                let n = pairs().filter(|(a, b)| a.to_bits() != b.to_bits()).count();
                let gaps = pairs().map(|(a, b)| f64::from((a - b).abs()));
                (n, gaps.filter(|g| g.is_finite()).fold(0.0, f64::max))
            }
            _ => (n_values, f64::NAN),
        };
        if n_differing > 0 {
            let name = t.name.to_owned();
            found.push(TensorDifference { name, n_differing, n_values, max_abs });
        }
    });
    let share = |t: &TensorDifference| t.n_differing as f64 / t.n_values as f64;
    found.sort_by(|a, b| share(b).total_cmp(&share(a)));
    found
}
