//! Condenses the evidence into findings.

use super::super::StudyContext;
use super::forks::{Cell, TREATMENTS};
use super::sizes::{ORIGINS, WINDOWS};
use super::tables::{Answers, answers, find, table};
use super::{ASKED, Evidence, FREE, MAIN, PROXY, origin, outcome};
use crate::draw::{line, median, panel, tree};
use crate::paired::effect_row;
use crate::scoreboard;
use crate::studies::{check_row, checks_table, manifest_block, probe_share, scorecard_blocks};
use crate::values::mean_interval;
use crate::voices::Standing;
use crate::{LabError, RunRecord};
use ontogeny_analysis::distribution::{Cdf, Support};
use ontogeny_analysis::effects::{Effect, Reach};
use ontogeny_analysis::stats::spearman;
use ontogeny_core::{
    Band, Block, EffectRow, Fan, Figure, FigureBody, Findings, Line, Marker, Panel, Predictive,
    Section, Table,
};

/// The origin of the protocol's question.
const ASKED_AT: f64 = ORIGINS[1];

/// Writes the findings from the evidence and the ledger as it now stands.
pub(super) fn write(ctx: &StudyContext<'_>, e: &Evidence<'_>) -> Result<Findings, LabError> {
    let all = answers(ctx, e)?;
    let parents = e.forks.forked.iter().map(|f| f.parent.id()).collect::<Vec<_>>();
    let mut shown: Vec<&RunRecord> = e.test.iter().filter(|r| parents.contains(&r.id())).collect();
    shown.extend(e.forks.forked.iter().map(|f| &f.record));
    let mut runs = vec![Block::Tree(tree(&shown))];
    runs.extend(e.test.first().map(manifest_block));
    let sections = vec![
        Section { heading: "Observe".into(), blocks: observe(e) },
        Section { heading: "Predict".into(), blocks: predict(e, &all) },
        Section { heading: "Intervene".into(), blocks: intervene(e) },
        Section { heading: "Scorecard".into(), blocks: scorecard_blocks(ctx)? },
        Section { heading: "Acceptance".into(), blocks: vec![checks_table(&checks(e, &all))] },
        Section { heading: "Forked runs".into(), blocks: runs },
    ];
    let n_sealed = all.iter().flat_map(|a| a.voices.iter());
    let n_sealed: usize = n_sealed.filter(|v| v.2 == Standing::Sealed).map(|v| v.1.len()).sum();
    Ok(Findings {
        study: "bias".into(),
        title: "Leaning on a shortcut".into(),
        question: "From the first 5 to 20 % of a run, can it be forecast how strongly the final network leans on a \
                   shortcut that stands for a protected attribute, and which intervention, how early, takes that away?"
            .into(),
        headline: headline(e, &all),
        command: ctx.command("bias"),
        facts: vec![
            ("configurations fitted".into(), e.fit.len().to_string()),
            ("configurations forecast".into(), e.test.len().to_string()),
            ("run again with other seeds".into(), e.again.len().to_string()),
            ("forks".into(), e.forks.forked.len().to_string()),
            ("forecasts and baselines sealed".into(), n_sealed.to_string()),
            ("control readings verified".into(), e.forks.n_verified.to_string()),
            ("diverged".into(), e.test.iter().chain(e.fit).filter(|r| r.diverged()).count().to_string()),
            ("probes, share of training time".into(), format!("{:.0} %", 100.0 * probe_share(e.test))),
        ],
        sections,
    })
}

/// What the claim grammar allows about a property at an origin.
fn sentence(e: &Evidence<'_>, all: &[Answers], short: &str, share: f64) -> Option<String> {
    let a = find(all, short, share)?;
    let s = a.voices.score(MAIN)?;
    let (best, (d, lo, hi)) = a.voices.gain_over(MAIN, &FREE)?;
    let at = origin(share);
    let property = a.asked.property;
    if a.voices.standing(MAIN) == Some(Standing::Withheld) {
        return Some(format!(
            "{property}: not predictable from {at} of a run. The {} fit runs showed no gain over the best baseline, so \
             nothing was sealed; what would have been said has R² {:.2} on {} test configurations (best baseline: \
             {best}, difference {d:+.2} [{lo:+.2}, {hi:+.2}]).",
            e.fit.len(),
            s.r2,
            s.n
        ));
    }
    let verb = if lo > 0.0 {
        "early signals predict it"
    } else if hi < 0.0 {
        "early signals are worse than the best baseline"
    } else {
        "early signals are not distinguishable from the best baseline"
    };
    let dearer = match (a.voices.score(PROXY), a.voices.gain_over(MAIN, &[PROXY])) {
        (Some(p), Some((_, (d, lo, hi)))) => format!(
            " A run of a quarter of the width with the same compute has {:.2} (difference {d:+.2} [{lo:+.2}, {hi:+.2}]).",
            p.r2
        ),
        _ => String::new(),
    };
    Some(format!(
        "{property} from {at} of a run: {verb}. R² {:.2} on {} configurations that nothing was fitted on, {d:+.2} \
         [{lo:+.2}, {hi:+.2}] over {best}; 90 % intervals cover {:.2}.{dearer}",
        s.r2, s.n, s.cov90
    ))
}

fn headline(e: &Evidence<'_>, all: &[Answers]) -> Vec<String> {
    let mut says: Vec<String> =
        ASKED.iter().filter_map(|a| sentence(e, all, a.short, ASKED_AT)).collect();
    let f = e.forks;
    let strongest = f.early_less_late.iter().filter_map(|(name, effect)| {
        let (lo, hi) = effect.interval?;
        (lo > 0.0 || hi < 0.0).then_some((name, effect.mean?, lo, hi))
    });
    match strongest.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())) {
        Some((name, m, lo, hi)) => says.push(format!(
            "When a treatment comes changes what it does: {name} in the first quarter changes bias-conflicting accuracy \
             by {m:+.3} [{lo:+.3}, {hi:+.3}] more than the same window after the end ({} forked runs).",
            f.n_parents
        )),
        None if f.n_parents > 1 => says.push(format!(
            "No effect of the time of a treatment was found over {} forked runs: every interval of early less late \
             holds 0.",
            f.n_parents
        )),
        None => says.push("Too few runs lean on the shortcut to compare early with late treatments.".into()),
    }
    let mean_of = |c: &Cell| c.effect.mean.unwrap_or(f64::NEG_INFINITY);
    let best = f.cells.iter().filter(|c| c.effect.reach == Reach::Up);
    if let Some(c) = best.max_by(|a, b| mean_of(a).total_cmp(&mean_of(b))) {
        let (lo, hi) = c.effect.interval.unwrap_or((f64::NAN, f64::NAN));
        says.push(format!(
            "Largest effect of one window of 5 %: {} from {} causes {:+.3} [{lo:+.3}, {hi:+.3}] bias-conflicting \
             accuracy; after as much biased training again as a quarter of the run {:+.3} is left.",
            c.treatment,
            origin(c.share),
            c.effect.mean.unwrap_or(f64::NAN),
            c.after.mean.unwrap_or(f64::NAN)
        ));
    }
    says
}

/// The test runs told apart by how they ended.
fn thirds<'a>(e: &Evidence<'a>) -> Vec<(&'static str, Vec<&'a RunRecord>)> {
    let asked = &ASKED[0];
    let mut ended: Vec<(f64, &RunRecord)> = (e.test.iter())
        .filter_map(|r| Some((outcome(r, asked.audit, e.sizes.horizon)?, r)))
        .collect();
    ended.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n = ended.len();
    let part = |k: usize| ended[k * n / 3..(k + 1) * n / 3].iter().map(|(_, r)| *r).collect();
    vec![
        ("ends with least reliance", part(0)),
        ("in the middle", part(1)),
        ("ends with most reliance", part(2)),
    ]
}

fn observe(e: &Evidence<'_>) -> Vec<Block> {
    let thirds = thirds(e);
    let markers: Vec<Marker> =
        (ORIGINS.iter()).map(|s| Marker { x: e.sizes.at(*s) as f64, name: origin(*s) }).collect();
    let drawn = |series: &str, label: &str, range| {
        let lines = thirds.iter().flat_map(|(name, runs)| {
            // Every third run is enough to see the bundle.
            let stride = runs.len().div_ceil(12).max(1);
            runs.iter().step_by(stride).map(|r| line(r, series, name))
        });
        let mut p = panel(label, false, lines.collect(), markers.clone());
        p.y_range = range;
        p
    };
    let panels = vec![
        drawn("probe.flip.shortcut", "answers that flip with the shortcut", Some((0.0, 1.0))),
        drawn("probe.conflict.accuracy", "accuracy, shortcut wrong", Some((0.0, 1.0))),
        drawn("probe.bias_amplification", "bias amplification", None),
    ];
    let band = |v: Option<f64>| v.map_or("–".to_owned(), |b| format!("{b:.3}"));
    let constant = e.test.iter().filter(|r| {
        r.value("audit.is_constant", ontogeny_core::Step(e.sizes.horizon)) == Some(1.0)
    });
    vec![
        Block::Text(format!(
            "{} configurations were drawn before any run; which are fitted and which are forecast was drawn with them. \
             Forecasters read the probe split ({} examples), outcomes come from the audit split ({}). An accuracy over \
             all of the audit split has a binomial error of at most {:.3}. Between seeds of one configuration the \
             spread of the final flip is {} and of bias-conflicting accuracy {} (standard deviation, {} pairs). {} test \
             runs ended with a constant classifier, which has no bias amplification.",
            e.fit.len() + e.test.len(),
            e.sizes.n_probe,
            e.sizes.n_audit,
            0.5 / (e.sizes.n_audit as f64).sqrt(),
            band(e.forks.flip_band),
            band(e.forks.band),
            e.again.len(),
            constant.count()
        )),
        Block::Figure(Figure {
            name: "trajectories".into(),
            caption: "Test runs by how they ended. The shortcut is learned first; some runs let go of it when the core \
                      is learned, others never do. Vertical lines: the origins of the forecasts."
                .into(),
            body: FigureBody::Panels { x_label: "step".into(), x_log: true, panels },
        }),
    ]
}

/// A forecast of a value as a fan.
fn fan(run: &RunRecord, said: &Predictive, found: Option<f64>, group: &str) -> Option<Fan> {
    let cdf = Cdf::new(said, Support::Line)?;
    let at = [0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95];
    Some(Fan {
        label: run.manifest.cell.clone(),
        group: group.to_owned(),
        cutoff: 0.0,
        quantiles: at.iter().map(|q| cdf.quantile(*q)).collect::<Option<_>>()?,
        never_prob: 0.0,
        outcome: found,
        horizon: 1.0,
    })
}

fn predict(e: &Evidence<'_>, all: &[Answers]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for asked in &ASKED {
        blocks.push(Block::Table(table(all, asked)));
        if asked.short == "BA" {
            continue;
        }
        let groups = all.iter().filter(|a| a.asked.short == asked.short).filter_map(|a| {
            let points = a.voices.points(MAIN)?;
            Some(Line { name: format!("from {}", origin(a.share)), points, ..Line::default() })
        });
        blocks.push(Block::Figure(Figure {
            name: format!("forecast-{}", asked.short),
            caption: format!(
                "Final {}: what {MAIN} forecast (median) against what came out, one point a test run.",
                asked.property
            ),
            body: FigureBody::Scatter {
                x_label: "forecast".into(),
                y_label: "outcome".into(),
                log: false,
                diagonal: true,
                groups: groups.collect(),
            },
        }));
    }
    if let Some(a) = find(all, ASKED[0].short, ASKED_AT)
        && let Some(said) = a.voices.said(MAIN)
    {
        let one =
            |r: &RunRecord| fan(r, said.get(r.id())?, a.voices.found.get(r.id()).copied(), MAIN);
        blocks.insert(
            1,
            Block::Figure(Figure {
                name: "intervals".into(),
                caption: format!(
                    "Forecasts of the final flip from {} of a run on the first test runs, with their central 50 and 90 \
                     % and what came out.",
                    origin(ASKED_AT)
                ),
                body: FigureBody::Fans {
                    x_label: "answers that flip with the shortcut".into(),
                    x_log: false,
                    fans: e.test.iter().filter_map(one).take(16).collect(),
                },
            }),
        );
    }
    blocks.push(Block::Table(scoreboard::verdicts(e.questions)));
    blocks
}

fn intervene(e: &Evidence<'_>) -> Vec<Block> {
    let f = e.forks;
    if f.n_parents == 0 {
        return vec![Block::Text("No test run leaned on the shortcut: nothing was forked.".into())];
    }
    let window = e.sizes.window();
    let per = |of: &dyn Fn(&Cell) -> Option<f64>, treatment: &str| -> Vec<(f64, f64)> {
        let mine = f.cells.iter().filter(|c| c.treatment == treatment);
        mine.filter_map(|c| Some((100.0 * c.share, of(c)?))).collect()
    };
    let curves = |label: &str, of: &dyn Fn(&Cell) -> &Effect| -> Panel {
        let lines = TREATMENTS.map(|t| Line {
            name: t.to_owned(),
            points: per(&|c| of(c).mean, t),
            ..Line::default()
        });
        let bands = TREATMENTS.map(|t| Band {
            name: t.to_owned(),
            points: (f.cells.iter().filter(|c| c.treatment == t))
                .filter_map(|c| of(c).interval.map(|(lo, hi)| (100.0 * c.share, lo, hi)))
                .collect(),
        });
        let mut p = panel(label, false, lines.to_vec(), Vec::new());
        // Five bands over one another hide what they are to show.
        if f.n_parents > 4 {
            p.bands = bands.into_iter().take(1).collect();
        }
        p
    };
    let panels = vec![
        curves("effect on acc_co", &|c| &c.effect),
        curves("left after biased training", &|c| &c.after),
        curves("effect on flip", &|c| &c.flip),
    ];
    let rows: Vec<EffectRow> = (f.cells.iter())
        .filter(|c| [0.05, 1.0].contains(&c.share))
        .map(|c| effect_row(&format!("{} from {}", c.treatment, origin(c.share)), &c.effect, None))
        .map(named)
        .collect();
    let readout = {
        let (x, y): (Vec<f64>, Vec<f64>) = f.readout.iter().copied().unzip();
        spearman(&x, &y).map_or("–".to_owned(), |r| format!("{r:+.2}"))
    };
    vec![
        Block::Text(format!(
            "The first {} test runs that ended with at least a tenth of their answers flipping were forked. A treatment \
             acts in one window of {window} updates; every arm and its control are judged after {} updates, and again \
             {} biased updates later. The control is the run going on without treatment. Before any effect is reported \
             a fork without a change was shown to be its parent, bit for bit, at {} readings. Effects are paired over \
             parents, with 95 % intervals; a median inside the seed band is a draw.",
            f.n_parents,
            e.sizes.judged(),
            e.sizes.relapsed() - e.sizes.judged(),
            f.n_verified
        )),
        Block::Figure(Figure {
            name: "effect-by-time".into(),
            caption: "Mean paired effect of one window of treatment by where in the run it begins (100: after the end). \
                      Above: when judged; middle: what is left of it after more biased training; below: on flips. The \
                      band is the 95 % interval of the first treatment."
                .into(),
            body: FigureBody::Panels {
                x_label: "beginning of the window, % of the run".into(),
                x_log: false,
                panels,
            },
        }),
        Block::Figure(Figure {
            name: "effects".into(),
            caption: "Effects on bias-conflicting accuracy of early (5 %) and post hoc (100 %) windows, each dot a \
                      parent; the shaded band is the spread over seeds."
                .into(),
            body: FigureBody::Effects {
                x_label: "acc_co (fork) - acc_co (control)".into(),
                seed_band: f.band,
                rows,
            },
        }),
        Block::Table(effects(e)),
        Block::Table(contrasts(e)),
        Block::Text(format!(
            "Whether the last layer can repair a run should depend on what the layer before it holds: the accuracy of a \
             linear readout on conflicting examples at the fork and the gain at the end of the window have a rank \
             correlation of {readout} over {} windows.",
            f.readout.len()
        )),
    ]
}

/// Effects here are accuracies, not times.
fn named(mut row: EffectRow) -> EffectRow {
    row.note = row.note.replace("later", "up").replace("sooner", "down");
    row
}

fn with_interval(effect: &Effect) -> String {
    match (effect.mean, effect.interval) {
        (Some(m), Some((lo, hi))) => format!("{m:+.3} [{lo:+.3}, {hi:+.3}]"),
        (Some(m), None) => format!("{m:+.3}"),
        _ => "–".to_owned(),
    }
}

fn reach(effect: &Effect) -> &'static str {
    match effect.reach {
        Reach::Exact => "exactly 0",
        Reach::Draw => "a draw",
        Reach::Up => "up",
        Reach::Down => "down",
        Reach::Unclear => "unclear",
    }
}

fn effects(e: &Evidence<'_>) -> Table {
    let row = |c: &Cell| {
        let kept = match (c.after.mean, c.effect.mean) {
            (Some(a), Some(b)) if c.effect.reach == Reach::Up => format!("{:.2}", a / b),
            _ => "–".to_owned(),
        };
        vec![
            c.treatment.to_owned(),
            origin(c.share),
            c.effect.differences.len().to_string(),
            with_interval(&c.effect),
            reach(&c.effect).to_owned(),
            with_interval(&c.flip),
            with_interval(&c.all),
            with_interval(&c.relapse),
            kept,
        ]
    };
    let columns = [
        "treatment",
        "window from",
        "n",
        "acc_co",
        "against the seed band",
        "flip",
        "accuracy over all",
        "lost after relapse",
        "share kept",
    ];
    let always = e.forks.always.as_ref().map_or(String::new(), |a| {
        format!(" Balanced from the first update to the last: acc_co {}.", with_interval(a))
    });
    Table {
        caption: format!(
            "Effects of one window of treatment against the control, mean over parents with 95 % interval.{always}"
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows: e.forks.cells.iter().map(row).collect(),
    }
}

fn contrasts(e: &Evidence<'_>) -> Table {
    let row = |(name, effect): &(&'static str, Effect)| {
        let says = match effect.interval {
            Some((lo, _)) if lo > 0.0 => "early is better",
            Some((_, hi)) if hi < 0.0 => "late is better",
            Some(_) => "no effect of time found",
            None => "too few runs",
        };
        vec![
            (*name).to_owned(),
            effect.differences.len().to_string(),
            with_interval(effect),
            says.to_owned(),
        ]
    };
    Table {
        caption: "Treatment by time: effect on acc_co of windows in the first quarter (mean) less that of the window \
                  after the end, paired over parents."
            .into(),
        columns: ["treatment", "n", "early less post hoc", "verdict"].map(str::to_owned).to_vec(),
        rows: e.forks.early_less_late.iter().map(row).collect(),
    }
}

fn checks(e: &Evidence<'_>, all: &[Answers]) -> Vec<[String; 3]> {
    let flip = find(all, "flip", ASKED_AT);
    let sealed = flip.filter(|a| a.voices.standing(MAIN) == Some(Standing::Sealed));
    let score = sealed.and_then(|a| a.voices.score(MAIN));
    let gain = sealed.and_then(|a| a.gain(MAIN));
    let ceiling = flip.and_then(|a| a.ceiling).map(|c| c.0);
    // The constant classifier of the first readings has a negative number for a trivial reason, and gets none.
    let lowest = e.fit.iter().chain(e.test).filter_map(|r| {
        let s = r.series.get("probe.bias_amplification")?;
        s.points.iter().map(|p| p.value).filter(|v| v.is_finite()).max_by(f64::total_cmp)
    });
    let overshoot = median(lowest);
    let early = |name: &str, shares: &[f64]| -> Option<f64> {
        let mine = e.forks.cells.iter().filter(|c| c.treatment == name);
        let means: Option<Vec<f64>> =
            mine.filter(|c| shares.contains(&c.share)).map(|c| c.effect.mean).collect();
        let always = e.forks.always.as_ref()?.mean?;
        let short = means?.into_iter().map(|m| (m - always).abs()).collect::<Vec<_>>();
        mean_interval(&short).map(|m| m.0).or(short.first().copied())
    };
    let interactions = e
        .forks
        .early_less_late
        .iter()
        .filter(|(_, effect)| effect.interval.is_some_and(|(lo, hi)| lo > 0.0 || hi < 0.0));
    let relapse = {
        let of = |late: bool| {
            let cells = e.forks.cells.iter().filter(|c| (c.share >= 1.0) == late);
            median(cells.filter_map(|c| c.relapse.mean))
        };
        of(true) - of(false)
    };
    vec![
        check_row("test configurations, at least 100", score.map(|s| s.n as f64), |n| n >= 100.0),
        check_row("R² of the forecast of flip at 10 %, at least .5", score.map(|s| s.r2), |v| {
            v >= 0.5
        }),
        check_row(
            "R² less that of the best of B1, B2, B3, B5: lower end of its interval above 0",
            gain.map(|g| g.1.1),
            |v| v > 0.0,
        ),
        check_row("coverage of 90 % intervals in [.85, .95]", score.map(|s| s.cov90), |v| {
            (0.85..=0.95).contains(&v)
        }),
        check_row("R² of another seed of the configuration (flip), at least .9", ceiling, |v| {
            v >= 0.9
        }),
        check_row(
            "median over runs of the peak of bias amplification above 0",
            Some(overshoot),
            |v| v > 0.0,
        ),
        check_row(
            "balanced early (0 to 25 %): distance to always balanced, at most .03 acc_co",
            early("balanced_groups", &WINDOWS[..4]),
            |v| v <= 0.03,
        ),
        check_row(
            "shortcut dropout early: the same",
            early("shortcut_dropout", &WINDOWS[..4]),
            |v| v <= 0.03,
        ),
        check_row(
            "late windows lose more to relapse than earlier ones (medians over treatments)",
            Some(relapse),
            |v| v > 0.0,
        ),
        check_row(
            "treatments whose effect depends on time (interval without 0), at least 1",
            (e.forks.n_parents > 1).then(|| interactions.count() as f64),
            |n| n >= 1.0,
        ),
    ]
}
