//! The Chinchilla fit at full size, timed: `cargo run --release -p ontogeny_analysis --example scaling_chinchilla -- DATA`.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

mod table;

use ontogeny_analysis::scaling::{
    BootstrapOptions, Chinchilla, FitOptions, Point, Scale, bootstrap, fit,
};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let t = table::Table::read(&table::folder().join("chinchilla-svg/chinchilla.csv.gz"));
    let points: Vec<Point> = (t.rows.iter())
        .map(|r| Point {
            at: Scale::of_params_flops(t.number(r, "params"), t.number(r, "flops")),
            loss: t.number(r, "loss"),
        })
        .collect();
    let follow_all = std::env::args().any(|a| a == "--follow-all");
    let options = FitOptions { follow_all, ..FitOptions::BESIROGLU };
    // Both are done three times; the fastest counts, as in the peer's script.
    let (mut fit_secs, mut boot_secs) = (f64::INFINITY, f64::INFINITY);
    let mut result = None;
    for _ in 0..3 {
        let clock = Instant::now();
        let fitted = fit(&Chinchilla, &points, &options)?;
        fit_secs = fit_secs.min(clock.elapsed().as_secs_f64());
        let clock = Instant::now();
        let boot = bootstrap(&fitted, None, &BootstrapOptions::default());
        boot_secs = boot_secs.min(clock.elapsed().as_secs_f64());
        result = Some((fitted, boot));
    }
    let Some((fitted, boot)) = result else { return Ok(()) };
    println!(
        "objective {:.10e} starts {} followed {} reached {}",
        fitted.objective, fitted.n_starts, fitted.n_followed, fitted.n_reached
    );
    println!("theta {:?}", &fitted.theta[..5]);
    for (name, value) in fitted.quantities() {
        let (low, high) = boot.interval(&fitted, name, 0.9).unwrap_or((f64::NAN, f64::NAN));
        println!("{name:15} {value:12.5} [{low:.5}, {high:.5}]");
    }
    println!("bootstrap: {} resamples, {} failed", boot.thetas.len(), boot.n_failed);
    println!("fit_secs {fit_secs:.4}\nbootstrap_secs {boot_secs:.4}");
    Ok(())
}
