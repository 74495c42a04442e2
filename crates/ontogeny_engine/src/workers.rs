//! Threads that compute lanes.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::EngineError;

/// Threads that wait for work; none for an engine of one thread, which works on its caller's.
#[derive(Debug)]
pub(crate) struct Workers {
    pool: Option<ThreadPool>,
}

impl Workers {
    pub(crate) fn new(threads: usize) -> Result<Self, EngineError> {
        if threads <= 1 {
            return Ok(Self { pool: None });
        }
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|source| EngineError::Threads { threads, source })?;
        Ok(Self { pool: Some(pool) })
    }

    pub(crate) fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, ThreadPool::current_num_threads)
    }

    /// Runs `f(0..n)` and returns the results in order.
    ///
    /// A worker takes the next index when it is free. Who computes an index never decides what is computed,
    /// so the results do not depend on the number of threads.
    pub(crate) fn run<T: Send>(&self, n: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let Some(pool) = self.pool.as_ref().filter(|_| n > 1) else {
            return (0..n).map(f).collect();
        };
        let next = AtomicUsize::new(0);
        let out: Vec<Mutex<Option<T>>> = (0..n).map(|_| Mutex::new(None)).collect();
        pool.broadcast(|_| {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(slot) = out.get(i) else { break };
                let result = f(i);
                if let Ok(mut slot) = slot.lock() {
                    *slot = Some(result);
                }
            }
        });
        out.into_iter().filter_map(|slot| slot.into_inner().ok().flatten()).collect()
    }

    /// Applies `f` to every item, on all workers if the `n` scalars behind them are worth it.
    pub(crate) fn for_each<T: Send>(&self, items: Vec<T>, n: usize, f: impl Fn(T) + Sync) {
        const WORTH_A_THREAD: usize = 1 << 16;
        if self.pool.is_none() || n < 2 * WORTH_A_THREAD {
            return items.into_iter().for_each(f);
        }
        let items: Vec<Mutex<Option<T>>> = items.into_iter().map(|i| Mutex::new(Some(i))).collect();
        self.run(items.len(), |i| {
            if let Some(item) = items[i].lock().ok().and_then(|mut item| item.take()) {
                f(item);
            }
        });
    }
}
