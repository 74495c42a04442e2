//! One series, put together from the places where it is recorded, without the others.

use crate::StoreError;
use crate::index::{Entry, Index};
use crate::pyramid::{self, Bin, Overview, gathered, keep_last, place, steps_of};
use crate::series_tape::{Segment, SeriesTape};
use ontogeny_core::{Point, Series, Step};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// A series in one source of rows.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    Sealed {
        tape: &'a SeriesTape,
        segment: &'a Segment,
        index: &'a Index,
        entry: Entry,
    },
    /// Readings in step order, each step once; of a log, or of a segment without an index.
    Read {
        unit: String,
        points: Vec<Point>,
    },
}

impl Part<'_> {
    fn unit(&self) -> &str {
        match self {
            Self::Sealed { entry, .. } => &entry.unit,
            Self::Read { unit, .. } => unit,
        }
    }

    /// Steps from and to which there may be readings that are not void. The first one has a reading.
    fn reach(&self) -> RangeInclusive<Step> {
        match self {
            Self::Sealed { segment, entry, .. } => {
                entry.bin.first.step..=entry.bin.last.step.min(segment.last)
            }
            Self::Read { points, .. } => {
                points.first().map_or(Step(1), |p| p.step)
                    ..=points.last().map_or(Step(0), |p| p.step)
            }
        }
    }

    /// Readings at `steps` in step order, each step once, without void ones.
    fn points(&self, steps: &RangeInclusive<Step>) -> Result<Vec<Point>, StoreError> {
        match self {
            Self::Sealed { tape, segment, index, entry } => {
                let steps = *steps.start()..=(*steps.end()).min(segment.last);
                if let Ok(mut points) = index.points(entry, &steps) {
                    keep_last(&mut points, |p| p.step);
                    return Ok(points);
                }
                let part = tape.part_without_index(segment, &entry.name)?;
                part.map_or_else(|| Ok(Vec::new()), |p| p.points(&steps))
            }
            Self::Read { points, .. } => {
                let from = points.partition_point(|p| p.step < *steps.start());
                let to = points.partition_point(|p| p.step <= *steps.end());
                Ok(points.get(from..to).unwrap_or_default().to_vec())
            }
        }
    }

    /// Bins of level `k` that touch `steps`, which are whole bins of that level; void readings are in none of them.
    fn bins(&self, k: u32, steps: &RangeInclusive<Step>) -> Result<Vec<Bin>, StoreError> {
        let Self::Sealed { segment, index, entry, .. } = self else {
            return Ok(gathered(self.points(steps)?.into_iter().map(Bin::of), k));
        };
        let is_one = place(entry.bin.first.step, k) == place(entry.bin.last.step, k);
        let kept = if is_one {
            vec![entry.bin]
        } else if entry.finest().is_some_and(|finest| finest <= k)
            && let Ok(kept) = index.level(entry, k)
        {
            kept
        } else {
            return Ok(gathered(self.points(steps)?.into_iter().map(Bin::of), k));
        };
        let mut bins = gathered(kept, k);
        bins.retain(|b| steps.contains(&b.first.step) && b.first.step <= segment.last);
        // At most the last one holds void readings as well.
        if let Some(torn) = bins.pop_if(|b| b.last.step > segment.last) {
            let steps = steps_of(place(torn.first.step, k), k);
            bins.extend(gathered(self.points(&steps)?.into_iter().map(Bin::of), k));
        }
        Ok(bins)
    }
}

/// What is known of a series without reading all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesSummary {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// All of its readings.
    pub all: Bin,
}

/// A series as several tapes tell it. Where they have readings at one step, that of the later one counts.
#[derive(Debug)]
pub(crate) struct OneSeries<'a> {
    name: String,
    parts: Vec<Part<'a>>,
}

impl<'a> OneSeries<'a> {
    pub(crate) fn find(
        name: &str,
        tapes: impl IntoIterator<Item = &'a SeriesTape>,
    ) -> Result<Self, StoreError> {
        let mut parts = Vec::new();
        for tape in tapes {
            parts.extend(tape.parts(name)?);
        }
        Ok(Self { name: name.to_owned(), parts })
    }

    /// All series.
    pub(crate) fn each(
        tapes: impl IntoIterator<Item = &'a SeriesTape>,
    ) -> Result<Vec<Self>, StoreError> {
        let mut all = BTreeMap::new();
        for tape in tapes {
            tape.add_parts(&mut all)?;
        }
        Ok(all.into_iter().map(|(name, parts)| Self { name, parts }).collect())
    }

    /// A name has one unit in a run.
    fn unit(&self) -> Option<&str> {
        self.parts.last().map(Part::unit)
    }

    /// All readings in step order.
    pub(crate) fn all(&self) -> Result<Option<Series>, StoreError> {
        let Some(unit) = self.unit() else { return Ok(None) };
        let mut series = Series::new(&self.name, unit);
        for part in &self.parts {
            series.points.extend(part.points(&(Step(0)..=Step(u64::MAX)))?);
        }
        keep_last(&mut series.points, |p| p.step);
        Ok((!series.points.is_empty()).then_some(series))
    }

    /// What is known of it; `None` if it has no readings.
    pub(crate) fn summary(&self) -> Result<Option<SeriesSummary>, StoreError> {
        let k = u64::BITS;
        let all = self.bins(k, &steps_of(0, k))?.into_iter().next();
        let named = self.unit().zip(all).map(|(unit, all)| SeriesSummary {
            name: self.name.clone(),
            unit: unit.to_owned(),
            all,
        });
        Ok(named)
    }

    /// The bins that touch `steps`, at the finest level at which they are no more than `max_bins`.
    pub(crate) fn overview(
        &self,
        steps: &RangeInclusive<Step>,
        max_bins: u64,
    ) -> Result<Option<Overview>, StoreError> {
        let Some(unit) = self.unit() else { return Ok(None) };
        let reaches = self.parts.iter().map(Part::reach);
        let (from, to) = reaches.fold((Step(u64::MAX), Step(0)), |(from, to), reach| {
            (from.min(*reach.start()), to.max(*reach.end()))
        });
        let steps = from.max(*steps.start())..=to.min(*steps.end());
        let mut overview =
            Overview { name: self.name.clone(), unit: unit.to_owned(), level: 0, bins: Vec::new() };
        if !steps.is_empty() {
            overview.level = pyramid::level_for(&steps, max_bins);
            let k = overview.level;
            let first = *steps_of(place(*steps.start(), k), k).start();
            let last = *steps_of(place(*steps.end(), k), k).end();
            overview.bins = self.bins(k, &(first..=last))?;
        }
        Ok(Some(overview))
    }

    /// Bins of level `k`; `steps` are whole bins of it.
    fn bins(&self, k: u32, steps: &RangeInclusive<Step>) -> Result<Vec<Bin>, StoreError> {
        let mut all: BTreeMap<u64, Vec<Bin>> = BTreeMap::new();
        for part in &self.parts {
            for bin in part.bins(k, steps)? {
                all.entry(place(bin.first.step, k)).or_default().push(bin);
            }
        }
        let mut bins = Vec::with_capacity(all.len());
        // Bins next to one another whose readings are needed are read together.
        let mut mixed: Option<RangeInclusive<u64>> = None;
        for (at, mut of_parts) in all {
            of_parts.sort_by_key(|b| b.first.step);
            let is_apart = of_parts.windows(2).all(|w| w[0].last.step < w[1].first.step);
            if !is_apart {
                mixed = match mixed {
                    Some(range) if range.end() + 1 == at => Some(*range.start()..=at),
                    before => {
                        self.add_mixed(&mut bins, before, k)?;
                        Some(at..=at)
                    }
                };
                continue;
            }
            self.add_mixed(&mut bins, mixed.take(), k)?;
            bins.extend(gathered(of_parts, k));
        }
        self.add_mixed(&mut bins, mixed, k)?;
        Ok(bins)
    }

    /// Adds bins in which one part has readings between those of another, or at the same steps.
    fn add_mixed(
        &self,
        bins: &mut Vec<Bin>,
        places: Option<RangeInclusive<u64>>,
        k: u32,
    ) -> Result<(), StoreError> {
        let Some(places) = places else { return Ok(()) };
        let steps = *steps_of(*places.start(), k).start()..=*steps_of(*places.end(), k).end();
        let mut points = Vec::new();
        for part in &self.parts {
            points.extend(part.points(&steps)?);
        }
        keep_last(&mut points, |p| p.step);
        bins.extend(gathered(points.into_iter().map(Bin::of), k));
        Ok(())
    }
}
