//! The pieces of a section as HTML.

use ontogeny_core::{Block, Figure, Table, TreeNode};

use super::open;
use crate::data;
use crate::escape::{data_uri, xml};
use crate::figure::{NARROW, WIDE, figure_svg_at, tree};

/// Counts figures and tables, and knows the file name of each figure.
pub(crate) struct Numbers<'a> {
    stems: std::slice::Iter<'a, String>,
    n_figures: usize,
    n_tables: usize,
}

impl<'a> Numbers<'a> {
    pub(crate) fn new(stems: &'a [String]) -> Self {
        Self { stems: stems.iter(), n_figures: 0, n_tables: 0 }
    }

    fn next_stem(&mut self) -> &'a str {
        self.n_figures += 1;
        self.stems.next().map_or("figure", String::as_str)
    }
}

/// Appends a block.
pub(crate) fn push(out: &mut String, block: &Block, numbers: &mut Numbers<'_>) {
    match block {
        Block::Text(text) => {
            for paragraph in
                text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty())
            {
                open(out, &format!("<p>{}</p>", xml(paragraph)));
            }
        }
        Block::Figure(figure) => push_figure(out, figure, numbers),
        Block::Table(table) => push_table(out, table, numbers),
        Block::Fixed { caption, text, folded } => push_fixed(out, caption, text, *folded),
        Block::Tree(roots) => push_tree(out, roots, numbers),
    }
}

fn push_figure(out: &mut String, figure: &Figure, numbers: &mut Numbers<'_>) {
    let stem = numbers.next_stem();
    // Ids within a drawing come from the name, which is unique only after the file name was made so.
    let figure_with_stem = Figure { name: stem.to_owned(), ..figure.clone() };
    let data = data::data(figure);
    let note =
        if data.is_thinned { " (thinned as drawn; all values are in findings.json)" } else { "" };
    open(out, &format!("<figure id=\"f-{stem}\">"));
    open(out, &format!("<div class=\"wide\">{}</div>", figure_svg_at(&figure_with_stem, WIDE)));
    open(out, &format!("<div class=\"narrow\">{}</div>", figure_svg_at(&figure_with_stem, NARROW)));
    open(
        out,
        &format!(
            "<figcaption><b>Figure {}.</b> {} <a class=\"csv\" download=\"{stem}.csv\" \
             href=\"data:text/csv;charset=utf-8,{}\">Data{note}</a></figcaption>",
            numbers.n_figures,
            xml(&figure.caption),
            data_uri(&data.csv)
        ),
    );
    open(out, "</figure>");
}

fn push_tree(out: &mut String, roots: &[TreeNode], numbers: &mut Numbers<'_>) {
    let stem = numbers.next_stem();
    open(out, &format!("<figure id=\"f-{stem}\">"));
    open(out, &format!("<div class=\"wide\">{}</div>", tree::tree_svg(stem, roots, WIDE)));
    open(out, &format!("<div class=\"narrow\">{}</div>", tree::tree_svg(stem, roots, NARROW)));
    open(
        out,
        &format!(
            "<figcaption><b>Figure {}.</b> Lineage: each run over its steps; a fork leaves its parent at its step.\
             </figcaption>",
            numbers.n_figures
        ),
    );
    open(out, "</figure>");
}

fn push_table(out: &mut String, table: &Table, numbers: &mut Numbers<'_>) {
    numbers.n_tables += 1;
    let n_columns = table.rows.iter().map(Vec::len).max().unwrap_or(0).max(table.columns.len());
    let is_numeric: Vec<bool> = (0..n_columns).map(|i| is_numeric(table, i)).collect();
    let class = |i: usize| if is_numeric.get(i) == Some(&true) { " class=\"num\"" } else { "" };
    open(out, "<div class=\"table\" tabindex=\"0\"><table>");
    open(
        out,
        &format!("<caption><b>Table {}.</b> {}</caption>", numbers.n_tables, xml(&table.caption)),
    );
    if !table.columns.is_empty() {
        open(out, "<thead><tr>");
        for (i, column) in table.columns.iter().enumerate() {
            open(out, &format!("<th scope=\"col\"{}>{}</th>", class(i), xml(column)));
        }
        open(out, "</tr></thead>");
    }
    open(out, "<tbody>");
    for row in &table.rows {
        open(out, "<tr>");
        for (i, cell) in row.iter().enumerate() {
            open(out, &format!("<td{}>{}</td>", class(i), xml(cell)));
        }
        open(out, "</tr>");
    }
    if table.rows.is_empty() {
        open(
            out,
            &format!("<tr><td class=\"none\" colspan=\"{}\">no rows</td></tr>", n_columns.max(1)),
        );
    }
    open(out, "</tbody></table></div>");
}

/// Whether most filled cells of a column begin like a number.
fn is_numeric(table: &Table, column: usize) -> bool {
    let cells = table.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.trim());
    let filled: Vec<&str> =
        cells.filter(|cell| !matches!(*cell, "" | "-" | "–" | "—" | "n/a")).collect();
    let looks = |cell: &&&str| {
        let rest = cell
            .trim_start_matches(['+', '-', '−', '±', '<', '>', '≤', '≥', '~', '≈', ' ', '[', '(']);
        rest.starts_with(|c: char| c.is_ascii_digit())
            && cell.chars().filter(|c| c.is_alphabetic()).count() * 2 <= cell.chars().count()
    };
    !filled.is_empty() && filled.iter().filter(looks).count() * 3 >= filled.len() * 2
}

fn push_fixed(out: &mut String, caption: &str, text: &str, folded: bool) {
    let caption = xml(caption);
    let text = xml(text.trim_end_matches('\n'));
    if folded {
        let summary = if caption.is_empty() { "Details" } else { &caption };
        open(
            out,
            &format!(
                "<details class=\"fixed\"><summary>{summary}</summary><pre>{text}</pre></details>"
            ),
        );
    } else {
        let head = if caption.is_empty() { String::new() } else { format!("<h3>{caption}</h3>") };
        open(out, &format!("<div class=\"fixed\">{head}<pre tabindex=\"0\">{text}</pre></div>"));
    }
}
