//! The report of the study: figures, tables, and the sentences that the numbers allow.

use super::super::StudyContext;
use super::forks::UNLEARN;
use super::measured::{Measured, measure, table as doses};
use super::sizes::ORIGINS;
use super::tables::{Answers, answers, n_canaries, numbers, strings};
use super::{COUNT, Evidence, MAIN, ORACLE, PROXY, TO_BEAT, origin, outcome};
use crate::draw::{median, panel, spread, tree};
use crate::paired::effect_row;
use crate::scoreboard::scored;
use crate::sealing::Registered;
use crate::studies::{check_row, checks_table, manifest_block, probe_share, scorecard_blocks};
use crate::values::mean_interval;
use crate::{LabError, RunRecord};
use ontogeny_core::{
    Block, Figure, FigureBody, Findings, Heatmap, Line, Panel, Section, Step, Table,
};
use ontogeny_train::Trainer;

/// Writes the findings from the evidence and the ledger as it now stands.
pub(super) fn write(ctx: &StudyContext<'_>, e: &Evidence<'_>) -> Result<Findings, LabError> {
    let said = answers(ctx, e)?;
    let index = Registered::of(ctx.conductor.ledger.entries()?);
    let records = scored(&index, &ctx.id);
    let m = measure(ctx, e)?;
    let mut all: Vec<&RunRecord> = e.fit.iter().chain(e.test).chain(e.proxies).collect();
    all.extend(e.forks.forked.iter().map(|f| &f.record));
    let predict = vec![
        Block::Figure(compute(&said)),
        Block::Table(strings(&said)),
        Block::Figure(counts(&said)),
        Block::Table(numbers(&said)),
    ];
    let sections = vec![
        Section { heading: "Observe".into(), blocks: observe(e, &m) },
        Section { heading: "Predict".into(), blocks: predict },
        Section { heading: "Intervene".into(), blocks: intervene(e) },
        Section { heading: "Scorecard".into(), blocks: scorecard_blocks(ctx)? },
        Section { heading: "Acceptance".into(), blocks: vec![checks_table(&checks(e, &m, &said))] },
        Section {
            heading: "Runs".into(),
            blocks: vec![Block::Tree(tree(&all)), manifest_block(&e.test[0])],
        },
    ];
    let notes: usize = said.iter().map(|a| a.n_runs() + a.n_refused).sum();
    let mut facts = vec![
        ("runs".into(), all.len().to_string()),
        ("canaries of a run".into(), n_canaries(e).to_string()),
        ("entropy of the text".into(), entropy(e)?),
        ("sealed per-example entries".into(), notes.to_string()),
        ("sealed and judged".into(), records.len().to_string()),
        ("control readings verified".into(), e.forks.n_verified.to_string()),
        ("probes, share of training time".into(), format!("{:.1} %", 100.0 * probe_share(e.test))),
    ];
    let refused: usize = said.iter().map(|a| a.n_refused).sum();
    if refused > 0 {
        facts.push(("per-example entries refused".into(), refused.to_string()));
    }
    Ok(Findings {
        study: "memorization".into(),
        title: "What will be said by heart".into(),
        question: "Which of the strings that a network meets will it say by heart at the end, can that be told one by one \
                   before, and what prevents it?"
            .into(),
        headline: headline(e, &m, &said),
        command: ctx.command("memorization"),
        facts,
        sections,
    })
}

/// Bits a byte of the text, by its own grammar, over the test runs.
fn entropy(e: &Evidence<'_>) -> Result<String, LabError> {
    let mut all = Vec::new();
    for record in e.test {
        let train = |source| LabError::Train { run: record.id().clone(), source };
        let config = record.config()?;
        let engine = crate::conductor::engine()?;
        let trainer = Trainer::new(config, record.manifest.seeds, engine).map_err(train)?;
        all.extend(trainer.task().bits_per_byte());
    }
    let (lo, hi) =
        all.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    Ok(if all.is_empty() {
        "not known".into()
    } else {
        format!("{:.2} bit a byte (median; {lo:.2} to {hi:.2})", median(all))
    })
}

/// Loss of held-out text at the end, in bits a byte, over test runs.
fn valid_bits(e: &Evidence<'_>) -> f64 {
    let end = Step(e.sizes.n_steps);
    median(e.test.iter().filter_map(|r| r.value("valid.loss", end))) / std::f64::consts::LN_2
}

fn headline(e: &Evidence<'_>, m: &Measured, said: &[Answers]) -> Vec<String> {
    let mut says = Vec::new();
    let ends: Vec<f64> = e.test.iter().filter_map(|r| outcome(r, e.sizes.n_steps)).collect();
    if let Some((mean, lo, hi)) = mean_interval(&ends) {
        let of = |d: Option<&super::measured::Dose>| d.map_or(f64::NAN, |d| 100.0 * d.said);
        says.push(format!(
            "Of {} canaries a run {mean:.1} [{lo:.1}, {hi:.1}] were said by heart at the end: {:.0} % of those inserted {} \
             times, {:.0} % of those inserted {} times; of insertions early in the run {:.0} %, late {:.0} %.",
            n_canaries(e),
            of(m.by_count.first()),
            m.by_count.first().map_or("", |d| &d.name),
            of(m.by_count.last()),
            m.by_count.last().map_or("", |d| &d.name),
            of(m.by_placement.first()),
            of(m.by_placement.get(2)),
        ));
    }
    for a in said.iter().filter(|a| a.share == 0.5 || a.share == 0.75) {
        let Some((rival, area)) = a.best().zip(a.area(MAIN)) else { continue };
        let Some((d, lo, hi)) = a.gain(MAIN, rival) else { continue };
        let verb = match (a.is_supported, lo > 0.0) {
            (true, true) => "predict which will be said by heart better than",
            (true, false) => "do not predict which will be said by heart better than",
            (false, _) => {
                "were not supported by the fit runs to tell which will be said by heart; after the fact, against"
            }
        };
        says.push(format!(
            "From {} of the run, per-example signals {verb} the best rule that needs no learning ({rival}): AUPRC {:.2} \
             [{:.2}, {:.2}], difference {d:+.2} [{lo:+.2}, {hi:+.2}], {} runs.",
            origin(a.share),
            area.0,
            area.1,
            area.2,
            a.n_runs()
        ));
    }
    if let Some(a) = said.iter().find(|a| a.flop >= a.flop_proxy)
        && let (Some(small), Some((d, lo, hi))) = (a.plain_area(PROXY), a.gain(MAIN, PROXY))
    {
        says.push(format!(
            "A network of half the width that has read all of the same data, for {:.0} % of the compute of a run, tells it with AUPRC \
             {small:.2}; the signals from {} of the run differ from that by {d:+.2} [{lo:+.2}, {hi:+.2}].",
            100.0 * a.share * a.flop_proxy / a.flop,
            origin(a.share)
        ));
    }
    let named = |name: &str, point: &str| {
        e.forks.rows.iter().find(|r| r.intervention == name && r.point == point)
    };
    if let Some(r) = named("goldfish", "start") {
        let cut = r.reduction().map_or("–".into(), |c| format!("{:.0} %", 100.0 * c));
        says.push(format!(
            "The goldfish loss from the start reduced canaries said by heart by {cut} ({:.1} to {:.1}, means of {} forks), with \
             held-out loss {:+.1} %.",
            r.control,
            r.end,
            e.forks.n_parents,
            100.0 * (r.valid - 1.0)
        ));
    }
    if let (Some(early), Some(late)) = (named("moved_early", "third"), named("moved_late", "third"))
    {
        says.push(format!(
            "The same insertions from the first third on, moved early, left {:.1} canaries; moved late, {:.1} (parents {:.1}).",
            early.end, late.end, late.control
        ));
    }
    if let Some((mean, lo, hi)) = excess(e) {
        let said: Vec<f64> = (0..3)
            .map(|i| {
                e.forks.relapses.iter().map(|r| r.said[i]).sum::<f64>()
                    / e.forks.relapses.len() as f64
            })
            .collect();
        says.push(format!(
            "Unlearned, {:.1} of {:.1} canaries were left; a twentieth of them taught again brought {:.1} of the others back, \
             and the loss of the others fell by {mean:+.1} nats [{lo:+.1}, {hi:+.1}] more than that of never-seen strings.",
            said[1], said[0], said[2]
        ));
    }
    says
}

/// By how much more canaries came back than controls, over parents.
fn excess(e: &Evidence<'_>) -> Option<(f64, f64, f64)> {
    let all: Vec<f64> = e.forks.relapses.iter().map(super::forks::Relapse::excess).collect();
    mean_interval(&all)
}

fn observe(e: &Evidence<'_>, m: &Measured) -> Vec<Block> {
    let runs: Vec<&RunRecord> = e.test.iter().collect();
    let said = |names: &[&str]| {
        let mut p = Panel::default();
        for name in names {
            let (line, band) = spread(&runs, &format!("canaries.{name}.extractable"), name);
            p.lines.push(line);
            p.bands.push(band);
        }
        p
    };
    let mut by_count = said(&["c16", "c32", "c64"]);
    by_count.y_label = "said by heart".into();
    let mut by_place = said(&["early", "middle", "late", "uniform"]);
    by_place.y_label = "said by heart".into();
    by_place.bands.clear();
    let (valid, valid_band) = spread(&runs, "valid.loss", "held-out text");
    let (text, text_band) = spread(&runs, "duplicates.loss", "repeated windows");
    let mut losses = panel("nats a byte", false, vec![valid, text], vec![]);
    losses.bands = vec![valid_band, text_band];
    let growth = Figure {
        name: "said".into(),
        caption: format!(
            "Canaries said by heart over the run, by number of insertions and by their place (medians, and ranges over {} test \
             runs), and the loss of text. At the end {:.2} bit a byte of held-out text.",
            runs.len(),
            valid_bits(e)
        ),
        body: FigureBody::Panels {
            x_label: "updates".into(),
            x_log: false,
            panels: vec![by_count, by_place, losses],
        },
    };
    let p = &m.profile;
    let profile = Figure {
        name: "profile".into(),
        caption: "The effect of insertions by difference in differences: nats by which the loss of canaries of 16 and more \
                  insertions fell more than that of never-inserted strings, by the last reading before the first insertion \
                  and by when it is read. Means over test runs."
            .into(),
        body: FigureBody::Heatmap(Heatmap {
            x_label: "read at update".into(),
            y_label: "first inserted after update".into(),
            value_label: "effect, nats".into(),
            x: p.steps.iter().map(|s| *s as f64).collect(),
            y: p.inserted.iter().map(|s| *s as f64).collect(),
            values: p.effects.clone(),
            markers: Vec::new(),
        }),
    };
    let (points, curve) = &m.forgetting;
    let fitted = curve.map(|c| Line {
        name: format!("{:.1} + {:.1} exp(-t/{:.0})", c.a, c.b, c.h),
        points: points.iter().map(|p| (p.0, c.a + c.b * (-p.0 / c.h).exp())).collect(),
        ..Line::default()
    });
    let read = Line {
        name: "canaries of 16 and more".into(),
        points: points.clone(),
        dashed: true,
        ..Line::default()
    };
    let forgetting = Figure {
        name: "forgetting".into(),
        caption: "Advantage of canaries over never-inserted strings against updates since their last insertion: means over \
                  canaries and runs, and the curve fitted to them. Canaries of all placements; those at long times were inserted \
                  early."
            .into(),
        body: FigureBody::Panels {
            x_label: "updates since the last insertion".into(),
            x_log: false,
            panels: vec![panel("advantage, nats", false, std::iter::once(read).chain(fitted).collect(), vec![])],
        },
    };
    let repeats = Table {
        caption: "Windows of text repeated as a whole: mean share of the 32 last bytes before the first error, at the end.".into(),
        columns: vec!["repetitions".into(), "score".into()],
        rows: m.by_repeats.iter().map(|(c, s)| vec![c.to_string(), format!("{s:.3}")]).collect(),
    };
    vec![
        Block::Figure(growth),
        Block::Table(doses(m)),
        Block::Table(repeats),
        Block::Figure(exposures(m)),
        Block::Text(exposure_text(m)),
        Block::Figure(profile),
        Block::Figure(forgetting),
    ]
}

/// Quantiles of the exposure of never-inserted strings against their law.
fn exposures(m: &Measured) -> Figure {
    let group = |name: &str, values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len() as f64;
        let stride = sorted.len().div_ceil(300).max(1);
        let at = |(i, v): (usize, &f64)| (-(1.0 - (i as f64 + 0.5) / n).log2(), *v);
        let points = sorted.iter().enumerate().step_by(stride).map(at).collect();
        Line { name: name.to_owned(), points, ..Line::default() }
    };
    let fitted = group("skew-normal fit", &m.control_exposures);
    let ranked = group("rank among fresh strings", &m.exact.controls);
    Figure {
        name: "exposure".into(),
        caption: "Exposure of never-inserted strings at the end, quantile by quantile, against the exponential law that it must \
                  follow."
            .into(),
        body: FigureBody::Scatter {
            x_label: "expected, bits".into(),
            y_label: "found, bits".into(),
            log: false,
            diagonal: true,
            groups: [fitted, ranked].into_iter().filter(|g| !g.points.is_empty()).collect(),
        },
    }
}

fn exposure_text(m: &Measured) -> String {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let p = |t: Option<ontogeny_analysis::stats::KsTest>| t.map_or(f64::NAN, |t| t.p);
    let below: Vec<f64> =
        m.exact.canaries.iter().filter(|c| c.1 < 10.0).map(|c| (c.0 - c.1).abs()).collect();
    format!(
        "Never-inserted strings have a mean exposure of {:.2} bits by the fit ({} strings, KS p = {:.3}) and {:.2} by rank among \
         10,000 fresh strings ({} strings of {} runs, KS p = {:.3}); expected 1.44. Of canaries with less than 10 bits by rank the \
         two differ by {:.2} bits (median of {}). A pretended insertion of controls has the effect {}.",
        mean(&m.control_exposures),
        m.control_exposures.len(),
        p(m.law),
        mean(&m.exact.controls),
        m.exact.controls.len(),
        m.exact.n_runs,
        p(m.exact.law),
        median(below.iter().copied()),
        below.len(),
        m.tau_controls
            .map_or("–".into(), |(t, lo, hi)| format!("{t:+.3} nats [{lo:+.3}, {hi:+.3}]")),
    )
}

/// Recall at high precision against compute.
fn compute(said: &[Answers]) -> Figure {
    let line = |name: &str| Line {
        name: name.to_owned(),
        points: said.iter().filter_map(|a| Some((a.flop / 1e12, a.recall(name)?))).collect(),
        ..Line::default()
    };
    let mut lines: Vec<Line> =
        [MAIN].into_iter().chain(TO_BEAT).chain([ORACLE]).map(line).collect();
    let proxy = said.first().and_then(|a| Some((a.flop_proxy / 1e12, a.recall(PROXY)?)));
    lines.push(Line { name: PROXY.into(), points: proxy.into_iter().collect(), ..Line::default() });
    lines.retain(|l| !l.points.is_empty());
    Figure {
        name: "compute".into(),
        caption: "Share of the canaries said by heart at the end that is found at a precision of .9 or more, against what had \
                  been computed when it was said. The smaller network is one point: trained to its end."
            .into(),
        body: FigureBody::Scatter {
            x_label: "TFLOP".into(),
            y_label: "recall at precision .9".into(),
            log: false,
            diagonal: false,
            groups: lines,
        },
    }
}

/// Numbers of canaries: forecast against outcome.
fn counts(said: &[Answers]) -> Figure {
    let groups = said.iter().filter_map(|a| {
        let points = a.counts.points(COUNT)?;
        Some(Line { name: format!("from {}", origin(a.share)), points, ..Line::default() })
    });
    Figure {
        name: "counts".into(),
        caption: "How many canaries will be said by heart: the sum of the probabilities of single ones, and what came out.".into(),
        body: FigureBody::Scatter {
            x_label: "forecast (median)".into(),
            y_label: "said at the end".into(),
            log: false,
            diagonal: true,
            groups: groups.filter(|g| !g.points.is_empty()).collect(),
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
            "Effect on the number of canaries said by heart at the end, against the parent's: {} parents, {} recorded readings \
             of whose controls came out the same. Points are parents.",
            f.n_parents, f.n_verified
        ),
        body: FigureBody::Effects {
            x_label: "change of the number".into(),
            seed_band: f.band,
            rows: rows.collect(),
        },
    };
    let number = |v: f64| if v.is_finite() { format!("{v:.2}") } else { "–".into() };
    let rows = f.rows.iter().map(|r| {
        vec![
            r.intervention.clone(),
            r.point.clone(),
            r.effect.differences.len().to_string(),
            number(r.control),
            number(r.end),
            number(r.peak),
            format!("{:.3}", r.score),
            format!("{:+.1} %", 100.0 * (r.valid - 1.0)),
        ]
    });
    let columns =
        ["intervention", "from", "forks", "parents", "end", "peak", "score", "held-out loss"];
    let table = Table {
        caption: format!(
            "Means over parents. Parents, end: canaries said by heart at the end; peak: the most on the way; score: mean \
             memorization score of canaries; held-out loss: against the parent's. `{UNLEARN}` is read after its {} updates of \
             ascent.",
            e.sizes.n_ascent
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    };
    let mut blocks = vec![Block::Figure(effects), Block::Table(table)];
    if !f.relapses.is_empty() {
        let mean = |of: &dyn Fn(&super::forks::Relapse) -> f64| {
            format!("{:.2}", f.relapses.iter().map(of).sum::<f64>() / f.relapses.len() as f64)
        };
        let row = |i: usize, name: &str| {
            vec![
                name.to_owned(),
                mean(&|r| r.said[i]),
                mean(&|r| r.canaries[i]),
                mean(&|r| r.controls[i]),
                mean(&|r| r.valid[i]),
            ]
        };
        let columns = [
            "when",
            "said by heart",
            "loss of canaries",
            "loss of never-inserted",
            "held-out loss",
        ];
        blocks.push(Block::Table(Table {
            caption: format!(
                "The relearning test: {} updates climb the loss of all canaries, then {} train on text and a twentieth of the \
                 canaries. Shown are the other canaries (nats a string) and held-out text (nats a byte); means over parents.",
                e.sizes.n_ascent, e.sizes.n_relearn
            ),
            columns: columns.map(str::to_owned).to_vec(),
            rows: vec![
                row(0, "before"),
                row(1, "unlearned"),
                row(2, "a twentieth taught again"),
            ],
        }));
    }
    blocks
}

/// What the protocol asks (safety 2.8), and what came out.
fn checks(e: &Evidence<'_>, m: &Measured, said: &[Answers]) -> Vec<[String; 3]> {
    let inside = m.tau_controls.map(|(_, lo, hi)| if lo <= 0.0 && hi >= 0.0 { 1.0 } else { 0.0 });
    let goldfish = e.forks.rows.iter().find(|r| r.intervention == "goldfish" && r.point == "start");
    let mut rows = vec![
        check_row(
            "exposure of never-inserted strings by the fit is Exp(1/ln 2): KS p above .01",
            m.law.map(|t| t.p),
            |v| v > 0.01,
        ),
        check_row("the same by rank among 10,000 fresh strings", m.exact.law.map(|t| t.p), |v| {
            v > 0.01
        }),
        check_row(
            "effect of a pretended insertion of controls: 0 inside its 95 % interval (1 = yes)",
            inside,
            |v| v == 1.0,
        ),
        check_row(
            "dose and response: Spearman of insertions and share said, at least .9",
            m.monotone[0],
            |v| v >= 0.9,
        ),
        check_row(
            "dose and response: Spearman of insertions and memorization score, at least .9",
            m.monotone[1],
            |v| v >= 0.9,
        ),
    ];
    for (a, share) in said.iter().zip(ORIGINS) {
        rows.push(check_row(
            &format!(
                "AUPRC of {MAIN} over duplicates-so-far, {}: lower end above 0",
                origin(share)
            ),
            a.gain(MAIN, TO_BEAT[0]).map(|g| g.1),
            |v| v > 0.0,
        ));
        let best = a.best();
        rows.push(check_row(
            &format!(
                "AUPRC of {MAIN} over the best rule without learning ({}), {}: lower end above 0",
                best.unwrap_or("–"),
                origin(share)
            ),
            best.and_then(|b| a.gain(MAIN, b)).map(|g| g.1),
            |v| v > 0.0,
        ));
        let dearer = if a.flop < a.flop_proxy { "which costs more" } else { "which costs less" };
        rows.push(check_row(
            &format!(
                "AUPRC of {MAIN} over the smaller network, {dearer}, {}: lower end above 0",
                origin(share)
            ),
            a.gain(MAIN, PROXY).map(|g| g.1),
            |v| v > 0.0,
        ));
    }
    rows.push(check_row(
        "goldfish from the start: reduction of canaries said by heart, at least .8",
        goldfish.and_then(super::forks::Row::reduction),
        |v| v >= 0.8,
    ));
    rows.push(check_row(
        "goldfish from the start: held-out loss against the parent, below 1.02",
        goldfish.map(|r| r.valid),
        |v| v < 1.02,
    ));
    rows.push(check_row(
        "unlearned canaries come back more than never-seen strings: lower end of the excess above 0",
        excess(e).map(|x| x.1),
        |v| v > 0.0,
    ));
    rows
}
