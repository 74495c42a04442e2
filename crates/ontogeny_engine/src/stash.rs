//! Large vectors an engine keeps between steps.

use std::sync::{Arc, Mutex};

use crate::{
    Engine, Layout,
    host::{Real, Sums},
};

/// A step's parameters and its lanes' sums, waiting for the next step.
#[derive(Debug, Default)]
pub(crate) struct Stash<S> {
    params: Mutex<Vec<Arc<Vec<S>>>>,
    sums: Mutex<Vec<Sums<S>>>,
}

/// Vectors of each kind kept by one engine; more come only from many callers at once.
const KEEP: usize = 32;

/// Finds an engine's stash of a precision.
pub(crate) trait Stashed: Real {
    fn stash(engine: &Engine) -> &Stash<Self>;
}

impl Stashed for f32 {
    fn stash(engine: &Engine) -> &Stash<Self> {
        &engine.stash_f32
    }
}

impl Stashed for f64 {
    fn stash(engine: &Engine) -> &Stash<Self> {
        &engine.stash_f64
    }
}

impl<S: Real> Stash<S> {
    /// A copy of `values` that a step's slots can share.
    pub(crate) fn params(&self, values: &[S]) -> Arc<Vec<S>> {
        let found = self.params.lock().ok().and_then(|mut free| {
            let i = free.iter().position(|v| v.len() == values.len())?;
            Some(free.swap_remove(i))
        });
        if let Some(mut shared) = found
            && let Some(vec) = Arc::get_mut(&mut shared)
        {
            vec.copy_from_slice(values);
            return shared;
        }
        Arc::new(values.to_vec())
    }

    /// The absolute values of `values`, in memory that [`put_params`](Self::put_params) takes back.
    pub(crate) fn magnitudes(&self, values: &[S]) -> Arc<Vec<S>> {
        let mut shared = self.params(values);
        if let Some(vec) = Arc::get_mut(&mut shared) {
            for v in vec {
                *v = if *v < S::ZERO { -*v } else { *v };
            }
        }
        shared
    }

    pub(crate) fn put_params(&self, params: Arc<Vec<S>>) {
        if let Ok(mut free) = self.params.lock()
            && free.len() < KEEP
        {
            free.push(params);
        }
    }

    /// Empty sums for a layout.
    pub(crate) fn sums(&self, layout: &Layout) -> Sums<S> {
        let found = self.sums.lock().ok().and_then(|mut free| {
            let i = free.iter().position(|sums| sums.fits(layout))?;
            Some(free.swap_remove(i))
        });
        found.map_or_else(|| Sums::new(layout), Sums::emptied)
    }

    pub(crate) fn put_sums(&self, sums: Sums<S>) {
        if let Ok(mut free) = self.sums.lock()
            && free.len() < KEEP
        {
            free.push(sums);
        }
    }
}
