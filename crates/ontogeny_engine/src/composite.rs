//! Lanes on the tensor library's own operations.
//!
//! The graphics processor runs these, and the tests hold this crate's fused operations against them on the
//! processor. The library's graph tables are global to the process: tensors of two passes that run at once
//! must never meet in one graph, so inputs are untracked, parameters are fresh leaves for every chunk, and
//! chunks are computed one after another on the caller's thread.

use std::cell::RefCell;

use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use crate::{
    Batch, EngineError, Gradient, Lane, LanePlan, Layout, Network, Table, Taps, Var,
    gradient::{ForwardPass, Passed, Tally, correct},
    host::Real,
    lane::Home,
    var::values,
};

/// One chunk with the tensor library.
#[derive(Debug)]
pub(crate) struct BurnLane {
    device: Device,
    dtype: FloatDType,
    params: Vec<Tensor<1>>,
    is_tracked: bool,
    leaves: RefCell<Vec<Option<Tensor<1>>>>,
    input: RefCell<Option<Tensor<1>>>,
    input_is_tracked: bool,
}

impl BurnLane {
    fn new<S: Real>(layout: &Layout, params: &[S], device: &Device, is_tracked: bool) -> Self {
        let dtype = if size_of::<S>() == 8 { FloatDType::F64 } else { FloatDType::F32 };
        let params = layout.iter().map(|(range, _)| upload(&params[range], device, dtype));
        Self {
            device: device.clone(),
            dtype,
            params: params.collect(),
            is_tracked,
            leaves: RefCell::new(vec![None; layout.specs().len()]),
            input: RefCell::new(None),
            input_is_tracked: false,
        }
    }

    pub(crate) fn untracked(
        layout: &Layout,
        params: &[f32],
        device: &Device,
        input_is_tracked: bool,
    ) -> Self {
        Self { input_is_tracked, ..Self::new(layout, params, device, false) }
    }

    /// The step's memory for another chunk: the same parameters, no leaves.
    fn again(&self) -> Self {
        Self {
            device: self.device.clone(),
            params: self.params.clone(),
            leaves: RefCell::new(vec![None; self.params.len()]),
            input: RefCell::new(None),
            ..*self
        }
    }

    pub(crate) fn param<const D: usize>(&self, i: usize, dims: [usize; D]) -> Var<D> {
        let mut leaves = self.leaves.borrow_mut();
        let leaf = leaves[i].get_or_insert_with(|| {
            let value = self.params[i].clone();
            if self.is_tracked { value.autodiff().require_grad() } else { value }
        });
        Var::of(leaf.clone().reshape(dims))
    }

    pub(crate) fn constant<const D: usize>(&self, values: &[f32], dims: [usize; D]) -> Var<D> {
        Var::of(upload(values, &self.device, self.dtype).reshape(dims))
    }

    pub(crate) fn wide_constant<const D: usize>(&self, values: &[f64], dims: [usize; D]) -> Var<D> {
        Var::of(upload(values, &self.device, self.dtype).reshape(dims))
    }

    pub(crate) fn read<const D: usize>(&self, values: &[f32], dims: [usize; D]) -> Var<D> {
        let mut input = self.input.borrow_mut();
        let leaf = input.get_or_insert_with(|| {
            let x = upload(values, &self.device, self.dtype);
            if self.input_is_tracked { x.autodiff().require_grad() } else { x }
        });
        Var::of(leaf.clone().reshape(dims))
    }

    pub(crate) fn input_gradient(&self, loss: &Var<1>) -> Option<Vec<f32>> {
        let loss = loss.tensor();
        let grads = loss.is_tracked().then(|| loss.backward())?;
        self.input.borrow().as_ref()?.grad(&grads).map(single)
    }
}

fn upload<S: Real>(values: &[S], device: &Device, dtype: FloatDType) -> Tensor<1> {
    let n = values.len();
    if dtype == FloatDType::F64 {
        let values: Vec<f64> = values.iter().map(|v| v.f64()).collect();
        return Tensor::from_data(TensorData::new(values, [n]), (device, burn::tensor::DType::F64));
    }
    let values: Vec<f32> = values.iter().map(|v| v.f64() as f32).collect();
    Tensor::from_data(TensorData::new(values, [n]), device)
}

fn single<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    values(tensor).into_iter().map(|v| v as f32).collect()
}

/// The loss and its gradient, chunk after chunk; the graphics processor gets the whole batch at once.
pub(crate) fn gradient<S: Real>(
    device: &Device,
    net: &dyn Network,
    params: &[S],
    batch: &Batch,
    plan: LanePlan,
    pass: &dyn ForwardPass,
    out: &mut Gradient<S>,
) -> Result<Tally, EngineError> {
    let (n, layout) = (batch.n_examples(), net.layout());
    let is_processor = *device == Device::flex();
    if !is_processor && size_of::<S>() == 8 {
        return Err(EngineError::NoDoublePrecision);
    }
    let chunk_examples = if is_processor { plan.chunk_examples } else { n };
    let step = BurnLane::new(layout, params, device, true);
    let mut sums = vec![0f64; layout.len()];
    let (mut loss_sum, mut n_correct, mut tally) = (0.0, 0, Tally::default());
    for start in (0..n).step_by(chunk_examples) {
        let chunk = batch.slice(start..(start + chunk_examples).min(n));
        let lane = Lane::new(layout, Home::Burn(step.again()));
        let Passed { logits, loss, tally: more } = pass.run(&lane, &chunk, &mut Taps::none());
        tally.add(more);
        n_correct += correct(&logits, chunk.targets);
        loss_sum += loss.to_vec()[0];
        let Home::Burn(home) = lane.home() else { continue };
        let grads = loss.tensor().backward();
        for (i, leaf) in home.leaves.borrow().iter().enumerate() {
            let Some(grad) = leaf.as_ref().and_then(|leaf| leaf.grad(&grads)) else { continue };
            for (s, g) in sums[layout.range(i)].iter_mut().zip(values(grad)) {
                *s += g;
            }
        }
    }
    let n_readouts = batch.n_read();
    let scale = 1.0 / n_readouts as f64;
    out.loss = loss_sum * scale;
    out.n_correct = n_correct;
    out.n_readouts = n_readouts;
    out.grad = sums.into_iter().map(|s| S::of(s * scale)).collect();
    Ok(tally)
}

/// Gradients of the leaves that were added to activations.
pub(crate) fn gradients_of(
    watched: Vec<(String, Var<2>)>,
    loss: &Tensor<1>,
) -> Vec<(String, Table)> {
    let grads = loss.backward();
    let table = |(name, leaf): (String, Var<2>)| {
        let [rows, cols] = leaf.dims;
        let grad = leaf.tensor().grad(&grads).map(single);
        (name, Table::new(rows, cols, grad.unwrap_or_else(|| vec![0.0; rows * cols])))
    };
    watched.into_iter().map(table).collect()
}

/// The graphics processor, if a driver answers.
///
/// Asked before the tensor library is, which would wait for a driver that is not there.
#[cfg(feature = "gpu")]
pub(crate) fn gpu() -> Result<Device, EngineError> {
    let instance = wgpu::Instance::default();
    let options = wgpu::RequestAdapterOptions::default();
    match pollster::block_on(instance.request_adapter(&options)) {
        Ok(_) => Ok(Device::wgpu(burn::tensor::DeviceKind::default())),
        Err(_) => Err(EngineError::NoAdapter),
    }
}
