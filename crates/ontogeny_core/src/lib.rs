//! The words of training dynamics as types; no I/O.
//!
//! Everything else in the workspace speaks in these types. A [`Step`] is a number of optimizer updates
//! already applied; a [`RunManifest`] says what a run was to the last default; a [`Series`] is one named
//! column over steps; a [`Prefix`] is what a forecaster is allowed to see; a [`Forecast`] is what it claims;
//! a [`LedgerEntry`] is a link of the chain that keeps the claim.

mod clock;
mod design;
mod dtype;
mod event;
mod findings;
mod forecast;
mod ids;
mod imported;
mod ledger;
mod manifest;
mod nearest;
mod prefix;
pub mod random;
mod schedule;
mod series;
mod step;
mod zoom;

pub use clock::{Clock, FixedClock};
pub use design::{DesignOutcome, DesignProblem};
pub use dtype::Dtype;
pub use event::{Censoring, Direction, Event, ThresholdRule};
pub use findings::{
    Band, Block, EffectRow, Fan, Figure, FigureBody, Findings, Heatmap, Line, Marker, Panel,
    Section, Table, TreeNode,
};
pub use forecast::{
    Forecast, LEVELS, Observed, Outcome, Predictive, Score, ScoringRule, Target, TheoryRef,
};
pub use ids::{RunId, StudyId, ZoomId};
pub use imported::{Imported, SourceFile};
pub use ledger::{ChainBreak, LedgerBody, LedgerEntry, verify_chain};
pub use manifest::{ForkPoint, RunManifest, RunStatus, Seeds, StopReason, Versions};
pub use nearest::nearest;
pub use prefix::Prefix;
pub use schedule::{Curve, Schedule, ScheduleError};
pub use series::{Point, Series};
pub use step::{Clocks, Step};
pub use zoom::ZoomManifest;
