//! The report of the study: figures, tables, and the sentences that the numbers allow.

use super::super::StudyContext;
use super::design::Problem;
use super::sizes::CUTOFFS;
use super::{Evidence, FAMILY};
use crate::draw::{heatmap, line, markers, median, panel, spread, tree};
use crate::paired::effect_row;
use crate::scoreboard::{self, fans, lines, scored};
use crate::sealing::Registered;
use crate::studies::{check_row, checks_table, manifest_block, probe_share, scorecard_blocks};
use crate::{LabError, RunRecord};
use ontogeny_analysis::detectors::detect;
use ontogeny_analysis::effects::{Difference, Effect};
use ontogeny_analysis::stats::{SlopeFit, ols, spearman};
use ontogeny_core::{
    Block, Direction, EffectRow, Figure, FigureBody, Findings, Line, Panel, Section, Step, Table,
    ThresholdRule,
};
use std::collections::BTreeSet;

/// Writes the findings from the evidence and the ledger as it now stands.
pub(super) fn write(ctx: &StudyContext<'_>, e: &Evidence<'_>) -> Result<Findings, LabError> {
    let index = Registered::of(ctx.conductor.ledger.entries()?);
    let records = scored(&index, &ctx.id);
    let cutoffs: Vec<String> = CUTOFFS.iter().map(|m| format!("{m} T_mem")).collect();
    let scores = lines(&records, FAMILY, &cutoffs);
    let gini = GiniLevel::of(e);
    let delay = delay_law(e);
    let checks = checks(e, &scores, gini, delay.as_ref());
    let mut all: Vec<&RunRecord> = e.test.iter().chain(e.transport).chain(e.control).collect();
    all.extend(e.forks.forked.iter().map(|f| &f.record));
    // The cutoff at which most was said; the earliest if nothing was.
    let said = |c: &&String| scores.iter().filter(|l| &l.cutoff == *c).map(|l| l.n).sum::<usize>();
    let shown = cutoffs.iter().rev().max_by_key(said).cloned().unwrap_or_default();
    let mut theories: Vec<&str> =
        scores.iter().filter(|l| l.cutoff == shown && l.n > 0).map(|l| l.theory.as_str()).collect();
    if theories.is_empty() {
        theories = vec!["mirror-accuracy", "norm-passage", "signals-aft"];
    }
    let mut predict = vec![
        Block::Table(scoreboard::table(
            "Forecasts of T_grok (held-out pairs whose mirror is held out too, accuracy .95): integrated Brier score \
             on log time, lower is better, with the mean score of every baseline on the same records.",
            &scores,
        )),
        Block::Figure(Figure {
            name: "forecasts".into(),
            caption: format!("Forecasts sealed at {shown}, with what happened."),
            body: FigureBody::Fans {
                x_label: "step at which it groks".into(),
                x_log: true,
                fans: fans(&records, FAMILY, &shown, &theories, 8),
            },
        }),
    ];
    predict.push(Block::Table(scoreboard::verdicts(e.questions)));
    let sections = vec![
        Section { heading: "Observe".into(), blocks: observe(ctx, e, delay.as_ref()) },
        Section { heading: "Predict".into(), blocks: predict },
        Section { heading: "Intervene".into(), blocks: intervene(e) },
        Section { heading: "Design".into(), blocks: vec![Block::Table(design(e))] },
        Section { heading: "Scorecard".into(), blocks: scorecard_blocks(ctx)? },
        Section { heading: "Acceptance".into(), blocks: vec![checks_table(&checks)] },
        Section {
            heading: "Runs".into(),
            blocks: vec![Block::Tree(tree(&all)), manifest_block(&e.test[0])],
        },
    ];
    let n_design: usize =
        e.design.problems.iter().map(|p| p.outcome.recipe.len() + p.outcome.random.len()).sum();
    Ok(Findings {
        study: "grokking".into(),
        title: "Grokking modular addition".into(),
        question: "When will a network that has memorized begin to generalize, which early signals say so, and \
                   which changes move it?"
            .into(),
        headline: headline(e, &scores, delay.as_ref()),
        command: ctx.command("grokking"),
        facts: vec![
            ("runs".into(), (e.fit.len() + all.len() + n_design).to_string()),
            ("modulus".into(), e.sizes.p.to_string()),
            ("sealed and judged".into(), records.len().to_string()),
            ("control readings verified".into(), e.forks.n_verified.to_string()),
            ("probes, share of training time".into(), format!("{:.1} %", 100.0 * probe_share(e.fit))),
        ],
        sections,
    })
}

/// A level of the embedding's Gini coefficient, frozen on the fit runs: halfway (in ln t terms of the fit
/// runs' median) between memorization and generalization.
#[derive(Debug, Clone, Copy)]
struct GiniLevel(f64);

impl GiniLevel {
    fn of(e: &Evidence<'_>) -> Option<Self> {
        let at = |r: &RunRecord, event: &str| r.value("embedding.gini", r.time(event)?);
        let of = |event: &str| median(e.fit.iter().filter_map(|r| at(r, event)));
        let level = f64::midpoint(of("T_mem"), of("T_50"));
        level.is_finite().then_some(Self(level))
    }

    /// When a run first reaches it.
    fn reached(self, r: &RunRecord) -> Option<Step> {
        let rule = ThresholdRule {
            event: "T_G".into(),
            series: "embedding.gini".into(),
            direction: Direction::Rising,
            level: self.0,
            persistence: 3,
        };
        detect(&rule, r.id(), r.series.get("embedding.gini")?)?.when.seen_at()
    }
}

fn reference<'a>(e: &'a Evidence<'_>) -> Vec<&'a RunRecord> {
    let cell = e.sizes.reference().name();
    e.fit.iter().chain(e.test).filter(|r| r.manifest.cell == cell).collect()
}

/// `ln (T_grok - T_mem)` against `ln weight_decay`, at the data fraction where most runs grokked.
struct Delay {
    fraction: f64,
    line: SlopeFit,
}

fn delay_law(e: &Evidence<'_>) -> Option<Delay> {
    let fractions = e.sizes.fractions.iter().copied();
    let fraction = fractions.max_by_key(|f| delays(e, *f).len())?;
    let points = delays(e, fraction).into_iter().map(|(w, d)| (w.ln(), d.ln()));
    let (x, y): (Vec<f64>, Vec<f64>) = points.unzip();
    Some(Delay { fraction, line: ols(&x, &y, 0.95)? })
}

fn delays(e: &Evidence<'_>, fraction: f64) -> Vec<(f64, f64)> {
    let cell = format!("-f{fraction}");
    let of = |r: &RunRecord| {
        let delay = r.time("T_grok")?.0.checked_sub(r.time("T_mem")?.0)?;
        Some((super::features_of(r).get("ln_wd")?.exp(), delay.max(1) as f64))
    };
    e.fit.iter().chain(e.test).filter(|r| r.manifest.cell.ends_with(&cell)).filter_map(of).collect()
}

fn observe(ctx: &StudyContext<'_>, e: &Evidence<'_>, delay: Option<&Delay>) -> Vec<Block> {
    let runs = reference(e);
    let example = e.test.iter().find(|r| r.time("T_grok").is_some()).unwrap_or(&e.test[0]);
    let shared = shortest(&runs);
    let mut accuracy =
        Panel { y_label: "accuracy".into(), y_range: Some((0.0, 1.02)), ..Panel::default() };
    for (series, name) in [
        ("train.accuracy", "train"),
        ("test_mirror_in.accuracy", "held out, mirror trained"),
        ("test_mirror_out.accuracy", "held out, mirror held out"),
    ] {
        let (l, b) = spread(&shared, series, name);
        accuracy.lines.push(l);
        accuracy.bands.push(b);
    }
    let seeds =
        runs.iter().map(|r| Line { faint: true, ..line(r, "test_mirror_out.accuracy", "") });
    accuracy.lines.extend(seeds);
    let losses = [
        ("train.loss", "train"),
        ("test_mirror_out.loss", "held out"),
        ("restricted.all.loss", "restricted to key frequencies"),
        ("excluded.train.loss", "train, key frequencies excluded"),
    ];
    let loss = panel(
        "loss, nats",
        true,
        losses.iter().map(|(s, n)| line(example, s, n)).collect(),
        markers(&example.events),
    );
    let norm = panel(
        "squared norm of weights",
        false,
        vec![line(example, "weights.sq_norm", "V")],
        vec![],
    );
    let gini = panel(
        "Gini, top-5 share",
        false,
        vec![
            line(example, "embedding.gini", "Gini of embedding"),
            line(example, "embedding.top5_share", "top-5 share"),
        ],
        vec![],
    );
    let mut blocks = vec![
        Block::Figure(Figure {
            name: "accuracy".into(),
            caption: format!(
                "Accuracy in the reference cell ({}): median and range over the runs that went on as long, faint \
                 lines single seeds on held-out pairs.",
                e.sizes.reference().name()
            ),
            body: FigureBody::Panels {
                x_label: "step".into(),
                x_log: true,
                panels: vec![accuracy],
            },
        }),
        Block::Figure(Figure {
            name: "anatomy".into(),
            caption: format!(
                "One run ({}): losses, weight norm and order in the embedding.",
                name(example)
            ),
            body: FigureBody::Panels {
                x_label: "step".into(),
                x_log: true,
                panels: vec![loss, norm, gini],
            },
        }),
    ];
    if let Some(mut map) =
        heatmap(ctx.conductor.store, example.id(), "embedding.spectrum", &example.events)
    {
        map.x_label = "step".into();
        map.y_label = "frequency".into();
        map.value_label = "norm in the embedding".into();
        blocks.push(Block::Figure(Figure {
            name: "spectrum".into(),
            caption: "Norm of each Fourier frequency in the embedding of the same run: a few win."
                .into(),
            body: FigureBody::Heatmap(map),
        }));
    }
    let groups = e.sizes.fractions.iter().map(|f| Line {
        name: format!("data fraction {f}"),
        points: delays(e, *f),
        ..Line::default()
    });
    let slope = delay.map_or(String::new(), |d| {
        format!(
            " At data fraction {} the log-log slope is {:+.2} [{:+.2}, {:+.2}]; the published law says -1.",
            d.fraction, d.line.slope, d.line.interval.0, d.line.interval.1
        )
    });
    blocks.push(Block::Figure(Figure {
        name: "delay".into(),
        caption: format!("Delay from memorization to generalization against weight decay, one point a run.{slope}"),
        body: FigureBody::Scatter {
            x_label: "weight decay".into(),
            y_label: "T_grok - T_mem, steps".into(),
            log: true,
            diagonal: false,
            groups: groups.collect(),
        },
    }));
    blocks.push(Block::Figure(mirror(e)));
    blocks
}

/// Mirror accuracy at twice `T_mem` against the grok time.
fn mirror(e: &Evidence<'_>) -> Figure {
    let of = |r: &RunRecord| {
        let at = Step(2 * r.time("T_mem")?.0);
        Some((r.value("test_mirror_in.accuracy", at)?.max(1e-3), r.time("T_grok")?.0 as f64))
    };
    let cells = e.sizes.cells().into_iter().map(|c| Line {
        name: c.name(),
        points: e
            .fit
            .iter()
            .chain(e.test)
            .filter(|r| r.manifest.cell == c.name())
            .filter_map(of)
            .collect(),
        ..Line::default()
    });
    Figure {
        name: "mirror".into(),
        caption: "The precursor: accuracy on held-out pairs whose mirror was trained on, read at twice T_mem, and \
                  when the run grokked."
            .into(),
        body: FigureBody::Scatter {
            x_label: "mirror accuracy at 2 T_mem".into(),
            y_label: "T_grok, step".into(),
            log: true,
            diagonal: false,
            groups: cells.collect(),
        },
    }
}

/// Runs that went on at least as long as half of them did.
fn shortest<'a>(runs: &[&'a RunRecord]) -> Vec<&'a RunRecord> {
    let middle = median(runs.iter().map(|r| r.manifest.step.0 as f64));
    runs.iter().copied().filter(|r| r.manifest.step.0 as f64 >= middle).collect()
}

fn name(r: &RunRecord) -> &str {
    r.id().as_str().split_once('.').map_or(r.id().as_str(), |(_, rest)| rest)
}

fn intervene(e: &Evidence<'_>) -> Vec<Block> {
    let rows: Vec<EffectRow> = (e.forks.effects.iter())
        .map(|(name, point, effect, said)| {
            let claim = said.iter().find(|(t, _)| t == "norm-passage").or(said.first());
            effect_row(&format!("{name} at {point}"), effect, claim.map(|(_, said)| *said))
        })
        .collect();
    vec![
        Block::Text(format!(
            "Forks leave test runs that grokked, at T_mem and at half the delay. Before any effect is reported the \
             fork without a change was shown to be its parent, bit for bit, at {} readings.",
            e.forks.n_verified
        )),
        Block::Figure(Figure {
            name: "effects".into(),
            caption: "Paired effects on ln T_grok with 95 % intervals over parents; the shaded band is the spread \
                      over seeds at fixed configuration. Where a fork did not grok by the horizon the point is a \
                      lower bound. Hollow: what the norm law claimed before the fork was run, with its central 90 %."
                .into(),
            body: FigureBody::Effects {
                x_label: "ln T_grok (fork) - ln T_grok (parent)".into(),
                seed_band: e.forks.band,
                rows,
            },
        }),
        Block::Table(claims(e)),
    ]
}

/// What each theory claimed about each fork, beside what happened.
fn claims(e: &Evidence<'_>) -> Table {
    let mut rows = Vec::new();
    for (name, point, effect, said) in &e.forks.effects {
        for (theory, (m, lo, hi)) in said {
            rows.push(vec![
                name.clone(),
                point.clone(),
                theory.clone(),
                format!("{m:+.2} [{lo:+.2}, {hi:+.2}]"),
                shown(effect),
            ]);
        }
    }
    Table {
        caption: "Effects on ln T_grok as the theories claimed them before the forks were run (median and central 90 %, \
                  in the median over parents), and as observed."
            .into(),
        columns: ["intervention", "at", "theory", "claimed", "observed (median)"].map(str::to_owned).to_vec(),
        rows,
    }
}

fn shown(effect: &Effect) -> String {
    match effect.median {
        Some(Difference::Known(v)) => format!("{v:+.2}"),
        Some(Difference::AtLeast(v)) => format!("at least {v:+.2}"),
        Some(Difference::AtMost(v)) => format!("at most {v:+.2}"),
        _ => "unclear".into(),
    }
}

fn design(e: &Evidence<'_>) -> Table {
    let seen = |t: &[Option<f64>]| {
        let text: Vec<String> =
            t.iter().map(|t| t.map_or("never".into(), |t| format!("{t:.0}"))).collect();
        text.join(", ")
    };
    let word = |b: bool| if b { "solved" } else { "failed" }.to_owned();
    let row = |p: &Problem| {
        vec![
            format!("{:.0}", p.target),
            p.cell.name(),
            format!("{:.0}", p.predicted),
            seen(&p.outcome.recipe),
            if p.middle().is_finite() { format!("{:.0}", p.middle()) } else { "never".into() },
            format!("{} of {}", p.n_near(), p.outcome.recipe.len()),
            word(p.solved()),
            word(p.random_solved()),
        ]
    };
    let columns = [
        "wanted T_grok",
        "recipe",
        "predicted",
        "observed on fresh seeds",
        "median",
        "seeds within 30 %",
        "verdict (median within 30 %, all grok)",
        "a random recipe",
    ];
    Table {
        caption: "Recipes for a wanted grok time, on seeds that nothing was fitted on.".into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: e.design.problems.iter().map(row).collect(),
    }
}

fn headline(e: &Evidence<'_>, scores: &[scoreboard::Line], delay: Option<&Delay>) -> Vec<String> {
    let mut says = Vec::new();
    let grokked = e.fit.iter().chain(e.test).filter(|r| r.time("T_grok").is_some()).count();
    let n = e.fit.len() + e.test.len();
    let slope = delay.map_or(String::new(), |d| {
        format!(
            " Delay against weight decay: log-log slope {:+.2} [{:+.2}, {:+.2}].",
            d.line.slope, d.line.interval.0, d.line.interval.1
        )
    });
    says.push(format!(
        "{grokked} of {n} runs of the grid grokked within {} steps.{slope}",
        e.sizes.horizon
    ));
    let spoken: Vec<&scoreboard::Line> = scores.iter().filter(|l| l.best.is_some()).collect();
    let silent: Vec<String> = (CUTOFFS.iter())
        .map(|m| format!("{m} T_mem"))
        .filter(|c| !spoken.iter().any(|l| &l.cutoff == c))
        .collect();
    if !silent.is_empty() {
        says.push(format!(
            "At {} no theory beat its baselines on the fit runs, so none spoke: not predictable.",
            silent.join(", ")
        ));
    }
    let theories: BTreeSet<&str> = spoken.iter().map(|l| l.theory.as_str()).collect();
    says.extend(theories.into_iter().filter_map(|t| skills_of(t, &spoken)));
    for (name, point, effect, _) in &e.forks.effects {
        if point == "T_mem"
            && ["wd_off", "wd_x2", "swap_augment", "placebo"].contains(&name.as_str())
        {
            let never =
                effect.differences.iter().filter(|d| matches!(d, Difference::AtLeast(_))).count();
            let total = effect.differences.len();
            says.push(match name.as_str() {
                "wd_off" => format!("Weight decay off at T_mem: {never} of {total} forks had not grokked at the horizon."),
                "wd_x2" => format!("Weight decay doubled at T_mem: ln T_grok {} (the published law says about -0.69).", shown(effect)),
                "swap_augment" => format!("Mirrors of the training pairs added at T_mem: ln T_grok {}.", shown(effect)),
                _ => format!("Placebo: ln T_grok {} over {total} forks.", shown(effect)),
            });
        }
    }
    if !e.design.problems.is_empty() {
        let solved = e.design.problems.iter().filter(|p| p.solved()).count();
        let random = e.design.problems.iter().filter(|p| p.random_solved()).count();
        says.push(format!(
            "Wanted grok times were reached in {solved} of {} problems (a random recipe: {random}).",
            e.design.problems.len()
        ));
    }
    says
}

/// The skill of one theory at every cutoff at which it spoke, in one sentence.
fn skills_of(theory: &str, spoken: &[&scoreboard::Line]) -> Option<String> {
    let mine = spoken.iter().filter(|l| l.theory == theory);
    let mine: Vec<_> = mine.filter_map(|l| Some((*l, l.best.as_ref()?))).collect();
    let (_, (against, ..)) = mine.first()?;
    let gains = mine.iter().any(|(_, (_, _, lo, _))| *lo > 0.0);
    let one = |(l, (_, s, lo, hi)): &(&scoreboard::Line, &scoreboard::Best)| {
        let lead = if gains { format!(", {:.1} doublings ahead", l.lead) } else { String::new() };
        format!("{s:+.2} [{lo:+.2}, {hi:+.2}] at {} (n = {}{lead})", l.cutoff, l.n)
    };
    let all: Vec<String> = mine.iter().map(one).collect();
    let word = if gains { "" } else { "; not distinguishable from it" };
    Some(format!("Skill of {theory} over the best baseline ({against}): {}{word}.", all.join(", ")))
}

fn checks(
    e: &Evidence<'_>,
    scores: &[scoreboard::Line],
    gini: Option<GiniLevel>,
    delay: Option<&Delay>,
) -> Vec<[String; 3]> {
    let triggered = e.control.iter().filter(|r| r.time("T_grok").is_some()).count() as f64;
    let gini_triggered =
        gini.map(|g| e.control.iter().filter(|r| g.reached(r).is_some()).count() as f64);
    let grokked: Vec<&RunRecord> = e.test.iter().filter(|r| r.time("T_50").is_some()).collect();
    let rising = |r: &&&RunRecord, series: &str| -> Option<bool> {
        let until = r.time("T_50")?;
        let points = r.series.get(series)?.up_to(until);
        let (x, y): (Vec<f64>, Vec<f64>) =
            points.iter().map(|p| (p.step.0 as f64, p.value)).unzip();
        Some(spearman(&x, &y)? >= 0.95)
    };
    let share = |of: Vec<bool>| {
        (!of.is_empty()).then(|| of.iter().filter(|b| **b).count() as f64 / of.len() as f64)
    };
    let top5 = share(grokked.iter().filter_map(|r| rising(&r, "embedding.top5_share")).collect());
    let monotone = share(grokked.iter().filter_map(|r| rising(&r, "embedding.gini")).collect());
    let precedes = gini.and_then(|g| {
        share(
            grokked
                .iter()
                .map(|r| g.reached(r).is_some_and(|t| Some(t) < r.time("T_50")))
                .collect(),
        )
    });
    let norms: Vec<f64> = (reference(e).iter())
        .filter_map(|r| r.value("weights.sq_norm", r.time("T_grok")?))
        .collect();
    let mean = norms.iter().sum::<f64>() / norms.len() as f64;
    let sd =
        (norms.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (norms.len() as f64 - 1.0)).sqrt();
    let off = e.forks.effects.iter().find(|(n, p, ..)| n == "wd_off" && p == "T_mem");
    let off = off.map(|(_, _, effect, _)| {
        let known = effect.differences.iter().filter(|d| matches!(d, Difference::Known(_))).count();
        known as f64 / effect.differences.len().max(1) as f64
    });
    let at_two: Vec<&scoreboard::Line> = scores.iter().filter(|l| l.cutoff == "2 T_mem").collect();
    let lower = at_two.iter().filter_map(|l| Some(l.best.as_ref()?.2)).fold(f64::NAN, f64::max);
    let cov = at_two.iter().max_by(|a, b| {
        let lo = |l: &scoreboard::Line| l.best.as_ref().map_or(f64::MIN, |b| b.2);
        lo(a).total_cmp(&lo(b))
    });
    vec![
        check_row("random labels: runs with T_grok, 0", Some(triggered), |v| v == 0.0),
        check_row("random labels: runs that reach the frozen Gini level, 0", gini_triggered, |v| {
            v == 0.0
        }),
        check_row(
            "Gini rises monotonically before T_50 (Spearman .95) in at least .9 of runs",
            monotone,
            |v| v >= 0.9,
        ),
        check_row(
            "top-5 share rises monotonically before T_50 (Spearman .95) in at least .9 of runs",
            top5,
            |v| v >= 0.9,
        ),
        check_row("the frozen Gini level precedes T_50 in at least .8 of runs", precedes, |v| {
            v >= 0.8
        }),
        check_row(
            "delay falls with weight decay (log-log slope below 0)",
            delay.map(|d| d.line.interval.1),
            |hi| hi < 0.0,
        ),
        check_row("variation of V at T_grok over seeds, at most .15", Some(sd / mean), |v| {
            v <= 0.15
        }),
        check_row("weight decay off at T_mem: share that groks, at most 1/6", off, |v| {
            v <= 1.0 / 6.0
        }),
        check_row("lower bound of the best skill at 2 T_mem above 0", Some(lower), |v| v > 0.0),
        check_row("its 80 % intervals cover .68 to .92", cov.and_then(|l| l.cov80), |c| {
            (0.68..=0.92).contains(&c)
        }),
    ]
}
