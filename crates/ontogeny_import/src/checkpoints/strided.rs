//! Views into storages, made contiguous.

use super::flaw::{Flaw, list};

/// Where the numbers of a tensor lie, in numbers and not in bytes.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    pub(crate) offset: u64,
    pub(crate) shape: &'a [u64],
    pub(crate) strides: &'a [u64],
}

impl Layout<'_> {
    /// First number and one after the last, within a storage of `n` numbers.
    pub(crate) fn span(&self, n: u64) -> Result<(u64, u64), Flaw> {
        let outside = || Flaw::View {
            offset: self.offset.to_string(),
            shape: list(self.shape),
            strides: list(self.strides),
            n,
        };
        if self.shape.contains(&0) {
            return Ok((0, 0));
        }
        let steps = self.shape.iter().zip(self.strides);
        let last = steps.map(|(&len, &stride)| (len - 1).checked_mul(stride));
        let last = last.chain([Some(self.offset)]).try_fold(0_u64, |sum, x| sum.checked_add(x?));
        let end = last.and_then(|l| l.checked_add(1)).filter(|&end| end <= n);
        Ok((self.offset, end.ok_or_else(outside)?))
    }

    /// Whether the numbers lie one after the other as they should.
    pub(crate) fn is_contiguous(&self) -> bool {
        let mut expected = 1_u64;
        for (&len, &stride) in self.shape.iter().zip(self.strides).rev() {
            if len != 1 && stride != expected {
                return false;
            }
            // A shape whose product overflows has no room in any storage.
            expected = expected.saturating_mul(len);
        }
        true
    }

    /// Puts the numbers of `size` bytes in order. `bytes` begin at the offset and hold the span; `n_out` bytes
    /// come out, which the caller has bounded.
    pub(crate) fn gather(&self, bytes: &[u8], size: usize, n_out: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(n_out as usize);
        if n_out == 0 {
            return out;
        }
        let mut index = vec![0_u64; self.shape.len()];
        let mut at = 0_u64;
        loop {
            let from = at as usize * size;
            out.extend_from_slice(&bytes[from..from + size]);
            // The next index, the last axis first.
            let mut axis = self.shape.len();
            loop {
                if axis == 0 {
                    return out;
                }
                axis -= 1;
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= self.strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
    }
}

/// Strides of an array whose first axis is the fastest.
pub(crate) fn fortran_strides(shape: &[u64]) -> Vec<u64> {
    let mut stride = 1_u64;
    shape
        .iter()
        .map(|&len| {
            let this = stride;
            stride = stride.saturating_mul(len);
            this
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_put_in_order() {
        let bytes: Vec<u8> = (0..12).collect();
        let gather = |offset, shape: &[u64], strides: &[u64]| {
            let layout = Layout { offset, shape, strides };
            let (from, to) = layout.span(12).unwrap();
            let n = shape.iter().product();
            layout.gather(&bytes[from as usize..to as usize], 1, n)
        };
        assert_eq!(gather(0, &[3, 4], &[4, 1]), bytes);
        assert_eq!(gather(0, &[4, 3], &[1, 4]), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        assert_eq!(gather(5, &[2, 2], &[4, 2]), [5, 7, 9, 11]);
        assert_eq!(gather(3, &[3], &[0]), [3, 3, 3]);
        assert_eq!(gather(7, &[], &[]), [7]);
        assert_eq!(fortran_strides(&[2, 3, 4]), [1, 2, 6]);
    }

    #[test]
    fn views_outside_their_storage_are_refused() {
        for (offset, shape, strides) in [
            (1, [3, 4], [4, 1]),
            (0, [3, 5], [4, 1]),
            (u64::MAX, [1, 1], [1, 1]),
            (0, [2, 2], [u64::MAX, u64::MAX]),
            (0, [u64::MAX, 1], [1, 1]),
        ] {
            let layout = Layout { offset, shape: &shape, strides: &strides };
            assert!(layout.span(12).is_err(), "{offset} {shape:?} {strides:?}");
        }
        let empty = Layout { offset: 99, shape: &[0, 5], strides: &[5, 1] };
        assert_eq!(empty.span(12).unwrap(), (0, 0));
        assert!(Layout { offset: 0, shape: &[3, 1], strides: &[1, 9] }.is_contiguous());
        assert!(!Layout { offset: 0, shape: &[3, 2], strides: &[1, 3] }.is_contiguous());
    }
}
