//! Memory that is used again.
//!
//! A training step asks for the same sizes as the step before it. Freed buffers wait in a list of their
//! thread, so a step neither calls the allocator nor touches fresh pages.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
};

use super::Real;

/// Free buffers by length.
#[derive(Debug)]
pub(crate) struct Pool<S> {
    free: BTreeMap<usize, Vec<Vec<S>>>,
    scalars: usize,
}

impl<S> Pool<S> {
    /// Scalars kept per thread. What would exceed it empties the list first: the sizes of some earlier
    /// model must not crowd out those of the present one.
    const KEEP: usize = 1 << 25;

    pub(super) const fn new() -> Self {
        Self { free: BTreeMap::new(), scalars: 0 }
    }
}

/// A vector that returns to its thread's pool.
#[derive(Debug)]
pub(crate) struct Buffer<S: Real>(Vec<S>);

impl<S: Real> Buffer<S> {
    /// `len` scalars of unspecified values, to be overwritten.
    pub(crate) fn stale(len: usize) -> Self {
        let found = S::pool().with_borrow_mut(|pool| {
            let found = pool.free.get_mut(&len)?.pop()?;
            pool.scalars -= len;
            Some(found)
        });
        let mut buffer = found.unwrap_or_else(|| vec![S::ZERO; len]);
        if cfg!(debug_assertions) {
            // Whoever forgets to overwrite shall notice.
            buffer.fill(S::of(f64::NAN));
        }
        Self(buffer)
    }

    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut buffer = Self::stale(len);
        buffer.fill(S::ZERO);
        buffer
    }

    /// A copy of `values`.
    pub(crate) fn copy(values: &[S]) -> Self {
        let mut buffer = Self::stale(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

impl<S: Real> Drop for Buffer<S> {
    fn drop(&mut self) {
        let vec = std::mem::take(&mut self.0);
        // While a thread ends its pool may be gone already; then the allocator takes the memory.
        let _ = S::pool().try_with(|pool| {
            if vec.is_empty() || vec.len() > Pool::<S>::KEEP {
                return;
            }
            let mut pool = pool.borrow_mut();
            if pool.scalars + vec.len() > Pool::<S>::KEEP {
                pool.free.clear();
                pool.scalars = 0;
            }
            pool.scalars += vec.len();
            pool.free.entry(vec.len()).or_default().push(vec);
        });
    }
}

impl<S: Real> Deref for Buffer<S> {
    type Target = [S];

    fn deref(&self) -> &[S] {
        &self.0
    }
}

impl<S: Real> DerefMut for Buffer<S> {
    fn deref_mut(&mut self) -> &mut [S] {
        &mut self.0
    }
}
