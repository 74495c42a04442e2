//! Examples with their surroundings, for probes that certify and attack.

use ontogeny_engine::{Attack, Attacked, Batch, Inputs, Stage};
use ontogeny_probes::{Chain, Neighbourhood, ProbeSet};
use ontogeny_train::tasks::{EvalSet, InputShape, Threat};
use ontogeny_train::{TrainError, Trainer};

/// Examples on which the gradients of two goals are compared, at most.
const GRADIENT_EXAMPLES: usize = 512;

/// What [`Chain`] and [`Neighbourhood`] borrow.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    stages: Option<Vec<Stage>>,
    input: [usize; 3],
    near: Vec<Near>,
}

#[derive(Debug)]
struct Near {
    set: &'static str,
    eps: f64,
    batch: Batch,
    attacked: Option<Attacked>,
}

impl Surroundings {
    /// Of the watched probe examples, and at the last step of the run of the whole audit set. Nothing, and no cost, if
    /// the task has no threat or no probe asks.
    pub(crate) fn of(trainer: &Trainer, probes: &ProbeSet) -> Result<Self, TrainError> {
        let task = trainer.task();
        let Some(threat) = task.threat().filter(|_| probes.reads_neighbourhoods()) else {
            return Ok(Self::default());
        };
        let is_last = trainer.state().step.0 == trainer.config().horizon;
        let mut near = Vec::new();
        for set in task.eval_sets() {
            let (n, n_steps, n_restarts) = match set.name {
                "probe" => (threat.n_watched, threat.n_steps, threat.n_restarts),
                "audit" if is_last => (usize::MAX, Threat::AUDIT_STEPS, Threat::AUDIT_RESTARTS),
                _ => continue,
            };
            let (batch, eps) = (first(set, n), threat.eps);
            let attack = Attack { eps, n_steps, n_restarts };
            let attacked =
                probes.reads_attacks().then(|| trainer.attack(&batch, attack)).transpose()?;
            near.push(Near { set: set.name, eps, batch, attacked });
        }
        let input = match trainer.config().task.shape().input {
            InputShape::Image { shape } => shape,
            InputShape::Features { width } => [1, 1, width],
            InputShape::Tokens { .. } => [0; 3],
        };
        Ok(Self { stages: trainer.stages(), input, near })
    }

    pub(crate) fn chain(&self) -> Option<Chain<'_>> {
        self.stages.as_deref().map(|stages| Chain { input: self.input, stages })
    }

    pub(crate) fn neighbourhoods(&self) -> Vec<Neighbourhood<'_>> {
        self.near.iter().map(Near::show).collect()
    }
}

impl Near {
    fn show(&self) -> Neighbourhood<'_> {
        Neighbourhood {
            set: self.set,
            eps: self.eps,
            inputs: numbers(&self.batch),
            targets: &self.batch.targets,
            attacked: self.attacked.as_ref(),
        }
    }
}

/// The gradients of the natural and of the certified loss on the first probe examples, at the radius in force; none of
/// a run without a threat or with a plain objective.
pub(crate) fn goals(trainer: &Trainer) -> Result<Vec<(&'static str, Vec<f32>)>, TrainError> {
    let task = trainer.task();
    let (Some(_), Some(set)) = (task.threat(), task.eval_sets().first()) else { return Ok(vec![]) };
    let batch = first(set, GRADIENT_EXAMPLES);
    let Some((certified, _)) = trainer.certified_gradient_of(&batch, None)? else {
        return Ok(vec![]);
    };
    let natural = trainer.natural_gradient_of(&batch)?;
    Ok(vec![("natural", natural.grad), ("certified", certified.grad)])
}

/// The first `n` examples of a set.
fn first(set: &EvalSet, n: usize) -> Batch {
    let all = &set.batch;
    let n = n.min(all.n_examples());
    let mut batch = Batch { inputs: all.inputs.clone(), targets: all.targets[..n].to_vec() };
    let len = n * all.inputs.view().per_example();
    match &mut batch.inputs {
        Inputs::Features { values, .. } | Inputs::Images { values, .. } => values.truncate(len),
        Inputs::Tokens { ids, .. } => ids.truncate(len),
    }
    batch
}

fn numbers(batch: &Batch) -> &[f32] {
    match &batch.inputs {
        Inputs::Features { values, .. } | Inputs::Images { values, .. } => values,
        Inputs::Tokens { .. } => &[],
    }
}
