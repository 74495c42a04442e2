//! TensorBoard event files: scalars in both encodings, every checksum verified.
//!
//! The files of a folder are one run, in the order of their names, which begin with the time at which they
//! were opened. A record is a length, its masked CRC32C, the event, and its masked CRC32C. What is no scalar (images, histograms,
//! graphs) is passed over; a file that ends within a record is one that was still being written or whose writer died:
//! what is before that place counts. `hparams.json` beside the files, where there is one, is the configuration.

mod event;
pub(crate) mod frame;
pub(crate) mod tensor;

use super::{Format, Grouping, Head};
use crate::recorder::{At, Recorder};
use crate::sink::{Reading, RunKey, RunMeta, SeriesKey};
use crate::source::Source;
use crate::walk::Unit;
use crate::{ImportError, Input, Options, Problem, units};
use frame::Next;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Bytes of `hparams.json` beside the files that are read.
const MAX_CONFIG: u64 = 4 << 20;

/// The format.
#[derive(Debug)]
pub(super) struct TfEvents;

impl Format for TfEvents {
    fn name(&self) -> &'static str {
        "tfevents"
    }

    fn summary(&self) -> &'static str {
        "TensorBoard event files; the files of a folder are one run"
    }

    fn grouping(&self) -> Grouping {
        Grouping::Folder
    }

    fn recognises(&self, head: &Head, _: &Options) -> bool {
        // An empty file says nothing but its name: a writer that died before its first event.
        (head.bytes.is_empty() && head.name.contains(".tfevents.")) || frame::begins(&head.bytes)
    }

    fn read(&self, unit: &Unit, _: &Options, out: &mut Recorder<'_>) -> Result<(), ImportError> {
        let mut reader = Reader::default();
        for input in &unit.files {
            out.scan(input, |source, out| reader.file(input, source, out))?;
        }
        Ok(())
    }
}

/// What is known of a run across its files.
#[derive(Debug, Default)]
struct Reader {
    run: Option<RunKey>,
    /// Wall time of the first scalar.
    began: Option<f64>,
    tags: Tags,
}

impl Reader {
    fn file(
        &mut self,
        input: &Input,
        source: &mut Source,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        let mut at = At::default();
        loop {
            at = At { record: at.record + 1, offset: source.offset() };
            let next = frame::next(source)?;
            match next {
                Next::Record { from, to } => {
                    let payload = &source.window()[from..to];
                    if frame::is_sound(payload, &source.window()[to..]) {
                        if self.event(payload, at, input, out)?.is_none() {
                            out.problem(input, at, Problem::Protobuf)?;
                        }
                    } else {
                        out.problem(input, at, Problem::Checksum { part: "data" })?;
                    }
                    source.consume(to + 4);
                }
                Next::Skipped { sound: true } => out.passed_over(),
                Next::Skipped { sound: false } => {
                    out.problem(input, at, Problem::Checksum { part: "data" })?;
                }
                Next::End => return Ok(()),
                Next::Torn { n_bytes } => {
                    out.note(format!(
                        "{} ends within record {} at byte {}; its last {n_bytes} bytes were left out",
                        input.path().display(),
                        at.record,
                        at.offset
                    ));
                    return Ok(());
                }
                Next::BadLength if at.record == 1 => {
                    let expected = "TensorBoard event";
                    return Err(out.error(input, at, Problem::Magic { expected }));
                }
                // Where the next record begins can no longer be told.
                Next::BadLength => {
                    return Err(out.error(input, at, Problem::Checksum { part: "length" }));
                }
            }
        }
    }

    /// One event; `Ok(None)` if its bytes are no event.
    #[inline]
    fn event(
        &mut self,
        payload: &[u8],
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<Option<()>, ImportError> {
        let Some(event) = event::Event::parse(payload) else { return Ok(None) };
        if event.n_summaries == 0 {
            return Ok(Some(())); // The version of the file, a graph, the marks of a session.
        }
        let mut done = Ok(());
        let parsed = event.each_value(|value| {
            if done.is_ok() {
                done = self.value(&event, &value, at, input, out);
            }
        });
        done.map(|()| parsed)
    }

    #[inline]
    fn value(
        &mut self,
        event: &event::Event<'_>,
        value: &event::Value<'_>,
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        let number = match value.number() {
            Some(Some(number)) => number,
            Some(None) => {
                out.passed_over();
                return Ok(());
            }
            None => return out.problem(input, at, Problem::Protobuf),
        };
        let Ok(step) = u64::try_from(event.step) else {
            out.without_step();
            return Ok(());
        };
        let series = if let Some(series) = self.tags.find(value.tag) {
            series
        } else {
            let Ok(tag) = std::str::from_utf8(value.tag) else {
                return out.problem(input, at, Problem::NotText);
            };
            let run = self.run(input, out)?;
            let series = out.series(input, run, tag, units::of_name(tag))?;
            self.tags.add(value.tag, series);
            series
        };
        let began = *self.began.get_or_insert(event.wall_time);
        out.reading(series, Reading { step, value: number, wall_secs: event.wall_time - began })
    }

    fn run(&mut self, input: &Input, out: &mut Recorder<'_>) -> Result<RunKey, ImportError> {
        if let Some(run) = self.run {
            return Ok(run);
        }
        let config = input.sibling("hparams.json", MAX_CONFIG);
        let config = config.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let config = match config {
            Some(Value::Object(config)) => config,
            _ => Map::new(),
        };
        let run = out.run(input, &RunMeta { config, ..RunMeta::default() })?;
        Ok(*self.run.insert(run))
    }
}

/// Series by tag. Tags come in the same order at every step, so the one after the last is tried first, and
/// no scalar costs an allocation.
#[derive(Debug, Default)]
struct Tags {
    all: Vec<(Box<[u8]>, SeriesKey)>,
    places: BTreeMap<Box<[u8]>, usize>,
    next: usize,
}

impl Tags {
    #[inline]
    fn find(&mut self, tag: &[u8]) -> Option<SeriesKey> {
        if self.next >= self.all.len() {
            self.next = 0;
        }
        let (guess, key) = self.all.get(self.next)?;
        if **guess == *tag {
            self.next += 1;
            return Some(*key);
        }
        let place = *self.places.get(tag)?;
        self.next = place + 1;
        Some(self.all[place].1)
    }

    fn add(&mut self, tag: &[u8], series: SeriesKey) {
        self.places.insert(tag.into(), self.all.len());
        self.all.push((tag.into(), series));
        self.next = self.all.len();
    }
}
