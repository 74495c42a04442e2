//! Importing into the store: names for runs, what is there already, and the sink that writes.

mod known;
mod naming;
mod progress;
mod sink;

pub(crate) use known::Known;
pub(crate) use progress::Ticker;
pub(crate) use sink::StoreSink;
