//! Runs side by side: what differs in their configuration, when their events came, where they ended.

use crate::describe;
use crate::text::{Table, count, difference, flatten, number, value};
use ontogeny_core::{Event, RunManifest, Step};
use ontogeny_lab::RunRecord;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

/// Series that say nothing about the science of a run: costs differ from machine to machine, and a
/// hash is equal or not.
fn is_science(name: &str) -> bool {
    !name.starts_with("cost.") && name != "state.fingerprint" && name != "state.hash"
}

/// Two runs or more. The first is the one that the others are compared with.
#[derive(Debug)]
pub(crate) struct Comparison<'a> {
    runs: &'a [RunRecord],
    /// The last step that all of them have.
    common: Step,
}

/// A configuration key that differs, with each run's value.
type Differing = (String, Vec<Option<Value>>);

impl<'a> Comparison<'a> {
    pub(crate) fn new(runs: &'a [RunRecord]) -> Self {
        let common = runs.iter().map(|r| r.manifest.step).min().unwrap_or_default();
        Self { runs, common }
    }

    /// Keys of configuration and seeds whose values are not all equal.
    fn differences(&self) -> Vec<Differing> {
        let mut keys: BTreeMap<String, Vec<Option<Value>>> = BTreeMap::new();
        for (i, r) in self.runs.iter().enumerate() {
            let m = &r.manifest;
            let all = json!({ "seeds": m.seeds });
            for (key, v) in flatten(&m.config).into_iter().chain(flatten(&all)) {
                keys.entry(key).or_insert_with(|| vec![None; self.runs.len()])[i] = Some(v);
            }
        }
        keys.into_iter().filter(|(_, v)| v.iter().any(|x| *x != v[0])).collect()
    }

    /// Why the differences between run `i` and the first are paired; `None` if they are not.
    fn pairing(&self, i: usize) -> Option<String> {
        let (a, b) = (&self.runs[0].manifest, &self.runs[i].manifest);
        let fork = |child: &RunManifest, parent: &RunManifest| {
            let f = child.fork.as_ref().filter(|f| f.parent == parent.run)?;
            Some(format!("{} is a fork of {} at step {}", child.run, parent.run, f.step))
        };
        let siblings = || {
            let (f, g) = (a.fork.as_ref()?, b.fork.as_ref()?);
            (f.parent == g.parent && f.step == g.step)
                .then(|| format!("both are forks of {} at step {}", f.parent, f.step))
        };
        let same_data = || {
            let task = |m: &RunManifest| m.config.get("task").cloned();
            (a.seeds.data_seed == b.seeds.data_seed && task(a).is_some() && task(a) == task(b))
                .then(|| format!("both see the same data (data_seed {})", a.seeds.data_seed))
        };
        fork(b, a).or_else(|| fork(a, b)).or_else(siblings).or_else(same_data)
    }

    /// Names of events in the order in which the runs have them.
    fn event_names(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = Vec::new();
        for e in self.runs.iter().flat_map(|r| &r.events) {
            if !names.contains(&e.name.as_str()) {
                names.push(&e.name);
            }
        }
        names
    }

    fn series_names(&self) -> BTreeSet<&'a str> {
        let names = self.runs.iter().flat_map(|r| r.series.keys());
        names.map(String::as_str).filter(|n| is_science(n)).collect()
    }

    /// The value of each run at the last common step, or the last before it.
    fn values(&self, series: &str) -> Vec<Option<f64>> {
        self.runs.iter().map(|r| r.value(series, self.common)).collect()
    }

    pub(crate) fn to_json(&self) -> Value {
        let ids: Vec<&str> = self.runs.iter().map(|r| r.id().as_str()).collect();
        let by_run = |values: Vec<Value>| -> Map<String, Value> {
            ids.iter().map(|id| (*id).to_owned()).zip(values).collect()
        };
        let differences: Vec<Value> = (self.differences().into_iter())
            .map(|(key, v)| json!({ "key": key, "values": by_run(v.into_iter().map(|v| json!(v)).collect()) }))
            .collect();
        let events: Vec<Value> = (self.event_names().into_iter())
            .map(|name| {
                let each = self.runs.iter().map(|r| json!(r.event(name).map(|e| e.when)));
                json!({ "event": name, "when": by_run(each.collect()) })
            })
            .collect();
        let values: Vec<Value> = (self.series_names().into_iter())
            .map(|name| {
                let each = self.values(name).into_iter().map(|v| json!(v));
                json!({ "series": name, "values": by_run(each.collect()) })
            })
            .collect();
        let pairings: Vec<Value> = (1..self.runs.len())
            .map(|i| json!({ "run": ids[i], "with": ids[0], "paired": self.pairing(i) }))
            .collect();
        json!({
            "runs": ids, "common_step": self.common, "configuration": differences, "events": events,
            "values": values, "pairings": pairings,
        })
    }

    pub(crate) fn write(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        self.write_runs(out)?;
        self.write_differences(out)?;
        self.write_pairings(out)?;
        self.write_events(out)?;
        self.write_values(out)
    }

    fn write_runs(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut table = Table::new(["", "run", "role", "step", "status"]);
        for (i, r) in self.runs.iter().enumerate() {
            let (m, status) = (&r.manifest, describe::status(&r.manifest));
            table.row([
                letter(i),
                m.run.to_string(),
                m.role.clone(),
                describe::progress(m),
                status,
            ]);
        }
        Ok(table.write(out, "")?)
    }

    fn write_differences(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let differences = self.differences();
        if differences.is_empty() {
            writeln!(out, "\nconfigurations and seeds are equal")?;
            return Ok(());
        }
        let mut table = Table::new(self.columns("configuration", false));
        for (key, values) in differences {
            let cells = values.iter().map(|v| v.as_ref().map_or_else(|| "-".to_owned(), value));
            table.row(std::iter::once(key).chain(cells));
        }
        writeln!(out)?;
        Ok(table.write(out, "")?)
    }

    fn write_pairings(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        writeln!(out)?;
        for i in 1..self.runs.len() {
            let (a, b) = (letter(0), letter(i));
            match self.pairing(i) {
                Some(why) => writeln!(out, "{b} - {a} is a paired difference: {why}")?,
                None => writeln!(out, "{b} and {a} are not paired: they share no data")?,
            }
        }
        Ok(())
    }

    fn write_events(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let names = self.event_names();
        if names.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(self.columns("event", true));
        for name in names {
            let events: Vec<Option<&Event>> = self.runs.iter().map(|r| r.event(name)).collect();
            let cells =
                events.iter().map(|e| e.map_or_else(|| "-".to_owned(), |e| describe::when(e.when)));
            let seen = |i: usize| Some(events[i]?.when.seen_at()?.0 as f64);
            let changes = (1..self.runs.len()).filter(|&i| self.pairing(i).is_some()).map(|i| {
                seen(i).zip(seen(0)).map_or_else(|| "-".to_owned(), |(b, a)| difference(b - a))
            });
            table.row(std::iter::once(name.to_owned()).chain(cells).chain(changes));
        }
        writeln!(out, "\nevents: first step seen (>S: not by step S)")?;
        Ok(table.write(out, "")?)
    }

    fn write_values(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut table = Table::new(self.columns("series", true));
        let (mut n_equal, mut n_all) = (0, 0);
        for name in self.series_names() {
            let values = self.values(name);
            n_all += 1;
            // Bits, not numbers: a NaN equals itself here, and a zero of another sign is a difference.
            let bits = |v: &Option<f64>| v.map(f64::to_bits);
            if values.iter().all(|v| bits(v) == bits(&values[0])) {
                n_equal += 1;
                continue;
            }
            let cells = values.iter().map(|v| v.map_or_else(|| "-".to_owned(), number));
            let changes = (1..self.runs.len()).filter(|&i| self.pairing(i).is_some()).map(|i| {
                values[i].zip(values[0]).map_or_else(|| "-".to_owned(), |(b, a)| difference(b - a))
            });
            table.row(std::iter::once(name.to_owned()).chain(cells).chain(changes));
        }
        writeln!(out, "\nvalues at step {}, the last that all have", self.common)?;
        if !table.is_empty() {
            table.write(out, "")?;
        }
        if n_equal > 0 {
            writeln!(out, "{n_equal} of {} are equal to the last bit", count(n_all, "series"))?;
        }
        Ok(())
    }

    /// A heading, a column per run, and one per paired difference if asked for.
    fn columns(&self, first: &str, differences: bool) -> Vec<String> {
        let runs = (0..self.runs.len()).map(letter);
        let paired = (1..self.runs.len()).filter(|&i| differences && self.pairing(i).is_some());
        let paired = paired.map(|i| format!("{} - {}", letter(i), letter(0)));
        std::iter::once(first.to_owned()).chain(runs).chain(paired).collect()
    }
}

/// A run's name in the columns: A, B, ..., Z, and numbers beyond.
fn letter(i: usize) -> String {
    u8::try_from(i)
        .ok()
        .filter(|&i| i < 26)
        .map_or_else(|| format!("#{}", i + 1), |i| char::from(b'A' + i).to_string())
}
