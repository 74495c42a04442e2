//! The report of the study: figures, tables, and the sentences that the numbers allow.

use super::super::StudyContext;
use super::design::Problem;
use super::sizes::{FIRST, LEARNED, REFERENCE, event, rates};
use super::{Evidence, LOSS, TIMES, cutoff_name, skill_times};
use crate::draw::{line, markers, median, panel, spread, tree};
use crate::paired::effect_row;
use crate::scoreboard::{self, Scored, fans, lines, scored};
use crate::sealing::Registered;
use crate::studies::{check_row, checks_table, manifest_block, probe_share, scorecard_blocks};
use crate::{LabError, RunRecord};
use ontogeny_analysis::stats::{mean_and_error, ols, spearman};
use ontogeny_core::{Block, Figure, FigureBody, Findings, Line, Section, Table};

/// Writes the findings from the evidence and the ledger as it now stands.
pub(super) fn write(ctx: &StudyContext<'_>, e: &Evidence<'_>) -> Result<Findings, LabError> {
    let index = Registered::of(ctx.conductor.ledger.entries()?);
    let records = scored(&index, &ctx.id);
    let cutoffs: Vec<String> = FIRST.iter().map(|n| cutoff_name(*n)).collect();
    let times = lines(&records, TIMES, &cutoffs);
    let losses = lines(&records, LOSS, &cutoffs);
    let checks = checks(e, &times);
    let mut all: Vec<&RunRecord> = e.fit.iter().chain(e.test).chain(e.transport).collect();
    all.extend(e.forks.forked.iter().map(|f| &f.record));
    let sections = vec![
        Section { heading: "Observe".into(), blocks: observe(e) },
        Section { heading: "Predict".into(), blocks: predict(e, &records, &times, &losses) },
        Section { heading: "Intervene".into(), blocks: intervene(e) },
        Section { heading: "Design".into(), blocks: vec![Block::Table(design(e))] },
        Section { heading: "Scorecard".into(), blocks: scorecard_blocks(ctx)? },
        Section { heading: "Acceptance".into(), blocks: vec![checks_table(&checks)] },
        Section {
            heading: "Runs".into(),
            blocks: vec![Block::Tree(tree(&all)), manifest_block(&e.test[0])],
        },
    ];
    let n_runs =
        all.len() + e.design.problems.iter().map(|p| p.runs.len() + p.random.len()).sum::<usize>();
    Ok(Findings {
        study: "skills".into(),
        title: "Smooth loss, discrete skills".into(),
        question: "From the first few skills of a run, can the times of the later ones be forecast, does the \
                   law survive a change of the mixture, and can a mixture be designed to a deadline?"
            .into(),
        headline: headline(e, &times, &losses),
        command: ctx.command("skills"),
        facts: vec![
            ("runs".into(), n_runs.to_string()),
            ("skills".into(), e.sizes.n_tasks.to_string()),
            ("sealed and judged".into(), records.len().to_string()),
            ("control readings verified".into(), e.forks.n_verified.to_string()),
            ("probes, share of training time".into(), format!("{:.1} %", 100.0 * probe_share(e.test))),
        ],
        sections,
    })
}

fn headline(
    e: &Evidence<'_>,
    times: &[scoreboard::Line],
    losses: &[scoreboard::Line],
) -> Vec<String> {
    let mut says = Vec::new();
    if let Some(law) = &e.law {
        says.push(format!(
            "Skills come in the order of their rates: ln T against ln p has slope {:+.2} [{:+.2}, {:+.2}] over the \
             {} fit runs of the reference cell (gradient-flow theory: -1).",
            law.slope,
            law.interval.0,
            law.interval.1,
            e.zipf_fit.len()
        ));
    }
    if let Some((l, (name, s, lo, hi))) = best(times) {
        let word = match (lo > 0.0, hi < 0.0) {
            (true, _) => "beats",
            (_, true) => "is worse than",
            _ => "is not distinguishable from",
        };
        says.push(format!(
            "At {}, {} {word} the best baseline ({name}) on the times of later skills: skill {s:+.2} [{lo:+.2}, \
             {hi:+.2}], n = {}, 80 % intervals cover {}.",
            l.cutoff,
            l.theory,
            l.n,
            l.cov80.map_or("–".into(), |c| format!("{c:.2}"))
        ));
    } else {
        says.push(
            "No theory of skill times that the fit runs supported spoke on ten test records: not predictable."
                .into(),
        );
    }
    if let Some((l, (name, s, lo, hi))) = best(losses) {
        says.push(format!(
            "The loss at later steps: {} at {} has skill {s:+.2} [{lo:+.2}, {hi:+.2}] over {name}.",
            l.theory, l.cutoff
        ));
    }
    if let Some(i) = invariance(e) {
        let held = i.z.abs() <= 2.0;
        says.push(format!(
            "Carried to equal rates, the law of the Zipf runs says {:.0} steps for a skill; the mean was {:.0}, off \
             by {:+.0} % and {:.1} standard errors: {}.",
            i.predicted,
            i.observed,
            100.0 * (i.observed / i.predicted - 1.0),
            i.z,
            if held { "invariance is not refuted" } else { "the law predicts where it was fitted and is not invariant" }
        ));
    }
    if !e.design.problems.is_empty() {
        let solved = e.design.problems.iter().filter(|p| p.solved()).count();
        let gain = gain(e).map_or(String::new(), |g| {
            format!(" Equal rates bring the last skill {g:.1} times sooner than Zipf.")
        });
        says.push(format!(
            "Designed mixtures met their deadlines in {solved} of {} problems.{gain}",
            e.design.problems.len()
        ));
    }
    says
}

fn best(all: &[scoreboard::Line]) -> Option<(&scoreboard::Line, scoreboard::Best)> {
    let of = |l: &'_ scoreboard::Line| l.best.clone();
    // Ten records at least: an interval over fewer says little, however narrow.
    let enough = all.iter().filter(|l| l.n >= 10);
    let with: Vec<_> = enough.filter_map(|l| Some((l, of(l)?))).collect();
    with.into_iter().max_by(|a, b| a.1.2.total_cmp(&b.1.2))
}

/// The law of the Zipf runs against runs under equal rates.
struct Invariance {
    /// What the law says, in steps.
    predicted: f64,
    /// Geometric mean over skills and runs.
    observed: f64,
    /// Difference of the logarithms over its standard error, runs and fit runs as units.
    z: f64,
}

fn invariance(e: &Evidence<'_>) -> Option<Invariance> {
    let law = e.law.as_ref()?;
    let (mean, _) = e.design.predicted_uniform?;
    let of_run = |r: &RunRecord, predicted: &dyn Fn(usize) -> f64| -> Option<f64> {
        let n = e.sizes.n_tasks;
        let off = (1..=n).map(|k| Some(r.time(&event(k))?.ln() - predicted(k)));
        Some(off.collect::<Option<Vec<f64>>>()?.iter().sum::<f64>() / n as f64)
    };
    let config = e.sizes.zipf();
    let p = rates(&config);
    let even: Vec<f64> = e.design.uniform.iter().filter_map(|r| of_run(r, &|_| mean)).collect();
    let own: Vec<f64> = (e.zipf_fit.iter())
        .filter_map(|r| of_run(r, &|k| law.intercept + law.slope * p[k - 1].ln()))
        .collect();
    let (m, se) = mean_and_error(&even)?;
    let (_, own_se) = mean_and_error(&own).unwrap_or((0.0, 0.0));
    Some(Invariance { predicted: mean.exp(), observed: (mean + m).exp(), z: m / se.hypot(own_se) })
}

/// How many times sooner the last skill comes under equal rates than under Zipf rates; a lower bound where
/// Zipf runs ended without it.
fn gain(e: &Evidence<'_>) -> Option<f64> {
    let last = |r: &RunRecord, missing: f64| {
        (1..=e.sizes.n_tasks)
            .map(|k| r.time(&event(k)).map_or(missing, |t| t.0 as f64))
            .fold(0.0, f64::max)
    };
    let zipf = median(e.zipf_test.iter().map(|r| last(r, r.manifest.step.0 as f64)));
    let even = median(e.design.uniform.iter().map(|r| last(r, f64::INFINITY)));
    even.is_finite().then(|| zipf / even)
}

fn observe(e: &Evidence<'_>) -> Vec<Block> {
    let (fit, test) = (e.zipf_fit, e.zipf_test);
    let runs: Vec<&RunRecord> = fit.iter().chain(test).collect();
    let (loss, band) = spread(&runs, "mixture.loss", "all runs");
    let mut total = panel("loss, nats", true, vec![loss], Vec::new());
    total.bands = vec![band];
    let example = runs[runs.len() - 1];
    let n = e.sizes.n_tasks;
    let skills = (1..=n).map(|k| {
        let shown = k == 1 || k == n / 2 || k == n;
        let name = if shown { format!("skill {k}") } else { String::new() };
        Line { faint: !shown, ..line(example, &format!("skill.{k}.loss"), &name) }
    });
    let mut each = panel("loss of one skill, nats", false, skills.collect(), Vec::new());
    each.y_range = Some((0.0, 0.8));
    each.markers = markers(&example.events).into_iter().step_by((n / 4).max(1)).collect();
    let mut groups: Vec<Line> = Vec::new();
    let config = e.sizes.zipf();
    let p = rates(&config);
    for (name, records) in [("fit", fit), ("test", test)] {
        let points = records.iter().flat_map(|r| {
            (1..=n)
                .filter_map(|k| Some((p[k - 1], r.time(&event(k))?.0 as f64)))
                .collect::<Vec<_>>()
        });
        groups.push(Line { name: name.into(), points: points.collect(), ..Line::default() });
    }
    let even = e.design.uniform.iter().flat_map(|r| {
        (1..=n)
            .filter_map(|k| Some((1.0 / n as f64, r.time(&event(k))?.0 as f64)))
            .collect::<Vec<_>>()
    });
    groups.push(Line { name: "equal rates".into(), points: even.collect(), ..Line::default() });
    vec![
        Block::Figure(Figure {
            name: "trajectories".into(),
            caption: format!(
                "Above: expected loss over the runs of the reference cell ({}), median and range. Below: the skills of one run; a \
                 skill is learned when its loss stays below {LEARNED:.3} nats for three readings.",
                REFERENCE.name()
            ),
            body: FigureBody::Panels { x_label: "step".into(), x_log: false, panels: vec![total, each] },
        }),
        Block::Figure(Figure {
            name: "skill-times".into(),
            caption: "Time of each skill against the rate at which its task is met. The runs under equal rates \
                      were not used in any fit."
                .into(),
            body: FigureBody::Scatter {
                x_label: "probability of the task".into(),
                y_label: "step at which it is learned".into(),
                log: true,
                diagonal: false,
                groups,
            },
        }),
    ]
}

fn predict(
    e: &Evidence<'_>,
    records: &[Scored<'_>],
    times: &[scoreboard::Line],
    losses: &[scoreboard::Line],
) -> Vec<Block> {
    let middle = cutoff_name(FIRST[1]);
    let theories = ["skill-local-slope", "skill-pooled-slope"];
    let present: Vec<&str> =
        theories.into_iter().filter(|t| times.iter().any(|l| l.theory == *t)).collect();
    vec![
        Block::Table(scoreboard::table(
            "Times of later skills: integrated Brier score on log time, lower is better; the mean score of every \
             baseline on the same records beside it. Intervals resample runs.",
            times,
        )),
        Block::Figure(Figure {
            name: "forecasts".into(),
            caption: format!(
                "Forecasts sealed at {middle} on the first test runs, with what happened."
            ),
            body: FigureBody::Fans {
                x_label: "step at which the skill is learned".into(),
                x_log: true,
                fans: fans(records, TIMES, &middle, &present, 12),
            },
        }),
        Block::Table(scoreboard::table(
            "Loss at later steps: CRPS of ln loss, lower is better.",
            losses,
        )),
        Block::Table(scoreboard::verdicts(e.questions)),
    ]
}

fn intervene(e: &Evidence<'_>) -> Vec<Block> {
    let rows = e.forks.effects.iter().map(|(name, what, effect, predicted)| {
        effect_row(&format!("{name} → {what}"), effect, *predicted)
    });
    let band = e.forks.effects.first().and_then(|(_, _, effect, _)| effect.seed_band);
    let mut blocks = vec![
        Block::Text(format!(
            "Every fork leaves a test run when its fourth skill is learned. Before any effect is reported the \
             fork without a change was shown to be its parent, bit for bit, at {} readings.",
            e.forks.n_verified
        )),
        Block::Figure(Figure {
            name: "effects".into(),
            caption: "Paired effects on ln T with 95 % intervals over parents; the shaded band is the spread over \
                      seeds. Hollow: what the pooled slope claimed before the fork was run, with its central 90 %."
                .into(),
            body: FigureBody::Effects {
                x_label: "ln T (fork) - ln T (parent)".into(),
                seed_band: band,
                rows: rows.collect(),
            },
        }),
    ];
    if let (Some(i), Some(law)) = (invariance(e), &e.law) {
        blocks.push(Block::Text(format!(
            "Invariance. The law fitted on Zipf runs (slope {:+.2}, spread {:.2} in ln T) says {:.0} steps at equal \
             rates; in {} runs under equal rates the geometric mean was {:.0} steps, {:.1} standard errors away. \
             Tasks share a network: what early skills build, late ones use, so a law of rates alone need not carry \
             over to another mixture.",
            law.slope,
            e.residual_sd,
            i.predicted,
            e.design.uniform.len(),
            i.observed,
            i.z
        )));
    }
    blocks
}

fn design(e: &Evidence<'_>) -> Table {
    let met = |runs: &[(Option<f64>, bool)]| {
        format!("{} of {}", runs.iter().filter(|r| r.1).count(), runs.len())
    };
    let steps =
        |v: f64| if v.is_finite() { format!("{v:.0}") } else { "not by the deadline".into() };
    let row = |p: &Problem| {
        let (low, high) =
            p.deadlines.iter().fold((f64::MAX, 0.0f64), |(a, b), &d| (a.min(d), b.max(d)));
        let (least, most) =
            p.mixture.iter().fold((f64::MAX, 0.0f64), |(a, b), &d| (a.min(d), b.max(d)));
        vec![
            p.name.clone(),
            format!("{low:.0} to {high:.0}"),
            format!("{least:.3} to {most:.3}"),
            met(&p.runs),
            met(&p.random),
            steps(Problem::last_skill(&p.runs)),
            if p.solved() { "solved" } else { "failed" }.into(),
        ]
    };
    let columns = [
        "problem",
        "deadlines, steps",
        "designed rates",
        "designed: seeds that met all",
        "random mixture: seeds that met all",
        "median last skill, step",
        "verdict (4 of 5 seeds)",
    ];
    Table {
        caption:
            "Mixtures designed from the law, on fresh seeds, beside random mixtures of equal cost."
                .into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: e.design.problems.iter().map(row).collect(),
    }
}

fn checks(e: &Evidence<'_>, times: &[scoreboard::Line]) -> Vec<[String; 3]> {
    let points = skill_times(&e.sizes, e.zipf_test);
    let (x, y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
    let slope = ols(&x, &y, 0.95).map(|l| l.slope);
    let order = spearman(&x, &y).map(f64::abs);
    let cov = times.iter().filter(|l| l.theory == "skill-pooled-slope").filter_map(|l| l.cov80);
    let cov = median(cov);
    let beats = best(times).map(|(_, b)| b.2);
    let gain = gain(e);
    vec![
        check_row("slope of ln T on ln p in [-1.1, -.65]", slope, |s| (-1.1..=-0.65).contains(&s)),
        check_row("order of skills, Spearman at least .9", order, |r| r >= 0.9),
        check_row("80 % intervals of the pooled slope cover .68 to .92", Some(cov), |c| {
            (0.68..=0.92).contains(&c)
        }),
        check_row(
            "score of the pooled slope less that of the better of local slope and -1 slope, where all \
             three speak, at every cutoff below 0",
            beats_simple_slopes(times),
            |worst| worst < 0.0,
        ),
        check_row("lower bound of the best skill above 0", beats, |lo| lo > 0.0),
        check_row("gain of the designed mixture at least 3", gain, |g| g >= 3.0),
    ]
}

/// The worst over cutoffs of the pooled slope's mean score less that of the better of the one-line laws. Only
/// cutoffs at which all three spoke on the same number of records can be compared.
fn beats_simple_slopes(times: &[scoreboard::Line]) -> Option<f64> {
    let of = |cutoff: &str, theory: &str| {
        let line = times.iter().find(|l| l.cutoff == cutoff && l.theory == theory)?;
        (line.n > 0).then_some((line.n, line.score))
    };
    let gap = |n: usize| {
        let cutoff = cutoff_name(n);
        let (m, own) = of(&cutoff, "skill-pooled-slope")?;
        let rivals = ["skill-local-slope", "skill-unit-slope"].map(|t| of(&cutoff, t));
        let rivals: Option<Vec<f64>> =
            rivals.into_iter().map(|r| r.filter(|r| r.0 == m).map(|r| r.1)).collect();
        Some(own - rivals?.into_iter().fold(f64::INFINITY, f64::min))
    };
    FIRST.iter().filter_map(|n| gap(*n)).reduce(f64::max)
}
