//! Certificates against what they speak of: exact rational arithmetic, every corner of a box, and `f32` in any order.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use num_rational::BigRational;
use num_traits::{FromPrimitive, Signed, ToPrimitive, Zero};
use ontogeny_core::random::{Draws, Philox};
use ontogeny_engine::{Stage, pixel_range};
use ontogeny_probes::ParamView;
use ontogeny_probes::certificate::{Arithmetic, CertificateError, Certifier, Margins};
use proptest::prelude::*;

/// A dense ReLU network with its weights, `[n_in, n_out]` each.
#[derive(Debug, Clone)]
struct Net {
    sizes: Vec<usize>,
    shapes: Vec<[usize; 2]>,
    bias_shapes: Vec<[usize; 1]>,
    names: Vec<[String; 2]>,
    w: Vec<Vec<f32>>,
    b: Vec<Vec<f32>>,
}

impl Net {
    fn new(sizes: &[usize], w: Vec<Vec<f32>>, b: Vec<Vec<f32>>) -> Self {
        Self {
            sizes: sizes.to_vec(),
            shapes: sizes.windows(2).map(|s| [s[0], s[1]]).collect(),
            bias_shapes: sizes[1..].iter().map(|s| [*s]).collect(),
            names: (0..sizes.len() - 1).map(|l| [format!("{l}.w"), format!("{l}.b")]).collect(),
            w,
            b,
        }
    }

    /// Normal weights of the variance that keeps activations alive.
    fn random(sizes: &[usize], seed: u64) -> Self {
        let draw = |l: usize, what: &str, n: usize, scale: f64| -> Vec<f32> {
            let d = Philox::new(seed, what).at(l as u64);
            (0..n).map(|i| (scale * d.normal(i as u64)) as f32).collect()
        };
        let pairs = || sizes.windows(2).enumerate();
        let w =
            pairs().map(|(l, s)| draw(l, "w", s[0] * s[1], (2.0 / s[0] as f64).sqrt())).collect();
        let b = pairs().map(|(l, s)| draw(l, "b", s[1], 0.3)).collect();
        Self::new(sizes, w, b)
    }

    fn stages(&self) -> Vec<Stage> {
        let dense =
            |n: &[String; 2]| Stage::Dense { weight: n[0].clone(), bias: Some(n[1].clone()) };
        let mut stages: Vec<Stage> =
            self.names.iter().flat_map(|n| [dense(n), Stage::Relu]).collect();
        stages.pop();
        stages
    }

    fn params(&self) -> Vec<ParamView<'_>> {
        let mut views = Vec::new();
        for l in 0..self.w.len() {
            let [w, b] = &self.names[l];
            views.push(ParamView { name: w, shape: &self.shapes[l], values: &self.w[l] });
            views.push(ParamView { name: b, shape: &self.bias_shapes[l], values: &self.b[l] });
        }
        views
    }

    fn certifier(&self) -> Certifier {
        Certifier::new([1, 1, self.sizes[0]], &self.stages(), &self.params()).unwrap()
    }

    fn margins(&self, x: &[f32], y: u32, eps: f64, arithmetic: Arithmetic) -> Margins {
        self.certifier().certify(x, &[y], eps, arithmetic).unwrap().margins[0]
    }

    /// The logits in exact arithmetic.
    fn exact(&self, x: &[BigRational]) -> Vec<BigRational> {
        let mut h = x.to_vec();
        for l in 0..self.w.len() {
            let n = self.sizes[l + 1];
            let z = (0..n).map(|j| {
                let terms = h.iter().enumerate().map(|(i, x)| x * rational(self.w[l][i * n + j]));
                terms.fold(rational(self.b[l][j]), |sum, t| sum + t)
            });
            let is_last = l + 1 == self.w.len();
            h = z
                .map(|v| if is_last || v.is_positive() { v } else { BigRational::zero() })
                .collect();
        }
        h
    }

    /// The logits in `f64`: for searching, not for proving.
    fn double(&self, x: &[f64]) -> Vec<f64> {
        let mut h = x.to_vec();
        for l in 0..self.w.len() {
            let n = self.sizes[l + 1];
            let is_last = l + 1 == self.w.len();
            let z = |j: usize| {
                let terms = h.iter().enumerate().map(|(i, x)| x * f64::from(self.w[l][i * n + j]));
                f64::from(self.b[l][j]) + terms.sum::<f64>()
            };
            h = (0..n).map(z).map(|v| if is_last { v } else { v.max(0.0) }).collect();
        }
        h
    }

    /// The logits in `f32`, every sum in an order of its own.
    fn single(&self, x: &[f32], order: Order) -> Vec<f32> {
        let mut h = x.to_vec();
        for l in 0..self.w.len() {
            let n = self.sizes[l + 1];
            let is_last = l + 1 == self.w.len();
            let z = |j: usize| {
                let terms: Vec<(f32, f32)> =
                    h.iter().enumerate().map(|(i, x)| (*x, self.w[l][i * n + j])).collect();
                order.sum(&terms, self.b[l][j], (l * 1000 + j) as u64)
            };
            h = (0..n).map(z).map(|v| if is_last { v } else { v.max(0.0) }).collect();
        }
        h
    }
}

/// An order of summation.
#[derive(Debug, Clone, Copy)]
enum Order {
    BiasFirst,
    BiasLast,
    Pairwise,
    Fused,
    Shuffled(u64),
}

impl Order {
    const ALL: [Self; 7] = [
        Self::BiasFirst,
        Self::BiasLast,
        Self::Pairwise,
        Self::Fused,
        Self::Shuffled(1),
        Self::Shuffled(2),
        Self::Shuffled(3),
    ];

    fn sum(self, terms: &[(f32, f32)], bias: f32, unit: u64) -> f32 {
        let products = || terms.iter().map(|(a, b)| a * b);
        match self {
            Self::BiasFirst => products().fold(bias, |s, t| s + t),
            Self::BiasLast => products().fold(0.0, |s, t| s + t) + bias,
            Self::Fused => terms.iter().fold(bias, |s, (a, b)| a.mul_add(*b, s)),
            Self::Pairwise => {
                let mut level: Vec<f32> = products().chain([bias]).collect();
                while level.len() > 1 {
                    level = level.chunks(2).map(|c| c.iter().sum()).collect();
                }
                level[0]
            }
            Self::Shuffled(seed) => {
                let all: Vec<f32> = products().chain([bias]).collect();
                let order = Philox::new(seed, "order").at(unit).permutation(all.len());
                order.iter().fold(0.0, |s, i| s + all[*i as usize])
            }
        }
    }
}

fn rational(x: f32) -> BigRational {
    BigRational::from_f32(x).unwrap()
}

/// The least difference of the right logit and another one.
fn margin<T: Clone + std::ops::Sub<Output = T> + PartialOrd>(logits: &[T], y: u32) -> T {
    let right = logits[y as usize].clone();
    let others = logits.iter().enumerate().filter(|(c, _)| *c != y as usize);
    others
        .map(|(_, other)| right.clone() - other.clone())
        .reduce(|a, b| if b < a { b } else { a })
        .unwrap()
}

fn pixels(n: usize, draws: Draws) -> Vec<f32> {
    (0..n).map(|i| draws.uniform(i as u64) as f32).collect()
}

fn class_of(logits: &[f64]) -> u32 {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap() as u32
}

/// A point of the box: corners from time to time.
fn point(x: &[f32], eps: f64, draws: Draws, k: u64) -> Vec<f32> {
    let is_corner = k.is_multiple_of(4);
    let at = |(i, x): (usize, &f32)| {
        let [low, high] = pixel_range(*x, eps);
        let u = draws.uniform(i as u64);
        let inside = f64::from(low) + u * (f64::from(high) - f64::from(low));
        if is_corner { if u < 0.5 { low } else { high } } else { (inside as f32).clamp(low, high) }
    };
    x.iter().enumerate().map(at).collect()
}

/// Intervals in exact arithmetic, the last layer's differences taken before its bounds.
fn exact_ibp(net: &Net, x: &[f32], y: u32, eps: f64) -> BigRational {
    let two = BigRational::from_u8(2).unwrap();
    let ends: Vec<[f32; 2]> = x.iter().map(|x| pixel_range(*x, eps)).collect();
    let mut boxes: Vec<[BigRational; 2]> = ends.iter().map(|e| e.map(rational)).collect();
    for l in 0..net.w.len() {
        let n = net.sizes[l + 1];
        let weight = |i: usize, j: usize| rational(net.w[l][i * n + j]);
        if l + 1 == net.w.len() {
            let bound = |other: usize| {
                let b = rational(net.b[l][y as usize]) - rational(net.b[l][other]);
                boxes.iter().enumerate().fold(b, |sum, (i, [low, high])| {
                    let d = weight(i, y as usize) - weight(i, other);
                    sum + if d.is_negative() { d * high } else { d * low }
                })
            };
            return (0..n).filter(|o| *o != y as usize).map(bound).min().unwrap();
        }
        boxes = (0..n)
            .map(|j| {
                let (mut c, mut r) = (rational(net.b[l][j]), BigRational::zero());
                for (i, [low, high]) in boxes.iter().enumerate() {
                    c += weight(i, j) * (low + high) / &two;
                    r += weight(i, j).abs() * (high - low) / &two;
                }
                [&c - &r, c + r].map(|v| if v.is_negative() { BigRational::zero() } else { v })
            })
            .collect();
    }
    unreachable!("a network has layers")
}

#[test]
fn intervals_are_those_of_rational_arithmetic_and_never_tighter() {
    for seed in 0..60 {
        let depth = 1 + (seed % 3) as usize;
        let net = Net::random(&[vec![4; depth + 1], vec![3]].concat(), seed);
        let x = pixels(4, Philox::new(seed, "x").at(0));
        for (k, eps) in [0.0, 0.01, 0.1, 0.4].into_iter().enumerate() {
            let y = (k as u64 % 3) as u32;
            let exact = exact_ibp(&net, &x, y, eps);
            let bound = net.margins(&x, y, eps, Arithmetic::Real).ibp;
            let found = BigRational::from_f64(bound).unwrap();
            assert!(found <= exact, "seed {seed} eps {eps}: {bound} > {exact}");
            let slack = (exact - found).to_f64().unwrap();
            assert!(slack < 1e-12, "seed {seed} eps {eps}: {slack} is lost");
        }
    }
}

#[test]
fn no_exact_margin_lies_below_a_bound() {
    for seed in 0..60 {
        let net = Net::random(&[4, 4, 4, 3], seed);
        let x = pixels(4, Philox::new(seed, "x").at(0));
        for eps in [0.0, 0.02, 0.15] {
            let y = (seed % 3) as u32;
            let real = net.margins(&x, y, eps, Arithmetic::Real);
            let deployed = net.margins(&x, y, eps, Arithmetic::F32);
            assert!(deployed.ibp <= real.ibp);
            let [ibp, crown] = [real.ibp, real.crown].map(|b| BigRational::from_f64(b).unwrap());
            for k in 0..40 {
                let at = point(&x, eps, Philox::new(seed, "points").at(k), k);
                let exact = net.exact(&at.iter().map(|v| rational(*v)).collect::<Vec<_>>());
                let exact = margin(&exact, y);
                assert!(exact >= ibp && exact >= crown, "seed {seed} eps {eps} at {at:?}");
            }
        }
    }
}

#[test]
fn no_corner_of_a_box_of_eight_pixels_lies_below_a_bound_and_one_layer_is_tight() {
    let mut n_certified = 0;
    for seed in 0..30 {
        for sizes in [&[8, 4][..], &[8, 12, 6, 4]] {
            let net = Net::random(sizes, seed);
            let x = pixels(8, Philox::new(seed, "x").at(0));
            let y = class_of(&net.double(&x.iter().map(|v| f64::from(*v)).collect::<Vec<_>>()));
            let eps = 0.03;
            let bounds = net.margins(&x, y, eps, Arithmetic::Real);
            let ends: Vec<[f32; 2]> = x.iter().map(|v| pixel_range(*v, eps)).collect();
            let mut least = f64::INFINITY;
            for corner in 0..256usize {
                let at = ends.iter().enumerate().map(|(i, e)| f64::from(e[corner >> i & 1]));
                least = least.min(margin(&net.double(&at.collect::<Vec<_>>()), y));
            }
            assert!(least >= bounds.best() - 1e-12, "seed {seed}: {least} under {bounds:?}");
            n_certified += usize::from(bounds.best() > 0.0);
            if sizes.len() == 2 {
                assert!(least - bounds.ibp < 1e-12 && least - bounds.crown < 1e-12, "{seed}");
            }
        }
    }
    assert!(n_certified > 10, "only {n_certified} of 60 are certified: the test says nothing");
}

#[test]
fn relaxation_is_tighter_than_intervals_where_signs_cancel() {
    // x - x through two ReLUs that are on: intervals forget that both are the same x.
    let net = Net::new(
        &[1, 2, 2],
        vec![vec![1.0, 1.0], vec![1.0, 0.0, -1.0, 0.0]],
        vec![vec![0.1, 0.1], vec![0.05, 0.0]],
    );
    let m = net.margins(&[0.5], 0, 0.25, Arithmetic::F32);
    assert!(m.crown > 0.049 && m.crown < 0.05 && m.ibp < 0.0, "{m:?}");
}

/// Intervals as one would write them without a thought for rounding, in `f32`.
fn naive_ibp(net: &Net, x: &[f32], y: u32, eps: f32) -> f32 {
    let mut boxes: Vec<[f32; 2]> =
        x.iter().map(|x| [(x - eps).max(0.0), (x + eps).min(1.0)]).collect();
    for l in 0..net.w.len() {
        let n = net.sizes[l + 1];
        let w = |i: usize, j: usize| net.w[l][i * n + j];
        if l + 1 == net.w.len() {
            let bound = |other: usize| {
                let b = net.b[l][y as usize] - net.b[l][other];
                boxes.iter().enumerate().fold(b, |sum, (i, e)| {
                    let d = w(i, y as usize) - w(i, other);
                    sum + d * if d < 0.0 { e[1] } else { e[0] }
                })
            };
            return (0..n).filter(|o| *o != y as usize).map(bound).fold(f32::INFINITY, f32::min);
        }
        let next = (0..n).map(|j| {
            let (mut c, mut r) = (net.b[l][j], 0.0);
            for (i, e) in boxes.iter().enumerate() {
                c += w(i, j) * 0.5 * (e[0] + e[1]);
                r += w(i, j).abs() * 0.5 * (e[1] - e[0]);
            }
            [(c - r).max(0.0), (c + r).max(0.0)]
        });
        boxes = next.collect();
    }
    unreachable!("a network has layers")
}

#[test]
fn cancelling_biases_are_accepted_by_naive_bounds_and_refused_here() {
    // Hidden: 1e8 - sum x, 1e8 and .5. Logits: the first less the second plus the third, and 0. The margin is
    // .5 - sum x, negative for nearly every image; but 1e8 absorbs each pixel that is added to it, one after the other.
    let n = 16;
    let first: Vec<f32> = (0..n).flat_map(|_| [-1.0, 0.0, 0.0]).collect();
    let net = Net::new(
        &[n, 3, 2],
        vec![first, vec![1.0, 0.0, -1.0, 0.0, 1.0, 0.0]],
        vec![vec![1e8, 1e8, 0.5], vec![0.0, 0.0]],
    );
    let x = vec![0.5; n];
    assert!(naive_ibp(&net, &x, 0, 0.01) > 0.0, "naive bounds accept");
    // They are wrong of one order of adding, right of another.
    assert!(margin(&net.single(&x, Order::BiasFirst), 0) > 0.0);
    assert!(margin(&net.single(&x, Order::BiasLast), 0) < 0.0);
    assert!(
        margin(&net.exact(&x.iter().map(|v| rational(*v)).collect::<Vec<_>>()), 0).is_negative()
    );
    for arithmetic in [Arithmetic::Real, Arithmetic::F32] {
        let m = net.margins(&x, 0, 0.01, arithmetic);
        assert!(m.best() < 0.0, "{arithmetic:?}: {m:?}");
    }
    // Without a pixel the real network is right, and only what the machine computes remains in doubt.
    let dark = vec![0.0; n];
    assert!(net.margins(&dark, 0, 0.01, Arithmetic::Real).best() > 0.3);
    assert!(net.margins(&dark, 0, 0.01, Arithmetic::F32).best() < 0.0);
}

#[test]
fn bounds_are_those_of_auto_lirpa() {
    // A CNN of two convolutions and two dense layers on six images, made by benches/peers/lirpa_bounds.py.
    let all: serde_json::Value = serde_json::from_str(include_str!("fixtures/lirpa.json")).unwrap();
    let numbers =
        |v: &serde_json::Value| -> Vec<f64> { serde_json::from_value(v.clone()).unwrap() };
    let single = |v: &serde_json::Value| -> Vec<f32> { serde_json::from_value(v.clone()).unwrap() };
    let params: Vec<(String, Vec<usize>, Vec<f32>)> = (all["params"].as_object().unwrap().iter())
        .map(|(name, p)| {
            let shape = serde_json::from_value(p["shape"].clone()).unwrap();
            (name.clone(), shape, single(&p["values"]))
        })
        .collect();
    let views: Vec<ParamView<'_>> =
        params.iter().map(|(name, shape, values)| ParamView { name, shape, values }).collect();
    let (first, second) = (Stage::conv("conv.0", 2, 2), Stage::conv("conv.1", 2, 1));
    let (hidden, out) = (Stage::dense("hidden"), Stage::dense("out"));
    let stages = [first, Stage::Relu, second, Stage::Relu, hidden, Stage::Relu, out];
    let certifier = Certifier::new([1, 8, 8], &stages, &views).unwrap();
    let y: Vec<u32> = serde_json::from_value(all["y"].clone()).unwrap();
    let x = single(&all["x"]);
    for case in all["cases"].as_array().unwrap() {
        let eps = case["eps"].as_f64().unwrap();
        let ours = certifier.certify(&x, &y, eps, Arithmetic::Real).unwrap().margins;
        for (i, m) in ours.iter().enumerate() {
            let (ibp, crown) = (numbers(&case["ibp"])[i], numbers(&case["crown"])[i]);
            // Ours is wider by at most one f32 on each side of each pixel.
            assert!(m.ibp <= ibp + 1e-12 && m.ibp > ibp - 1e-6, "eps {eps} {i}: {m:?} {ibp}");
            assert!((m.crown - crown).abs() < 1e-6, "eps {eps} {i}: {m:?} {crown}");
        }
    }
}

/// Points that are tried against every certificate.
fn try_many(n_points: u64, n_nets: u64) {
    let mut n_certified = 0;
    for seed in 0..n_nets {
        let net = Net::random(&[12, 16, 16, 5], seed);
        let x = pixels(12, Philox::new(seed, "x").at(0));
        let y = class_of(&net.double(&x.iter().map(|v| f64::from(*v)).collect::<Vec<_>>()));
        for eps in [0.003, 0.01, 0.03] {
            let real = net.margins(&x, y, eps, Arithmetic::Real);
            let deployed = net.margins(&x, y, eps, Arithmetic::F32);
            n_certified += u32::from(deployed.best() > 0.0);
            for k in 0..n_points {
                let at = point(&x, eps, Philox::new(seed, "points").at(k), k);
                let order = Order::ALL[k as usize % Order::ALL.len()];
                // Exactly: the difference of two f32 is a f64.
                let logits: Vec<f64> =
                    net.single(&at, order).iter().map(|v| f64::from(*v)).collect();
                let found = margin(&logits, y);
                assert!(found >= deployed.best(), "{seed} {eps} {order:?}: {found} {deployed:?}");
                let wide: Vec<f64> = at.iter().map(|v| f64::from(*v)).collect();
                assert!(margin(&net.double(&wide), y) >= real.best() - 1e-12, "{seed} {eps}");
            }
        }
    }
    assert!(u64::from(n_certified) > n_nets, "{n_certified} certified: the test says nothing");
}

#[test]
fn no_point_in_any_order_of_summation_lies_below_a_bound() {
    try_many(300, 20);
}

#[test]
#[ignore = "minutes: the full count"]
fn slow_no_point_of_a_hundred_thousand_lies_below_a_bound() {
    try_many(100_000, 20);
}

#[test]
fn a_bound_of_what_f32_computes_is_not_far_below_that_of_real_numbers() {
    let net = Net::random(&[12, 64, 64, 5], 3);
    let x = pixels(12, Philox::new(3, "x").at(0));
    let [real, deployed] = [Arithmetic::Real, Arithmetic::F32].map(|a| net.margins(&x, 0, 0.01, a));
    assert!(deployed.ibp < real.ibp && deployed.ibp > real.ibp - 1e-2, "{real:?} {deployed:?}");
    assert!(deployed.crown < real.crown && deployed.crown > real.crown - 1e-2);
}

proptest! {
    #[test]
    fn bounds_fall_as_eps_grows(seed in 0u64..1000, a in 0.0f64..0.2, more in 0.0f64..0.2) {
        let net = Net::random(&[6, 9, 7, 3], seed);
        let x = pixels(6, Philox::new(seed, "x").at(0));
        for arithmetic in [Arithmetic::Real, Arithmetic::F32] {
            let [near, far] = [a, a + more].map(|eps| net.margins(&x, 1, eps, arithmetic));
            prop_assert!(far.ibp <= near.ibp + 1e-12);
        }
    }

    #[test]
    fn a_convolution_is_the_matrix_that_it_is(
        seed in 0u64..1000, side in 3usize..7, kernel in 1usize..4, stride in 1usize..3, padding in 0usize..2,
    ) {
        let (c_in, c_out) = (2, 3);
        let out = (side + 2 * padding - kernel) / stride + 1;
        let draw = |what: &str, n: usize| -> Vec<f32> {
            let d = Philox::new(seed, what).at(0);
            (0..n).map(|i| (0.5 * d.normal(i as u64)) as f32).collect()
        };
        let w = draw("w", c_out * c_in * kernel * kernel);
        let (b, v) = (draw("b", c_out), draw("v", c_out * out * out * 4));
        // The same map as a matrix.
        let (n_in, n_mid) = (c_in * side * side, c_out * out * out);
        let mut matrix = vec![0.0; n_in * n_mid];
        for o in 0..c_out {
            for y in 0..out * out {
                for k in 0..c_in * kernel * kernel {
                    let (c, i, j) = (k / kernel / kernel, k / kernel % kernel, k % kernel);
                    let (row, column) = (y / out * stride + i, y % out * stride + j);
                    if (padding..side + padding).contains(&row) && (padding..side + padding).contains(&column) {
                        let from = (c * side + row - padding) * side + column - padding;
                        matrix[from * n_mid + o * out * out + y] = w[o * c_in * kernel * kernel + k];
                    }
                }
            }
        }
        let constants: Vec<f32> = b.iter().flat_map(|v| vec![*v; out * out]).collect();
        let zeros = vec![0.0; 4];
        let (shape_w, shape_v, shape_m) = ([c_out, c_in, kernel, kernel], [n_mid, 4], [n_in, n_mid]);
        let (shape_b, shape_c, shape_z) = ([c_out], [n_mid], [4]);
        let views = [
            ParamView { name: "conv.w", shape: &shape_w, values: &w },
            ParamView { name: "conv.b", shape: &shape_b, values: &b },
            ParamView { name: "dense.w", shape: &shape_m, values: &matrix },
            ParamView { name: "dense.b", shape: &shape_c, values: &constants },
            ParamView { name: "out.w", shape: &shape_v, values: &v },
            ParamView { name: "out.b", shape: &shape_z, values: &zeros },
        ];
        let conv = [Stage::conv("conv", stride, padding), Stage::Relu, Stage::dense("out")];
        let dense = [Stage::dense("dense"), Stage::Relu, Stage::dense("out")];
        let x = pixels(n_in, Philox::new(seed, "x").at(0));
        let of = |stages: &[Stage]| {
            let c = Certifier::new([c_in, side, side], stages, &views).unwrap();
            c.certify(&x, &[2], 0.05, Arithmetic::Real).unwrap()
        };
        let (a, b) = (of(&conv), of(&dense));
        prop_assert!((a.margins[0].ibp - b.margins[0].ibp).abs() < 1e-9);
        prop_assert!((a.margins[0].crown - b.margins[0].crown).abs() < 1e-9);
        prop_assert_eq!(a.layers.len(), 2);
        prop_assert!((a.layers[0].relative_radius - b.layers[0].relative_radius).abs() < 1e-9);
        prop_assert_eq!(a.layers[0].relu, b.layers[0].relu);
    }
}

#[test]
fn many_examples_are_bounded_as_each_alone() {
    let net = Net::random(&[5, 7, 3], 9);
    let x = pixels(5 * 40, Philox::new(9, "x").at(0));
    let y: Vec<u32> = (0..40).map(|i| i % 3).collect();
    let all = net.certifier().certify(&x, &y, 0.1, Arithmetic::F32).unwrap();
    for (i, m) in all.margins.iter().enumerate() {
        assert_eq!(*m, net.margins(&x[5 * i..5 * i + 5], y[i], 0.1, Arithmetic::F32));
    }
}

#[test]
fn radii_and_shares_are_those_of_a_layer_by_hand() {
    // Units x + 1 (on), -x - 1 (off), x - .5 (either), 2 x (on): radii .1, .1, .1, .2.
    let net = Net::new(
        &[1, 4, 2],
        vec![vec![1.0, -1.0, 1.0, 2.0], vec![0.0; 8]],
        vec![vec![1.0, -1.0, -0.5, 0.0], vec![0.0; 2]],
    );
    let c = net.certifier().certify(&[0.5], &[0], 0.1, Arithmetic::Real).unwrap();
    assert!((c.layers[0].relative_radius - 1.25).abs() < 1e-6, "{:?}", c.layers);
    assert_eq!(c.layers[0].relu, Some([0.25, 0.5]));
    assert_eq!((c.layers[1].relu, c.layers.len()), (None, 2));
}

#[test]
fn numbers_that_may_overflow_certify_nothing() {
    let net = Net::new(&[1, 1, 2], vec![vec![3e38], vec![1.0, 0.0]], vec![vec![0.0], vec![0.0; 2]]);
    assert!(net.margins(&[1.0], 0, 0.0, Arithmetic::Real).best() > 1e38);
    assert_eq!(net.margins(&[1.0], 0, 0.0, Arithmetic::F32), Margins::REFUSED);
    let deep = vec![vec![3e38]; 3].into_iter().chain([vec![3e38, 0.0]]).collect();
    let net = Net::new(&[1, 1, 1, 1, 2], deep, vec![vec![0.0], vec![0.0], vec![0.0], vec![0.0; 2]]);
    assert_eq!(net.margins(&[1.0], 0, 0.0, Arithmetic::Real), Margins::REFUSED);
}

#[test]
fn what_cannot_be_certified_is_named() {
    let net = Net::random(&[2, 3, 2], 1);
    let (stages, views) = (net.stages(), net.params());
    let said = |stages: &[Stage], views: &[ParamView<'_>]| {
        Certifier::new([1, 1, 2], stages, views).unwrap_err().to_string()
    };
    insta::assert_snapshot!(said(&stages[..2], &views), @"certify the network: its stages do not end with a dense layer");
    insta::assert_snapshot!(said(&stages, &views[1..]), @"certify the network: it has no parameter 0.w");
    insta::assert_snapshot!(said(&stages[2..], &views), @"certify the network: 1.w has the shape [3, 2], but should have 2 rows");
    let flat = Stage::Conv { weight: "0.w".into(), bias: None, stride: 1, padding: 0 };
    insta::assert_snapshot!(said(&[flat], &views), @"certify the network: 0.w has the shape [2, 3], but should have four axes, the second of 1, no window larger than its image");
    let mut sick = net.clone();
    sick.w[0][1] = f32::NAN;
    insta::assert_snapshot!(said(&stages, &sick.params()), @"certify the network: 0.w is not finite");
    let c = net.certifier();
    let refused = |x: &[f32], y: &[u32], eps| -> CertificateError {
        c.certify(x, y, eps, Arithmetic::F32).unwrap_err()
    };
    insta::assert_snapshot!(refused(&[0.5; 2], &[0], -0.1), @"certify at eps -0.1: it must lie in [0, 1]");
    insta::assert_snapshot!(refused(&[0.5; 2], &[0], f64::NAN), @"certify at eps NaN: it must lie in [0, 1]");
    insta::assert_snapshot!(refused(&[0.5; 3], &[0], 0.1), @"certify examples: numbers of the inputs: expected 2, found 3");
    insta::assert_snapshot!(refused(&[0.5; 2], &[2], 0.1), @"certify examples: largest class: expected 1, found 2");
    insta::assert_snapshot!(refused(&[0.5, 0.5, f32::NAN, 0.5], &[0, 1], 0.1), @"certify example 1: its value 0 is NaN, which is not in [0, 1]");
    insta::assert_snapshot!(refused(&[0.5, 1.5], &[0], 0.1), @"certify example 0: its value 1 is 1.5, which is not in [0, 1]");
    assert_eq!(c.certify(&[], &[], 0.1, Arithmetic::F32).unwrap().layers, []);
}
