//! The attack: projected gradient descent on the margin.
//!
//! Each restart begins at a random image of the box ([`pixel_range`](crate::pixel_range)) and goes `eps / 4` along the
//! sign of the gradient of `max_{j != y} z_j - z_y` a number of times, pixels staying in the box (Madry et al. 2018,
//! arXiv:1706.06083, with the loss of Carlini and Wagner 2017, arXiv:1608.04644). The margin and not the cross entropy,
//! whose gradient vanishes where a network is sure of itself: an attack that follows it finds nothing there and calls it
//! robustness.

use crate::{
    Batch, Engine, EngineError, Inputs, Lane, LanePlan, Network, Table, Taps, ball::pixel_range,
    gradient::backward, lane::Home, outputs::Wants,
};
use ontogeny_core::random::Philox;

/// A gradient whose absolute values sum to no more than this points nowhere.
const UNDERFLOW: f64 = 1e-6;

/// How an adversary looks for a wrong answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attack {
    /// The largest change of a pixel, in [0, 1].
    pub eps: f64,
    /// Steps from each start.
    pub n_steps: u64,
    /// Random starts.
    pub n_restarts: u64,
}

/// What an attack found, example by example.
#[derive(Debug, Clone, PartialEq)]
pub struct Attacked {
    /// The least margin (logit of the right class less the largest other one) among all images that were tried, the
    /// example itself included. An example whose margin is not positive gets a wrong answer.
    pub margins: Vec<f64>,
    /// Whether the margin's gradient vanished at every start, so that the attack could not aim: of such an example a
    /// positive margin says nothing.
    pub is_blind: Vec<bool>,
    /// The image of the least margin, `[n, numbers of an input]`.
    pub worst: Vec<f32>,
}

impl Attacked {
    /// Share of examples whose answer stayed right; `None` if there is no example, or if the attack was blind on one
    /// that it did not break: it would be no measurement.
    pub fn accuracy(&self) -> Option<f64> {
        let unknown = self.margins.iter().zip(&self.is_blind).any(|(m, blind)| *blind && *m > 0.0);
        let n = self.margins.len();
        (n > 0 && !unknown)
            .then(|| self.margins.iter().filter(|m| **m > 0.0).count() as f64 / n as f64)
    }
}

impl Engine {
    /// Attacks every example of a batch. Those that are broken are not attacked further.
    ///
    /// Determinism: a function of its arguments; number `i` of the inputs starts restart `r` at the uniform number
    /// (0, `attack`, `r`, `i`), the same for every network, so that two networks are compared under the same starts.
    /// The number of threads does not matter.
    ///
    /// # Errors
    /// What [`input_gradient`](Engine::input_gradient) refuses; [`EngineError::Attack`] for an eps or an
    /// input that is not in [0, 1].
    pub fn attack(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        attack: Attack,
    ) -> Result<Attacked, EngineError> {
        if !(0.0..=1.0).contains(&attack.eps) {
            return Err(EngineError::Attack { name: "eps".to_owned(), value: attack.eps });
        }
        let n = batch.n_examples();
        let n_targets = batch.targets.len();
        if n_targets != n {
            return Err(EngineError::Targets { n_examples: n, n_targets });
        }
        let around = numbers(&batch.inputs)?;
        let per = batch.inputs.view().per_example();
        if let Some(at) = around.iter().position(|v| !(0.0..=1.0).contains(v)) {
            let name = format!("input {} of example {}", at % per, at / per);
            return Err(EngineError::Attack { name, value: f64::from(around[at]) });
        }
        let ends: Vec<[f32; 2]> = around.iter().map(|v| pixel_range(*v, attack.eps)).collect();
        let mut found = Attacked {
            margins: vec![f64::INFINITY; n],
            is_blind: vec![true; n],
            worst: around.to_vec(),
        };
        let search = Search { engine: self, net, params, plan, of: batch, per };
        let (margins, _) = search.look(&(0..n).collect::<Vec<_>>(), around, false)?;
        found.margins.clone_from(&margins);
        let length = (attack.eps / 4.0) as f32;
        for restart in 0..attack.n_restarts {
            let draws = Philox::new(0, "attack").at(restart);
            let mut at: Vec<f32> = (0u64..)
                .zip(&ends)
                .map(|(i, [low, high])| {
                    let u = draws.uniform(i) as f32;
                    (low + u * (high - low)).clamp(*low, *high)
                })
                .collect();
            for step in 0..=attack.n_steps {
                let standing: Vec<usize> = (0..n).filter(|i| found.margins[*i] > 0.0).collect();
                if standing.is_empty() {
                    break;
                }
                let (margins, slopes) = search.look(&standing, &at, step < attack.n_steps)?;
                for (k, &i) in standing.iter().enumerate() {
                    let rows = i * per..(i + 1) * per;
                    if margins[k] < found.margins[i] {
                        found.margins[i] = margins[k];
                        found.worst[rows.clone()].copy_from_slice(&at[rows.clone()]);
                    }
                    let Some(slopes) = &slopes else { continue };
                    let slope = slopes.row(k);
                    let size: f64 = slope.iter().map(|g| f64::from(g.abs())).sum();
                    if step == 0 {
                        // What is no number does not point anywhere either.
                        found.is_blind[i] &= size.is_nan() || size <= UNDERFLOW;
                    }
                    for ((v, g), [low, high]) in
                        at[rows.clone()].iter_mut().zip(slope).zip(&ends[rows])
                    {
                        let side = f32::from(i8::from(*g > 0.0) - i8::from(*g < 0.0));
                        *v = (*v + length * side).clamp(*low, *high);
                    }
                }
            }
        }
        Ok(found)
    }
}

/// Looks at a network's margins.
struct Search<'a> {
    engine: &'a Engine,
    net: &'a dyn Network,
    params: &'a [f32],
    plan: LanePlan,
    of: &'a Batch,
    per: usize,
}

impl Search<'_> {
    /// Margins of the examples `rows` at the images `at` (of all examples), and, if they are wanted, the gradients of
    /// `max_{j != y} z_j - z_y`. A margin that is no number is minus infinity.
    fn look(
        &self,
        rows: &[usize],
        at: &[f32],
        wants_slopes: bool,
    ) -> Result<(Vec<f64>, Option<Table>), EngineError> {
        let values: Vec<f32> =
            rows.iter().flat_map(|i| &at[i * self.per..(i + 1) * self.per]).copied().collect();
        let targets: Vec<u32> = rows.iter().map(|i| self.of.targets[*i]).collect();
        let batch = Batch { inputs: like(&self.of.inputs, values), targets };
        let wants = if wants_slopes { Wants::InputGradients } else { Wants::Values };
        let (net, params, plan) = (self.net, self.params, self.plan);
        let parts = self.engine.chunks(net, params, &batch, plan, wants, |lane, chunk| {
            let logits = net.forward(lane, chunk, &mut Taps::none());
            let table = logits.to_table();
            let slopes = wants_slopes.then(|| {
                let loss = logits.rival_lead(chunk.targets);
                slopes(lane, &loss, chunk.n_examples(), self.per)
            });
            (margins(&table, chunk.targets), slopes)
        })?;
        let (mut all, mut table) = (Vec::with_capacity(rows.len()), Table::default());
        for (margins, slopes) in parts {
            all.extend(margins);
            if let Some(slopes) = slopes {
                table.append(slopes);
            }
        }
        Ok((all, wants_slopes.then_some(table)))
    }
}

fn slopes(lane: &Lane<'_>, loss: &crate::Var<1>, rows: usize, cols: usize) -> Table {
    let values = match lane.home() {
        Home::F32(home) => {
            backward(loss);
            home.input().and_then(|x| Some(x.take_grad()?.to_vec()))
        }
        Home::F64(_) => None,
        #[cfg(feature = "composite")]
        Home::Burn(home) => home.input_gradient(loss),
    };
    Table::new(rows, cols, values.unwrap_or_else(|| vec![0.0; rows * cols]))
}

fn margins(logits: &Table, targets: &[u32]) -> Vec<f64> {
    let of = |(i, y): (usize, &u32)| {
        let row = logits.row(i);
        let right = f64::from(row[*y as usize]);
        let others = row.iter().enumerate().filter(|(j, _)| *j != *y as usize);
        let least = others
            .map(|(_, z)| right - f64::from(*z))
            .fold(f64::INFINITY, |a, b| if b.is_nan() { f64::NEG_INFINITY } else { a.min(b) });
        if right.is_nan() { f64::NEG_INFINITY } else { least }
    };
    targets.iter().enumerate().map(of).collect()
}

fn numbers(inputs: &Inputs) -> Result<&[f32], EngineError> {
    match inputs {
        Inputs::Features { values, .. } | Inputs::Images { values, .. } => Ok(values),
        Inputs::Tokens { .. } => Err(EngineError::TokensHaveNoGradient),
    }
}

/// Inputs of the same kind with other numbers.
fn like(inputs: &Inputs, values: Vec<f32>) -> Inputs {
    match inputs {
        Inputs::Images { channels, height, width, .. } => {
            Inputs::Images { values, channels: *channels, height: *height, width: *width }
        }
        other => Inputs::Features { values, width: other.view().per_example() },
    }
}
