//! Colours, line styles and symbols.
//!
//! Every mark carries its light colour as a plain attribute, so an exported SVG is complete by itself, and a
//! class, so the style sheet of the report can recolour it for a dark screen. The series colours are those of
//! Okabe and Ito (2008), readable with every common colour blindness; yellow is darkened to be seen on white.

/// Series colours for marks, on white.
pub(crate) const MARKS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#626a73", "#a89600"];
/// The same, dark enough for text on white.
pub(crate) const TEXTS: [&str; 8] =
    ["#00639c", "#b34c00", "#00734f", "#a0487a", "#8f6000", "#1d6f9c", "#4a525b", "#6b6000"];

/// Background of a figure.
pub(crate) const PAPER: &str = r##"class="bg" fill="#ffffff""##;
/// Ordinary text.
pub(crate) const INK: &str = r##"class="ik" fill="#1b1f24""##;
/// Text that steps back: ticks, notes.
pub(crate) const MUTED: &str = r##"class="mu" fill="#5b6570""##;
/// Grid lines.
pub(crate) const GRID: &str = r##"class="gr" stroke="#e7eaee" stroke-width="1""##;
/// Axis lines and ticks.
pub(crate) const AXIS: &str = r##"class="ax" stroke="#9aa3ad" stroke-width="1""##;
/// Vertical lines that carry a name.
pub(crate) const MARKER: &str =
    r##"class="mk" stroke="#5b6570" stroke-width="1" stroke-dasharray="3 3""##;
/// Lines of reference: zero, y = x, the horizon.
pub(crate) const REFERENCE: &str = r##"class="rf" stroke="#3d454d" stroke-width="1""##;
/// Areas that step back: seed bands, tracks.
pub(crate) const SHADE: &str = r##"class="sh" fill="#e9ecf0""##;
/// Strong marks that belong to no series: outcomes.
pub(crate) const STRONG: &str =
    r##"class="st" fill="#1b1f24" stroke="#ffffff" stroke-width="1.5""##;
/// Strong hollow marks: outcomes that did not come.
pub(crate) const HOLLOW: &str =
    r##"class="ho" fill="#ffffff" stroke="#1b1f24" stroke-width="1.6""##;
/// Thin strokes for "not measured".
pub(crate) const HATCH: &str = r##"class="ha" stroke="#c3c9d0" stroke-width="1" fill="none""##;
/// A rim in the colour of the paper behind text and dots.
pub(crate) const HALO: &str =
    r##" stroke="#ffffff" stroke-width="3.5" stroke-linejoin="round" paint-order="stroke""##;

/// Stroke of a series.
pub(crate) fn stroke(slot: usize) -> String {
    let slot = slot % MARKS.len();
    format!(r#"class="s{slot}" fill="none" stroke="{}""#, MARKS[slot])
}

/// Fill of a series.
pub(crate) fn fill(slot: usize) -> String {
    let slot = slot % MARKS.len();
    format!(r#"class="f{slot}" fill="{}""#, MARKS[slot])
}

/// Fill of a series with a rim in the colour of the paper.
pub(crate) fn dot(slot: usize) -> String {
    let slot = slot % MARKS.len();
    format!(r##"class="f{slot} rim" fill="{}" stroke="#ffffff" stroke-width="1""##, MARKS[slot])
}

/// Text in the colour of a series.
pub(crate) fn text(slot: usize) -> String {
    let slot = slot % TEXTS.len();
    format!(r#"class="t{slot}" fill="{}""#, TEXTS[slot])
}

/// Stroke of a line that has no name and no colour of its own.
pub(crate) fn plain_stroke() -> String {
    r##"class="pl" fill="none" stroke="#7d8791""##.to_owned()
}

/// The outline of symbol number `slot` around a point; each slot has another shape.
pub(crate) fn symbol(slot: usize, x: f64, y: f64, r: f64) -> String {
    let p = |dx: f64, dy: f64| format!("{:.1} {:.1}", x + dx * r, y + dy * r);
    let polygon = |corners: &[(f64, f64)]| {
        let path: Vec<String> = corners.iter().map(|&(dx, dy)| p(dx, dy)).collect();
        format!("M{}Z", path.join("L"))
    };
    match slot % 8 {
        1 => polygon(&[(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)]),
        2 => polygon(&[(0.0, -1.15), (1.1, 0.8), (-1.1, 0.8)]),
        3 => polygon(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]),
        4 => polygon(&[(0.0, 1.15), (1.1, -0.8), (-1.1, -0.8)]),
        5 => polygon(&[
            (-0.38, -1.15),
            (0.38, -1.15),
            (0.38, -0.38),
            (1.15, -0.38),
            (1.15, 0.38),
            (0.38, 0.38),
            (0.38, 1.15),
            (-0.38, 1.15),
            (-0.38, 0.38),
            (-1.15, 0.38),
            (-1.15, -0.38),
            (-0.38, -0.38),
        ]),
        6 => polygon(&[(0.0, -1.2), (1.14, -0.37), (0.7, 0.97), (-0.7, 0.97), (-1.14, -0.37)]),
        7 => polygon(&[
            (-1.2, 0.0),
            (-0.4, -0.45),
            (0.0, -1.2),
            (0.4, -0.45),
            (1.2, 0.0),
            (0.4, 0.45),
            (0.0, 1.2),
            (-0.4, 0.45),
        ]),
        _ => format!(
            "M{}A{r:.1} {r:.1} 0 1 1 {}A{r:.1} {r:.1} 0 1 1 {}Z",
            p(-1.0, 0.0),
            p(1.0, 0.0),
            p(-1.0, 0.0)
        ),
    }
}

/// Dash pattern of the `turn`-th use of one colour: past eight series colours repeat and dashes tell them apart.
pub(crate) fn dash(dashed: bool, slot: usize) -> &'static str {
    match (dashed, slot / MARKS.len()) {
        (true, _) => r#" stroke-dasharray="5 4""#,
        (false, 0) => "",
        (false, 1) => r#" stroke-dasharray="9 3""#,
        (false, _) => r#" stroke-dasharray="2 3""#,
    }
}
