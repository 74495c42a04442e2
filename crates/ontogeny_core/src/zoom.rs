//! A zoom: a stretch of a run that was executed again and read more densely.

use crate::{RunId, Step, Versions, ZoomId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where the readings of a zoom come from, and what shows that they are the run's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZoomManifest {
    /// Version of this layout.
    pub format_version: u32,
    /// The run.
    pub run: RunId,
    /// The zoom.
    pub id: ZoomId,
    /// First step that was read.
    pub from: Step,
    /// Last step that was read.
    pub to: Step,
    /// Steps between two readings, counted from `from`; `to` is read in any case.
    pub every: u64,
    /// The probes.
    pub probes: Vec<String>,
    /// Probes that remember earlier readings and that the run did not have: their memory began empty here.
    pub began_here: Vec<String>,
    /// Whether the state was kept at every step that was read.
    pub has_checkpoints: bool,
    /// The step of the recorded state from which the stretch was executed again.
    pub origin: Step,
    /// Hashes of the state, recorded by the run, that came out the same.
    pub n_hashes_equal: u64,
    /// The last of them, no earlier than `to`.
    pub equal_at: Step,
    /// Other recorded numbers (losses of updates, readings of probes) that came out the same.
    pub n_readings_equal: u64,
    /// Readings in the zoom, counting the elements of a vector as one.
    pub n_readings: u64,
    /// The code that read.
    pub versions: Versions,
    /// Wall time of creation, seconds since the Unix epoch.
    pub created_unix_secs: f64,
    /// What probes could not read, with the first step at which and the reason.
    #[serde(default)]
    pub unread: BTreeMap<String, String>,
}

impl ZoomManifest {
    /// The layout written by this version.
    pub const FORMAT_VERSION: u32 = 1;
}
