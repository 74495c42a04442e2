//! How a fit to the public Chinchilla points compares with the published replication of Besiroglu et al. 2024
//! (arXiv:2404.10102).

use ontogeny_analysis::scaling::{Fit, Point};

/// Published parameters with the tolerance to which they are expected: a part of the value for A and B, which are nearly
/// unidentified.
const PUBLISHED: [(&str, f64, f64); 5] = [
    ("A", 482.01, 0.05 * 482.01),
    ("B", 2085.43, 0.05 * 2085.43),
    ("E", 1.8172, 0.005),
    ("alpha", 0.3478, 0.003),
    ("beta", 0.3658, 0.003),
];

/// The optimum of the authors' code on these points, and how near it must be met.
const OBJECTIVE: (f64, f64) = (1.018_27e-3, 1e-7);

/// Whether these are the 245 points that Epoch extracted from the figure: their number and the sums of ln N, ln C and
/// ln L, which are known to six digits.
pub(super) fn is_chinchilla(points: &[Point]) -> bool {
    let sum = |f: fn(&Point) -> f64| points.iter().map(|p| f(p).ln()).sum::<f64>();
    let near = |a: f64, b: f64| (a - b).abs() < 0.01;
    points.len() == 245
        && near(sum(|p| p.at.params), SUMS[0])
        && near(sum(|p| p.at.flops), SUMS[1])
        && near(sum(|p| p.loss), SUMS[2])
}

/// Sums of ln N, ln C and ln L over the points.
const SUMS: [f64; 3] = [5_043.344_3, 11_235.603_6, 238.942_9];

/// One published value beside ours.
#[derive(Debug, serde::Serialize)]
pub(super) struct Comparison {
    name: &'static str,
    ours: f64,
    published: f64,
    tolerance: f64,
    is_within: bool,
}

/// The comparison, if the fit is Chinchilla's law on those points without the five of highest loss.
pub(super) fn compare(fit: &Fit, points: &[Point]) -> Option<Vec<Comparison>> {
    let is_the_recipe = fit.law.spec().name == "chinchilla" && fit.options.drop_highest == 5;
    if !is_the_recipe || !is_chinchilla(points) {
        return None;
    }
    let row = |(name, published, tolerance): (&'static str, f64, f64), ours: f64| Comparison {
        name,
        ours,
        published,
        tolerance,
        is_within: (ours - published).abs() <= tolerance,
    };
    let parameters = PUBLISHED.iter().filter_map(|p| Some(row(*p, fit.quantity(p.0)?)));
    let objective = row(("objective", OBJECTIVE.0, OBJECTIVE.1), fit.objective);
    Some(std::iter::once(objective).chain(parameters).collect())
}

/// The comparison as a sentence.
pub(super) fn sentence(rows: &[Comparison]) -> String {
    let within = rows.iter().filter(|r| r.is_within).count();
    let verdict = if within == rows.len() { "reproduces" } else { "does NOT reproduce" };
    let cells: Vec<String> = rows
        .iter()
        .map(|r| {
            format!(
                "{} {} ({})",
                r.name,
                crate::text::number(r.ours),
                crate::text::number(r.published)
            )
        })
        .collect();
    format!(
        "these are the public Chinchilla points: this {verdict} the replication of Besiroglu et al. 2024 \
        (arXiv:2404.10102), {within} of {} values within tolerance; ours (theirs): {}",
        rows.len(),
        cells.join(", ")
    )
}
