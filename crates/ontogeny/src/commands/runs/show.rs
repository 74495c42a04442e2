//! `ontogeny runs show`: everything about one run.

use crate::describe;
use crate::face::{Face, write_json};
use crate::names;
use crate::text::{Table, flatten, moment, number, value};
use ontogeny_core::{Event, RunManifest, Series, Step, ZoomManifest};
use ontogeny_store::RunReader;
use serde_json::{Value, json};
use std::io::Write;

/// Entries of a list that are written out.
const MAX_LISTED: usize = 100;

/// Show one run: manifest, configuration, events, series, checkpoints, forks
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run
    run: String,
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = face.store()?;
    let id = names::run_id(&args.run)?;
    let reader = store.run(&id)?;
    let zooms = store.zooms(&id)?;
    for (name, error) in &zooms.damaged {
        describe::skipped_zoom(&id, name, error, face.json);
    }
    let shown = Shown::read(&reader, zooms.zooms)?;
    let is_child = |m: &&RunManifest| m.fork.as_ref().is_some_and(|f| f.parent == id);
    let all = describe::readable_runs(&store, face.json)?;
    let forks: Vec<&RunManifest> = all.iter().filter(is_child).collect();
    if face.json {
        write_json(out, &shown.to_json(&forks))?;
    } else {
        shown.write(&forks, out)?;
    }
    Ok(())
}

/// What is shown of a run.
struct Shown<'a> {
    manifest: &'a RunManifest,
    events: Vec<Event>,
    series: Vec<&'a Series>,
    /// Name, unit, shape of the last reading, number of readings.
    tensors: Vec<(String, String, Vec<usize>, usize)>,
    checkpoints: Vec<Step>,
    zooms: Vec<ZoomManifest>,
    unfinished: Vec<String>,
}

impl<'a> Shown<'a> {
    fn read(reader: &'a RunReader, zooms: Vec<ZoomManifest>) -> anyhow::Result<Self> {
        let mut tensors = Vec::new();
        for name in reader.recorded_tensor_names()? {
            let readings = reader.recorded_tensor(&name)?;
            if let Some(last) = readings.last() {
                tensors.push((name, last.unit.clone(), last.shape.clone(), readings.len()));
            }
        }
        Ok(Self {
            manifest: reader.manifest(),
            events: reader.events()?,
            series: reader.recorded()?.values().collect(),
            zooms,
            tensors,
            checkpoints: reader.checkpoints()?,
            unfinished: reader.torn_tails()?.iter().map(ToString::to_string).collect(),
        })
    }

    fn to_json(&self, forks: &[&RunManifest]) -> Value {
        let series = |s: &&Series| {
            let last = s.last();
            json!({
                "name": s.name, "unit": s.unit, "n_points": s.points.len(),
                "last_step": last.map(|p| p.step), "last_value": last.map(|p| p.value),
            })
        };
        let tensor = |(name, unit, shape, n): &(String, String, Vec<usize>, usize)| json!({ "name": name, "unit": unit, "shape": shape, "n_points": n });
        json!({
            "manifest": self.manifest,
            "events": self.events,
            "series": self.series.iter().map(series).collect::<Vec<_>>(),
            "tensors": self.tensors.iter().map(tensor).collect::<Vec<_>>(),
            "checkpoints": self.checkpoints,
            "zooms": self.zooms,
            "forks": forks.iter().map(|m| json!({ "run": m.run, "fork": m.fork })).collect::<Vec<_>>(),
            "unfinished": self.unfinished,
        })
    }

    fn write(&self, forks: &[&RunManifest], out: &mut dyn Write) -> anyhow::Result<()> {
        let m = self.manifest;
        writeln!(out, "run {}", m.run)?;
        for (key, text) in facts(m) {
            writeln!(out, "  {key:<9} {text}")?;
        }
        for unfinished in &self.unfinished {
            writeln!(out, "  unfinished: {unfinished}")?;
        }
        if let Some(fork) = &m.fork {
            writeln!(out, "\nfork of {} at step {}", fork.parent, fork.step)?;
            for (key, v) in &fork.set {
                writeln!(out, "  {key} = {}", value(v))?;
            }
            if fork.set.is_empty() {
                writeln!(out, "  no change: a control")?;
            }
        }
        writeln!(out, "\nconfiguration")?;
        for (key, v) in flatten(&m.config) {
            let text = match v.as_array().map(Vec::len) {
                Some(n) if n > MAX_LISTED => format!("({n} entries; --json lists them)"),
                _ => value(&v),
            };
            writeln!(out, "  {key} = {text}")?;
        }
        self.write_events(out)?;
        self.write_series(out)?;
        let steps: Vec<String> = self.checkpoints.iter().map(ToString::to_string).collect();
        let steps = match (steps.len(), steps.first(), steps.last()) {
            (n, Some(first), Some(last)) if n > MAX_LISTED => format!("{first} to {last} ({n})"),
            _ => steps.join(" "),
        };
        writeln!(out, "\ncheckpoints at steps {steps}")?;
        if !self.zooms.is_empty() {
            let names: Vec<&str> = self.zooms.iter().map(|z| z.id.as_str()).collect();
            writeln!(out, "\nzooms {} (their readings are not counted above)", names.join(" "))?;
        }
        if !forks.is_empty() {
            writeln!(out, "\nforks")?;
        }
        for f in forks.iter().filter_map(|m| Some((m, m.fork.as_ref()?))) {
            let changes = f.1.set.iter().map(|(k, v)| format!("{k}={}", value(v)));
            let changes: Vec<String> = changes.collect();
            let changes = if changes.is_empty() { "control".into() } else { changes.join(", ") };
            writeln!(out, "  {} at step {}: {changes}", f.0.run, f.1.step)?;
        }
        Ok(())
    }

    fn write_events(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        if self.events.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(["event", "seen", "series", "detector", "evidence"]);
        for e in &self.events {
            let (seen, evidence) = (describe::interval(e.when), number(e.evidence));
            table.row([e.name.clone(), seen, e.series.clone(), e.detector.clone(), evidence]);
        }
        writeln!(out, "\nevents")?;
        Ok(table.write(out, "  ")?)
    }

    fn write_series(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut table = Table::new(["series", "unit", "points", "last step", "last value"]);
        for s in &self.series {
            let last = s.last();
            let step = last.map(|p| p.step.to_string()).unwrap_or_default();
            let value = last.map(|p| number(p.value)).unwrap_or_default();
            table.row([s.name.clone(), s.unit.clone(), s.points.len().to_string(), step, value]);
        }
        writeln!(out, "\nseries")?;
        table.write(out, "  ")?;
        if !self.tensors.is_empty() {
            let mut table = Table::new(["vectors", "unit", "points", "shape"]);
            for (name, unit, shape, n) in &self.tensors {
                table.row([name.clone(), unit.clone(), n.to_string(), format!("{shape:?}")]);
            }
            writeln!(out)?;
            table.write(out, "  ")?;
        }
        Ok(())
    }
}

fn facts(m: &RunManifest) -> Vec<(&'static str, String)> {
    let c = &m.clocks;
    vec![
        ("status", describe::status(m)),
        ("step", describe::progress(m)),
        ("study", m.study.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)),
        ("role", m.role.clone()),
        ("cell", m.cell.clone()),
        ("seed", describe::seeds(m.seeds)),
        ("examples", c.n_examples.to_string()),
        ("FLOP", number(c.flop)),
        ("lr time", number(c.lr_time)),
        ("created", moment(m.created_unix_secs)),
        ("made by", format!("ontogeny {}, {}", m.versions.ontogeny, m.versions.engine)),
    ]
}
