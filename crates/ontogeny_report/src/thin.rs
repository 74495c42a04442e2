//! Down-sampling that keeps what the eye would see: first, lowest, highest and last value of each pixel column.
//!
//! Source: M4, Jugel et al. 2014, PVLDB 7(10). Kept points are recorded values, never averages.

/// A point of a line: position on the paper and the index of its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spot {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) idx: usize,
}

/// Splits a line at values without a place.
pub(crate) fn split(spots: impl IntoIterator<Item = Option<Spot>>) -> Vec<Vec<Spot>> {
    let mut pieces = Vec::new();
    let mut piece: Vec<Spot> = Vec::new();
    for spot in spots {
        match spot {
            Some(spot) => piece.push(spot),
            None if piece.is_empty() => {}
            None => pieces.push(std::mem::take(&mut piece)),
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// Splits a line at values without a place and thins each piece to `column` units of the x axis.
///
/// Pieces keep the order in which the points came, so a line that turns back stays right.
pub(crate) fn pieces(spots: impl IntoIterator<Item = Option<Spot>>, column: f64) -> Vec<Vec<Spot>> {
    split(spots).iter().map(|piece| thinned(piece, column)).collect()
}

/// The spots of a piece that are seen at `column` units of the x axis.
pub(crate) fn thinned(piece: &[Spot], column: f64) -> Vec<Spot> {
    let mut out = Vec::new();
    let mut start = 0;
    while start < piece.len() {
        let cell = (piece[start].x / column).floor();
        let end = piece[start..]
            .iter()
            .position(|s| (s.x / column).floor() != cell)
            .map_or(piece.len(), |n| start + n);
        let run = &piece[start..end];
        if run.len() <= 4 {
            out.extend_from_slice(run);
        } else {
            let (mut low, mut high) = (0, 0);
            for (i, spot) in run.iter().enumerate() {
                if spot.y < run[low].y {
                    low = i;
                }
                if spot.y > run[high].y {
                    high = i;
                }
            }
            let mut kept = [0, low.min(high), low.max(high), run.len() - 1].to_vec();
            kept.dedup();
            out.extend(kept.into_iter().map(|i| run[i]));
        }
        start = end;
    }
    out
}

/// The mean position in each `column` of a line, if its values lie so dense and jump so far that they would be
/// seen as an area: more than two per unit, `noise` units apart on average.
pub(crate) fn trend(pieces: &[Vec<Spot>], column: f64, noise: f64) -> Option<Vec<Vec<Spot>>> {
    let n: usize = pieces.iter().map(Vec::len).sum();
    let width: f64 = pieces.iter().filter_map(|p| Some(p.last()?.x - p.first()?.x)).sum();
    let jumps: f64 =
        pieces.iter().flat_map(|p| p.windows(2)).map(|pair| (pair[1].y - pair[0].y).abs()).sum();
    if (n as f64) < 2.0 * width || n < 100 || jumps / n as f64 <= noise {
        return None;
    }
    let means = pieces.iter().map(|piece| {
        let mut out: Vec<Spot> = Vec::new();
        for run in piece.chunk_by(|a, b| (a.x / column).floor() == (b.x / column).floor()) {
            let share = 1.0 / run.len() as f64;
            let (x, y) = run
                .iter()
                .fold((0.0, 0.0), |sum, spot| (sum.0 + spot.x * share, sum.1 + spot.y * share));
            out.push(Spot { x, y, idx: run[0].idx });
        }
        out
    });
    Some(means.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_and_ends_survive() {
        let spots = (0..10_000).map(|i| {
            let y = if i == 4321 { 99.0 } else { f64::from(i % 7) };
            Some(Spot { x: f64::from(i) / 100.0, y, idx: i as usize })
        });
        let pieces = pieces(spots, 1.0);
        assert_eq!(pieces.len(), 1);
        assert!(pieces[0].len() <= 400, "{}", pieces[0].len());
        assert!(pieces[0].iter().any(|s| s.idx == 4321));
        assert_eq!((pieces[0][0].idx, pieces[0].last().unwrap().idx), (0, 9999));
    }

    #[test]
    fn a_dense_noisy_line_has_a_trend_and_a_smooth_one_needs_none() {
        let dense = |noise: f64| {
            let at = move |i: usize| Spot {
                x: i as f64 / 10.0,
                y: 50.0 + noise * (i % 7) as f64,
                idx: i,
            };
            split((0..1000).map(|i| Some(at(i))))
        };
        assert_eq!(trend(&dense(0.0), 4.0, 3.0), None);
        let trend = trend(&dense(10.0), 4.0, 3.0).unwrap();
        assert_eq!(trend[0].len(), 25);
        assert!(trend[0].iter().all(|spot| (spot.y - 80.0).abs() < 8.0));
    }

    #[test]
    fn gaps_split_the_line() {
        let at = |i: usize| Some(Spot { x: i as f64, y: 0.0, idx: i });
        let pieces = pieces([None, at(1), at(2), None, None, at(5), None], 1.0);
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    }
}
