//! Law 9: what was acknowledged is there. A writer is killed again and again at moments it does not know.

use crate::support::{child, manifest, run_id, scratch, told};
use ontogeny_core::random::Philox;
use ontogeny_core::{Clocks, FixedClock, LedgerBody, Step};
use ontogeny_store::{OwnedTensor, Store};
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

const ME: &str = "law_9::writer_that_will_be_killed";
/// Kills of one store; afterwards a new one is begun, since each look at a store reads all of it.
const KILLS: u64 = 50;

/// A training: each state is made from the one before, so one wrong bit stays for ever.
#[derive(Debug, Clone)]
struct Model {
    t: u64,
    weights: Vec<f32>,
}

impl Model {
    fn new() -> Self {
        Self { t: 0, weights: (0..12_000_u16).map(|i| (f32::from(i) * 0.37).sin()).collect() }
    }

    fn step(&mut self) {
        self.t += 1;
        let drift = 1e-3 * (self.t as f32 * 0.3).sin();
        for (i, w) in self.weights.iter_mut().enumerate() {
            *w += drift * *w + 1e-5 * ((i as u64 * 7 + self.t) % 13) as f32;
        }
    }

    fn state(&self) -> OwnedTensor {
        OwnedTensor::from_f32("w", &[self.weights.len()], &self.weights)
    }

    fn loss(&self) -> f64 {
        self.weights.iter().step_by(97).map(|&w| f64::from(w)).sum()
    }
}

/// The writer: a test that does nothing unless the path of a store comes in on its standard input. It goes on from
/// its last checkpoint, with nothing but that.
#[test]
#[ignore = "started by law_9_what_was_acknowledged_is_there"]
fn writer_that_will_be_killed() {
    let Some((store, _)) = told() else { return };
    let ledger = store.ledger();
    let mut w = store.resume_run(&run_id("r")).unwrap();
    let mut model = Model::new();
    match w.checkpoints().unwrap().last() {
        Some(&last) => {
            let found = store.run(&run_id("r")).unwrap().checkpoint(last).unwrap();
            model = Model { t: last.0, weights: found.tensors[0].to_f32().unwrap() };
            w.truncate_after(last).unwrap();
        }
        None => record(&mut w, &model),
    }
    let mut later = None;
    loop {
        model.step();
        let t = model.t;
        record(&mut w, &model);
        if t.is_multiple_of(2) {
            w.checkpoint_later(Step(t), vec![model.state()], t.into()).unwrap();
            later = Some(t);
        }
        if t.is_multiple_of(5) {
            w.sync().unwrap();
            println!("rows {t}");
            if let Some(t) = later.take() {
                println!("checkpoint {t}");
            }
        }
        if t.is_multiple_of(11) {
            w.checkpoint(Step(t), &[model.state().view()], t.into()).unwrap();
            println!("rows {t}\ncheckpoint {t}");
            later = None;
        }
        if t.is_multiple_of(17) {
            let body = LedgerBody::Note { about: "r".to_owned(), text: t.to_string() };
            let entry = ledger.append(body, &FixedClock(0.0)).unwrap();
            println!("ledger {}", entry.seq + 1);
        }
        // Often enough that segments are merged.
        if t.is_multiple_of(7) {
            w.seal().unwrap();
        }
    }
}

fn record(w: &mut ontogeny_store::RunWriter, model: &Model) {
    let (t, loss) = (Step(model.t), model.loss());
    let rows = [("a", "1", loss), ("b", "1", -loss), ("c", "1", f64::NAN)];
    w.append(t, Clocks { n_examples: t.0, ..Clocks::default() }, &rows).unwrap();
    w.append_tensor(t, "v", "1", &[2], &model.weights[..2]).unwrap();
}

/// The training as it is if nobody disturbs it.
#[derive(Debug)]
struct Undisturbed {
    last: Model,
    losses: Vec<f64>,
    states: Vec<OwnedTensor>,
}

impl Undisturbed {
    fn new() -> Self {
        let last = Model::new();
        Self { losses: vec![last.loss()], states: vec![last.state()], last }
    }

    fn up_to(&mut self, t: u64) {
        while self.last.t < t {
            self.last.step();
            self.losses.push(self.last.loss());
            self.states.push(self.last.state());
        }
    }
}

/// What the writer said it had on disk.
#[derive(Debug, Default, Clone, Copy)]
struct Acked {
    rows: Option<u64>,
    checkpoint: Option<u64>,
    ledger: u64,
}

impl Acked {
    fn hear(&mut self, line: &str) {
        match line.split_once(' ').map(|(what, n)| (what, n.parse().ok())) {
            Some(("rows", n @ Some(_))) => self.rows = n,
            Some(("checkpoint", n @ Some(_))) => self.checkpoint = n,
            Some(("ledger", Some(n))) => self.ledger = n,
            _ => {}
        }
    }
}

#[test]
fn law_9_what_was_acknowledged_is_there() {
    println!("{}", kill_again_and_again(9));
}

#[test]
#[ignore = "slow: five hundred kills"]
fn slow_law_9_what_was_acknowledged_is_there() {
    (100..110).for_each(|seed| println!("{}", kill_again_and_again(seed)));
}

fn kill_again_and_again(seed: u64) -> String {
    let (_dir, store) = scratch();
    drop(store.create_run(&manifest("r")).unwrap());
    let moments = Philox::new(seed, "moments of death").at(0);
    let mut acked = Acked::default();
    let mut reference = Undisturbed::new();
    let mut n_torn = 0;
    for round in 0..KILLS {
        // The writer goes back to its last checkpoint and records again from there.
        let last = store.run(&run_id("r")).unwrap().checkpoints().unwrap().last().map(|s| s.0);
        acked.rows = acked.rows.min(last);
        let mut child = child(ME, &store, "");
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // From its first word on it may be killed at any moment.
        while !line.starts_with("rows") {
            line.clear();
            assert!(
                out.read_line(&mut line).unwrap() > 0,
                "the writer of round {round} died by itself"
            );
            acked.hear(line.trim());
        }
        std::thread::sleep(Duration::from_micros(moments.below(round, 60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        // The last line may be torn as well: only lines that end were said.
        rest.split_inclusive('\n').filter(|l| l.ends_with('\n')).for_each(|l| acked.hear(l.trim()));
        n_torn += check(&store, acked, &mut reference);
    }
    format!("{KILLS} kills, {n_torn} torn tails, acknowledged at the end: {acked:?}")
}

fn check(store: &Store, acked: Acked, reference: &mut Undisturbed) -> usize {
    let whole = store.verify().unwrap();
    assert!(whole.is_whole(), "{:?}", whole.problems);
    assert!(whole.n_ledger_entries >= acked.ledger);
    let run = store.run(&run_id("r")).unwrap();
    let n_acked = acked.rows.map_or(0, |t| t + 1);
    for (name, sign) in [("a", 1.0), ("b", -1.0)] {
        let series = run.series(name).unwrap().unwrap();
        assert!(series.points.len() as u64 >= n_acked, "{} of {acked:?}", series.points.len());
        reference.up_to(series.points.len() as u64);
        for (t, p) in series.points.iter().enumerate() {
            assert_eq!((p.step.0, p.value), (t as u64, sign * reference.losses[t]), "{name}");
        }
    }
    let vectors = run.tensor("v").unwrap();
    assert!(vectors.len() as u64 >= n_acked);
    assert!(vectors.windows(2).all(|w| w[0].step.next() == w[1].step));
    let checkpoints = run.checkpoints().unwrap();
    if let Some(t) = acked.checkpoint {
        assert!(checkpoints.contains(&Step(t)), "{t} is not in {checkpoints:?}");
    }
    // Acknowledged or not: what is there is whole, the state of that step to the bit, and has its rows.
    for &step in &checkpoints {
        reference.up_to(step.0);
        let found = run.checkpoint(step).unwrap();
        assert_eq!(found.tensors, [reference.states[step.0 as usize].clone()], "{step}");
        assert!(run.series("a").unwrap().unwrap().points.len() as u64 > step.0);
        assert!(vectors.last().is_some_and(|v| v.step >= step));
    }
    whole.torn_tails.len()
}
