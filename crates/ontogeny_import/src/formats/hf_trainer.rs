//! Hugging Face `trainer_state.json`: a list of log entries, each with its step.
//!
//! Numbers beside the list (`max_steps`, `train_batch_size`, ...) and `trial_params` become the configuration; what tells
//! how the run went (`best_metric`, `global_step`, `epoch`, `total_flos`) is kept apart.

use super::{Format, Head};
use crate::json::{Bytes, Fault, Json, Token};
use crate::recorder::{At, Recorder};
use crate::sink::{Reading, RunKey, RunMeta};
use crate::source::Source;
use crate::table::whole;
use crate::walk::Unit;
use crate::{ImportError, Input, Options, Problem, units};
use serde_json::{Map, Value};

/// The format.
#[derive(Debug)]
pub(super) struct HfTrainer;

/// Keys that tell how the run went, and bookkeeping that tells nothing.
const NOT_CONFIG: [&str; 12] = [
    "best_global_step",
    "best_metric",
    "best_model_checkpoint",
    "epoch",
    "global_step",
    "total_flos",
    "num_input_tokens_seen",
    "is_hyper_param_search",
    "is_local_process_zero",
    "is_world_process_zero",
    "stateful_callbacks",
    "trial_name",
];

/// Looks for a key at the top of an object as far as the head goes.
pub(super) fn has_top_key(head: &Head, wanted: &str) -> bool {
    if !head.is_text() || head.bytes.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return false;
    }
    let mut json = Json::of(&head.bytes);
    let mut look = || -> Result<bool, Fault> {
        json.value()?;
        while let Some(key) = json.key()? {
            if key == wanted {
                return Ok(matches!(json.value()?, Token::Object | Token::Array));
            }
            json.skip_value()?;
        }
        Ok(false)
    };
    look().unwrap_or(false)
}

impl Format for HfTrainer {
    fn name(&self) -> &'static str {
        "hf-trainer"
    }

    fn summary(&self) -> &'static str {
        "Hugging Face trainer_state.json"
    }

    fn recognises(&self, head: &Head, _: &Options) -> bool {
        has_top_key(head, "log_history")
    }

    fn read(&self, unit: &Unit, _: &Options, out: &mut Recorder<'_>) -> Result<(), ImportError> {
        for input in &unit.files {
            out.scan(input, |source, out| {
                let mut reader = Reader { record: 0, run: None, found: false };
                let read = reader.document(&mut Json::new(source), input, out);
                let done = read.map_err(|fault| reader.error(fault, input, out));
                done?;
                if !reader.found {
                    let what = "a `log_history` as in trainer_state.json";
                    return Err(reader.error(
                        Fault::Bad { offset: 0, problem: Problem::Expected { what } },
                        input,
                        out,
                    ));
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

struct Reader {
    record: u64,
    run: Option<RunKey>,
    found: bool,
}

impl Reader {
    fn error(&self, fault: Fault, input: &Input, out: &Recorder<'_>) -> ImportError {
        match fault {
            Fault::Bad { offset, problem } => {
                out.error(input, At { record: self.record, offset }, problem)
            }
            Fault::Import(e) => e,
        }
    }

    fn run(&mut self, input: &Input, out: &mut Recorder<'_>) -> Result<RunKey, ImportError> {
        match self.run {
            Some(run) => Ok(run),
            None => Ok(*self.run.insert(out.run(input, &RunMeta::default())?)),
        }
    }

    fn document(
        &mut self,
        json: &mut Json<&mut Source>,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), Fault> {
        if json.value()? != Token::Object {
            let problem = Problem::Expected { what: "a JSON object" };
            return Err(Fault::Bad { offset: 0, problem });
        }
        let mut config = Map::new();
        while let Some(key) = json.key()? {
            if key == "log_history" {
                let list = json.value()?;
                if list != Token::Array {
                    json.skip(&list)?;
                    continue;
                }
                self.found = true;
                while json.item()? {
                    self.entry(json, input, out)?;
                }
            } else if NOT_CONFIG.contains(&key.as_str()) {
                json.skip_value()?;
            } else {
                let value = json.tree()?;
                if !value.is_null() {
                    config.insert(key, value);
                }
            }
        }
        if self.found && !config.is_empty() {
            let run = self.run(input, out)?;
            out.config(run, &config)?;
        }
        Ok(())
    }

    /// One entry of the list. Its step comes last as the Trainer writes it, so values wait for it.
    fn entry<B: Bytes>(
        &mut self,
        json: &mut Json<B>,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), Fault> {
        self.record += 1;
        let at = At { record: self.record, offset: json.offset() };
        let Value::Object(entry) = json.tree()? else {
            let problem = Problem::Expected { what: "objects in `log_history`" };
            return Ok(out.problem(input, at, problem)?);
        };
        let number = |v: &Value| match v {
            Value::Number(n) => n.as_f64(),
            Value::String(s) => Token::Text(s.clone()).as_number(),
            _ => None,
        };
        let step = entry.get("step");
        let Some(step) = step.and_then(number).and_then(whole) else {
            let text = step.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            let column = "step".to_owned();
            return Ok(out.problem(input, at, Problem::NotAStep { column, text })?);
        };
        let Ok(step) = u64::try_from(step) else {
            out.without_step();
            return Ok(());
        };
        let run = self.run(input, out)?;
        for (name, value) in &entry {
            if name == "step" {
                continue;
            }
            let Some(value) = number(value) else {
                out.passed_over();
                continue;
            };
            let key = out.series(input, run, name, units::of_name(name))?;
            out.reading(key, Reading { step, value, wall_secs: f64::NAN })?;
        }
        Ok(())
    }
}
