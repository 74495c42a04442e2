//! A lane's sum of gradients.

use std::cell::{Cell, RefCell};

use super::Real;
use crate::Layout;

/// Gradients of all parameters added up over a lane's chunks.
///
/// The first contribution to a parameter overwrites, so the memory needs no clearing beforehand.
#[derive(Debug)]
pub(crate) struct Sums<S> {
    parts: Vec<Part<S>>,
}

#[derive(Debug)]
struct Part<S> {
    sum: RefCell<Vec<S>>,
    is_written: Cell<bool>,
}

impl<S: Real> Sums<S> {
    pub(crate) fn new(layout: &Layout) -> Self {
        let part = |len: usize| Part {
            sum: RefCell::new(vec![S::ZERO; len]),
            is_written: Cell::new(false),
        };
        Self { parts: layout.specs().iter().map(|s| part(s.len())).collect() }
    }

    pub(crate) fn fits(&self, layout: &Layout) -> bool {
        let lens = self.parts.iter().map(|p| p.sum.borrow().len());
        lens.eq(layout.specs().iter().map(crate::ParamSpec::len))
    }

    /// The same memory, holding nothing.
    pub(crate) fn emptied(self) -> Self {
        for part in &self.parts {
            part.is_written.set(false);
        }
        self
    }

    pub(super) fn contribute(&self, i: usize, write: impl FnOnce(&mut [S], bool)) {
        let part = &self.parts[i];
        write(&mut part.sum.borrow_mut(), part.is_written.replace(true));
    }

    /// The parameters' sums in order; none where nothing was added.
    pub(crate) fn parts(&mut self) -> impl Iterator<Item = Option<&[S]>> {
        self.parts.iter_mut().map(|p| p.is_written.get().then_some(&**p.sum.get_mut()))
    }
}
