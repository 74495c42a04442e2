//! Scores: how good a forecast was. All proper, all lower-is-better unless their name says otherwise.

mod binary;
mod calibration;
mod concordance;
mod crps;
mod d_calibration;
mod evidence;
mod ibs;
mod judge;
mod retrieval;
mod skill;

pub use binary::{brier, cost_weighted, log_score};
pub use calibration::{
    CalibrationSummary, PitRange, calibration_error, coverage, pit, summarize, winkler,
};
pub use concordance::{auc, auc_at, harrell_c};
pub use crps::{crps, crps_gaussian, crps_sample};
pub use d_calibration::{DCalibration, d_calibration};
pub use evidence::{EProcess, LIKELIHOOD_FLOOR, likelihood};
pub use ibs::integrated_brier;
pub use judge::{Refusal, judge, refusal, score_predictive, support_of};
pub use retrieval::{auprc, precision_and_recall, recall_at_precision};
pub use skill::{Skill, skill};
