//! `ontogeny scaling predict`: the loss at sizes, data and compute not tried.

use super::Recipe;
use super::points::Source;
use crate::face::{Face, write_json};
use crate::failure::Failure;
use crate::text::{Table, number};
use ontogeny_analysis::scaling::{Average, Point, Scale, predict};
use serde_json::json;
use std::io::Write;

/// Predict losses with intervals, averaged over the laws that predicted the largest budgets best
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ontogeny scaling predict runs.csv --at N=7e10,D=1.4e12
  ontogeny scaling predict runs.csv --at C=1e24 --law chinchilla")]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    recipe: Recipe,

    /// Where: two of N, D, C, or C alone for its best size; may be given several times
    #[arg(long, required = true, value_name = "N=..,D=..")]
    at: Vec<String>,
}

pub(super) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let asked: Vec<Scale> = args.at.iter().map(|a| place(a)).collect::<Result<_, _>>()?;
    let points = args.source.read()?;
    let average = args.recipe.average(&points)?;
    let boots = average.bootstrap(&args.recipe.bootstrap_options());
    let mut table =
        Table::new(["N", "D", "C", "loss", "50 % low", "high", "90 % low", "high ", "beyond data"]);
    let mut answers = Vec::new();
    for scale in asked {
        let at = with_best_size(&average, &points, scale)?;
        let p = predict(&average, &boots, &at, &[0.5, 0.9], args.recipe.seed)?;
        let beyond: Vec<String> = (p.beyond.iter())
            .filter(|b| b.1 > 0.005)
            .map(|(input, decades)| format!("{input} x{}", number(10f64.powf(*decades).round())))
            .collect();
        let known = |v: f64| if v.is_finite() { number(v) } else { "-".to_owned() };
        let mut cells = vec![known(at.params), known(at.tokens), known(at.flops), number(p.loss)];
        p.intervals.iter().for_each(|(_, low, high)| cells.extend([number(*low), number(*high)]));
        cells.push(if beyond.is_empty() { "inside".to_owned() } else { beyond.join(", ") });
        table.row(cells);
        answers.push(json!({
            "params": at.params, "tokens": at.tokens, "flops": at.flops, "loss": p.loss,
            "intervals": p.intervals.iter().map(|i| json!({ "confidence": i.0, "low": i.1, "high": i.2 })).collect::<Vec<_>>(),
            "widened": p.widened,
            "beyond_decades": p.beyond.iter().map(|b| (b.0.to_string(), json!(b.1))).collect::<serde_json::Map<_, _>>(),
        }));
    }
    let forms = average.members.iter().map(|m| {
        json!({
            "law": m.fit.law.spec().name,
            "least_tokens_per_param": m.fit.options.least_tokens_per_param, "weight": m.weight, "held_out_error": m.held_out_error,
        })
    });
    if face.json {
        write_json(out, &json!({ "predictions": answers, "forms": forms.collect::<Vec<_>>() }))?;
        return Ok(());
    }
    table.write(out, "")?;
    writeln!(
        out,
        "\nforms, weighted by their errors on larger budgets predicted from smaller ones:"
    )?;
    let mut table = Table::new(["law", "weight", "held-out error"]);
    for m in &average.members {
        let error = m.held_out_error.map_or_else(|| "-".to_owned(), number);
        table.row([m.name(), format!("{:.3}", m.weight), error]);
    }
    table.write(out, "  ")?;
    if average.members.iter().all(|m| m.held_out_error.is_none()) {
        writeln!(
            out,
            "too few budgets to leave any out: intervals know nothing of the form's error, no guarantee"
        )?;
    }
    Ok(())
}

/// `N=7e10,D=1.4e12`.
fn place(text: &str) -> Result<Scale, Failure> {
    let expected = |why: String| {
        Failure::usage(why).help("write --at N=7e10,D=1.4e12, or N and C, or C alone")
    };
    let (mut n, mut d, mut c) = (f64::NAN, f64::NAN, f64::NAN);
    for part in text.split(',') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let number = value.trim().parse::<f64>().ok().filter(|v| v.is_finite() && *v > 0.0);
        let number = number
            .ok_or_else(|| expected(format!("`{part}` in `{text}` has no number above zero")))?;
        match name.trim() {
            "N" | "n" => n = number,
            "D" | "d" => d = number,
            "C" | "c" => c = number,
            other => return Err(expected(format!("`{other}` in `{text}` is none of N, D, C"))),
        }
    }
    match (n.is_finite(), d.is_finite(), c.is_finite()) {
        (true, true, false) => Ok(Scale::of_params_tokens(n, d)),
        (true, false, true) => Ok(Scale::of_params_flops(n, c)),
        (false, true, true) => Ok(Scale::of_params_tokens(c / (6.0 * d), d)),
        (false, false, true) => Ok(Scale::of_flops(c)),
        _ => Ok(Scale { params: n, tokens: d, flops: c }),
    }
}

/// Compute alone, with the size of least predicted loss if a form needs one.
pub(super) fn with_best_size(
    average: &Average,
    points: &[Point],
    at: Scale,
) -> anyhow::Result<Scale> {
    let is_complete = at.params.is_finite() || at.tokens.is_finite();
    let needs_size = average.members.iter().any(|m| m.fit.law.spec().inputs.len() > 1);
    if is_complete || !needs_size {
        return Ok(at);
    }
    let sizes = points.iter().map(|p| p.at.params);
    let (low, high) = sizes.fold((f64::INFINITY, 0.0_f64), |(l, h), n| (l.min(n), h.max(n)));
    let (from, to) = ((low * 1e-2).ln(), (high * 1e4).ln());
    let mut best = (f64::INFINITY, at);
    for i in 0..=1000 {
        let params = (from + (to - from) * f64::from(i) / 1000.0).exp();
        let candidate = Scale::of_params_flops(params, at.flops);
        let loss = average.loss(&candidate)?;
        if loss < best.0 {
            best = (loss, candidate);
        }
    }
    Ok(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_two_of_three_or_compute() {
        assert_eq!(place("N=2,D=3").unwrap().flops, 36.0);
        assert_eq!(place("C=36,N=2").unwrap().tokens, 3.0);
        assert!(place("C=1e22").unwrap().params.is_nan());
        for bad in ["N", "N=0", "N=x", "Q=1", "N=1;D=2", ""] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
