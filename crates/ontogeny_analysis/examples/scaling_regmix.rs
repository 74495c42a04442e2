//! Rank of 64 mixtures at 1B parameters, domain by domain, from 512 mixtures at 1M.
//!
//! `cargo run --release -p ontogeny_analysis --example scaling_regmix -- DATA`. The law of each domain is chosen by
//! five-fold cross-validation inside the 512; the mean over all laws stands beside it.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

mod table;

use ontogeny_analysis::scaling::ScalingError;
use ontogeny_analysis::scaling::mixture::{MIXTURE_LAWS, choose_mixture};
use ontogeny_analysis::stats::spearman;
use std::fmt::Write as _;

fn main() -> Result<(), ScalingError> {
    let t = table::Table::read(&table::folder().join("regmix/regmix.csv.gz"));
    let (domains, targets) = (t.named("mix:"), t.named("loss:"));
    let rows = |label: &str, split: &str| -> Vec<&Vec<String>> {
        let of = t.rows.iter().filter(|r| t.text(r, "params_label") == label);
        of.filter(|r| t.text(r, "split") == split).collect()
    };
    let shares = |r: &[String]| -> Vec<f64> {
        let raw: Vec<f64> = domains.iter().map(|d| t.number(r, &format!("mix:{d}"))).collect();
        raw.iter().map(|s| if s.is_finite() { *s } else { 0.0 }).collect()
    };
    let (train, test) = (rows("1m", "train"), rows("1B", "test"));
    let x: Vec<Vec<f64>> = train.iter().map(|r| shares(r)).collect();
    let z: Vec<Vec<f64>> = test.iter().map(|r| shares(r)).collect();
    let mut totals = vec![Vec::new(); MIXTURE_LAWS.len() + 3];
    for target in &targets {
        let column = format!("loss:{target}");
        let y: Vec<f64> = train.iter().map(|r| t.number(r, &column)).collect();
        let truth: Vec<f64> = test.iter().map(|r| t.number(r, &column)).collect();
        let own = domains.iter().position(|d| d == target);
        let rank = |p: &[f64]| spearman(p, &truth).unwrap_or(f64::NAN);
        let chosen = choose_mixture(&x, &y, own, 0)?;
        // Mean of ln(loss) over all laws, unweighted.
        let fits: Vec<_> = MIXTURE_LAWS.iter().filter_map(|law| law.fit(&x, &y, own)).collect();
        let average: Vec<f64> =
            z.iter().map(|m| fits.iter().map(|f| f.loss(m).ln()).sum::<f64>()).collect();
        let mut line = format!("{target:18} chosen {:12}", chosen.law.spec().0);
        let share: Vec<f64> = z.iter().map(|m| own.map_or(0.0, |k| -m[k])).collect();
        let mut all: Vec<f64> = MIXTURE_LAWS
            .iter()
            .map(|law| {
                law.fit(&x, &y, own)
                    .map_or(f64::NAN, |f| rank(&z.iter().map(|m| f.loss(m)).collect::<Vec<_>>()))
            })
            .collect();
        all.push(rank(&share));
        all.push(rank(&z.iter().map(|m| chosen.fit.loss(m)).collect::<Vec<_>>()));
        all.push(rank(&average));
        for (rho, total) in all.iter().zip(&mut totals) {
            let _ = write!(line, " {rho:.3}");
            total.push(*rho);
        }
        println!("{line}   cv {:.4?}", chosen.errors);
    }
    let names = MIXTURE_LAWS.iter().map(|l| l.spec().0).chain([
        "own share",
        "chosen inside",
        "mean of laws",
    ]);
    for (name, total) in names.zip(&totals) {
        println!(
            "mean rho {name:14} {:.4} over {} domains",
            total.iter().sum::<f64>() / total.len() as f64,
            total.len()
        );
    }
    Ok(())
}
