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
use event::Plain;
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
    lengths: frame::Lengths,
}

impl Reader {
    fn file(
        &mut self,
        input: &Input,
        source: &mut Source,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        let mut at = At { record: 1, offset: source.offset() };
        loop {
            let n = self.window(source.window(), &mut at, input, out)?;
            source.consume(n);
            match frame::next(source)? {
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
            at = At { record: at.record + 1, offset: source.offset() };
        }
    }

    /// The records that are wholly in the window, up to the first that is no plain scalar; says how many bytes
    /// they are and moves `at` over them.
    fn window(
        &mut self,
        window: &[u8],
        at: &mut At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<usize, ImportError> {
        let mut rest = window;
        while let Some((payload, after)) = self.lengths.short(rest) {
            // In this order, so that the checksum of what is no plain scalar is not computed twice.
            let Some(event) = Plain::parse(payload) else { break };
            if !frame::is_sound(payload, after) {
                break;
            }
            self.scalar(&event, *at, input, out)?;
            rest = &after[4..];
            at.record += 1;
            at.offset += (frame::HEADER + payload.len() + 4) as u64;
        }
        Ok(window.len() - rest.len())
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
        let event::Event { wall_time, step, .. } = *event;
        self.scalar(&Plain { wall_time, step, tag: value.tag, number }, at, input, out)
    }

    #[inline]
    fn scalar(
        &mut self,
        scalar: &Plain<'_>,
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<(), ImportError> {
        let &Plain { wall_time, step, tag, number: value } = scalar;
        let Ok(step) = u64::try_from(step) else {
            out.without_step();
            return Ok(());
        };
        let series = match self.tags.find(tag) {
            Some(series) => series,
            None => match self.new_series(tag, at, input, out)? {
                Some(series) => series,
                None => return Ok(()),
            },
        };
        let began = *self.began.get_or_insert(wall_time);
        out.reading(series, Reading { step, value, wall_secs: wall_time - began })
    }

    /// `None` if the tag is no text.
    #[cold]
    fn new_series(
        &mut self,
        tag: &[u8],
        at: At,
        input: &Input,
        out: &mut Recorder<'_>,
    ) -> Result<Option<SeriesKey>, ImportError> {
        let Ok(name) = std::str::from_utf8(tag) else {
            out.problem(input, at, Problem::NotText)?;
            return Ok(None);
        };
        let run = self.run(input, out)?;
        let series = out.series(input, run, name, units::of_name(name))?;
        self.tags.add(tag, series);
        Ok(Some(series))
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

/// Series by tag. Tags come in the same order at every step, or one series after another: the one after the
/// last is tried first, then the last, and no scalar costs an allocation.
#[derive(Debug, Default)]
struct Tags {
    all: Vec<(Box<[u8]>, SeriesKey)>,
    places: BTreeMap<Box<[u8]>, usize>,
    last: usize,
}

impl Tags {
    #[inline]
    fn find(&mut self, tag: &[u8]) -> Option<SeriesKey> {
        let next = if self.last + 1 < self.all.len() { self.last + 1 } else { 0 };
        for place in [next, self.last] {
            let (guess, key) = self.all.get(place)?;
            if is_same(guess, tag) {
                self.last = place;
                return Some(*key);
            }
        }
        let place = *self.places.get(tag)?;
        self.last = place;
        Some(self.all[place].1)
    }

    fn add(&mut self, tag: &[u8], series: SeriesKey) {
        self.last = self.all.len();
        self.places.insert(tag.into(), self.last);
        self.all.push((tag.into(), series));
    }
}

/// Whether two tags are one. The end is what tells tags apart, and most are short: not worth a call.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    match (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        (Some(x), Some(y)) if a.len() == b.len() => {
            x == y
                && a.chunks_exact(8)
                    .zip(b.chunks_exact(8))
                    .all(|(a, b)| a.first_chunk::<8>() == b.first_chunk::<8>())
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_in_any_order() {
        let mut tags = Tags::default();
        assert_eq!(tags.find(b"loss"), None);
        let names =
            ["", "a", "train/metric_01", "train/metric_02", "train/metric_1", "valid/metric_01"];
        for (i, name) in names.iter().enumerate() {
            assert_eq!(tags.find(name.as_bytes()), None, "{name}");
            tags.add(name.as_bytes(), SeriesKey(i as u32));
        }
        for stride in 0..names.len() {
            for i in (0..4 * names.len()).map(|k| k * stride % names.len()) {
                assert_eq!(tags.find(names[i].as_bytes()), Some(SeriesKey(i as u32)));
            }
        }
        assert_eq!(tags.find(b"train/metric_03"), None);
    }

    #[test]
    fn tags_are_one_if_all_their_bytes_are() {
        for len in 0..40 {
            let tag = vec![b'x'; len];
            assert!(is_same(&tag, &tag));
            assert!(!is_same(&tag, &vec![b'x'; len + 1]));
            for at in 0..len {
                let mut other = tag.clone();
                other[at] = b'y';
                assert!(!is_same(&tag, &other), "byte {at} of {len}");
            }
        }
    }
}
