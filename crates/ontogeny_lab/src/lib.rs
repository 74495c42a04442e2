//! Conducts: studies, forks, paired controls, sweeps, design.
