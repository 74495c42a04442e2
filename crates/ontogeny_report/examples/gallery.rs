//! Renders synthetic findings with every kind of figure, for looking at.
//!
//! `cargo run -p ontogeny_report --example gallery [folder]` writes `report.html` and `figures/` there.

#![expect(clippy::print_stdout, reason = "an example says where its output is")]

use std::path::PathBuf;

use ontogeny_core::{
    Band, Block, EffectRow, Fan, Figure, FigureBody, Findings, Heatmap, Line, Marker, Panel,
    Section, Table, TreeNode,
};
use ontogeny_report::render;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args()
        .nth(1)
        .map_or_else(|| std::env::temp_dir().join("ontogeny-gallery"), PathBuf::from);
    let rendered = render(&findings())?;
    std::fs::create_dir_all(folder.join("figures"))?;
    std::fs::write(folder.join("report.html"), &rendered.html)?;
    for figure in &rendered.figures {
        std::fs::write(folder.join("figures").join(format!("{}.svg", figure.name)), &figure.svg)?;
        std::fs::write(folder.join("figures").join(format!("{}.png", figure.name)), &figure.png)?;
    }
    println!("{}", folder.join("report.html").display());
    Ok(())
}

/// Noise in -1..1 that depends on nothing but its arguments.
fn noise(stream: u64, i: u64) -> f64 {
    let mut z = stream
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(i.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn line(name: &str, points: Vec<(f64, f64)>) -> Line {
    Line { name: name.to_owned(), points, dashed: false, faint: false }
}

fn steps() -> impl Iterator<Item = f64> {
    std::iter::once(0.0).chain((0..360).map(|i| 10f64.powf(f64::from(i) / 360.0 * 4.6).round()))
}

fn curve(at: f64, seed: u64, f: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    steps()
        .enumerate()
        .map(|(i, s)| (s, f(s / at) * (1.0 + 0.03 * noise(seed, i as u64))))
        .collect()
}

fn test_accuracy(r: f64) -> f64 {
    0.009 + 0.985 * sigmoid((r.max(1e-6).ln()) * 9.0)
}

fn train_accuracy(r: f64) -> f64 {
    0.009 + 0.99 * sigmoid(((r * 60.0).max(1e-6).ln()) * 4.0)
}

fn grokking() -> Figure {
    let mut accuracy =
        Panel { y_label: "accuracy".into(), y_range: Some((0.0, 1.03)), ..Panel::default() };
    let mut loss = Panel { y_label: "loss (nats)".into(), y_log: true, ..Panel::default() };
    let seeds = [8_200.0, 7_400.0, 9_600.0, 11_000.0, 6_900.0];
    for (i, at) in seeds.iter().enumerate() {
        let seed = i as u64;
        let faint = |name: &str, points| Line { faint: true, ..line(name, points) };
        if i > 0 {
            accuracy.lines.push(faint("test", curve(*at, seed, |r| test_accuracy(r).min(1.0))));
            accuracy
                .lines
                .push(faint("train", curve(*at, seed + 9, |r| train_accuracy(r).min(1.0))));
        }
    }
    accuracy.lines.push(line("train", curve(8_200.0, 20, |r| train_accuracy(r).min(1.0))));
    accuracy.lines.push(line("test", curve(8_200.0, 21, |r| test_accuracy(r).min(1.0))));
    let test_loss = |r: f64| {
        4.7 + 9.0 * sigmoid((r * 30.0).max(1e-6).ln() * 3.0) * sigmoid(-(r.max(1e-6).ln()) * 5.0)
            - 4.6997 * sigmoid(r.max(1e-6).ln() * 5.0)
    };
    loss.lines
        .push(line("train", curve(8_200.0, 22, |r| 4.7 / (1.0 + (r * 60.0).powf(2.4)) + 1e-6)));
    loss.lines.push(line("test", curve(8_200.0, 23, test_loss)));
    let band = steps().map(|s| {
        (
            s,
            test_loss(s / 6_900.0).min(test_loss(s / 11_000.0)) * 0.8,
            test_loss(s / 11_000.0).max(test_loss(s / 6_900.0)) * 1.2,
        )
    });
    loss.bands.push(Band { name: "test".into(), points: band.collect() });
    let mut excluded =
        Panel { y_label: "Fourier progress: excluded loss (nats)".into(), ..Panel::default() };
    excluded.lines.push(line(
        "excluded",
        curve(8_200.0, 25, |r| 4.7 * sigmoid((r * 3.0).max(1e-6).ln() * 3.0)),
    ));
    excluded.lines.push(Line {
        dashed: true,
        ..line("restricted", curve(8_200.0, 26, |r| 5.0 * sigmoid(-(r * 2.0).max(1e-6).ln() * 3.0)))
    });
    let marks = [
        (180.0, "memorized"),
        (2_900.0, "cutoff of the forecast"),
        (3_400.0, "circuit begins"),
        (8_200.0, "grokked"),
        (9_400.0, "cleanup ends"),
    ];
    let markers: Vec<Marker> =
        marks.iter().map(|&(x, name)| Marker { x, name: name.into() }).collect();
    accuracy.markers.clone_from(&markers);
    loss.markers.clone_from(&markers);
    excluded.markers = markers;
    Figure {
        name: "grokking".into(),
        caption: "Accuracy, loss and progress measures of the reference run; four more seeds behind it. The network fits its training data within 200 steps and generalizes forty times later.".into(),
        body: FigureBody::Panels { x_label: "step".into(), x_log: true, panels: vec![accuracy, loss, excluded] },
    }
}

fn many() -> Figure {
    let lines = (0..50u64).map(|k| {
        let mut level = 0.0;
        let points = (0..10_000u64).map(|i| {
            level += 0.02 * noise(k, i);
            let x = i as f64;
            (
                x,
                if k == 7 && (4000..4600).contains(&i) {
                    f64::NAN
                } else {
                    3.0 * (-x / 4000.0).exp() + 1.2 + 0.1 * level + 0.15 * noise(k + 99, i)
                },
            )
        });
        Line {
            name: if k < 25 { "weight decay 0.1" } else { "weight decay 1.0" }.into(),
            points: points.collect(),
            dashed: false,
            faint: k % 25 != 0,
        }
    });
    let panel = Panel { y_label: "loss (nats)".into(), lines: lines.collect(), ..Panel::default() };
    Figure {
        name: "many".into(),
        caption: "Fifty runs of ten thousand points.".into(),
        body: FigureBody::Panels { x_label: "step".into(), x_log: false, panels: vec![panel] },
    }
}

fn legend() -> Figure {
    let names = [
        "embedding",
        "attention 0, query",
        "attention 0, key",
        "attention 0, value",
        "attention 0, output",
        "mlp 0, in",
        "mlp 0, out",
        "unembedding",
        "layer norm",
        "positional",
    ];
    let lines = names.iter().enumerate().map(|(k, name)| {
        line(
            name,
            (0..200u32)
                .map(|i| {
                    (
                        f64::from(i) * 50.0,
                        1.0 + k as f64 * 0.35 + (f64::from(i) / 40.0 + k as f64).sin() * 0.3,
                    )
                })
                .collect(),
        )
    });
    let panel = Panel { y_label: "weight norm".into(), lines: lines.collect(), ..Panel::default() };
    Figure {
        name: "norms".into(),
        caption: "Norm of each weight matrix.".into(),
        body: FigureBody::Panels { x_label: "step".into(), x_log: false, panels: vec![panel] },
    }
}

fn spectrum() -> Figure {
    let x: Vec<f64> = (0..180).map(|i| 10f64.powf(1.0 + f64::from(i) / 180.0 * 3.4)).collect();
    let y: Vec<f64> = (1..=56).map(f64::from).collect();
    let values = y
        .iter()
        .map(|&k| {
            let target = [4.0, 17.0, 32.0, 41.0, 52.0].iter().position(|&f| f == k);
            x.iter()
                .enumerate()
                .map(|(i, &s)| {
                    if (90..95).contains(&i) && k > 30.0 {
                        return f64::NAN;
                    }
                    let base = 0.03 + 0.02 * noise(k as u64, i as u64);
                    target.map_or(base * (1.0 - 0.7 * sigmoid((s / 8_000.0).ln() * 5.0)), |t| {
                        base + (0.4 + 0.12 * t as f64)
                            * sigmoid((s / (1_500.0 * (1.0 + t as f64 * 0.5))).ln() * 3.0)
                    })
                })
                .collect()
        })
        .collect();
    let markers = vec![
        Marker { x: 3_400.0, name: "circuit begins".into() },
        Marker { x: 8_200.0, name: "grokked".into() },
    ];
    Figure {
        name: "embedding-spectrum".into(),
        caption: "Power of each Fourier frequency of the embedding. Five frequencies win; the rest decays after grokking.".into(),
        body: FigureBody::Heatmap(Heatmap { x_label: "step".into(), y_label: "frequency k".into(), value_label: "power (share)".into(), x, y, values, markers }),
    }
}

fn fans() -> Figure {
    let mut fans = Vec::new();
    for (g, group) in
        ["progress measure, hazard model", "loss curve, power law", "climatology (baseline)"]
            .iter()
            .enumerate()
    {
        for (i, label) in [
            "p=113, wd 1.0, seed 3",
            "p=113, wd 0.3, seed 1",
            "p=97, wd 1.0, seed 0",
            "p=113, wd 0.1, seed 2",
        ]
        .iter()
        .enumerate()
        {
            let outcome = [8_200.0, 17_500.0, 6_400.0, f64::NAN][i];
            let mid = if g == 2 {
                12_000.0
            } else {
                [8_900.0, 15_000.0, 6_100.0, 33_000.0][i] * (1.0 + 0.2 * g as f64)
            };
            let wide = [0.18, 0.5, 0.8][g];
            let z = [-1.64, -1.28, -0.67, 0.0, 0.67, 1.28, 1.64];
            let quantiles = z.iter().map(|z: &f64| (mid * (z * wide).exp()).max(3_000.0)).collect();
            fans.push(Fan {
                label: (*label).into(),
                group: (*group).into(),
                cutoff: [2_900.0, 4_000.0, 2_000.0, 3_000.0][i],
                quantiles: if g == 1 && i == 1 { Vec::new() } else { quantiles },
                never_prob: [0.01, 0.08, 0.0, 0.71][i] * if g == 2 { 0.4 } else { 1.0 },
                outcome: outcome.is_finite().then_some(outcome),
                horizon: 40_000.0,
            });
        }
    }
    Figure {
        name: "forecasts".into(),
        caption: "When will it grok? Forecasts sealed at the cutoff, with what came.".into(),
        body: FigureBody::Fans { x_label: "step of grokking".into(), x_log: true, fans },
    }
}

fn values() -> Figure {
    let fans = (0..4i32).map(|i| {
        let k = f64::from(i);
        Fan {
            label: format!("seed {i}"),
            group: "delta baseline".into(),
            cutoff: 1000.0 * 2f64.powi(i),
            quantiles: [-0.2, -0.15, -0.07, 0.0, 0.07, 0.15, 0.2]
                .iter()
                .map(|d| 0.6 + 0.05 * k + d / (1.0 + k))
                .collect(),
            never_prob: 0.0,
            outcome: Some(0.72),
            horizon: 20_000.0,
        }
    });
    Figure {
        name: "final-accuracy".into(),
        caption: "Forecast of a value instead of a time.".into(),
        body: FigureBody::Fans {
            x_label: "final accuracy".into(),
            x_log: false,
            fans: fans.collect(),
        },
    }
}

fn effects() -> Figure {
    let row =
        |label: &str, value: f64, half: f64, predicted: Option<(f64, f64, f64)>, note: &str| {
            EffectRow {
                label: label.into(),
                value,
                interval: Some((value - half, value + half)),
                pairs: (0..5).map(|i| value + half * 1.3 * noise(label.len() as u64, i)).collect(),
                predicted,
                note: note.into(),
            }
        };
    let rows = vec![
        row(
            "weight decay ×3 at step 3000",
            -3_900.0,
            700.0,
            Some((-3_400.0, -5_000.0, -2_100.0)),
            "",
        ),
        row(
            "drop the key frequencies",
            2_800.0,
            900.0,
            Some((3_500.0, 1_500.0, 5_200.0)),
            "relearned from other frequencies in 4 of 5",
        ),
        row(
            "double the batch",
            -160.0,
            420.0,
            Some((-900.0, -1_600.0, -200.0)),
            "inside the seed band",
        ),
        EffectRow {
            label: "placebo".into(),
            value: 0.0,
            interval: Some((0.0, 0.0)),
            pairs: vec![0.0; 5],
            predicted: None,
            note: "placebo: exactly 0".into(),
        },
        EffectRow {
            label: "no weight decay".into(),
            value: f64::NAN,
            interval: None,
            pairs: vec![],
            predicted: Some((5_000.0, 3_900.0, 6_000.0)),
            note: "3 of 3 never grok".into(),
        },
    ];
    Figure { name: "effects".into(), caption: "What each intervention at step 3000 did to the grokking step, against paired controls with the same noise.".into(), body: FigureBody::Effects { x_label: "change of the grokking step".into(), seed_band: Some(600.0), rows } }
}

fn scatter() -> Figure {
    let groups =
        ["hazard model", "power law", "climatology"].iter().enumerate().map(|(g, name)| {
            line(
                name,
                (0..14u64)
                    .map(|i| {
                        let x = 1_500.0 * 1.25f64.powi(i as i32);
                        (x, x * (noise(g as u64 + 5, i) * [0.12, 0.45, 0.9][g]).exp())
                    })
                    .collect(),
            )
        });
    Figure {
        name: "calibration".into(),
        caption: "Forecast median against outcome.".into(),
        body: FigureBody::Scatter {
            x_label: "outcome: grokking step".into(),
            y_label: "forecast median (step)".into(),
            log: true,
            diagonal: true,
            groups: groups.collect(),
        },
    }
}

fn tree() -> Vec<TreeNode> {
    let node = |label: &str, note: &str, span, events: &[(u64, &str)], children| TreeNode {
        label: label.into(),
        note: note.into(),
        span,
        events: events.iter().map(|&(s, e)| (s, e.to_owned())).collect(),
        children,
    };
    vec![
        node(
            "reference, seed 3",
            "grokked",
            (0, 20_000),
            &[(180, "memorized"), (8_200, "grokked")],
            vec![
                node(
                    "control",
                    "bit-identical to its parent",
                    (3_000, 20_000),
                    &[(8_200, "grokked")],
                    vec![],
                ),
                node(
                    "weight decay ×3",
                    "grokked 3 900 steps earlier",
                    (3_000, 14_000),
                    &[(4_300, "grokked")],
                    vec![node("and back to ×1", "kept it", (6_000, 14_000), &[], vec![])],
                ),
                node(
                    "drop key frequencies",
                    "relearned",
                    (3_000, 20_000),
                    &[(3_050, "loss spike"), (11_000, "grokked")],
                    vec![],
                ),
            ],
        ),
        node(
            "no weight decay, seed 3",
            "never grokked by the horizon",
            (0, 20_000),
            &[(150, "memorized")],
            vec![],
        ),
    ]
}

fn odd() -> Vec<Block> {
    let empty = Panel {
        y_label: "llc".into(),
        lines: vec![line("llc", vec![(1.0, f64::NAN), (2.0, f64::INFINITY)])],
        ..Panel::default()
    };
    let one = Panel {
        y_label: "one point".into(),
        lines: vec![line("only", vec![(1.5, 3.0)])],
        ..Panel::default()
    };
    vec![
        Block::Figure(Figure {
            name: "odd".into(),
            caption: "A panel with nothing finite, and one with one point.".into(),
            body: FigureBody::Panels {
                x_label: "step".into(),
                x_log: false,
                panels: vec![empty, one],
            },
        }),
        Block::Figure(Figure {
            name: "nothing".into(),
            caption: "No rows at all.".into(),
            body: FigureBody::Effects { x_label: "effect".into(), seed_band: None, rows: vec![] },
        }),
    ]
}

fn findings() -> Findings {
    let scorecard = "theory              predict        intervene      design\n\
                     hazard model v2     0.31 vs 0.58   4 of 5 inside  not tried\n\
                     power law v1        0.55 vs 0.58   2 of 5 inside  not tried\n";
    let table = Table {
        caption: "Scores of sealed forecasts, lower is better, with every baseline.".into(),
        columns: ["forecaster", "runs", "CRPS (log steps)", "coverage of 80 %", "verdict"]
            .map(Into::into)
            .to_vec(),
        rows: [
            ["hazard model", "12", "0.31", "0.83", "beats every baseline"],
            ["power law", "12", "0.55", "0.61", "a draw with climatology"],
            ["climatology", "12", "0.58", "0.79", "baseline"],
            ["persistence", "12", "1.72", "–", "baseline"],
        ]
        .map(|row| row.map(Into::into).to_vec())
        .to_vec(),
    };
    let section = |heading: &str, blocks| Section { heading: heading.into(), blocks };
    Findings {
        study: "grokking".into(),
        title: "When does modular addition grok, and can it be told beforehand?".into(),
        question: "From the first 2 900 steps of training, can the step at which a small transformer generalizes be forecast, and moved?".into(),
        headline: vec![
            "Forecasts sealed at 15 % of the way had a median error of 9 %, half that of the best baseline.".into(),
            "Tripling weight decay at step 3000 brought grokking forward by 3 900 steps [3 200, 4 600]; the theory had said 3 400.".into(),
            "Doubling the batch is a draw: its effect lies inside the seed band.".into(),
        ],
        command: "ontogeny run grokking --seeds 5 --horizon 40000 --store ./ontogeny-store".into(),
        facts: [("runs", "27"), ("forks", "20"), ("steps", "540 000"), ("wall time", "6 min 12 s"), ("ledger", "36 records, chain whole"), ("version", "0.1.0")].map(|(a, b)| (a.into(), b.into())).to_vec(),
        sections: vec![
            section("What happened", vec![Block::Text("The network has one layer and learns addition modulo 113 from 30 % of the table. It memorizes first; the general circuit grows under the surface, as the progress measures show, and takes over when weight decay has made it cheaper than the memory.".into()), Block::Figure(grokking()), Block::Figure(spectrum())]),
            section("What was predicted", vec![Block::Figure(fans()), Block::Table(table), Block::Figure(scatter()), Block::Figure(values())]),
            section("What the interventions did", vec![Block::Figure(effects()), Block::Tree(tree())]),
            section("Scorecard", vec![
                Block::Fixed { caption: "What each theory has earned".into(), text: scorecard.into(), folded: false },
                Block::Fixed { caption: "Resolved manifest".into(), text: "p = 113\nfrac_train = 0.3\nlr = 0.001\nweight_decay = 1.0\n".into(), folded: true },
            ]),
            section("More series", vec![Block::Figure(many()), Block::Figure(legend())]),
            section("Odd data", odd()),
        ],
    }
}
