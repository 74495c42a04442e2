//! Tests and intervals that the scores and scorecards stand on.

mod binomial;
mod bootstrap;
mod mean;
mod multiple;
mod rank;
mod regression;

pub use binomial::{binomial_test, clopper_pearson, sign_test};
pub use bootstrap::{bootstrap_interval, cluster_bootstrap, clusters_of};
pub use mean::mean_and_error;
pub use multiple::holm;
pub use rank::{KsTest, ks_one_sample, ks_two_sample, ranks, spearman};
pub use regression::{SlopeFit, deming, ols, theil_sen};
