//! Values that cannot be drawn are never drawn as something else.

use ontogeny_core::{Figure, FigureBody, Line, Panel};
use ontogeny_report::{figure_svg, png_from_svg};
use proptest::prelude::*;

use super::sample::{figures, line};

/// Draws every kind of figure and reads it back.
#[track_caller]
fn check(values: &[f64]) {
    for log in [false, true] {
        for figure in figures(values, "run", log) {
            let svg = figure_svg(&figure);
            let attributes = svg.split('"').skip(1).step_by(2);
            for attribute in attributes {
                assert!(
                    !attribute.contains("NaN") && !attribute.contains("inf"),
                    "{attribute} in {svg}"
                );
            }
            png_from_svg(&svg, 0.2).unwrap();
        }
    }
}

#[test]
fn empty_one_and_many_points() {
    check(&[]);
    check(&[3.0]);
    check(&[0.0]);
    check(&(0..300).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn non_finite_and_extreme_values() {
    check(&[f64::NAN]);
    check(&[f64::INFINITY, f64::NEG_INFINITY, f64::NAN]);
    check(&[1.0, f64::NAN, 3.0, f64::INFINITY, 2.0]);
    check(&[f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, -0.0]);
    check(&[1e299, -1e299, 1e-299]);
    check(&[1.0, 1.0 + 1e-15, 1.0 + 2e-15]);
}

#[test]
fn an_empty_figure_says_why() {
    let expected = [
        "the figure has no panels",
        "nothing was measured",
        "no forecast was sealed",
        "no intervention was made",
        "nothing was measured",
    ];
    let bodies = figures(&[], "run", false);
    for (figure, reason) in bodies.into_iter().zip(expected) {
        let body = match figure.body {
            FigureBody::Panels { x_label, x_log, .. } => {
                FigureBody::Panels { x_label, x_log, panels: vec![] }
            }
            body => body,
        };
        let svg = figure_svg(&Figure { body, ..figure });
        assert!(svg.contains(">no data<") && svg.contains(reason), "{reason}: {svg}");
    }
}

fn one_panel(lines: Vec<Line>, y_log: bool) -> String {
    let panel = Panel { y_label: "loss".into(), y_log, lines, ..Panel::default() };
    let body = FigureBody::Panels { x_label: "step".into(), x_log: false, panels: vec![panel] };
    figure_svg(&Figure { name: "f".into(), caption: String::new(), body })
}

/// The outlines of the lines of the first series.
fn outline(svg: &str) -> &str {
    let line = svg
        .lines()
        .find(|line| line.starts_with("<path") && line.contains("class=\"s0\""))
        .unwrap();
    line.split('"').nth(1).unwrap()
}

#[test]
fn a_gap_breaks_the_line_and_is_counted() {
    let svg = one_panel(vec![line("a", &[1.0, 2.0, f64::NAN, 2.0, 1.0])], false);
    assert_eq!(outline(&svg).matches('M').count(), 2);
    assert!(svg.contains("1 value not finite, left open."), "{svg}");
}

#[test]
fn what_is_not_positive_has_no_place_on_a_log_axis() {
    let svg = one_panel(vec![line("a", &[1.0, 2.0, 0.0, -2.0, 4.0, 8.0])], true);
    assert_eq!(outline(&svg).matches('M').count(), 2);
    assert!(svg.contains("2 values at or below zero have no place on the log axis."), "{svg}");
}

#[test]
fn a_crowd_of_long_lines_stays_small() {
    let lines: Vec<Line> = (0..50)
        .map(|k| Line {
            faint: k > 0,
            ..line(
                "run",
                &(0..10_000).map(|i| f64::from((i * 7919 + k * 31) % 1000)).collect::<Vec<_>>(),
            )
        })
        .collect();
    let svg = one_panel(lines, false);
    assert!(svg.len() < 1_500_000, "{} bytes", svg.len());
}

#[test]
fn a_forecast_without_quantiles_is_not_predictable_and_no_zero() {
    let svg = figure_svg(&figures(&[10.0, 20.0, 30.0], "run", false)[2]);
    assert!(svg.contains(">not predictable<"), "{svg}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_values_give_a_readable_figure(values in prop::collection::vec(any::<f64>(), 0..8)) {
        check(&values);
    }
}
