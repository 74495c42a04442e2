//! Levels as gates: every requirement with its number.

use super::{Computed, DesignBlock, InterveneBlock, PredictBlock};
use serde::Serialize;

/// One test of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Requirement {
    /// What is asked, e.g. `n >= 20`.
    pub name: String,
    /// What was found.
    pub found: String,
    /// Whether it holds.
    pub holds: bool,
}

/// A gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Level {
    /// 1 predict, 2 intervene, 3 design.
    pub level: u8,
    /// Its tests; those of the level below are the first of them.
    pub requirements: Vec<Requirement>,
    /// Whether all hold.
    pub passes: bool,
    /// Level 1 only: whether it holds in transport too (`1x`).
    pub transport: Option<bool>,
}

impl Level {
    /// Names of the tests that failed.
    pub fn failed(&self) -> Vec<&str> {
        self.requirements.iter().filter(|r| !r.holds).map(|r| r.name.as_str()).collect()
    }
}

fn ask(name: &str, found: String, holds: bool) -> Requirement {
    Requirement { name: name.into(), found, holds }
}

fn num(v: f64) -> String {
    format!("{v:.2}")
}

fn maybe(name: &str, v: &Computed<f64>, holds: impl Fn(f64) -> bool) -> Requirement {
    ask(name, v.text(|v| num(*v)), v.value().is_some_and(|v| holds(*v)))
}

fn nothing(name: &str) -> Vec<Requirement> {
    vec![ask(name, "no record".into(), false)]
}

fn level_1(p: &PredictBlock) -> Vec<Requirement> {
    let calibration = p
        .calibration
        .text(|c| format!("cov90 {:.2} (p {:.3}), CE {:.3}", c.cov90, c.cov90_p, c.ce));
    vec![
        ask("registration = 1", num(p.registration), p.registration == 1.0),
        ask("use-novelty = 1", num(p.use_novelty), p.use_novelty == 1.0),
        ask(
            "required baselines beside",
            if p.missing_baselines.is_empty() {
                "all".into()
            } else {
                format!("missing {}", p.missing_baselines.join(", "))
            },
            p.missing_baselines.is_empty(),
        ),
        ask("n >= 20", p.n.to_string(), p.n >= 20),
        ask("cells >= 5", p.n_cells.to_string(), p.n_cells >= 5),
        ask("seeds >= 3", p.n_seeds.to_string(), p.n_seeds >= 3),
        ask(
            "skill > 0",
            format!("{:+.2} [{:+.2}, {:+.2}]", p.skill.value, p.skill.lo, p.skill.hi),
            p.skill.lo > 0.0,
        ),
        ask("calibration", calibration, p.calibration.value().is_some_and(|c| c.passes)),
        maybe("lead50 >= 1 doubling", &p.lead50, |l| l >= 1.0),
        ask("usable lead >= 1 doubling", num(p.lead_use), p.lead_use >= 1.0),
        maybe("log10 E >= 1.30", &p.log10_e_min, |e| e >= 20.0_f64.log10()),
        ask(
            "verdict not fragile",
            p.fragile.text(|f| f.clone().map_or("stable".into(), |f| format!("changes with {f}"))),
            p.fragile.value().is_some_and(Option::is_none),
        ),
    ]
}

fn level_2(i: &InterveneBlock) -> Vec<Requirement> {
    let accuracy = i.sign.right as f64 / (i.sign.n as f64).max(1.0);
    let es = |c: &Computed<crate::scores::Skill>| {
        (
            c.text(|s| format!("{:+.2} [{:+.2}, {:+.2}]", s.value, s.lo, s.hi)),
            c.value().is_some_and(|s| s.lo > 0.0),
        )
    };
    let (null, observational) = (es(&i.effect_skill.no_effect), es(&i.effect_skill.observational));
    let inv = i.invariance.text(|v| format!("{:.2}, KS p {:.3}", v.value, v.ks_p));
    let doses = i.doses.iter().filter(|d| d.spearman >= 0.9 && d.inside_band).count();
    vec![
        ask("forks >= 12", i.n.to_string(), i.n >= 12),
        ask("kinds >= 3", i.n_kinds.to_string(), i.n_kinds >= 3),
        ask("opposite-direction pair", i.n_opposite_pairs.to_string(), i.n_opposite_pairs >= 1),
        ask("placebos >= 2", i.n_placebos.to_string(), i.n_placebos >= 2),
        ask("kind never seen in fitting", i.n_new_kinds.to_string(), i.n_new_kinds >= 1),
        ask(
            "sign accuracy >= .9 (bound >= .7)",
            format!("{}/{} (bound {:.2})", i.sign.right, i.sign.n, i.sign.lower),
            accuracy >= 0.9 && i.sign.lower >= 0.7,
        ),
        ask("effect skill > 0 vs no effect", null.0, null.1),
        ask("effect skill > 0 vs regression", observational.0, observational.1),
        ask(
            "slope interval meets [.75, 1.33]",
            i.slope.text(|(b, lo, hi)| format!("{b:.2} [{lo:.2}, {hi:.2}]")),
            i.slope.value().is_some_and(|(_, lo, hi)| *lo <= 1.33 && *hi >= 0.75),
        ),
        ask(
            "invariance >= .8, KS p > .01",
            inv,
            i.invariance.value().is_some_and(|v| v.value >= 0.8 && v.ks_p > 0.01),
        ),
        ask(
            "placebos silent",
            format!("{}/{}", i.placebos_silent, i.n_placebos),
            i.placebos_silent as f64 >= 0.95 * i.n_placebos as f64,
        ),
        maybe("off-target inside bounds >= .9", &i.off_target, |s| s >= 0.9),
        ask("dose-response", format!("{doses} of {} kinds", i.doses.len()), doses >= 1),
    ]
}

fn level_3(d: &DesignBlock) -> Vec<Requirement> {
    let rate = d.solved as f64 / d.n as f64;
    vec![
        ask("design problems >= 6", d.n.to_string(), d.n >= 6),
        ask("success rate >= .7", format!("{}/{}", d.solved, d.n), rate >= 0.7),
        ask(
            "above random search",
            format!("random {}/{}, p {:.3}", d.random_solved, d.n, d.random_p),
            d.solved > d.random_solved && d.random_p < 0.05,
        ),
        ask(
            "above default recipe",
            format!("default {}/{}, p {:.3}", d.default_solved, d.n, d.default_p),
            d.solved > d.default_solved && d.default_p < 0.05,
        ),
        ask("target outside fitted range", d.n_outside.to_string(), d.n_outside >= 1),
        ask("constraints kept", "none declared".into(), true),
    ]
}

/// The three gates; each asks for the one below.
pub(crate) fn levels(
    predict: Option<&PredictBlock>,
    intervene: Option<&InterveneBlock>,
    design: Option<&DesignBlock>,
) -> Vec<Level> {
    let own = [
        predict.map_or_else(|| nothing("scored forecasts"), level_1),
        intervene.map_or_else(|| nothing("scored fork effects"), level_2),
        design.map_or_else(|| nothing("design problems"), level_3),
    ];
    let transport = predict
        .map(|p| p.transport >= 0.3 && p.transport_skill.value().is_some_and(|s| s.lo > 0.0));
    let mut below = true;
    (1..)
        .zip(own)
        .map(|(level, mut requirements)| {
            if level > 1 {
                let name = format!("level {}", level - 1);
                let found = if below { "passed" } else { "failed" };
                requirements.insert(0, ask(&name, found.into(), below));
            }
            below = requirements.iter().all(|r| r.holds);
            let transport = transport.filter(|_| level == 1);
            Level { level, requirements, passes: below, transport }
        })
        .collect()
}

/// Highest gate passed and what the next one lacks.
pub(crate) fn label(levels: &[Level], intervene: Option<&InterveneBlock>) -> String {
    let passed = levels.iter().take_while(|l| l.passes).count();
    let mut text = format!("Level {passed}");
    if passed >= 1 && levels[0].transport == Some(true) {
        text.push('x');
    }
    let lawless = intervene
        .is_some_and(|i| i.invariance.value().is_some_and(|v| v.value < 0.8 || v.ks_p <= 0.01));
    if passed == 1 && lawless {
        text.push_str(", law-like only in the observed regime");
    }
    if let Some(next) = levels.get(passed) {
        let lacks = format!("; level {} lacks: {}", next.level, next.failed().join("; "));
        text.push_str(&lacks);
    }
    text
}
