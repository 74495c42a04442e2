//! Findings as Markdown: for a repository, an issue, a notebook. Tables and sentences are whole; figures are
//! named by their captions, and effects, which are few, become tables.

use ontogeny_core::{Block, EffectRow, Figure, FigureBody, Findings, Table};
use std::fmt::Write;

/// The findings as one Markdown document. Same findings, same bytes.
///
/// # Examples
/// ```
/// # use ontogeny_core::Findings;
/// let findings = Findings {
///     title: "Does it grok?".to_owned(),
///     headline: vec!["It does.".to_owned()],
///     ..Findings::default()
/// };
/// assert!(ontogeny_report::markdown(&findings).starts_with("# Does it grok?\n"));
/// ```
pub fn markdown(findings: &Findings) -> String {
    let mut out = format!("# {}\n\n{}\n\n", findings.title, findings.question);
    // Writing to a string cannot fail.
    let _ =
        write!(out, "```sh\ncargo run --release -- {}\n```\n\n## In short\n\n", command(findings));
    for says in &findings.headline {
        let _ = writeln!(out, "- {says}");
    }
    out.push_str("\n| | |\n|---|---|\n");
    for (name, value) in &findings.facts {
        let _ = writeln!(out, "| {} | {} |", cell(name), cell(value));
    }
    for section in &findings.sections {
        let text: String = section.blocks.iter().map(block).collect();
        if !text.is_empty() {
            let _ = write!(out, "\n## {}\n\n{}\n", section.heading, text.trim_end());
        }
    }
    out
}

/// The command without the name of the binary, which `cargo run` supplies.
fn command(findings: &Findings) -> &str {
    findings.command.strip_prefix("ontogeny ").unwrap_or(&findings.command)
}

fn block(block: &Block) -> String {
    match block {
        Block::Text(text) => format!("{text}\n\n"),
        Block::Table(t) => table(t),
        Block::Figure(f) => figure(f),
        Block::Fixed { caption, text, folded: false } => {
            let head = if caption.is_empty() { String::new() } else { format!("{caption}\n\n") };
            format!("{head}```text\n{}\n```\n\n", text.trim_end())
        }
        // A tree of runs is a picture, and what is folded away there (manifests) stays there.
        Block::Fixed { folded: true, .. } | Block::Tree(_) => String::new(),
    }
}

fn figure(figure: &Figure) -> String {
    let caption = format!("*Figure `{}`.* {}\n\n", figure.name, figure.caption);
    match &figure.body {
        FigureBody::Effects { x_label, seed_band, rows } => {
            caption + &effects(x_label, *seed_band, rows)
        }
        _ => caption,
    }
}

fn effects(label: &str, band: Option<f64>, rows: &[EffectRow]) -> String {
    let number = |v: f64| if v.is_finite() { format!("{v:+.2}") } else { "–".to_owned() };
    let three =
        |(v, lo, hi): (f64, f64, f64)| format!("{} [{}, {}]", number(v), number(lo), number(hi));
    let row = |r: &EffectRow| {
        let observed = match r.interval {
            Some((lo, hi)) => three((r.value, lo, hi)),
            None => number(r.value),
        };
        let claimed = r.predicted.map_or("–".to_owned(), three);
        vec![r.label.clone(), observed, claimed, r.pairs.len().to_string(), r.note.clone()]
    };
    let seeds = band.map_or(String::new(), |b| format!(" Seed band: ±{b:.2}."));
    table(&Table {
        caption: format!("{label}.{seeds}"),
        columns: ["change", "observed", "claimed before", "pairs", "verdict"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.iter().map(row).collect(),
    })
}

fn table(table: &Table) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|c| cell(c)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = format!("|{}\n", "---|".repeat(table.columns.len()));
    let rows: String = table.rows.iter().map(|r| line(r)).collect();
    format!("{}\n\n{}{rule}{rows}\n", table.caption, line(&table.columns))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ontogeny_core::Section;

    #[test]
    fn tables_keep_their_columns_whatever_is_in_the_cells() {
        let findings = Findings {
            command: "ontogeny run x --tier smoke".into(),
            sections: vec![
                Section {
                    heading: "Predict".into(),
                    blocks: vec![
                        Block::Table(Table {
                            caption: "What was found.".into(),
                            columns: vec!["a".into(), "b".into()],
                            rows: vec![vec!["x|y".into(), "two\nlines".into()]],
                        }),
                        Block::Figure(Figure {
                            name: "effects".into(),
                            caption: "Effects.".into(),
                            body: FigureBody::Effects {
                                x_label: "ln T".into(),
                                seed_band: Some(0.25),
                                rows: vec![EffectRow {
                                    label: "placebo".into(),
                                    note: "exactly 0".into(),
                                    pairs: vec![0.0, 0.0],
                                    ..EffectRow::default()
                                }],
                            },
                        }),
                    ],
                },
                Section { heading: "Runs".into(), blocks: vec![Block::Tree(Vec::new())] },
            ],
            ..Findings::default()
        };
        let text = markdown(&findings);
        assert!(text.contains("cargo run --release -- run x --tier smoke\n"), "{text}");
        assert!(text.contains("| a | b |\n|---|---|\n| x\\|y | two lines |\n"), "{text}");
        assert!(text.contains("| placebo | +0.00 | – | 2 | exactly 0 |"), "{text}");
        // A section of which nothing can be said in text has no heading.
        assert!(!text.contains("## Runs"), "{text}");
    }
}
