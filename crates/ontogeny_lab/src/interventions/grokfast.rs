//! Amplifies the slow part of the gradient. Published: grokking up to 50 times sooner on its own setup.

use super::{Change, Intervention, set};
use ontogeny_train::RunConfig;

pub(super) const SPEC: Intervention = Intervention {
    name: "grokfast",
    summary: "slow gradient amplified (alpha 2, lambda .98)",
    source: "arXiv:2405.20233",
    set: apply,
};

#[expect(clippy::unnecessary_wraps, reason = "the signature of every intervention")]
fn apply(_: &RunConfig) -> Option<Change> {
    Some(vec![set("optimizer.grokfast", serde_json::json!({ "alpha": 2.0, "lambda": 0.98 }))])
}
