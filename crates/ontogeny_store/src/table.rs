//! Parquet tables with the few column shapes the store uses, through the low-level column interface.
//!
//! Floats are stored plain: a dictionary would take -0.0 for 0.0 and every NaN for a new value.

use crate::{Damage, StoreError};
use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The content of one column, in the order of the rows.
#[derive(Debug)]
pub(crate) enum Column {
    /// `required int64`
    Int(Vec<i64>),
    /// `optional int64`
    MaybeInt(Vec<Option<i64>>),
    /// `required double`
    Double(Vec<f64>),
    /// `required binary (UTF8)`
    Text(Vec<ByteArray>),
    /// `required group (LIST)` of required int64
    Ints(Vec<Vec<i64>>),
    /// `required group (LIST)` of required float
    Floats(Vec<Vec<f32>>),
    /// `required group (LIST)` of required double
    Doubles(Vec<Vec<f64>>),
}

/// Encodes a table. `columns` are in the order of `schema`.
pub(crate) fn encode(
    path: &Path,
    schema: &str,
    meta: &[(&str, String)],
    columns: &[Column],
) -> Result<Vec<u8>, StoreError> {
    encode_inner(schema, meta, columns)
        .map_err(|e| StoreError::Encode { path: path.to_path_buf(), source: Box::new(e) })
}

fn encode_inner(
    schema: &str,
    meta: &[(&str, String)],
    columns: &[Column],
) -> Result<Vec<u8>, ParquetError> {
    let schema = Arc::new(parse_message_type(schema)?);
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_created_by("ontogeny_store".to_owned())
        .set_key_value_metadata(Some(
            meta.iter().map(|(k, v)| KeyValue::new((*k).to_owned(), v.clone())).collect(),
        ));
    for (field, column) in schema.get_fields().iter().zip(columns) {
        let path = match column {
            Column::Double(_) => vec![field.name().to_owned()],
            Column::Floats(_) | Column::Doubles(_) => {
                vec![field.name().to_owned(), "list".to_owned(), "element".to_owned()]
            }
            _ => continue,
        };
        properties = properties.set_column_dictionary_enabled(ColumnPath::new(path), false);
    }
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build()))?;
    let mut group = writer.next_row_group()?;
    for column in columns {
        match column {
            Column::Int(v) => put::<Int64Type, _>(&mut group, v, None, None)?,
            Column::Double(v) => put::<DoubleType, _>(&mut group, v, None, None)?,
            Column::Text(v) => put::<ByteArrayType, _>(&mut group, v, None, None)?,
            Column::MaybeInt(v) => {
                let def: Vec<i16> = v.iter().map(|x| i16::from(x.is_some())).collect();
                let v: Vec<i64> = v.iter().copied().flatten().collect();
                put::<Int64Type, _>(&mut group, &v, Some(&def), None)?;
            }
            Column::Ints(v) => put_lists::<Int64Type, _>(&mut group, v)?,
            Column::Floats(v) => put_lists::<FloatType, _>(&mut group, v)?,
            Column::Doubles(v) => put_lists::<DoubleType, _>(&mut group, v)?,
        }
    }
    group.close()?;
    writer.into_inner()
}

fn put<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    def: Option<&[i16]>,
    rep: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let mut column = group
        .next_column()?
        .ok_or_else(|| ParquetError::General("more columns than the schema has".to_owned()))?;
    column.typed::<T>().write_batch(values, def, rep)?;
    column.close()
}

/// An empty list is one level pair (0, 0); otherwise the first element repeats at 0, the others at 1.
fn put_lists<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    lists: &[Vec<T::T>],
) -> Result<(), ParquetError> {
    let (mut values, mut def, mut rep) = (Vec::new(), Vec::new(), Vec::new());
    for list in lists {
        def.extend(std::iter::repeat_n(1, list.len()));
        rep.extend((0..list.len()).map(|i| i16::from(i > 0)));
        if list.is_empty() {
            def.push(0);
            rep.push(0);
        }
        values.extend_from_slice(list);
    }
    put::<T, W>(group, &values, Some(&def), Some(&rep))
}

/// A table being read.
pub(crate) struct Table {
    path: PathBuf,
    reader: SerializedFileReader<Bytes>,
}

/// Lets the Parquet layer work on bytes that need not be what they say: it asserts some of what it should check. The
/// place of the assertion is still printed, unless whoever runs us has silenced that.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_panic| {
        Err(ParquetError::General("its pages contradict its schema".to_owned()))
    })
}

/// One column: values, definition levels, repetition levels.
type Levels<T> = (Vec<T>, Vec<i16>, Vec<i16>);

impl Table {
    /// Reads the footer.
    pub(crate) fn open(path: &Path, bytes: Vec<u8>) -> Result<Self, StoreError> {
        let reader = guarded(|| SerializedFileReader::new(Bytes::from(bytes)))
            .map_err(|source| StoreError::damaged(path, Damage::Parquet { source }))?;
        Ok(Self { path: path.to_path_buf(), reader })
    }

    /// A value of the file's own metadata.
    pub(crate) fn meta(&self, key: &str) -> Option<&str> {
        let pairs = self.reader.metadata().file_metadata().key_value_metadata()?;
        pairs.iter().find(|kv| kv.key == key)?.value.as_deref()
    }

    fn levels<T: DataType>(&self, name: &'static str) -> Result<Levels<T::T>, StoreError> {
        let damaged = |source| StoreError::damaged(&self.path, Damage::Parquet { source });
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let index = schema
            .columns()
            .iter()
            .position(|c| {
                c.path().parts()[0] == name && c.physical_type() == T::get_physical_type()
            })
            .ok_or_else(|| StoreError::damaged(&self.path, Damage::Column { column: name }))?;
        let descr = schema.column(index);
        let read = || {
            let (mut values, mut def, mut rep) = (Vec::new(), Vec::new(), Vec::new());
            for g in 0..self.reader.num_row_groups() {
                let column = self.reader.get_row_group(g)?.get_column_reader(index)?;
                let mut column = get_typed_column_reader::<T>(column);
                loop {
                    let (records, _, _) = column.read_records(
                        1 << 16,
                        (descr.max_def_level() > 0).then_some(&mut def),
                        (descr.max_rep_level() > 0).then_some(&mut rep),
                        &mut values,
                    )?;
                    if records == 0 {
                        break;
                    }
                }
            }
            Ok((values, def, rep))
        };
        guarded(read).map_err(damaged)
    }

    pub(crate) fn ints(&self, name: &'static str) -> Result<Vec<i64>, StoreError> {
        Ok(self.levels::<Int64Type>(name)?.0)
    }

    pub(crate) fn doubles(&self, name: &'static str) -> Result<Vec<f64>, StoreError> {
        Ok(self.levels::<DoubleType>(name)?.0)
    }

    pub(crate) fn texts(&self, name: &'static str) -> Result<Vec<ByteArray>, StoreError> {
        Ok(self.levels::<ByteArrayType>(name)?.0)
    }

    pub(crate) fn maybe_ints(&self, name: &'static str) -> Result<Vec<Option<i64>>, StoreError> {
        let (values, def, _) = self.levels::<Int64Type>(name)?;
        let mut values = values.into_iter();
        Ok(def.into_iter().map(|d| if d > 0 { values.next() } else { None }).collect())
    }

    pub(crate) fn int_lists(&self, name: &'static str) -> Result<Vec<Vec<i64>>, StoreError> {
        self.levels::<Int64Type>(name).map(lists)
    }

    pub(crate) fn float_lists(&self, name: &'static str) -> Result<Vec<Vec<f32>>, StoreError> {
        self.levels::<FloatType>(name).map(lists)
    }

    pub(crate) fn double_lists(&self, name: &'static str) -> Result<Vec<Vec<f64>>, StoreError> {
        self.levels::<DoubleType>(name).map(lists)
    }

    /// Text of a cell.
    pub(crate) fn text<'a>(
        &self,
        column: &'static str,
        cell: &'a ByteArray,
    ) -> Result<&'a str, StoreError> {
        cell.as_utf8()
            .map_err(|_ignored| StoreError::damaged(&self.path, Damage::Column { column }))
    }

    /// Checks that columns have one length, and gives it.
    pub(crate) fn same_len(&self, lens: &[(&'static str, usize)]) -> Result<usize, StoreError> {
        let n = lens.first().map_or(0, |l| l.1);
        match lens.iter().find(|l| l.1 != n) {
            None => Ok(n),
            Some(&(column, _)) => Err(StoreError::damaged(&self.path, Damage::Column { column })),
        }
    }
}

fn lists<T>((values, def, rep): Levels<T>) -> Vec<Vec<T>> {
    let mut values = values.into_iter();
    let mut lists: Vec<Vec<T>> = Vec::new();
    for (d, r) in def.into_iter().zip(rep) {
        if r == 0 {
            lists.push(Vec::new());
        }
        if let (true, Some(list)) = (d > 0, lists.last_mut()) {
            list.extend(values.next());
        }
    }
    lists
}
