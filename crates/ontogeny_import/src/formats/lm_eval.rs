//! Results of lm-evaluation-harness, old layout (`"acc": ...`) and new (`"acc,none": ...`).
//!
//! A file is one evaluation of one model at one step. All files below a folder are read together, and each model
//! (with its number of shots) becomes a run whose steps come from the files' names, the model's arguments or the
//! folders, by the rule of `--step-from`. Series are `task/metric`; standard errors are `task/metric.stderr`.

use super::hf_trainer::has_top_key;
use super::{Format, Grouping, Head};
use crate::json::{Fault, Json, Token};
use crate::recorder::{At, Recorder};
use crate::sink::{Reading, RunKey, RunMeta};
use crate::source::Source;
use crate::walk::Unit;
use crate::{ImportError, Input, Options, Problem, units};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The format.
#[derive(Debug)]
pub(super) struct LmEval;

impl Format for LmEval {
    fn name(&self) -> &'static str {
        "lm-eval"
    }

    fn summary(&self) -> &'static str {
        "lm-evaluation-harness results; all files of a folder, a run per model"
    }

    fn grouping(&self) -> Grouping {
        Grouping::All
    }

    fn recognises(&self, head: &Head, _: &Options) -> bool {
        has_top_key(head, "results") && holds_results(head)
    }

    fn read(
        &self,
        unit: &Unit,
        options: &Options,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        // First which model and step each file is about, so that steps can be handed on in order.
        let mut evaluations: Vec<(String, u64, &Input, Map<String, Value>)> = Vec::new();
        for input in &unit.files {
            match about(input, options, out) {
                Ok((model, step, config)) => evaluations.push((model, step, input, config)),
                Err(e) => out.give_up(e)?,
            }
        }
        evaluations.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        let is_one = evaluations.windows(2).all(|w| w[0].0 == w[1].0);
        let mut runs: BTreeMap<String, RunKey> = BTreeMap::new();
        for (model, step, input, config) in evaluations {
            let run = if let Some(&run) = runs.get(&model) {
                run
            } else {
                let name = if is_one { String::new() } else { model.clone() };
                let meta = RunMeta { name, config, ..RunMeta::default() };
                let run = out.run(input, &meta)?;
                runs.insert(model, run);
                run
            };
            out.scan(input, |source, out| {
                let mut json = Json::new(source);
                results(&mut json, step, run, input, out).map_err(|fault| error(fault, input, out))
            })?;
        }
        Ok(())
    }
}

fn error(fault: Fault, input: &Input, out: &Recorder<'_>) -> ImportError {
    match fault {
        Fault::Bad { offset, problem } => out.error(input, At { record: 1, offset }, problem),
        Fault::Import(e) => e,
    }
}

/// Whether `results` holds objects of numbers by task.
fn holds_results(head: &Head) -> bool {
    let mut json = Json::of(&head.bytes);
    let mut look = || -> Result<bool, Fault> {
        json.value()?;
        while let Some(key) = json.key()? {
            if key != "results" {
                json.skip_value()?;
                continue;
            }
            return Ok(json.value()? == Token::Object
                && (json.key()?.is_none() || json.value()? == Token::Object));
        }
        Ok(false)
    };
    look().unwrap_or(false)
}

/// Model and shots in words, step, configuration.
fn about(
    input: &Input,
    options: &Options,
    out: &Recorder<'_>,
) -> Result<(String, u64, Map<String, Value>), ImportError> {
    let mut source = input.open("lm-eval")?;
    let mut top = Map::new();
    let read = header(&mut Json::new(&mut source), &mut top);
    read.map_err(|fault| error(fault, input, out))?;
    let config = top.get("config").cloned().unwrap_or_default();
    let args = arguments(config.get("model_args"));
    let words: Vec<String> = args.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let step = options
        .step_of(input.path(), &words.join(","))
        .ok_or_else(|| out.error(input, At { record: 1, offset: 0 }, Problem::NoStep))?;
    let text = |v: Option<&Value>| v.and_then(Value::as_str).map(str::to_owned);
    let model = ["pretrained", "model", "path"].iter().find_map(|k| args.get(*k).cloned());
    let model = model
        .or_else(|| text(top.get("model_name")))
        .or_else(|| text(config.get("model")))
        .unwrap_or_else(|| "model".to_owned());
    let shots = config.get("num_fewshot").and_then(Value::as_u64).or_else(|| same_shots(&top));
    let mut described = Map::new();
    described.insert("model".to_owned(), json!(model));
    for (key, value) in args {
        if !matches!(&*key, "pretrained" | "model" | "path" | "revision") {
            described.insert(format!("model_args.{key}"), json!(value));
        }
    }
    for key in ["num_fewshot", "batch_size", "limit"] {
        if let Some(value) = config.get(key).filter(|v| !v.is_null()) {
            described.insert(key.to_owned(), value.clone());
        }
    }
    let shots = shots.map(|n| format!(" {n}-shot")).unwrap_or_default();
    Ok((format!("{model}{shots}"), step, described))
}

/// The number of shots, if it is the same for all tasks.
fn same_shots(top: &Map<String, Value>) -> Option<u64> {
    let mut all = top.get("n-shot")?.as_object()?.values().map(Value::as_u64);
    let first = all.next()??;
    all.all(|n| n == Some(first)).then_some(first)
}

/// `a=1,b=2`, or an object as newer versions write it.
fn arguments(args: Option<&Value>) -> BTreeMap<String, String> {
    match args {
        Some(Value::String(text)) => text
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned()))
            .collect(),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned)))
            .collect(),
        _ => BTreeMap::new(),
    }
}

/// What is said beside the results.
fn header(json: &mut Json<&mut Source>, top: &mut Map<String, Value>) -> Result<(), Fault> {
    if json.value()? != Token::Object {
        let problem = Problem::Expected { what: "a JSON object" };
        return Err(Fault::Bad { offset: 0, problem });
    }
    let mut found = false;
    while let Some(key) = json.key()? {
        found |= key == "results";
        match key.as_str() {
            "config" | "n-shot" | "model_name" => {
                let value = json.tree()?;
                top.insert(key, value);
            }
            _ => json.skip_value()?,
        }
    }
    if !found {
        let problem = Problem::Expected { what: "`results` as in an evaluation" };
        return Err(Fault::Bad { offset: 0, problem });
    }
    Ok(())
}

/// The numbers of a file.
fn results(
    json: &mut Json<&mut Source>,
    step: u64,
    run: RunKey,
    input: &Input,
    out: &mut Recorder<'_>,
) -> Result<(), Fault> {
    json.value()?;
    while let Some(key) = json.key()? {
        if key != "results" {
            json.skip_value()?;
            continue;
        }
        let tasks = json.value()?;
        if tasks != Token::Object {
            json.skip(&tasks)?;
            continue;
        }
        while let Some(task) = json.key()? {
            let metrics = json.value()?;
            if metrics != Token::Object {
                json.skip(&metrics)?;
                continue;
            }
            while let Some(metric) = json.key()? {
                let token = json.value()?;
                json.skip(&token)?;
                let Some(value) = token.as_number().filter(|_| metric != "sample_len") else {
                    continue;
                };
                let (metric, is_stderr) = metric_name(&metric);
                let unit = units::of_name(&metric);
                let suffix = if is_stderr { ".stderr" } else { "" };
                let name = format!("{task}/{metric}{suffix}");
                let key = out.series(input, run, &name, unit)?;
                out.reading(key, Reading { step, value, wall_secs: f64::NAN })?;
            }
        }
    }
    Ok(())
}

/// `acc_stderr,none` is the standard error of `acc`; other filters than `none` stay in the name.
fn metric_name(key: &str) -> (String, bool) {
    let (metric, filter) = key.split_once(',').unwrap_or((key, "none"));
    let (metric, is_stderr) =
        metric.strip_suffix("_stderr").map_or((metric, false), |metric| (metric, true));
    let name = if filter == "none" { metric.to_owned() } else { format!("{metric}[{filter}]") };
    (name, is_stderr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_both_layouts_have_the_same_names() {
        for (key, name, is_stderr) in [
            ("acc", "acc", false),
            ("acc_stderr", "acc", true),
            ("acc,none", "acc", false),
            ("acc_stderr,none", "acc", true),
            ("exact_match,strict-match", "exact_match[strict-match]", false),
        ] {
            assert_eq!(metric_name(key), (name.to_owned(), is_stderr), "{key}");
        }
    }
}
