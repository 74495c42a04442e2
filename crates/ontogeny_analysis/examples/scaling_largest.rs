//! Losses at the largest budgets from those below: Chinchilla's runs, Llama 3 iso-FLOP, Gadre et al.
//!
//! `cargo run --release -p ontogeny_analysis --example scaling_largest -- DATA`. The forms and their weights are chosen
//! inside the visible part; what is held out is read once, to score.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

mod table;

use ontogeny_analysis::scaling::{
    Average, BootstrapOptions, Chinchilla, FRONTIER, FitOptions, FloorNd, KaplanNd, Law,
    Overtraining, Point, Scale, Valley, Weighing, average, predict,
};

const FORMS: [&dyn Law; 6] = [&Chinchilla, &Overtraining, &FloorNd, &Valley, &KaplanNd, &FRONTIER];

struct Scores {
    ours: Vec<f64>,
    chinchilla: Vec<f64>,
    frontier: Vec<f64>,
    covered: usize,
    width: f64,
}

fn loss_of(average: &Average, name: &str, at: &Scale) -> f64 {
    let member = average.members.iter().find(|m| m.name() == name);
    member.map_or(f64::NAN, |m| m.fit.loss(at).unwrap_or(f64::NAN))
}

fn score(name: &str, visible: &[Point], held_out: &[Point], factor: f64) -> Option<Scores> {
    let options = FitOptions::default();
    let forms = average(&FORMS, visible, Weighing::HeldOut, &options, factor).ok()?;
    let boots =
        forms.bootstrap(&BootstrapOptions { n_resamples: 1000, ..BootstrapOptions::default() });
    let mut s =
        Scores { ours: vec![], chinchilla: vec![], frontier: vec![], covered: 0, width: 0.0 };
    for p in held_out {
        let predicted = predict(&forms, &boots, &p.at, &[0.9], 0).ok()?;
        let (_, low, high) = predicted.intervals[0];
        s.ours.push((predicted.loss - p.loss).abs());
        s.chinchilla.push((loss_of(&forms, "chinchilla", &p.at) - p.loss).abs());
        s.frontier.push((loss_of(&forms, "frontier", &p.at) - p.loss).abs());
        s.covered += usize::from(low <= p.loss && p.loss <= high);
        s.width += high - low;
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    println!(
        "{name}: {} visible, {} held out; MAE ours {:.4}, chinchilla alone {:.4}, frontier alone {:.4}; 90 % covers {}/{}, mean width {:.4}",
        visible.len(),
        held_out.len(),
        mean(&s.ours),
        mean(&s.chinchilla),
        mean(&s.frontier),
        s.covered,
        held_out.len(),
        s.width / held_out.len() as f64
    );
    for m in &forms.members {
        println!(
            "    {:24} weight {:.3} held-out error inside {:.4}",
            m.name(),
            m.weight,
            m.held_out_error.unwrap_or(f64::NAN)
        );
    }
    Some(s)
}

/// The largest budgets are held out; visible ones lie at least `gap` below them.
fn by_budget(name: &str, points: &[Point], from: f64, gap: f64, factor: f64) {
    let least =
        points.iter().map(|p| p.at.flops).filter(|c| *c >= from).fold(f64::INFINITY, f64::min);
    let held_out: Vec<Point> = points.iter().filter(|p| p.at.flops >= from).copied().collect();
    let visible: Vec<Point> =
        points.iter().filter(|p| p.at.flops * gap <= least * 1.001).copied().collect();
    if score(name, &visible, &held_out, factor).is_none() {
        println!("{name}: cannot be fitted");
    }
}

fn main() {
    let folder = table::folder();
    let t = table::Table::read(&folder.join("chinchilla-svg/chinchilla.csv.gz"));
    let points: Vec<Point> = (t.rows.iter())
        .map(|r| Point {
            at: Scale::of_params_flops(t.number(r, "params"), t.number(r, "flops")),
            loss: t.number(r, "loss"),
        })
        .collect();
    by_budget("chinchilla-svg, C >= 1e21, gap 4.6", &points, 1e21, 4.6, 1.7);
    by_budget("chinchilla-svg, C >= 2.8e21, gap 4.6", &points, 2.8e21, 4.6, 1.7);
    let t = table::Table::read(&folder.join("isoflop-collection/isoflop.csv.gz"));
    let llama = |skip_outliers: bool| -> Vec<Point> {
        let rows = t.rows.iter().filter(|r| t.text(r, "experiment") == "llama_3__exp_loss");
        let rows = rows.filter(|r| !(skip_outliers && t.text(r, "outlier") == "True"));
        rows.map(|r| Point {
            at: Scale {
                params: t.number(r, "params"),
                tokens: t.number(r, "tokens"),
                flops: t.number(r, "budget"),
            },
            loss: t.number(r, "loss"),
        })
        .collect()
    };
    by_budget("llama 3, C >= 3e21 from <= 1e21, all points", &llama(false), 3e21, 3.0, 1.5);
    by_budget("llama 3, C = 1e22 from <= 3e21, all points", &llama(false), 1e22, 3.0, 1.5);
    by_budget("llama 3, C = 1e21 from <= 3e20, flagged points out", &llama(true), 1e21, 3.0, 1.5);
    gadre(&folder);
}

/// Each training set: the smallest 70 % of the runs by compute are visible, as in the target; also the two-step law.
fn gadre(folder: &std::path::Path) {
    let runs = table::Table::read(&folder.join("overtraining-gadre/runs.csv.gz"));
    let values = table::Table::read(&folder.join("overtraining-gadre/points.csv.gz"));
    for dataset in ["c4_original", "rpj", "rw_original"] {
        let mut points: Vec<Point> = Vec::new();
        for run in runs.rows.iter().filter(|r| runs.text(r, "dataset") == dataset) {
            let id = runs.text(run, "run_id");
            let mut of_run = values.rows.iter().filter(|r| values.text(r, "run_id") == id);
            let Some(row) = of_run.find(|r| values.text(r, "metric").starts_with("loss:c4_val"))
            else {
                continue;
            };
            let at =
                Scale::of_params_tokens(runs.number(run, "params"), runs.number(run, "tokens"));
            let loss = values.number(row, "value");
            if loss.is_finite() {
                points.push(Point { at, loss });
            }
        }
        points.sort_by(|a, b| a.at.flops.total_cmp(&b.at.flops));
        let n = points.len() * 7 / 10;
        let (visible, held_out) = points.split_at(n);
        let reach = held_out.last().map_or(1.0, |p| p.at.flops)
            / visible.last().map_or(1.0, |p| p.at.flops);
        score(&format!("gadre {dataset}, up to x{reach:.0}"), visible, held_out, 3.0);
    }
}
