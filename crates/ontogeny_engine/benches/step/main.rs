//! Milliseconds per training step, alone or paired with PyTorch.
//!
//! ```text
//! cargo bench -p ontogeny_engine --bench step -- [--python target/peers-venv/bin/python] [--rounds 15] [--plan lanes,chunk_examples] [case ...]
//! ```
//!
//! With `--python`, both sides run in turns within one invocation, a few steps each, and the median over the
//! rounds of the ratio of the turns' medians is reported: what else the machine does meets both alike.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run stops")]

mod models;
mod peer;

use std::time::Instant;

use models::Case;
use ontogeny_engine::{
    Engine, Gradient, LanePlan, Objective,
    optim::{OptimState, OptimizerKind},
};
use peer::{Peer, median};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A run of one case that can be continued.
struct Ours<'a> {
    case: &'a Case,
    engine: Engine,
    params: Vec<f32>,
    state: OptimState,
    gradient: Gradient,
}

impl<'a> Ours<'a> {
    fn new(case: &'a Case) -> Self {
        let params = case.net.layout().init(0, 1.0);
        let state = OptimState::new(OptimizerKind::AdamW, params.len());
        let engine = Engine::cpu(if case.single { 1 } else { 2 }).unwrap();
        let mut ours = Self { case, engine, params, state, gradient: Gradient::default() };
        ours.steps(5);
        ours
    }

    fn steps(&mut self, n: usize) -> Vec<f64> {
        let Case { net, batch, plan, hyper, .. } = self.case;
        let mut ms = Vec::with_capacity(n);
        for _ in 0..n {
            let start = Instant::now();
            let (ce, out) = (Objective::CrossEntropy, &mut self.gradient);
            self.engine.gradient_into(&**net, &self.params, batch, *plan, ce, out).unwrap();
            OptimizerKind::AdamW.update(
                &self.engine,
                net.layout(),
                hyper,
                &mut self.state,
                &mut self.params,
                &self.gradient.grad,
            );
            ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        ms
    }
}

/// Steps of both runs of a single-thread case at once, or of the one run of a two-thread case.
fn our_turn(ours: &mut [Ours<'_>], steps: usize) -> f64 {
    if let [one] = ours {
        return median(one.steps(steps));
    }
    let times: Vec<f64> = std::thread::scope(|scope| {
        let run = |o| scope.spawn(move || Ours::steps(o, steps));
        let started: Vec<_> = ours.iter_mut().map(run).collect();
        started.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    median(times)
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    let (mut python, mut rounds, mut plan, mut names) = (None, 15, None, Vec::new());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--python" => python = args.next(),
            "--plan" => {
                let (lanes, chunk) = args
                    .next()
                    .unwrap()
                    .split_once(',')
                    .map(|(l, c)| (l.parse().unwrap(), c.parse().unwrap()))
                    .unwrap();
                plan = Some(LanePlan { lanes, chunk_examples: chunk });
            }
            "--rounds" => rounds = args.next().unwrap().parse().unwrap(),
            _ => names.push(arg),
        }
    }
    let mut cases = models::cases();
    for case in &mut cases {
        case.plan = plan.unwrap_or(case.plan);
    }
    println!("case       ours ms  torch ms  ratio  [quartiles]  bar");
    for case in cases.iter().filter(|c| names.is_empty() || names.iter().any(|n| n == c.name)) {
        let n = if case.single { 2 } else { 1 };
        let mut ours: Vec<Ours<'_>> = (0..n).map(|_| Ours::new(case)).collect();
        let start = our_turn(&mut ours, 5);
        // About a fifth of a second per turn.
        let steps = ((200.0 / start) as usize).clamp(3, 200);
        let Some(python) = &python else {
            let turns: Vec<f64> = (0..rounds).map(|_| our_turn(&mut ours, steps)).collect();
            let least = turns.iter().copied().fold(f64::MAX, f64::min);
            println!(
                "{:10} {:7.3}  (best turn {least:.3})  {}",
                case.name,
                median(turns),
                case.about
            );
            continue;
        };
        let mut peers: Vec<Peer> =
            (0..n).map(|_| Peer::start(python, "torch_step.py", &(2 / n).to_string())).collect();
        let turn = |peers: &mut [Peer]| {
            for peer in peers.iter_mut() {
                peer.ask(case.name, steps);
            }
            median(peers.iter_mut().flat_map(Peer::answer).collect())
        };
        turn(&mut peers);
        let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (us, them) = (our_turn(&mut ours, steps), turn(&mut peers));
            a.push(us);
            b.push(them);
            ratios.push(us / them);
        }
        ratios.sort_by(f64::total_cmp);
        let (low, high) = (ratios[ratios.len() / 4], ratios[ratios.len() * 3 / 4]);
        println!(
            "{:10} {:7.3} {:9.3} {:6.3}  [{low:.3} {high:.3}]  {:.2}  {}",
            case.name,
            median(a),
            median(b),
            median(ratios),
            case.bar,
            case.about
        );
    }
}
