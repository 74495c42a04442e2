//! The command. Parses, calls, prints, exits.
//!
//! One file per subcommand under `commands`; results go to stdout, progress and errors to stderr. Nothing is
//! computed here that the library cannot compute. This is the only place in the workspace that reads the
//! environment (`ONTOGENY_STORE`, and in [`place`] where object stores are), asks for the wall time ([`clock`]) and ends the process ([`exit`]).

mod args;
mod clock;
mod commands;
mod comparison;
mod describe;
mod exit;
mod face;
mod failure;
mod importing;
mod lineage;
mod names;
mod place;
mod progress;
mod text;

use std::io::Write;
use std::process::ExitCode;

/// Training allocates and frees large buffers at every step; with this allocator they are reused.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let json = cli.json;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let done = commands::run(cli, &mut out).and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => exit::Exit::Ok.into(),
        Err(error) => failure::report(&error, json).into(),
    }
}
