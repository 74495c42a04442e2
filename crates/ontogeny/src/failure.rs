//! Errors as a person reads them: what, caused by what, and what to do.

use crate::exit::Exit;
use ontogeny_analysis::scaling::ScalingError;
use ontogeny_import::{ImportError, Problem};
use ontogeny_lab::LabError;
use ontogeny_probes::ProbeError;
use ontogeny_report::ReportError;
use ontogeny_store::StoreError;
use ontogeny_train::TrainError;
use std::error::Error;
use std::fmt;
use std::io::Write;

/// An error that is found by the command itself.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The code that it ends the process with.
    pub(crate) exit: Exit,
    what: String,
    help: Option<String>,
}

impl Failure {
    /// A name, key, value or step that does not exist or is not allowed.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, what: what.into(), help: None }
    }

    /// Data that cannot be trusted.
    pub(crate) fn data(what: impl Into<String>) -> Self {
        Self { exit: Exit::Data, what: what.into(), help: None }
    }

    /// Says what to do about it.
    #[must_use]
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)
    }
}

impl Error for Failure {}

/// Writes the error to stderr and returns the exit code. A reader of our output that went away is no error.
pub(crate) fn report(error: &anyhow::Error, json: bool) -> Exit {
    let exit = Exit::of(error);
    if exit != Exit::Ok {
        let (what, causes) = sentences(error);
        print(&what, &causes, help(error).as_deref(), exit, json);
    }
    exit
}

/// Writes one error to stderr. There is nobody left to tell if that fails.
pub(crate) fn print(what: &str, causes: &[String], help: Option<&str>, exit: Exit, json: bool) {
    let text = if json {
        let error = serde_json::json!({
            "what": what, "caused_by": causes, "help": help, "exit_code": exit as u8,
        });
        format!("{}\n", serde_json::json!({ "error": error }))
    } else {
        let causes = causes.iter().map(|c| format!("\n  caused by: {c}"));
        let help = help.map(|h| format!("\n  help: {h}"));
        let lines: Vec<String> =
            std::iter::once(format!("error: {what}")).chain(causes).chain(help).collect();
        lines.concat() + "\n"
    };
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A warning as one line of JSON.
pub(crate) fn warning_json(what: &str, cause: &str) -> String {
    let cause = format!("failed to {cause}");
    format!("{}\n", serde_json::json!({ "warning": { "what": what, "caused_by": [cause] } }))
}

/// The outermost sentence, and those of its causes.
fn sentences(error: &anyhow::Error) -> (String, Vec<String>) {
    let mut all = error.chain().filter_map(sentence);
    let what = all.next().unwrap_or_else(|| "something failed".to_owned());
    let mut causes: Vec<String> = Vec::new();
    for cause in all {
        // Some messages end with their source's.
        if !what.ends_with(&cause) && !causes.iter().any(|c| c.ends_with(&cause)) {
            causes.push(cause);
        }
    }
    (what, causes)
}

/// One part of an error as a sentence. The libraries' messages are fragments that read on after "failed to",
/// except those that name a fact about what was asked for.
fn sentence(error: &(dyn Error + 'static)) -> Option<String> {
    let message = error.to_string();
    let is_action = if let Some(e) = error.downcast_ref::<LabError>() {
        match e {
            // Says only where; the store says what.
            LabError::Store { .. } => return None,
            LabError::Config { .. }
            | LabError::Train { .. }
            | LabError::Configure { .. }
            | LabError::Probe { .. }
            | LabError::Engine { .. }
            | LabError::NotAsked { .. } => true,
            _ => false,
        }
    } else if let Some(e) = error.downcast_ref::<TrainError>() {
        matches!(e, TrainError::Engine { .. })
    } else if error.is::<Box<Problem>>() {
        // Its record has told it.
        return None;
    } else {
        error.is::<StoreError>()
            || error.is::<ImportError>()
            || error.is::<ProbeError>()
            || error.is::<ReportError>()
            || error.is::<ScalingError>()
    };
    Some(if is_action { format!("failed to {message}") } else { message })
}

/// What to do about an error, where that is known.
fn help(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|e| {
        if let Some(e) = e.downcast_ref::<Failure>() {
            e.help.clone()
        } else if let Some(e) = e.downcast_ref::<LabError>() {
            for_lab(e)
        } else if let Some(e) = e.downcast_ref::<StoreError>() {
            for_store(e)
        } else if let Some(e) = e.downcast_ref::<ImportError>() {
            for_import(e)
        } else if let Some(e) = e.downcast_ref::<TrainError>() {
            for_train(e)
        } else {
            e.is::<ProbeError>().then(|| "`ontogeny probes` lists what there is".to_owned())
        }
    })
}

fn for_lab(error: &LabError) -> Option<String> {
    Some(match error {
        LabError::Stopped => "everything so far is saved".to_owned(),
        LabError::ReplayStopped { .. } => {
            "nothing was changed; the same command begins again".to_owned()
        }
        LabError::ReplayDiffers(d) => {
            format!("nothing was written and no effect can be reported: {}", d.explanation())
        }
        LabError::ReadingDiffers { .. } => {
            "nothing was kept: the probe is that of another version; choose others with --probe"
                .to_owned()
        }
        LabError::UnknownStudy { .. } => "`ontogeny studies` lists what there is".to_owned(),
        LabError::RunDiffers { run, .. } => {
            format!("`ontogeny runs show {run}` shows how it was made")
        }
        LabError::NoSuchStep { last, .. } => format!("choose a step from 0 to {last}"),
        LabError::NoCheckpoint { run, .. } => {
            format!("`ontogeny runs show {run}` lists its checkpoints")
        }
        LabError::ControlDiffers { .. } => {
            "no effect can be reported for this run; it was made by \
            another version, on another machine, or its files were changed"
                .to_owned()
        }
        _ => return None,
    })
}

fn for_store(error: &StoreError) -> Option<String> {
    Some(
        match error {
            StoreError::NoStore { .. } => {
                "name the store with --store, or make one with `ontogeny run`"
            }
            StoreError::NotAStore { .. } | StoreError::Io { .. } => {
                "name another folder with --store"
            }
            StoreError::Newer { .. } => "update Ontogeny, or name another store with --store",
            StoreError::ReadOnly { .. } => {
                "make the folder writable, or name another store with --store"
            }
            StoreError::Full { .. } => "free some space; the same command goes on from there",
            StoreError::Locked { .. } => "wait until the other process has finished, or stop it",
            StoreError::OnlyRead { .. } => {
                "do this with a store on disk, then copy it with `ontogeny store push URL`"
            }
            StoreError::NoObjectStores { .. } => {
                "build it with them: cargo install --path crates/ontogeny --features object-store"
            }
            StoreError::BadUrl { .. } => {
                "e.g. s3://bucket/lab, gs://bucket/lab, az://container/lab, file:///folder"
            }
            StoreError::NoBucket { .. } => {
                "make it, or name another one; AWS_ENDPOINT_URL names a server that is not Amazon's"
            }
            StoreError::Credentials { .. } => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SKIP_SIGNATURE=true for a public bucket), \
                 GOOGLE_SERVICE_ACCOUNT, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"
            }
            StoreError::Remote { .. } => {
                "what was copied stays, and the same command goes on; AWS_ENDPOINT_URL names the server, \
                 AWS_ALLOW_HTTP=true permits http://"
            }
            StoreError::Diverged { .. } => "nothing there was changed; push to another prefix",
            StoreError::UnknownRun { .. } => "`ontogeny runs ls` lists what there is",
            StoreError::UnknownZoom { .. } => "`ontogeny zoom ls RUN` lists what there is",
            StoreError::Damaged { path, .. } if path.iter().any(|part| part == "zooms") => {
                "the run itself is not affected; `ontogeny zoom rm RUN ZOOM` removes the zoom"
            }
            StoreError::Damaged { .. } => {
                "other runs are not affected; restore the file from a copy"
            }
            StoreError::LedgerBroken { .. }
            | StoreError::LedgerLine { .. }
            | StoreError::LedgerCut { .. }
            | StoreError::NoLedgerHead { .. } => {
                "nothing in it counts any more; restore the ledger folder from a copy"
            }
            _ => return None,
        }
        .to_owned(),
    )
}

fn for_import(error: &ImportError) -> Option<String> {
    match error {
        ImportError::Record { .. } => {
            Some("--keep-going passes over what is damaged and keeps the rest".to_owned())
        }
        ImportError::Checkpoint { .. } => {
            let kept = "checkpoints before it are kept; --keep-going passes over it";
            Some(kept.to_owned())
        }
        ImportError::NothingThere { .. } => {
            Some("name a file with --format NAME, or describe its lines with --pattern".to_owned())
        }
        _ => None,
    }
}

fn for_train(error: &TrainError) -> Option<String> {
    match error {
        TrainError::UnknownKey { .. } | TrainError::WrongType { .. } => {
            Some("`ontogeny runs show RUN` lists the keys with their values".to_owned())
        }
        TrainError::NotAPair { .. } => Some("e.g. --set optimizer.weight_decay=0".to_owned()),
        _ => None,
    }
}
