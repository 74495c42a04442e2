//! Draws every group of attribute and label equally often: what the data say about the shortcut is taken away.

use super::{Change, Intervention, treated};
use ontogeny_train::RunConfig;
use ontogeny_train::tasks::two_block::How;

pub(super) const SPEC: Intervention = Intervention {
    name: "balanced_groups",
    summary: "every group of attribute and label equally often",
    source: "arXiv:1911.08731",
    set: apply,
};

fn apply(config: &RunConfig) -> Option<Change> {
    treated(config, How::Balanced)
}
