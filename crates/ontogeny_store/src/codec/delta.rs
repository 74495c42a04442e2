//! Codec 3: what is new against the checkpoints before.
//!
//! A chunk is cut into parts, one for each tensor in it, and each part is stored in the way that takes least:
//! planes of its bytes, or how far its numbers lie from what the chunks before predict. All bytes that compress
//! go through Zstandard together; mantissa bits that are noise are copied.
//!
//! | field | |
//! |---|---|
//! | checksum | u32: CRC32C of the raw length u64 and all that follows |
//! | chunks before | u8: how many are needed, up to 3; of each, latest first, the 32 bytes of its id |
//! | number of parts | varint |
//! | parts | bytes varint, number u8, plan: see below |
//! | method u8, length varint, bytes | tokens and planes that compress, of all parts; method 0: as they are, 1: one Zstandard frame |
//! | the rest | of each part in turn: its planes that do not compress or its bits, then the bytes after its last whole word |
//!
//! Plans: 0 that of the part before; 1 planes, mask u8; 2 planes of differences, mask u8; 3 residual with relative
//! errors, 4 with absolute ones: number of coefficients u8, level i16, the coefficients f32.

use crate::codec::fit::{self, Plan, padded};
use crate::codec::numbers::{Bf16, F16, F32, F64, Number};
use crate::codec::residual::{self, Model, Scale};
use crate::codec::{ChunkCodec, N_ANCESTORS, RawId, malformed, planes};
use crate::wire::Cursor;
use std::io::{self, Write};

/// The fastest level that still compresses literals.
const LEVEL: i32 = 1;
/// Bytes of the checksum.
const CHECKSUM: usize = 4;

/// What a stretch of a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) n_bytes: usize,
    pub(crate) number: Number,
}

/// The codec that is written.
pub(crate) struct Delta;

/// A chunk, compressed.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// How many of the chunks before were of use: the first ones.
    pub(crate) n_needed: usize,
}

/// Compresses a chunk of these parts. `before` are the chunks to store it against, latest first, each with its raw
/// bytes, all of the same length.
pub(crate) fn encode(raw: &[u8], parts: &[Part], before: &[(RawId, &[u8])]) -> io::Result<Encoded> {
    let (mut heads, mut packed, mut plain) = (Vec::new(), Packed::default(), Vec::new());
    put_varint(&mut heads, parts.len() as u64);
    let (mut at, mut last, mut n_needed) = (0, None, 0);
    for part in parts {
        let range = at..at + part.n_bytes;
        at = range.end;
        let bytes = &raw[range.clone()];
        let ancestors: Vec<&[u8]> = before.iter().map(|(_, a)| &a[range.clone()]).collect();
        let plan_before = last.filter(|&(number, _)| number == part.number).map(|(_, plan)| plan);
        let plan = fit::choose(part.number, bytes, &ancestors, plan_before);
        put_varint(&mut heads, part.n_bytes as u64);
        heads.push(part.number as u8);
        if plan_before == Some(plan) {
            heads.push(0);
        } else {
            put_plan(&mut heads, &plan);
        }
        last = Some((part.number, plan));
        n_needed = n_needed.max(n_before(&plan));
        put_part(part.number, bytes, &ancestors, &plan, &mut packed, &mut plain);
    }
    let squeezed = packed.squeeze()?;
    let packed = packed.bytes;
    let (method, squeezed) =
        if squeezed.len() < packed.len() { (1, squeezed) } else { (0, packed) };
    let mut out = Vec::with_capacity(heads.len() + squeezed.len() + plain.len() + 48);
    out.extend([0; CHECKSUM]);
    out.push(n_needed as u8);
    before[..n_needed].iter().for_each(|(id, _)| out.extend_from_slice(id));
    out.append(&mut heads);
    out.push(method);
    put_varint(&mut out, squeezed.len() as u64);
    out.extend_from_slice(&squeezed);
    out.append(&mut plain);
    let checksum = checksum(&out[CHECKSUM..], raw.len());
    out[..CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    Ok(Encoded { bytes: out, n_needed })
}

/// Tokens and planes that compress, cut where their bytes begin to be distributed otherwise: each stretch gets a
/// code of its own.
struct Packed {
    bytes: Vec<u8>,
    /// Ends of stretches, and of the units that are not in one yet.
    ends: Vec<usize>,
    n_seen: usize,
    /// How often each byte occurs in the last stretch.
    counts: [u32; 256],
}

impl Default for Packed {
    fn default() -> Self {
        Self { bytes: Vec::new(), ends: Vec::new(), n_seen: 0, counts: [0; 256] }
    }
}

/// Bits that it takes to say a code.
const CODE_BITS: f64 = 8.0 * 70.0;

impl Packed {
    /// Puts the bytes that have come since the last call into the last stretch, or begins another.
    fn end_unit(&mut self) {
        let unit = &self.bytes[self.n_seen..];
        if unit.is_empty() {
            return;
        }
        self.n_seen = self.bytes.len();
        // Four tables, because counting the same byte twice in a row would wait for the first.
        let mut tables = [[0_u32; 256]; 4];
        for four in unit.chunks(4) {
            four.iter().zip(&mut tables).for_each(|(&b, t)| t[usize::from(b)] += 1);
        }
        let counts: [u32; 256] = std::array::from_fn(|b| tables.iter().map(|t| t[b]).sum());
        let mut joined = self.counts;
        joined.iter_mut().zip(&counts).for_each(|(j, c)| *j += c);
        let apart = fit::bits_in_all(&self.counts) + fit::bits_in_all(&counts) + CODE_BITS;
        if !self.ends.is_empty() && fit::bits_in_all(&joined) <= apart {
            self.ends.pop();
            self.counts = joined;
        } else {
            self.counts = counts;
        }
        self.ends.push(self.bytes.len());
    }

    /// One Zstandard frame, with blocks that end where stretches do.
    fn squeeze(&self) -> io::Result<Vec<u8>> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
        let mut from = 0;
        for &end in &self.ends {
            encoder.write_all(&self.bytes[from..end])?;
            if end < self.bytes.len() {
                encoder.flush()?;
            }
            from = end;
        }
        encoder.finish()
    }
}

/// Chunks before this one that a plan looks at.
fn n_before(plan: &Plan) -> usize {
    match plan {
        Plan::Planes { is_difference, .. } => usize::from(*is_difference),
        Plan::Residual(m) => residual::n_before(m.n_coefs),
    }
}

fn put_part(
    number: Number,
    raw: &[u8],
    ancestors: &[&[u8]],
    plan: &Plan,
    packed: &mut Packed,
    plain: &mut Vec<u8>,
) {
    let (words, rest) = raw.split_at(raw.len() / number.width() * number.width());
    match plan {
        Plan::Planes { is_difference, mask } => {
            let base = ancestors.first().copied().filter(|_| *is_difference);
            let words = fit::words(number, words, base);
            for place in 0..number.width() {
                let is_packed = mask >> place & 1 == 1;
                let to = if is_packed { &mut packed.bytes } else { &mut *plain };
                planes::take_plane(&words, place, number.width(), to);
                packed.end_unit();
            }
        }
        Plan::Residual(m) => {
            let (before, tokens) = (padded(ancestors), &mut packed.bytes);
            match number {
                Number::F64 => residual::encode::<F64>(words, &before, m, tokens, plain),
                Number::F32 => residual::encode::<F32>(words, &before, m, tokens, plain),
                Number::F16 => residual::encode::<F16>(words, &before, m, tokens, plain),
                _ => residual::encode::<Bf16>(words, &before, m, tokens, plain),
            }
            packed.end_unit();
        }
    }
    plain.extend_from_slice(rest);
}

fn put_plan(out: &mut Vec<u8>, plan: &Plan) {
    match plan {
        Plan::Planes { is_difference, mask } => out.extend([1 + u8::from(*is_difference), *mask]),
        Plan::Residual(m) => {
            out.extend([if m.scale == Scale::Relative { 3 } else { 4 }, m.n_coefs]);
            out.extend_from_slice(&m.level.to_le_bytes());
            for c in &m.coefs[..usize::from(m.n_coefs)] {
                out.extend_from_slice(&c.to_le_bytes());
            }
        }
    }
}

fn take_plan(cursor: &mut Cursor<'_>, before: Option<Plan>) -> Option<Plan> {
    Some(match cursor.u8()? {
        0 => before?,
        kind @ (1 | 2) => Plan::Planes { is_difference: kind == 2, mask: cursor.u8()? },
        kind @ (3 | 4) => {
            let n_coefs = cursor.u8().filter(|&n| n <= 3)?;
            let level = i16::from_le_bytes(cursor.bytes(2)?.try_into().ok()?);
            let mut coefs = [0.0; 3];
            for c in &mut coefs[..usize::from(n_coefs)] {
                *c = f32::from_le_bytes(cursor.bytes(4)?.try_into().ok()?);
            }
            let scale = if kind == 3 { Scale::Relative } else { Scale::Absolute };
            Plan::Residual(Model { scale, level, n_coefs, coefs })
        }
        _ => return None,
    })
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn take_varint(cursor: &mut Cursor<'_>) -> Option<usize> {
    let mut n = 0_u64;
    for shift in (0..35).step_by(7) {
        let byte = cursor.u8()?;
        n |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return usize::try_from(n).ok();
        }
    }
    None
}

fn checksum(stored: &[u8], n_raw: usize) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&(n_raw as u64).to_le_bytes()), stored)
}

/// The chunks before, after the checksum.
fn take_ancestors(cursor: &mut Cursor<'_>) -> Option<Vec<RawId>> {
    let n = usize::from(cursor.u8()?);
    let ids = cursor.bytes((n <= N_ANCESTORS).then_some(n * size_of::<RawId>())?)?;
    Some(ids.as_chunks().0.to_vec())
}

/// Bytes of a part that are compressed together with those of the others.
fn n_packed(part: &Part, plan: &Plan) -> usize {
    let n_words = part.n_bytes / part.number.width();
    match plan {
        Plan::Residual(_) => n_words,
        Plan::Planes { mask, .. } => {
            (0..part.number.width()).filter(|p| mask >> p & 1 == 1).count() * n_words
        }
    }
}

fn decode(stored: &[u8], n_raw: usize, ancestors: &[&[u8]]) -> Option<Vec<u8>> {
    let mut cursor = Cursor(stored);
    cursor.bytes(CHECKSUM)?; // It was checked when the ancestors were asked for.
    take_ancestors(&mut cursor)?;
    let n_parts = take_varint(&mut cursor)?;
    // A part takes at least three bytes: what is not there cannot be asked for.
    let mut parts: Vec<(Part, Plan)> = Vec::with_capacity(n_parts.min(stored.len() / 3));
    let (mut n_bytes, mut total_packed) = (0_usize, 0);
    for _ in 0..n_parts {
        let part =
            Part { n_bytes: take_varint(&mut cursor)?, number: Number::from_code(cursor.u8()?)? };
        let before = parts.last().filter(|(p, _)| p.number == part.number).map(|&(_, plan)| plan);
        let plan = take_plan(&mut cursor, before)?;
        if n_before(&plan) > ancestors.len()
            || matches!(plan, Plan::Residual(_)) && !part.number.is_float()
        {
            return None;
        }
        n_bytes = n_bytes.checked_add(part.n_bytes).filter(|&n| n <= n_raw)?;
        total_packed += n_packed(&part, &plan);
        parts.push((part, plan));
    }
    if n_bytes != n_raw || ancestors.iter().any(|a| a.len() != n_raw) {
        return None;
    }
    let method = cursor.u8()?;
    let n_squeezed = take_varint(&mut cursor)?;
    let squeezed = cursor.bytes(n_squeezed)?;
    let unpacked;
    let mut packed = match method {
        0 => squeezed,
        1 => {
            unpacked = zstd::bulk::decompress(squeezed, total_packed).ok()?;
            &unpacked
        }
        _ => return None,
    };
    if packed.len() != total_packed {
        return None;
    }
    let mut plain = cursor.0;
    let mut raw = vec![0; n_raw];
    let mut at = 0;
    for (part, plan) in &parts {
        let range = at..at + part.n_bytes;
        at = range.end;
        let before: Vec<&[u8]> = ancestors.iter().map(|a| &a[range.clone()]).collect();
        take_part(part, plan, &before, &mut packed, &mut plain, &mut raw[range])?;
    }
    plain.is_empty().then_some(raw)
}

fn take_part<'a>(
    part: &Part,
    plan: &Plan,
    ancestors: &[&[u8]],
    packed: &mut &'a [u8],
    plain: &mut &'a [u8],
    raw: &mut [u8],
) -> Option<()> {
    let width = part.number.width();
    let n_words = raw.len() / width;
    let (words, rest) = raw.split_at_mut(n_words * width);
    let take = |from: &mut &'a [u8], n: usize| -> Option<&'a [u8]> {
        let (head, tail) = from.split_at_checked(n)?;
        *from = tail;
        Some(head)
    };
    match plan {
        Plan::Planes { is_difference, mask } => {
            for place in 0..width {
                let from = if mask >> place & 1 == 1 { &mut *packed } else { &mut *plain };
                planes::put_plane(take(from, n_words)?, place, width, words);
            }
            let base = ancestors.first().copied().filter(|_| *is_difference);
            fit::unwords(part.number, words, base);
        }
        Plan::Residual(m) => {
            let tokens = take(packed, n_words)?;
            let before = padded(ancestors);
            *plain = match part.number {
                Number::F64 => residual::decode::<F64>(tokens, plain, &before, m, words)?,
                Number::F32 => residual::decode::<F32>(tokens, plain, &before, m, words)?,
                Number::F16 => residual::decode::<F16>(tokens, plain, &before, m, words)?,
                _ => residual::decode::<Bf16>(tokens, plain, &before, m, words)?,
            };
        }
    }
    rest.copy_from_slice(take(plain, rest.len())?);
    Some(())
}

impl ChunkCodec for Delta {
    fn id(&self) -> u8 {
        3
    }

    fn ancestors(&self, stored: &[u8], n_raw: usize) -> io::Result<Vec<RawId>> {
        let mut cursor = Cursor(stored);
        let found = cursor.u32().filter(|&found| checksum(cursor.0, n_raw) == found);
        found.and_then(|_| take_ancestors(&mut cursor)).ok_or_else(malformed)
    }

    fn decode(&self, stored: &[u8], n_raw: usize, ancestors: &[&[u8]]) -> io::Result<Vec<u8>> {
        decode(stored, n_raw, ancestors).ok_or_else(malformed)
    }
}
