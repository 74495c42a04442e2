//! Small findings with one block of every kind.

use ontogeny_core::{
    Band, Block, EffectRow, Fan, Figure, FigureBody, Findings, Heatmap, Line, Marker, Panel,
    Section, Table, TreeNode,
};

pub(crate) fn line(name: &str, values: &[f64]) -> Line {
    let points = values.iter().enumerate().map(|(i, &y)| (i as f64, y)).collect();
    Line { name: name.to_owned(), points, dashed: false, faint: false }
}

/// Every kind of body around the same values and the same text.
pub(crate) fn bodies(values: &[f64], text: &str, log: bool) -> Vec<FigureBody> {
    let x_label = text.to_owned();
    let marker = |x: f64| Marker { x, name: text.to_owned() };
    let panel = Panel {
        y_label: text.to_owned(),
        y_log: log,
        y_range: None,
        lines: vec![line(text, values), Line { faint: true, dashed: true, ..line("", values) }],
        bands: vec![Band {
            name: text.to_owned(),
            points: values.iter().map(|&v| (v, v - 1.0, v + 1.0)).collect(),
        }],
        markers: values.iter().take(5).map(|&v| marker(v)).collect(),
    };
    let map = Heatmap {
        x_label: x_label.clone(),
        y_label: text.to_owned(),
        value_label: text.to_owned(),
        x: values.to_vec(),
        y: values.to_vec(),
        values: values.iter().map(|_| values.to_vec()).collect(),
        markers: values.iter().take(2).map(|&v| marker(v)).collect(),
    };
    let fans = values.iter().enumerate().map(|(i, &v)| Fan {
        label: text.to_owned(),
        group: text.to_owned(),
        cutoff: v,
        quantiles: if i % 3 == 2 { Vec::new() } else { (0..7).map(|q| v + f64::from(q)).collect() },
        never_prob: v,
        outcome: (i % 2 == 0).then_some(v),
        horizon: v + 9.0,
    });
    let rows = values.iter().map(|&v| EffectRow {
        label: text.to_owned(),
        value: v,
        interval: Some((v - 1.0, v + 1.0)),
        pairs: values.to_vec(),
        predicted: Some((v, v - 2.0, v + 2.0)),
        note: text.to_owned(),
    });
    let scatter = |diagonal| FigureBody::Scatter {
        x_label: text.to_owned(),
        y_label: text.to_owned(),
        log,
        diagonal,
        groups: vec![line(text, values), line("", values)],
    };
    let seed_band = values.first().copied();
    vec![
        FigureBody::Panels {
            x_label: x_label.clone(),
            x_log: log,
            panels: vec![panel.clone(), panel],
        },
        FigureBody::Heatmap(map),
        FigureBody::Fans { x_label: x_label.clone(), x_log: log, fans: fans.collect() },
        FigureBody::Effects { x_label, seed_band, rows: rows.collect() },
        scatter(true),
        scatter(false),
    ]
}

pub(crate) fn figures(values: &[f64], text: &str, log: bool) -> Vec<Figure> {
    let bodies = bodies(values, text, log).into_iter();
    bodies.map(|body| Figure { name: text.to_owned(), caption: text.to_owned(), body }).collect()
}

/// Findings in which every text is `text`.
pub(crate) fn findings(values: &[f64], text: &str) -> Findings {
    let own = || text.to_owned();
    let node = |children| TreeNode {
        label: own(),
        note: own(),
        span: (3, 9),
        events: vec![(4, own())],
        children,
    };
    let mut blocks: Vec<Block> =
        figures(values, text, false).into_iter().map(Block::Figure).collect();
    blocks.push(Block::Text(own()));
    blocks.push(Block::Table(Table {
        caption: own(),
        columns: vec![own(), own()],
        rows: vec![vec![own(), "1.5".into()]],
    }));
    blocks.push(Block::Fixed { caption: own(), text: own(), folded: false });
    blocks.push(Block::Fixed { caption: own(), text: own(), folded: true });
    blocks.push(Block::Tree(vec![node(vec![node(vec![])])]));
    Findings {
        study: own(),
        title: own(),
        question: own(),
        headline: vec![own()],
        command: own(),
        facts: vec![(own(), own())],
        sections: vec![
            Section { heading: own(), blocks: blocks.clone() },
            Section::default(),
            Section { heading: own(), blocks },
        ],
    }
}
