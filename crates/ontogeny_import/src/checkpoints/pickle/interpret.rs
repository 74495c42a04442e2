//! What the names mean that states of training are pickled with. Every other name stays unknown.

use super::{Description, Item, Node};
use crate::checkpoints::dtype::Kind;
use crate::checkpoints::flaw::Flaw;
use std::borrow::Cow;

/// Levels of calls around one value, e.g. a parameter around a tensor.
const MAX_WRAPS: usize = 8;

/// What something in a description is.
#[derive(Debug)]
pub(crate) enum View<'a> {
    /// `None`.
    Nothing,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text, or the name of a type or device.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// A tuple, list, set, or what is like them.
    Sequence(Cow<'a, [Item]>),
    /// A dict, or what is like it.
    Pairs(Cow<'a, [(Item, Item)]>),
    /// A tensor in a storage outside the pickle.
    Tensor(Stored<'a>),
    /// An array of numpy.
    Array(Array<'a>),
    /// An object that only its own code could read, by its name.
    Unknown(String),
}

/// Where a tensor lies.
#[derive(Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) kind: Kind,
    /// Name of the storage.
    pub(crate) key: &'a str,
    /// Bytes that the pickle says the storage has.
    pub(crate) storage_bytes: u64,
    /// First number of the tensor in the storage.
    pub(crate) offset: u64,
    pub(crate) shape: Vec<u64>,
    pub(crate) strides: Vec<u64>,
}

/// An array of numpy with its bytes.
#[derive(Debug)]
pub(crate) struct Array<'a> {
    pub(crate) kind: Kind,
    pub(crate) shape: Vec<u64>,
    /// Whether the first axis is the fastest.
    pub(crate) is_fortran: bool,
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// A storage, as a pickle names it.
struct Storage<'a> {
    /// `None`: bytes of any type.
    kind: Option<Kind>,
    key: &'a str,
    n_bytes: u64,
}

const ODD: Flaw = Flaw::Expected { what: "what PyTorch or numpy describe a tensor with" };

/// Looks at things in a description.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interpreter<'a>(pub(crate) &'a Description);

impl<'a> Interpreter<'a> {
    /// What it is.
    ///
    /// # Errors
    /// If a well-known name comes with something else than it should.
    pub(crate) fn view(self, item: Item) -> Result<View<'a>, Flaw> {
        self.view_within(item, MAX_WRAPS)
    }

    fn view_within(self, item: Item, wraps: usize) -> Result<View<'a>, Flaw> {
        let node = match item {
            Item::Nothing => return Ok(View::Nothing),
            Item::Bool(b) => return Ok(View::Bool(b)),
            Item::Int(n) => return Ok(View::Int(n)),
            Item::Float(x) => return Ok(View::Float(x)),
            Item::Node(_) => self.0.node(item).ok_or(ODD)?,
        };
        Ok(match node {
            Node::Text(text) => View::Text(text.into()),
            Node::Bytes(bytes) => View::Bytes(bytes.into()),
            Node::Sequence(items) => View::Sequence(items.into()),
            Node::Pairs(pairs) => View::Pairs(pairs.into()),
            Node::Global { path } if is_word(path) => View::Text(path.into()),
            Node::Global { path } => View::Unknown(path.clone()),
            Node::Outside(_) => View::Unknown("a storage that is no tensor".to_owned()),
            Node::Call { of, given, state, sequence, pairs } => {
                let Some(path) = self.0.global(*of) else {
                    return Ok(View::Unknown("something that is made on the way".to_owned()));
                };
                let given = self.0.sequence(*given).unwrap_or_default();
                let wrapped = |item: Option<&Item>| {
                    let wraps = wraps.checked_sub(1).ok_or(Flaw::Deep { limit: MAX_WRAPS })?;
                    self.view_within(*item.ok_or(ODD)?, wraps)
                };
                match path {
                    "torch._utils._rebuild_tensor_v2"
                    | "torch._utils._rebuild_tensor"
                    | "torch._utils._rebuild_tensor_v3" => View::Tensor(self.tensor(path, given)?),
                    "torch._utils._rebuild_parameter"
                    | "torch._utils._rebuild_parameter_with_state"
                    | "torch.serialization._get_layout" => wrapped(given.first())?,
                    "collections.OrderedDict"
                    | "collections.defaultdict"
                    | "collections.Counter"
                    | "builtins.dict"
                    | "__builtin__.dict" => self.pairs(path, given, pairs)?,
                    "argparse.Namespace" | "types.SimpleNamespace" => {
                        if *state == Item::Nothing {
                            return Ok(View::Pairs(Cow::Borrowed(&[])));
                        }
                        wrapped(Some(state))?
                    }
                    "torch.Size"
                    | "collections.deque"
                    | "builtins.list"
                    | "builtins.tuple"
                    | "builtins.set"
                    | "builtins.frozenset"
                    | "__builtin__.list"
                    | "__builtin__.tuple"
                    | "__builtin__.set"
                    | "__builtin__.frozenset" => {
                        let mut items = given
                            .first()
                            .and_then(|&i| self.0.sequence(i))
                            .unwrap_or_default()
                            .to_vec();
                        items.extend(sequence);
                        View::Sequence(items.into())
                    }
                    "builtins.bytearray" | "builtins.bytes" | "__builtin__.bytearray" => {
                        match given.first() {
                            Some(_) => wrapped(given.first())?,
                            None => View::Bytes(Cow::Borrowed(&[])),
                        }
                    }
                    "_codecs.encode" => View::Bytes(self.bytes_of_text(given)?),
                    "torch.device"
                    | "pathlib.PosixPath"
                    | "pathlib.PurePosixPath"
                    | "pathlib._local.PosixPath" => {
                        let separator = if path == "torch.device" { ":" } else { "/" };
                        View::Text(self.joined(given, separator).into())
                    }
                    "numpy.core.multiarray._reconstruct"
                    | "numpy._core.multiarray._reconstruct" => {
                        let state = self.0.sequence(*state).ok_or(ODD)?;
                        let &[_, shape, dtype, is_fortran, bytes] = state else { return Err(ODD) };
                        View::Array(self.array(
                            shape,
                            dtype,
                            is_fortran == Item::Bool(true),
                            bytes,
                        )?)
                    }
                    "numpy.core.numeric._frombuffer" | "numpy._core.numeric._frombuffer" => {
                        let &[bytes, dtype, shape, order] = given else { return Err(ODD) };
                        let is_fortran = self.0.text(order) == Some("F");
                        View::Array(self.array(shape, dtype, is_fortran, bytes)?)
                    }
                    "numpy.core.multiarray.scalar" | "numpy._core.multiarray.scalar" => {
                        let &[dtype, bytes] = given else { return Err(ODD) };
                        let (kind, bytes) = (self.numpy_kind(dtype)?, self.bytes(bytes)?);
                        scalar(kind, bytes)
                    }
                    _ => View::Unknown(path.to_owned()),
                }
            }
        })
    }

    fn pairs(
        self,
        path: &str,
        given: &'a [Item],
        put: &'a [(Item, Item)],
    ) -> Result<View<'a>, Flaw> {
        let at = usize::from(path == "collections.defaultdict");
        let Some(&first) = given.get(at) else { return Ok(View::Pairs(put.into())) };
        let mut pairs = match self.0.node(first) {
            Some(Node::Pairs(pairs)) => pairs.clone(),
            Some(Node::Sequence(items)) => items
                .iter()
                .map(|&item| match self.0.sequence(item) {
                    Some(&[key, value]) => Ok((key, value)),
                    _ => Err(Flaw::Expected { what: "keys with values" }),
                })
                .collect::<Result<_, _>>()?,
            _ => return Err(Flaw::Expected { what: "keys with values" }),
        };
        pairs.extend(put);
        Ok(View::Pairs(pairs.into()))
    }

    fn tensor(self, path: &str, given: &[Item]) -> Result<Stored<'a>, Flaw> {
        let (&[storage, offset, shape, strides], rest) =
            given.split_first_chunk::<4>().ok_or(ODD)?;
        let storage = self.storage(storage)?;
        let kind = if path.ends_with("_v3") {
            // Storage, offset, shape, strides, requires_grad, hooks, type.
            let name = rest.get(2).and_then(|&i| self.0.global(i)).ok_or(ODD)?;
            let dtype = || Flaw::Dtype { dtype: name.to_owned() };
            name.strip_prefix("torch.").and_then(Kind::of_torch).ok_or_else(dtype)?
        } else {
            storage.kind.ok_or(ODD)?
        };
        let (shape, strides) = (self.numbers(shape)?, self.numbers(strides)?);
        if shape.len() != strides.len() {
            return Err(ODD);
        }
        let offset = number(offset)?;
        let Storage { key, n_bytes, .. } = storage;
        Ok(Stored { kind, key, storage_bytes: n_bytes, offset, shape, strides })
    }

    /// `('storage', class, key, location, length)`.
    fn storage(self, item: Item) -> Result<Storage<'a>, Flaw> {
        let Some(Node::Outside(id)) = self.0.node(item) else { return Err(ODD) };
        let &[word, class, key, _, n] = self.0.sequence(*id).ok_or(ODD)? else { return Err(ODD) };
        if self.0.text(word) != Some("storage") {
            return Err(ODD);
        }
        let (class, key) = (self.0.global(class).ok_or(ODD)?, self.0.text(key).ok_or(ODD)?);
        let n = number(n)?;
        if matches!(class, "torch.storage.UntypedStorage" | "torch.UntypedStorage") {
            return Ok(Storage { kind: None, key, n_bytes: n });
        }
        let name = class.strip_prefix("torch.").unwrap_or(class);
        let name = name.strip_prefix("cuda.").unwrap_or(name);
        let kind = Kind::of_storage(name).ok_or_else(|| Flaw::Dtype { dtype: class.to_owned() })?;
        let n_bytes = n.checked_mul(kind.size_bytes as u64).ok_or(ODD)?;
        Ok(Storage { kind: Some(kind), key, n_bytes })
    }

    fn numbers(self, item: Item) -> Result<Vec<u64>, Flaw> {
        match self.view_within(item, 1)? {
            View::Sequence(items) => items.iter().map(|&i| number(i)).collect(),
            _ => Err(ODD),
        }
    }

    fn array(
        self,
        shape: Item,
        dtype: Item,
        is_fortran: bool,
        bytes: Item,
    ) -> Result<Array<'a>, Flaw> {
        let (kind, shape) = (self.numpy_kind(dtype)?, self.numbers(shape)?);
        Ok(Array { kind, shape, is_fortran, bytes: self.bytes(bytes)? })
    }

    /// `numpy.dtype('f4', False, True)` with its state `(3, '<', ...)`.
    fn numpy_kind(self, item: Item) -> Result<Kind, Flaw> {
        let Some(Node::Call { of, given, state, .. }) = self.0.node(item) else { return Err(ODD) };
        if self.0.global(*of) != Some("numpy.dtype") {
            return Err(ODD);
        }
        let code = self.0.sequence(*given).and_then(|g| self.0.text(*g.first()?)).ok_or(ODD)?;
        let order = self.0.sequence(*state).and_then(|s| self.0.text(*s.get(1)?));
        if order == Some(">") {
            return Err(Flaw::BigEndian);
        }
        Kind::of_numpy(code).ok_or_else(|| Flaw::Dtype { dtype: format!("numpy {code}") })
    }

    fn bytes(self, item: Item) -> Result<Cow<'a, [u8]>, Flaw> {
        match self.view_within(item, 2)? {
            View::Bytes(bytes) => Ok(bytes),
            // Bytes of Python 2 that happen to be text.
            View::Text(Cow::Borrowed(text)) => Ok(text.as_bytes().into()),
            _ => Err(ODD),
        }
    }

    /// `encode(text, 'latin1')`: how protocol 2 writes bytes.
    fn bytes_of_text(self, given: &[Item]) -> Result<Cow<'a, [u8]>, Flaw> {
        let &[text, how] = given else { return Err(ODD) };
        let (Some(text), Some("latin1" | "latin-1")) = (self.0.text(text), self.0.text(how)) else {
            return Err(ODD);
        };
        let bytes = text.chars().map(|c| u8::try_from(u32::from(c)));
        bytes.collect::<Result<Vec<u8>, _>>().map(Cow::Owned).or(Err(ODD))
    }

    fn joined(self, given: &[Item], separator: &str) -> String {
        let parts = given.iter().map(|&item| match item {
            Item::Int(n) => n.to_string(),
            item => self.0.text(item).unwrap_or_default().to_owned(),
        });
        parts.collect::<Vec<_>>().join(separator)
    }
}

/// Types and layouts are words.
fn is_word(path: &str) -> bool {
    let name = path.strip_prefix("torch.").unwrap_or_default();
    Kind::of_torch(name).is_some() || matches!(name, "strided" | "sparse_coo")
}

fn number(item: Item) -> Result<u64, Flaw> {
    match item {
        Item::Int(n) => u64::try_from(n).or(Err(Flaw::Expected { what: "a number from 0" })),
        _ => Err(ODD),
    }
}

/// One number of numpy; what has no counterpart is an array without axes.
fn scalar(kind: Kind, bytes: Cow<'_, [u8]>) -> View<'_> {
    use ontogeny_core::Dtype;
    let known = match (kind.was, kind.dtype, bytes.as_ref()) {
        (None, Dtype::F64, &[a, b, c, d, e, f, g, h]) => {
            Some(View::Float(f64::from_le_bytes([a, b, c, d, e, f, g, h])))
        }
        (None, Dtype::F32, &[a, b, c, d]) => {
            Some(View::Float(f32::from_le_bytes([a, b, c, d]).into()))
        }
        (None, Dtype::I64, &[a, b, c, d, e, f, g, h]) => {
            Some(View::Int(i64::from_le_bytes([a, b, c, d, e, f, g, h])))
        }
        (None, Dtype::I32, &[a, b, c, d]) => {
            Some(View::Int(i32::from_le_bytes([a, b, c, d]).into()))
        }
        (None, Dtype::Bool, &[b]) => Some(View::Bool(b != 0)),
        _ => None,
    };
    known.unwrap_or(View::Array(Array { kind, shape: Vec::new(), is_fortran: false, bytes }))
}
