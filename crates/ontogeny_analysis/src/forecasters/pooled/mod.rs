//! Forecasters that learn across runs: from what beginnings looked like to what became of them.

mod early;
mod forest;
mod hazard;
mod hierarchy;
mod hurdle;
mod normal_scores;
mod ridge;
mod signals;
#[cfg(test)]
mod tests;
mod trees;
mod waiting;

pub use early::{EarlyForest, Known};
pub use forest::PooledForest;
pub use hazard::Hazard;
pub use hierarchy::HierarchicalCurves;
pub use hurdle::PooledHurdle;
pub use ridge::PooledRidge;

pub(crate) use forest::{CHANGE_ENTRY as FOREST_CHANGE, LEVEL_ENTRY as FOREST_LEVEL};
pub(crate) use hazard::ENTRY as HAZARD;
pub(crate) use hierarchy::ENTRY as HIERARCHY;
pub(crate) use hurdle::ENTRY as HURDLE;
pub(crate) use ridge::ENTRY as RIDGE;
pub(crate) use trees::Trees;
