//! What a study found, in the form in which it is kept (`findings.json`) and drawn (the report).
//!
//! The lab writes it, the report draws it, and neither knows the other. Every mark can be traced: figures
//! carry the data they draw.

use serde::{Deserialize, Serialize};

/// The whole result of a study.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Name of the study kind, e.g. `grokking`.
    pub study: String,
    /// Title of the report.
    pub title: String,
    /// The question, in one sentence.
    pub question: String,
    /// The few sentences that matter; also printed at the end of the run.
    pub headline: Vec<String>,
    /// The command that reproduces it.
    pub command: String,
    /// Small facts shown beside the title: (name, value), e.g. ("runs", "27").
    pub facts: Vec<(String, String)>,
    /// The body.
    pub sections: Vec<Section>,
}

/// A part of the report.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Section {
    /// Heading.
    pub heading: String,
    /// Content, in order.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "content")]
pub enum Block {
    /// A paragraph of plain text.
    Text(String),
    /// A figure.
    Figure(Figure),
    /// A table.
    Table(Table),
    /// Text in a fixed-width face: a scorecard, a manifest, a command.
    Fixed {
        /// Heading above the text; may be empty.
        caption: String,
        /// The text.
        text: String,
        /// Whether the reader opens it by a click.
        folded: bool,
    },
    /// A tree of runs and forks.
    Tree(Vec<TreeNode>),
}

/// One run in a tree.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TreeNode {
    /// Name of the run.
    pub label: String,
    /// What became of it.
    pub note: String,
    /// Step at which it left its parent (0 for roots) and step at which it ended.
    pub span: (u64, u64),
    /// Events on it: (step, name).
    pub events: Vec<(u64, String)>,
    /// Its forks.
    pub children: Vec<TreeNode>,
}

/// A table; all cells are already text, formatted by who made them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Headings of the columns.
    pub columns: Vec<String>,
    /// Rows, each as long as `columns`.
    pub rows: Vec<Vec<String>>,
}

/// A figure with the data it draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// File name without extension; unique in the study.
    pub name: String,
    /// One or two sentences under the figure.
    pub caption: String,
    /// What is drawn.
    pub body: FigureBody,
}

/// The kinds of figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum FigureBody {
    /// Lines, bands, markers over a shared x axis, panel above panel.
    Panels {
        /// Label of the x axis.
        x_label: String,
        /// Whether the x axis is logarithmic.
        x_log: bool,
        /// Panels from top to bottom.
        panels: Vec<Panel>,
    },
    /// A matrix as colour, e.g. a spectrum over time.
    Heatmap(Heatmap),
    /// Forecasts as fans, each with its cutoff and its outcome.
    Fans {
        /// Label of the axis of the target.
        x_label: String,
        /// Whether it is logarithmic.
        x_log: bool,
        /// Rows.
        fans: Vec<Fan>,
    },
    /// Effects with intervals, one row each, with a line at no effect.
    Effects {
        /// Label of the axis of the effect.
        x_label: String,
        /// Half-width of the seed band: effects inside it are a draw.
        seed_band: Option<f64>,
        /// Rows.
        rows: Vec<EffectRow>,
    },
    /// Points in a plane with an optional line y = x.
    Scatter {
        /// Label of the x axis.
        x_label: String,
        /// Label of the y axis.
        y_label: String,
        /// Whether both axes are logarithmic.
        log: bool,
        /// Whether to draw y = x.
        diagonal: bool,
        /// Named groups of points.
        groups: Vec<Line>,
    },
}

/// One panel of a figure.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Panel {
    /// Label of the y axis, with its unit.
    pub y_label: String,
    /// Whether the y axis is logarithmic.
    pub y_log: bool,
    /// Limits of the y axis; from the data if absent.
    pub y_range: Option<(f64, f64)>,
    /// Lines.
    pub lines: Vec<Line>,
    /// Bands, e.g. the spread over seeds.
    pub bands: Vec<Band>,
    /// Vertical lines with a name, e.g. events and cutoffs.
    pub markers: Vec<Marker>,
}

/// A named line or group of points.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Line {
    /// Name in the legend; lines of one name share a colour and one legend entry; empty for none.
    pub name: String,
    /// (x, y); non-finite values interrupt the line.
    pub points: Vec<(f64, f64)>,
    /// Drawn dashed.
    pub dashed: bool,
    /// Drawn faint, as background.
    pub faint: bool,
}

/// A band between two curves.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Band {
    /// Name in the legend; shares the colour of a line of that name.
    pub name: String,
    /// (x, low, high).
    pub points: Vec<(f64, f64, f64)>,
}

/// A vertical line with a name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Marker {
    /// Where.
    pub x: f64,
    /// Its name.
    pub name: String,
}

/// A matrix drawn as colour.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Heatmap {
    /// Label of the x axis.
    pub x_label: String,
    /// Label of the y axis.
    pub y_label: String,
    /// Label of the colour, with its unit.
    pub value_label: String,
    /// Positions of the columns.
    pub x: Vec<f64>,
    /// Positions of the rows.
    pub y: Vec<f64>,
    /// `values[row][column]`.
    pub values: Vec<Vec<f64>>,
    /// Named positions on the x axis.
    pub markers: Vec<Marker>,
}

/// One forecast as a fan.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Fan {
    /// What is forecast, e.g. the run or the skill.
    pub label: String,
    /// Who forecasts; fans of one group share a colour.
    pub group: String,
    /// The last step read.
    pub cutoff: f64,
    /// Quantiles at .05, .10, .25, .50, .75, .90, .95 on the axis of the target; empty for "not predictable".
    pub quantiles: Vec<f64>,
    /// Probability that it never happens.
    pub never_prob: f64,
    /// The outcome; `None` if it did not happen by the horizon or is not known.
    pub outcome: Option<f64>,
    /// The horizon.
    pub horizon: f64,
}

/// One effect.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EffectRow {
    /// The intervention.
    pub label: String,
    /// Median or mean paired effect.
    pub value: f64,
    /// Its interval.
    pub interval: Option<(f64, f64)>,
    /// Single paired differences.
    pub pairs: Vec<f64>,
    /// What a theory predicted beforehand, with its interval.
    pub predicted: Option<(f64, f64, f64)>,
    /// Remark, e.g. `placebo: exactly 0` or `3 of 3 never grok`.
    pub note: String,
}
