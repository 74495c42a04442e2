//! Scaling laws: what loss and capabilities will be at sizes, data and compute not yet tried.
//!
//! A [`Law`] is one file and one row of [`LAWS`]. [`fit`](fit()) fits it from many starts, [`bootstrap`](bootstrap())
//! refits it on resamples.

mod average;
mod bootstrap;
mod budgets;
mod curvature;
mod data;
mod diagnostics;
mod downstream;
mod envelope;
mod error;
mod fit;
mod isoflop;
mod lanes;
mod law;
mod laws;
mod lse;
mod minimize;
pub mod mixture;
mod power_line;
mod predict;
mod profile;
pub mod schedule;
mod validate;

pub use average::{Average, Member, Weighing, average};
pub use bootstrap::{Bootstrap, BootstrapOptions, bootstrap};
pub use budgets::{BUDGET_FACTOR, budgets, up_to};
pub use data::{Data, Point, Scale};
pub use diagnostics::{Diagnostics, diagnose, extrapolation_decades};
pub use downstream::{Link, LinkFit, fit_link};
pub use envelope::{Envelope, TrainingCurve, envelope};
pub use error::ScalingError;
pub use fit::{Fit, FitOptions, fit};
pub use isoflop::{Bottom, IsoFlop, IsoFlopOptions, isoflop};
pub use law::{Coordinate, Input, Law, LawSpec, MAX_THETA, Theta};
pub use laws::{
    Chinchilla, FLOOR_D, FLOOR_N, FRONTIER, FloorNd, FloorPower, KAPLAN_C, KAPLAN_D, KAPLAN_N,
    KaplanNd, LAWS, Overtraining, Power, Valley, by_name,
};
pub use power_line::PowerLine;
pub use predict::{Prediction, predict};
pub use profile::{ProfileInterval, profile_interval};
pub use validate::{HeldOut, held_out_error, leave_largest_out};

#[cfg(test)]
mod tests;
