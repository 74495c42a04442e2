//! The models that the engine is timed on, written once against its public API.

use std::sync::Arc;

use ontogeny_core::random::Philox;
use ontogeny_engine::{
    Batch, Chunk, Init, Inputs, Lane, LanePlan, Layout, Network, ParamSpec, Taps, Var,
    ops::{Heads, causal_attention, embed, gather_attention},
    optim::Hyper,
};

/// A network with everything a timed step needs.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) net: Box<dyn Network>,
    pub(crate) batch: Batch,
    pub(crate) plan: LanePlan,
    pub(crate) hyper: Hyper,
    /// Whether two processes of one thread are timed instead of one process of two threads.
    pub(crate) single: bool,
    /// The requirement: our time over PyTorch's.
    pub(crate) bar: f64,
}

type Forward = fn(&Lane<'_>, &Chunk<'_>, &mut Taps) -> Var<2>;

#[derive(Debug)]
struct FnNet {
    layout: Arc<Layout>,
    forward: Forward,
}

impl Network for FnNet {
    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn forward(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, taps: &mut Taps) -> Var<2> {
        (self.forward)(lane, chunk, taps)
    }
}

fn net(params: Vec<(String, Vec<usize>)>, forward: Forward) -> Box<dyn Network> {
    let spec = |(name, shape): (String, Vec<usize>)| {
        let init = match shape.len() {
            1 if name.starts_with('g') => Init::Ones,
            1 => Init::Zeros,
            4 => Init::Normal { std: ((shape[1] * shape[2] * shape[3]) as f32).powf(-0.5) },
            _ => Init::Normal { std: (shape[0] as f32).powf(-0.5) },
        };
        ParamSpec::new(name, &shape, init)
    };
    let layout = Arc::new(Layout::new(params.into_iter().map(spec).collect()));
    Box::new(FnNet { layout, forward })
}

fn named(params: &[(&str, &[usize])]) -> Vec<(String, Vec<usize>)> {
    params.iter().map(|(n, s)| ((*n).to_owned(), s.to_vec())).collect()
}

fn hyper(weight_decay: f64, beta2: f64) -> Hyper {
    Hyper { weight_decay, beta2, ..Hyper::default() }
}

/// Modular addition of `n` pairs of numbers below `p`.
fn pairs(p: u32, n: usize) -> Batch {
    let order = Philox::new(1, "pairs").at(0).permutation((p * p) as usize);
    let chosen = &order[..n];
    Batch {
        inputs: Inputs::Tokens {
            ids: chosen.iter().flat_map(|i| [i / p, i % p, p]).collect(),
            n_ctx: 3,
        },
        targets: chosen.iter().map(|i| (i / p + i % p) % p).collect(),
    }
}

fn grokking_params(p: usize, d: usize, mlp: usize, classes: usize) -> Vec<(String, Vec<usize>)> {
    named(&[
        ("we", &[p + 1, d]),
        ("wp", &[3, d]),
        ("wq", &[d, d]),
        ("wk", &[d, d]),
        ("wv", &[d, d]),
        ("wo", &[d, d]),
        ("w1", &[d, mlp]),
        ("b1", &[mlp]),
        ("w2", &[mlp, d]),
        ("b2", &[d]),
        ("wu", &[d, classes]),
    ])
}

/// Every position computed.
fn all_positions(lane: &Lane<'_>, chunk: &Chunk<'_>, _: &mut Taps) -> Var<2> {
    let (ids, t) = chunk.tokens();
    let h = embed(&lane.param("we"), ids).add_tiled(&lane.param("wp"));
    let part = |name: &str| h.linear(&lane.param(name), None);
    let heads = Heads { n_ctx: t, n_heads: 4 };
    let z = causal_attention(&part("wq"), &part("wk"), &part("wv"), heads, None, false).z;
    let h = h.add(&z.linear(&lane.param("wo"), None));
    let m = h.linear_relu(&lane.param("w1"), Some(&lane.param("b1")));
    let h = h.add(&m.linear(&lane.param("w2"), Some(&lane.param("b2"))));
    h.at_position(t - 1, t).linear(&lane.param("wu"), None)
}

/// Only the last position, keys and values once per distinct (token, position) pair.
fn last_position(lane: &Lane<'_>, chunk: &Chunk<'_>, _: &mut Taps) -> Var<2> {
    let (ids, t) = chunk.tokens();
    let (we, wp) = (lane.param::<2>("we"), lane.param::<2>("wp"));
    let p = we.dims()[0] as u32 - 1;
    let tokens: Vec<u32> = (0..p).chain(0..p).chain([p]).collect();
    let positions: Vec<u32> = (0..2 * p).map(|i| i / p).chain([2]).collect();
    let pairs = embed(&we, &tokens).add(&embed(&wp, &positions));
    let last = pairs.slice_rows(2 * p as usize..2 * p as usize + 1);
    let idx: Vec<u32> = (ids.iter().enumerate())
        .map(|(i, &id)| if i % t == 2 { 2 * p } else { id + p * (i % t) as u32 })
        .collect();
    let (k, v) = (pairs.linear(&lane.param("wk"), None), pairs.linear(&lane.param("wv"), None));
    let q = last.linear(&lane.param("wq"), None);
    let z = gather_attention(&q, &k, &v, &idx, t, 4);
    let h = z.linear(&lane.param("wo"), None).add_tiled(&last);
    let m = h.linear_relu(&lane.param("w1"), Some(&lane.param("b1")));
    let h = h.add(&m.linear(&lane.param("w2"), Some(&lane.param("b2"))));
    h.linear(&lane.param("wu"), None)
}

fn decoder(lane: &Lane<'_>, chunk: &Chunk<'_>, _: &mut Taps) -> Var<2> {
    let (ids, n_ctx) = chunk.tokens();
    let mut h = embed(&lane.param("te"), ids).add_tiled(&lane.param("pe"));
    for l in 0..2 {
        let vector = |name: &str| lane.param::<1>(&format!("{name}.{l}"));
        let matrix = |name: &str| lane.param::<2>(&format!("{name}.{l}"));
        let u = h.layer_norm(&vector("g1"), Some(&vector("c1")), 1e-5);
        let part = |n: &str| u.linear(&matrix(&format!("w{n}")), Some(&vector(&format!("b{n}"))));
        let heads = Heads { n_ctx, n_heads: 4 };
        let z = causal_attention(&part("q"), &part("k"), &part("v"), heads, None, false).z;
        h = h.add(&z.linear(&matrix("wo"), Some(&vector("bo"))));
        let u = h.layer_norm(&vector("g2"), Some(&vector("c2")), 1e-5);
        let m = u.linear(&matrix("w1"), Some(&vector("b1"))).gelu();
        h = h.add(&m.linear(&matrix("w2"), Some(&vector("b2"))));
    }
    let u = h.layer_norm(&lane.param("gf"), Some(&lane.param("cf")), 1e-5);
    u.linear(&lane.param("head"), None)
}

fn decoder_params() -> Vec<(String, Vec<usize>)> {
    let mut params = named(&[("te", &[256, 128]), ("pe", &[128, 128])]);
    for l in 0..2 {
        let block: &[(&str, &[usize])] = &[
            ("g1", &[128]),
            ("c1", &[128]),
            ("wq", &[128, 128]),
            ("bq", &[128]),
            ("wk", &[128, 128]),
            ("bk", &[128]),
            ("wv", &[128, 128]),
            ("bv", &[128]),
            ("wo", &[128, 128]),
            ("bo", &[128]),
            ("g2", &[128]),
            ("c2", &[128]),
            ("w1", &[128, 512]),
            ("b1", &[512]),
            ("w2", &[512, 128]),
            ("b2", &[128]),
        ];
        params.extend(block.iter().map(|(n, s)| (format!("{n}.{l}"), s.to_vec())));
    }
    params.extend(named(&[("gf", &[128]), ("cf", &[128]), ("head", &[128, 256])]));
    params
}

fn conv(lane: &Lane<'_>, chunk: &Chunk<'_>, _: &mut Taps) -> Var<2> {
    let x = lane.images(chunk);
    let h = x.conv2d_relu(&lane.param("k1"), Some(&lane.param("b1")), 1, 1);
    let h = h.conv2d_relu(&lane.param("k2"), Some(&lane.param("b2")), 2, 1);
    let h = h.reshape([chunk.n_examples(), 32 * 14 * 14]);
    let h = h.linear_relu(&lane.param("w3"), Some(&lane.param("b3")));
    h.linear(&lane.param("w4"), Some(&lane.param("b4")))
}

fn mlp(lane: &Lane<'_>, chunk: &Chunk<'_>, _: &mut Taps) -> Var<2> {
    let x = lane.features(chunk);
    let h = x.linear_relu(&lane.param("w1"), Some(&lane.param("b1")));
    let h = h.linear_relu(&lane.param("w2"), Some(&lane.param("b2")));
    h.linear(&lane.param("w3"), Some(&lane.param("b3")))
}

fn parity(lane: &Lane<'_>, chunk: &Chunk<'_>, _: &mut Taps) -> Var<2> {
    let h = lane.features(chunk).linear_relu(&lane.param("w1"), Some(&lane.param("b1")));
    h.linear(&lane.param("w2"), Some(&lane.param("b2")))
}

fn numbers(n: usize, width: usize, classes: u64) -> (Vec<f32>, Vec<u32>) {
    let (x, y) = (Philox::new(2, "x").at(0), Philox::new(2, "y").at(0));
    let values = (0..n * width).map(|i| x.normal(i as u64) as f32).collect();
    (values, (0..n).map(|i| y.below(i as u64, classes) as u32).collect())
}

/// The cases in the order of the report.
pub(crate) fn cases() -> Vec<Case> {
    let plan = |lanes, chunk_examples| LanePlan { lanes, chunk_examples };
    let text = numbers(16, 129, 256).0;
    let text: Vec<u32> = text.iter().map(|v| (v.abs() * 1000.0) as u32 % 256).collect();
    let (pixels, digits) = numbers(128, 784, 10);
    let bits = numbers(1024, 40, 2);
    let conv_params: &[(&str, &[usize])] = &[
        ("k1", &[16, 1, 3, 3]),
        ("b1", &[16]),
        ("k2", &[32, 16, 3, 3]),
        ("b2", &[32]),
        ("w3", &[6272, 100]),
        ("b3", &[100]),
        ("w4", &[100, 10]),
        ("b4", &[10]),
    ];
    let mlp_params: &[(&str, &[usize])] = &[
        ("w1", &[784, 512]),
        ("b1", &[512]),
        ("w2", &[512, 512]),
        ("b2", &[512]),
        ("w3", &[512, 10]),
        ("b3", &[10]),
    ];
    let parity_params: &[(&str, &[usize])] =
        &[("w1", &[40, 256]), ("b1", &[256]), ("w2", &[256, 2]), ("b2", &[2])];
    let case = |name, about, net, batch, plan, hyper, single, bar| Case {
        name,
        about,
        net,
        batch,
        plan,
        hyper,
        single,
        bar,
    };
    vec![
        case(
            "A",
            "grokking transformer, p = 113, d = 128, all positions",
            net(grokking_params(113, 128, 512, 114), all_positions),
            pairs(113, 3830),
            plan(4, 240),
            hyper(1.0, 0.98),
            false,
            0.75,
        ),
        case(
            "A_last",
            "the same, last position only",
            net(grokking_params(113, 128, 512, 114), last_position),
            pairs(113, 3830),
            plan(2, 960),
            hyper(1.0, 0.98),
            false,
            0.65,
        ),
        case(
            "B",
            "decoder, 2 layers, d = 128, 16 x 128 tokens",
            net(decoder_params(), decoder),
            Batch {
                inputs: Inputs::Tokens {
                    ids: (0..2048).map(|i| text[i / 128 * 129 + i % 128]).collect(),
                    n_ctx: 128,
                },
                targets: (0..2048).map(|i| text[i / 128 * 129 + i % 128 + 1]).collect(),
            },
            plan(2, 8),
            hyper(0.1, 0.999),
            false,
            1.0,
        ),
        case(
            "C",
            "conv net, 128 images of 28 x 28",
            net(named(conv_params), conv),
            Batch {
                inputs: Inputs::Images {
                    values: pixels.clone(),
                    channels: 1,
                    height: 28,
                    width: 28,
                },
                targets: digits.clone(),
            },
            plan(4, 8),
            hyper(0.01, 0.999),
            false,
            1.0,
        ),
        case(
            "D",
            "mlp 784-512-512-10, batch 128",
            net(named(mlp_params), mlp),
            Batch { inputs: Inputs::Features { values: pixels, width: 784 }, targets: digits },
            plan(2, 64),
            hyper(0.01, 0.999),
            false,
            1.0,
        ),
        case(
            "grok_cpu",
            "grokking, p = 53, d = 64, last position only, one thread",
            net(grokking_params(53, 64, 256, 53), last_position),
            pairs(53, 1264),
            plan(1, 1264),
            hyper(1.0, 0.98),
            true,
            1.0,
        ),
        case(
            "micro",
            "grokking, p = 31, d = 48, last position only, one thread",
            net(grokking_params(31, 48, 192, 31), last_position),
            pairs(31, 576),
            plan(1, 576),
            hyper(1.0, 0.98),
            true,
            1.0,
        ),
        case(
            "parity",
            "mlp 40-256-2, batch 1024, one thread",
            net(named(parity_params), parity),
            Batch { inputs: Inputs::Features { values: bits.0, width: 40 }, targets: bits.1 },
            plan(1, 1024),
            hyper(0.01, 0.999),
            true,
            1.0,
        ),
    ]
}
