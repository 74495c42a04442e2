//! A tensor in a forward pass.

use std::rc::Rc;

#[cfg(feature = "composite")]
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};

use crate::{
    Table,
    host::{Real, Slot},
};

/// A tensor of rank `D` that gradients may flow through.
///
/// It can be neither sent to nor shared with another thread, so no two lanes ever hold one tensor between
/// them: what a lane computes belongs to that lane alone. Its operations are in [`crate::ops`].
///
/// ```compile_fail
/// fn sent<T: Send>() {}
/// sent::<ontogeny_engine::Var<2>>();
/// ```
#[derive(Debug, Clone)]
pub struct Var<const D: usize> {
    pub(crate) repr: Repr<D>,
    pub(crate) dims: [usize; D],
}

/// Where the numbers are.
#[derive(Debug, Clone)]
#[cfg_attr(
    feature = "composite",
    expect(clippy::large_enum_variant, reason = "the processor's variants must not pay a box")
)]
pub(crate) enum Repr<const D: usize> {
    /// On the processor, in training precision.
    F32(Rc<Slot<f32>>),
    /// On the processor, for measurements of curvature.
    F64(Rc<Slot<f64>>),
    /// With the tensor library: the graphics processor, or the reference that fused operations are tested
    /// against.
    #[cfg(feature = "composite")]
    Burn(Tensor<D>),
}

/// Runs the first arm on the processor for either precision, the second with the tensor library.
macro_rules! dispatch {
    ($var:expr, $slot:ident => $host:expr, $tensor:ident => $composite:expr) => {
        match &$var.repr {
            $crate::var::Repr::F32($slot) => $host,
            $crate::var::Repr::F64($slot) => $host,
            #[cfg(feature = "composite")]
            $crate::var::Repr::Burn($tensor) => $composite,
        }
    };
}
pub(crate) use dispatch;

impl<const D: usize> Var<D> {
    /// The shape.
    pub fn dims(&self) -> [usize; D] {
        self.dims
    }

    /// The values, row-major.
    pub fn to_vec(&self) -> Vec<f64> {
        dispatch!(self,
            x => match x.exact() {
                Some(exact) => vec![exact],
                None => x.value().iter().map(|v| v.f64()).collect(),
            },
            x => values(x.clone()))
    }

    /// A result on the processor.
    pub(crate) fn host<S: Real>(slot: Rc<Slot<S>>, dims: [usize; D]) -> Self {
        debug_assert_eq!(slot.len(), dims.iter().product::<usize>(), "shape {dims:?}");
        Self { repr: S::wrap(slot), dims }
    }

    /// This tensor's slot, in the precision of `_peer`.
    ///
    /// # Panics
    /// If it comes from another engine or precision.
    pub(crate) fn like<S: Real>(&self, _peer: &Slot<S>) -> &Rc<Slot<S>> {
        let Some(slot) = S::unwrap(&self.repr) else {
            panic!("operands come from two engines or precisions; a lane's tensors stay in it");
        };
        slot
    }
}

#[cfg(feature = "composite")]
impl<const D: usize> Var<D> {
    /// A result of the tensor library.
    pub(crate) fn of(tensor: Tensor<D>) -> Self {
        Self { dims: tensor.dims(), repr: Repr::Burn(tensor) }
    }

    /// The tensor library's tensor.
    ///
    /// # Panics
    /// If it comes from another engine.
    pub(crate) fn tensor(&self) -> Tensor<D> {
        let Repr::Burn(tensor) = &self.repr else {
            panic!("operands come from two engines; a lane's tensors stay in it");
        };
        tensor.clone()
    }
}

impl Var<2> {
    /// The values as a host table.
    pub fn to_table(&self) -> Table {
        let [rows, cols] = self.dims();
        let values = if let Repr::F32(x) = &self.repr {
            x.value().to_vec()
        } else {
            self.to_vec().into_iter().map(|v| v as f32).collect()
        };
        Table::new(rows, cols, values)
    }
}

/// Ids on a tensor's device.
#[cfg(feature = "composite")]
pub(crate) fn ints<const D: usize>(x: &Tensor<D>, ids: &[u32]) -> Tensor<1, Int> {
    let ids: Vec<i64> = ids.iter().map(|&i| i64::from(i)).collect();
    let n = ids.len();
    Tensor::from_data(TensorData::new(ids, [n]), &device(x))
}

/// Constants of a tensor's device and precision.
#[cfg(feature = "composite")]
pub(crate) fn constant<const D: usize, const E: usize>(
    x: &Tensor<D>,
    values: Vec<f32>,
    dims: [usize; E],
) -> Tensor<E> {
    let dtype = FloatDType::from(x.dtype());
    Tensor::<E>::from_data(TensorData::new(values, dims), &device(x)).cast(dtype)
}

#[cfg(feature = "composite")]
pub(crate) fn device<const D: usize>(x: &Tensor<D>) -> Device {
    x.device().inner()
}

#[cfg(feature = "composite")]
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.without_autodiff().into_data().iter::<f64>().collect()
}
