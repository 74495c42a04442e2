//! Threads that compute lanes.

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::EngineError;

/// Worker threads, each a pool of its own so that what runs inside a lane never spills to other threads.
#[derive(Debug)]
pub(crate) struct Workers {
    pools: Vec<ThreadPool>,
}

impl Workers {
    pub(crate) fn new(threads: usize) -> Result<Self, EngineError> {
        let pools = (0..threads.max(1))
            .map(|_| ThreadPoolBuilder::new().num_threads(1).build())
            .collect::<Result<_, _>>()
            .map_err(|source| EngineError::Threads { threads, source })?;
        Ok(Self { pools })
    }

    pub(crate) fn threads(&self) -> usize {
        self.pools.len()
    }

    /// Runs `lane(0..lanes)`, lane `l` on worker `l mod n`, and returns the results in lane order.
    pub(crate) fn run<T: Send>(&self, lanes: usize, lane: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let n = self.pools.len().min(lanes);
        if n == 1 {
            return self.pools[0].install(|| (0..lanes).map(&lane).collect());
        }
        let mut out: Vec<Option<T>> = (0..lanes).map(|_| None).collect();
        std::thread::scope(|scope| {
            let mut share: Vec<Vec<(usize, &mut Option<T>)>> = (0..n).map(|_| vec![]).collect();
            for (l, slot) in out.iter_mut().enumerate() {
                share[l % n].push((l, slot));
            }
            for (pool, share) in self.pools.iter().zip(share) {
                let lane = &lane;
                scope.spawn(move || {
                    pool.install(|| {
                        for (l, slot) in share {
                            *slot = Some(lane(l));
                        }
                    });
                });
            }
        });
        out.into_iter().flatten().collect()
    }

    /// Applies `f` to every item, on all workers if the `n` scalars behind them are worth it.
    pub(crate) fn for_each<T: Send>(&self, items: Vec<T>, n: usize, f: impl Fn(T) + Sync) {
        const WORTH_A_THREAD: usize = 1 << 16;
        let n_threads = self.pools.len().min(n / WORTH_A_THREAD + 1).min(items.len().max(1));
        if n_threads == 1 {
            return items.into_iter().for_each(f);
        }
        let mut share: Vec<Vec<T>> = (0..n_threads).map(|_| vec![]).collect();
        for (i, item) in items.into_iter().enumerate() {
            share[i % n_threads].push(item);
        }
        std::thread::scope(|scope| {
            for (pool, share) in self.pools.iter().zip(share) {
                let f = &f;
                scope.spawn(move || pool.install(|| share.into_iter().for_each(f)));
            }
        });
    }
}
