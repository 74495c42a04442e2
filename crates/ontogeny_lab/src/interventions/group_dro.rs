//! Draws groups in proportion to weights that grow with their losses, at the published rate of .01.

use super::{Change, Intervention, treated};
use ontogeny_train::RunConfig;
use ontogeny_train::tasks::two_block::How;

pub(super) const SPEC: Intervention = Intervention {
    name: "group_dro",
    summary: "groups with larger losses more often (eta .01)",
    source: "arXiv:1911.08731",
    set: apply,
};

fn apply(config: &RunConfig) -> Option<Change> {
    treated(config, How::GroupDro { eta: 0.01 })
}
