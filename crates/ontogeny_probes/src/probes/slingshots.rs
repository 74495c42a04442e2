//! Slingshots: spikes of the training loss that come with growth of the last layer.
//!
//! A spike is a stretch of readings above ten times the running median of the last 100; its peak is a slingshot
//! if the last layer's norm is larger there than ten readings before the stretch began. It is counted when the
//! stretch has ended, since only then its peak is known. The last layer is `unembed.w`, or else the last matrix.
//!
//! Keeps state: the window, the stretch that is open, the count. Cost: a median of 100 numbers.
//! Source: Thilak et al. 2022 (arXiv:2206.04817).

use crate::{
    Observation, Output, Probe, ProbeError, ProbeSpec, Readings, lanes::dot, observation::Matrix,
};
use ontogeny_core::Step;
use std::collections::VecDeque;

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "slingshots",
    unit: "slingshots",
    source: "arXiv:2206.04817",
    summary: "Spikes of the training loss that come with growth of the last layer.",
    needs: "the training loss and a matrix among the parameters",
    outputs: &[
        Output { name: "slingshots.n", unit: "slingshots", summary: "slingshots so far" },
        Output { name: "slingshots.last_step", unit: "steps", summary: "the peak of the latest" },
        Output {
            name: "slingshots.loss_ratio",
            unit: "1",
            summary: "training loss over the running median of the readings before it",
        },
        Output {
            name: "slingshots.last_layer_norm",
            unit: "1",
            summary: "Euclidean norm of the last layer",
        },
    ],
};

/// A spike is above this many running medians.
const RATIO: f64 = 10.0;
/// Readings in the running median.
const WINDOW: usize = 100;
/// Readings before a median is believed.
const ENOUGH: usize = 10;
/// Readings before the spike at which the norm is compared.
const LOOKBACK: usize = 10;

/// A spike of the training loss with growth of the last layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slingshot {
    /// The step of its peak.
    pub step: Step,
    /// The training loss there, in nats.
    pub loss: f64,
    /// Last-layer norm at the peak over that before the spike; above 1.
    pub norm_ratio: f64,
}

/// Finds the slingshots in a history of (step, training loss, norm of the last layer).
///
/// Readings that are not finite are passed over. A spike that has not ended is not reported.
pub fn find_slingshots(history: impl IntoIterator<Item = (Step, f64, f64)>) -> Vec<Slingshot> {
    let mut detector = Detector::default();
    let finite = history.into_iter().filter(|(_, loss, norm)| loss.is_finite() && norm.is_finite());
    finite.filter_map(|(step, loss, norm)| detector.see(step, loss, norm)).collect()
}

/// Counts slingshots as the readings come in.
#[derive(Debug, Default)]
pub struct Slingshots {
    detector: Detector,
    n: u64,
    last: Option<Step>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Detector {
    losses: VecDeque<f64>,
    norms: VecDeque<f64>,
    open: Option<Spike>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Spike {
    step: Step,
    loss: f64,
    norm: f64,
    norm_before: f64,
}

impl Detector {
    /// The median of the window, once there is enough of it.
    fn median(&self) -> Option<f64> {
        if self.losses.len() < ENOUGH {
            return None;
        }
        let mut window: Vec<f64> = self.losses.iter().copied().collect();
        let middle = window.len() / 2;
        Some(*window.select_nth_unstable_by(middle, f64::total_cmp).1)
    }

    /// Takes the next reading, and returns the slingshot that it shows to be over.
    fn see(&mut self, step: Step, loss: f64, norm: f64) -> Option<Slingshot> {
        let is_spike = self.median().is_some_and(|median| loss > RATIO * median);
        let mut ended = None;
        if is_spike {
            match &mut self.open {
                Some(spike) if loss > spike.loss => {
                    *spike = Spike { step, loss, norm, ..*spike };
                }
                Some(_) => {}
                None => {
                    let norm_before = self.norms.front().copied().unwrap_or(norm);
                    self.open = Some(Spike { step, loss, norm, norm_before });
                }
            }
        } else {
            ended = self.open.take();
        }
        if self.losses.len() == WINDOW {
            self.losses.pop_front();
        }
        self.losses.push_back(loss);
        if self.norms.len() == LOOKBACK {
            self.norms.pop_front();
        }
        self.norms.push_back(norm);
        ended.filter(|spike| spike.norm > spike.norm_before).map(|spike| Slingshot {
            step: spike.step,
            loss: spike.loss,
            norm_ratio: spike.norm / spike.norm_before,
        })
    }
}

impl Probe for Slingshots {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let layer = last_layer(o)?;
        let norm = dot(layer.values, layer.values).sqrt();
        out.push("slingshots.last_layer_norm", "1", norm);
        if !o.train_loss.is_finite() || !norm.is_finite() {
            return Err(ProbeError::NonFinite {
                what: "the training loss or the last layer".into(),
            });
        }
        if let Some(median) = self.detector.median().filter(|&m| m > 0.0) {
            out.push("slingshots.loss_ratio", "1", o.train_loss / median);
        }
        if let Some(slingshot) = self.detector.see(o.step, o.train_loss, norm) {
            self.n += 1;
            self.last = Some(slingshot.step);
        }
        out.push("slingshots.n", "slingshots", self.n as f64);
        if let Some(step) = self.last {
            out.push("slingshots.last_step", "steps", step.0 as f64);
        }
        Ok(())
    }

    /// The count, the last peak (-1 for none), the open spike (its step is -1 for none), then both windows.
    fn state(&self) -> Vec<f64> {
        let step = |step: Option<Step>| step.map_or(-1.0, |s| s.0 as f64);
        let spike = self.detector.open;
        let value = |of: fn(&Spike) -> f64| spike.as_ref().map_or(0.0, of);
        let mut state = vec![
            self.n as f64,
            step(self.last),
            step(spike.map(|s| s.step)),
            value(|s| s.loss),
            value(|s| s.norm),
            value(|s| s.norm_before),
            self.detector.losses.len() as f64,
        ];
        state.extend(&self.detector.losses);
        state.extend(&self.detector.norms);
        state
    }

    fn restore(&mut self, state: &[f64]) -> Result<(), ProbeError> {
        let misfit = || ProbeError::State { probe: SPEC.name, found: state.len() };
        let &[n, last, open, loss, norm, norm_before, n_losses, ref windows @ ..] = state else {
            return Err(misfit());
        };
        let n_losses = n_losses as usize;
        let fits = n_losses <= WINDOW
            && windows.len() == n_losses + n_losses.min(LOOKBACK)
            && state.iter().all(|x| x.is_finite());
        if !fits {
            return Err(misfit());
        }
        let step = |x: f64| (x >= 0.0).then_some(Step(x as u64));
        let (losses, norms) = windows.split_at(n_losses);
        *self = Self {
            n: n as u64,
            last: step(last),
            detector: Detector {
                losses: losses.iter().copied().collect(),
                norms: norms.iter().copied().collect(),
                open: step(open).map(|step| Spike { step, loss, norm, norm_before }),
            },
        };
        Ok(())
    }
}

fn last_layer<'a>(o: &Observation<'a>) -> Result<Matrix<'a>, ProbeError> {
    if o.params.iter().any(|p| p.name == "unembed.w") {
        return o.matrix("unembed.w");
    }
    let last = o.params.iter().rfind(|p| p.shape.len() == 2);
    let last =
        last.ok_or_else(|| ProbeError::Missing { what: "a matrix to call the last layer".into() })?;
    o.matrix(last.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ParamView;
    use ontogeny_core::random::Philox;

    /// A falling, noisy loss with spikes; the last layer grows into each true one and shrinks into the decoys.
    fn history(seed: u64, spikes: &[u64], decoys: &[u64]) -> Vec<(Step, f64, f64)> {
        let noise = Philox::new(seed, "loss").at(0);
        let mut norm = 10.0;
        (0..1000)
            .map(|t| {
                let mut loss = (0.05 + (-(t as f64) / 100.0).exp()) * (0.2 * noise.normal(t)).exp();
                norm *= 1.0 - 1e-4;
                for (at, growth) in
                    spikes.iter().map(|s| (s, 0.02)).chain(decoys.iter().map(|s| (s, -0.02)))
                {
                    let distance = t.abs_diff(*at);
                    loss += 5.0 * (-(distance as f64)).exp();
                    norm *= 1.0 + if *at >= t && distance < 10 { growth } else { 0.0 };
                }
                (Step(t), loss, norm)
            })
            .collect()
    }

    #[test]
    fn finds_every_injected_slingshot_and_nothing_else() {
        for seed in 0..20 {
            let (spikes, decoys) = ([300, 450, 700], [370, 900]);
            let found = find_slingshots(history(seed, &spikes, &decoys));
            let steps: Vec<u64> = found.iter().map(|s| s.step.0).collect();
            assert_eq!(steps, spikes, "seed {seed}");
            assert!(found.iter().all(|s| s.norm_ratio > 1.1 && s.loss > 4.0));
        }
    }

    #[test]
    fn a_loss_without_spikes_has_no_slingshot() {
        for seed in 0..20 {
            assert_eq!(find_slingshots(history(seed, &[], &[500])), []);
        }
    }

    #[test]
    fn stopping_inside_a_spike_changes_nothing() {
        let history = history(1, &[300, 450], &[]);
        let run = |stops: &[u64]| {
            let (mut probe, mut all) = (Slingshots::default(), Vec::new());
            for &(step, loss, norm) in &history {
                if stops.contains(&step.0) {
                    let state = probe.state();
                    probe = Slingshots::default();
                    probe.restore(&state).unwrap();
                }
                let weight = [norm as f32];
                let mut o = Observation::new(step);
                o.params = vec![ParamView { name: "unembed.w", shape: &[1, 1], values: &weight }];
                o.train_loss = loss;
                let mut readings = Readings::new();
                probe.measure(&o, &mut readings).unwrap();
                all.push(readings.scalars);
            }
            all
        };
        let never = run(&[]);
        assert_eq!(run(&[5, 299, 300, 301, 302, 450]), never);
        let last = never.last().unwrap();
        assert!(last.iter().any(|r| r.name == "slingshots.n" && r.value == 2.0));
        assert!(Slingshots::default().restore(&[1.0, 2.0]).is_err());
    }
}
