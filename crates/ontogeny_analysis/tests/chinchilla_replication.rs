//! The published replication of Besiroglu et al. 2024 (arXiv:2404.10102) on the public points, where they are at hand.
//!
//! The points carry no licence and are not in this repository: name the folder that holds
//! `trajectories/chinchilla-svg/chinchilla.csv.gz` with `ONTOGENY_DATA`.

#[path = "../examples/table/mod.rs"]
mod table;

use ontogeny_analysis::scaling::{Chinchilla, FitOptions, Point, Scale, fit};

#[test]
fn reproduces_the_published_replication() {
    #[expect(clippy::disallowed_methods, reason = "a test that asks where the data is")]
    let named = std::env::var_os("ONTOGENY_DATA").map(std::path::PathBuf::from);
    let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = named.unwrap_or(beside).join("trajectories/chinchilla-svg/chinchilla.csv.gz");
    if !path.is_file() {
        println!("SKIPPED: no Chinchilla points; name their folder with ONTOGENY_DATA");
        return;
    }
    let t = table::Table::read(&path);
    let point = |r: &Vec<String>| Point {
        at: Scale::of_params_flops(t.number(r, "params"), t.number(r, "flops")),
        loss: t.number(r, "loss"),
    };
    let points: Vec<Point> = t.rows.iter().map(point).collect();
    let found = fit(&Chinchilla, &points, &FitOptions::BESIROGLU).expect("fits");
    assert_eq!((points.len(), found.points.len()), (245, 240));
    assert!((found.objective - 1.018_27e-3).abs() < 1e-7, "{}", found.objective);
    // The optimum of the authors' code, to the digits given.
    for (j, (got, digits)) in [(6.169, 1e-3), (7.670, 1e-3), (0.5973, 1e-4)].into_iter().enumerate()
    {
        assert!((found.theta[j] - got).abs() < digits, "{j}: {}", found.theta[j]);
    }
    let near = |name: &str, published: f64, tolerance: f64| {
        let got = found.quantity(name).expect(name);
        assert!((got - published).abs() < tolerance, "{name}: {got}");
    };
    near("alpha", 0.3478, 0.003);
    near("beta", 0.3658, 0.003);
    near("E", 1.8172, 0.005);
    near("A", 482.01, 0.05 * 482.01);
    near("B", 2085.43, 0.05 * 2085.43);
    near("N_opt exponent", 0.513, 0.002);
}
