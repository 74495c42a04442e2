//! Why a reading could not be taken.

/// Why a probe left no reading. None of these stops a run: the reason is kept in the row.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages name every field")]
pub enum ProbeError {
    /// The observation lacks something the probe looks at.
    #[error("find {what} in the observation")]
    Missing { what: String },
    /// Two parts of the observation do not fit together.
    #[error("fit {what}: expected {expected} values, found {found}")]
    Shape { what: String, expected: usize, found: usize },
    /// There is nothing to average over.
    #[error("measure {what}: it is empty")]
    Empty { what: String },
    /// A number that must be finite is not.
    #[error("measure {what}: it is not finite")]
    NonFinite { what: String },
    /// The quantity has no value on this data, e.g. a cosine with a zero vector.
    #[error("measure {what}: it is undefined here")]
    Undefined { what: String },
    /// An index points outside the table it belongs to.
    #[error("read {what}: index {index} of {len}")]
    Index { what: String, index: usize, len: usize },
    /// Nobody goes by this name.
    #[error("find a probe named {name:?}{}", suggestion(*.nearest))]
    UnknownProbe { name: String, nearest: Option<&'static str> },
    /// A certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] crate::certificate::CertificateError),
    /// A saved state was not written by this probe.
    #[error("restore {probe}: a state of {found} numbers does not fit")]
    State { probe: &'static str, found: usize },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |n| format!("; did you mean {n:?}?"))
}
