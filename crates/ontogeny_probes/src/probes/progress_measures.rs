//! Progress measures: how much of a modular network's answer the Fourier circuit carries, long before it shows.
//!
//! The *restricted* loss keeps of the logits only their class means and their parts in `cos(w_k (a+b))`,
//! `sin(w_k (a+b))` for the key frequencies: it falls as the circuit forms. The *excluded* loss takes those parts
//! out, on the training pairs: it rises as memorization is cleaned up. The key frequencies are those of this
//! checkpoint's neuron clusters (see `key_frequencies`), never of a later one; with an empty key set the
//! restricted loss is that of the class means. `excluded.max.loss` needs no key set: it takes out the single
//! frequency that hurts most.
//!
//! Cost: one pass over the logits of the grid and one exponential for each training logit and for each
//! (sum, class, frequency). Source: Nanda et al. 2023 (arXiv:2301.05217), Sec. 5.1.

use crate::{
    Observation, Output, Probe, ProbeError, ProbeSpec, Readings, excluded::excluded_losses,
    fourier::defined, trig_logits::TrigLogits,
};

/// The manual page.
pub const SPEC: ProbeSpec = ProbeSpec {
    name: "progress_measures",
    unit: "nats",
    source: "arXiv:2301.05217",
    summary: "Restricted and excluded loss, and the share of the logits that cosines of a + b - c explain.",
    needs: "the modular grid; for the key set its tap *.mlp.post",
    outputs: &[
        Output {
            name: "restricted.<all|train|test>.loss",
            unit: "nats",
            summary: "loss of the class means and the key frequencies alone",
        },
        Output {
            name: "excluded.train.loss",
            unit: "nats",
            summary: "loss on training pairs without the key frequencies",
        },
        Output {
            name: "excluded.by_frequency",
            unit: "nats",
            summary: "loss on training pairs without frequency 1, 2, ..., (p-1)/2",
        },
        Output {
            name: "excluded.max.loss",
            unit: "nats",
            summary: "the largest of them: needs no key set",
        },
        Output {
            name: "logits.trig_share",
            unit: "1",
            summary: "share of the logits' variance in cos(w_k (a+b-c)) over key frequencies",
        },
        Output {
            name: "logits.trig_share_all",
            unit: "1",
            summary: "the same over all frequencies: needs no key set",
        },
        Output {
            name: "logits.trig_amplitude",
            unit: "nats",
            summary: "least-squares amplitude of cos(w_k (a+b-c)) for k = 1, 2, ...",
        },
    ],
};

/// Restricted and excluded losses.
#[derive(Debug, Default)]
pub struct ProgressMeasures;

impl Probe for ProgressMeasures {
    fn spec(&self) -> ProbeSpec {
        SPEC
    }

    fn measure(&mut self, o: &Observation<'_>, out: &mut Readings) -> Result<(), ProbeError> {
        let (grid, set) = o.grid()?;
        let view = o.modular_view()?;
        let trig = TrigLogits::of(&view.basis, set)?;
        let keys = view.keys();
        let component = trig.key_component(keys.as_deref().unwrap_or_default());
        let is_train = |pair: usize| grid.is_train[pair];

        let excluded = excluded_losses(&trig, &component, set, is_train)?;
        match &excluded {
            Some(losses) => {
                let by_frequency: Vec<f32> =
                    losses.by_frequency.iter().map(|&l| l as f32).collect();
                out.push_vector("excluded.by_frequency", "nats", &by_frequency);
                let max = losses.by_frequency.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                out.push("excluded.max.loss", "nats", max);
            }
            None => out.leave(&ProbeError::Empty { what: "the training pairs".into() }),
        }
        let amplitudes = trig.amplitudes();
        let values: Vec<f32> = amplitudes.iter().map(|&(a, _)| a as f32).collect();
        out.push_vector("logits.trig_amplitude", "nats", &values);
        let share = |shares: &mut dyn Iterator<Item = f64>| {
            let share: f64 = shares.sum();
            defined(share.is_finite().then_some(share), "the variance of constant logits")
        };
        let all = share(&mut amplitudes.iter().map(|&(_, s)| s));
        match &all {
            Ok(all) => out.push("logits.trig_share_all", "1", *all),
            Err(reason) => out.leave(reason),
        }

        let keys = keys?;
        if all.is_ok() {
            let by_key = share(&mut keys.iter().map(|&k| amplitudes[k - 1].1))?;
            out.push("logits.trig_share", "1", by_key);
        }
        if let Some(losses) = &excluded {
            out.push("excluded.train.loss", "nats", losses.keys);
        }
        let restricted = trig.restricted_losses(&component);
        let parts: [(&str, &dyn Fn(usize) -> bool); 3] =
            [("all", &|_| true), ("train", &is_train), ("test", &|pair| !is_train(pair))];
        for (part, of) in parts {
            match trig.mean_at_targets(&restricted, set, of)? {
                Some(loss) => out.push(format!("restricted.{part}.loss"), "nats", loss),
                None => out.leave(&ProbeError::Empty { what: format!("the {part} pairs") }),
            }
        }
        Ok(())
    }
}
