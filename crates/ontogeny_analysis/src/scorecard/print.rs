//! The printed form: four lines that fit a screen, then every component with its number or its reason.

use super::{Computed, InterveneBlock, Level, PredictBlock, Programme, Scorecard};
use std::fmt;

impl fmt::Display for Programme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Progressive => "PROGRESSIVE",
            Self::Stagnating => "STAGNATING",
            Self::Degenerating => "DEGENERATING",
            Self::Open => "OPEN",
        })
    }
}

fn verdict(level: &Level) -> String {
    if level.passes {
        return format!("PASS L{}", level.level);
    }
    format!("FAIL L{}: {}", level.level, level.failed().join(", "))
}

fn predict_line(c: &Scorecard) -> String {
    let Some(p) = c.predict.value() else {
        return c.predict.text(|_| String::new());
    };
    let calibration = p.calibration.text(|c| format!("cov90 {:.2}  CE {:.2}", c.cov90, c.ce));
    let lead = p.lead50.text(|l| format!("{l:.1} dbl"));
    let e = p.log10_e_min.text(|e| format!("10^{e:.1}"));
    let bold = c.severity.value().map_or_else(
        || "bold 0 bits".into(),
        |s| format!("bold {:.0} bits, refuted {:.0}", s.corroboration, s.refutation),
    );
    let transport = p.transport_skill.value().map_or_else(String::new, |s| {
        let word = if c.levels[0].transport == Some(true) { "PASS" } else { "FAIL" };
        format!(" (transport: {word}, SS {:+.2} [{:+.2}, {:+.2}])", s.value, s.lo, s.hi)
    });
    format!(
        "n={}/{} cells  skill {:+.2} [{:+.2}, {:+.2}] vs {}  {calibration}  lead50 {lead}  E {e}  \
         {bold}  {}{transport}",
        p.n,
        p.n_cells,
        p.skill.value,
        p.skill.lo,
        p.skill.hi,
        p.best_baseline,
        verdict(&c.levels[0])
    )
}

fn intervene_line(c: &Scorecard) -> String {
    let Some(i) = c.intervene.value() else {
        return c.intervene.text(|_| String::new());
    };
    let es = |s: &Computed<crate::scores::Skill>| s.text(|s| format!("{:+.2}", s.value));
    format!(
        "n={} forks/{} kinds  sign {}/{}  ES {}/{}  slope {}  Inv {}  placebo {}/{}  {}",
        i.n,
        i.n_kinds,
        i.sign.right,
        i.sign.n,
        es(&i.effect_skill.no_effect),
        es(&i.effect_skill.observational),
        i.slope.text(|(b, lo, hi)| format!("{b:.2} [{lo:.2}, {hi:.2}]")),
        i.invariance.text(|v| format!("{:.2}", v.value)),
        i.placebos_silent,
        i.n_placebos,
        verdict(&c.levels[1])
    )
}

fn design_line(c: &Scorecard) -> String {
    c.design.text(|d| {
        format!(
            "n={}  success {}/{} (random {}/{}, default {}/{})  reliability {:.2}  {}",
            d.n,
            d.solved,
            d.n,
            d.random_solved,
            d.n,
            d.default_solved,
            d.n,
            d.reliability,
            verdict(&c.levels[2])
        )
    })
}

fn scope_line(c: &Scorecard) -> String {
    let (scope, boundary, stable) = c.predict.value().map_or_else(
        || ("scope not computed: no record".into(), "none".into(), "not computed".into()),
        |p| {
            let beyond: Vec<String> = p
                .axes
                .iter()
                .filter(|a| a.skill.hi < 0.0)
                .map(|a| format!("{}={}", a.axis, a.level))
                .collect();
            (
                format!(
                    "scope {}",
                    p.scope.text(|s| format!("{:.0} % of held-out levels", 100.0 * s))
                ),
                if beyond.is_empty() { "none".to_owned() } else { beyond.join(", ") },
                p.fragile
                    .text(|f| f.clone().map_or("yes".into(), |f| format!("no (changes with {f})"))),
            )
        },
    );
    format!(
        "{scope}; boundary: {boundary}     programme: {} (PI {})   verdict stable to thresholds: {stable}",
        c.programme.programme,
        c.programme.progress_index.text(|p| format!("{p:.1}"))
    )
}

fn components(c: &Scorecard) -> Vec<(&'static str, String)> {
    const NO_RECORD: &str = "not computed: no scored forecast of an event or a value";
    let p = |f: &dyn Fn(&PredictBlock) -> String| {
        c.predict.value().map_or_else(|| c.predict.text(|_| String::new()), f)
    };
    let i = |f: &dyn Fn(&InterveneBlock) -> String| {
        c.intervene.value().map_or_else(|| c.intervene.text(|_| String::new()), f)
    };
    let list = |m: &std::collections::BTreeMap<String, f64>, digits: usize| {
        m.iter().map(|(k, v)| format!("{k} {v:.digits$}")).collect::<Vec<_>>().join(", ")
    };
    vec![
        ("registration", p(&|p| format!("{:.2} ({} post hoc)", p.registration, c.refused.len()))),
        ("use-novelty", p(&|p| format!("{:.2}, transport {:.2}", p.use_novelty, p.transport))),
        (
            "skill",
            p(&|p| {
                let by: Vec<String> = p
                    .cutoffs
                    .iter()
                    .map(|c| {
                        format!(
                            "{} {:+.2} [{:+.2}, {:+.2}] Holm p {:.3}",
                            c.name, c.skill.value, c.skill.lo, c.skill.hi, c.holm_p
                        )
                    })
                    .collect();
                format!(
                    "mean score {:.4}; baselines {}; by cutoff: {}; silent on {}",
                    p.mean_score,
                    list(&p.baseline_scores, 4),
                    by.join(", "),
                    p.n_silent
                )
            }),
        ),
        (
            "lead",
            p(&|p| {
                let lead = p.lead50.text(|l| format!("{l:.2}"));
                format!(
                    "lead50 {lead} dbl, usable {:.2} dbl; compute-lead not computed: no FLOP counts given",
                    p.lead_use
                )
            }),
        ),
        (
            "calibration",
            p(&|p| {
                let main = p.calibration.text(|c| {
                    format!(
                        "cov50 {:.2}, cov80 {:.2}, cov90 {:.2} (p {:.3}), CE {:.3}",
                        c.cov50, c.cov80, c.cov90, c.cov90_p, c.ce
                    )
                });
                let sharp = p.sharpness.text(|s| format!("{s:.2}"));
                let worst = p.worst_cell_cov90.text(|s| format!("{s:.2}"));
                format!("{main}; Winkler over climatology {sharp}; worst cell cov90 {worst}")
            }),
        ),
        (
            "boldness, severity",
            c.severity.text(|s| {
                format!(
                    "{}/{} passed, C+ {:.1} bits, C- {:.1} bits, net {:+.1}",
                    s.n_passed,
                    s.n,
                    s.corroboration,
                    s.refutation,
                    s.corroboration - s.refutation
                )
            }),
        ),
        ("novelty", c.severity.text(|s| format!("{:.2}", s.novelty))),
        ("evidence", p(&|p| format!("log10 E against {}", list(&p.log10_e, 2)))),
        (
            "scope",
            p(&|p| {
                let by: Vec<String> = p
                    .axes
                    .iter()
                    .map(|a| {
                        let new = if a.held_out { " (held out)" } else { "" };
                        format!("{}={}{new} {:+.2}", a.axis, a.level, a.skill.value)
                    })
                    .collect();
                if by.is_empty() {
                    "not computed: no axis level with 3 records".into()
                } else {
                    by.join(", ")
                }
            }),
        ),
        (
            "intervention skill",
            i(&|i| {
                format!(
                    "sign {}/{} (ties {}), {} new kinds, {} opposite pairs",
                    i.sign.right, i.sign.n, i.sign.ties, i.n_new_kinds, i.n_opposite_pairs
                )
            }),
        ),
        (
            "invariance",
            i(&|i| {
                let inv = i.invariance.text(|v| {
                    format!(
                        "{:.2} (raw {:.2}), KS p {:.3}, cov90 change {:+.2}",
                        v.value, v.raw, v.ks_p, v.cov90_change
                    )
                });
                format!("{inv}; refit drift {}", i.refit_drift.text(|d| format!("{d:.2} SE")))
            }),
        ),
        (
            "specificity",
            i(&|i| {
                let off = i.off_target.text(|o| format!("{o:.2} inside bounds"));
                format!("off-target {off}; placebos {}/{}", i.placebos_silent, i.n_placebos)
            }),
        ),
        (
            "dose-response",
            i(&|i| {
                let by: Vec<String> = i
                    .doses
                    .iter()
                    .map(|d| {
                        let band = if d.inside_band { "inside band" } else { "outside band" };
                        format!("{}: {} doses, rho {:.2}, {band}", d.kind, d.n_doses, d.spearman)
                    })
                    .collect();
                if by.is_empty() {
                    "not computed: no kind with 4 doses".into()
                } else {
                    by.join("; ")
                }
            }),
        ),
        (
            "parsimony",
            format!(
                "{}; unification not computed: one property on this card",
                c.programme.parsimony.text(|p| {
                    format!(
                        "k {:.1}, {:.1} bits saved, efficiency {:.2}",
                        p.k, p.bits_saved, p.efficiency
                    )
                })
            ),
        ),
        (
            "progress",
            format!(
                "{}, PI {}, C+ {:.1} bits over all versions, {} failures, {} patches",
                c.programme.programme,
                c.programme.progress_index.text(|p| format!("{p:.2}")),
                c.programme.corroboration,
                c.programme.n_failures,
                c.programme.n_patches
            ),
        ),
        (
            "robustness",
            c.predict.value().map_or(NO_RECORD.into(), |p| {
                p.fragile.text(|f| {
                    f.clone().map_or("stable".into(), |f| format!("fragile: changes with {f}"))
                })
            }),
        ),
    ]
}

impl fmt::Display for Scorecard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patches = self.programme.n_patches;
        writeln!(
            f,
            "THEORY {} v{} (k={}, patches {patches})   PROPERTY {}",
            self.theory, self.version, self.programme.n_params, self.property
        )?;
        writeln!(f, " predict   {}", predict_line(self))?;
        writeln!(f, " intervene {}", intervene_line(self))?;
        writeln!(f, " design    {}", design_line(self))?;
        writeln!(f, " {}", scope_line(self))?;
        writeln!(f, " {}", self.label)?;
        let own_fit = self.own_fit.text(|r| format!("{r:.3}"));
        writeln!(f, "  0 fit on own data (no credit): {own_fit}")?;
        for (n, (name, text)) in (1..).zip(components(self)) {
            writeln!(f, " {n:>2} {name}: {text}")?;
        }
        for level in &self.levels {
            let word = if level.passes { "passed" } else { "failed" };
            writeln!(f, " gate L{} {word}", level.level)?;
            for r in &level.requirements {
                writeln!(f, "    [{}] {}: {}", if r.holds { 'x' } else { ' ' }, r.name, r.found)?;
            }
        }
        if self.n_pending > 0 {
            writeln!(f, " pending: {} forecasts without an outcome", self.n_pending)?;
        }
        for r in &self.refused {
            writeln!(f, " post hoc, not scored: {}: {}", r.forecast, r.reason)?;
        }
        Ok(())
    }
}
