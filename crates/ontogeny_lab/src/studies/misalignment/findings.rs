//! The report of the study: figures, tables, and the sentences that the numbers allow.

use super::super::StudyContext;
use super::sizes::{NARROW, ORIGINS, SPREAD, TARGET};
use super::tables::{Answers, HAS_SPREAD, UNSEEN, answers, table};
use super::{Evidence, MAIN, Stage, TO_BEAT, origin, outcome};
use crate::draw::{line, median, panel, tree};
use crate::paired::effect_row;
use crate::scoreboard::scored;
use crate::sealing::Registered;
use crate::studies::{check_row, checks_table, manifest_block, probe_share, scorecard_blocks};
use crate::{LabError, RunRecord};
use ontogeny_analysis::stats::{bootstrap_interval, cluster_bootstrap};
use ontogeny_core::{Block, Figure, FigureBody, Findings, Line, Section, Step, Table};
use ontogeny_train::tasks::TaskConfig;
use std::collections::BTreeMap;

/// Writes the findings from the evidence and the ledger as it now stands.
pub(super) fn write(ctx: &StudyContext<'_>, e: &Evidence<'_>) -> Result<Findings, LabError> {
    let index = Registered::of(ctx.conductor.ledger.entries()?);
    let records = scored(&index, &ctx.id);
    let said = answers(ctx, e)?;
    let mut all: Vec<&RunRecord> =
        e.stages.iter().flat_map(|s| s.fit.iter().chain(&s.test)).collect();
    let n_grid = all.len();
    all.extend(e.forks.forked.iter().map(|f| &f.record));
    let predict = vec![
        Block::Figure(scatter(e)),
        Block::Figure(forecasts(&said[0])),
        Block::Table(table(&said)),
    ];
    let sections = vec![
        Section { heading: "Observe".into(), blocks: observe(e) },
        Section { heading: "Predict".into(), blocks: predict },
        Section { heading: "Intervene".into(), blocks: intervene(e) },
        Section { heading: "Scorecard".into(), blocks: scorecard_blocks(ctx)? },
        Section { heading: "Acceptance".into(), blocks: vec![checks_table(&checks(e, &said))] },
        Section {
            heading: "Runs".into(),
            blocks: vec![Block::Tree(tree(&all)), manifest_block(&e.stages[0].test[0])],
        },
    ];
    Ok(Findings {
        study: "misalignment".into(),
        title: "Narrow bad training, and where it spreads".into(),
        question: "When a network is trained on bad answers in one domain, can it be known before the first bad \
                   answer elsewhere whether badness will spread, and what stops it?"
            .into(),
        headline: headline(e, &said),
        command: ctx.command("misalignment"),
        facts: vec![
            ("runs".into(), all.len().to_string()),
            ("of these in the grid".into(), n_grid.to_string()),
            ("sealed and judged".into(), records.len().to_string()),
            ("control readings verified".into(), e.forks.n_verified.to_string()),
            (
                "probes, share of training time".into(),
                format!("{:.1} %", 100.0 * probe_share(&e.stages[0].test)),
            ),
        ],
        sections,
    })
}

/// The coupling of a run.
fn coupling(record: &RunRecord) -> f64 {
    match record.config().map(|c| c.task) {
        Ok(TaskConfig::Personas(task)) => task.coupling,
        _ => f64::NAN,
    }
}

/// Final outcomes of all grid runs, by coupling.
fn by_coupling(e: &Evidence<'_>) -> BTreeMap<String, Vec<f64>> {
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for s in e.stages {
        for r in s.fit.iter().chain(&s.test) {
            if let Some(v) = outcome(&e.sizes, r, s.n_align) {
                all.entry(format!("{}", coupling(r))).or_default().push(v);
            }
        }
    }
    all
}

/// Mean outcome at coupling 1 less that at 0, with the 95 % interval of a bootstrap over seeds: runs of one seed share
/// their data.
pub(super) fn separation(e: &Evidence<'_>) -> Option<(f64, f64, f64)> {
    let mut rows: Vec<(u64, f64, f64)> = Vec::new();
    for s in e.stages {
        for r in s.fit.iter().chain(&s.test) {
            let of = (r.manifest.seeds.data_seed, coupling(r), outcome(&e.sizes, r, s.n_align)?);
            rows.push(of);
        }
    }
    let of = |pick: &[usize]| {
        let mean = |k: f64| {
            let v: Vec<f64> =
                pick.iter().filter(|i| rows[**i].1 == k).map(|i| rows[*i].2).collect();
            (!v.is_empty()).then(|| v.iter().sum::<f64>() / v.len() as f64)
        };
        Some(mean(1.0)? - mean(0.0)?)
    };
    let mut clusters: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (i, r) in rows.iter().enumerate() {
        clusters.entry(r.0).or_default().push(i);
    }
    let clusters: Vec<Vec<usize>> = clusters.into_values().collect();
    let value = of(&(0..rows.len()).collect::<Vec<_>>())?;
    let (lo, hi) = bootstrap_interval(&cluster_bootstrap(&clusters, 10_000, 1, of), 0.95)?;
    Some((value, lo, hi))
}

/// Steps of the narrow phase: the reading with the largest rise of the rate, and the one with the largest bend of
/// the lead. The rate jumps where the lead crosses zero; the lead shows whether the network itself turned.
fn onsets(e: &Evidence<'_>, s: &Stage, r: &RunRecord) -> Option<(f64, f64)> {
    let from = e.sizes.narrow_at(s.n_align);
    let of = |name: &str| -> Option<Vec<(f64, f64)>> {
        let points = r.series.get(name)?.points.iter();
        Some(
            points
                .filter(|p| p.step.0 >= from)
                .map(|p| ((p.step.0 - from) as f64, p.value))
                .collect(),
        )
    };
    let (rate, lead) = (of("other.rival_rate")?, of("other.rival_lead")?);
    let rise = rate.windows(2).max_by(|a, b| (a[1].1 - a[0].1).total_cmp(&(b[1].1 - b[0].1)))?;
    let bend = |w: &&[(f64, f64)]| (w[2].1 - 2.0 * w[1].1 + w[0].1).abs();
    let turn = lead.windows(3).max_by(|a, b| bend(a).total_cmp(&bend(b)))?;
    Some((rise[1].0, turn[1].0))
}

fn headline(e: &Evidence<'_>, said: &[Answers]) -> Vec<String> {
    let mut says = Vec::new();
    let groups = by_coupling(e);
    let spread =
        |k: &str| groups.get(k).map(|v| (v.iter().filter(|p| **p > HAS_SPREAD).count(), v.len()));
    if let (Some((one, n_one)), Some((zero, n_zero)), Some((d, lo, hi))) =
        (spread("1"), spread("0"), separation(e))
    {
        says.push(format!(
            "Trained on bad answers in one domain, {one} of {n_one} networks whose badness had one hidden cause gave \
             mostly bad answers in the others, and {zero} of {n_zero} whose badness was local; difference of the mean \
             probability {d:+.2} [{lo:+.2}, {hi:+.2}]."
        ));
    }
    let first = &said[0];
    if let (Some(s), Some((rival, (d, lo, hi)))) = (first.voices.score(MAIN), first.gain(MAIN)) {
        let area = first.auc(MAIN).map_or(String::new(), |(v, lo, hi)| {
            format!("; AUC of \"it will spread\" {v:.2} [{lo:.2}, {hi:.2}]")
        });
        let numbers =
            format!("R² {:.2}, {d:+.2} [{lo:+.2}, {hi:+.2}] over {rival}, n = {}{area}", s.r2, s.n);
        says.push(match (first.is_sealed(MAIN), lo > 0.0) {
            (true, true) => format!(
                "Before the first bad item, gradient transfer predicts how far it spreads better than every baseline: {numbers}."
            ),
            (true, false) => format!(
                "Before the first bad item, gradient transfer does not predict how far it spreads better than every \
                 baseline: {numbers}."
            ),
            (false, _) => format!(
                "Before the first bad item, gradient transfer was silent: the fit runs did not support it over every \
                 baseline. What it would have said, after the fact: {numbers}."
            ),
        });
    }
    let named = |name: &str, point: &str| {
        e.forks.rows.iter().find(|r| r.intervention == name && r.point == point)
    };
    if let Some(r) = named("inoculation", "update 0") {
        says.push(format!(
            "A tag on the bad items kept other domains at {:.3} without it and left {:.2} with it (means over {} forks).",
            r.end, r.tagged, e.forks.n_parents
        ));
    }
    if let (Some(early), Some(late)) = (named("benign", "update 0"), named("benign", "update 20")) {
        says.push(format!(
            "A quarter of benign items ended at {:.3} when mixed in from the first update and at {:.3} from the \
             twentieth, with peaks of {:.2} and {:.2} on the way.",
            early.end, late.end, early.peak, late.peak
        ));
    }
    if let Some((after, fresh)) = named("repair_all", "end").and_then(|r| r.relapse) {
        says.push(format!(
            "Repaired on good answers and trained narrowly again, networks went to {after:.2}; those that had never \
             been bad had gone to {fresh:.2} in as many updates."
        ));
    }
    says
}

fn observe(e: &Evidence<'_>) -> Vec<Block> {
    let stage = &e.stages[0];
    let runs: Vec<&RunRecord> = stage.fit.iter().chain(&stage.test).collect();
    let from = e.sizes.narrow_at(stage.n_align) as f64;
    let shifted = |r: &RunRecord, series: &str, name: &str, faint: bool| {
        let mut l = line(r, series, name);
        l.points.retain(|p| p.0 >= from);
        for p in &mut l.points {
            p.0 -= from;
        }
        l.faint = faint;
        l
    };
    let group = |k: f64, series: &str| -> Vec<Line> {
        let mine: Vec<&&RunRecord> = runs.iter().filter(|r| coupling(r) == k).collect();
        let name = format!("one of {} runs", mine.len());
        (mine.iter().enumerate())
            .map(|(i, r)| shifted(r, series, if i == 0 { &name } else { "" }, i > 0))
            .collect()
    };
    let mut one = panel("bad answers elsewhere, coupling 1", false, group(1.0, TARGET), vec![]);
    let mut none = panel("bad answers elsewhere, coupling 0", false, group(0.0, TARGET), vec![]);
    (one.y_range, none.y_range) = (Some((0.0, 1.0)), Some((0.0, 1.0)));
    let mut blocks = vec![Block::Figure(Figure {
        name: "spread".into(),
        caption: "Mean probability of bad answers in domains that are not trained on, over updates on bad items of one \
                  domain. Only the coupling differs; the runs differ in seed and in how often personas were bad."
            .into(),
        body: FigureBody::Panels {
            x_label: "updates of narrow training".into(),
            x_log: false,
            panels: vec![one, none],
        },
    })];
    // One run, whole: the metric that jumps beside the one that moves.
    let example = stage.test.iter().max_by(|a, b| {
        let of = |r: &RunRecord| outcome(&e.sizes, r, stage.n_align).unwrap_or(0.0);
        of(a).total_cmp(&of(b))
    });
    if let Some(r) = example {
        let rates = vec![
            shifted(r, "other.rival_rate", "rate elsewhere", false),
            shifted(r, "narrow.rival_rate", "rate in the trained domain", false),
            shifted(r, "transfer.cosine", "cosine of the gradients", false),
        ];
        let lead = vec![shifted(r, "other.rival_lead", "", false)];
        blocks.push(Block::Figure(Figure {
            name: "jump".into(),
            caption: format!(
                "The run in which it spread most ({}): the rate of bad answers, which jumps where the lead crosses zero, \
                 and the lead itself.",
                r.id()
            ),
            body: FigureBody::Panels {
                x_label: "updates of narrow training".into(),
                x_log: false,
                panels: vec![
                    panel("share, cosine", false, rates, vec![]),
                    panel("ln p(bad) - ln p(good), nats", false, lead, vec![]),
                ],
            },
        }));
    }
    blocks.push(Block::Table(cells(e)));
    let both: Vec<(f64, f64)> = (e.test())
        .filter(|(_, r)| r.time(SPREAD).is_some())
        .filter_map(|(s, r)| onsets(e, s, r))
        .collect();
    if !both.is_empty() {
        blocks.push(Block::Text(format!(
            "Onset in the {} test runs in which it spread: the rate rises most at update {:.0} (median), the lead bends \
             most at {:.0}; the lead bends first in {}.",
            both.len(),
            median(both.iter().map(|b| b.0)),
            median(both.iter().map(|b| b.1)),
            both.iter().filter(|b| b.1 < b.0).count()
        )));
    }
    blocks
}

/// Outcomes by cell.
fn cells(e: &Evidence<'_>) -> Table {
    let mut rows = Vec::new();
    for s in e.stages {
        for cell in e.sizes.cells(s.n_align) {
            let name = cell.name();
            let mine = s.fit.iter().chain(&s.test).filter(|r| r.manifest.cell == name);
            let ends: Vec<f64> =
                mine.clone().filter_map(|r| outcome(&e.sizes, r, s.n_align)).collect();
            let start = Step(e.sizes.narrow_at(s.n_align));
            let at =
                |series: &'static str| median(mine.clone().filter_map(|r| r.value(series, start)));
            let (lo, hi) = ends
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
            rows.push(vec![
                format!("{}", cell.coupling),
                format!("{}", cell.bad_rate),
                format!("{}", cell.n_align),
                ends.len().to_string(),
                format!("{:.2}", at("transfer.cosine")),
                format!("{:.2}", at("primed.rival_probability")),
                format!("{:.3}", median(ends.iter().copied())),
                format!("{lo:.3} to {hi:.3}"),
                format!("{} of {}", ends.iter().filter(|v| **v > HAS_SPREAD).count(), ends.len()),
            ]);
        }
    }
    let columns = [
        "coupling",
        "bad personas",
        "alignment",
        "runs",
        "cosine before",
        "p(bad) primed, before",
        "p(bad) at the end",
        "range",
        "spread",
    ];
    Table {
        caption: "Configurations: what was read before the first bad item, and p(bad) in other domains after the last; medians."
            .into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    }
}

fn scatter(e: &Evidence<'_>) -> Figure {
    let mut groups: BTreeMap<String, Line> = BTreeMap::new();
    for (s, r) in e.test() {
        let start = Step(e.sizes.narrow_at(s.n_align));
        let both = r.value("transfer.cosine", start).zip(outcome(&e.sizes, r, s.n_align));
        let name = format!("coupling {}", coupling(r));
        let group = groups.entry(name.clone()).or_insert(Line { name, ..Line::default() });
        group.points.extend(both);
    }
    Figure {
        name: "precursor".into(),
        caption: "Test runs: cosine of the gradients on bad items of the trained domain and of the others, read before the \
                  first such item, and the probability of bad answers in the others at the end."
            .into(),
        body: FigureBody::Scatter {
            x_label: "cosine of the gradients, before".into(),
            y_label: "bad answers elsewhere, at the end".into(),
            log: false,
            diagonal: false,
            groups: groups.into_values().collect(),
        },
    }
}

/// Medians of the forecasts from one origin against what came out.
fn forecasts(a: &Answers) -> Figure {
    let group = |name: &str| {
        let points = a.voices.points(name)?;
        Some(Line { name: name.to_owned(), points, ..Line::default() })
    };
    Figure {
        name: "forecasts".into(),
        caption: format!(
            "Test runs: medians of forecasts ({}) and what came out, for the theory and the best of the baselines that it \
             must beat.",
            origin(a.at)
        ),
        body: FigureBody::Scatter {
            x_label: "forecast of bad answers elsewhere".into(),
            y_label: "bad answers elsewhere, at the end".into(),
            log: false,
            diagonal: true,
            groups: [Some(MAIN), a.voices.best_of(&TO_BEAT)]
                .into_iter()
                .flatten()
                .filter_map(group)
                .collect(),
        },
    }
}

fn intervene(e: &Evidence<'_>) -> Vec<Block> {
    let f = e.forks;
    let rows = f.rows.iter().map(|r| {
        let mut row = effect_row(&format!("{}, {}", r.intervention, r.point), &r.effect, None);
        row.note = row.note.replace("later", "more").replace("sooner", "less");
        row
    });
    let effects = Figure {
        name: "effects".into(),
        caption: format!(
            "Effect on the probability of bad answers in other domains, against the parent's end: {} parents, {} \
             recorded readings of whose controls came out the same. Points are parents.",
            f.n_parents, f.n_verified
        ),
        body: FigureBody::Effects {
            x_label: "change of the probability".into(),
            seed_band: f.band,
            rows: rows.collect(),
        },
    };
    let number = |v: f64| if v.is_finite() { format!("{v:.3}") } else { "–".into() };
    let rows = f.rows.iter().map(|r| {
        let relapse = r.relapse.map_or("–".into(), |(a, b)| format!("{a:.3} ({b:.3})"));
        vec![
            r.intervention.clone(),
            r.point.clone(),
            r.effect.differences.len().to_string(),
            number(r.end),
            number(r.peak),
            number(r.narrow),
            number(r.tagged),
            relapse,
        ]
    });
    let columns = [
        "intervention",
        "from",
        "forks",
        "end",
        "peak",
        "narrow skill",
        "after the tag",
        "relapse (fresh)",
    ];
    let table = Table {
        caption: format!(
            "Means over parents. End: probability of bad answers in other domains when the intervention is over; peak: its \
             largest on the way; narrow skill: rate of bad answers in domain 0; after the tag: probability with the tag of \
             the bad persona. Repairs of {} updates begin after {NARROW} narrow ones; relapse: after {} more updates, and \
             what a network that was never bad reaches in as many.",
            super::sizes::REPAIR,
            super::sizes::RELAPSE
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    };
    vec![Block::Figure(effects), Block::Table(table)]
}

/// What the protocol asks (safety 6.8), and what came out.
fn checks(e: &Evidence<'_>, said: &[Answers]) -> Vec<[String; 3]> {
    let groups = by_coupling(e);
    let seeds: std::collections::BTreeSet<u64> = e.stages[0]
        .fit
        .iter()
        .chain(&e.stages[0].test)
        .map(|r| r.manifest.seeds.data_seed)
        .collect();
    let ones = groups.get("1").cloned().unwrap_or_default();
    let share = ones.iter().filter(|v| **v > HAS_SPREAD).count() as f64 / ones.len().max(1) as f64;
    let mut rows = vec![
        check_row("seeds of the control separation, at least 6", Some(seeds.len() as f64), |v| {
            v >= 6.0
        }),
        check_row(
            "control separation: lower end of its 95 % interval above 0",
            separation(e).map(|s| s.1),
            |v| v > 0.0,
        ),
        check_row(
            "both outcomes at coupling 1: share that spreads inside (0, 1)",
            Some(share),
            |v| v > 0.0 && v < 1.0,
        ),
    ];
    for (a, at) in said.iter().zip(ORIGINS) {
        let standing = if a.is_sealed(MAIN) { "" } else { " (not sealed: after the fact)" };
        rows.push(check_row(
            &format!(
                "AUC of {MAIN}, {}, where < {UNSEEN} is bad: at least .85{standing}",
                origin(at)
            ),
            a.auc(MAIN).map(|v| v.0),
            |v| v >= 0.85,
        ));
        rows.push(check_row(
            &format!(
                "R² of {MAIN} over the best baseline, {}: lower end above 0{standing}",
                origin(at)
            ),
            a.gain(MAIN).map(|g| g.1.1),
            |v| v > 0.0,
        ));
    }
    rows
}
