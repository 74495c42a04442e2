//! Trains on the mirror (b, a) of every training pair: should move a slow seed into the fast group, if
//! symmetric memorization is what makes seeds fast.

use super::{Change, Intervention, set};
use ontogeny_train::RunConfig;
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::modular::{Operation, Split};

pub(super) const SPEC: Intervention = Intervention {
    name: "swap_augment",
    summary: "mirrors of the training pairs added",
    source: "our own",
    set: apply,
};

fn apply(config: &RunConfig) -> Option<Change> {
    match &config.task {
        TaskConfig::Modular(m)
            if m.operation != Operation::Subtract
                && m.split == Split::Ordered
                && !m.swap_augment =>
        {
            Some(vec![set("task.swap_augment", true)])
        }
        _ => None,
    }
}
