//! What `torch.save` writes since PyTorch 1.6: a zip archive of a pickle and the storages it speaks of.
//!
//! The pickle is read as data ([`super::pickle`]). Nested dicts and lists become names with slashes; what is no tensor
//! becomes JSON beside them. Sources: `torch/serialization.py`, `torch/_utils.py`.

use super::file::RandomFile;
use super::flaw::{Fault, Flaw};
use super::gathered::{Gathered, clipped};
use super::pickle::{self, Interpreter, Item, View};
use super::strided::{Layout, fortran_strides};
use super::zip::Archive;
use super::{CheckpointFormat, Glimpse};
use serde_json::{Map, Number, Value};
use std::collections::BTreeSet;

/// Bytes of the pickle; that of a thousand tensors has a tenth of a megabyte.
const MAX_PICKLE: u64 = 64 << 20;
/// Levels of nesting.
const MAX_DEPTH: usize = 64;
/// Values that are looked at: the same ones may be met again and again.
const MAX_VISITS: usize = 4 << 20;
/// Bytes of texts and numbers beside the tensors.
const MAX_BESIDE: usize = 64 << 20;
/// How a pickle of PyTorch before 1.6 begins: protocol 2 and a number of 80 bits.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// The format.
#[derive(Debug)]
pub(crate) struct Torch;

/// What PyTorch wrote before 1.6: recognised, so that it can be said what to do.
#[derive(Debug)]
pub(crate) struct LegacyTorch;

impl CheckpointFormat for LegacyTorch {
    fn name(&self) -> &'static str {
        "torch-legacy"
    }

    fn summary(&self) -> &'static str {
        "PyTorch before 1.6: not read; the error says how to convert"
    }

    fn recognises(&self, glimpse: &Glimpse) -> bool {
        glimpse.head.starts_with(LEGACY)
    }

    fn read(&self, _: &mut RandomFile<'_>, _: &mut Gathered) -> Result<(), Fault> {
        Err(Fault::new("the file", Flaw::Legacy))
    }
}

impl CheckpointFormat for Torch {
    fn name(&self) -> &'static str {
        "torch"
    }

    fn summary(&self) -> &'static str {
        "what torch.save writes (.pt, .pth, .bin, .ckpt), also sharded with an index; no code is run"
    }

    fn recognises(&self, glimpse: &Glimpse) -> bool {
        glimpse.members.iter().any(|name| is_pickle(name))
    }

    fn read(&self, file: &mut RandomFile<'_>, out: &mut Gathered) -> Result<(), Fault> {
        let archive = Archive::open(file)?;
        let mut pickles = archive.names().filter(|name| is_pickle(name));
        let what = "one `data.pkl` in the folder of the archive";
        let (Some(name), None) = (pickles.next(), pickles.next()) else {
            return Err(Fault::new("the archive", Flaw::Expected { what }));
        };
        let root = name.strip_suffix("data.pkl").unwrap_or_default();
        if let Some(order) = archive.get(&format!("{root}byteorder")) {
            match order.read(file, 16)?.as_slice() {
                b"little" => {}
                b"big" => return Err(Fault::new(format!("{root}byteorder"), Flaw::BigEndian)),
                other => {
                    let found = String::from_utf8_lossy(other).into_owned();
                    let flaw = Flaw::Found { what: "`little`", found };
                    return Err(Fault::new(format!("{root}byteorder"), flaw));
                }
            }
        }
        let Some(entry) = archive.get(name) else { return Ok(()) };
        let bytes = entry.read(file, MAX_PICKLE)?;
        let description = pickle::load(&bytes)
            .map_err(|e| Fault::new(format!("{name} at byte {}", e.at), e.flaw))?;
        let mut reader = Reader {
            archive: &archive,
            root,
            interpreter: Interpreter(&description),
            checked: BTreeSet::new(),
            n_visits: 0,
            n_beside: 0,
            file,
            out,
        };
        let beside = reader.walk(description.root(), "", 0)?;
        if let Some(beside) = beside {
            out.value(beside);
        }
        Ok(())
    }
}

/// `archive/data.pkl`, whatever the folder is called.
fn is_pickle(name: &str) -> bool {
    name.strip_suffix("/data.pkl").is_some_and(|folder| !folder.contains('/'))
}

struct Reader<'a, 'f> {
    archive: &'a Archive,
    /// Folder of the archive, with a slash.
    root: &'a str,
    interpreter: Interpreter<'a>,
    /// Storages whose checksum is right.
    checked: BTreeSet<&'a str>,
    n_visits: usize,
    n_beside: usize,
    file: &'a mut RandomFile<'f>,
    out: &'a mut Gathered,
}

impl<'a> Reader<'a, '_> {
    /// Takes tensors out of `item`; what is left is JSON, or nothing.
    fn walk(&mut self, item: Item, name: &str, depth: usize) -> Result<Option<Value>, Fault> {
        let fault = |flaw| Fault::new(format!("`{}`", clipped(name)), flaw);
        self.n_visits += 1;
        if self.n_visits > MAX_VISITS {
            return Err(fault(Flaw::TooMany { what: "values", limit: MAX_VISITS }));
        }
        if depth > MAX_DEPTH {
            return Err(fault(Flaw::Deep { limit: MAX_DEPTH }));
        }
        let value = match self.interpreter.view(item).map_err(fault)? {
            View::Tensor(tensor) => {
                self.tensor(name, &tensor)?;
                return Ok(None);
            }
            View::Array(array) => {
                self.array(name, &array)?;
                return Ok(None);
            }
            View::Bytes(bytes) => {
                let kind = super::dtype::Kind::plain(super::Dtype::U8);
                let shape = [bytes.len() as u64];
                self.out.reserve(name, kind, &shape)?;
                self.out.tensor(name, kind, &shape, bytes.into_owned())?;
                return Ok(None);
            }
            View::Unknown(what) => {
                let what = format!("`{}` is not called, and not read", clipped(&what));
                self.out.skip(name, &what);
                return Ok(None);
            }
            View::Sequence(items) => return self.walk_sequence(&items, name, depth),
            View::Pairs(pairs) => return self.walk_pairs(&pairs, name, depth),
            View::Nothing => Value::Null,
            View::Bool(b) => b.into(),
            View::Int(n) => n.into(),
            // JSON has no NaN and no infinity: they are written as words.
            View::Float(x) => Number::from_f64(x).map_or_else(|| x.to_string().into(), Value::from),
            View::Text(text) => {
                self.count(text.len(), name)?;
                Value::from(text.into_owned())
            }
        };
        self.count(8, name)?;
        Ok(Some(value))
    }

    /// Bytes of JSON: a text may be met many times.
    fn count(&mut self, n: usize, name: &str) -> Result<(), Fault> {
        self.n_beside += n;
        if self.n_beside <= MAX_BESIDE {
            return Ok(());
        }
        let (what, limit) = ("bytes of text beside the tensors", MAX_BESIDE);
        Err(Fault::new(format!("`{}`", clipped(name)), Flaw::TooMany { what, limit }))
    }

    fn walk_sequence(
        &mut self,
        items: &[Item],
        name: &str,
        depth: usize,
    ) -> Result<Option<Value>, Fault> {
        let mut values = Vec::new();
        let mut is_beside = items.is_empty();
        for (i, &item) in items.iter().enumerate() {
            let value = self.walk(item, &below(name, &i.to_string()), depth + 1)?;
            is_beside |= value.is_some();
            // Those after it keep their place.
            values.push(value.unwrap_or(Value::Null));
        }
        Ok(is_beside.then_some(Value::Array(values)))
    }

    fn walk_pairs(
        &mut self,
        pairs: &[(Item, Item)],
        name: &str,
        depth: usize,
    ) -> Result<Option<Value>, Fault> {
        let mut fields = Map::new();
        for &(key, item) in pairs {
            let key = match self.interpreter.view(key) {
                Ok(View::Text(text)) => text.into_owned(),
                Ok(View::Int(n)) => n.to_string(),
                Ok(View::Float(x)) => x.to_string(),
                Ok(View::Bool(b)) => if b { "True" } else { "False" }.to_owned(),
                Ok(View::Nothing) => "None".to_owned(),
                _ => {
                    self.out.skip(name, "an entry whose key is neither text nor number");
                    continue;
                }
            };
            self.count(key.len(), name)?;
            let value = self.walk(item, &below(name, &key), depth + 1)?;
            if let Some(value) = value {
                fields.insert(key, value);
            }
        }
        let is_beside = pairs.is_empty() || !fields.is_empty();
        Ok(is_beside.then_some(Value::Object(fields)))
    }

    fn tensor(&mut self, name: &str, tensor: &pickle::Stored<'a>) -> Result<(), Fault> {
        let fault = |flaw| Fault::new(format!("tensor `{}`", clipped(name)), flaw);
        let (kind, size) = (tensor.kind, tensor.kind.size_bytes as u64);
        let layout =
            Layout { offset: tensor.offset, shape: &tensor.shape, strides: &tensor.strides };
        let (from, to) = layout.span(tensor.storage_bytes / size).map_err(fault)?;
        let n = self.out.reserve(name, kind, &tensor.shape)?;
        let mut bytes = Vec::new();
        if n > 0 {
            let path = format!("{}data/{}", self.root, clipped(tensor.key));
            let what = "a storage in the archive";
            let entry = self.archive.get(&path).ok_or_else(|| {
                fault(Flaw::Found { what, found: format!("{path}, which is not there") })
            })?;
            if !entry.is_stored() {
                return Err(fault(Flaw::Expected { what: "a storage that is not packed" }));
            }
            if entry.n_bytes < tensor.storage_bytes {
                let (from, to, n_bytes) = (0, tensor.storage_bytes, entry.n_bytes);
                return Err(Fault::new(
                    format!("entry `{path}`"),
                    Flaw::Truncated { from, to, n_bytes },
                ));
            }
            if !self.checked.contains(tensor.key) {
                entry.check(self.file)?;
                self.checked.insert(tensor.key);
            }
            bytes = entry.part(self.file, from * size, (to - from) * size)?;
            if !layout.is_contiguous() {
                bytes = layout.gather(&bytes, kind.size_bytes, n);
            }
        }
        self.out.tensor(name, kind, &tensor.shape, bytes)
    }

    fn array(&mut self, name: &str, array: &pickle::Array<'_>) -> Result<(), Fault> {
        let needs = self.out.reserve(name, array.kind, &array.shape)?;
        let has = array.bytes.len() as u64;
        if needs != has {
            let shape = super::flaw::list(&array.shape);
            let dtype = array.kind.name().to_owned();
            let flaw = Flaw::Size { shape, dtype, needs, has };
            return Err(Fault::new(format!("array `{}`", clipped(name)), flaw));
        }
        let bytes = if array.is_fortran && needs > 0 {
            let strides = fortran_strides(&array.shape);
            let layout = Layout { offset: 0, shape: &array.shape, strides: &strides };
            layout.gather(&array.bytes, array.kind.size_bytes, needs)
        } else {
            array.bytes.to_vec()
        };
        self.out.tensor(name, array.kind, &array.shape, bytes)
    }
}

/// The name of an entry.
fn below(name: &str, key: &str) -> String {
    if name.is_empty() { key.to_owned() } else { format!("{name}/{key}") }
}
