//! The standard names and rules of the grokking and skill studies, in one place.

use ontogeny_core::{Direction, ThresholdRule};

/// `T_mem`: training accuracy at or above .99 for three probes.
pub fn memorized() -> ThresholdRule {
    rising("T_mem", "train.accuracy", 0.99)
}

/// `T_50`: accuracy on held-out pairs whose mirror is held out too, at or above one half.
pub fn half_generalized() -> ThresholdRule {
    rising("T_50", "test_mirror_out.accuracy", 0.5)
}

/// `T_grok`: accuracy on held-out pairs whose mirror is held out too, at or above .95.
pub fn grokked() -> ThresholdRule {
    rising("T_grok", "test_mirror_out.accuracy", 0.95)
}

/// `T_G`: Gini coefficient of the embedding's spectrum at or above a level frozen on calibration runs.
pub fn gini_risen(level: f64) -> ThresholdRule {
    rising("T_G", "embedding.gini", level)
}

/// `T_R`: restricted loss below half of `ln p` for modulus `p`.
pub fn restricted_fallen(modulus: u64) -> ThresholdRule {
    let level = 0.5 * (modulus.max(2) as f64).ln();
    ThresholdRule { direction: Direction::Falling, ..rising("T_R", "restricted.all.loss", level) }
}

/// `T_skill.<k>`: loss of skill `k` at or below half of `ln 2`.
pub fn skill_learned(k: &str) -> ThresholdRule {
    let level = 0.5 * std::f64::consts::LN_2;
    ThresholdRule {
        direction: Direction::Falling,
        ..rising(&format!("T_skill.{k}"), &format!("skill.{k}.loss"), level)
    }
}

fn rising(event: &str, series: &str, level: f64) -> ThresholdRule {
    ThresholdRule {
        event: event.into(),
        series: series.into(),
        direction: Direction::Rising,
        level,
        persistence: 3,
    }
}
