//! The place where one chunk is computed.

use std::{cell::RefCell, rc::Rc, sync::Arc};

#[cfg(feature = "composite")]
use crate::composite::BurnLane;
use crate::{
    Chunk, InputsView, Layout, Var,
    host::{Buffer, Real, Slot, Sums, Tape},
};

/// Hands a network the tensors of one chunk.
///
/// Parameters are fresh leaves for every chunk: they share the step's memory and add to the lane's sums. The
/// same name asked for twice is the same leaf, so tied weights get the sum of their gradients.
#[derive(Debug)]
pub struct Lane<'a> {
    layout: &'a Layout,
    home: Home,
}

#[derive(Debug)]
#[cfg_attr(
    feature = "composite",
    expect(clippy::large_enum_variant, reason = "the processor's variants must not pay a box")
)]
pub(crate) enum Home {
    F32(HostLane<f32>),
    F64(HostLane<f64>),
    #[cfg(feature = "composite")]
    Burn(BurnLane),
}

/// One chunk on the processor.
#[derive(Debug)]
pub(crate) struct HostLane<S: Real> {
    params: Arc<Vec<S>>,
    /// Where gradients of parameters go; none if they are not wanted.
    sums: Option<Rc<Sums<S>>>,
    pub(crate) tape: Rc<Tape>,
    leaves: RefCell<Vec<Option<Rc<Slot<S>>>>>,
    input: RefCell<Option<Rc<Slot<S>>>>,
    input_is_tracked: bool,
    /// The absolute values of `params`, where bounds are wanted.
    magnitudes: Option<Arc<Vec<S>>>,
}

impl<S: Real> HostLane<S> {
    pub(crate) fn new(
        layout: &Layout,
        params: &Arc<Vec<S>>,
        sums: Option<&Rc<Sums<S>>>,
        input_is_tracked: bool,
    ) -> Self {
        Self {
            params: params.clone(),
            sums: sums.cloned(),
            tape: Rc::default(),
            leaves: RefCell::new(vec![None; layout.specs().len()]),
            input: RefCell::new(None),
            input_is_tracked,
            magnitudes: None,
        }
    }

    /// The same lane with the absolute values of the parameters, which are computed once for a step.
    pub(crate) fn with_magnitudes(mut self, magnitudes: Option<&Arc<Vec<S>>>) -> Self {
        self.magnitudes = magnitudes.cloned();
        self
    }

    /// The absolute values of parameter `i`, a constant.
    fn magnitude(&self, layout: &Layout, i: usize) -> Rc<Slot<S>> {
        let Some(magnitudes) = &self.magnitudes else {
            panic!("this lane was made without the absolute values of the parameters");
        };
        Slot::param(magnitudes, layout.range(i), i, None)
    }

    /// The input's leaf, if the network asked for it.
    pub(crate) fn input(&self) -> Option<Rc<Slot<S>>> {
        self.input.borrow().clone()
    }

    fn param(&self, layout: &Layout, i: usize) -> Rc<Slot<S>> {
        let mut leaves = self.leaves.borrow_mut();
        let new = || {
            let track = self.sums.as_ref().map(|sums| (&self.tape, sums));
            Slot::param(&self.params, layout.range(i), i, track)
        };
        leaves[i].get_or_insert_with(new).clone()
    }

    fn read(&self, values: &[f32]) -> Rc<Slot<S>> {
        let new = || {
            let values = convert(values);
            if self.input_is_tracked {
                Slot::leaf(values, &self.tape)
            } else {
                Slot::constant(values)
            }
        };
        self.input.borrow_mut().get_or_insert_with(new).clone()
    }
}

impl<S: Real> Drop for HostLane<S> {
    fn drop(&mut self) {
        // Slots know their tape and the tape's steps know slots: without this a forward pass that is never
        // run backwards, or that panics, would keep its memory.
        self.tape.clear();
    }
}

fn convert<S: Real>(values: &[f32]) -> Buffer<S> {
    let mut buffer = Buffer::stale(values.len());
    for (b, v) in buffer.iter_mut().zip(values) {
        *b = S::of(f64::from(*v));
    }
    buffer
}

impl<'a> Lane<'a> {
    pub(crate) fn new(layout: &'a Layout, home: Home) -> Self {
        Self { layout, home }
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
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
        match &self.home {
            Home::F32(home) => Var::host(home.param(self.layout, i), dims),
            Home::F64(home) => Var::host(home.param(self.layout, i), dims),
            #[cfg(feature = "composite")]
            Home::Burn(home) => home.param(i, dims),
        }
    }

    /// The absolute values of the parameter called `name`, flat. No gradient flows through them: the operations
    /// on bounds give it to the parameter.
    ///
    /// # Panics
    /// If there is no such parameter, or the lane was not made for bounds.
    pub(crate) fn magnitude(&self, name: &str) -> Var<1> {
        let Some(i) = self.layout.position(name) else {
            panic!("the layout has no parameter {name}");
        };
        let len = self.layout.specs()[i].len();
        match &self.home {
            Home::F32(home) => Var::host(home.magnitude(self.layout, i), [len]),
            Home::F64(home) => Var::host(home.magnitude(self.layout, i), [len]),
            #[cfg(feature = "composite")]
            Home::Burn(home) => home.param::<1>(i, [len]),
        }
    }

    /// Constants of the lane's precision from numbers in `f64`.
    pub(crate) fn wide_constant<const D: usize>(
        &self,
        values: impl Iterator<Item = f64>,
        dims: [usize; D],
    ) -> Var<D> {
        fn slot<S: Real>(values: impl Iterator<Item = f64>, len: usize) -> Rc<Slot<S>> {
            let mut buffer = Buffer::zeros(len);
            for (b, v) in buffer.iter_mut().zip(values) {
                *b = S::of(v);
            }
            Slot::constant(buffer)
        }
        let len = dims.iter().product();
        match &self.home {
            Home::F32(_) => Var::host(slot::<f32>(values, len), dims),
            Home::F64(_) => Var::host(slot::<f64>(values, len), dims),
            #[cfg(feature = "composite")]
            Home::Burn(home) => home.wide_constant(&values.collect::<Vec<_>>(), dims),
        }
    }

    /// Constants of the lane's precision.
    ///
    /// # Panics
    /// If the number of values is not the product of `dims`.
    pub fn constant<const D: usize>(&self, values: &[f32], dims: [usize; D]) -> Var<D> {
        assert_eq!(values.len(), dims.iter().product::<usize>(), "constants of shape {dims:?}");
        match &self.home {
            Home::F32(_) => Var::host(Slot::constant(convert::<f32>(values)), dims),
            Home::F64(_) => Var::host(Slot::constant(convert::<f64>(values)), dims),
            #[cfg(feature = "composite")]
            Home::Burn(home) => home.constant(values, dims),
        }
    }

    /// The chunk's feature vectors, `[n_examples, width]`. Images come flattened.
    ///
    /// # Panics
    /// If the batch holds tokens.
    pub fn features(&self, chunk: &Chunk<'_>) -> Var<2> {
        self.input(chunk, [chunk.n_examples(), chunk.inputs.per_example()])
    }

    /// The chunk's images, `[n_examples, channels, height, width]`.
    ///
    /// # Panics
    /// If the batch holds something else.
    pub fn images(&self, chunk: &Chunk<'_>) -> Var<4> {
        let InputsView::Images { shape: [c, h, w], .. } = chunk.inputs else {
            panic!("this network reads images, but the batch holds tokens or features");
        };
        self.input(chunk, [chunk.n_examples(), c, h, w])
    }

    fn input<const D: usize>(&self, chunk: &Chunk<'_>, dims: [usize; D]) -> Var<D> {
        let (InputsView::Features { values, .. } | InputsView::Images { values, .. }) =
            chunk.inputs
        else {
            panic!("this network reads numbers, but the batch holds tokens");
        };
        match &self.home {
            Home::F32(home) => Var::host(home.read(values), dims),
            Home::F64(home) => Var::host(home.read(values), dims),
            #[cfg(feature = "composite")]
            Home::Burn(home) => home.read(values, dims),
        }
    }
}
