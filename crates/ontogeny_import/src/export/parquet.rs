//! Tidy Parquet: `runs.parquet` and `points.parquet`, for whoever reads tables elsewhere.

use super::draft::Draft;
use super::tidy_runs::TidyRuns;
use super::{ExportedRun, Exporter, readings};
use crate::ImportError;
use parquet::basic::{
    Compression, ConvertedType, LogicalType, Repetition, Type as Physical, ZstdLevel,
};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::Type;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows of a row group.
const GROUP: usize = 1 << 17;

const SCHEMA: &str = "message points {
    required binary run_id (UTF8);
    required int64 step;
    required binary metric (UTF8);
    required double value;
    optional double stderr;
    required binary unit (UTF8);
    optional double wall_secs;
}";

type Writer = SerializedFileWriter<BufWriter<File>>;
type Group<'a> = SerializedRowGroupWriter<'a, BufWriter<File>>;

/// Rows that wait for their group.
#[derive(Debug, Default)]
struct Pending {
    run: Vec<ByteArray>,
    step: Vec<i64>,
    metric: Vec<ByteArray>,
    value: Vec<f64>,
    stderr: Vec<Option<f64>>,
    unit: Vec<ByteArray>,
    wall_secs: Vec<Option<f64>>,
}

/// Writes the two tables.
#[derive(Debug)]
pub(super) struct TidyParquet {
    dir: PathBuf,
    draft: Draft,
    points: Writer,
    pending: Pending,
    runs: TidyRuns,
}

fn failed(path: &Path) -> impl Fn(ParquetError) -> ImportError {
    let path = path.to_path_buf();
    move |source| ImportError::WriteParquet { path: path.clone(), source }
}

fn writer(schema: Type, file: BufWriter<File>) -> Result<Writer, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_created_by("ontogeny".to_owned());
    SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build()))
}

fn put<T: DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let mut column = group
        .next_column()?
        .ok_or_else(|| ParquetError::General("more columns than the schema has".to_owned()))?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

fn put_maybe<T: DataType>(
    group: &mut Group<'_>,
    cells: &[Option<T::T>],
) -> Result<(), ParquetError> {
    let levels: Vec<i16> = cells.iter().map(|c| i16::from(c.is_some())).collect();
    let values: Vec<T::T> = cells.iter().flatten().cloned().collect();
    put::<T>(group, &values, Some(&levels))
}

impl Pending {
    fn write(&mut self, points: &mut Writer) -> Result<(), ParquetError> {
        if self.step.is_empty() {
            return Ok(());
        }
        let mut group = points.next_row_group()?;
        put::<ByteArrayType>(&mut group, &self.run, None)?;
        put::<Int64Type>(&mut group, &self.step, None)?;
        put::<ByteArrayType>(&mut group, &self.metric, None)?;
        put::<DoubleType>(&mut group, &self.value, None)?;
        put_maybe::<DoubleType>(&mut group, &self.stderr)?;
        put::<ByteArrayType>(&mut group, &self.unit, None)?;
        put_maybe::<DoubleType>(&mut group, &self.wall_secs)?;
        group.close()?;
        *self = Self::default();
        Ok(())
    }
}

impl TidyParquet {
    pub(super) fn new(dir: &Path) -> Result<Self, ImportError> {
        let (draft, file) = Draft::new(dir.join("points.parquet"))?;
        let points = parse_message_type(SCHEMA).and_then(|schema| writer(schema, file));
        let points = points.map_err(failed(draft.path()))?;
        let (pending, runs) = (Pending::default(), TidyRuns::default());
        Ok(Self { dir: dir.to_path_buf(), draft, points, pending, runs })
    }
}

impl Exporter for TidyParquet {
    fn run(&mut self, run: &ExportedRun<'_>) -> Result<(), ImportError> {
        self.runs.add(run);
        let id = ByteArray::from(run.id);
        let (pending, points) = (&mut self.pending, &mut self.points);
        let written = readings::each(run, |r| {
            pending.run.push(id.clone());
            pending.step.push(r.step.0.cast_signed());
            pending.metric.push(r.metric.into());
            pending.value.push(r.value);
            pending.stderr.push(r.stderr);
            pending.unit.push(r.unit.into());
            pending.wall_secs.push(Some(r.wall_secs).filter(|s| s.is_finite()));
            if pending.step.len() >= GROUP { pending.write(points) } else { Ok(()) }
        });
        written.map_err(failed(self.draft.path()))
    }

    fn finish(self: Box<Self>) -> Result<Vec<PathBuf>, ImportError> {
        let Self { dir, draft, mut points, mut pending, runs } = *self;
        let written = pending.write(&mut points).and_then(|()| points.into_inner());
        let points = written.map_err(failed(draft.path()))?;
        let (runs_draft, file) = Draft::new(dir.join("runs.parquet"))?;
        let file = write_runs(&runs, file).map_err(failed(runs_draft.path()))?;
        Ok(vec![draft.place(points)?, runs_draft.place(file)?])
    }
}

/// The table of runs: text throughout, which importing turns into numbers again.
fn write_runs(runs: &TidyRuns, file: BufWriter<File>) -> Result<BufWriter<File>, ParquetError> {
    let columns = runs.columns();
    let text = |name: &str, repetition| {
        Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
            .with_repetition(repetition)
            .with_converted_type(ConvertedType::UTF8)
            .with_logical_type(Some(LogicalType::String))
            .build()
            .map(Arc::new)
    };
    let mut fields = vec![text("run_id", Repetition::REQUIRED)?];
    for column in &columns {
        fields.push(text(column, Repetition::OPTIONAL)?);
    }
    let schema = Type::group_type_builder("runs").with_fields(fields).build()?;
    let mut writer = writer(schema, file)?;
    let rows: Vec<_> = runs.rows(&columns).collect();
    let mut group = writer.next_row_group()?;
    let ids: Vec<ByteArray> = rows.iter().map(|r| r.0.into()).collect();
    put::<ByteArrayType>(&mut group, &ids, None)?;
    for i in 0..columns.len() {
        let cells = rows.iter().map(|r| r.1[i].as_deref().map(ByteArray::from));
        put_maybe::<ByteArrayType>(&mut group, &cells.collect::<Vec<_>>())?;
    }
    group.close()?;
    writer.into_inner()
}
