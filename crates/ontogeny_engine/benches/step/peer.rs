//! The other side of a paired benchmark.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
};

/// A PyTorch process that answers requests.
pub(crate) struct Peer {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Peer {
    /// `python benches/peers/<script> <argument>`.
    pub(crate) fn start(python: &str, script: &str, argument: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/peers/");
        let mut child = Command::new(python)
            .args([&format!("{folder}{script}"), argument])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    pub(crate) fn ask(&mut self, case: &str, steps: usize) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{case} {steps}").unwrap();
    }

    /// Milliseconds of each step.
    pub(crate) fn answer(&mut self) -> Vec<f64> {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

pub(crate) fn median(mut v: Vec<f64>) -> f64 {
    v.sort_by(f64::total_cmp);
    v[v.len() / 2]
}
