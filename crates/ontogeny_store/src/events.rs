//! Detected events of a run, as one small Parquet table that is replaced whole.

use crate::table::{self, Column, Table};
use crate::{Damage, StoreError, disk};
use ontogeny_core::{Censoring, Event, RunId, Step};
use parquet::data_type::ByteArray;
use std::path::{Path, PathBuf};

const SCHEMA: &str = "message events {
    required binary run (UTF8);
    required binary name (UTF8);
    required binary series (UTF8);
    optional int64 lo;
    optional int64 hi;
    optional int64 horizon;
    required int64 known_at;
    required binary detector (UTF8);
    required double evidence;
}";

fn path(run_dir: &Path) -> PathBuf {
    run_dir.join("events.parquet")
}

pub(crate) fn write(run_dir: &Path, run: &RunId, events: &[Event]) -> Result<(), StoreError> {
    let path = path(run_dir);
    let text = |f: fn(&Event) -> &str| Column::Text(events.iter().map(|e| f(e).into()).collect());
    let when = |f: fn(Censoring) -> Option<Step>| {
        Column::MaybeInt(events.iter().map(|e| f(e.when).map(|s| s.0.cast_signed())).collect())
    };
    let columns = [
        text(|e| e.run.as_str()),
        text(|e| &e.name),
        text(|e| &e.series),
        when(|w| if let Censoring::Interval { lo, .. } = w { Some(lo) } else { None }),
        when(Censoring::seen_at),
        when(|w| if let Censoring::Right { horizon } = w { Some(horizon) } else { None }),
        Column::Int(events.iter().map(|e| e.known_at.0.cast_signed()).collect()),
        text(|e| &e.detector),
        Column::Double(events.iter().map(|e| e.evidence).collect()),
    ];
    let meta = [("ontogeny.format_version", "1".to_owned()), ("ontogeny.run", run.to_string())];
    disk::replace_sealed(&path, &table::encode(&path, SCHEMA, &meta, &columns)?)
}

/// Reads the events; none if none were ever written.
pub(crate) fn read(run_dir: &Path) -> Result<Vec<Event>, StoreError> {
    let path = path(run_dir);
    let Some(bytes) = disk::read_sealed(&path)? else { return Ok(Vec::new()) };
    let table = Table::open(&path, bytes)?;
    let (runs, names) = (table.texts("run")?, table.texts("name")?);
    let (series, detectors) = (table.texts("series")?, table.texts("detector")?);
    let (lo, hi) = (table.maybe_ints("lo")?, table.maybe_ints("hi")?);
    let (horizons, evidence) = (table.maybe_ints("horizon")?, table.doubles("evidence")?);
    let known = table.ints("known_at")?;
    let n = table.same_len(&[
        ("run", runs.len()),
        ("name", names.len()),
        ("series", series.len()),
        ("detector", detectors.len()),
        ("lo", lo.len()),
        ("hi", hi.len()),
        ("horizon", horizons.len()),
        ("known_at", known.len()),
        ("evidence", evidence.len()),
    ])?;
    let text = |column, cell: &ByteArray| table.text(column, cell).map(str::to_owned);
    let bad = |column| StoreError::damaged(&path, Damage::Column { column });
    let step = |s: i64| Step(s.cast_unsigned());
    (0..n)
        .map(|i| {
            let when = match (lo[i], hi[i], horizons[i]) {
                (Some(lo), Some(hi), None) => Censoring::Interval { lo: step(lo), hi: step(hi) },
                (None, None, Some(horizon)) => Censoring::Right { horizon: step(horizon) },
                _ => return Err(bad("horizon")),
            };
            Ok(Event {
                run: RunId::new(text("run", &runs[i])?).ok_or_else(|| bad("run"))?,
                name: text("name", &names[i])?,
                series: text("series", &series[i])?,
                when,
                known_at: step(known[i]),
                detector: text("detector", &detectors[i])?,
                evidence: evidence[i],
            })
        })
        .collect()
}
