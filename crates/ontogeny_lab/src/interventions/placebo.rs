//! Looks at the run at other steps. Probes are invisible, so the effect must be exactly nothing.

use super::{Change, Intervention, set};
use ontogeny_train::RunConfig;

pub(super) const SPEC: Intervention = Intervention {
    name: "placebo",
    summary: "other checkpoint cadence: must do nothing",
    source: "docs/protocol.md, section 1",
    set: apply,
};

#[expect(clippy::unnecessary_wraps, reason = "the signature of every intervention")]
fn apply(config: &RunConfig) -> Option<Change> {
    Some(vec![set("record.checkpoint_every", config.record.checkpoint_every * 2 + 7)])
}
