//! Answers that depend on a prefix and the question alone, kept for the fits that leave other runs out.
//!
//! Equal keys have equal answers, so nobody can tell what is kept; only time is saved.

use ontogeny_core::Prefix;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Answers that are kept at most; each is a few hundred bytes.
const MOST: usize = 50_000;

/// A bounded table of answers.
#[derive(Debug)]
pub(super) struct Memo<T>(Mutex<BTreeMap<String, T>>);

impl<T: Clone> Memo<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// The answer for this prefix and question, made if it is not there.
    pub(super) fn get(&self, prefix: &Prefix, question: &str, make: impl FnOnce() -> T) -> T {
        let key = format!("{} {question}", prefix.hash());
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return known.clone();
        }
        let made = make();
        let mut kept = lock();
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(key, made.clone());
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::{RunId, Series, Step};

    #[test]
    fn the_same_is_made_once() {
        let memo = Memo::new();
        let s = Series::from_pairs("loss", "1", [(1, 2.0), (2, 1.0)]);
        let cut = |at| Prefix::cut(RunId::new("r").unwrap(), Step(at), [&s]);
        assert_eq!(memo.get(&cut(1), "a", || 1), 1);
        assert_eq!(memo.get(&cut(1), "a", || 2), 1);
        assert_eq!((memo.get(&cut(2), "a", || 3), memo.get(&cut(1), "b", || 4)), (3, 4));
    }
}
