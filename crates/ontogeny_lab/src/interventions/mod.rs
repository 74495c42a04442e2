//! Named interventions: the one change that a fork makes.
//!
//! To add one: a file here, its `mod` line, and its row in [`interventions`]. Whatever a configuration key can
//! say needs no file: `key=value` is an intervention too.

mod grokfast;
mod placebo;
mod reweight;
mod swap_augment;
mod weight_decay;

pub use reweight::boosted;

use ontogeny_train::RunConfig;
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
        placebo::SPEC,
    ];
    LIST
}

/// The intervention called `name`.
pub fn intervention(name: &str) -> Option<&'static Intervention> {
    interventions().iter().find(|i| i.name == name)
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
