//! Arrays of numpy: `.npy`, and `.npz`, a zip archive of them. Arrays of Python objects are refused.
//!
//! Source: `numpy/lib/format.py`.

use super::dtype::Kind;
use super::file::RandomFile;
use super::flaw::{Fault, Flaw, list};
use super::gathered::{Gathered, clipped};
use super::strided::{Layout, fortran_strides};
use super::zip::Archive;
use super::{CheckpointFormat, Glimpse};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Bytes of a header; numpy itself refuses longer ones.
const MAX_HEADER: u64 = 1 << 16;
/// An archive may expand to so many times its size ...
const MAX_RATIO: u64 = 16;
/// ... and to this in any case.
const SMALL: u64 = 256 << 20;

/// One array.
#[derive(Debug)]
pub(crate) struct Npy;

/// An archive of arrays.
#[derive(Debug)]
pub(crate) struct Npz;

impl CheckpointFormat for Npy {
    fn name(&self) -> &'static str {
        "npy"
    }

    fn summary(&self) -> &'static str {
        "one array of numpy"
    }

    fn recognises(&self, glimpse: &Glimpse) -> bool {
        glimpse.head.starts_with(MAGIC)
    }

    fn read(&self, file: &mut RandomFile<'_>, out: &mut Gathered) -> Result<(), Fault> {
        let bytes = file.read(0, file.n_bytes(), || "the array".to_owned())?;
        array("", &bytes, out)
    }
}

impl CheckpointFormat for Npz {
    fn name(&self) -> &'static str {
        "npz"
    }

    fn summary(&self) -> &'static str {
        "arrays of numpy.savez and numpy.savez_compressed"
    }

    fn recognises(&self, glimpse: &Glimpse) -> bool {
        let is_npy = |name: &String| name.strip_suffix(".npy").is_some();
        !glimpse.members.is_empty() && glimpse.members.iter().all(is_npy)
    }

    fn read(&self, file: &mut RandomFile<'_>, out: &mut Gathered) -> Result<(), Fault> {
        let archive = Archive::open(file)?;
        let mut room = SMALL.saturating_add(file.n_bytes().saturating_mul(MAX_RATIO));
        for name in archive.names() {
            let (Some(entry), Some(key)) = (archive.get(name), name.strip_suffix(".npy")) else {
                let found = clipped(name).to_owned();
                let flaw = Flaw::Found { what: "arrays only", found };
                return Err(Fault::new("the archive", flaw));
            };
            let bytes = entry.read(file, room)?;
            room -= bytes.len() as u64;
            array(key, &bytes, out)?;
        }
        Ok(())
    }
}

/// The header of an array.
#[derive(Debug, PartialEq)]
struct Header {
    kind: Kind,
    shape: Vec<u64>,
    is_fortran: bool,
}

fn array(name: &str, bytes: &[u8], out: &mut Gathered) -> Result<(), Fault> {
    let shown = if name.is_empty() { "tensor" } else { clipped(name) };
    let fault = |flaw| Fault::new(format!("array `{shown}`"), flaw);
    let cut = |to: u64| Flaw::Truncated { from: 0, to, n_bytes: bytes.len() as u64 };
    let version = bytes.get(6).copied().unwrap_or(0);
    if !bytes.starts_with(MAGIC) || !(1..=3).contains(&version) {
        return Err(fault(Flaw::Expected { what: "an array of numpy" }));
    }
    // The length of the header takes two bytes, and four in later versions.
    let width = if version == 1 { 2 } else { 4 };
    let n = bytes.get(8..8 + width).ok_or_else(|| fault(cut(8 + width as u64)))?;
    let n = n.iter().rev().fold(0, |v, &b| v << 8 | u64::from(b));
    if n > MAX_HEADER {
        return Err(fault(Flaw::Length { claimed: n, limit: MAX_HEADER }));
    }
    let data_at = 8 + width + n as usize;
    let text = bytes.get(8 + width..data_at).ok_or_else(|| fault(cut(data_at as u64)))?;
    let header = header(&String::from_utf8_lossy(text)).map_err(fault)?;
    let data = &bytes[data_at..];
    let (needs, has) = (out.reserve(name, header.kind, &header.shape)?, data.len() as u64);
    if needs != has {
        let (shape, dtype) = (list(&header.shape), header.kind.name().to_owned());
        return Err(fault(Flaw::Size { shape, dtype, needs, has }));
    }
    let data = if header.is_fortran && needs > 0 {
        let strides = fortran_strides(&header.shape);
        let layout = Layout { offset: 0, shape: &header.shape, strides: &strides };
        layout.gather(data, header.kind.size_bytes, needs)
    } else {
        data.to_vec()
    };
    out.tensor(name, header.kind, &header.shape, data)
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`
fn header(text: &str) -> Result<Header, Flaw> {
    let after = |key: &str| -> Result<&str, Flaw> {
        let found = text.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
        found.ok_or(Flaw::Expected { what: "`descr`, `fortran_order` and `shape` in the header" })
    };
    let descr = after("descr")?;
    let what = "numbers of one type";
    let descr = descr.strip_prefix('\'').and_then(|d| d.split_once('\''));
    let (descr, _) = descr.ok_or(Flaw::Expected { what })?;
    let code = match descr.split_at_checked(1) {
        Some((">", "b1" | "u1" | "i1")) => &descr[1..],
        Some((">", _)) => return Err(Flaw::BigEndian),
        Some(("<" | "|" | "=", code)) => code,
        _ => descr,
    };
    let dtype = || Flaw::Dtype { dtype: format!("numpy {}", clipped(descr)) };
    let kind = Kind::of_numpy(code).ok_or_else(dtype)?;
    let is_fortran = after("fortran_order")?.starts_with("True");
    let shape = after("shape")?.strip_prefix('(').and_then(|s| s.split_once(')'));
    let (shape, _) = shape.ok_or(Flaw::Expected { what: "a shape" })?;
    let lens = shape.split(',').map(str::trim).filter(|s| !s.is_empty());
    let shape = lens.map(str::parse).collect::<Result<Vec<u64>, _>>();
    let shape = shape.or(Err(Flaw::Expected { what: "a shape of whole numbers" }))?;
    Ok(Header { kind, shape, is_fortran })
}
