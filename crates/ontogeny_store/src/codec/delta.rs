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
use crate::codec::{ChunkCodec, N_ANCESTORS, RawId, Unpacker, malformed, planes};
use crate::wire::Cursor;
use std::io;
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective as Directive;
use zstd::zstd_safe::{self, CCtx, CParameter, InBuffer, OutBuffer, ParamSwitch, ResetDirective};

const LEVEL: i32 = 1;
/// Bytes between two places where a repetition is looked for: there are none but long ones, where nothing changes.
const STRIDE: u32 = 64;
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

/// Compresses chunks, one after the other, in memory that it keeps.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    packed: Packed,
    heads: Vec<u8>,
    plain: Vec<u8>,
    squeezed: Vec<u8>,
}

impl Encoder {
    /// Appends a chunk of these parts, compressed, to `out`. `before` are the chunks to store it against, latest
    /// first, each with its raw bytes, all of the same length. Gives how many of them were of use: the first ones.
    pub(crate) fn encode(
        &mut self,
        raw: &[u8],
        parts: &[Part],
        before: &[(RawId, &[u8])],
        out: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let Self { packed, heads, plain, squeezed } = self;
        packed.clear();
        heads.clear();
        plain.clear();
        put_varint(heads, parts.len() as u64);
        let (mut at, mut last, mut n_needed) = (0, None, 0);
        for part in parts {
            let range = at..at + part.n_bytes;
            at = range.end;
            let bytes = &raw[range.clone()];
            let mut ancestors: [&[u8]; N_ANCESTORS] = Default::default();
            ancestors.iter_mut().zip(before).for_each(|(a, (_, b))| *a = &b[range.clone()]);
            let ancestors = &ancestors[..before.len().min(N_ANCESTORS)];
            let plan_before = last.filter(|&(number, _)| number == part.number).map(|(_, p)| p);
            let plan = fit::choose(part.number, bytes, ancestors, plan_before);
            put_varint(heads, part.n_bytes as u64);
            heads.push(part.number as u8);
            if plan_before == Some(plan) {
                heads.push(0);
            } else {
                put_plan(heads, &plan);
            }
            last = Some((part.number, plan));
            n_needed = n_needed.max(n_before(&plan));
            put_part(part.number, bytes, ancestors, &plan, packed, plain);
        }
        packed.squeeze(squeezed)?;
        let is_smaller = squeezed.len() < packed.bytes.len();
        let squeezed = if is_smaller { squeezed } else { &packed.bytes };
        let first = out.len();
        out.reserve(heads.len() + squeezed.len() + plain.len() + 160);
        out.extend([0; CHECKSUM]);
        out.push(n_needed as u8);
        before[..n_needed].iter().for_each(|(id, _)| out.extend_from_slice(id));
        out.extend_from_slice(heads);
        out.push(u8::from(is_smaller));
        put_varint(out, squeezed.len() as u64);
        out.extend_from_slice(squeezed);
        out.extend_from_slice(plain);
        let checksum = checksum(&out[first + CHECKSUM..], raw.len());
        out[first..first + CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
        Ok(n_needed)
    }
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
    zstd: Option<CCtx<'static>>,
}

/// How often each byte occurs, about; of many, some lines are looked at.
fn counts(bytes: &[u8]) -> [u32; 256] {
    const LINE: usize = 256;
    const EVERY: usize = 8;
    let every = if bytes.len() < 4 * EVERY * LINE { 1 } else { EVERY };
    // Four tables, because counting the same byte twice in a row would wait for the first.
    let mut tables = [[0_u32; 256]; 4];
    for line in bytes.chunks(LINE).step_by(every) {
        for four in line.chunks(4) {
            four.iter().zip(&mut tables).for_each(|(&b, t)| t[usize::from(b)] += 1);
        }
    }
    std::array::from_fn(|b| tables.iter().map(|t| t[b]).sum::<u32>() * every as u32)
}

impl Default for Packed {
    fn default() -> Self {
        Self { bytes: Vec::new(), ends: Vec::new(), n_seen: 0, counts: [0; 256], zstd: None }
    }
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packed").field("n_bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// Bits that it takes to say a code.
const CODE_BITS: f64 = 8.0 * 70.0;

impl Packed {
    /// Puts the bytes before `end` that are in no stretch yet into the last one, or begins another.
    fn end_unit(&mut self, end: usize) {
        let unit = &self.bytes[self.n_seen..end];
        if unit.is_empty() {
            return;
        }
        self.n_seen = end;
        let counts = counts(unit);
        let mut joined = self.counts;
        joined.iter_mut().zip(&counts).for_each(|(j, c)| *j += c);
        let apart = fit::bits_in_all(&self.counts) + fit::bits_in_all(&counts) + CODE_BITS;
        if !self.ends.is_empty() && fit::bits_in_all(&joined) <= apart {
            self.ends.pop();
            self.counts = joined;
        } else {
            self.counts = counts;
        }
        self.ends.push(end);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.n_seen = 0;
    }

    /// One Zstandard frame, with blocks that end where stretches do.
    fn squeeze(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let failed = |code| io::Error::other(zstd_safe::get_error_name(code));
        let n = self.bytes.len();
        let zstd = self.zstd.get_or_insert_with(CCtx::create);
        zstd.reset(ResetDirective::SessionOnly).map_err(failed)?;
        let parameters = [
            CParameter::CompressionLevel(LEVEL),
            CParameter::TargetLength(STRIDE),
            CParameter::LiteralCompressionMode(ParamSwitch::Enable),
        ];
        parameters.into_iter().try_for_each(|p| zstd.set_parameter(p).map(drop)).map_err(failed)?;
        zstd.set_pledged_src_size(Some(n as u64)).map_err(failed)?;
        out.clear();
        out.reserve(zstd_safe::compress_bound(n) + 16 * self.ends.len());
        let mut to = OutBuffer::around(out);
        let (mut from, last) = (0, self.ends.len().saturating_sub(1));
        let ends = if n == 0 { &[0] } else { &self.ends[..] };
        for (i, &end) in ends.iter().enumerate() {
            let how = if i == last { Directive::ZSTD_e_end } else { Directive::ZSTD_e_flush };
            let mut stretch = InBuffer::around(&self.bytes[from..end]);
            while zstd.compress_stream2(&mut to, &mut stretch, how).map_err(failed)? > 0 {
                if to.pos() == to.capacity() {
                    return Err(io::ErrorKind::OutOfMemory.into()); // Zstandard has broken its word.
                }
            }
            from = end;
        }
        Ok(())
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
            let (width, n) = (number.width(), words.len() / number.width());
            let n_packed = (0..width).filter(|place| mask >> place & 1 == 1).count();
            let (from_packed, from_plain) = (packed.bytes.len(), plain.len());
            packed.bytes.resize(from_packed + n_packed * n, 0);
            plain.resize(from_plain + (width - n_packed) * n, 0);
            let (mut in_packed, mut in_plain) =
                (&mut packed.bytes[from_packed..], &mut plain[from_plain..]);
            let mut planes: [&mut [u8]; 8] = Default::default();
            for (place, plane) in planes.iter_mut().enumerate().take(width) {
                let from = if mask >> place & 1 == 1 { &mut in_packed } else { &mut in_plain };
                *plane = from.split_off_mut(..n).unwrap_or_default();
            }
            planes::take_planes(words, base, number.is_float(), &mut planes[..width]);
            (0..n_packed).for_each(|i| packed.end_unit(from_packed + (i + 1) * n));
        }
        Plan::Residual(m) => {
            let (before, tokens) = (padded(ancestors), &mut packed.bytes);
            match number {
                Number::F64 => residual::encode::<F64>(words, &before, m, tokens, plain),
                Number::F32 => residual::encode::<F32>(words, &before, m, tokens, plain),
                Number::F16 => residual::encode::<F16>(words, &before, m, tokens, plain),
                _ => residual::encode::<Bf16>(words, &before, m, tokens, plain),
            }
            packed.end_unit(packed.bytes.len());
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

fn decode(
    stored: &[u8],
    ancestors: &[&[u8]],
    raw: &mut [u8],
    unpacker: &mut Unpacker,
) -> Option<()> {
    let n_raw = raw.len();
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
    let mut packed = match method {
        0 => squeezed,
        1 => unpacker.unpack(squeezed, total_packed).ok()?,
        _ => return None,
    };
    if packed.len() != total_packed {
        return None;
    }
    let mut plain = cursor.0;
    let mut at = 0;
    for (part, plan) in &parts {
        let range = at..at + part.n_bytes;
        at = range.end;
        let before: Vec<&[u8]> = ancestors.iter().map(|a| &a[range.clone()]).collect();
        take_part(part, plan, &before, &mut packed, &mut plain, &mut raw[range])?;
    }
    plain.is_empty().then_some(())
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
            let mut planes: [&[u8]; 8] = Default::default();
            for (place, plane) in planes.iter_mut().enumerate().take(width) {
                let from = if mask >> place & 1 == 1 { &mut *packed } else { &mut *plain };
                *plane = take(from, n_words)?;
            }
            let base = ancestors.first().copied().filter(|_| *is_difference);
            planes::put_planes(&planes[..width], base, part.number.is_float(), words);
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

    fn decode(
        &self,
        stored: &[u8],
        ancestors: &[&[u8]],
        raw: &mut [u8],
        unpacker: &mut Unpacker,
    ) -> io::Result<()> {
        decode(stored, ancestors, raw, unpacker).ok_or_else(malformed)
    }
}
