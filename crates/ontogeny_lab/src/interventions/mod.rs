//! Named interventions: the one change that a fork makes.
//!
//! To add one: a file here, its `mod` line, and its row in [`interventions`]. Whatever a configuration key can
//! say needs no file: `key=value` is an intervention too.

mod balanced_groups;
mod errors_up;
mod grokfast;
mod group_dro;
mod last_layer;
mod placebo;
mod reweight;
mod shortcut_dropout;
mod swap_augment;
mod weight_decay;

pub use reweight::boosted;

use ontogeny_train::RunConfig;
use ontogeny_train::tasks::TaskConfig;
use ontogeny_train::tasks::two_block::{How, Treatment};
use serde_json::Value;

/// `key=value` pairs of a configuration.
pub type Change = Vec<(String, Value)>;

/// A named change of a configuration.
#[derive(Debug, Clone, Copy)]
pub struct Intervention {
    /// Stable name, used in run names and on the command line.
    pub name: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// Who proposed it.
    pub source: &'static str,
    /// The change as `key=value` pairs; `None` where it does not apply to the configuration.
    pub set: fn(&RunConfig) -> Option<Change>,
}

/// The list.
pub fn interventions() -> &'static [Intervention] {
    const LIST: &[Intervention] = &[
        weight_decay::OFF,
        weight_decay::DOUBLE,
        weight_decay::HALF,
        swap_augment::SPEC,
        grokfast::SPEC,
        reweight::UNIFORM,
        balanced_groups::SPEC,
        group_dro::SPEC,
        errors_up::SPEC,
        shortcut_dropout::SPEC,
        last_layer::SPEC,
        placebo::SPEC,
    ];
    LIST
}

/// The intervention called `name`.
pub fn intervention(name: &str) -> Option<&'static Intervention> {
    interventions().iter().find(|i| i.name == name)
}

/// A treatment of the task of two blocks, at every step; `None` for other tasks.
fn treated(config: &RunConfig, how: How) -> Option<Change> {
    let TaskConfig::TwoBlock(_) = &config.task else { return None };
    let treatment = Treatment { how, from: 0, until: None };
    Some(vec![set(TREATMENT, serde_json::to_value(treatment).ok()?)])
}

const TREATMENT: &str = "task.treatment";

/// The same change with its treatment confined to the updates from step `from` on and before `until`.
#[must_use]
pub fn within(mut change: Change, from: u64, until: u64) -> Change {
    for (_, value) in change.iter_mut().filter(|(key, _)| key == TREATMENT) {
        value["from"] = from.into();
        value["until"] = until.into();
    }
    change
}

fn set(key: &str, value: impl Into<Value>) -> (String, Value) {
    (key.to_owned(), value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_in_the_list() {
        let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/interventions");
        let list = include_str!("mod.rs");
        for entry in std::fs::read_dir(here).unwrap() {
            let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
            assert!(
                name == "mod" || list.contains(&format!("        {name}::")),
                "{name} has no row"
            );
        }
        for i in interventions() {
            assert!(!i.summary.is_empty() && !i.source.is_empty(), "{}", i.name);
            assert!(intervention(i.name).is_some());
        }
    }
}
