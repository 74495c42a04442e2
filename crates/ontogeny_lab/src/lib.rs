//! Conducts: studies, forks, paired controls, sweeps, design.
//!
//! A [`RunPlan`] says what to do, a [`Conductor`] does it and keeps it, many at once where asked. A run can be
//! stopped at any reading and goes on bit for bit; a fork starts from its parent's exact state at any step, and
//! no effect of a fork is reported before [`Conductor::verify_control`] has shown that the same fork without
//! the change is the parent.

mod audited;
mod conductor;
mod designing;
mod divergence;
mod draw;
mod error;
mod forecasting;
mod fork;
mod grid;
pub mod interventions;
mod observe;
mod paired;
mod plan;
mod provenance;
mod record;
mod replay;
mod scoreboard;
mod sealing;
pub mod studies;
mod surroundings;
mod values;
mod voices;
mod watch;
mod zoom;

pub use conductor::{Conductor, Live, Observer, Unobserved, versions};
pub use divergence::{Divergence, Located, Sign, TensorDifference};
pub use error::LabError;
pub use forecasting::{Answered, Asked, Settled, forecast, settle};
pub use fork::{config_of, state_at};
pub use plan::{ForkPlan, RunPlan, StopRule};
pub use provenance::{provenance, scorecards};
pub use record::RunRecord;
pub use watch::{Progress, Unwatched, Watch};
pub use zoom::{Refined, ZoomPlan, Zoomed, refined_events};
