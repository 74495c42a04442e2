//! Forward passes, and gradients that are not about parameters.

use std::collections::BTreeMap;

use crate::{
    Batch, Chunk, Engine, EngineError, Inputs, Lane, LanePlan, Network, Objective, Table, Taps,
    Var,
    gradient::backward,
    lane::{Home, HostLane},
    var::Repr,
};

/// Logits and activations of a forward pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outputs {
    /// `[n_readouts, n_classes]`.
    pub logits: Table,
    /// The taps that were asked for and that the network offers, rows in the order of the batch.
    pub taps: BTreeMap<String, Table>,
}

impl Outputs {
    /// Joins the tables of chunks in the order of the batch.
    pub(crate) fn of_chunks(
        chunks: impl IntoIterator<Item = (Table, impl IntoIterator<Item = (String, Table)>)>,
    ) -> Self {
        let mut out = Self::default();
        for (logits, taps) in chunks {
            out.logits.append(logits);
            for (name, table) in taps {
                out.taps.entry(name).or_default().append(table);
            }
        }
        out
    }

    /// The rows of these readouts alone. Taps that have a row per readout are cut likewise; others stay.
    ///
    /// # Panics
    /// If there is no such readout.
    #[must_use]
    pub fn of_readouts(&self, rows: &[u32]) -> Self {
        let cut = |t: &Table| {
            if t.rows == self.logits.rows { t.of_rows(rows) } else { t.clone() }
        };
        Self {
            logits: self.logits.of_rows(rows),
            taps: self.taps.iter().map(|(name, t)| (name.clone(), cut(t))).collect(),
        }
    }

    /// Becomes the outputs of two parts of a set, whose rows are to stand at the named places of the whole; its
    /// memory is used again. Rows are examples: the networks of both parts read out once per example.
    ///
    /// # Panics
    /// If the rows of the parts are not as many as the places named, or the parts have other taps.
    pub fn interleave(&mut self, parts: [(&Self, &[u32]); 2]) {
        self.logits.interleave(parts.map(|(o, rows)| (&o.logits, rows)));
        let wanted = &parts[0].0.taps;
        self.taps.retain(|name, _| wanted.contains_key(name));
        for name in wanted.keys() {
            let table = self.taps.entry(name.clone()).or_default();
            table.interleave(parts.map(|(o, rows)| (&o.taps[name], rows)));
        }
    }
}

impl Engine {
    /// Logits and named activations, without a graph. The batch needs no targets.
    ///
    /// # Errors
    /// If parameters, batch and plan do not fit each other.
    pub fn outputs(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        taps: &[&str],
    ) -> Result<Outputs, EngineError> {
        let tables = self.chunks(net, params, batch, plan, Wants::Values, |lane, chunk| {
            let mut taps = Taps::wanting(taps);
            let logits = net.forward(lane, chunk, &mut taps).to_table();
            (logits, taps.into_tables())
        })?;
        Ok(Outputs::of_chunks(tables))
    }

    /// The gradient of every example's own loss (summed over its readouts) with respect to its features or
    /// pixels, `[n_examples, scalars per example]`.
    ///
    /// # Errors
    /// If parameters, batch and plan do not fit each other, the batch has no targets or holds tokens.
    pub fn input_gradient(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        objective: Objective,
    ) -> Result<Table, EngineError> {
        if batch.targets.is_empty() {
            return Err(EngineError::NoTargets);
        }
        if matches!(batch.inputs, Inputs::Tokens { .. }) {
            return Err(EngineError::TokensHaveNoGradient);
        }
        let tables =
            self.chunks(net, params, batch, plan, Wants::InputGradients, |lane, chunk| {
                let logits = net.forward(lane, chunk, &mut Taps::none());
                let loss = objective.loss(&logits, chunk.targets);
                let (rows, cols) = (chunk.n_examples(), chunk.inputs.per_example());
                let values = match lane.home() {
                    Home::F32(home) => {
                        backward(&loss);
                        home.input().and_then(|x| Some(x.take_grad()?.to_vec()))
                    }
                    Home::F64(_) => None,
                    #[cfg(feature = "composite")]
                    Home::Burn(home) => home.input_gradient(&loss),
                };
                Table::new(rows, cols, values.unwrap_or_else(|| vec![0.0; rows * cols]))
            })?;
        Ok(joined(tables))
    }

    /// The gradient of the summed loss with respect to named activations (those the network
    /// [passes](Taps::pass)), rows in the order of the batch.
    ///
    /// # Errors
    /// If parameters, batch and plan do not fit each other, or the batch has no targets.
    pub fn activation_gradients(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        objective: Objective,
        taps: &[&str],
    ) -> Result<BTreeMap<String, Table>, EngineError> {
        if batch.targets.is_empty() {
            return Err(EngineError::NoTargets);
        }
        let chunks = self.chunks(net, params, batch, plan, Wants::Values, |lane, chunk| {
            let tape = match lane.home() {
                Home::F32(home) => home.tape.clone(),
                Home::F64(home) => home.tape.clone(),
                #[cfg(feature = "composite")]
                Home::Burn(_) => std::rc::Rc::default(),
            };
            let mut taps = Taps::wanting_gradients(taps, tape);
            let logits = net.forward(lane, chunk, &mut taps);
            let loss = objective.loss(&logits, chunk.targets);
            gradients_of(taps.into_watched(), &loss)
        })?;
        let mut out: BTreeMap<String, Table> = BTreeMap::new();
        for (name, table) in chunks.into_iter().flatten() {
            out.entry(name).or_default().append(table);
        }
        Ok(out)
    }

    /// Applies `f` to every chunk in a lane of its own without parameter gradients, in the order of the
    /// batch.
    pub(crate) fn chunks<T: Send>(
        &self,
        net: &dyn Network,
        params: &[f32],
        batch: &Batch,
        plan: LanePlan,
        wants: Wants,
        f: impl Fn(&Lane<'_>, &Chunk<'_>) -> T + Sync,
    ) -> Result<Vec<T>, EngineError> {
        let input_is_tracked = wants == Wants::InputGradients;
        Self::check(net, params.len(), batch, plan)?;
        let (n, layout) = (batch.n_examples(), net.layout());
        let cut = |c: usize| {
            let start = c * plan.chunk_examples;
            batch.slice(start..(start + plan.chunk_examples).min(n))
        };
        let n_chunks = n.div_ceil(plan.chunk_examples);
        #[cfg(feature = "composite")]
        if let Some(device) = &self.device {
            let run = |c: usize| {
                let home =
                    crate::composite::BurnLane::untracked(layout, params, device, input_is_tracked);
                f(&Lane::new(layout, Home::Burn(home)), &cut(c))
            };
            return Ok((0..n_chunks).map(run).collect());
        }
        let step = self.stash_f32.params(params);
        let magnitudes = (wants == Wants::Bounds).then(|| self.stash_f32.magnitudes(params));
        let out = self.workers.run(n_chunks, |c| {
            let home = HostLane::new(layout, &step, None, input_is_tracked)
                .with_magnitudes(magnitudes.as_ref());
            f(&Lane::new(layout, Home::F32(home)), &cut(c))
        });
        self.stash_f32.put_params(step);
        if let Some(magnitudes) = magnitudes {
            self.stash_f32.put_params(magnitudes);
        }
        Ok(out)
    }
}

/// What a pass without parameter gradients is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    Values,
    InputGradients,
    /// Absolute values of the parameters.
    Bounds,
}

fn gradients_of(watched: Vec<(String, Var<2>)>, loss: &Var<1>) -> Vec<(String, Table)> {
    if watched.is_empty() {
        return Vec::new();
    }
    #[cfg(feature = "composite")]
    if let Repr::Burn(loss) = &loss.repr {
        return crate::composite::gradients_of(watched, loss);
    }
    backward(loss);
    let table = |(name, leaf): (String, Var<2>)| {
        let [rows, cols] = leaf.dims;
        let grad = match &leaf.repr {
            Repr::F32(x) => x.take_grad().map(|g| g.to_vec()),
            Repr::F64(x) => x.take_grad().map(|g| g.iter().map(|g| *g as f32).collect()),
            #[cfg(feature = "composite")]
            Repr::Burn(_) => None,
        };
        (name, Table::new(rows, cols, grad.unwrap_or_else(|| vec![0.0; rows * cols])))
    };
    watched.into_iter().map(table).collect()
}

pub(crate) fn joined(tables: Vec<Table>) -> Table {
    let mut out = Table::default();
    for table in tables {
        out.append(table);
    }
    out
}
