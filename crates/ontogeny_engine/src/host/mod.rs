//! The processor's tape: values, gradients and what to do backwards.
//!
//! A [`Slot`] is a value with a place for its gradient; a [`Tape`] is the list of backward steps of one
//! chunk. Both belong to one lane and one thread, so nothing is locked and nothing is shared. Gradients of
//! parameters are added straight into the lane's flat sums.

mod buffer;
mod gemm;
mod real;
pub(crate) mod simd;
mod sums;

use std::{
    cell::{Cell, RefCell},
    fmt,
    ops::Range,
    rc::Rc,
    sync::Arc,
};

pub(crate) use buffer::Buffer;
pub(crate) use gemm::{Mat, gemm};
pub(crate) use real::Real;
pub(crate) use sums::Sums;

/// The backward steps of one chunk, in forward order.
#[derive(Default)]
pub(crate) struct Tape {
    steps: RefCell<Vec<Box<dyn FnOnce()>>>,
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tape({} steps)", self.steps.borrow().len())
    }
}

impl Tape {
    fn record(&self, step: impl FnOnce() + 'static) {
        self.steps.borrow_mut().push(Box::new(step));
    }

    /// Runs the steps from last to first, freeing what each held.
    fn unwind(&self) {
        let steps = std::mem::take(&mut *self.steps.borrow_mut());
        for step in steps.into_iter().rev() {
            step();
        }
    }

    /// Forgets the steps, and with them the cycle of slots that know their tape.
    pub(crate) fn clear(&self) {
        drop(std::mem::take(&mut *self.steps.borrow_mut()));
    }
}

#[derive(Debug)]
enum Value<S: Real> {
    Own(Buffer<S>),
    Shared(Arc<Vec<S>>, Range<usize>),
}

#[derive(Debug)]
enum Grad<S: Real> {
    /// A constant.
    None,
    /// Waits for a backward step to take it.
    Own(RefCell<Option<Buffer<S>>>),
    /// Goes to the lane's sums.
    Param(Rc<Sums<S>>, usize),
}

/// A value, flat, and the place of its gradient.
#[derive(Debug)]
pub(crate) struct Slot<S: Real> {
    value: Value<S>,
    grad: Grad<S>,
    tape: Option<Rc<Tape>>,
    /// A scalar's value before it was rounded to `S`.
    exact: Cell<Option<f64>>,
}

impl<S: Real> Slot<S> {
    /// A constant.
    pub(crate) fn constant(value: Buffer<S>) -> Rc<Self> {
        Rc::new(Self {
            value: Value::Own(value),
            grad: Grad::None,
            tape: None,
            exact: Cell::new(None),
        })
    }

    /// A leaf whose gradient is to be read with [`take_grad`](Self::take_grad) after the backward pass.
    pub(crate) fn leaf(value: Buffer<S>, tape: &Rc<Tape>) -> Rc<Self> {
        Rc::new(Self {
            value: Value::Own(value),
            grad: Grad::Own(RefCell::new(None)),
            tape: Some(tape.clone()),
            exact: Cell::new(None),
        })
    }

    /// Parameter `i`, a range of the step's flat vector, whose gradient goes to `sums`, if any.
    pub(crate) fn param(
        params: &Arc<Vec<S>>,
        range: Range<usize>,
        i: usize,
        track: Option<(&Rc<Tape>, &Rc<Sums<S>>)>,
    ) -> Rc<Self> {
        Rc::new(Self {
            value: Value::Shared(params.clone(), range),
            grad: track.map_or(Grad::None, |(_, sums)| Grad::Param(sums.clone(), i)),
            tape: track.map(|(tape, _)| tape.clone()),
            exact: Cell::new(None),
        })
    }

    /// The result of an operation on `inputs`. If one of them is tracked, `backward(inputs, output, dy)` is
    /// recorded.
    pub(crate) fn result<const N: usize>(
        value: Buffer<S>,
        inputs: [&Rc<Self>; N],
        backward: impl FnOnce([Rc<Self>; N], &Self, Buffer<S>) + 'static,
    ) -> Rc<Self> {
        let Some(tape) = inputs.iter().find_map(|i| i.tape.clone()) else {
            return Self::constant(value);
        };
        let out = Self::leaf(value, &tape);
        let (inputs, output) = (inputs.map(Rc::clone), out.clone());
        tape.record(move || {
            if let Some(dy) = output.take_grad() {
                backward(inputs, &output, dy);
            }
        });
        out
    }

    pub(crate) fn value(&self) -> &[S] {
        match &self.value {
            Value::Own(buffer) => buffer,
            Value::Shared(vec, range) => &vec[range.clone()],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.value().len()
    }

    pub(crate) fn is_tracked(&self) -> bool {
        self.tape.is_some()
    }

    pub(crate) fn with_exact(self: Rc<Self>, exact: f64) -> Rc<Self> {
        self.exact.set(Some(exact));
        self
    }

    pub(crate) fn exact(&self) -> Option<f64> {
        self.exact.get()
    }

    /// Lets `write(gradient, is_sum)` contribute: where `is_sum` is false the gradient holds nothing yet and
    /// must be overwritten. Does nothing for a constant.
    pub(crate) fn contribute(&self, write: impl FnOnce(&mut [S], bool)) {
        match &self.grad {
            Grad::None => {}
            Grad::Own(grad) => {
                let mut grad = grad.borrow_mut();
                match grad.as_mut() {
                    Some(sum) => write(sum, true),
                    None => write(grad.insert(Buffer::stale(self.len())), false),
                }
            }
            Grad::Param(sums, i) => sums.contribute(*i, write),
        }
    }

    /// Adds a gradient that nobody else needs.
    pub(crate) fn give(&self, dx: Buffer<S>) {
        if let Grad::Own(grad) = &self.grad {
            let mut grad = grad.borrow_mut();
            if grad.is_none() {
                *grad = Some(dx);
                return;
            }
        }
        self.contribute(|sum, is_sum| simd::put(sum, &dx, is_sum));
    }

    /// Adds a gradient that is needed elsewhere too.
    pub(crate) fn lend(&self, dx: &[S]) {
        self.contribute(|sum, is_sum| simd::put(sum, dx, is_sum));
    }

    /// The gradient, leaving none.
    pub(crate) fn take_grad(&self) -> Option<Buffer<S>> {
        if let Grad::Own(grad) = &self.grad { grad.borrow_mut().take() } else { None }
    }

    /// Starts the backward pass at this scalar.
    pub(crate) fn backward(&self) {
        self.contribute(|grad, _| grad.fill(S::ONE));
        if let Some(tape) = &self.tape {
            tape.unwind();
        }
    }
}
