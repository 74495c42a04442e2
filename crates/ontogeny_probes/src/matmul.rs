//! Small matrix products in `f32`.
//!
//! The tables here have at most a few hundred rows, too small to be worth the packing of a general library.
#![expect(clippy::inline_always, reason = "a kernel is compiled with the features of its caller")]

use crate::lanes::dispatch;

/// Columns of a tile; with [`TILE_ROWS`] rows its sums fill 12 of 16 vector registers.
const TILE_COLUMNS: usize = 16;
const TILE_ROWS: usize = 6;

/// `out = a b` for row-major `a: [m, k]`, `b: [k, n]`, `out: [m, n]`.
///
/// Every element is one fused sum in the order of `k`, whatever the tile it falls into.
///
/// # Panics
/// If a slice does not have the stated size.
pub(crate) fn matmul([m, k, n]: [usize; 3], a: &[f32], b: &[f32], out: &mut [f32]) {
    assert!(
        a.len() == m * k && b.len() == k * n && out.len() == m * n,
        "matmul takes [m, k] and [k, n] and gives [m, n]"
    );
    if m == 0 || k == 0 || n == 0 {
        out.fill(0.0);
        return;
    }
    dispatch(
        #[inline(always)]
        || {
            for j in (0..n).step_by(TILE_COLUMNS) {
                let width = TILE_COLUMNS.min(n - j);
                let mut i = 0;
                while i + TILE_ROWS <= m {
                    tile::<TILE_ROWS>([k, n], &a[i * k..], &b[j..], &mut out[i * n + j..], width);
                    i += TILE_ROWS;
                }
                while i < m {
                    tile::<1>([k, n], &a[i * k..], &b[j..], &mut out[i * n + j..], width);
                    i += 1;
                }
            }
        },
    );
}

#[inline(always)]
fn tile<const ROWS: usize>(
    [k, n]: [usize; 2],
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
    width: usize,
) {
    let mut sums = [[0.0_f32; TILE_COLUMNS]; ROWS];
    let rows: [&[f32]; ROWS] = std::array::from_fn(|r| &a[r * k..][..k]);
    let mut from = 0;
    #[expect(clippy::needless_range_loop, reason = "the index runs through several rows at once")]
    for l in 0..k {
        // A full tile reads in place; the last, narrow one is padded with zeros.
        let mut padded = [0.0; TILE_COLUMNS];
        let b = if let Some(full) =
            b.get(from..from + TILE_COLUMNS).filter(|_| width == TILE_COLUMNS)
        {
            full.try_into().unwrap_or(&padded)
        } else {
            padded[..width].copy_from_slice(&b[from..from + width]);
            &padded
        };
        for r in 0..ROWS {
            for c in 0..TILE_COLUMNS {
                sums[r][c] = rows[r][l].mul_add(b[c], sums[r][c]);
            }
        }
        from += n;
    }
    for r in 0..ROWS {
        out[r * n..][..width].copy_from_slice(&sums[r][..width]);
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
            for i in 0..m {
                for j in 0..n {
                    let naive: f32 = (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
                    assert_eq!(out[i * n + j], naive, "[{m}, {k}, {n}] at ({i}, {j})");
                }
            }
        }
    }
}
