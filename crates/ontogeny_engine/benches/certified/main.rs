//! Milliseconds per step of certified training on one thread, alone or paired with PyTorch.
//!
//! ```text
//! cargo bench -p ontogeny_engine --bench certified -- [--python target/lirpa-venv/bin/python] [--peer auto_lirpa|eager]
//!     [--rounds 15] [--chunk 16] [case ...]
//! ```
//!
//! A step is `0.5 CE(z) + 0.5 CE(-m)` of a batch of 128 images of 28 by 28 at eps 0.1, its gradient, and Adam. With
//! `--python` both sides have the same weights and images, their first losses are compared, and they run in turns.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run stops")]

#[path = "../step/peer.rs"]
mod peer;

use std::{sync::Arc, time::Instant};

use ontogeny_engine::{
    Batch, Certified, Chunk, Engine, Gradient, Init, Inputs, Lane, LanePlan, Layout, Network,
    ParamSpec, Stage, Taps, Var,
    optim::{Hyper, OptimState, OptimizerKind},
};
use peer::{Peer, median};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 128;

/// A network, and the share of linear bounds in its margins.
struct Case {
    name: &'static str,
    net: Net,
    crown: f64,
    chunk_examples: usize,
}

#[derive(Debug)]
struct Net {
    layout: Arc<Layout>,
    stages: Vec<Stage>,
}

impl Network for Net {
    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn forward(&self, _: &Lane<'_>, _: &Chunk<'_>, _: &mut Taps) -> Var<2> {
        unreachable!("bounds are computed from the stages")
    }

    fn stages(&self) -> Option<Vec<Stage>> {
        Some(self.stages.clone())
    }
}

/// Two convolutions and a hidden layer of 100 (no padding), or two hidden layers of 128.
fn net(is_conv: bool) -> Net {
    let relu = || Stage::Relu;
    let (shapes, stages): (Vec<(&str, &[usize])>, _) = if is_conv {
        let dense = [Stage::dense("c"), relu(), Stage::dense("d")];
        let conv = [Stage::conv("a", 2, 0), relu(), Stage::conv("b", 2, 0), relu()];
        (
            vec![
                ("a.w", &[16, 1, 4, 4]),
                ("a.b", &[16]),
                ("b.w", &[32, 16, 4, 4]),
                ("b.b", &[32]),
                ("c.w", &[800, 100]),
                ("c.b", &[100]),
                ("d.w", &[100, 10]),
                ("d.b", &[10]),
            ],
            conv.into_iter().chain(dense).collect(),
        )
    } else {
        (
            vec![
                ("a.w", &[784, 128]),
                ("a.b", &[128]),
                ("b.w", &[128, 128]),
                ("b.b", &[128]),
                ("c.w", &[128, 10]),
                ("c.b", &[10]),
            ],
            vec![Stage::dense("a"), relu(), Stage::dense("b"), relu(), Stage::dense("c")],
        )
    };
    let spec = |(name, shape): (&str, &[usize])| ParamSpec::new(name, shape, Init::Zeros);
    Net { layout: Arc::new(Layout::new(shapes.into_iter().map(spec).collect())), stages }
}

/// A number in [0, 1) that both languages know how to make.
fn number(stream: usize, i: usize) -> f64 {
    let v = (i as f64 * 12.9898 + stream as f64 * 78.233).sin() * 43_758.545_3;
    v - v.floor()
}

fn params(layout: &Layout) -> Vec<f32> {
    let mut out = vec![0.0; layout.len()];
    for (p, (range, spec)) in layout.iter().enumerate() {
        let fan_in = match spec.shape[..] {
            [d, _] => d,
            [_, c, h, w] => c * h * w,
            _ => continue,
        };
        let size = (6.0 / fan_in as f64).sqrt();
        for (i, v) in out[range].iter_mut().enumerate() {
            *v = (size * (2.0 * number(p, i) - 1.0)) as f32;
        }
    }
    out
}

struct Ours<'a> {
    case: &'a Case,
    engine: Engine,
    batch: Batch,
    params: Vec<f32>,
    state: OptimState,
    gradient: Gradient,
}

impl<'a> Ours<'a> {
    fn new(case: &'a Case) -> Self {
        let params = params(case.net.layout());
        let values = (0..BATCH * 784).map(|i| number(99, i) as f32).collect();
        let inputs = Inputs::Images { values, channels: 1, height: 28, width: 28 };
        let batch = Batch { inputs, targets: (0..BATCH as u32).map(|i| i % 10).collect() };
        let state = OptimState::new(OptimizerKind::AdamW, params.len());
        let engine = Engine::cpu(1).unwrap();
        Self { case, engine, batch, params, state, gradient: Gradient::default() }
    }

    /// Milliseconds of each step; the loss of the last is left in the gradient.
    fn steps(&mut self, n: usize) -> Vec<f64> {
        let certified = Certified {
            eps: 0.1,
            kappa: 0.5,
            range: Some([0.0, 1.0]),
            crown: self.case.crown,
            ..Certified::default()
        };
        let plan = LanePlan { lanes: 1, chunk_examples: self.case.chunk_examples };
        let hyper = Hyper { lr: 1e-5, weight_decay: 0.0, ..Hyper::default() };
        let mut ms = Vec::with_capacity(n);
        for _ in 0..n {
            let start = Instant::now();
            let (net, out) = (&self.case.net, &mut self.gradient);
            let (params, batch) = (&self.params, &self.batch);
            let engine = &self.engine;
            engine
                .certified_gradient_into(net, params, batch, None, plan, &certified, out)
                .unwrap();
            OptimizerKind::AdamW.update(
                engine,
                net.layout(),
                &hyper,
                &mut self.state,
                &mut self.params,
                &self.gradient.grad,
            );
            ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        ms
    }
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    let (mut python, mut kind, mut rounds, mut chunk, mut names) =
        (None, "auto_lirpa".to_owned(), 15, None, Vec::new());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--python" => python = args.next(),
            "--peer" => kind = args.next().unwrap(),
            "--rounds" => rounds = args.next().unwrap().parse().unwrap(),
            "--chunk" => chunk = Some(args.next().unwrap().parse().unwrap()),
            _ => names.push(arg),
        }
    }
    let case = |name, is_conv, crown, chunk_examples| Case {
        name,
        net: net(is_conv),
        crown,
        chunk_examples: chunk.unwrap_or(chunk_examples),
    };
    let cases = [
        case("ibp_mlp", false, 0.0, 64),
        case("ibp_cnn", true, 0.0, 32),
        case("crown_mlp", false, 1.0, 16),
        case("crown_cnn", true, 1.0, 8),
    ];
    println!("case       ours ms  peer ms  peer / ours [quartiles]");
    for case in cases.iter().filter(|c| names.is_empty() || names.iter().any(|n| n == c.name)) {
        let mut ours = Ours::new(case);
        ours.steps(1);
        let first = ours.gradient.loss;
        let start = median(ours.steps(5));
        // About a fifth of a second per turn.
        let steps = ((200.0 / start) as usize).clamp(2, 200);
        let Some(python) = &python else {
            let turns: Vec<f64> = (0..rounds).map(|_| median(ours.steps(steps))).collect();
            println!("{:10} {:7.3}", case.name, median(turns));
            continue;
        };
        let mut peer = Peer::start(python, "certified_step.py", &kind);
        let mut turn = |n: usize| {
            peer.ask(case.name, n);
            peer.answer()
        };
        // The first answer is the loss.
        let theirs = turn(1)[0];
        assert!((first / theirs - 1.0).abs() < 1e-4, "losses {first} and {theirs}");
        turn(3);
        let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (us, them) = (median(ours.steps(steps)), median(turn((steps / 4).max(2))));
            a.push(us);
            b.push(them);
            ratios.push(them / us);
        }
        ratios.sort_by(f64::total_cmp);
        let (low, high) = (ratios[ratios.len() / 4], ratios[ratios.len() * 3 / 4]);
        let ratio = median(ratios);
        println!(
            "{:10} {:7.3} {:8.3} {ratio:6.2} [{low:.2} {high:.2}]",
            case.name,
            median(a),
            median(b)
        );
    }
}
