//! What can go wrong between a configuration and a step.

use ontogeny_core::{ScheduleError, Step};

/// A run cannot be made or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum TrainError {
    /// A number of the configuration lies outside what the method allows.
    #[error("configuration key {key} is {value}, but must lie in {allowed} ({why})")]
    OutOfRange { key: &'static str, value: String, allowed: String, why: &'static str },
    /// A schedule of the configuration takes a value it must not take.
    #[error("configuration key {key}")]
    Schedule {
        key: &'static str,
        #[source]
        source: ScheduleError,
    },
    /// Two parts of the configuration do not belong together.
    #[error("{first} and {second} do not go together: {why}")]
    Mismatch { first: String, second: String, why: String },
    /// A key that no configuration has.
    #[error("no configuration key {key}{}", suggestion.as_ref().map(|s| format!("; did you mean {s}?")).unwrap_or_default())]
    UnknownKey { key: String, suggestion: Option<String> },
    /// A value of the wrong type.
    #[error("configuration key {key} cannot take the value {value}: {reason}")]
    WrongType { key: String, value: String, reason: String },
    /// Text that is not `key=value`.
    #[error("expected key=value, found {text}")]
    NotAPair { text: String },
    /// A saved state that does not fit this configuration.
    #[error("saved state does not fit the configuration: {what}")]
    StateMismatch { what: String },
    /// Loss or gradient is NaN or infinite: the update was not made.
    #[error("training diverged at step {step}: {what} is not finite")]
    Diverged { step: Step, what: &'static str },
    /// Files that a task reads are not what they should be.
    #[error("read the data of task {task}")]
    Data {
        task: &'static str,
        #[source]
        source: Box<crate::tasks::DataError>,
    },
    /// The engine refused.
    #[error("compute at step {step}")]
    Engine {
        step: Step,
        #[source]
        source: ontogeny_engine::EngineError,
    },
}
