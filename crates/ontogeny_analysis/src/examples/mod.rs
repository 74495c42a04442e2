//! Forecasts about the examples inside a run: which of them will have a property at its end.
//!
//! A row is what is known of one example at a time, the answer yes or no. Learners are fitted to the examples of finished
//! runs; the run is what is exchanged, so intervals come from a bootstrap over runs.

mod forest;
mod forgetting;
mod logistic;
mod profile;

pub use forest::ExampleForest;
pub use forgetting::{Forgetting, forgetting};
pub use logistic::Logistic;
pub use profile::{Cohort, Profile, effect_of_insertion, profile};
