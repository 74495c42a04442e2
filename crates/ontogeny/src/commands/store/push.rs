//! `ontogeny store push`: copies the store to an object store.

use crate::face::Face;
use std::io::Write;

/// Copy what is new to an object store: s3://, gs://, az://, or file:// for a folder
///
/// Copies objects first, then rows, events, lists of checkpoints, zooms, manifests, at last studies and the ledger, so
/// that what is there can be read at any moment. What is there already is left alone, and an interrupted push goes on.
/// Runs may be written at the same time; of their logs the acknowledged part is copied. Credentials, region and endpoint
/// come from the variables of the provider: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL,
/// AWS_ALLOW_HTTP, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY, ...
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ontogeny store push s3://bucket/lab
  ontogeny store push s3://bucket/lab --dry-run
  ontogeny runs ls --store s3://bucket/lab")]
pub(crate) struct Args {
    /// Where to: the place is made a store if nothing is there
    url: String,

    /// Say what would be copied, and copy nothing
    #[arg(long)]
    dry_run: bool,

    /// Remove lists of checkpoints, zooms and events there that their run no longer has here
    #[arg(long)]
    prune: bool,
}

#[cfg(not(feature = "object-store"))]
pub(crate) fn run(args: &Args, _: &Face, _: &mut dyn Write) -> anyhow::Result<()> {
    Err(ontogeny_store::StoreError::NoObjectStores { url: args.url.clone() }.into())
}

#[cfg(feature = "object-store")]
pub(crate) fn run(args: &Args, face: &Face, out: &mut dyn Write) -> anyhow::Result<()> {
    use crate::failure::Failure;
    use crate::progress::Counter;
    use crate::text::{count, size};
    use serde_json::{Value, json};

    let store = face.store()?;
    let remote = crate::place::remote(&args.url)?;
    let bar = Counter::new("runs", "{pos}/{len} runs [{wide_bar}] {msg}", face.json);
    let options = ontogeny_store::PushOptions { is_dry: args.dry_run, prune: args.prune };
    let pushed = store.push(&remote, options, &|p| {
        bar.set(
            p.n_runs,
            p.n_all_runs,
            &format!("{}, {}", count(p.n_files, "file"), size(p.n_bytes)),
        );
    });
    bar.clear();
    let pushed = pushed?;
    let url = remote.url();
    if face.json {
        let problems: Vec<Value> = (pushed.problems.iter())
            .map(|e| json!({ "what": format!("failed to {e}"), "run": super::run_of(&store, e) }))
            .collect();
        let answer = json!({
            "url": url, "is_dry": args.dry_run, "n_runs": pushed.n_runs, "n_objects": pushed.n_objects,
            "n_files": pushed.n_files, "n_bytes": pushed.n_bytes, "stale": pushed.stale,
            "is_pruned": args.prune && !args.dry_run, "problems": problems,
        });
        crate::face::write_json(out, &answer)?;
    } else {
        let runs = count(pushed.n_runs, "run");
        let what = format!(
            "{} and {}, {}",
            count(pushed.n_objects, "object"),
            count(pushed.n_files, "other file"),
            size(pushed.n_bytes)
        );
        let verb = if args.dry_run { "would copy" } else { "copied" };
        if pushed.n_objects + pushed.n_files == 0 {
            writeln!(out, "nothing new: {url} has what is here ({runs})")?;
        } else {
            writeln!(out, "{verb} {what}, of {runs} to {url}")?;
        }
        let stale = count(pushed.stale.len(), "file");
        if pushed.stale.is_empty() {
        } else if args.prune && !args.dry_run {
            writeln!(out, "removed {stale} there that were gone here")?;
        } else {
            writeln!(out, "{stale} there are gone here; --prune removes them")?;
        }
        for e in &pushed.problems {
            writeln!(out, "not copied: {}: failed to {e}", super::owner(&store, e))?;
        }
    }
    if pushed.problems.is_empty() {
        return Ok(());
    }
    out.flush()?;
    let n = count(pushed.problems.len(), "thing");
    Err(Failure::data(format!("{n} could not be copied"))
        .help("everything else was; `ontogeny store verify` says what is damaged here")
        .into())
}
