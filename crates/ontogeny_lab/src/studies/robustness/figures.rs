//! What is drawn: trajectories, forecasts, the front, the search.

use super::search::SEARCH;
use super::sizes::{ORIGINS, RUNGS, Sizes};
use super::tables::{Answers, find};
use super::{CERTIFIED, CLEAN, Evidence, FREE, MAIN, PGD, origin, outcome};
use crate::RunRecord;
use crate::draw::{line, panel};
use ontogeny_core::{Figure, FigureBody, Line, Marker, Step};
use ontogeny_train::ObjectiveConfig;

/// One run of the reference curriculum, whole: its ramp, what is certified on the ladder of radii, boxes and units.
pub(super) fn trajectory(e: &Evidence<'_>) -> Option<Figure> {
    let r = e.parents.iter().find(|r| !r.diverged())?;
    let config = r.config().ok()?;
    let ObjectiveConfig::Certified(c) = &config.objective else { return None };
    let curve = |name: &str, of: &dyn Fn(Step) -> f64| {
        let steps = (0..=100).map(|i| Step(i * config.horizon / 100));
        let points = steps.map(|s| (s.0 as f64, of(s))).collect();
        Line { name: name.to_owned(), points, ..Line::default() }
    };
    let top = c.eps.largest();
    let schedules = vec![
        curve("epsilon, share of the whole", &|s| c.eps.at(s) / top),
        curve("kappa", &|s| c.kappa.at(s)),
    ];
    let accuracies = [
        ("clean", "probe.accuracy"),
        ("under attack", "probe.attacked.accuracy"),
        ("certified at eps/4", "probe.certified.ibp.quarter"),
        ("certified at eps/2", "probe.certified.ibp.half"),
        ("certified at eps", "probe.certified"),
    ];
    let accuracies = accuracies.map(|(name, series)| line(r, series, name)).to_vec();
    let units = (0..3).map(|l| {
        line(r, &format!("probe.relu.unstable.{l}"), &format!("unstable ReLUs, layer {l}"))
    });
    let conflict = line(r, "goal_conflict.cosine", "cosine of natural and certified gradient");
    let units = units.filter(|l| !l.points.is_empty()).chain([conflict]).collect();
    let radii = (0..4)
        .map(|l| line(r, &format!("probe.radius.{l}"), &format!("after layer {l}")))
        .filter(|l| l.points.iter().any(|p| p.1 > 0.0))
        .collect();
    let mut shares = panel("accuracy, probe split", false, accuracies, vec![]);
    shares.y_range = Some((0.0, 1.0));
    Some(Figure {
        name: "trajectory".into(),
        caption: format!(
            "A run of the reference curriculum ({}): what is proved of it at a quarter, half and all of epsilon, how boxes \
             grow, and where being right and being provably right disagree.",
            r.id()
        ),
        body: FigureBody::Panels {
            x_label: "update".into(),
            x_log: false,
            panels: vec![
                panel("curriculum", false, schedules, vec![]),
                shares,
                panel("radius, in radii of the image", true, radii, vec![]),
                panel("share, cosine", false, units, vec![]),
            ],
        },
    })
}

/// All test runs, told apart by their radius.
pub(super) fn arms(e: &Evidence<'_>) -> Figure {
    let markers: Vec<Marker> =
        (ORIGINS.iter()).map(|s| Marker { x: e.sizes.at(*s) as f64, name: origin(*s) }).collect();
    let drawn = |series: &str, label: &str| {
        let lines = e.sizes.radii.iter().flat_map(|eps| {
            let own = move |r: &&RunRecord| {
                let known = e.features.get(r.id()).and_then(|f| f.get("ln_eps"));
                known.is_some_and(|v| (v.exp() / eps - 1.0).abs() < 1e-9)
            };
            e.test.iter().filter(own).map(move |r| line(r, series, &format!("eps {eps}")))
        });
        let mut p = panel(label, false, lines.collect(), markers.clone());
        p.y_range = Some((0.0, 1.0));
        p
    };
    Figure {
        name: "arms".into(),
        caption: "Test arms by the radius at which they are tested. Certified accuracy is 0 while intervals explode, rises \
                  with the ramp, and often falls again when the ramp goes on. Vertical lines: the origins of the forecasts."
            .into(),
        body: FigureBody::Panels {
            x_label: "update".into(),
            x_log: false,
            panels: vec![
                drawn(CERTIFIED.probe, "certified accuracy, probe split"),
                drawn(CLEAN.probe, "clean accuracy, probe split"),
            ],
        },
    }
}

/// Medians of the forecasts from one origin against what came out.
pub(super) fn forecasts(all: &[Answers], share: f64) -> Option<Figure> {
    let a = find(all, CERTIFIED.short, share)?;
    let group = |name: &str| {
        let points = a.voices.points(name)?;
        Some(Line { name: name.to_owned(), points, ..Line::default() })
    };
    let groups = [Some(MAIN), a.voices.best_of(&FREE)];
    Some(Figure {
        name: "forecasts".into(),
        caption: format!(
            "Test arms: medians of forecasts of certified accuracy from {} of the run and what came out, for the theory and \
             the best of the baselines B0 to B3.",
            origin(share)
        ),
        body: FigureBody::Scatter {
            x_label: "forecast of certified accuracy".into(),
            y_label: "certified accuracy at the end, audit split".into(),
            log: false,
            diagonal: true,
            groups: groups.into_iter().flatten().filter_map(group).collect(),
        },
    })
}

/// Clean against certified accuracy over the last weight of the natural loss, and the finalists.
pub(super) fn front(e: &Evidence<'_>) -> Figure {
    let at = e.sizes.horizon;
    let points = |runs: &[RunRecord]| -> Vec<(f64, f64)> {
        let of = |r: &RunRecord| outcome(r, CLEAN.audit, at).zip(outcome(r, CERTIFIED.audit, at));
        runs.iter().filter_map(of).collect()
    };
    let mut groups: Vec<Line> = Vec::new();
    for front in e.fronts {
        for (kappa, runs) in &front.points {
            let name = format!("reference, eps {}, kappa {kappa}", front.eps);
            groups.push(Line { name, points: points(runs), ..Line::default() });
        }
    }
    for f in &e.search.finalists {
        let name = format!("{} on fresh seeds", f.trial.who);
        groups.push(Line { name, points: points(&f.runs), ..Line::default() });
    }
    Figure {
        name: "front".into(),
        caption: "Certified over clean accuracy on the audit split, one point a run: the reference curriculum with four last \
                  weights of the natural loss, and the finalists of the search."
            .into(),
        body: FigureBody::Scatter {
            x_label: "clean accuracy".into(),
            y_label: "certified accuracy".into(),
            log: false,
            diagonal: false,
            groups,
        },
    }
}

/// Epsilon of the finalists over the run, and forecasts of the arms at their rungs.
pub(super) fn design(e: &Evidence<'_>) -> Figure {
    let sizes: &Sizes = e.sizes;
    let ramps = e.search.finalists.iter().map(|f| {
        let eps = f.trial.curriculum.objective(sizes.horizon, sizes.eps).eps;
        let steps = (0..=100).map(|i| Step(i * sizes.horizon / 100));
        let points = steps.map(|s| (s.0 as f64, eps.at(s))).collect();
        Line { name: f.trial.who.to_owned(), points, ..Line::default() }
    });
    let arms = e.search.trials.iter().filter(|t| t.who == SEARCH).map(|t| {
        let rungs = RUNGS.iter().map(|s| sizes.at(*s) as f64).zip(t.forecasts.iter().copied());
        let end = t.end.map(|(certified, _)| (sizes.horizon as f64, certified));
        let name = if t.end.is_some() { "to the end" } else { "pruned" };
        let points = rungs.chain(end).collect();
        Line { name: name.into(), points, faint: t.end.is_none(), ..Line::default() }
    });
    let mut promise = panel("upper forecast, then what came out", false, arms.collect(), vec![]);
    promise.y_range = Some((0.0, 1.0));
    Figure {
        name: "design".into(),
        caption: "Above: how epsilon rises in the curricula that were tried on fresh seeds. Below: the arms of the search, \
                  the upper quantile of the forecast at each rung, and for those that came to the end the certified \
                  accuracy on the probe split."
            .into(),
        body: FigureBody::Panels {
            x_label: "update".into(),
            x_log: false,
            panels: vec![panel("epsilon of training", false, ramps.collect(), vec![]), promise],
        },
    }
}

/// Certified accuracy under attack and clean over the run's end, for the headline.
pub(super) fn mean_of(runs: &[RunRecord], series: &str, at: u64) -> f64 {
    let all: Vec<f64> = runs.iter().filter_map(|r| outcome(r, series, at)).collect();
    if all.is_empty() { f64::NAN } else { all.iter().sum::<f64>() / all.len() as f64 }
}

/// Certified, attacked and clean accuracy of runs, means.
pub(super) fn means(e: &Evidence<'_>, runs: &[RunRecord]) -> [f64; 3] {
    [CERTIFIED.audit, PGD, CLEAN.audit].map(|s| mean_of(runs, s, e.sizes.horizon))
}
