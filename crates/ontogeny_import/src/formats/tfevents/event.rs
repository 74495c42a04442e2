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

/// An event with one number, its fields in the order in which every known writer puts them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plain<'a> {
    pub(super) wall_time: f64,
    pub(super) step: i64,
    pub(super) tag: &'a [u8],
    pub(super) number: f64,
}

impl<'a> Plain<'a> {
    /// `None` if the event is laid out otherwise, or is none: [`Event::parse`] tells.
    #[inline]
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (wall_time, rest) = bytes.strip_prefix(&[0x09])?.split_first_chunk()?;
        let (step, mut rest) = match rest {
            [0x10, rest @ ..] => {
                let mut rest = rest;
                (wire::varint(&mut rest)?, rest)
            }
            _ => (0, rest), // A zero is not written out.
        };
        // The summary and its value, each to the very end.
        for key in [0x2a, 0x0a] {
            rest = rest.strip_prefix(&[key])?;
            let len = wire::varint(&mut rest)?;
            if len != rest.len() as u64 {
                return None;
            }
        }
        rest = rest.strip_prefix(&[0x0a])?;
        let len = usize::try_from(wire::varint(&mut rest)?).ok()?;
        let (tag, rest) = rest.split_at_checked(len)?;
        let number = match rest {
            &[0x15, a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
            [0x42, rest @ ..] => {
                let mut rest = rest;
                let len = usize::try_from(wire::varint(&mut rest)?).ok()?;
                let (bytes, mut rest) = rest.split_at_checked(len)?;
                // What the value is of, which the tag tells too.
                if let Some(after) = rest.strip_prefix(&[0x4a]) {
                    rest = after;
                    let len = wire::varint(&mut rest)?;
                    rest = &rest[usize::try_from(len).ok().filter(|&len| len == rest.len())?..];
                }
                if !rest.is_empty() {
                    return None;
                }
                tensor::scalar(bytes)??
            }
            _ => return None,
        };
        let (wall_time, step) = (f64::from_le_bytes(*wall_time), step.cast_signed());
        Some(Self { wall_time, step, tag, number })
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{put_bytes, put_varint};
    use proptest::prelude::*;

    /// An event with one value: `float` as itself, or as a tensor with or without a shape and metadata.
    fn event(wall_time: f64, step: u64, tag: &[u8], float: f32, kind: usize) -> Vec<u8> {
        let mut value = Vec::new();
        put_bytes(&mut value, 1, tag);
        if kind == 0 {
            value.push(0x15);
            value.extend(float.to_le_bytes());
        } else {
            let mut tensor = vec![0x08, 0x01];
            if kind.is_multiple_of(2) {
                put_bytes(&mut tensor, 2, &[]);
            }
            put_bytes(&mut tensor, if kind < 3 { 4 } else { 5 }, &float.to_le_bytes());
            put_bytes(&mut value, 8, &tensor);
            if kind > 2 {
                put_bytes(&mut value, 9, b"\x0a\x09\x0a\x07scalars");
            }
        }
        let mut summary = Vec::new();
        put_bytes(&mut summary, 1, &value);
        let mut bytes = vec![0x09];
        bytes.extend(wall_time.to_le_bytes());
        if step > 0 {
            bytes.push(0x10);
            put_varint(&mut bytes, step);
        }
        put_bytes(&mut bytes, 5, &summary);
        bytes
    }

    /// A reading, to the last bit: wall time, step, tag, number.
    type Bits<'a> = (u64, i64, &'a [u8], u64);

    /// What the long way says of an event all of whose values are numbers.
    fn long_way(bytes: &[u8]) -> Option<Vec<Bits<'_>>> {
        let event = Event::parse(bytes)?;
        let mut found = Some(Vec::new());
        let parsed = event.each_value(|value| {
            let number = value.number().flatten();
            if let (Some(found), Some(number)) = (&mut found, number) {
                found.push((event.wall_time.to_bits(), event.step, value.tag, number.to_bits()));
            } else {
                found = None;
            }
        });
        parsed.and(found)
    }

    proptest! {
        #[test]
        fn plain_events_are_read_as_the_long_way_reads_them(
            wall_time in any::<f64>(), step in prop_oneof![0..300u64, any::<u64>()], float in any::<f32>(),
            tag in prop::collection::vec(any::<u8>(), 0..200), kind in 0..5usize,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = event(wall_time, step, &tag, float, kind);
            if changes.is_empty() {
                prop_assert!(Plain::parse(&bytes).is_some());
            }
            for (place, byte) in changes {
                let at = place.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(plain) = Plain::parse(&bytes) {
                let Plain { wall_time, step, tag, number } = plain;
                let expected = vec![(wall_time.to_bits(), step, tag, number.to_bits())];
                prop_assert_eq!(long_way(&bytes), Some(expected));
            }
        }
    }
}
