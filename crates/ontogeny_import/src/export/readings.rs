//! Series and their standard errors, joined.

use super::ExportedRun;
use ontogeny_core::{Series, Step};

/// One row of a table of points.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) step: Step,
    pub(super) metric: &'a str,
    pub(super) unit: &'a str,
    pub(super) value: f64,
    pub(super) stderr: Option<f64>,
    /// NaN if it is not known.
    pub(super) wall_secs: f64,
}

/// Calls `f` for every row of a run.
pub(super) fn each<E>(
    run: &ExportedRun<'_>,
    mut f: impl FnMut(Row<'_>) -> Result<(), E>,
) -> Result<(), E> {
    for series in run.series {
        if base_of(run, series).is_some() {
            continue; // Written with its series.
        }
        let name = format!("{}.stderr", series.name);
        let errors = run.series.iter().find(|s| s.name == name && base_of(run, s).is_some());
        let mut errors = errors.map(|s| s.points.iter().peekable());
        for point in &series.points {
            let stderr = errors
                .as_mut()
                .and_then(|errors| errors.next_if(|e| e.step == point.step).map(|e| e.value));
            f(Row {
                step: point.step,
                metric: &series.name,
                unit: &series.unit,
                value: point.value,
                stderr,
                wall_secs: run.wall_secs_at(point.step),
            })?;
        }
    }
    Ok(())
}

/// The series whose standard errors these are, if each of them has its reading and is a number.
fn base_of<'a>(run: &'a ExportedRun<'_>, errors: &Series) -> Option<&'a Series> {
    let name = errors.name.strip_suffix(".stderr")?;
    let base = *run.series.iter().find(|s| s.name == name && s.unit == errors.unit)?;
    let mut steps = base.points.iter().map(|p| p.step);
    let fits = errors.points.iter().all(|e| steps.any(|s| s == e.step));
    fits.then_some(base)
}
