//! Turns series into findings: detectors, forecasters, scores, scorecards. Pure functions.
