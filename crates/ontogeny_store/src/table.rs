//! Parquet tables with the few column shapes the store uses, through the low-level column interface.
//!
//! Floats are stored plain: a dictionary would take -0.0 for 0.0 and every NaN for a new value.

use crate::{Damage, StoreError};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Repetition, Type, ZstdLevel};
use parquet::column::reader::{ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedPageReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnDescriptor, ColumnPath, Type as SchemaType};
use std::fs::File;
use std::io::{self, Read, Write};
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

/// Rows of a page of a table that is encoded in groups; the last page of a group may have fewer.
pub(crate) const PAGE_ROWS: usize = 8192;

/// Encodes a table whose pages can be read one by one: in groups of rows, which `group` makes in turn, with
/// [`PAGE_ROWS`] rows a page. Whole numbers are differences, texts are words of a dictionary, floats plain.
pub(crate) fn encode_groups(
    path: &Path,
    schema: &str,
    meta: &[(&str, String)],
    n_groups: usize,
    group: impl Fn(usize) -> Vec<Column>,
) -> Result<Vec<u8>, StoreError> {
    let mut groups = Groups::begin(path, schema, meta, Vec::new())?;
    for g in 0..n_groups {
        groups.put(&group(g))?;
    }
    groups.finish()
}

/// A table that is written group by group.
pub(crate) struct Groups<W: Write + Send> {
    path: PathBuf,
    writer: SerializedFileWriter<W>,
}

impl<W: Write + Send> Groups<W> {
    /// Begins a table as [`encode_groups`] makes it; `path` is for errors.
    pub(crate) fn begin(
        path: &Path,
        schema: &str,
        meta: &[(&str, String)],
        out: W,
    ) -> Result<Self, StoreError> {
        let properties = || {
            let schema = Arc::new(parse_message_type(schema)?);
            let mut properties = properties(meta)?
                .set_data_page_row_count_limit(PAGE_ROWS)
                .set_write_batch_size(1024);
            for field in schema.get_fields() {
                let column = ColumnPath::new(vec![field.name().to_owned()]);
                properties = match field.get_physical_type() {
                    Type::INT64 => properties
                        .set_column_dictionary_enabled(column.clone(), false)
                        .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED),
                    Type::DOUBLE => properties.set_column_dictionary_enabled(column, false),
                    _ => properties,
                };
            }
            Ok((schema, Arc::new(properties.build())))
        };
        let writer = properties()
            .and_then(|(schema, properties)| SerializedFileWriter::new(out, schema, properties));
        let path = path.to_path_buf();
        match writer {
            Ok(writer) => Ok(Self { path, writer }),
            Err(e) => Err(not_encoded(&path, e)),
        }
    }

    /// Adds a group; all but the last have a multiple of [`PAGE_ROWS`] rows.
    pub(crate) fn put(&mut self, columns: &[Column]) -> Result<(), StoreError> {
        put_group(&mut self.writer, columns).map_err(|e| not_encoded(&self.path, e))
    }

    /// Writes the footer.
    pub(crate) fn finish(self) -> Result<W, StoreError> {
        self.writer.into_inner().map_err(|e| not_encoded(&self.path, e))
    }
}

/// What went wrong while a table was written: the disk, if it was that.
fn not_encoded(path: &Path, e: ParquetError) -> StoreError {
    match e {
        ParquetError::External(e) => match e.downcast::<io::Error>() {
            Ok(e) => StoreError::io("write", path, *e),
            Err(source) => StoreError::Encode { path: path.to_path_buf(), source },
        },
        e => StoreError::Encode { path: path.to_path_buf(), source: Box::new(e) },
    }
}

fn properties(meta: &[(&str, String)]) -> Result<WriterPropertiesBuilder, ParquetError> {
    let pairs = meta.iter().map(|(k, v)| KeyValue::new((*k).to_owned(), v.clone()));
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_created_by("ontogeny_store".to_owned())
        .set_key_value_metadata(Some(pairs.collect())))
}

fn encode_inner(
    schema: &str,
    meta: &[(&str, String)],
    columns: &[Column],
) -> Result<Vec<u8>, ParquetError> {
    let schema = Arc::new(parse_message_type(schema)?);
    let mut properties = properties(meta)?;
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
    put_group(&mut writer, columns)?;
    writer.into_inner()
}

fn put_group<W: Write + Send>(
    writer: &mut SerializedFileWriter<W>,
    columns: &[Column],
) -> Result<(), ParquetError> {
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
    Ok(())
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

/// Where a table is read from.
#[derive(Debug)]
pub(crate) enum Input {
    Bytes(Bytes),
    /// A file that is read as far as is asked for, and its length.
    File(File, u64),
}

impl Input {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let io = |e| StoreError::io("read", path, e);
        let file = File::open(path).map_err(io)?;
        let n_bytes = file.metadata().map_err(io)?.len();
        Ok(Self::File(file, n_bytes))
    }

    /// The same once more.
    pub(crate) fn again(&self, path: &Path) -> Result<Self, StoreError> {
        Ok(match self {
            Self::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Self::File(file, n_bytes) => {
                let file = file.try_clone().map_err(|e| StoreError::io("read", path, e))?;
                Self::File(file, *n_bytes)
            }
        })
    }
}

impl Length for Input {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, n_bytes) => *n_bytes,
        }
    }
}

impl ChunkReader for Input {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(ChunkReader::get_read(bytes, start)?),
            Self::File(file, _) => Box::new(ChunkReader::get_read(file, start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        // Before memory is taken for them.
        if start.checked_add(length as u64).is_none_or(|end| end > self.len()) {
            return Err(ParquetError::EOF("bytes beyond the end of the file".to_owned()));
        }
        match self {
            Self::Bytes(bytes) => bytes.get_bytes(start, length),
            Self::File(file, _) => file.get_bytes(start, length),
        }
    }
}

/// A table being read.
pub(crate) struct Table {
    path: PathBuf,
    reader: SerializedFileReader<Input>,
}

/// Lets the Parquet layer work on bytes that need not be what they say: it asserts some of what it should check. The
/// place of the assertion is still printed, unless whoever runs us has silenced that.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_panic| {
        Err(ParquetError::General("its pages contradict its schema".to_owned()))
    })
}

/// Where a page of a column lies in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PagePlace {
    pub(crate) offset: u64,
    pub(crate) n_bytes: u32,
    /// Number of its first row in the file.
    pub(crate) first_row: u64,
}

/// The numbers of one page of a column whose pages need no dictionary.
pub(crate) fn decode_page<T: DataType>(
    path: &Path,
    bytes: Bytes,
    column: &'static str,
    n_rows: usize,
) -> Result<Vec<T::T>, StoreError> {
    let decode = || {
        let physical = T::get_physical_type();
        let field = Arc::new(
            SchemaType::primitive_type_builder(column, physical)
                .with_repetition(Repetition::REQUIRED)
                .build()?,
        );
        let descr = ColumnDescriptor::new(field, 0, 0, ColumnPath::new(vec![column.to_owned()]));
        let descr = Arc::new(descr);
        let meta = ColumnChunkMetaData::builder(Arc::clone(&descr))
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_num_values((n_rows as u64).cast_signed())
            .set_data_page_offset(0)
            .set_total_compressed_size((bytes.len() as u64).cast_signed())
            .build()?;
        let pages = SerializedPageReader::new(Arc::new(bytes), &meta, n_rows, None)?;
        let mut reader = ColumnReaderImpl::<T>::new(descr, Box::new(pages));
        let mut values = Vec::with_capacity(n_rows.min(PAGE_ROWS));
        reader.read_records(n_rows, None, None, &mut values)?;
        Ok(values)
    };
    let values: Vec<T::T> =
        guarded(decode).map_err(|source| StoreError::damaged(path, Damage::Parquet { source }))?;
    if values.len() != n_rows {
        return Err(StoreError::damaged(path, Damage::Column { column }));
    }
    Ok(values)
}

/// One column: values, definition levels, repetition levels.
type Levels<T> = (Vec<T>, Vec<i16>, Vec<i16>);

impl Table {
    /// Reads the footer.
    pub(crate) fn open(path: &Path, bytes: Vec<u8>) -> Result<Self, StoreError> {
        Self::of(path, Input::Bytes(Bytes::from(bytes)))
    }

    /// Reads the footer of what may lie on disk.
    pub(crate) fn of(path: &Path, input: Input) -> Result<Self, StoreError> {
        let reader = guarded(|| SerializedFileReader::new(input))
            .map_err(|source| StoreError::damaged(path, Damage::Parquet { source }))?;
        Ok(Self { path: path.to_path_buf(), reader })
    }

    /// Reads the footer and where the pages lie.
    pub(crate) fn open_with_pages(path: &Path, input: Input) -> Result<Self, StoreError> {
        let options = ReadOptionsBuilder::new().with_page_index().build();
        let reader = guarded(|| SerializedFileReader::new_with_options(input, options))
            .map_err(|source| StoreError::damaged(path, Damage::Parquet { source }))?;
        Ok(Self { path: path.to_path_buf(), reader })
    }

    /// A value of the file's own metadata.
    pub(crate) fn meta(&self, key: &str) -> Option<&str> {
        let pairs = self.reader.metadata().file_metadata().key_value_metadata()?;
        pairs.iter().find(|kv| kv.key == key)?.value.as_deref()
    }

    /// That something is wrong with it.
    pub(crate) fn damaged(&self, damage: Damage) -> StoreError {
        StoreError::damaged(&self.path, damage)
    }

    /// Whether there is a column of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        schema.columns().iter().any(|c| c.path().parts()[0] == name)
    }

    /// Where the pages of a column lie, in the order of the rows; none if the file does not tell. Only of a table that
    /// was opened with [`Table::open_with_pages`].
    pub(crate) fn pages(&self, name: &str) -> Vec<PagePlace> {
        let meta = self.reader.metadata();
        let schema = meta.file_metadata().schema_descr();
        let Some(idx) = schema.columns().iter().position(|c| c.path().parts()[0] == name) else {
            return Vec::new();
        };
        let (mut pages, mut before) = (Vec::new(), 0);
        for g in 0..meta.num_row_groups() {
            let index = meta.page_index_for_row_group(g);
            for page in index.page_locations(idx).into_iter().flatten() {
                pages.push(PagePlace {
                    offset: page.offset.cast_unsigned(),
                    n_bytes: page.compressed_page_size.cast_unsigned(),
                    first_row: before + page.first_row_index.cast_unsigned(),
                });
            }
            before += meta.row_group(g).num_rows().cast_unsigned();
        }
        pages
    }

    /// Number of rows.
    pub(crate) fn n_rows(&self) -> u64 {
        self.reader.metadata().file_metadata().num_rows().cast_unsigned()
    }

    /// Number of groups of rows.
    pub(crate) fn n_groups(&self) -> usize {
        self.reader.num_row_groups()
    }

    /// A column without empty cells, of one group of rows, to be read in parts.
    pub(crate) fn column<T: DataType>(
        &self,
        group: usize,
        name: &'static str,
    ) -> Result<ColumnReaderImpl<T>, StoreError> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let found = schema.columns().iter().position(|c| {
            c.path().parts()[0] == name
                && c.physical_type() == T::get_physical_type()
                && c.max_def_level() == 0
                && c.max_rep_level() == 0
        });
        let index = found.ok_or_else(|| self.damaged(Damage::Column { column: name }))?;
        guarded(|| {
            let column = self.reader.get_row_group(group)?.get_column_reader(index)?;
            Ok(get_typed_column_reader::<T>(column))
        })
        .map_err(|source| self.damaged(Damage::Parquet { source }))
    }

    /// The next cells of a column, at most so many.
    pub(crate) fn next<T: DataType>(
        &self,
        column: &mut ColumnReaderImpl<T>,
        n_rows: usize,
    ) -> Result<Vec<T::T>, StoreError> {
        guarded(|| {
            let mut values = Vec::with_capacity(n_rows);
            while values.len() < n_rows {
                let rest = n_rows - values.len();
                if column.read_records(rest, None, None, &mut values)?.0 == 0 {
                    break;
                }
            }
            Ok(values)
        })
        .map_err(|source| self.damaged(Damage::Parquet { source }))
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
