//! Indices of segments that are changed with all of their checksums mended, as `docs/store-format.md` describes them.

use crate::mutation::mutate;
use std::fs;
use std::path::Path;

/// Places in the header: the spans of page table, root and, in version 2, sources.
const PAGES: usize = 92;
const ROOT: usize = 108;
const SOURCES: usize = 124;

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn u64_at(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

/// The stretch that a span says.
fn stretch(bytes: &[u8], span: usize) -> std::ops::Range<usize> {
    let from = u64_at(bytes, span);
    from..from + u32_at(bytes, span + 8)
}

fn name_len(bytes: &[u8], at: usize) -> usize {
    let name = u32_at(bytes, at + 1);
    9 + name + u32_at(bytes, at + 5 + name)
}

/// Places of the spans of the leaves, in the root.
fn leaves(bytes: &[u8]) -> Vec<usize> {
    let root = stretch(bytes, ROOT);
    let (mut at, mut spans) = (root.start, Vec::new());
    while at < root.end {
        at += name_len(bytes, at);
        spans.push(at);
        at += 16;
    }
    spans
}

/// Places of the spans of bins, in a leaf.
fn levels(bytes: &[u8], leaf: usize) -> Vec<usize> {
    let leaf = stretch(bytes, leaf);
    let (mut at, mut spans) = (leaf.start, Vec::new());
    while at < leaf.end {
        at += name_len(bytes, at) + 8 + 8 + 84;
        let n = u32_at(bytes, at);
        at += 4;
        for _ in 0..n {
            spans.push(at + 4);
            at += 20;
        }
    }
    spans
}

fn mend_span(bytes: &mut [u8], span: usize) {
    let crc = crc32c::crc32c(&bytes[stretch(bytes, span)]);
    bytes[span + 12..span + 16].copy_from_slice(&crc.to_le_bytes());
}

fn mend_header(bytes: &mut [u8]) {
    let end = if u32_at(bytes, 4) > 1 { 140 } else { 124 };
    let crc = crc32c::crc32c(&bytes[..end]);
    bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
}

/// All checksums made anew, from the innermost part on.
pub(crate) fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for leaf in leaves(&bytes) {
        for bins in levels(&bytes, leaf) {
            mend_span(&mut bytes, bins);
        }
        mend_span(&mut bytes, leaf);
    }
    mend_span(&mut bytes, ROOT);
    mend_span(&mut bytes, PAGES);
    if u32_at(&bytes, 4) > 1 {
        mend_span(&mut bytes, SOURCES);
    }
    mend_header(&mut bytes);
    bytes
}

/// Puts a changed part at the end and lets its span tell so.
fn replace(bytes: &mut Vec<u8>, span: usize, random: &mut dyn FnMut() -> u64) {
    let mut part = bytes[stretch(bytes, span)].to_vec();
    mutate(&mut part, random);
    let at = bytes.len() as u64;
    bytes[span..span + 8].copy_from_slice(&at.to_le_bytes());
    bytes[span + 8..span + 12].copy_from_slice(&(part.len() as u32).to_le_bytes());
    bytes.extend(part);
    mend_span(bytes, span);
}

/// An index with one of its parts changed, and everything that vouches for it mended.
pub(crate) fn changed(bytes: &[u8], segment: &Path, random: &mut dyn FnMut() -> u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let all = leaves(&bytes);
    let leaf = all[(random() % all.len() as u64) as usize];
    let bins = levels(&bytes, leaf);
    let is_merged = u32_at(&bytes, 4) > 1;
    match random() % 7 {
        0 => {
            // What the header says of the segment, but for its hash and the spans.
            let mut middle = bytes[40..92].to_vec();
            mutate(&mut middle, random);
            middle.resize(52, 0);
            bytes[40..92].copy_from_slice(&middle);
        }
        1 => {
            let span = [PAGES, ROOT][(random() % 2) as usize];
            let at = span + (random() % 12) as usize;
            bytes[at] ^= 1 << (random() % 8);
        }
        2 => replace(&mut bytes, PAGES, random),
        3 => replace(&mut bytes, ROOT, random),
        4 if is_merged => replace(&mut bytes, SOURCES, random),
        5 if !bins.is_empty() => {
            let span = bins[(random() % bins.len() as u64) as usize];
            replace(&mut bytes, span, random);
            mend_span(&mut bytes, leaf);
            mend_span(&mut bytes, ROOT);
        }
        6 => {
            // A page table whose places have the checksums of what lies there.
            let table = stretch(&bytes, PAGES);
            let at = table.start + (random() % table.len() as u64) as usize;
            bytes[at] = random() as u8;
            let parquet = fs::read(segment).unwrap();
            for span in table.clone().step_by(80).flat_map(|p| (p + 16..p + 80).step_by(16)) {
                let from = u64_at(&bytes, span);
                let to = from.saturating_add(u32_at(&bytes, span + 8));
                if let Some(page) = parquet.get(from..to) {
                    let crc = crc32c::crc32c(page);
                    bytes[span + 12..span + 16].copy_from_slice(&crc.to_le_bytes());
                }
            }
            mend_span(&mut bytes, PAGES);
        }
        _ => {
            replace(&mut bytes, leaf, random);
            mend_span(&mut bytes, ROOT);
        }
    }
    mend_header(&mut bytes);
    bytes
}
