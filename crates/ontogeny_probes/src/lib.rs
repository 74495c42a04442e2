//! Measures a network at a step.
