//! Shows a network to the probes: runs the evaluation sets forward and hands out copies.

use crate::surroundings::{Surroundings, goals};
use ontogeny_engine::{Outputs, UNREAD};
use ontogeny_probes::{
    EvalSet, Group, ModularGrid, Observation, ParamView, ProbeSet, Readings, Tap,
};
use ontogeny_train::{TrainError, Trainer};
use std::borrow::Cow;

/// Evaluates `trainer` and lets `probes` write to `out`. The trainer is only read (law 1). `seen` is what a
/// look ahead showed of the batch, where there was one, and `joined` memory that is used again.
pub(crate) fn observe(
    trainer: &Trainer,
    (seen, joined): (Option<&Outputs>, &mut Outputs),
    train_loss: f64,
    probes: &mut ProbeSet,
    out: &mut Readings,
) -> Result<(), TrainError> {
    if probes.names().next().is_none() {
        return Ok(());
    }
    let task = trainer.task();
    let sets = task.eval_sets();
    let is_known = match seen {
        Some(seen) => trainer.evaluate_rest(seen, task.taps(), joined)?,
        None => false,
    };
    let others: Vec<Outputs> = (usize::from(is_known)..sets.len())
        .map(|i| trainer.evaluate(i, task.taps()))
        .collect::<Result<_, _>>()?;
    let outputs = is_known.then_some(&*joined).into_iter().chain(&others);
    let shown: Vec<Shown<'_>> =
        sets.iter().zip(outputs).map(|(s, o)| Shown::of(o, &s.batch.targets)).collect();
    let state = trainer.state();
    let layout = trainer.layout();
    let batches = if probes.reads_gradients() { task.gradient_batches() } else { &[] };
    let mut gradients: Vec<(&str, Vec<f32>)> = (batches.iter())
        .filter(|(_, batch)| batch.n_examples() > 0)
        .map(|(name, batch)| Ok((*name, trainer.gradient_of(batch)?)))
        .collect::<Result<_, TrainError>>()?;
    if probes.reads_gradients() {
        gradients.extend(goals(trainer)?);
    }
    let surroundings = Surroundings::of(trainer, probes)?;
    let mut seen = Observation::new(state.step);
    seen.chain = surroundings.chain();
    seen.neighbourhoods = surroundings.neighbourhoods();
    seen.named_grads = gradients.iter().map(|(name, g)| (*name, g.as_slice())).collect();
    seen.train_loss = train_loss;
    seen.grads = Some(trainer.last_gradient()).filter(|g| !g.is_empty());
    seen.update = Some(state.previous_update.as_slice()).filter(|u| !u.is_empty());
    seen.params = (layout.iter())
        .map(|(range, spec)| ParamView {
            name: &spec.name,
            shape: &spec.shape,
            values: &state.params[range],
        })
        .collect();
    seen.sets = (sets.iter().zip(&shown))
        .map(|(set, Shown { output, targets })| EvalSet {
            name: set.name,
            n_classes: output.logits.cols,
            logits: &output.logits.values,
            targets,
            taps: (output.taps.iter())
                .map(|(name, t)| Tap { name, width: t.cols, values: &t.values })
                .collect(),
            groups: set.groups.iter().map(|(name, members)| Group { name, members }).collect(),
        })
        .collect();
    seen.modular = task.modular().map(|m| ModularGrid { p: m.p as usize, is_train: &m.is_train });
    probes.measure(&seen, out);
    if let (Some(rates), Some(set)) = (task.group_rates(), sets.first()) {
        // The loss a fresh batch has on average, without the noise of a batch.
        let losses = set.groups.iter().map(|(name, _)| out.scalar(&format!("{name}.loss")));
        if let Some(losses) = losses.collect::<Option<Vec<f64>>>() {
            let expected = losses.iter().zip(rates).map(|(l, r)| l * r).sum();
            out.push("mixture.loss", "nats", expected);
        }
    }
    Ok(())
}

/// Outputs and targets of the readouts that are read: probes know no others.
struct Shown<'a> {
    output: Cow<'a, Outputs>,
    targets: Cow<'a, [u32]>,
}

impl<'a> Shown<'a> {
    fn of(output: &'a Outputs, targets: &'a [u32]) -> Self {
        if !targets.contains(&UNREAD) {
            return Self { output: Cow::Borrowed(output), targets: Cow::Borrowed(targets) };
        }
        let read: Vec<u32> =
            (0..).zip(targets).filter(|(_, t)| **t != UNREAD).map(|(i, _)| i).collect();
        Self {
            output: Cow::Owned(output.of_readouts(&read)),
            targets: Cow::Owned(read.iter().map(|&i| targets[i as usize]).collect()),
        }
    }
}
