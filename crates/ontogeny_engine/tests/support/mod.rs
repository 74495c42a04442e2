//! Small networks and the shared `check` of the engine's tests.
#![allow(dead_code, reason = "each test binary uses its own part of the support")]

use std::sync::Arc;

use ontogeny_core::random::Philox;
use ontogeny_engine::{
    Batch, Chunk, Init, Inputs, InputsView, Lane, Layout, Network, ParamSpec, Stage, Taps, Var,
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

/// A network that is a chain of affine maps and ReLUs.
#[derive(Debug)]
pub(crate) struct Chain {
    layout: Arc<Layout>,
    stages: Vec<Stage>,
}

impl Chain {
    /// Parameters `(name, shape)` drawn with standard deviation 0.4.
    pub(crate) fn new(params: &[(&str, &[usize])], stages: Vec<Stage>) -> Self {
        Self { layout: FnNet::new(params, |_, _, _| unreachable!()).layout, stages }
    }

    pub(crate) fn init(&self, seed: u64) -> Vec<f32> {
        self.layout.init(seed, 1.0)
    }
}

impl Network for Chain {
    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn forward(&self, lane: &Lane<'_>, chunk: &Chunk<'_>, _: &mut Taps) -> Var<2> {
        let mut image = match chunk.inputs {
            InputsView::Images { shape, .. } => Some(shape),
            _ => None,
        };
        let mut h = lane.features(chunk);
        for stage in &self.stages {
            h = match stage {
                Stage::Dense { weight, bias } => {
                    let b = bias.as_ref().map(|b| lane.param(b));
                    h.linear(&lane.param(weight), b.as_ref())
                }
                Stage::Conv { weight, bias, stride, padding } => {
                    let [c, height, width] = image.unwrap();
                    let b = bias.as_ref().map(|b| lane.param(b));
                    let x = h.reshape([chunk.n_examples(), c, height, width]);
                    let y = x.conv2d(&lane.param(weight), b.as_ref(), *stride, *padding);
                    let [n, c, height, width] = y.dims();
                    image = Some([c, height, width]);
                    y.reshape([n, c * height * width])
                }
                _ => h.relu(),
            };
        }
        h
    }

    fn stages(&self) -> Option<Vec<Stage>> {
        Some(self.stages.clone())
    }
}

/// Two hidden layers of ReLU on 8 inputs, three classes.
pub(crate) fn chain_mlp() -> Chain {
    let params: &[(&str, &[usize])] = &[
        ("a.w", &[8, 10]),
        ("a.b", &[10]),
        ("b.w", &[10, 20]),
        ("b.b", &[20]),
        ("c.w", &[20, 3]),
        ("c.b", &[3]),
    ];
    let relu = || Stage::Relu;
    let stages = vec![Stage::dense("a"), relu(), Stage::dense("b"), relu(), Stage::dense("c")];
    Chain::new(params, stages)
}

/// Two convolutions of stride 2 and a hidden layer, on images `[2, 7, 7]`, four classes.
pub(crate) fn chain_conv() -> Chain {
    let params: &[(&str, &[usize])] = &[
        ("a.w", &[3, 2, 4, 4]),
        ("a.b", &[3]),
        ("b.w", &[5, 3, 3, 3]),
        ("b.b", &[5]),
        ("c.w", &[20, 6]),
        ("c.b", &[6]),
        ("d.w", &[6, 4]),
        ("d.b", &[4]),
    ];
    let relu = || Stage::Relu;
    let stages = vec![
        Stage::conv("a", 2, 1),
        relu(),
        Stage::conv("b", 2, 1),
        relu(),
        Stage::dense("c"),
        relu(),
        Stage::dense("d"),
    ];
    Chain::new(params, stages)
}

/// Features or pixels moved into [0, 1].
pub(crate) fn in_unit_range(mut batch: Batch) -> Batch {
    let (Inputs::Features { values, .. } | Inputs::Images { values, .. }) = &mut batch.inputs
    else {
        unreachable!()
    };
    for v in values.iter_mut() {
        *v = (0.5 + 0.4 * *v).clamp(0.0, 1.0);
    }
    batch
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
