//! Small matrix products.
//!
//! The tables here have at most a few hundred rows, too small to be worth the packing of a general library.
//! Every element is one sum in the order of the inner index, so its rounding error has the textbook's bound.
#![expect(clippy::inline_always, reason = "a kernel is compiled with the features of its caller")]

use crate::lanes::dispatch;

/// Columns of a tile in `f32`; with [`TILE_ROWS`] rows its sums fill 12 of 16 vector registers.
const TILE_COLUMNS: usize = 16;
/// The same in `f64`.
const TILE_COLUMNS_F64: usize = 8;
const TILE_ROWS: usize = 6;

/// `f32` or `f64`.
trait Number: Copy {
    const ZERO: Self;
    fn fused(self, by: Self, plus: Self) -> Self;
}

impl Number for f32 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn fused(self, by: Self, plus: Self) -> Self {
        self.mul_add(by, plus)
    }
}

impl Number for f64 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn fused(self, by: Self, plus: Self) -> Self {
        self.mul_add(by, plus)
    }
}

/// `out = a b` for row-major `a: [m, k]`, `b: [k, n]`, `out: [m, n]`.
///
/// Every element is one fused sum in the order of `k`, whatever the tile it falls into.
///
/// # Panics
/// If a slice does not have the stated size.
pub(crate) fn matmul(sizes: [usize; 3], a: &[f32], b: &[f32], out: &mut [f32]) {
    product::<f32, TILE_COLUMNS>(sizes, a, b, out);
}

/// [`matmul`] in `f64`.
///
/// # Panics
/// If a slice does not have the stated size.
pub(crate) fn matmul_f64(sizes: [usize; 3], a: &[f64], b: &[f64], out: &mut [f64]) {
    product::<f64, TILE_COLUMNS_F64>(sizes, a, b, out);
}

fn product<T: Number, const COLUMNS: usize>(
    [m, k, n]: [usize; 3],
    a: &[T],
    b: &[T],
    out: &mut [T],
) {
    assert!(
        a.len() == m * k && b.len() == k * n && out.len() == m * n,
        "matmul takes [m, k] and [k, n] and gives [m, n]"
    );
    if m == 0 || k == 0 || n == 0 {
        out.fill(T::ZERO);
        return;
    }
    // The columns of a tile are brought together first: a row stride that is a power of two would send them
    // all to one set of the cache. It also pads the last, narrow tile.
    let mut panel = vec![[T::ZERO; COLUMNS]; k];
    dispatch(
        #[inline(always)]
        || {
            for j in (0..n).step_by(COLUMNS) {
                let width = COLUMNS.min(n - j);
                for (panel, row) in panel.iter_mut().zip(b.chunks_exact(n)) {
                    match row[j..].first_chunk() {
                        Some(full) => *panel = *full,
                        None => panel[..width].copy_from_slice(&row[j..]),
                    }
                }
                let mut i = 0;
                while i + TILE_ROWS <= m {
                    tile::<T, TILE_ROWS, COLUMNS>(
                        n,
                        &a[i * k..],
                        &panel,
                        &mut out[i * n + j..],
                        width,
                    );
                    i += TILE_ROWS;
                }
                while i < m {
                    tile::<T, 1, COLUMNS>(n, &a[i * k..], &panel, &mut out[i * n + j..], width);
                    i += 1;
                }
            }
        },
    );
}

#[inline(always)]
fn tile<T: Number, const ROWS: usize, const COLUMNS: usize>(
    n: usize,
    a: &[T],
    panel: &[[T; COLUMNS]],
    out: &mut [T],
    width: usize,
) {
    let k = panel.len();
    let mut sums = [[T::ZERO; COLUMNS]; ROWS];
    let rows: [&[T]; ROWS] = std::array::from_fn(|r| &a[r * k..][..k]);
    for (l, b) in panel.iter().enumerate() {
        for r in 0..ROWS {
            let x = rows[r][l];
            for c in 0..COLUMNS {
                sums[r][c] = x.fused(b[c], sums[r][c]);
            }
        }
    }
    for (sums, out) in sums.iter().zip(out.chunks_mut(n)) {
        out[..width].copy_from_slice(&sums[..width]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_is_that_of_three_plain_loops() {
        for [m, k, n] in [[1, 1, 1], [6, 5, 16], [7, 13, 17], [13, 53, 40], [3, 2, 15]] {
            let a: Vec<f32> = (0..m * k).map(|i| (i % 7) as f32 - 3.0).collect();
            let b: Vec<f32> = (0..k * n).map(|i| (i % 5) as f32 - 2.0).collect();
            let mut out = vec![f32::NAN; m * n];
            matmul([m, k, n], &a, &b, &mut out);
            let double = |v: &[f32]| v.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
            let mut wide = vec![f64::NAN; m * n];
            matmul_f64([m, k, n], &double(&a), &double(&b), &mut wide);
            assert_eq!(wide, double(&out), "[{m}, {k}, {n}]");
            for i in 0..m {
                for j in 0..n {
                    let naive: f32 = (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
                    assert_eq!(out[i * n + j], naive, "[{m}, {k}, {n}] at ({i}, {j})");
                }
            }
        }
    }
}
