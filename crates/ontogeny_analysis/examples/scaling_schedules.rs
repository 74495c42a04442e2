//! Final losses under seven unseen schedules from a cosine and a constant one of the same size.
//!
//! `cargo run --release -p ontogeny_analysis --example scaling_schedules -- DATA`. The law is chosen by what each, fitted
//! on the constant curve and the first 60 % of the cosine, says of the rest of the cosine.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

mod table;

use ontogeny_analysis::scaling::schedule::{
    SCHEDULE_LAWS, Schedule, ScheduleLaw, ScheduledCurve, fit_schedule,
};
use ontogeny_analysis::scaling::{FLOOR_D, FitOptions, Point, Scale, ScalingError, fit};
use std::collections::BTreeMap;

type Curves = BTreeMap<(String, String), ScheduledCurve>;

fn curves() -> Result<Curves, ScalingError> {
    let folder = table::folder().join("lr-schedule-curves");
    let runs = table::Table::read(&folder.join("runs.csv.gz"));
    let points = table::Table::read(&folder.join("points.csv.gz"));
    let mut all = Curves::new();
    for run in &runs.rows {
        let id = runs.text(run, "run_id");
        let series = |metric: &str| -> Vec<(u64, f64)> {
            let rows = points.rows.iter().filter(|r| points.text(r, "run_id") == id);
            let rows = rows.filter(|r| points.text(r, "metric") == metric);
            rows.map(|r| (points.number(r, "step") as u64, points.number(r, "value"))).collect()
        };
        let schedule = Schedule::from_readings(&series("lr"))?;
        let (steps, losses) = series("loss").into_iter().unzip();
        let key = (runs.text(run, "model").to_owned(), runs.text(run, "schedule").to_owned());
        all.insert(key, ScheduledCurve { schedule, steps, losses });
    }
    Ok(all)
}

/// The first part of a curve.
fn head(curve: &ScheduledCurve, part: f64) -> ScheduledCurve {
    let n = (curve.steps.len() as f64 * part) as usize;
    let mut head = curve.clone();
    head.steps.truncate(n);
    head.losses.truncate(n);
    head
}

/// Absolute ln errors on the last tenth of the cosine after fitting on its first part.
fn inner(
    law: &'static dyn ScheduleLaw,
    cosine: &ScheduledCurve,
    constant: &ScheduledCurve,
) -> Option<Vec<f64>> {
    let fitted = fit_schedule(law, &[head(cosine, 0.6), constant.clone()]).ok()?;
    let from = cosine.steps.len() * 7 / 10;
    let predicted = fitted.losses(&cosine.schedule, &cosine.steps[from..]);
    Some(predicted.iter().zip(&cosine.losses[from..]).map(|(p, l)| (l / p).ln().abs()).collect())
}

fn main() -> Result<(), ScalingError> {
    let all = curves()?;
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (mut covered, mut n_scored) = (0, 0);
    for model in ["25M", "100M", "400M"] {
        let curve = |name: &str| &all[&(model.to_owned(), name.to_owned())];
        let (cosine_name, constant_name) = ("cosine_24000", "constant_24000");
        {
            let (cosine, constant) = (curve(cosine_name), curve(constant_name));
            let mut errors: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
            let mut inside: Vec<(f64, &'static dyn ScheduleLaw, Vec<f64>)> = Vec::new();
            for law in SCHEDULE_LAWS {
                let Some(e) = inner(*law, cosine, constant) else { continue };
                inside.push((mean(&e), *law, e));
            }
            inside.sort_by(|a, b| a.0.total_cmp(&b.0));
            let unseen: Vec<&(String, String)> = (all.keys())
                .filter(|k| k.0 == model && k.1 != cosine_name && k.1 != constant_name)
                .collect();
            let visible = [cosine.clone(), constant.clone()];
            let fits: Vec<_> =
                inside.iter().filter_map(|i| fit_schedule(i.1, &visible).ok()).collect();
            let pooled: Vec<Point> = (visible.iter())
                .flat_map(|c| c.steps.iter().zip(&c.losses))
                .map(|(s, l)| Point {
                    at: Scale { params: 1.0, tokens: *s as f64, flops: 1.0 },
                    loss: *l,
                })
                .collect();
            let blind = fit(&FLOOR_D, &pooled, &FitOptions::default())?;
            for key in unseen {
                let c = &all[key];
                let (Some(&step), Some(&truth)) = (c.steps.last(), c.losses.last()) else {
                    continue;
                };
                let mut predictions = Vec::new();
                for f in &fits {
                    let p = f.losses(&c.schedule, &[step])[0];
                    errors.entry(f.law.spec().0).or_default().push((p - truth).abs());
                    predictions.push(p);
                }
                let b = blind.loss(&Scale { params: 1.0, tokens: step as f64, flops: 1.0 })?;
                errors.entry("blind power law").or_default().push((b - truth).abs());
                errors.entry("chosen inside").or_default().push((predictions[0] - truth).abs());
                let average = mean(&predictions);
                errors.entry("mean of both").or_default().push((average - truth).abs());
                // 90 % of the inner errors of the chosen law, or half of what the laws disagree, added in squares.
                let mut inner_errors = inside[0].2.clone();
                inner_errors.sort_by(f64::total_cmp);
                let q =
                    inner_errors[(inner_errors.len() * 9 / 10).min(inner_errors.len() - 1)] * truth;
                let spread = 0.5 * (predictions[0] - predictions[predictions.len() - 1]).abs();
                let half = (q * q + 1.645 * 1.645 * spread * spread).sqrt();
                covered += usize::from((predictions[0] - truth).abs() <= half);
                n_scored += 1;
            }
            println!(
                "{model} from {cosine_name} + {constant_name}; inside: {:?}",
                inside
                    .iter()
                    .map(|i| (i.1.spec().0, (i.0 * 1e5).round() / 1e5))
                    .collect::<Vec<_>>()
            );
            for (name, e) in &errors {
                let worst = e.iter().copied().fold(0.0, f64::max);
                println!(
                    "    {name:16} MAE {:.4} worst {worst:.4} over {} schedules",
                    mean(e),
                    e.len()
                );
            }
        }
    }
    println!("90 % intervals around the law chosen inside cover {covered} of {n_scored}");
    Ok(())
}
