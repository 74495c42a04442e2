//! Figures as SVG: one file per kind, and the sheet of paper they share.

pub(crate) mod axis;
mod effects;
mod fans;
mod heatmap;
pub(crate) mod legend;
mod markers;
mod names;
mod panels;
mod scatter;
pub(crate) mod tree;
mod viridis;

use ontogeny_core::{Figure, FigureBody};

use crate::escape;
use crate::font::{Weight, wrap};
use crate::ink;
use crate::svg::{Anchor, Svg, TextStyle, n};

/// Width of a figure on a page or a wide screen.
pub(crate) const WIDE: f64 = 860.0;
/// Width of a figure on a phone.
pub(crate) const NARROW: f64 = 400.0;
/// Size of ordinary text in a figure.
pub(crate) const TEXT: f64 = 12.0;
/// Size of tick labels and notes.
pub(crate) const SMALL: f64 = 11.0;

/// A sheet that grows downwards while a figure is drawn on it.
#[derive(Debug)]
pub(crate) struct Sheet {
    pub(crate) svg: Svg,
    pub(crate) width: f64,
    /// Where the next thing goes.
    pub(crate) y: f64,
    /// Prefix of the ids within this figure.
    pub(crate) id: String,
    /// What the figure shows, for those who do not see it.
    pub(crate) description: Vec<String>,
    /// What the figure cannot show, in small print under it.
    pub(crate) notes: Vec<String>,
}

impl Sheet {
    pub(crate) fn new(id: &str, width: f64) -> Self {
        let id = format!("{}-{}", escape::file_stem(id), if width < 600.0 { "n" } else { "w" });
        Self { svg: Svg::default(), width, y: 4.0, id, description: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn is_narrow(&self) -> bool {
        self.width < 600.0
    }

    /// Says in the middle of an area that there is nothing to draw, and why.
    pub(crate) fn no_data(&mut self, corner: (f64, f64), size: (f64, f64), reason: &str) {
        self.svg.rect(corner, size, ink::SHADE);
        let middle = (corner.0 + size.0 / 2.0, corner.1 + size.1 / 2.0);
        let style = TextStyle::new(ink::MUTED, TEXT).anchored(Anchor::Middle).within(size.0 - 16.0);
        self.svg.text((middle.0, middle.1 - 4.0), "no data", style.bold());
        self.svg.text((middle.0, middle.1 + 13.0), reason, TextStyle { size: SMALL, ..style });
    }

    /// Closes the sheet: notes, background, title and description.
    pub(crate) fn finish(mut self, title: &str) -> String {
        let mut y = self.y;
        for note in std::mem::take(&mut self.notes) {
            for line in wrap(&note, Weight::Regular, SMALL, self.width - 8.0, 3) {
                y += 15.0;
                self.svg.text((4.0, y), &line, TextStyle::new(ink::MUTED, SMALL));
            }
        }
        let (width, height) = (n(self.width), n((y + 8.0).ceil()));
        let title = escape::xml(title);
        let description = escape::xml(&self.description.join(" "));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"og\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"Inter, system-ui, -apple-system, \
             'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif\" font-size=\"12\">\n\
             <title>{title}</title>\n<desc>{description}</desc>\n\
             <rect width=\"{width}\" height=\"{height}\" {}/>\n{}</svg>\n",
            ink::PAPER,
            self.svg.into_string()
        )
    }
}

/// Draws a figure as a complete SVG document in light colours, 860 units wide.
///
/// Values that are not finite, or not positive on a logarithmic axis, are left out and counted in a note under
/// the figure. The same figure gives the same bytes.
pub fn figure_svg(figure: &Figure) -> String {
    figure_svg_at(figure, WIDE)
}

/// The same at another width; below 600 units the layout is that of a phone.
pub(crate) fn figure_svg_at(figure: &Figure, width: f64) -> String {
    let mut sheet = Sheet::new(&figure.name, width);
    match &figure.body {
        FigureBody::Panels { x_label, x_log, panels } => {
            panels::draw(&mut sheet, x_label, *x_log, panels);
        }
        FigureBody::Heatmap(heatmap) => heatmap::draw(&mut sheet, heatmap),
        FigureBody::Fans { x_label, x_log, fans } => fans::draw(&mut sheet, x_label, *x_log, fans),
        FigureBody::Effects { x_label, seed_band, rows } => {
            effects::draw(&mut sheet, x_label, *seed_band, rows);
        }
        FigureBody::Scatter { x_label, y_label, log, diagonal, groups } => {
            let frame = scatter::Frame { x_label, y_label, log: *log, diagonal: *diagonal };
            scatter::draw(&mut sheet, &frame, groups);
        }
    }
    let title = if figure.caption.is_empty() { &figure.name } else { &figure.caption };
    sheet.finish(title)
}
