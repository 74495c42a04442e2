//! A tensor in a forward pass.

use std::marker::PhantomData;

use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};

use crate::Table;

/// A tensor of rank `D` that gradients may flow through.
///
/// It can be neither sent to nor shared with another thread, so two lanes never hold one tracked tensor
/// between them: that joins their graphs, and concurrent backward passes over joined graphs block each
/// other. Its operations are in [`crate::ops`].
#[derive(Debug, Clone)]
pub struct Var<const D: usize> {
    pub(crate) tensor: Tensor<D>,
    not_send: PhantomData<*const ()>,
}

impl<const D: usize> Var<D> {
    pub(crate) fn of(tensor: Tensor<D>) -> Self {
        Self { tensor, not_send: PhantomData }
    }

    /// The shape.
    pub fn dims(&self) -> [usize; D] {
        self.tensor.dims()
    }

    /// The values, row-major, without their graph.
    pub fn to_vec(&self) -> Vec<f64> {
        values(self.tensor.clone())
    }

    pub(crate) fn device(&self) -> Device {
        self.tensor.device().inner()
    }

    pub(crate) fn ints(&self, ids: &[u32]) -> Tensor<1, Int> {
        let ids: Vec<i64> = ids.iter().map(|&i| i64::from(i)).collect();
        let n = ids.len();
        Tensor::from_data(TensorData::new(ids, [n]), &self.device())
    }

    /// A constant of this tensor's device and precision.
    pub(crate) fn constant<const E: usize>(&self, values: Vec<f32>, dims: [usize; E]) -> Tensor<E> {
        let dtype = FloatDType::from(self.tensor.dtype());
        Tensor::<E>::from_data(TensorData::new(values, dims), &self.device()).cast(dtype)
    }
}

impl Var<2> {
    /// The values as a host table, without their graph.
    pub fn to_table(&self) -> Table {
        let [rows, cols] = self.dims();
        Table::new(rows, cols, self.to_vec().into_iter().map(|v| v as f32).collect())
    }
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.without_autodiff().into_data().iter::<f64>().collect()
}
