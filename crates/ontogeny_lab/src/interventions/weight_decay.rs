//! Weight decay off, doubled, halved: the opposite pair, and the change that should stop grokking.
//!
//! Published law: the delay is inversely proportional to it (arXiv:2603.13331, arXiv:2605.18845).

use super::{Change, Intervention, set};
use ontogeny_core::{Curve, Schedule};
use ontogeny_train::RunConfig;

const SOURCE: &str = "arXiv:2605.18845";

pub(super) const OFF: Intervention = Intervention {
    name: "wd_off",
    summary: "weight decay to 0",
    source: SOURCE,
    set: |c| times(c, 0.0),
};

pub(super) const DOUBLE: Intervention = Intervention {
    name: "wd_x2",
    summary: "weight decay doubled",
    source: SOURCE,
    set: |c| times(c, 2.0),
};

pub(super) const HALF: Intervention = Intervention {
    name: "wd_half",
    summary: "weight decay halved",
    source: SOURCE,
    set: |c| times(c, 0.5),
};

fn times(config: &RunConfig, factor: f64) -> Option<Change> {
    let (Schedule::Constant(v) | Schedule::Curve(Curve::Warmup { value: v, .. })) =
        config.optimizer.weight_decay
    else {
        return None;
    };
    (v > 0.0).then(|| vec![set("optimizer.weight_decay", v * factor)])
}
