//! Finds events in series.
//!
//! To add a detector: one file here, its `mod` line and its `SPEC` row in [`DETECTORS`].

mod online;
mod robustness;
mod threshold;

pub use online::{Confirmed, OnlineThreshold};
pub use robustness::{Variant, is_robust, variants};
pub use threshold::detect;

/// What a detector is, for lists and manuals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetectorSpec {
    /// Stable name: the text before the parenthesis in [`ontogeny_core::Event::detector`].
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

/// All detectors.
pub const DETECTORS: &[DetectorSpec] = &[threshold::SPEC];
