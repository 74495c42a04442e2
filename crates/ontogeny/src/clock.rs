//! Wall time, taken from the machine.

use ontogeny_core::Clock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn unix_secs(&self) -> f64 {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the clock that the others are handed"
        )]
        let now = SystemTime::now();
        // A machine set to before 1970 gets a time of 0; nothing is computed from it.
        now.duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
    }
}
