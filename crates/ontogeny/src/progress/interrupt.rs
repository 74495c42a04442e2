//! Ctrl-C: the first asks to stop, the second ends the process.

use crate::exit::Exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const NOTICE: &str = "stopping at the next reading; press Ctrl-C again to leave at once";

/// Whether somebody asked to stop. Clones share the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens to Ctrl-C (and to a request to terminate) from now on; `say` tells the person that it was heard.
    pub(crate) fn listen(say: impl Fn(&str) + Send + 'static) -> Result<Self, ctrlc::Error> {
        let interrupt = Self::default();
        let shared = interrupt.clone();
        ctrlc::set_handler(move || {
            if shared.press() {
                leave();
            }
            say(NOTICE);
        })?;
        Ok(interrupt)
    }

    /// Whether to stop at the next reading.
    pub(crate) fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Notes a request and says whether there was one before.
    fn press(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
    }
}

#[expect(clippy::exit, reason = "the second Ctrl-C: what was acknowledged is on disk")]
fn leave() -> ! {
    std::process::exit(Exit::Interrupted as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_press_asks_to_stop_and_every_clone_knows() {
        let interrupt = Interrupt::default();
        let clone = interrupt.clone();
        assert!(!clone.is_requested());
        assert!(!interrupt.press());
        assert!(clone.is_requested() && clone.press());
    }
}
