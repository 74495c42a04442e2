//! Draws what the network gets wrong now twenty times as often as the rest. No group labels are used.

use super::{Change, Intervention, treated};
use ontogeny_train::RunConfig;
use ontogeny_train::tasks::two_block::How;

pub(super) const SPEC: Intervention = Intervention {
    name: "errors_up",
    summary: "current errors 20 times as often, without group labels",
    source: "after arXiv:2107.09044",
    set: apply,
};

fn apply(config: &RunConfig) -> Option<Change> {
    treated(config, How::ErrorsUp { weight: 20.0 })
}
