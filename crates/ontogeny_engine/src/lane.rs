//! The place where one chunk is computed.

use std::cell::RefCell;

use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use crate::{Chunk, InputsView, Layout, Var};

/// Hands a network the tensors of one chunk.
///
/// Parameters are fresh leaves for every chunk: they share the step's memory, but not its graph. The same
/// name asked for twice is the same leaf, so tied weights get the sum of their gradients.
#[derive(Debug)]
pub struct Lane<'a> {
    layout: &'a Layout,
    step: &'a StepParams,
    tracked: bool,
    leaves: RefCell<Vec<Option<Tensor<1>>>>,
    input: RefCell<Option<Tensor<1>>>,
    input_is_tracked: bool,
}

/// The parameters of one step as untracked tensors, one per parameter, flat.
#[derive(Debug)]
pub(crate) struct StepParams {
    pub(crate) device: Device,
    pub(crate) dtype: FloatDType,
    tensors: Vec<Tensor<1>>,
}

impl StepParams {
    pub(crate) fn new_f32(layout: &Layout, values: &[f32], device: &Device) -> Self {
        let tensors = (layout.iter())
            .map(|(range, spec)| {
                Tensor::from_data(TensorData::new(values[range].to_vec(), [spec.len()]), device)
            })
            .collect();
        Self { device: device.clone(), dtype: FloatDType::F32, tensors }
    }

    pub(crate) fn new_f64(layout: &Layout, values: &[f64], device: &Device) -> Self {
        let options = || (device, burn::tensor::DType::F64);
        let tensors = (layout.iter())
            .map(|(range, spec)| {
                Tensor::from_data(TensorData::new(values[range].to_vec(), [spec.len()]), options())
            })
            .collect();
        Self { device: device.clone(), dtype: FloatDType::F64, tensors }
    }
}

impl<'a> Lane<'a> {
    pub(crate) fn new(layout: &'a Layout, step: &'a StepParams, tracked: bool) -> Self {
        let leaves = RefCell::new(vec![None; layout.specs().len()]);
        let input = RefCell::new(None);
        Self { layout, step, tracked, leaves, input, input_is_tracked: false }
    }

    pub(crate) fn with_tracked_input(mut self) -> Self {
        self.input_is_tracked = true;
        self
    }

    /// The parameter called `name`, in its own shape.
    ///
    /// # Panics
    /// If there is no such parameter or its rank is not `D`: the network disagrees with its own layout.
    pub fn param<const D: usize>(&self, name: &str) -> Var<D> {
        let Some(i) = self.layout.position(name) else {
            panic!("the layout has no parameter {name}");
        };
        let shape = &self.layout.specs()[i].shape;
        let Ok(dims) = <[usize; D]>::try_from(shape.as_slice()) else {
            panic!("parameter {name} has rank {}, not {D}", shape.len());
        };
        let mut leaves = self.leaves.borrow_mut();
        let leaf = leaves[i].get_or_insert_with(|| {
            let value = self.step.tensors[i].clone();
            if self.tracked { value.autodiff().require_grad() } else { value }
        });
        Var::of(leaf.clone().reshape(dims))
    }

    /// Constants of the lane's precision.
    ///
    /// # Panics
    /// If the number of values is not the product of `dims`.
    pub fn constant<const D: usize>(&self, values: &[f32], dims: [usize; D]) -> Var<D> {
        Var::of(self.untracked(values).reshape(dims))
    }

    /// The chunk's feature vectors, `[n_examples, width]`. Images come flattened.
    ///
    /// # Panics
    /// If the batch holds tokens.
    pub fn features(&self, chunk: &Chunk<'_>) -> Var<2> {
        let n = chunk.n_examples();
        Var::of(self.input(chunk).reshape([n, chunk.inputs.per_example()]))
    }

    /// The chunk's images, `[n_examples, channels, height, width]`.
    ///
    /// # Panics
    /// If the batch holds something else.
    pub fn images(&self, chunk: &Chunk<'_>) -> Var<4> {
        let InputsView::Images { shape: [c, h, w], .. } = chunk.inputs else {
            panic!("this network reads images, but the batch holds tokens or features");
        };
        Var::of(self.input(chunk).reshape([chunk.n_examples(), c, h, w]))
    }

    fn input(&self, chunk: &Chunk<'_>) -> Tensor<1> {
        let (InputsView::Features { values, .. } | InputsView::Images { values, .. }) =
            chunk.inputs
        else {
            panic!("this network reads numbers, but the batch holds tokens");
        };
        let mut input = self.input.borrow_mut();
        let tensor = input.get_or_insert_with(|| {
            let x = self.untracked(values);
            if self.input_is_tracked { x.autodiff().require_grad() } else { x }
        });
        tensor.clone()
    }

    fn untracked(&self, values: &[f32]) -> Tensor<1> {
        let data = TensorData::new(values.to_vec(), [values.len()]);
        Tensor::<1>::from_data(data, &self.step.device).cast(self.step.dtype)
    }

    /// The leaves that were asked for, by position in the layout, and the input if it was tracked.
    pub(crate) fn into_leaves(self) -> (Vec<(usize, Tensor<1>)>, Option<Tensor<1>>) {
        let leaves = self.leaves.into_inner().into_iter().enumerate();
        let input = self.input.into_inner().filter(|_| self.input_is_tracked);
        (leaves.filter_map(|(i, leaf)| Some((i, leaf?))).collect(), input)
    }
}
