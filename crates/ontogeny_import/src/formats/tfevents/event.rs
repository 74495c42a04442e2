//! An event and the values of its summary, over borrowed bytes.

use super::tensor;
use crate::wire::{self, Field};

/// An event with a summary.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'a> {
    /// Seconds since the Unix epoch.
    pub(super) wall_time: f64,
    pub(super) step: i64,
    /// How many summaries it has; writers give it one, and what counts is what all of them hold.
    pub(super) n_summaries: u32,
    summary: &'a [u8],
    bytes: &'a [u8],
}

/// One value of a summary.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Value<'a> {
    pub(super) tag: &'a [u8],
    simple: Option<f32>,
    tensor: Option<&'a [u8]>,
}

impl<'a> Event<'a> {
    /// `None` if the bytes are no event.
    #[inline]
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut event = Self { wall_time: f64::NAN, step: 0, n_summaries: 0, summary: &[], bytes };
        wire::each(bytes, |number, field| {
            match (number, field) {
                (1, Field::Fixed64(bits)) => event.wall_time = f64::from_bits(bits),
                (2, Field::Varint(step)) => event.step = step.cast_signed(),
                (5, Field::Bytes(summary)) => {
                    event.summary = summary;
                    event.n_summaries += 1;
                }
                _ => {}
            }
            Some(())
        })?;
        Some(event)
    }

    /// Calls `f` for every value; `None` if a summary is none.
    #[inline]
    pub(super) fn each_value(&self, mut f: impl FnMut(Value<'a>)) -> Option<()> {
        if self.n_summaries == 1 {
            return values(self.summary, &mut f);
        }
        wire::each(self.bytes, |number, field| match (number, field) {
            (5, Field::Bytes(summary)) => values(summary, &mut f),
            _ => Some(()),
        })
    }
}

#[inline]
fn values<'a>(summary: &'a [u8], f: &mut impl FnMut(Value<'a>)) -> Option<()> {
    wire::each(summary, |number, field| {
        if let (1, Field::Bytes(bytes)) = (number, field) {
            let mut value = Value::default();
            wire::each(bytes, |number, field| {
                match (number, field) {
                    (1, Field::Bytes(tag)) => value.tag = tag,
                    (2, Field::Fixed32(bits)) => value.simple = Some(f32::from_bits(bits)),
                    (8, Field::Bytes(tensor)) => value.tensor = Some(tensor),
                    _ => {}
                }
                Some(())
            })?;
            f(value);
        }
        Some(())
    })
}

impl Value<'_> {
    /// The number, `Some(None)` if this is something else, `None` if it is malformed.
    #[inline]
    #[expect(clippy::option_option, reason = "something else and a mistake are different things")]
    pub(super) fn number(&self) -> Option<Option<f64>> {
        match (self.simple, self.tensor) {
            (Some(value), _) => Some(Some(f64::from(value))),
            (None, Some(tensor)) => tensor::scalar(tensor),
            (None, None) => Some(None),
        }
    }
}
