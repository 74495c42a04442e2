//! Where the readings of a series come from.

use crate::face::{Face, write_json};
use crate::text::{Table, number};
use ontogeny_store::{Reading, RunReader};
use serde_json::{Value, json};
use std::io::Write;

/// Prints every reading of the series that the run recorded, in the order in which they arrived.
pub(super) fn write(
    reader: &RunReader,
    names: &[String],
    keeps: impl Fn(ontogeny_core::Step) -> bool,
    face: &Face,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for name in names {
        let mut readings = reader.readings(name)?;
        if readings.is_empty() {
            return Err(super::unknown(reader, name, true)?.into());
        }
        readings.retain(|r| keeps(r.point.step));
        all.push((name, readings));
    }
    if face.json {
        let series: Vec<Value> = all
            .iter()
            .map(|(name, readings)| {
                json!({ "name": name, "readings": readings.iter().map(to_json).collect::<Vec<_>>() })
            })
            .collect();
        return Ok(write_json(out, &json!({ "run": reader.manifest().run, "series": series }))?);
    }
    for (name, readings) in all {
        writeln!(out, "{name}")?;
        let mut table = Table::new(["step", "value", "session", "segment", "row", ""]);
        for r in &readings {
            let segment = r.segment.map_or_else(|| "live".to_owned(), |s| s.to_string());
            let session = if r.session == 0 { "unknown".to_owned() } else { r.session.to_string() };
            let notes = [(r.is_late, "late"), (!r.counts, "does not count")];
            let notes: Vec<&str> = notes.into_iter().filter(|n| n.0).map(|n| n.1).collect();
            table.row([
                r.point.step.to_string(),
                number(r.point.value),
                session,
                segment,
                r.row.to_string(),
                notes.join(", "),
            ]);
        }
        table.write(out, "  ")?;
    }
    Ok(())
}

fn to_json(r: &Reading) -> Value {
    json!({
        "step": r.point.step, "value": r.point.value, "session": r.session, "segment": r.segment,
        "row": r.row, "is_late": r.is_late, "counts": r.counts,
    })
}
