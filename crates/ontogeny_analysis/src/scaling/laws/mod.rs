//! The laws of the loss, one file each. To add one: a file here, its `mod` line and its row in [`LAWS`].

mod chinchilla;
mod floor_nd;
mod floor_power;
mod kaplan_nd;
mod overtraining;
mod power;
mod valley;

use super::law::Law;

pub use chinchilla::Chinchilla;
pub use floor_nd::FloorNd;
pub use floor_power::{FLOOR_D, FLOOR_N, FRONTIER, FloorPower};
pub use kaplan_nd::KaplanNd;
pub use overtraining::Overtraining;
pub use power::{KAPLAN_C, KAPLAN_D, KAPLAN_N, Power};
pub use valley::Valley;

/// Every law of the loss.
pub static LAWS: &[&dyn Law] = &[
    &KAPLAN_N,
    &KAPLAN_D,
    &KAPLAN_C,
    &KaplanNd,
    &FLOOR_N,
    &FLOOR_D,
    &FRONTIER,
    &Chinchilla,
    &Overtraining,
    &FloorNd,
    &Valley,
];

/// The law of that name.
pub fn by_name(name: &str) -> Option<&'static dyn Law> {
    LAWS.iter().copied().find(|law| law.spec().name == name)
}

#[cfg(test)]
mod tests;
