//! Forecasters that learn across runs: from what beginnings looked like to what became of them.

mod forest;
mod ridge;
mod signals;

pub use forest::PooledForest;
pub use ridge::PooledRidge;

pub(crate) use forest::{CHANGE_ENTRY as FOREST_CHANGE, LEVEL_ENTRY as FOREST_LEVEL};
pub(crate) use ridge::ENTRY as RIDGE;
