//! Small networks and the shared `check` of the engine's tests.
#![allow(dead_code, reason = "each test binary uses its own part of the support")]

use std::sync::Arc;

use ontogeny_core::random::Philox;
use ontogeny_engine::{
    Batch, Chunk, Init, Inputs, Lane, Layout, Network, ParamSpec, Taps, Var,
    ops::{Heads, causal_attention, embed, gather_attention},
};

type Forward = fn(&Lane<'_>, &Chunk<'_>, &mut Taps) -> Var<2>;

/// A network that is a function.
#[derive(Debug)]
pub(crate) struct FnNet {
    layout: Arc<Layout>,
    forward: Forward,
}

impl FnNet {
    /// Parameters `(name, shape)` drawn with standard deviation 0.4.
    pub(crate) fn new(params: &[(&str, &[usize])], forward: Forward) -> Self {
        let spec = |(name, shape): &(&str, &[usize])| {
            ParamSpec::new(*name, shape, Init::Normal { std: 0.4 })
        };
        Self { layout: Arc::new(Layout::new(params.iter().map(spec).collect())), forward }
    }

    pub(crate) fn init(&self, seed: u64) -> Vec<f32> {
        self.layout.init(seed, 1.0)
    }
}

impl Network for FnNet {
    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn forward(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, taps: &mut Taps) -> Var<2> {
        (self.forward)(lane, chunk, taps)
    }
}

pub(crate) fn tokens(
    n: usize,
    n_ctx: usize,
    vocab: u64,
    classes: u64,
    every_position: bool,
) -> Batch {
    let draw = |stream: &str, len: usize, below: u64| -> Vec<u32> {
        let d = Philox::new(5, stream).at(0);
        (0..len).map(|i| d.below(i as u64, below) as u32).collect()
    };
    let readouts = if every_position { n * n_ctx } else { n };
    Batch {
        inputs: Inputs::Tokens { ids: draw("ids", n * n_ctx, vocab), n_ctx },
        targets: draw("targets", readouts, classes),
    }
}

pub(crate) fn features(n: usize, width: usize, classes: u64) -> Batch {
    let d = Philox::new(6, "features").at(0);
    let t = Philox::new(6, "targets").at(0);
    Batch {
        inputs: Inputs::Features {
            values: (0..n * width).map(|i| d.normal(i as u64) as f32).collect(),
            width,
        },
        targets: (0..n).map(|i| t.below(i as u64, classes) as u32).collect(),
    }
}

pub(crate) fn images(n: usize, channels: usize, side: usize, classes: u64) -> Batch {
    let Batch { inputs, targets } = features(n, channels * side * side, classes);
    let Inputs::Features { values, .. } = inputs else { unreachable!() };
    Batch { inputs: Inputs::Images { values, channels, height: side, width: side }, targets }
}

/// One hidden layer of tanh.
pub(crate) fn tanh_mlp() -> FnNet {
    FnNet::new(&[("w1", &[5, 6]), ("b1", &[6]), ("w2", &[6, 3])], |lane, chunk, _| {
        let h = lane.features(chunk).linear(&lane.param("w1"), Some(&lane.param("b1"))).tanh();
        h.linear(&lane.param("w2"), None)
    })
}

/// Two layers of ReLU.
pub(crate) fn relu_mlp() -> FnNet {
    let params: &[(&str, &[usize])] =
        &[("w1", &[20, 16]), ("b1", &[16]), ("w2", &[16, 16]), ("b2", &[16]), ("w3", &[16, 4])];
    FnNet::new(params, |lane, chunk, taps| {
        let x = lane.features(chunk);
        let h = x.linear_relu(&lane.param("w1"), Some(&lane.param("b1")));
        let h = taps.pass("hidden", h);
        let h = h.linear_relu(&lane.param("w2"), Some(&lane.param("b2")));
        h.linear(&lane.param("w3"), None)
    })
}

/// One block of attention and ReLU, read at the last of three positions, all positions computed.
pub(crate) fn grokking() -> FnNet {
    let params: &[(&str, &[usize])] = &[
        ("we", &[12, 16]),
        ("wp", &[3, 16]),
        ("wq", &[16, 16]),
        ("wk", &[16, 16]),
        ("wv", &[16, 16]),
        ("wo", &[16, 16]),
        ("w1", &[16, 32]),
        ("b1", &[32]),
        ("w2", &[32, 16]),
        ("b2", &[16]),
        ("wu", &[16, 11]),
    ];
    FnNet::new(params, |lane, chunk, taps| {
        let (ids, t) = chunk.tokens();
        let h = embed(&lane.param("we"), ids).add_tiled(&lane.param("wp"));
        let part = |name: &str| h.linear(&lane.param(name), None);
        let heads = Heads { n_ctx: t, n_heads: 4 };
        let wants = taps.wants("pattern");
        let a = causal_attention(&part("wq"), &part("wk"), &part("wv"), heads, None, wants);
        if let Some(pattern) = a.pattern {
            taps.put_table("pattern", pattern);
        }
        let h = h.add(&a.z.linear(&lane.param("wo"), None));
        let m = h.linear_relu(&lane.param("w1"), Some(&lane.param("b1")));
        let h = h.add(&m.linear(&lane.param("w2"), Some(&lane.param("b2"))));
        taps.put("resid", &h);
        h.at_position(t - 1, t).linear(&lane.param("wu"), None)
    })
}

/// The same function as [`grokking`] when the last token is always 11, by gathering keys and values.
pub(crate) fn grokking_gathered() -> FnNet {
    let mut net = grokking();
    net.forward = |lane, chunk, _| {
        let (ids, t) = chunk.tokens();
        let p = 11u32;
        let (we, wp) = (lane.param::<2>("we"), lane.param::<2>("wp"));
        // Distinct pairs: tokens 0..p at positions 0 and 1, and p at position 2.
        let tokens: Vec<u32> = (0..p).chain(0..p).chain([p]).collect();
        let positions: Vec<u32> = (0..2 * p).map(|i| i / p).chain([2]).collect();
        let pairs = embed(&we, &tokens).add(&embed(&wp, &positions));
        let last = pairs.slice_rows(2 * p as usize..2 * p as usize + 1);
        let idx: Vec<u32> = ids
            .iter()
            .enumerate()
            .map(|(i, &id)| if i % t == 2 { 2 * p } else { id + p * (i % t) as u32 })
            .collect();
        let (k, v) = (pairs.linear(&lane.param("wk"), None), pairs.linear(&lane.param("wv"), None));
        let q = last.linear(&lane.param("wq"), None);
        let z = gather_attention(&q, &k, &v, &idx, t, 4);
        let h = z.linear(&lane.param("wo"), None).add_tiled(&last);
        let m = h.linear_relu(&lane.param("w1"), Some(&lane.param("b1")));
        let h = h.add(&m.linear(&lane.param("w2"), Some(&lane.param("b2"))));
        h.linear(&lane.param("wu"), None)
    };
    net
}

/// A pre-LN decoder block with GELU and relative positions, read at every position.
pub(crate) fn decoder() -> FnNet {
    let params: &[(&str, &[usize])] = &[
        ("te", &[13, 8]),
        ("rel", &[72, 8]),
        ("g1", &[8]),
        ("c1", &[8]),
        ("wq", &[8, 8]),
        ("wk", &[8, 8]),
        ("wv", &[8, 8]),
        ("wo", &[8, 8]),
        ("bo", &[8]),
        ("g2", &[8]),
        ("c2", &[8]),
        ("w1", &[8, 20]),
        ("b1", &[20]),
        ("w2", &[20, 8]),
        ("b2", &[8]),
    ];
    FnNet::new(params, |lane, chunk, taps| {
        let (ids, n_ctx) = chunk.tokens();
        let te = lane.param::<2>("te");
        let h = taps.pass("resid_pre", embed(&te, ids));
        let u = h.layer_norm(&lane.param("g1"), Some(&lane.param("c1")), 1e-5);
        let part = |name: &str| u.linear(&lane.param(name), None);
        let heads = Heads { n_ctx, n_heads: 2 };
        let rel = lane.param("rel");
        let a = causal_attention(&part("wq"), &part("wk"), &part("wv"), heads, Some(&rel), false);
        let h = h.add(&a.z.linear(&lane.param("wo"), Some(&lane.param("bo"))));
        let u = h.layer_norm(&lane.param("g2"), Some(&lane.param("c2")), 1e-5);
        let m = u.linear(&lane.param("w1"), Some(&lane.param("b1"))).gelu();
        let h = h.add(&m.linear(&lane.param("w2"), Some(&lane.param("b2"))));
        h.matmul_transposed(&te) // tied unembedding
    })
}

/// Two convolutions, a pool and a linear readout.
pub(crate) fn conv_net() -> FnNet {
    let params: &[(&str, &[usize])] = &[
        ("c1", &[4, 2, 3, 3]),
        ("d1", &[4]),
        ("c2", &[6, 4, 3, 3]),
        ("d2", &[6]),
        ("w", &[6, 3]),
        ("b", &[3]),
    ];
    FnNet::new(params, |lane, chunk, _| {
        let x = lane.images(chunk);
        let h = x.conv2d_relu(&lane.param("c1"), Some(&lane.param("d1")), 1, 1);
        let h = h.conv2d(&lane.param("c2"), Some(&lane.param("d2")), 2, 1).tanh();
        let h = h.max_pool2d(2, 1).global_mean_pool();
        h.linear(&lane.param("w"), Some(&lane.param("b")))
    })
}

/// The relative difference of two vectors, `|a - b| / |b|`.
pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied()).max(1e-300)
}

pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| f64::from(v)).collect()
}
