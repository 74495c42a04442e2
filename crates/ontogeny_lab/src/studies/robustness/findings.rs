//! Condenses the evidence into findings.

use super::super::StudyContext;
use super::audit::{self, attacked};
use super::figures;
use super::forks::Row;
use super::search::{Finalist, UPPER};
use super::sizes::{ORIGINS, RUNGS};
use super::tables::{Answers, answers, find, table};
use super::{
    ASKED, CERTIFIED, CLEAN, COLLAPSED, Evidence, MAIN, PGD, PROXY, STUDY, origin, outcome,
};
use crate::draw::{median, tree};
use crate::paired::effect_row;
use crate::studies::{check_row, checks_table, manifest_block, probe_share, scorecard_blocks};
use crate::voices::Standing;
use crate::{LabError, RunRecord};
use ontogeny_analysis::effects::{Effect, Pair, Reach, Reading, paired_effect};
use ontogeny_core::{Block, EffectRow, Figure, FigureBody, Findings, Section, Step, Table};

/// The origin of the protocol's question.
const ASKED_AT: f64 = ORIGINS[1];

/// Writes the findings from the evidence and the ledger as it now stands.
pub(super) fn write(ctx: &StudyContext<'_>, e: &Evidence<'_>) -> Result<Findings, LabError> {
    let all = answers(ctx, e)?;
    let mut shown: Vec<&RunRecord> = e.parents.iter().collect();
    shown.extend(e.forks.forked.iter().map(|f| &f.record));
    let mut runs = vec![Block::Tree(tree(&shown))];
    runs.extend(e.parents.first().map(manifest_block));
    let sections = vec![
        Section { heading: "Observe".into(), blocks: observe(e) },
        Section { heading: "Predict".into(), blocks: predict(&all) },
        Section { heading: "Intervene".into(), blocks: intervene(e) },
        Section { heading: "Design".into(), blocks: design(e) },
        Section { heading: "Audit".into(), blocks: audited(e) },
        Section { heading: "Scorecard".into(), blocks: scorecard_blocks(ctx)? },
        Section { heading: "Acceptance".into(), blocks: vec![checks_table(&checks(e, &all))] },
        Section { heading: "Forked runs".into(), blocks: runs },
    ];
    let n_sealed = all.iter().flat_map(|a| a.voices.iter());
    let n_sealed: usize = n_sealed.filter(|v| v.2 == Standing::Sealed).map(|v| v.1.len()).sum();
    let n_diverged = e.test.iter().chain(e.fit).filter(|r| r.diverged()).count();
    let share = 100.0 * probe_share(e.parents);
    Ok(Findings {
        study: STUDY.name.into(),
        title: "What will be provable of a network".into(),
        question: "From the first 10 to 30 % of certified training, can it be forecast how much will be provable of the \
                   final network; what changes it; and is there a curriculum that makes more provable at equal compute?"
            .into(),
        headline: headline(e, &all),
        command: ctx.command(STUDY.name),
        facts: vec![
            ("arms fitted".into(), e.fit.len().to_string()),
            ("arms forecast".into(), e.test.len().to_string()),
            ("forks".into(), e.forks.forked.len().to_string()),
            ("curricula tried".into(), e.search.n_curricula().to_string()),
            ("forecasts and baselines sealed".into(), n_sealed.to_string()),
            ("control readings verified".into(), e.forks.n_verified.to_string()),
            ("diverged".into(), n_diverged.to_string()),
            ("probes, share of training time".into(), format!("{share:.0} %")),
        ],
        sections,
    })
}

/// What the claim grammar allows about a property at an origin.
fn sentence(e: &Evidence<'_>, all: &[Answers], short: &str, share: f64) -> Option<String> {
    let a = find(all, short, share)?;
    let s = a.voices.score(MAIN)?;
    let (best, (d, lo, hi)) = a.gain(MAIN)?;
    let (at, property) = (origin(share), a.asked.property);
    if !a.is_sealed(MAIN) {
        return Some(format!(
            "{property}: not predictable from {at} of a run. The {} fit arms showed no gain over the best baseline, so \
             nothing was sealed; what would have been said has R² {:.2} on {} test arms (best baseline: {best}, difference \
             {d:+.2} [{lo:+.2}, {hi:+.2}]).",
            e.fit.len(),
            s.r2,
            s.n
        ));
    }
    let verb = if lo > 0.0 {
        "early signals beside the configuration predict it"
    } else if hi < 0.0 {
        "early signals beside the configuration are worse than the best baseline"
    } else {
        "early signals beside the configuration are not distinguishable from the best baseline"
    };
    let order = s.spearman.map_or(String::new(), |v| format!(", rank correlation {v:.2}"));
    Some(format!(
        "{property} from {at} of a run: {verb}. R² {:.2}{order} on {} arms that nothing was fitted on, {d:+.2} [{lo:+.2}, \
         {hi:+.2}] over {best}; 90 % intervals cover {:.2}.",
        s.r2, s.n, s.cov90
    ))
}

/// Of the first finalist less another, over fresh seeds.
fn difference(e: &Evidence<'_>, rival: usize, series: &str) -> Option<Effect> {
    let [first, other] = [e.search.finalists.first()?, e.search.finalists.get(rival)?];
    let at = e.sizes.horizon;
    let pairs = first.runs.iter().zip(&other.runs).filter_map(|(a, b)| {
        let treated = Reading::Value(outcome(a, series, at)?);
        Some(Pair { treated, control: Reading::Value(outcome(b, series, at)?) })
    });
    Some(paired_effect(&pairs.collect::<Vec<_>>(), None, 0.95))
}

fn numbers(effect: &Effect) -> String {
    match (effect.mean, effect.interval) {
        (Some(m), Some((lo, hi))) if lo.is_finite() => format!("{m:+.3} [{lo:+.3}, {hi:+.3}]"),
        (Some(m), _) => format!("{m:+.3}"),
        _ => "–".to_owned(),
    }
}

fn headline(e: &Evidence<'_>, all: &[Answers]) -> Vec<String> {
    let mut says: Vec<String> =
        ASKED.iter().filter_map(|a| sentence(e, all, a.short, ASKED_AT)).collect();
    let mean = |r: &&Row| r.certified.mean.map_or(0.0, f64::abs);
    let sure = |r: &&Row| matches!(r.certified.reach, Reach::Up | Reach::Down);
    match e.forks.rows.iter().filter(sure).max_by(|a, b| mean(a).total_cmp(&mean(b))) {
        Some(r) => says.push(format!(
            "Largest effect of a fork on certified accuracy: {} from {} causes {} ({} on clean accuracy, {:.1} times the \
             compute after the fork).",
            r.intervention,
            r.point,
            numbers(&r.certified),
            numbers(&r.clean),
            r.cost
        )),
        None => says.push(format!(
            "No fork of {} runs changed certified accuracy by more than the spread between seeds.",
            e.forks.n_parents
        )),
    }
    if let (Some([designed, rival]), Some(effect)) =
        (e.search.finalists.first_chunk::<2>(), difference(e, 1, CERTIFIED.audit))
    {
        let verdict = match effect.interval {
            Some((lo, _)) if lo > 0.0 => "more is provable with the designed curriculum than with",
            Some((_, hi)) if hi < 0.0 => "less is provable with the designed curriculum than with",
            _ => "the designed curriculum is not distinguishable from",
        };
        let clean = difference(e, 1, CLEAN.audit).map_or("–".into(), |d| numbers(&d));
        says.push(format!(
            "At equal compute of the search (within {:.2} %), {verdict} the best tuned published ramp ({}): certified \
             accuracy {} over {} fresh seeds ({:.3} and {:.3}), clean {clean}.",
            100.0 * e.search.imbalance().unwrap_or(f64::NAN),
            rival.trial.curriculum.name(),
            numbers(&effect),
            designed.runs.len(),
            figures::means(e, &designed.runs)[0],
            figures::means(e, &rival.runs)[0]
        ));
    }
    let t = audit::tally(e);
    says.push(format!(
        "{} certified examples were broken by an attack, among {} audited examples of {} attacked runs.",
        t.broken, t.n_examples, t.n_runs
    ));
    says
}

fn observe(e: &Evidence<'_>) -> Vec<Block> {
    // Twice a radius must stay below the distance, or one image is asked for two answers.
    let largest = e.sizes.radii.iter().copied().fold(e.sizes.eps, f64::max);
    let far = e.sizes.distances(0).map_or(String::new(), |(low, middle)| {
        let verdict = if low < 2.0 * largest { "the largest radius may ask" } else { "no radius asks" };
        format!(
            " The nearest example of another class differs in some pixel by {low:.2} (10th percentile of 500) and {middle:.2} \
             (median) of the range: {verdict} for two answers to one image."
        )
    });
    let stalled =
        |r: &&RunRecord| r.value(CLEAN.probe, Step(e.sizes.at(ASKED_AT))).is_some_and(|v| v < 0.3);
    let collapsed =
        |r: &&RunRecord| outcome(r, CLEAN.audit, e.sizes.horizon).is_some_and(|v| v <= COLLAPSED);
    let grid = || e.fit.iter().chain(e.test);
    let mut blocks = vec![Block::Text(format!(
        "{} arms on {} were drawn before any run: curriculum, radius {:?}, learning rate, and (by the seed) the examples. \
         Which are fitted and which are forecast was drawn with them. Forecasters read the probe split ({} examples), \
         outcomes come from the audit split ({}); a share of its examples has a binomial error of at most {:.3}.{far} At \
         {} of the run {} arms are stalled (clean accuracy below .3); {} end collapsed (at or below {COLLAPSED}).",
        e.fit.len() + e.test.len(),
        e.sizes.images(),
        e.sizes.radii,
        e.sizes.n_probe,
        e.sizes.n_audit,
        0.5 / (e.sizes.n_audit as f64).sqrt(),
        origin(ASKED_AT),
        grid().filter(stalled).count(),
        grid().filter(collapsed).count(),
    ))];
    blocks.extend(figures::trajectory(e).map(Block::Figure));
    blocks.push(Block::Figure(figures::arms(e)));
    blocks
}

fn predict(all: &[Answers]) -> Vec<Block> {
    let mut blocks: Vec<Block> =
        figures::forecasts(all, ASKED_AT).map(Block::Figure).into_iter().collect();
    blocks.extend(ASKED.iter().map(|asked| Block::Table(table(all, asked))));
    let rows = ORIGINS.iter().filter_map(|share| {
        let a = find(all, CLEAN.short, *share)?;
        let (main, n, of) = a.collapse(MAIN)?;
        let number = |v: Option<f64>| v.map_or("–".to_owned(), |v| format!("{v:.2}"));
        let proxy = number(a.collapse(PROXY).and_then(|c| c.0));
        let config = number(a.collapse("config-forest").and_then(|c| c.0));
        Some(vec![origin(*share), format!("{n} of {of}"), number(main), config, proxy])
    });
    let columns = ["origin", "collapsed", MAIN, "B3 config-forest", "B5 proxy-run"];
    blocks.push(Block::Table(Table {
        caption: format!(
            "Collapse of training (clean accuracy at the end at or below {COLLAPSED}): area under the curve of its \
             probability under the forecasts of clean accuracy. No area where it never came."
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }));
    blocks
}

fn forest_row(label: &str, effect: &Effect) -> EffectRow {
    let mut row = effect_row(label, effect, None);
    row.note = row.note.replace("later", "more").replace("sooner", "less");
    row
}

fn intervene(e: &Evidence<'_>) -> Vec<Block> {
    let f = e.forks;
    let rows = f
        .rows
        .iter()
        .map(|r| forest_row(&format!("{}, {}", r.intervention, r.point), &r.certified));
    let figure = Figure {
        name: "effects".into(),
        caption: format!(
            "Effect on certified accuracy at the end, against the parent: {} parents, {} recorded readings of whose \
             controls came out the same. Points are parents.",
            f.n_parents, f.n_verified
        ),
        body: FigureBody::Effects {
            x_label: "change of certified accuracy".into(),
            seed_band: f.bands[0],
            rows: rows.collect(),
        },
    };
    let number = |v: f64| if v.is_finite() { format!("{v:.3}") } else { "–".into() };
    let rows = f.rows.iter().map(|r| {
        let mut row = vec![
            r.intervention.clone(),
            r.point.clone(),
            r.certified.differences.len().to_string(),
            numbers(&r.certified),
            numbers(&r.clean),
        ];
        row.extend(r.ends.map(number));
        row.push(format!("{:.2}", r.cost));
        row
    });
    let columns = [
        "intervention",
        "from",
        "forks",
        "effect on certified (95 %)",
        "effect on clean (95 %)",
        "certified",
        "under attack",
        "clean",
        "compute",
    ];
    let table = Table {
        caption: "Paired effects on the audit split, means of the forks at the end, and the compute after the fork over that \
                  of the parent after the same step."
            .into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    };
    vec![Block::Figure(figure), Block::Table(table)]
}

fn design(e: &Evidence<'_>) -> Vec<Block> {
    let s = e.search;
    let rungs: Vec<String> = RUNGS.iter().map(|r| origin(*r)).collect();
    let mut blocks = vec![Block::Text(format!(
        "Successive halving over {:?} arms with rungs at {} and the end; promoted by the {UPPER} quantile of {}. The \
         forecaster was fitted on the {} runs of the grid, whose compute is not in the ledger. Knots of the ramp: \
         increments uniform on the simplex, whole at .6 or .8 of the run, overshoot .8 to 1.3, last kappa 0, .25 or .5. \
         The rule that raises epsilon when enough is certified is not among the arms: an update knows no accuracy of the \
         probe split.",
        e.sizes.arms,
        rungs.join(", "),
        s.promoted_by,
        e.fit.len() + e.test.len()
    ))];
    let first = s.spent.first().map_or(f64::NAN, |s| s.flop);
    let rows = s.spent.iter().map(|s| {
        vec![
            s.who.clone(),
            s.n_whole.to_string(),
            s.n_pruned.to_string(),
            s.updates.to_string(),
            format!("{:.4e}", s.flop),
            format!("{:+.3} %", 100.0 * (s.flop / first - 1.0)),
        ]
    });
    let columns =
        ["who", "whole runs", "stopped before", "updates", "FLOP", "difference from the search"];
    blocks.push(Block::Table(Table {
        caption: "Compute of everybody, as their runs counted it; pruned work counts.".into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }));
    let number = |v: Option<f64>| v.map_or("–".to_owned(), |v| format!("{v:.3}"));
    let rows = s.trials.iter().map(|t| {
        vec![
            t.name.clone(),
            t.curriculum.name(),
            t.reached.to_string(),
            t.forecasts.iter().map(|v| format!("{v:.2}")).collect::<Vec<_>>().join(", "),
            number(t.end.map(|e| e.0)),
            number(t.end.map(|e| e.1)),
        ]
    });
    let columns = ["trial", "curriculum", "updates", "upper forecasts", "certified", "clean"];
    blocks.push(Block::Table(Table {
        caption: "Everything that was tried, on one seed and by the probe split, on which the best are chosen: the chosen \
                  ones look better here than they are."
            .into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }));
    blocks.push(Block::Figure(figures::design(e)));
    let rows = s.finalists.iter().enumerate().map(|(i, f)| finalist(e, i, f));
    let columns = [
        "who",
        "curriculum",
        "fresh seeds",
        "certified",
        "under attack",
        "clean",
        "search less it, certified (95 %)",
        "search less it, clean (95 %)",
    ];
    blocks.push(Block::Table(Table {
        caption: "The winner of the search, the best tuned published ramp and the best of random search on fresh seeds, \
                  audited once: means, and paired differences over seeds."
            .into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }));
    blocks
}

fn finalist(e: &Evidence<'_>, i: usize, f: &Finalist) -> Vec<String> {
    let mut row = vec![f.trial.who.to_owned(), f.trial.curriculum.name(), f.runs.len().to_string()];
    let number = |v: f64| if v.is_finite() { format!("{v:.3}") } else { "–".into() };
    row.extend(figures::means(e, &f.runs).map(number));
    for series in [CERTIFIED.audit, CLEAN.audit] {
        let against = difference(e, i, series).filter(|_| i > 0);
        row.push(against.map_or("–".to_owned(), |d| numbers(&d)));
    }
    row
}

fn audited(e: &Evidence<'_>) -> Vec<Block> {
    let t = audit::tally(e);
    let blind = match t.blind {
        0 => String::new(),
        n => format!(
            " In {n} runs the attack was blind on some example: they have no accuracy under attack."
        ),
    };
    let text = format!(
        "{} runs were attacked on the audit split (40 steps of a quarter of the radius on the margin, 10 starts), {} \
         examples in all. Certified and broken: {}. Right under attack and wrong without: {}. Runs with fewer proofs about \
         real numbers than about f32 in any order, which promise more: {}.{blind}",
        t.n_runs, t.n_examples, t.broken, t.unclean, t.disordered
    );
    vec![Block::Text(text), Block::Table(audit::table(e)), Block::Figure(figures::front(e))]
}

/// What the protocol asks (safety 4.9), and what came out.
fn checks(e: &Evidence<'_>, all: &[Answers]) -> Vec<[String; 3]> {
    let t = audit::tally(e);
    let a = find(all, CERTIFIED.short, ASKED_AT);
    let standing = match a {
        Some(a) if a.is_sealed(MAIN) => "",
        _ => " (not sealed: after the fact)",
    };
    let gap = attacked(e).filter_map(|r| {
        let at = e.sizes.horizon;
        Some(outcome(r, PGD, at)? - outcome(r, CERTIFIED.audit, at)?)
    });
    let interval = difference(e, 1, CERTIFIED.audit).and_then(|d| d.interval);
    vec![
        check_row("certified examples that an attack broke: 0", Some(t.broken as f64), |v| {
            v == 0.0
        }),
        check_row(
            "examples right under attack and wrong without: 0",
            Some(t.unclean as f64),
            |v| v == 0.0,
        ),
        check_row(
            "median over attacked runs of accuracy under attack less certified: not below 0",
            Some(median(gap)),
            |v| v >= 0.0,
        ),
        check_row("compute of competitors: within 1 % of the search", e.search.imbalance(), |v| {
            v <= 0.01
        }),
        check_row("arms forecast, at least 27", Some(e.test.len() as f64), |v| v >= 27.0),
        check_row(
            &format!("rank correlation of the 20 % forecast and the end: at least .6{standing}"),
            a.and_then(|a| a.voices.score(MAIN)?.spearman),
            |v| v >= 0.6,
        ),
        check_row(
            &format!(
                "R² of the 20 % forecast over the best of B0 to B3: lower end above 0{standing}"
            ),
            a.and_then(|a| a.gain(MAIN)).map(|g| g.1.1),
            |v| v > 0.0,
        ),
        check_row(
            "designed less best published ramp, fresh seeds: lower end of certified accuracy above 0",
            interval.map(|i| i.0),
            |v| v > 0.0,
        ),
    ]
}
