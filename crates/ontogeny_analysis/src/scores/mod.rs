//! Scores: how good a forecast was. All proper, all lower-is-better unless their name says otherwise.

mod binary;
mod calibration;
mod crps;
mod evidence;
mod ibs;
mod judge;
mod skill;

pub use binary::{brier, cost_weighted, log_score};
pub use calibration::{
    CalibrationSummary, PitRange, calibration_error, coverage, pit, summarize, winkler,
};
pub use crps::{crps, crps_gaussian, crps_sample};
pub use evidence::{EProcess, LIKELIHOOD_FLOOR, likelihood};
pub use ibs::integrated_brier;
pub use judge::{Refusal, judge, refusal, score_predictive, support_of};
pub use skill::{Skill, skill};
