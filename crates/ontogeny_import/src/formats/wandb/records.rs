//! The few records of W&B that matter here: configuration and history.

use crate::json::Json;
use crate::wire::{self, Field};
use serde_json::{Map, Value};

/// A record.
#[derive(Debug)]
pub(super) enum Record {
    /// Configuration of the run, or an update of it.
    Config(Map<String, Value>),
    /// A row of the history, and the step that the record itself names.
    History { items: Vec<Item>, step: Option<i64> },
    /// Anything else.
    Other,
}

/// A logged value.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: String,
    /// The number, if it is one.
    pub(super) value: Option<f64>,
}

impl Record {
    /// `None` if the bytes are no record.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut record = Self::Other;
        wire::each(bytes, |number, field| {
            match (number, field) {
                (2, Field::Bytes(history)) => record = history_of(history)?,
                (5, Field::Bytes(config)) => record = Self::Config(config_of(config)?),
                (17, Field::Bytes(run)) => {
                    let mut config = Map::new();
                    wire::each(run, |number, field| {
                        if let (4, Field::Bytes(bytes)) = (number, field) {
                            config.extend(config_of(bytes)?);
                        }
                        Some(())
                    })?;
                    record = Self::Config(config);
                }
                _ => {}
            }
            Some(())
        })?;
        Some(record)
    }
}

/// The name and JSON of an item: `key`, or `nested_key` joined with dots.
fn item(bytes: &[u8], nested: u32) -> Option<(String, &[u8])> {
    let (mut name, mut json): (String, &[u8]) = (String::new(), &[]);
    wire::each(bytes, |number, field| {
        match (number, field) {
            (1, Field::Bytes(key)) => std::str::from_utf8(key).ok()?.clone_into(&mut name),
            (n, Field::Bytes(key)) if n == nested => {
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(std::str::from_utf8(key).ok()?);
            }
            (16, Field::Bytes(bytes)) => json = bytes,
            _ => {}
        }
        Some(())
    })?;
    Some((name, json))
}

fn history_of(bytes: &[u8]) -> Option<Record> {
    let (mut items, mut step) = (Vec::new(), None);
    wire::each(bytes, |number, field| {
        match (number, field) {
            (1, Field::Bytes(bytes)) => {
                let (name, json) = item(bytes, 2)?;
                let value = Json::of(json).value().ok().and_then(|token| token.as_number());
                items.push(Item { name, value });
            }
            (2, Field::Bytes(bytes)) => {
                let mut number = 0;
                wire::each(bytes, |n, field| {
                    if let (1, Field::Varint(v)) = (n, field) {
                        number = v.cast_signed();
                    }
                    Some(())
                })?;
                step = Some(number);
            }
            _ => {}
        }
        Some(())
    })?;
    Some(Record::History { items, step })
}

fn config_of(bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut config = Map::new();
    wire::each(bytes, |number, field| {
        if let (1, Field::Bytes(bytes)) = (number, field) {
            let (name, json) = item(bytes, 2)?;
            // W&B's own telemetry is no configuration.
            if name != "_wandb" && !name.is_empty() {
                let value = Json::of(json).tree().unwrap_or(Value::Null);
                config.insert(name, value);
            }
        }
        Some(())
    })?;
    Some(config)
}
