//! Trains networks deterministically, one optimizer update at a time, from any state.
