//! The exact state of a run at a step: all that is needed to go on.

use crate::TrainError;
use ontogeny_core::{Clocks, Step};
use ontogeny_engine::Layout;
use ontogeny_engine::optim::{Grokfast, OptimState};

/// Parameters, moments and position. Randomness and the data cursor are addressed by the step, so the step is
/// all of them that has to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainState {
    /// Updates applied.
    pub step: Step,
    /// All parameters, flat.
    pub params: Vec<f32>,
    /// Moments of the optimizer.
    pub optim: OptimState,
    /// The slow gradient, if the filter is on.
    pub grokfast: Grokfast,
    /// Weights of the groups that a task adapts; empty before the first change.
    pub group_weights: Vec<f64>,
    /// Last update, for the cosine between successive updates.
    pub previous_update: Vec<f32>,
    /// The clocks beside the step.
    pub clocks: Clocks,
}

/// A named tensor of a state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StateTensor<'a> {
    /// `params/...`, `optim.m/...`, `optim.v/...`, `grokfast.h/...`, `update/...`, by parameter name.
    pub name: &'a str,
    /// Row-major shape.
    pub shape: &'a [usize],
    /// Values.
    pub values: &'a [f32],
}

impl TrainState {
    /// The parts of the state with the prefix of their tensors; an empty part is not stored.
    fn parts(&self) -> [(&'static str, &[f32]); 5] {
        [
            ("params", &self.params),
            ("optim.m", &self.optim.m),
            ("optim.v", &self.optim.v),
            ("grokfast.h", &self.grokfast.h),
            ("update", &self.previous_update),
        ]
    }

    /// Calls `visit` with every tensor of the state.
    pub fn for_each_tensor(&self, layout: &Layout, mut visit: impl FnMut(StateTensor<'_>)) {
        for (part, values) in self.parts().into_iter().filter(|(_, v)| !v.is_empty()) {
            for (range, spec) in layout.iter() {
                let name = format!("{part}/{}", spec.name);
                visit(StateTensor { name: &name, shape: &spec.shape, values: &values[range] });
            }
        }
    }

    /// The numbers beside the tensors, as JSON.
    pub fn extra(&self) -> serde_json::Value {
        let mut extra = serde_json::json!({ "step": self.step, "optim_t": self.optim.t, "clocks": self.clocks });
        if !self.group_weights.is_empty() {
            extra["group_weights"] = serde_json::json!(self.group_weights);
        }
        extra
    }

    /// Rebuilds a state from what [`for_each_tensor`](Self::for_each_tensor) and [`extra`](Self::extra) gave.
    ///
    /// `tensor` finds the values of a tensor by its name.
    ///
    /// # Errors
    /// [`TrainError::StateMismatch`] if a number is missing or a tensor has the wrong length.
    pub fn rebuild(
        layout: &Layout,
        extra: &serde_json::Value,
        mut tensor: impl FnMut(&str) -> Option<Vec<f32>>,
    ) -> Result<Self, TrainError> {
        let bad = |what: String| TrainError::StateMismatch { what };
        let number =
            |key: &str| extra.get(key).cloned().ok_or_else(|| bad(format!("no number {key}")));
        let json = |e: serde_json::Error| bad(e.to_string());
        let step: Step = serde_json::from_value(number("step")?).map_err(json)?;
        let t: u64 = serde_json::from_value(number("optim_t")?).map_err(json)?;
        let clocks: Clocks = serde_json::from_value(number("clocks")?).map_err(json)?;
        let group_weights: Vec<f64> = match extra.get("group_weights") {
            Some(weights) => serde_json::from_value(weights.clone()).map_err(json)?,
            None => Vec::new(),
        };
        let mut part = |prefix: &str| -> Result<Vec<f32>, TrainError> {
            let mut flat = Vec::with_capacity(layout.len());
            for (range, spec) in layout.iter() {
                let Some(values) = tensor(&format!("{prefix}/{}", spec.name)) else {
                    if flat.is_empty() {
                        return Ok(flat);
                    }
                    return Err(bad(format!("tensor {prefix}/{} is missing", spec.name)));
                };
                if values.len() != range.len() {
                    return Err(bad(format!(
                        "tensor {prefix}/{} has {} values, not {}",
                        spec.name,
                        values.len(),
                        range.len()
                    )));
                }
                flat.extend(values);
            }
            Ok(flat)
        };
        let params = part("params")?;
        if params.is_empty() {
            return Err(bad("no parameters".into()));
        }
        let optim = OptimState { m: part("optim.m")?, v: part("optim.v")?, t };
        let grokfast = Grokfast { h: part("grokfast.h")? };
        let previous_update = part("update")?;
        Ok(Self { step, params, optim, grokfast, group_weights, previous_update, clocks })
    }

    /// BLAKE3, in hexadecimal, over step, updates and the bit patterns of every tensor; wall time is left out.
    pub fn hash(&self) -> String {
        let mut h = blake3::Hasher::new();
        h.update(&self.step.0.to_le_bytes());
        h.update(&self.optim.t.to_le_bytes());
        for (part, values) in self.parts() {
            h.update(part.as_bytes());
            hash_values(&mut h, values);
        }
        // States without such weights have the hash they always had.
        for w in &self.group_weights {
            h.update(&w.to_bits().to_le_bytes());
        }
        h.finalize().to_hex().to_string()
    }

    /// BLAKE3, in hexadecimal, over step and parameters alone: cheap enough for every reading. A state that
    /// differs in anything else shows in its parameters one update later.
    pub fn params_hash(&self) -> String {
        let mut h = blake3::Hasher::new();
        h.update(&self.step.0.to_le_bytes());
        hash_values(&mut h, &self.params);
        h.finalize().to_hex().to_string()
    }
}

/// Length and bit patterns, in blocks: the hash is slow by the word, and fast where it sees many at once.
fn hash_values(h: &mut blake3::Hasher, values: &[f32]) {
    const BLOCK: usize = 1 << 14;
    h.update(&(values.len() as u64).to_le_bytes());
    let mut bytes = vec![0_u8; 4 * BLOCK.min(values.len())];
    for block in values.chunks(BLOCK) {
        let bytes = &mut bytes[..4 * block.len()];
        for (place, v) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(block) {
            *place = v.to_bits().to_le_bytes();
        }
        h.update(bytes);
    }
}
