//! `key=value` changes of a configuration, the language of interventions.

use crate::{RunConfig, TrainError};
use ontogeny_core::nearest;
use serde_json::Value;

/// Splits `optimizer.weight_decay=0` into key and value.
///
/// The value is read as JSON if it is JSON, and as text otherwise, so `task.labels=random` needs no quotes.
///
/// # Errors
/// [`TrainError::NotAPair`] without `=`.
pub fn parse_set(text: &str) -> Result<(String, Value), TrainError> {
    let (key, value) = text
        .split_once('=')
        .filter(|(k, _)| !k.is_empty())
        .ok_or_else(|| TrainError::NotAPair { text: text.to_owned() })?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((key.to_owned(), value))
}

/// The configuration with some keys changed, checked.
///
/// # Errors
/// [`TrainError::UnknownKey`] with the nearest key, [`TrainError::WrongType`] if the result is not a
/// configuration, and whatever [`RunConfig::check`] finds.
pub fn apply_set(config: &RunConfig, set: &[(String, Value)]) -> Result<RunConfig, TrainError> {
    let mut current = config.clone();
    for (key, value) in set {
        let wrong = |reason: String| TrainError::WrongType {
            key: key.clone(),
            value: value.to_string(),
            reason,
        };
        let mut json = with_every_key(&current).map_err(|e| wrong(e.to_string()))?;
        let slot = find(&mut json, key).ok_or_else(|| unknown(&current, key))?;
        *slot = value.clone();
        current = serde_json::from_value(json).map_err(|e| wrong(e.to_string()))?;
    }
    current.check()?;
    Ok(current)
}

/// The configuration as JSON, with the keys that are not written where they have their default.
fn with_every_key(config: &RunConfig) -> serde_json::Result<Value> {
    let mut json = serde_json::to_value(config)?;
    if let Some(record) = json.get_mut("record").and_then(Value::as_object_mut) {
        record.insert("hash_every".to_owned(), config.record.hash_every.into());
        record.insert("probe_at".to_owned(), config.record.probe_at.clone().into());
        record.insert("checkpoint_at".to_owned(), config.record.checkpoint_at.clone().into());
    }
    Ok(json)
}

fn find<'a>(json: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    key.split('.').try_fold(json, |v, part| v.as_object_mut()?.get_mut(part))
}

fn unknown(config: &RunConfig, key: &str) -> TrainError {
    let mut keys = Vec::new();
    if let Ok(json) = with_every_key(config) {
        collect(&json, "", &mut keys);
    }
    let last = |k: &str| k.rsplit('.').next().unwrap_or(k).to_owned();
    let suggestion =
        nearest(key, keys.iter().map(String::as_str)).map(str::to_owned).or_else(|| {
            let tails: Vec<String> = keys.iter().map(|k| last(k)).collect();
            let tail = nearest(&last(key), tails.iter().map(String::as_str))?.to_owned();
            keys.into_iter().find(|k| last(k) == tail)
        });
    TrainError::UnknownKey { key: key.to_owned(), suggestion }
}

fn collect(json: &Value, prefix: &str, keys: &mut Vec<String>) {
    if let Value::Object(map) = json {
        for (k, v) in map {
            let key = if prefix.is_empty() { k.clone() } else { format!("{prefix}.{k}") };
            collect(v, &key, keys);
            keys.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::modular::tests::tiny;

    #[track_caller]
    fn check(set: &str, expected: &str) {
        let result = parse_set(set).and_then(|pair| apply_set(&tiny(), &[pair]));
        let text = match result {
            Ok(c) => serde_json::to_string(&c.optimizer).unwrap(),
            Err(e) => {
                let source = std::error::Error::source(&e).map(|s| format!(": {s}"));
                format!("{e}{}", source.unwrap_or_default())
            }
        };
        assert!(text.contains(expected), "{set}: {text}");
    }

    #[test]
    fn a_change_is_applied_or_refused_with_the_reason() {
        check("optimizer.weight_decay=0", r#""weight_decay":0.0"#);
        check(r#"optimizer.grokfast={"alpha":2,"lambda":0.98}"#, r#""alpha":2.0"#);
        check(
            "weight_decay=0",
            "no configuration key weight_decay; did you mean optimizer.weight_decay?",
        );
        check("optimizer.wieght_decay=0", "did you mean optimizer.weight_decay?");
        check("optimizer.lr=fast", "optimizer.lr cannot take the value \"fast\"");
        check("optimizer.lr=-1", "optimizer.lr: value -1 lies outside [0, 10]");
        check("optimizer.beta2=1.5", "optimizer.beta2 is 1.5, but must lie in [0, 0.999999]");
        check("optimizer.lr", "expected key=value, found optimizer.lr");
    }

    #[test]
    fn the_cadence_of_hashes_can_be_set_and_is_not_written_at_its_default() {
        let written = |c: &RunConfig| serde_json::to_value(c).unwrap()["record"].clone();
        assert_eq!(written(&tiny()).get("hash_every"), None);
        let set = parse_set("record.hash_every=7").unwrap();
        let often = apply_set(&tiny(), &[set]).unwrap();
        assert_eq!(written(&often)["hash_every"], 7);
        let again: RunConfig =
            serde_json::from_value(serde_json::to_value(&often).unwrap()).unwrap();
        assert_eq!(again, often);
        check("record.hash_evry=7", "did you mean record.hash_every?");
    }
}
