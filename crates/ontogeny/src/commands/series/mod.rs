//! `ontogeny series`: readings of one run, to look at or to take away.

mod drawing;
mod history;

use crate::face::{Face, write_json};
use crate::failure::Failure;
use crate::names;
use crate::text::{Table, count, number};
use anyhow::Context;
use clap::builder::RangedU64ValueParser;
use ontogeny_core::{RunId, Series, Step, ZoomId};
use ontogeny_store::{RunReader, StoreError, TensorReading};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// Print or export the series of a run
///
/// Without names: what there is. Vector readings (spectra, per-skill losses) are series too; in CSV their
/// elements are `name[0]`, `name[1]`, ... The CSV is tidy (`run_id,step,metric,value`) and can be imported.
/// Readings of zooms stand among the recorded ones; the text and the JSON say which they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny series skills.a.s0
  ontogeny series skills.a.s0 test.loss test.accuracy --every 100
  ontogeny series skills.a.s0 --csv --out points.csv
  ontogeny series skills.a.s0 test.loss --figure loss.svg --with skills.a.s1 --with skills.a.s2
  ontogeny series skills.a.s0 test.loss --provenance")]
pub(crate) struct Args {
    /// The run
    run: String,

    /// Names of the series; with --csv or --out, none means all
    names: Vec<String>,

    /// Write CSV, one reading per line
    #[arg(long)]
    csv: bool,

    /// Write to a file; CSV, or JSON with --json
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// First step
    #[arg(long, value_name = "STEP")]
    from: Option<u64>,

    /// Last step
    #[arg(long, value_name = "STEP")]
    to: Option<u64>,

    /// Only steps that are multiples of N
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    every: Option<u64>,

    /// Leave out the readings of zooms
    #[arg(long)]
    recorded: bool,

    /// Draw the named series, as SVG or PNG. Long ones are drawn from bins: nothing that would be seen is lost
    #[arg(long, value_name = "FILE", conflicts_with_all = ["csv", "out", "every"])]
    figure: Option<PathBuf>,

    /// Other runs, drawn beside it
    #[arg(long, value_name = "RUN", requires = "figure")]
    with: Vec<String>,

    /// Print each recorded reading of the named series in the order of arrival: which session of the run wrote it, where
    /// it lies, and whether it was late or was replaced since
    #[arg(long, conflicts_with_all = ["csv", "out", "figure"])]
    provenance: bool,
}

impl Args {
    fn keeps(&self, s: Step) -> bool {
        self.from.is_none_or(|from| s.0 >= from)
            && self.to.is_none_or(|to| s.0 <= to)
            && self.every.is_none_or(|n| s.0.is_multiple_of(n))
    }
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    if args.csv && face.json {
        return Err(Failure::usage("--csv and --json cannot both be had").into());
    }
    let store = face.store()?;
    let id = names::run_id(&args.run)?;
    let reader = store.run(&id)?;
    if (args.figure.is_some() || args.provenance) && args.names.is_empty() {
        let help = format!("`ontogeny series {id}` lists what there is");
        return Err(Failure::usage("which series? name one or more").help(help).into());
    }
    if let Some(path) = &args.figure {
        let others = args.with.iter().map(|r| names::run_id(r));
        let drawing = drawing::Drawing {
            runs: std::iter::once(Ok(id)).chain(others).collect::<Result<_, _>>()?,
            names: &args.names,
            steps: Step(args.from.unwrap_or(0))..=Step(args.to.unwrap_or(u64::MAX)),
            recorded: args.recorded,
        };
        let n = drawing.write(&store, path)?;
        if face.json {
            write_json(out, &json!({ "file": path, "n_readings": n }))?;
        } else {
            let n = count(usize::try_from(n)?, "reading");
            writeln!(out, "drew {n} into {}", path.display())?;
        }
        return Ok(());
    }
    if args.provenance {
        return history::write(&reader, &args.names, |s| args.keeps(s), face, out);
    }
    let exports = args.csv || args.out.is_some();
    if args.names.is_empty() && !exports && !face.json {
        return list(&reader, args.recorded, out);
    }
    let chosen = Chosen::read(&reader, args)?;
    let Some(path) = &args.out else {
        return if face.json {
            Ok(write_json(out, &chosen.to_json(&id))?)
        } else if args.csv {
            chosen.write_csv(&id, out)
        } else {
            chosen.write(out)
        };
    };
    let what = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(std::fs::File::create(path).with_context(what)?);
    if face.json {
        write_json(&mut file, &chosen.to_json(&id)).with_context(what)?;
    } else {
        chosen.write_csv(&id, &mut file).with_context(what)?;
    }
    file.flush().with_context(what)?;
    let n = chosen.n_readings();
    if face.json {
        write_json(out, &json!({ "file": path, "n_readings": n }))?;
    } else {
        writeln!(out, "wrote {} to {}", count(n, "reading"), path.display())?;
    }
    Ok(())
}

fn list(reader: &RunReader, recorded: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    // Without zooms there is nothing to tell apart.
    let is_plain = recorded || reader.zooms()?.is_empty();
    let headings = ["series", "unit", "shape", "points", "steps", "last value", "of zooms"];
    let mut table = Table::new(headings.into_iter().take(if is_plain { 6 } else { 7 }));
    let mut row = |cells: [&str; 6], name: &str| -> anyhow::Result<()> {
        let n = if is_plain { 0 } else { reader.zoomed(name)?.len() };
        let last = (!is_plain).then(|| if n > 0 { n.to_string() } else { String::new() });
        table.row(cells.map(str::to_owned).into_iter().chain(last));
        Ok(())
    };
    let all = if recorded { reader.recorded_summaries()? } else { reader.summaries()? };
    for s in all {
        let steps = span([s.all.first.step, s.all.last.step].into_iter());
        let (n, last) = (s.all.n.to_string(), number(s.all.last.value));
        row([&s.name, &s.unit, "", &n, &steps, &last], &s.name)?;
    }
    for name in vector_names(reader, recorded)? {
        let readings = vectors(reader, &name, recorded)?;
        let Some(last) = readings.last() else { continue };
        let steps = span(readings.iter().map(|r| r.step));
        let (shape, n) = (format!("{:?}", last.shape), readings.len().to_string());
        row([name.as_str(), &last.unit, &shape, &n, &steps, ""], &name)?;
    }
    Ok(table.write(out, "")?)
}

/// That there is no series of that name, and which one may be meant.
fn unknown(reader: &RunReader, name: &str, recorded: bool) -> anyhow::Result<Failure> {
    let mut there_is = series_names(reader, recorded)?;
    there_is.extend(vector_names(reader, recorded)?);
    let help = format!("`ontogeny series {}` lists what there is", reader.manifest().run);
    Ok(names::unknown("series", name, there_is.iter().map(String::as_str)).help(help))
}

fn series_names(reader: &RunReader, recorded: bool) -> Result<Vec<String>, StoreError> {
    if recorded {
        Ok(reader.recorded_summaries()?.into_iter().map(|s| s.name).collect())
    } else {
        reader.series_names()
    }
}

fn vector_names(reader: &RunReader, recorded: bool) -> Result<Vec<String>, StoreError> {
    if recorded { reader.recorded_tensor_names() } else { reader.tensor_names() }
}

fn vectors<'a>(
    reader: &'a RunReader,
    name: &str,
    recorded: bool,
) -> Result<&'a [TensorReading], StoreError> {
    if recorded { reader.recorded_tensor(name) } else { reader.tensor(name) }
}

fn span(mut steps: impl DoubleEndedIterator<Item = Step>) -> String {
    let first = steps.next();
    let last = steps.next_back().or(first);
    first.zip(last).map(|(a, b)| format!("{a} to {b}")).unwrap_or_default()
}

/// The readings that were asked for.
struct Chosen<'a> {
    series: Vec<Series>,
    tensors: Vec<(String, Vec<&'a TensorReading>)>,
    /// Which of the readings are those of zooms, by series and step.
    zoomed: BTreeMap<String, BTreeMap<Step, ZoomId>>,
}

impl<'a> Chosen<'a> {
    fn read(reader: &'a RunReader, args: &Args) -> anyhow::Result<Self> {
        let tensor_names = vector_names(reader, args.recorded)?;
        let every_name;
        let names: &[String] = if args.names.is_empty() {
            every_name =
                series_names(reader, args.recorded)?.into_iter().chain(tensor_names.clone());
            &every_name.collect::<Vec<_>>()
        } else {
            &args.names
        };
        let keeps = |s: Step| args.keeps(s);
        let mut chosen = Self { series: Vec::new(), tensors: Vec::new(), zoomed: BTreeMap::new() };
        for name in names {
            if !args.recorded {
                let mut zoomed = reader.zoomed(name)?;
                zoomed.retain(|&step, _| keeps(step));
                chosen.zoomed.insert(name.clone(), zoomed);
            }
            let found =
                if args.recorded { reader.recorded_series(name)? } else { reader.series(name)? };
            if let Some(mut s) = found {
                s.points.retain(|p| keeps(p.step));
                chosen.series.push(s);
            } else if tensor_names.contains(name) {
                let readings = vectors(reader, name, args.recorded)?.iter();
                let readings = readings.filter(|r| keeps(r.step)).collect();
                chosen.tensors.push((name.clone(), readings));
            } else {
                return Err(unknown(reader, name, args.recorded)?.into());
            }
        }
        Ok(chosen)
    }

    fn n_readings(&self) -> usize {
        let vectors = self.tensors.iter().flat_map(|(_, readings)| readings);
        self.series.iter().map(|s| s.points.len()).sum::<usize>()
            + vectors.map(|r| r.values.len()).sum::<usize>()
    }

    /// Says which readings are those of zooms, where there are any.
    fn to_json(&self, run: &RunId) -> Value {
        let with_zooms = |mut json: Value, name: &str| {
            if let Some(zoomed) = self.zoomed.get(name).filter(|z| !z.is_empty()) {
                let pairs: Vec<Value> = zoomed.iter().map(|(s, z)| json!([s, z])).collect();
                json["zoomed"] = pairs.into();
            }
            json
        };
        let series = |s: &Series| {
            let points = s.points.iter().map(|p| json!([p.step, p.value]));
            let points = points.collect::<Vec<_>>();
            with_zooms(json!({ "name": s.name, "unit": s.unit, "points": points }), &s.name)
        };
        let tensor = |(name, readings): &(String, Vec<&TensorReading>)| {
            let point = |r: &&TensorReading| json!({ "step": r.step, "shape": r.shape, "values": r.values.to_f64() });
            let unit = readings.first().map_or("", |r| &r.unit);
            let points: Vec<Value> = readings.iter().map(point).collect();
            with_zooms(json!({ "name": name, "unit": unit, "points": points }), name)
        };
        json!({
            "run": run,
            "series": self.series.iter().map(series).collect::<Vec<_>>(),
            "tensors": self.tensors.iter().map(tensor).collect::<Vec<_>>(),
        })
    }

    /// One line per reading; numbers in the shortest form that reads back to the same bits.
    fn write_csv(&self, run: &RunId, out: &mut dyn Write) -> anyhow::Result<()> {
        writeln!(out, "run_id,step,metric,value")?;
        for s in &self.series {
            let name = quoted(&s.name);
            for p in &s.points {
                writeln!(out, "{run},{},{name},{}", p.step, p.value)?;
            }
        }
        for (name, readings) in &self.tensors {
            for r in readings {
                for (i, v) in r.values.to_f64().iter().enumerate() {
                    writeln!(out, "{run},{},{},{v}", r.step, quoted(&format!("{name}[{i}]")))?;
                }
            }
        }
        Ok(())
    }

    /// A column per series and a row per step; vectors follow, a line per step.
    fn write(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut rows: BTreeMap<Step, Vec<Option<f64>>> = BTreeMap::new();
        for (i, s) in self.series.iter().enumerate() {
            for p in &s.points {
                let row = rows.entry(p.step).or_insert_with(|| vec![None; self.series.len()]);
                row[i] = Some(p.value);
            }
        }
        let of = |step: &Step| -> String {
            let zooms = self.series.iter().filter_map(|s| self.zoomed.get(&s.name)?.get(step));
            let mut names: Vec<&str> = zooms.map(ZoomId::as_str).collect();
            names.dedup();
            names.join(" ")
        };
        let is_zoomed =
            self.series.iter().any(|s| self.zoomed.get(&s.name).is_some_and(|z| !z.is_empty()));
        let names = std::iter::once("step").chain(self.series.iter().map(|s| s.name.as_str()));
        let mut table = Table::new(names.chain(is_zoomed.then_some("from zoom")));
        for (step, values) in rows {
            let cells = values.into_iter().map(|v| v.map(number).unwrap_or_default());
            let zoom = is_zoomed.then(|| of(&step));
            table.row(std::iter::once(step.to_string()).chain(cells).chain(zoom));
        }
        if !self.series.is_empty() {
            table.write(out, "")?;
        }
        for (name, readings) in &self.tensors {
            writeln!(out, "{name}")?;
            for r in readings {
                let values: Vec<String> = r.values.to_f64().into_iter().map(number).collect();
                let zoom = self.zoomed.get(name).and_then(|z| z.get(&r.step));
                let zoom = zoom.map(|z| format!("  (zoom {z})")).unwrap_or_default();
                writeln!(out, "  {:>8}  {}{zoom}", r.step.0, values.join(" "))?;
            }
        }
        Ok(())
    }
}

/// A field of CSV.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_fields_with_commas_are_quoted() {
        assert_eq!(quoted("test.loss"), "test.loss");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }

    #[test]
    fn a_span_needs_no_second_step() {
        assert_eq!(span([Step(3)].into_iter()), "3 to 3");
        assert_eq!(span([Step(3), Step(5), Step(9)].into_iter()), "3 to 9");
        assert_eq!(span(std::iter::empty()), "");
    }
}
