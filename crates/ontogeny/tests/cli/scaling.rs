//! `ontogeny scaling`: laws from a table, and what is said of tables that cannot be used.

use crate::support::Sandbox;
use insta::assert_snapshot;
use std::fmt::Write as _;
use std::fs;

/// Five budgets of seven sizes on a Chinchilla surface, with a little noise that repeats.
fn table() -> String {
    let mut text = "params,flops,loss,arm\n".to_owned();
    for (b, flops) in (0_i32..).zip([1e18, 3e18, 1e19, 3e19, 1e20_f64]) {
        for k in 0..7_i32 {
            let params = 0.1 * flops.sqrt() * (0.5 * f64::from(k - 3)).exp();
            let tokens = flops / (6.0 * params);
            let wobble = 1.0 + 0.002 * f64::from((b * 5 + k * 3) % 7 - 3);
            let loss = wobble * (1.8 + 480.0 / params.powf(0.35) + 2000.0 / tokens.powf(0.37));
            writeln!(text, "{params:.6e},{flops:e},{loss:.6},a").unwrap();
        }
    }
    text
}

fn sandbox(text: &str) -> Sandbox {
    let sandbox = Sandbox::empty();
    fs::write(sandbox.path("runs.csv"), text).unwrap();
    sandbox
}

#[test]
fn fit_says_parameters_intervals_and_doubts() {
    let text = sandbox(&table()).run("scaling fit runs.csv --resamples 200").ok();
    for part in [
        "chinchilla: L = E",
        "35 points of runs.csv",
        "N_opt exponent",
        "nearly unidentified: ",
        "approach 2",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("public Chinchilla points"));
    let json =
        sandbox(&table()).run("scaling fit runs.csv --resamples 50 --law valley --json").json();
    assert_eq!(json[0]["law"], "valley");
    assert!(json[0]["parameters"][0]["bootstrap"][0].is_number());
}

#[test]
fn predict_gives_intervals_and_says_how_far_beyond() {
    let s = sandbox(&table());
    let command = "scaling predict runs.csv --resamples 100 --at N=1e10,D=2e11 --at C=1e21 --json";
    let json = s.run(command).json();
    let first = &json["predictions"][0];
    let (low, high) = (&first["intervals"][1]["low"], &first["intervals"][1]["high"]);
    let truth = 1.8 + 480.0 / 1e10_f64.powf(0.35) + 2000.0 / 2e11_f64.powf(0.37);
    assert!(low.as_f64().unwrap() < truth && truth < high.as_f64().unwrap(), "{first}");
    assert!(first["beyond_decades"]["params"].as_f64().unwrap() > 0.3);
    assert!(json["predictions"][1]["params"].as_f64().unwrap() > 1e8);
    let text = s.run("scaling predict runs.csv --resamples 100 --at N=1e10,D=2e11").ok();
    assert!(text.contains("beyond data") && text.contains("params x"), "{text}");
}

#[test]
fn plot_writes_both_figures_twice() {
    let s = sandbox(&table());
    let text = s.run("scaling plot runs.csv --resamples 50 --out fig").ok();
    assert_eq!(text.lines().count(), 4);
    assert!(fs::read(s.path("fig-frontier.png")).unwrap().starts_with(b"\x89PNG"));
    assert!(fs::read_to_string(s.path("fig-fit.svg")).unwrap().starts_with("<svg"));
}

#[test]
fn a_wrong_column_suggests_the_nearest() {
    assert_snapshot!(sandbox(&table()).run("scaling fit runs.csv --loss los").fails_with(2), @r"
    error: no column called los; did you mean loss?
      help: runs.csv has params, flops, loss, arm
    ");
}

#[test]
fn bad_cells_are_named_by_file_line_and_column() {
    for (cell, found) in
        [("-1", "`-1`"), ("nan", "`nan`"), ("", "nothing"), ("x", "`x`"), ("0", "`0`")]
    {
        let text = table().replacen(",a\n", &format!(",a\n1e8,1e18,{cell},b\n"), 1);
        let s = sandbox(&text);
        let said = s.run("scaling fit runs.csv").fails_with(3);
        let what = format!(
            "error: runs.csv, line 3, column loss: {found} where a number above zero is needed"
        );
        assert!(said.starts_with(&what), "{said}");
        assert!(
            s.run("scaling fit runs.csv --where arm=a --resamples 20").ok().contains("35 points")
        );
    }
}

#[test]
fn tables_that_cannot_be_used_are_refused() {
    let s = sandbox(&table());
    fs::write(s.path("empty.csv"), "").unwrap();
    fs::write(s.path("ragged.csv"), "params,flops,loss\n1,2\n").unwrap();
    fs::write(s.path("cut.csv.gz"), [0x1f, 0x8b, 8, 0, 1, 2]).unwrap();
    fs::write(s.path("few.csv"), table().lines().take(5).collect::<Vec<_>>().join("\n")).unwrap();
    for (arguments, code, what) in [
        ("fit nothing.csv", 2, "nothing.csv cannot be opened"),
        ("fit empty.csv", 2, "empty.csv has none of the columns params, tokens, flops"),
        ("fit ragged.csv", 3, "ragged.csv is not a table"),
        ("fit cut.csv.gz", 3, "cut.csv.gz is a damaged gzip file"),
        ("fit few.csv", 2, "failed to fit chinchilla: 4 points are too few for 5 parameters"),
        ("fit runs.csv --law chinchila", 2, "no law called chinchila; did you mean chinchilla?"),
        ("fit runs.csv --where arm", 2, "`arm` does not say which value"),
        ("fit runs.csv --where arm=q", 2, "runs.csv has no row left to fit"),
        ("predict runs.csv --at N=0", 2, "`N=0` in `N=0` has no number above zero"),
        ("predict runs.csv --at N=1e9 --resamples 20", 2, "failed to predict with"),
    ] {
        let said = s.run(&format!("scaling {arguments}")).fails_with(code);
        assert!(said.starts_with(&format!("error: {what}")), "{arguments}: {said}");
    }
}
