//! Wall time, asked for instead of taken.

/// Gives the wall time. Below the faces nobody asks the machine: the command hands a clock down.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Seconds since the Unix epoch.
    fn unix_secs(&self) -> f64;
}

/// A clock that stands still, for tests and for reproducible output.
#[derive(Debug, Clone, Copy, Default)]
pub struct FixedClock(pub f64);

impl Clock for FixedClock {
    fn unix_secs(&self) -> f64 {
        self.0
    }
}
