//! Law 9: what was acknowledged is there. A writer is killed again and again at moments it does not know.

use crate::support::{manifest, run_id, scratch};
use ontogeny_core::random::Philox;
use ontogeny_core::{Clocks, FixedClock, LedgerBody, Step};
use ontogeny_store::{OwnedTensor, Store};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const KILLS: u64 = 25;

/// The writer: a test that does nothing unless the path of a store comes in on its standard input.
#[test]
#[ignore = "started by law_9_what_was_acknowledged_is_there"]
fn writer_that_will_be_killed() {
    let mut path = String::new();
    std::io::stdin().read_line(&mut path).unwrap();
    if path.trim().is_empty() {
        return;
    }
    let store = Store::open(Path::new(path.trim())).unwrap();
    let ledger = store.ledger();
    let mut w = store.resume_run(&run_id("r")).unwrap();
    // Rows go to one log and vectors to another, so after a death one of them may be ahead.
    let seen = store.run(&run_id("r")).unwrap();
    let rows = seen.series("a").unwrap().unwrap_or_default().last().map(|p| p.step);
    let both = rows.min(seen.tensor("v").unwrap().last().map(|r| r.step));
    if let Some(last) = both {
        w.truncate_after(last).unwrap();
    }
    let mut later = None;
    for t in both.map_or(0, |last| last.0 + 1).. {
        let clocks = Clocks { n_examples: t, ..Clocks::default() };
        let rows = [("a", "1", t as f64), ("b", "1", -(t as f64)), ("c", "1", f64::NAN)];
        w.append(Step(t), clocks, &rows).unwrap();
        w.append_tensor(Step(t), "v", "1", &[4], &[t as f32; 4]).unwrap();
        if t % 7 == 0 {
            w.checkpoint_later(Step(t), vec![state(t)], t.into()).unwrap();
            later = Some(t);
        }
        if t % 3 == 0 {
            w.sync().unwrap();
            println!("rows {t}");
            if let Some(t) = later.take() {
                println!("checkpoint {t}");
            }
        }
        if t % 11 == 0 {
            w.checkpoint(Step(t), &[state(t).view()], t.into()).unwrap();
            println!("checkpoint {t}");
            later = None;
        }
        if t % 17 == 0 {
            let body = LedgerBody::Note { about: "r".to_owned(), text: t.to_string() };
            let entry = ledger.append(body, &FixedClock(0.0)).unwrap();
            println!("ledger {}", entry.seq + 1);
        }
        if t % 23 == 0 {
            w.seal().unwrap();
        }
    }
}

/// A state in which nothing is as it was one step before.
fn state(t: u64) -> OwnedTensor {
    let values: Vec<f32> = (0..50_000_u64).map(|i| ((i * (t + 3)) as f32).sin()).collect();
    OwnedTensor::from_f32("w", &[50_000], &values)
}

fn start(store: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "law_9::writer_that_will_be_killed", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", store.display()).unwrap();
    child
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
    let (_dir, store) = scratch();
    drop(store.create_run(&manifest("r")).unwrap());
    let moments = Philox::new(9, "moments of death").at(0);
    let mut acked = Acked::default();
    let mut n_torn = 0;
    for round in 0..KILLS {
        let mut child = start(store.path());
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
        n_torn += check(&store, acked);
    }
    println!("{KILLS} kills, {n_torn} torn tails, acknowledged at the end: {acked:?}");
}

fn check(store: &Store, acked: Acked) -> usize {
    let whole = store.verify().unwrap();
    assert!(whole.is_whole(), "{:?}", whole.problems);
    assert!(whole.n_ledger_entries >= acked.ledger);
    let run = store.run(&run_id("r")).unwrap();
    for (name, sign) in [("a", 1.0), ("b", -1.0)] {
        let series = run.series(name).unwrap().unwrap();
        assert!(series.points.len() as u64 > acked.rows.unwrap_or(0));
        for (t, p) in series.points.iter().enumerate() {
            assert_eq!((p.step.0, p.value), (t as u64, sign * t as f64), "{name}");
        }
    }
    let vectors = run.tensor("v").unwrap();
    assert!(vectors.len() as u64 > acked.rows.unwrap_or(0));
    assert!(vectors.windows(2).all(|w| w[0].step.next() == w[1].step));
    let checkpoints = run.checkpoints().unwrap();
    if let Some(t) = acked.checkpoint {
        assert!(checkpoints.contains(&Step(t)));
        assert_eq!(run.checkpoint(Step(t)).unwrap().tensors, [state(t)]);
    }
    if let Some(&last) = checkpoints.last() {
        // Acknowledged or not: what is there is whole, and has its rows.
        assert_eq!(run.checkpoint(last).unwrap().tensors, [state(last.0)]);
        assert!(run.series("a").unwrap().unwrap().points.len() as u64 > last.0);
        assert!(vectors.last().is_some_and(|v| v.step >= last));
    }
    whole.torn_tails.len()
}
