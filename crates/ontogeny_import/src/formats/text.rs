//! Plain-text training logs.
//!
//! With `--pattern`, every line that matches is a reading: group `step` and a group for each series. Without it, lines that
//! tell a step (`step:12/100`, `iter 12`, `[step 12]`) are searched for `key:value`, `key=value` and `key 1.5`; a
//! unit written after the number (`train_time:285ms`) becomes part of the name.

use super::{Format, Head};
use crate::recorder::{At, Recorder};
use crate::sink::{Reading, RunKey, RunMeta};
use crate::walk::Unit;
use crate::{ImportError, Input, Options, Problem, units};
use regex_lite::Regex;
use serde_json::{Map, json};
use std::path::Path;

/// The step of a line, and perhaps of how many.
const STEP: &str = r#"(?i)(?:^|[^\w/])(?:global[ _]?step|step|iter(?:ation)?|update)s?["']?[ \t]*[:=]?[ \t]*(\d+)(?:[ \t]*/[ \t]*(\d+))?\b"#;
/// A key, a number and perhaps its unit. The last part looks at what follows; the next search begins before it.
const PAIR: &str = r#"(?:^|[^\w.:/-])([A-Za-z_][\w./-]*(?: [A-Za-z_][\w./-]*)?)["']?(?:[ \t]*[:=][ \t]*|[ \t]+)((?:[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|[-+]?(?i:nan|inf)(?:inity)?)(ms|us|secs?|s|%|[KMG]i?B|tok/s|it/s)?(?:$|[^\w.%/])"#;
/// Lines without a step that a log may have for each line with one.
const MAX_OTHER: usize = 10;

/// The format.
#[derive(Debug)]
pub(super) struct Text;

/// How the lines of a log are read.
enum Lines<'a> {
    Pattern(&'a crate::LogPattern),
    Default { step: Regex, pair: Regex },
}

impl<'a> Lines<'a> {
    fn new(options: &'a Options) -> Option<Self> {
        match &options.pattern {
            Some(pattern) => Some(Self::Pattern(pattern)),
            None => {
                Some(Self::Default { step: Regex::new(STEP).ok()?, pair: Regex::new(PAIR).ok()? })
            }
        }
    }

    fn tells_a_step(&self, line: &str) -> bool {
        match self {
            Self::Pattern(p) => p.regex.is_match(line),
            Self::Default { step, pair } => step.is_match(line) && pair.is_match(line),
        }
    }
}

impl Format for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn summary(&self) -> &'static str {
        "plain-text log with `step:N key:value` lines, or as --pattern says"
    }

    fn recognises(&self, head: &Head, options: &Options) -> bool {
        let Some(lines) = Lines::new(options).filter(|_| head.is_text()) else { return false };
        let (mut n, mut n_other) = (0, 0);
        for line in head.lines().filter(|l| !l.trim().is_empty()) {
            if lines.tells_a_step(line) { n += 1 } else { n_other += 1 }
        }
        let is_prose = Path::new(&head.name).extension().is_some_and(|e| {
            ["md", "rst", "html", "py", "rs", "toml", "yaml", "yml"]
                .iter()
                .any(|x| e.eq_ignore_ascii_case(x))
        });
        match &options.pattern {
            Some(_) => n > 0,
            None => !is_prose && n >= 2 && n_other <= n * MAX_OTHER,
        }
    }

    fn read(
        &self,
        unit: &Unit,
        options: &Options,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        let Some(lines) = Lines::new(options) else { return Ok(()) };
        for input in &unit.files {
            out.scan(input, |source, out| {
                let mut reader = Reader { lines: &lines, run: None, n_other: 0 };
                let mut record = 0;
                while let Some((offset, line)) = source.line(record + 1)? {
                    record += 1;
                    let at = At { record, offset };
                    if let Ok(line) = std::str::from_utf8(line) {
                        reader.line(line, at, input, out)?;
                    } else {
                        out.problem(input, at, Problem::NotText)?;
                    }
                }
                if reader.run.is_none() {
                    let what = "at least one line with a step; describe the lines with --pattern";
                    let at = At { record, offset: 0 };
                    return Err(out.error(input, at, Problem::Expected { what }));
                }
                if reader.n_other > 0 {
                    let n = reader.n_other;
                    out.note(format!("{n} lines tell no step and were passed over"));
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

struct Reader<'a> {
    lines: &'a Lines<'a>,
    run: Option<RunKey>,
    n_other: u64,
}

impl Reader<'_> {
    fn run(&mut self, input: &Input, out: &mut Recorder<'_>) -> Result<RunKey, ImportError> {
        match self.run {
            Some(run) => Ok(run),
            None => Ok(*self.run.insert(out.run(input, &RunMeta::default())?)),
        }
    }

    fn line(
        &mut self,
        line: &str,
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        match self.lines {
            Lines::Pattern(pattern) => self.by_pattern(pattern, line, at, input, out),
            Lines::Default { step, pair } => self.by_default(step, pair, line, at, input, out),
        }
    }

    fn by_pattern(
        &mut self,
        pattern: &crate::LogPattern,
        line: &str,
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        let Some(found) = pattern.regex.captures(line) else {
            self.n_other += 1;
            return Ok(());
        };
        let text = found.name("step").map_or("", |m| m.as_str());
        let Some(step) = crate::table::step(text.as_bytes()).and_then(|s| u64::try_from(s).ok())
        else {
            let (column, text) = ("step".to_owned(), clip(text));
            return out.problem(input, at, Problem::NotAStep { column, text });
        };
        let run = self.run(input, out)?;
        for (group, name) in &pattern.series {
            let Some(text) = found.get(*group) else { continue };
            let Ok(value) = text.as_str().trim().parse() else {
                let (column, text) = (name.clone(), clip(text.as_str()));
                out.problem(input, at, Problem::NotANumber { column, text })?;
                continue;
            };
            let key = out.series(input, run, name, units::of_name(name))?;
            out.reading(key, Reading { step, value, wall_secs: f64::NAN })?;
        }
        Ok(())
    }

    fn by_default(
        &mut self,
        step: &Regex,
        pair: &Regex,
        line: &str,
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        let Some(found) = step.captures(line) else {
            self.n_other += 1;
            return Ok(());
        };
        let Ok(number) = found[1].parse::<u64>() else {
            let (column, text) = ("step".to_owned(), clip(&found[1]));
            return out.problem(input, at, Problem::NotAStep { column, text });
        };
        let is_first = self.run.is_none();
        let run = self.run(input, out)?;
        let total = found.get(2).filter(|_| is_first).and_then(|t| t.as_str().parse::<u64>().ok());
        if let Some(total) = total {
            let config = Map::from_iter([("total_steps".to_owned(), json!(total))]);
            out.config(run, &config)?;
        }
        let whole = found.get(0).map_or(0..0, |m| m.range());
        // What comes before the step (a date, a level) is searched too, but not across the step itself.
        for part in [&line[..whole.start], &line[whole.end..]] {
            let mut from = 0;
            while let Some(pair) = pair.captures_at(part, from) {
                from = pair.get(3).or(pair.get(2)).map_or(part.len(), |m| m.end());
                let Ok(value) = pair[2].to_ascii_lowercase().parse::<f64>() else { continue };
                let key = pair[1].replace(' ', "_");
                let key = key.trim_end_matches(['.', '-', '/']);
                let (name, unit) = match pair.get(3).map(|u| u.as_str()) {
                    Some("%") => (format!("{key}_percent"), "%"),
                    Some(unit) => (format!("{key}_{}", unit.replace('/', "_per_")), unit),
                    None => (key.to_owned(), units::of_name(key)),
                };
                let series = out.series(input, run, &name, unit)?;
                let reading = Reading { step: number, value, wall_secs: f64::NAN };
                out.reading(series, reading)?;
            }
        }
        Ok(())
    }
}

/// A piece of a line that is short enough for a message.
fn clip(text: &str) -> String {
    text[..text.floor_char_boundary(40)].to_owned()
}
