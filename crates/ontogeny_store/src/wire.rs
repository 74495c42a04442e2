//! Little-endian numbers and strings inside frames, and the table of series names that both logs carry.

use ontogeny_core::{Clocks, Step};
use std::collections::BTreeMap;

/// Reads from the front of a payload; `None` when it is too short, which a checksummed frame never is.
#[derive(Debug)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[b]| b)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn f64(&mut self) -> Option<f64> {
        self.array().map(f64::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let n = self.u32()? as usize;
        std::str::from_utf8(self.bytes(n)?).ok().map(str::to_owned)
    }

    pub(crate) fn clocks(&mut self) -> Option<Clocks> {
        Some(Clocks {
            n_examples: self.u64()?,
            flop: self.f64()?,
            lr_time: self.f64()?,
            wall_secs: self.f64()?,
        })
    }

    pub(crate) fn step(&mut self) -> Option<Step> {
        self.u64().map(Step)
    }
}

pub(crate) fn put_clocks(out: &mut Vec<u8>, clocks: Clocks) {
    out.extend_from_slice(&clocks.n_examples.to_le_bytes());
    for f in [clocks.flop, clocks.lr_time, clocks.wall_secs] {
        out.extend_from_slice(&f.to_le_bytes());
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Tag of the record that gives the next number to a name: name, unit.
pub(crate) const NAME: u8 = 1;

/// A series' name and its unit.
pub(crate) type Named = (String, String);

pub(crate) fn put_name(out: &mut Vec<u8>, name: &str, unit: &str) {
    out.push(NAME);
    put_text(out, name);
    put_text(out, unit);
}

pub(crate) fn take_name(cursor: &mut Cursor<'_>) -> Option<Named> {
    Some((cursor.text()?, cursor.text()?))
}

/// The names a writer has used, with their numbers in the live log.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Names in the live log, by number.
    numbered: Vec<Named>,
    /// Unit, and number in the live log if it has one, of every name of the run.
    known: BTreeMap<String, (String, Option<u32>)>,
    /// Number that is probably asked for next: readings come in the same order at every step.
    guess: usize,
}

impl Names {
    /// Learns a name from a sealed segment.
    pub(crate) fn learn(&mut self, (name, unit): &Named) {
        self.known.entry(name.clone()).or_insert_with(|| (unit.clone(), None));
    }

    /// Takes the numbers of a live log; those of an earlier one are void.
    pub(crate) fn renumber(&mut self, numbered: Vec<Named>) {
        for (_, number) in self.known.values_mut() {
            *number = None;
        }
        for (i, (name, unit)) in numbered.iter().enumerate() {
            self.known.insert(name.clone(), (unit.clone(), Some(i as u32)));
        }
        self.numbered = numbered;
        self.guess = 0;
    }

    /// The number of a name, or the unit it had if that differs. A new name is written to `out`.
    pub(crate) fn number(
        &mut self,
        name: &str,
        unit: &str,
        out: &mut Vec<u8>,
    ) -> Result<u32, String> {
        if self.numbered.get(self.guess).is_some_and(|(n, u)| n == name && u == unit) {
            self.guess += 1;
            return Ok(self.guess as u32 - 1);
        }
        let number = match self.known.get(name) {
            Some((was, _)) if was != unit => return Err(was.clone()),
            Some((_, Some(number))) => *number,
            _ => {
                put_name(out, name, unit);
                let number = self.numbered.len() as u32;
                self.numbered.push((name.to_owned(), unit.to_owned()));
                self.known.insert(name.to_owned(), (unit.to_owned(), Some(number)));
                number
            }
        };
        self.guess = number as usize + 1;
        if self.guess == self.numbered.len() {
            self.guess = 0;
        }
        Ok(number)
    }
}
