//! W&B offline logs, `run-*.wandb`: LevelDB-style blocks of protocol buffers.
//!
//! The step is `_step`, or the key named with `--step-key`. The configuration is that of the run and of later updates.
//! `_runtime` becomes the wall clock. A file that ends within a record is still being written: what is before counts.

mod blocks;
mod records;

use super::{Format, Head};
use crate::recorder::{At, Recorder};
use crate::sink::{Reading, RunKey, RunMeta};
use crate::table::whole;
use crate::walk::Unit;
use crate::{ImportError, Input, Options, Problem, units};
use blocks::{Blocks, Next};
use records::{Item, Record};

/// The format.
#[derive(Debug)]
pub(super) struct Wandb;

impl Format for Wandb {
    fn name(&self) -> &'static str {
        "wandb"
    }

    fn summary(&self) -> &'static str {
        "W&B offline log (run-*.wandb)"
    }

    fn recognises(&self, head: &Head, _: &Options) -> bool {
        head.bytes.starts_with(blocks::MAGIC)
    }

    fn read(
        &self,
        unit: &Unit,
        options: &Options,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        for input in &unit.files {
            out.scan(input, |source, out| {
                if !source.peek(blocks::HEADER)?.starts_with(blocks::MAGIC) {
                    let expected = "W&B offline log";
                    let at = At { record: 0, offset: 0 };
                    return Err(out.error(input, at, Problem::Magic { expected }));
                }
                let mut reader = Reader { run: None, began: None, n_without: 0 };
                let mut blocks = Blocks::new(source);
                let mut record = 0;
                loop {
                    record += 1;
                    let (offset, next) = blocks.next()?;
                    let at = At { record, offset };
                    match next {
                        Next::Record(bytes) => {
                            if reader.record(bytes, at, input, options, out)?.is_none() {
                                out.problem(input, at, Problem::Protobuf)?;
                            }
                        }
                        Next::Bad(problem) => out.problem(input, at, problem)?,
                        Next::Torn => {
                            let path = input.path().display();
                            out.note(format!(
                                "{path} ends within record {record} at byte {offset}; what is before counts"
                            ));
                            break;
                        }
                        Next::End => break,
                    }
                }
                if reader.n_without > 0 {
                    let n = reader.n_without;
                    out.note(format!("{n} rows of the history have no step and were passed over"));
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

struct Reader {
    run: Option<RunKey>,
    /// The first `_timestamp`, where there is no `_runtime`.
    began: Option<f64>,
    n_without: u64,
}

impl Reader {
    fn run(&mut self, input: &Input, out: &mut Recorder<'_>) -> Result<RunKey, ImportError> {
        match self.run {
            Some(run) => Ok(run),
            None => Ok(*self.run.insert(out.run(input, &RunMeta::default())?)),
        }
    }

    /// `Ok(None)` if the bytes are no record.
    fn record(
        &mut self,
        bytes: &[u8],
        at: At,
        input: &Input,
        options: &Options,
        out: &mut Recorder<'_>,
    ) -> Result<Option<()>, ImportError> {
        let Some(record) = Record::parse(bytes) else { return Ok(None) };
        match record {
            Record::Config(config) => {
                let run = self.run(input, out)?;
                out.config(run, &config)?;
            }
            Record::History { items, step } => {
                self.history(&items, step, at, input, options, out)?;
            }
            Record::Other => {}
        }
        Ok(Some(()))
    }

    fn history(
        &mut self,
        items: &[Item],
        step: Option<i64>,
        at: At,
        input: &Input,
        options: &Options,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        let get = |key: &str| items.iter().find(|i| i.name == key).and_then(|i| i.value);
        let wanted = options.step_key.as_deref().unwrap_or("_step");
        let logged = get(wanted);
        // A later writer may leave `_step` to the record itself.
        let implied = step.filter(|_| wanted == "_step");
        let step = match (logged.map(whole), implied) {
            (Some(Some(step)), _) | (None, Some(step)) => step,
            (Some(None), _) => {
                let text = logged.unwrap_or(f64::NAN).to_string();
                let column = wanted.to_owned();
                return out.problem(input, at, Problem::NotAStep { column, text });
            }
            (None, None) => {
                self.n_without += 1;
                return Ok(());
            }
        };
        let Ok(step) = u64::try_from(step) else {
            out.without_step();
            return Ok(());
        };
        let wall_secs = get("_runtime").or_else(|| {
            let now = get("_timestamp")?;
            Some(now - *self.began.get_or_insert(now))
        });
        let wall_secs = wall_secs.unwrap_or(f64::NAN);
        let run = self.run(input, out)?;
        for item in items {
            if matches!(&*item.name, "_step" | "_runtime" | "_timestamp") || item.name == wanted {
                continue;
            }
            let Some(value) = item.value else {
                out.passed_over();
                continue;
            };
            let key = out.series(input, run, &item.name, units::of_name(&item.name))?;
            out.reading(key, Reading { step, value, wall_secs })?;
        }
        Ok(())
    }
}
