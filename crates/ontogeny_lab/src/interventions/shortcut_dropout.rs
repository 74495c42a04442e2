//! Takes the shortcut block out of half of the examples. One must know where the shortcut is.

use super::{Change, Intervention, treated};
use ontogeny_train::RunConfig;
use ontogeny_train::tasks::two_block::How;

pub(super) const SPEC: Intervention = Intervention {
    name: "shortcut_dropout",
    summary: "shortcut block set to 0 in half of the examples",
    source: "our own",
    set: apply,
};

fn apply(config: &RunConfig) -> Option<Change> {
    treated(config, How::ShortcutDropout { p: 0.5 })
}
