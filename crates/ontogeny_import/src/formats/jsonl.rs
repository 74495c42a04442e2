//! JSON lines: one object per line, with a step among its keys.
//!
//! Numbers become series named after their key, nested ones `outer.inner`. Text, lists and null are passed over.
//! A last line that is cut off belongs to a log that is still being written, and is left out with a note.

use super::{Format, Head, step_key};
use crate::json::{Fault, Json, Slice, Token};
use crate::recorder::{At, Recorder};
use crate::sink::{Reading, RunKey, RunMeta};
use crate::table::whole;
use crate::walk::Unit;
use crate::{ImportError, Input, Options, Problem, units};

/// The format.
#[derive(Debug)]
pub(super) struct Jsonl;

/// The scalars of one object, buffers reused from line to line.
#[derive(Debug, Default)]
pub(super) struct Scalars {
    /// Names and values; the names stay allocated.
    pub(super) entries: Vec<(String, f64)>,
    /// Entries in use.
    pub(super) n: usize,
}

impl Scalars {
    /// Reads the numbers of an object, nested objects as dotted names.
    pub(super) fn read(&mut self, json: &mut Json<Slice<'_>>) -> Result<(), Fault> {
        self.n = 0;
        let mut prefix = String::new();
        if json.value()? != Token::Object {
            let problem = Problem::Expected { what: "a JSON object on every line" };
            return Err(Fault::Bad { offset: 0, problem });
        }
        self.object(json, &mut prefix)
    }

    fn object(&mut self, json: &mut Json<Slice<'_>>, prefix: &mut String) -> Result<(), Fault> {
        while let Some(key) = json.key()? {
            let outer = prefix.len();
            if !prefix.is_empty() {
                prefix.push('.');
            }
            prefix.push_str(&key);
            let token = json.value()?;
            if token == Token::Object {
                self.object(json, prefix)?;
            } else if let Some(value) = token.as_number() {
                self.push(prefix, value);
            } else {
                json.skip(&token)?;
            }
            prefix.truncate(outer);
        }
        Ok(())
    }

    fn push(&mut self, name: &str, value: f64) {
        if self.n == self.entries.len() {
            self.entries.push((String::new(), 0.0));
        }
        let entry = &mut self.entries[self.n];
        entry.0.clear();
        entry.0.push_str(name);
        entry.1 = value;
        self.n += 1;
    }

    pub(super) fn used(&self) -> &[(String, f64)] {
        &self.entries[..self.n]
    }
}

fn is_object_with_step(line: &str, options: &Options) -> bool {
    let mut scalars = Scalars::default();
    let mut json = Json::of(line.as_bytes());
    scalars.read(&mut json).is_ok()
        && json.is_over().unwrap_or(false)
        && step_key::find(&scalars.used().iter().map(|e| e.0.as_str()), options.step_key.as_deref())
            .is_some()
}

impl Format for Jsonl {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    fn summary(&self) -> &'static str {
        "JSON lines, an object per line with a step among its keys"
    }

    fn recognises(&self, head: &Head, options: &Options) -> bool {
        let mut lines = head.lines().filter(|l| !l.trim().is_empty());
        head.is_text() && lines.by_ref().take(20).any(|l| is_object_with_step(l, options))
    }

    fn read(
        &self,
        unit: &Unit,
        options: &Options,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        for input in &unit.files {
            out.scan(input, |source, out| {
                let mut reader = Reader { scalars: Scalars::default(), run: None, n_without: 0 };
                let mut record = 0;
                while let Some((offset, line)) = source.line(record + 1)? {
                    record += 1;
                    if line.iter().all(u8::is_ascii_whitespace) {
                        continue;
                    }
                    let at = At { record, offset };
                    let Err(e) = reader.scalars.read(&mut Json::of(line)) else {
                        reader.take(at, input, options, out)?;
                        continue;
                    };
                    let is_last = source.window().is_empty() && source.peek(1)?.is_empty();
                    match e {
                        Fault::Bad { problem: Problem::Truncated, .. } if is_last => {
                            let path = input.path().display();
                            out.note(format!(
                                "the last line of {path} is cut off and was left out"
                            ));
                        }
                        Fault::Bad { offset: inside, problem } => {
                            let at = At { record, offset: offset + inside };
                            out.problem(input, at, problem)?;
                        }
                        Fault::Import(e) => return Err(e),
                    }
                }
                if reader.n_without > 0 {
                    let n = reader.n_without;
                    out.note(format!("{n} lines have no step and were passed over"));
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

struct Reader {
    scalars: Scalars,
    run: Option<RunKey>,
    n_without: u64,
}

impl Reader {
    fn take(
        &mut self,
        at: At,
        input: &Input,
        options: &Options,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        let entries = self.scalars.used();
        let names = entries.iter().map(|e| e.0.as_str());
        let Some(place) = step_key::find(&names, options.step_key.as_deref()) else {
            self.n_without += 1;
            return Ok(());
        };
        let (column, value) = &entries[place];
        let Some(step) = whole(*value) else {
            let (column, text) = (column.clone(), value.to_string());
            return out.problem(input, at, Problem::NotAStep { column, text });
        };
        let Ok(step) = u64::try_from(step) else {
            out.without_step();
            return Ok(());
        };
        let run = match self.run {
            Some(run) => run,
            None => *self.run.insert(out.run(input, &RunMeta::default())?),
        };
        for (i, (name, value)) in entries.iter().enumerate() {
            if i != place {
                let key = out.series(input, run, name, units::of_name(name))?;
                out.reading(key, Reading { step, value: *value, wall_secs: f64::NAN })?;
            }
        }
        Ok(())
    }
}
