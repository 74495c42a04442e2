//! What the user may say about how files are to be read.

use crate::ImportError;
use crate::formats::Format;
use regex_lite::Regex;
use std::path::Path;

/// How steps are written in names, unless the user says otherwise: `step1000`, `checkpoint-1000`, `iter_1000`.
const DEFAULT_RULE: &str =
    r"(?i)(?:^|[^a-z])(?:global_?step|step|checkpoint|ckpt|iter(?:ation)?)[-_=]?(\d+)";

/// Where the step of an evaluation is to be found: in the file's name, its folders, or the model's arguments.
#[derive(Debug, Clone)]
pub enum StepRule {
    /// The group `step`, or the first group, of a regular expression.
    Pattern(Regex),
    /// The same step for every file.
    Fixed(u64),
}

impl StepRule {
    /// A whole number, or a regular expression with a group.
    ///
    /// # Errors
    /// [`ImportError::BadPattern`], [`ImportError::PatternLacks`].
    pub fn new(text: &str) -> Result<Self, ImportError> {
        if let Ok(step) = text.parse() {
            return Ok(Self::Fixed(step));
        }
        let regex = compile("--step-from", text)?;
        if regex.captures_len() < 2 {
            let wants = "it needs a group for the number, e.g. 'step(\\d+)'";
            return Err(ImportError::PatternLacks {
                option: "--step-from",
                text: text.to_owned(),
                wants,
            });
        }
        Ok(Self::Pattern(regex))
    }

    pub(crate) fn find(&self, text: &str) -> Option<u64> {
        match self {
            Self::Fixed(step) => Some(*step),
            Self::Pattern(regex) => {
                let found = regex.captures(text)?;
                found.name("step").or_else(|| found.get(1))?.as_str().parse().ok()
            }
        }
    }
}

/// How the lines of a plain-text log are read.
#[derive(Debug, Clone)]
pub struct LogPattern {
    pub(crate) regex: Regex,
    /// Number and name of every group that is a series.
    pub(crate) series: Vec<(usize, String)>,
}

impl LogPattern {
    /// A regular expression with the named group `step` and one named group for every series.
    ///
    /// # Errors
    /// [`ImportError::BadPattern`], [`ImportError::PatternLacks`].
    pub fn new(text: &str) -> Result<Self, ImportError> {
        let regex = compile("--pattern", text)?;
        let named = regex.capture_names().enumerate().filter_map(|(i, n)| Some((i, n?)));
        let series: Vec<(usize, String)> =
            named.filter(|(_, n)| *n != "step").map(|(i, n)| (i, n.to_owned())).collect();
        let lacks =
            |wants| ImportError::PatternLacks { option: "--pattern", text: text.to_owned(), wants };
        if regex.capture_names().flatten().all(|n| n != "step") {
            return Err(lacks("it needs a group for the step, `(?<step>\\d+)`"));
        }
        if series.is_empty() {
            return Err(lacks("it needs a named group for a series, e.g. `(?<loss>\\S+)`"));
        }
        Ok(Self { regex, series })
    }
}

/// How the columns of a table of many runs are to be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableShape {
    /// Columns whose cells, joined by `/`, name the run; none: every row is a run.
    pub run: Vec<String>,
    /// The column of the step; none: every reading is at step 0.
    pub step: Option<String>,
    /// Long form: columns whose cells, joined by `/`, name the series.
    pub metric: Vec<String>,
    /// Long form: the column of the reading.
    pub value: Option<String>,
    /// Wide form: columns that are series, with at most one `*` for anything.
    pub series: Vec<String>,
}

impl TableShape {
    /// The columns that must be there.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        let columns = self.run.iter().chain(&self.step).chain(&self.metric).chain(&self.value);
        columns.chain(self.series.iter().filter(|s| !s.contains('*'))).map(String::as_str)
    }
}

/// What the user may say about how files are to be read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The format of every file; without it, each is recognised by its content.
    pub format: Option<&'static dyn Format>,
    /// Where evaluations say their step.
    pub step_from: Option<StepRule>,
    /// How the lines of plain-text logs look.
    pub pattern: Option<LogPattern>,
    /// The column or key that holds the step, in CSV, JSONL and W&B logs.
    pub step_key: Option<String>,
    /// How the columns of a table of many runs are to be read.
    pub table: Option<TableShape>,
    /// Pass over what is bad instead of ending there.
    pub keep_going: bool,
}

impl Options {
    /// The step of an evaluation: from the file's name, the model's arguments, the folders from the innermost.
    pub(crate) fn step_of(&self, path: &Path, model_args: &str) -> Option<u64> {
        let default = || Regex::new(DEFAULT_RULE).ok().map(StepRule::Pattern);
        let rule = self.step_from.clone().or_else(default)?;
        let mut parts = path.iter().rev().map(|p| p.to_string_lossy());
        let file = parts.next().unwrap_or_default();
        rule.find(&file)
            .or_else(|| rule.find(model_args))
            .or_else(|| parts.find_map(|folder| rule.find(&folder)))
            .or_else(|| rule.find(&path.to_string_lossy()))
    }

    /// The options that change what is read, in words; equal words, equal readings.
    pub fn describe(&self) -> String {
        let mut parts = Vec::new();
        match &self.step_from {
            Some(StepRule::Fixed(step)) => parts.push(format!("step-from={step}")),
            Some(StepRule::Pattern(r)) => parts.push(format!("step-from={r}")),
            None => {}
        }
        parts.extend(self.pattern.as_ref().map(|p| format!("pattern={}", p.regex)));
        parts.extend(self.step_key.as_ref().map(|k| format!("step-key={k}")));
        parts.extend(self.table.as_ref().map(|t| {
            let list = |l: &[String]| l.join(",");
            let one = |o: &Option<String>| o.clone().unwrap_or_default();
            format!(
                "run-by={} step={} metric={} value={} series={}",
                list(&t.run),
                one(&t.step),
                list(&t.metric),
                one(&t.value),
                list(&t.series)
            )
        }));
        parts.join(" ")
    }
}

fn compile(option: &'static str, text: &str) -> Result<Regex, ImportError> {
    // The automaton is bounded by the library; the pattern is the user's own, so that bound will do.
    Regex::new(text).map_err(|e| ImportError::BadPattern {
        option,
        text: text.to_owned(),
        source: Box::new(e),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_where_people_write_them() {
        let options = Options::default();
        for (path, args, step) in [
            ("410m_step512.json", "", Some(512)),
            ("runs/checkpoint-1000/results.json", "", Some(1000)),
            (
                "a/results_2024-01-01T00-00-00.json",
                "pretrained=x,revision=step143000",
                Some(143_000),
            ),
            ("ckpt_20/iter_7/results.json", "", Some(7)),
            ("footstep12.json", "", None),
            ("final.json", "pretrained=facebook/opt-125m", None),
        ] {
            assert_eq!(options.step_of(Path::new(path), args), step, "{path} {args}");
        }
        let step_from = Some(StepRule::new(r"(?<kind>\w)-at-(?<step>\d+)").unwrap());
        let options = Options { step_from, ..Options::default() };
        assert_eq!(options.step_of(Path::new("x-at-30/r.json"), ""), Some(30));
        let options =
            Options { step_from: Some(StepRule::new("99").unwrap()), ..Options::default() };
        assert_eq!(options.step_of(Path::new("r.json"), ""), Some(99));
    }

    #[test]
    fn rules_without_a_group_are_refused() {
        assert!(StepRule::new(r"step\d+").is_err());
        assert!(StepRule::new(r"step(\d+").is_err());
        assert!(LogPattern::new(r"(?<loss>\S+)").is_err());
        assert!(LogPattern::new(r"(?<step>\d+)").is_err());
        let p = LogPattern::new(r"(?<step>\d+) (?<loss>\S+) (?<acc>\S+)").unwrap();
        assert_eq!(p.series, [(2, "loss".to_owned()), (3, "acc".to_owned())]);
    }
}
