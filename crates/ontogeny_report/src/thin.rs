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

/// Splits a line at values without a place and thins each piece to `column` units of the x axis.
///
/// Pieces keep the order in which the points came, so a line that turns back stays right.
pub(crate) fn pieces(spots: impl IntoIterator<Item = Option<Spot>>, column: f64) -> Vec<Vec<Spot>> {
    let mut pieces = Vec::new();
    let mut piece: Vec<Spot> = Vec::new();
    for spot in spots {
        match spot {
            Some(spot) => piece.push(spot),
            None if piece.is_empty() => {}
            None => pieces.push(thinned(&std::mem::take(&mut piece), column)),
        }
    }
    if !piece.is_empty() {
        pieces.push(thinned(&piece, column));
    }
    pieces
}

fn thinned(piece: &[Spot], column: f64) -> Vec<Spot> {
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
    fn gaps_split_the_line() {
        let at = |i: usize| Some(Spot { x: i as f64, y: 0.0, idx: i });
        let pieces = pieces([None, at(1), at(2), None, None, at(5), None], 1.0);
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    }
}
