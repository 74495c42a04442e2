//! The report: one HTML file that needs nothing else.

mod blocks;

use std::fmt::Write as _;

use ontogeny_core::{Block, Findings};

use crate::escape::{self, xml};
use blocks::Numbers;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Puts the page together; `stems` are the file names of the figures in order.
pub(crate) fn page(findings: &Findings, stems: &[String]) -> String {
    let title = if findings.title.is_empty() { &findings.study } else { &findings.title };
    let mut body = String::new();
    header(&mut body, findings, title);
    contents(&mut body, findings);
    let mut numbers = Numbers::new(stems);
    for (i, section) in findings.sections.iter().enumerate() {
        open(&mut body, &format!("<section id=\"s{}\">", i + 1));
        if !section.heading.is_empty() {
            open(&mut body, &format!("<h2>{}</h2>", xml(&section.heading)));
        }
        for block in &section.blocks {
            blocks::push(&mut body, block, &mut numbers);
        }
        open(&mut body, "</section>");
    }
    footer(&mut body, findings);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data:\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <div id=\"tip\" role=\"status\" hidden></div>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        xml(title)
    )
}

fn header(out: &mut String, findings: &Findings, title: &str) {
    open(out, "<header>");
    if !findings.study.is_empty() {
        open(out, &format!("<p class=\"study\">{}</p>", xml(&findings.study)));
    }
    open(out, &format!("<h1>{}</h1>", xml(title)));
    if !findings.question.is_empty() {
        open(out, &format!("<p class=\"question\">{}</p>", xml(&findings.question)));
    }
    if !findings.headline.is_empty() {
        open(out, "<ul class=\"headline\">");
        for sentence in &findings.headline {
            open(out, &format!("<li>{}</li>", xml(sentence)));
        }
        open(out, "</ul>");
    }
    if !findings.facts.is_empty() {
        open(out, "<dl class=\"facts\">");
        for (name, value) in &findings.facts {
            open(out, &format!("<div><dt>{}</dt><dd>{}</dd></div>", xml(name), xml(value)));
        }
        open(out, "</dl>");
    }
    open(out, "</header>");
}

fn contents(out: &mut String, findings: &Findings) {
    let named =
        findings.sections.iter().enumerate().filter(|(_, section)| !section.heading.is_empty());
    if named.clone().count() < 3 {
        return;
    }
    open(out, "<nav aria-label=\"Sections\">");
    for (i, section) in named {
        open(out, &format!("<a href=\"#s{}\">{}</a>", i + 1, xml(&section.heading)));
    }
    open(out, "</nav>");
}

fn footer(out: &mut String, findings: &Findings) {
    if findings.command.is_empty() {
        return;
    }
    let command = xml(&findings.command);
    open(out, "<section class=\"again\"><h2>Reproduce</h2>");
    open(
        out,
        &format!(
            "<div class=\"command\"><pre><code>{command}</code></pre>\
             <button type=\"button\" class=\"copy\" hidden>Copy</button></div></section>"
        ),
    );
}

/// Appends one line of markup.
fn open(out: &mut String, markup: &str) {
    let _ = writeln!(out, "{markup}"); // writing to a String cannot fail
}

/// File names for all figures and trees, in order, each once.
pub(crate) fn stems(findings: &Findings) -> Vec<String> {
    let mut stems: Vec<String> = Vec::new();
    for block in findings.sections.iter().flat_map(|section| &section.blocks) {
        let wanted = match block {
            Block::Figure(figure) => escape::file_stem(&figure.name),
            Block::Tree(_) => "lineage".to_owned(),
            _ => continue,
        };
        let is_free = |stem: &String| !stems.iter().any(|taken| taken.eq_ignore_ascii_case(stem));
        let numbered = (2..).map(|i| format!("{wanted}-{i}"));
        let stem = std::iter::once(wanted.clone()).chain(numbered).find(is_free);
        stems.push(stem.unwrap_or(wanted));
    }
    stems
}
