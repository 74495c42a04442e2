//! Writes SVG elements; the only place where markup is put together.

use std::fmt::Write as _;

use crate::escape;
use crate::font::{Weight, fit};

/// An SVG fragment under construction.
#[derive(Debug, Default)]
pub(crate) struct Svg {
    out: String,
}

/// Where a text stands relative to its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextStyle<'a> {
    /// Colour attributes, e.g. [`crate::ink::INK`].
    pub(crate) paint: &'a str,
    pub(crate) size: f64,
    pub(crate) weight: Weight,
    pub(crate) anchor: Anchor,
    /// Cut with an ellipsis beyond this width; the whole text is then its tooltip.
    pub(crate) max_width: f64,
    /// Whether it stands over other marks and needs a rim.
    pub(crate) halo: bool,
}

impl<'a> TextStyle<'a> {
    pub(crate) fn new(paint: &'a str, size: f64) -> Self {
        let (weight, anchor) = (Weight::Regular, Anchor::Start);
        Self { paint, size, weight, anchor, max_width: f64::INFINITY, halo: false }
    }

    pub(crate) fn bold(self) -> Self {
        Self { weight: Weight::SemiBold, ..self }
    }

    pub(crate) fn anchored(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    pub(crate) fn within(self, max_width: f64) -> Self {
        Self { max_width, ..self }
    }

    pub(crate) fn over_marks(self) -> Self {
        Self { halo: true, ..self }
    }
}

impl Svg {
    /// The markup so far.
    pub(crate) fn into_string(self) -> String {
        self.out
    }

    /// Puts raw, already escaped markup.
    pub(crate) fn raw(&mut self, markup: &str) {
        self.out.push_str(markup);
    }

    /// Opens a group with raw attributes.
    pub(crate) fn group(&mut self, attributes: &str) {
        self.put(format_args!("<g {attributes}>\n"));
    }

    /// Opens a group whose marks answer a pointer with `text`.
    pub(crate) fn tip(&mut self, text: &str) {
        self.put(format_args!("<g class=\"tp\"><title>{}</title>", escape::xml(text)));
    }

    /// Closes the innermost group.
    pub(crate) fn end(&mut self) {
        self.out.push_str("</g>\n");
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), paint: &str) {
        let (x1, y1, x2, y2) = (n(from.0), n(from.1), n(to.0), n(to.1));
        self.put(format_args!("<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" {paint}/>\n"));
    }

    /// A rectangle given by its corner and its size; a negative size draws nothing.
    pub(crate) fn rect(&mut self, corner: (f64, f64), size: (f64, f64), paint: &str) {
        if size.0 > 0.0 && size.1 > 0.0 {
            let (x, y, w, h) = (n(corner.0), n(corner.1), n(size.0), n(size.1));
            self.put(format_args!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" {paint}/>\n"
            ));
        }
    }

    pub(crate) fn circle(&mut self, at: (f64, f64), r: f64, paint: &str) {
        self.put(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" {paint}/>",
            n(at.0),
            n(at.1),
            n(r)
        ));
    }

    pub(crate) fn path(&mut self, d: &str, paint: &str) {
        if !d.is_empty() {
            self.put(format_args!("<path d=\"{d}\" {paint}/>\n"));
        }
    }

    pub(crate) fn text(&mut self, at: (f64, f64), text: &str, style: TextStyle<'_>) {
        if text.is_empty() {
            return;
        }
        let shown = fit(text, style.weight, style.size, style.max_width);
        let anchor = match style.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let weight = if style.weight == Weight::SemiBold { " font-weight=\"600\"" } else { "" };
        let halo = if style.halo { crate::ink::HALO } else { "" };
        let paint = if style.halo {
            style.paint.replacen("class=\"", "class=\"hl ", 1)
        } else {
            style.paint.to_owned()
        };
        self.put(format_args!(
            "<text x=\"{}\" y=\"{}\" font-size=\"{}\"{anchor}{weight} {paint}{halo}>",
            n(at.0),
            n(at.1),
            n(style.size)
        ));
        if shown != text {
            self.put(format_args!("<title>{}</title>", escape::xml(text)));
        }
        self.out.push_str(&escape::xml(&shown));
        self.out.push_str("</text>\n");
    }

    fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(arguments); // writing to a String cannot fail
    }
}

/// A coordinate with at most two decimals; what is not finite is drawn nowhere by the callers, and is 0 here.
pub(crate) fn n(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let rounded = (value * 100.0).round() / 100.0;
    if rounded == 0.0 { "0".to_owned() } else { format!("{rounded}") }
}
