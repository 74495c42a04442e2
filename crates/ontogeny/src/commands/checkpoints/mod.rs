//! `ontogeny checkpoints`: the states of runs, in and out.

mod bar;
mod export;
mod import;
mod ls;
mod parts;
mod stat;

use crate::face::Face;
use crate::failure::Failure;
use ontogeny_core::Step;
use std::io::Write;

/// List, import, export and measure checkpoints: the exact states of runs at their steps
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Ls(ls::Args),
    Import(import::Args),
    Export(export::Args),
    Stat(stat::Args),
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    match &args.command {
        Command::Ls(args) => ls::run(args, face, out),
        Command::Import(args) => import::run(args, face, out),
        Command::Export(args) => export::run(args, face, out),
        Command::Stat(args) => stat::run(args, face, out),
    }
}

/// Steps from `A` to `B`, both of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: u64,
    to: u64,
}

impl Span {
    /// `A..B`, `A..`, `..B`.
    fn parse(text: &str) -> Result<Self, String> {
        let wants = || format!("`{text}` is no stretch of steps; write A..B, A.. or ..B");
        let (from, to) = text.split_once("..").ok_or_else(wants)?;
        let number = |text: &str, open: u64| match text {
            "" => Ok(open),
            text => text.parse().ok().ok_or_else(wants),
        };
        let (from, to) = (number(from, 0)?, number(to, u64::MAX)?);
        if from <= to { Ok(Self { from, to }) } else { Err(wants()) }
    }

    fn has(self, step: Step) -> bool {
        (self.from..=self.to).contains(&step.0)
    }
}

/// The steps of a run that were asked for.
fn wanted(steps: Vec<Step>, span: Option<Span>, run: &str) -> Result<Vec<Step>, Failure> {
    if steps.is_empty() {
        return Err(Failure::usage(format!("run {run} has no checkpoints")));
    }
    let (first, last) = (steps[0], steps[steps.len() - 1]);
    let found: Vec<Step> = steps.into_iter().filter(|&s| span.is_none_or(|w| w.has(s))).collect();
    if found.is_empty() {
        let what = format!("run {run} has no checkpoint at these steps");
        return Err(Failure::usage(what).help(format!("it has some from {first} to {last}")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_has_both_its_ends() {
        let span = Span::parse("10..20").unwrap();
        assert!(span.has(Step(10)) && span.has(Step(20)) && !span.has(Step(21)));
        assert!(Span::parse("10..").unwrap().has(Step(u64::MAX)));
        assert!(Span::parse("..3").unwrap().has(Step(0)));
        for bad in ["10", "a..b", "20..10", "1...2"] {
            assert!(Span::parse(bad).is_err(), "{bad}");
        }
    }
}
