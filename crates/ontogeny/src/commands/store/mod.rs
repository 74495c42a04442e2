//! `ontogeny store`: is everything there, what takes space, what can go, what is old, and copies elsewhere.

mod du;
mod gc;
mod migrate;
mod push;
mod repair;
mod verify;

use crate::face::Face;
use ontogeny_store::{Store, StoreError};
use std::io::Write;
use std::path::Path;

/// Check, measure, tidy, mend, migrate and copy the store
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Verify(verify::Args),
    Du(du::Args),
    Gc(gc::Args),
    Migrate(migrate::Args),
    Push(push::Args),
    Repair(repair::Args),
}

pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    match &args.command {
        Command::Verify(args) => verify::run(args, face, out),
        Command::Du(args) => du::run(args, face, out),
        Command::Gc(args) => gc::run(args, face, out),
        Command::Migrate(args) => migrate::run(args, face, out),
        Command::Push(args) => push::run(args, face, out),
        Command::Repair(args) => repair::run(args, face, out),
    }
}

/// Threads that read a store, at most; each may remember 256 MiB of chunks.
const MAX_THREADS: usize = 8;

fn n_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS)
}

/// A path as it is seen from the store.
fn inside(store: &Store, path: &Path) -> String {
    let of_url = || store.url().and_then(|url| path.strip_prefix(url).ok());
    let inside = path.strip_prefix(store.path()).ok().or_else(of_url);
    inside.unwrap_or(path).display().to_string()
}

/// Whose file it is: the run, or the folder of the store.
fn owner(store: &Store, error: &StoreError) -> String {
    let below = |p| {
        Path::strip_prefix(p, store.path())
            .or_else(|e| store.url().map_or(Err(e), |url| p.strip_prefix(url)))
    };
    let path = error.path().and_then(|p| below(p).ok());
    let mut parts = path.into_iter().flat_map(Path::iter).map(|p| p.to_string_lossy().into_owned());
    match (parts.next(), parts.next()) {
        (Some(kind), Some(run)) if kind == "runs" => format!("run {run}"),
        (Some(kind), Some(study)) if kind == "studies" => format!("study {study}"),
        (Some(kind), _) if kind == "ledger" => "the ledger".to_owned(),
        _ => "the store".to_owned(),
    }
}

/// The run of an error, if its file or message is about one.
fn run_of(store: &Store, error: &StoreError) -> Option<String> {
    if let StoreError::Damaged { run, .. } = error {
        return Some(run.to_string());
    }
    owner(store, error).strip_prefix("run ").map(str::to_owned)
}
