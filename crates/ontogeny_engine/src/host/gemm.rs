//! Matrix products.

use super::Real;

/// A matrix inside a slice: element `(i, j)` is at `offset + i * row + j * col`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mat<'a, S> {
    data: &'a [S],
    row: usize,
    col: usize,
}

impl<'a, S> Mat<'a, S> {
    /// A row-major matrix whose rows are `row` apart.
    pub(crate) fn new(data: &'a [S], row: usize) -> Self {
        Self { data, row, col: 1 }
    }

    /// The transpose.
    pub(crate) fn t(self) -> Self {
        Self { data: self.data, row: self.col, col: self.row }
    }
}

/// `c = a b`, or `c += a b` if `is_sum`, for `a [m, k]`, `b [k, n]` and `c [m, n]` with rows `c_row` apart.
///
/// Single-threaded: lanes are the parallelism.
///
/// # Panics
/// If a matrix leaves its slice.
pub(crate) fn gemm<S: Real>(
    [m, n, k]: [usize; 3],
    a: Mat<'_, S>,
    b: Mat<'_, S>,
    c: &mut [S],
    c_row: usize,
    is_sum: bool,
) {
    if m == 0 || n == 0 {
        return;
    }
    let end = |rows: usize, cols: usize, row: usize, col: usize| {
        if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row + (cols - 1) * col + 1 }
    };
    assert!(
        a.data.len() >= end(m, k, a.row, a.col)
            && b.data.len() >= end(k, n, b.row, b.col)
            && c.len() >= end(m, n, c_row, 1)
            && (m == 1 || c_row >= n),
        "a product of [{m}, {k}] and [{k}, {n}] leaves its slices"
    );
    #[expect(
        unsafe_code,
        reason = "the kernel takes pointers; the slices' bounds are checked above"
    )]
    // SAFETY: all elements that the strides reach lie inside the slices, and `c` is borrowed exclusively.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            c_row.cast_signed(),
            is_sum,
            a.data.as_ptr(),
            a.col.cast_signed(),
            a.row.cast_signed(),
            b.data.as_ptr(),
            b.col.cast_signed(),
            b.row.cast_signed(),
            S::ONE,
            S::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
