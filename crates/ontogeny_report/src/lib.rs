//! Draws findings: figures (SVG, PNG) and the self-contained HTML report.
//!
//! [`render`] makes the whole report, [`markdown`] its text; [`figure_svg`] and [`png_from_svg`] make one figure. Same findings, same
//! bytes. Data that cannot be drawn (values that are not finite, or not positive on a logarithmic axis) never
//! looks like zero: lines break, cells are hatched, and a note under the figure counts what is missing.

mod data;
mod error;
mod escape;
mod extent;
mod figure;
mod font;
mod ink;
mod markdown;
mod number;
mod page;
mod path;
mod png;
mod scale;
mod svg;
mod thin;

use ontogeny_core::{Block, Figure, Findings};
use rayon::prelude::*;

pub use crate::error::ReportError;
pub use crate::figure::figure_svg;
pub use crate::markdown::markdown;
pub use crate::png::png_from_svg;

/// Pixels per unit of a figure in the PNG files: sharp on dense screens and in print at column width.
const PNG_SCALE: f32 = 2.0;

/// A report ready to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The report as one HTML file that needs nothing else.
    pub html: String,
    /// The figures in order of appearance, lineage trees among them.
    pub figures: Vec<RenderedFigure>,
}

/// One figure, ready to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedFigure {
    /// File name without extension: the figure's name reduced to letters, digits, `-` and `_`, made unique.
    pub name: String,
    /// The figure as an SVG document in light colours.
    pub svg: String,
    /// The same as a PNG, two pixels per unit.
    pub png: Vec<u8>,
}

/// Draws a lineage of runs and forks as a complete SVG document: a line per run over the steps, each fork leaving its
/// parent at its step, events as marks. The same trees give the same bytes.
pub fn tree_svg(roots: &[ontogeny_core::TreeNode]) -> String {
    figure::tree::tree_svg("lineage", roots, figure::WIDE)
}

/// Makes the HTML report and its figures.
///
/// # Errors
/// [`ReportError`] if a figure cannot be turned into pixels, e.g. because it is larger than memory allows.
///
/// # Examples
/// ```
/// # use {ontogeny_core::Findings, ontogeny_report::render};
/// let findings = Findings { title: "Does it grok?".to_owned(), ..Findings::default() };
/// assert!(render(&findings)?.html.contains("<h1>Does it grok?</h1>"));
/// # Ok::<(), ontogeny_report::ReportError>(())
/// ```
pub fn render(findings: &Findings) -> Result<Rendered, ReportError> {
    let stems = page::stems(findings);
    let blocks = findings.sections.iter().flat_map(|section| &section.blocks);
    let drawables: Vec<(&Block, &String)> = blocks
        .filter(|block| matches!(block, Block::Figure(_) | Block::Tree(_)))
        .zip(&stems)
        .collect();
    let figures: Result<Vec<RenderedFigure>, ReportError> = drawables
        .into_par_iter()
        .map(|(block, stem)| {
            let svg = match block {
                Block::Tree(roots) => figure::tree::tree_svg(stem, roots, figure::WIDE),
                Block::Figure(figure) => {
                    figure_svg(&Figure { name: stem.clone(), ..figure.clone() })
                }
                _ => String::new(), // filtered out above
            };
            let png = png_from_svg(&svg, PNG_SCALE)?;
            Ok(RenderedFigure { name: stem.clone(), svg, png })
        })
        .collect();
    Ok(Rendered { html: page::page(findings, &stems), figures: figures? })
}
