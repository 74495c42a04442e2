//! Scaling laws: what loss and capabilities will be at sizes, data and compute not yet tried.
//!
//! A [`Law`] is one file and one row of [`LAWS`]. [`fit`](fit()) fits it from many starts, [`bootstrap`](bootstrap())
//! refits it on resamples.

mod bootstrap;
mod data;
mod error;
mod fit;
mod lanes;
mod law;
mod laws;
mod lse;
mod minimize;

pub use bootstrap::{Bootstrap, BootstrapOptions, bootstrap};
pub use data::{Data, Point, Scale};
pub use error::ScalingError;
pub use fit::{Fit, FitOptions, fit};
pub use law::{Coordinate, Input, Law, LawSpec, MAX_THETA, Theta};
pub use laws::{
    Chinchilla, FLOOR_D, FLOOR_N, FRONTIER, FloorNd, FloorPower, KAPLAN_C, KAPLAN_D, KAPLAN_N,
    KaplanNd, LAWS, Overtraining, Power, Valley, by_name,
};
