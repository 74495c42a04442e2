//! Addressed randomness: every random number is a function of (seed, stream, step, index).
//!
//! Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). There is no state to
//! advance, so an added probe or a changed order elsewhere disturbs nothing, and a resumed or forked run
//! needs no generator state: it asks for the same addresses.

const M0: u64 = 0xD251_1F53;
const M1: u64 = 0xCD9E_8D57;
const W0: u32 = 0x9E37_79B9;
const W1: u32 = 0xBB67_AE85;

/// Ten rounds of Philox4x32 on one counter.
pub fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let (p0, p1) = (M0 * u64::from(counter[0]), M1 * u64::from(counter[2]));
        counter = [
            (p1 >> 32) as u32 ^ counter[1] ^ key[0],
            p1 as u32,
            (p0 >> 32) as u32 ^ counter[3] ^ key[1],
            p0 as u32,
        ];
        key = [key[0].wrapping_add(W0), key[1].wrapping_add(W1)];
    }
    counter
}

/// A stream of random numbers, named by what it is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
}

impl Philox {
    /// The stream called `stream` of `seed`. Two names give independent streams.
    pub fn new(seed: u64, stream: &str) -> Self {
        // FNV-1a of the name, then one Philox block to mix it with the seed.
        let name = stream.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
        });
        let block = philox4x32(
            [name as u32, (name >> 32) as u32, 0x6F6E_746F, 0x6765_6E79],
            [seed as u32, (seed >> 32) as u32],
        );
        Self { key: [block[0], block[1]] }
    }

    /// The numbers of one step.
    pub fn at(self, step: u64) -> Draws {
        Draws { key: self.key, step }
    }
}

/// The random numbers of one (seed, stream, step), addressed by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draws {
    key: [u32; 2],
    step: u64,
}

impl Draws {
    /// The whole 128-bit block at `index`.
    pub fn block(self, index: u64) -> [u32; 4] {
        philox4x32(
            [index as u32, (index >> 32) as u32, self.step as u32, (self.step >> 32) as u32],
            self.key,
        )
    }

    /// 64 random bits.
    pub fn u64(self, index: u64) -> u64 {
        let b = self.block(index);
        u64::from(b[0]) | u64::from(b[1]) << 32
    }

    /// Uniform on [0, 1), on a grid of 2^-53.
    pub fn uniform(self, index: u64) -> f64 {
        (self.u64(index) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Standard normal, by Box and Muller from the two halves of one block.
    pub fn normal(self, index: u64) -> f64 {
        let b = self.block(index);
        let u = |lo: u32, hi: u32| {
            ((u64::from(lo) | u64::from(hi) << 32) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
        };
        let (u1, u2) = (1.0 - u(b[0], b[1]), u(b[2], b[3]));
        (-2.0 * u1.ln()).sqrt() * (std::f64::consts::TAU * u2).cos()
    }

    /// Uniform on 0..n by multiplication; the bias is below n / 2^64.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(self, index: u64, n: u64) -> u64 {
        assert!(n > 0, "below(0) has no value to return");
        ((u128::from(self.u64(index)) * u128::from(n)) >> 64) as u64
    }

    /// A permutation of 0..n (Fisher and Yates); index i of this address decides the i-th exchange.
    pub fn permutation(self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i as u64, i as u64 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_published_test_vectors() {
        // Random123's kat_vectors for philox4x32 10.
        assert_eq!(
            philox4x32([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn normals_have_the_moments_of_a_normal() {
        let d = Philox::new(7, "test").at(3);
        let n = 100_000;
        let (mut s1, mut s2, mut s4) = (0.0, 0.0, 0.0);
        for i in 0..n {
            let x = d.normal(i);
            s1 += x;
            s2 += x * x;
            s4 += x.powi(4);
        }
        let n = n as f64;
        // Four standard errors of each moment at n = 1e5.
        assert!(
            (s1 / n).abs() < 0.013 && (s2 / n - 1.0).abs() < 0.018 && (s4 / n - 3.0).abs() < 0.13
        );
    }

    #[test]
    fn an_address_never_depends_on_what_else_was_drawn() {
        let d = Philox::new(1, "data").at(10);
        let alone = d.u64(5);
        let _ = (d.permutation(100), Philox::new(1, "probe").at(10).normal(0));
        assert_eq!(d.u64(5), alone);
        assert_ne!(Philox::new(1, "probe").at(10).u64(5), alone);
        assert_ne!(Philox::new(2, "data").at(10).u64(5), alone);
        assert_ne!(Philox::new(1, "data").at(11).u64(5), alone);
    }

    #[test]
    fn permutations_hold_every_number_once() {
        let mut p = Philox::new(3, "split").at(0).permutation(1000);
        assert_ne!(p[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        p.sort_unstable();
        assert!(p.iter().enumerate().all(|(i, &x)| i as u32 == x));
    }
}
