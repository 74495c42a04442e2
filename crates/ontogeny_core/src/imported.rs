//! Where a run came from that was recorded elsewhere.

use crate::RunManifest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The key of the configuration under which it is kept: older readers take it for part of the configuration.
const KEY: &str = "imported";

/// A file that a run was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its path, as it was given.
    pub path: String,
    /// Its size.
    pub n_bytes: u64,
    /// BLAKE3 of its content.
    pub blake3: String,
}

/// Where an imported run came from. Kept in the manifest as `config.imported`, beside the hyper-parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// Name of the format, e.g. `tfevents`.
    pub format: String,
    /// Name of the run in its source.
    pub name: String,
    /// The files, in the order in which they were read.
    pub files: Vec<SourceFile>,
    /// The files that its checkpoints were read from, by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<SourceFile>,
    /// Options of the import that change what is read, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub options: String,
    /// Readings that were kept, those that a later one at the same step replaces among them.
    pub n_readings: u64,
    /// What the source says of how the run ended: not to be forecast from.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub outcomes: Map<String, Value>,
}

impl RunManifest {
    /// Where the run came from, if it was imported.
    pub fn imported(&self) -> Option<Imported> {
        serde_json::from_value(self.config.get(KEY)?.clone()).ok()
    }

    /// The configuration without the record of where the run came from: what a forecaster may use.
    pub fn hyper_parameters(&self) -> Map<String, Value> {
        let mut map = self.config.as_object().cloned().unwrap_or_default();
        map.remove(KEY);
        map
    }

    /// The configuration of an imported run.
    pub fn imported_config(mut hyper_parameters: Map<String, Value>, from: &Imported) -> Value {
        // A source that has this key itself keeps its entry under another name.
        if let Some(own) = hyper_parameters.remove(KEY) {
            hyper_parameters.insert(format!("{KEY}_"), own);
        }
        // Strings, numbers and maps with text for keys always become JSON.
        let from = serde_json::to_value(from).unwrap_or_default();
        hyper_parameters.insert(KEY.to_owned(), from);
        Value::Object(hyper_parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clocks, RunId, RunStatus, Seeds, Step, Versions};
    use serde_json::json;

    #[test]
    fn what_is_known_of_the_source_is_kept_apart_from_the_hyper_parameters() {
        let from = Imported {
            format: "csv".into(),
            name: "a".into(),
            files: vec![SourceFile { path: "a.csv".into(), n_bytes: 3, blake3: "00".into() }],
            checkpoints: Vec::new(),
            options: String::new(),
            n_readings: 2,
            outcomes: Map::from_iter([("final_loss".into(), json!(1.5))]),
        };
        let own = Map::from_iter([("lr".into(), json!(0.1)), ("imported".into(), json!(true))]);
        let manifest = RunManifest {
            format_version: RunManifest::FORMAT_VERSION,
            run: RunId::new("a").unwrap(),
            study: None,
            role: "imported".into(),
            cell: String::new(),
            config: RunManifest::imported_config(own, &from),
            seeds: Seeds::all(0),
            fork: None,
            rules: Vec::new(),
            versions: Versions { ontogeny: String::new(), engine: String::new() },
            created_unix_secs: 0.0,
            step: Step(0),
            clocks: Clocks::default(),
            status: RunStatus::Open,
            unread: std::collections::BTreeMap::new(),
        };
        assert_eq!(manifest.imported(), Some(from));
        let expected = json!({"lr": 0.1, "imported_": true});
        assert_eq!(Value::Object(manifest.hyper_parameters()), expected);
    }
}
