//! Types of numbers: those that the store has, and how others call them.

use ontogeny_core::Dtype;

/// A type as a file names it.
///
/// Types that have no counterpart here are kept as their bytes: one byte per number as `u8`, more as `u8` with one more axis.
/// What they were is remembered by the safetensors name, so that an export can say it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// What the numbers are kept as.
    pub(crate) dtype: Dtype,
    /// Bytes per number.
    pub(crate) size_bytes: usize,
    /// What they were, if that is something else.
    pub(crate) was: Option<&'static str>,
}

/// Type, its safetensors name, its PyTorch name, its PyTorch storage.
const TABLE: [(Dtype, &str, &str, &str); 13] = [
    (Dtype::F64, "F64", "float64", "DoubleStorage"),
    (Dtype::F32, "F32", "float32", "FloatStorage"),
    (Dtype::F16, "F16", "float16", "HalfStorage"),
    (Dtype::Bf16, "BF16", "bfloat16", "BFloat16Storage"),
    (Dtype::I64, "I64", "int64", "LongStorage"),
    (Dtype::I32, "I32", "int32", "IntStorage"),
    (Dtype::I16, "I16", "int16", "ShortStorage"),
    (Dtype::I8, "I8", "int8", "CharStorage"),
    (Dtype::U64, "U64", "uint64", ""),
    (Dtype::U32, "U32", "uint32", ""),
    (Dtype::U16, "U16", "uint16", ""),
    (Dtype::U8, "U8", "uint8", "ByteStorage"),
    (Dtype::Bool, "BOOL", "bool", "BoolStorage"),
];

/// Safetensors name, PyTorch name, PyTorch storage, bytes of types that are kept as bytes.
const FOREIGN: [(&str, &str, &str, usize); 7] = [
    ("F8_E4M3", "float8_e4m3fn", "", 1),
    ("F8_E5M2", "float8_e5m2", "", 1),
    ("F8_E8M0", "float8_e8m0fnu", "", 1),
    ("F8_E4M3FNUZ", "float8_e4m3fnuz", "", 1),
    ("F8_E5M2FNUZ", "float8_e5m2fnuz", "", 1),
    ("C64", "complex64", "ComplexFloatStorage", 8),
    ("C128", "complex128", "ComplexDoubleStorage", 16),
];

/// The name in safetensors files.
pub(crate) fn safetensors_name(dtype: Dtype) -> &'static str {
    TABLE.iter().find(|t| t.0 == dtype).map_or("U8", |t| t.1)
}

impl Kind {
    pub(crate) fn plain(dtype: Dtype) -> Self {
        Self { dtype, size_bytes: dtype.size_bytes(), was: None }
    }

    fn foreign(was: &'static str, size_bytes: usize) -> Self {
        Self { dtype: Dtype::U8, size_bytes, was: Some(was) }
    }

    pub(crate) fn of_safetensors(name: &str) -> Option<Self> {
        let plain = TABLE.iter().find(|t| t.1 == name).map(|t| Self::plain(t.0));
        plain.or_else(|| FOREIGN.iter().find(|t| t.0 == name).map(|t| Self::foreign(t.0, t.3)))
    }

    /// By what follows `torch.`, e.g. `float32`.
    pub(crate) fn of_torch(name: &str) -> Option<Self> {
        let plain = TABLE.iter().find(|t| t.2 == name).map(|t| Self::plain(t.0));
        plain.or_else(|| FOREIGN.iter().find(|t| t.1 == name).map(|t| Self::foreign(t.0, t.3)))
    }

    /// By the class of a storage, e.g. `FloatStorage`.
    pub(crate) fn of_storage(name: &str) -> Option<Self> {
        let plain = TABLE.iter().find(|t| !t.3.is_empty() && t.3 == name);
        let foreign = FOREIGN.iter().find(|t| !t.2.is_empty() && t.2 == name);
        plain.map(|t| Self::plain(t.0)).or_else(|| foreign.map(|t| Self::foreign(t.0, t.3)))
    }

    /// By the type code of numpy without its byte order, e.g. `f4`.
    pub(crate) fn of_numpy(code: &str) -> Option<Self> {
        Some(match code {
            "f8" => Self::plain(Dtype::F64),
            "f4" => Self::plain(Dtype::F32),
            "f2" => Self::plain(Dtype::F16),
            "i8" => Self::plain(Dtype::I64),
            "i4" => Self::plain(Dtype::I32),
            "i2" => Self::plain(Dtype::I16),
            "i1" => Self::plain(Dtype::I8),
            "u8" => Self::plain(Dtype::U64),
            "u4" => Self::plain(Dtype::U32),
            "u2" => Self::plain(Dtype::U16),
            "u1" => Self::plain(Dtype::U8),
            "b1" => Self::plain(Dtype::Bool),
            "c8" => Self::foreign("C64", 8),
            "c16" => Self::foreign("C128", 16),
            _ => return None,
        })
    }

    /// The name to be told.
    pub(crate) fn name(self) -> &'static str {
        self.was.unwrap_or(safetensors_name(self.dtype))
    }
}
