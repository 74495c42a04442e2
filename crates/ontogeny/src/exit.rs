//! Exit codes, and which error gets which.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | internal failure |
//! | 2 | usage or configuration: an unknown name, a bad key or value, a step that does not exist |
//! | 3 | data that cannot be trusted: damaged file, broken ledger, run that differs when repeated |
//! | 4 | the store cannot be used: none there, not ours, newer, locked, read-only, full |
//! | 130 | interrupted; everything is saved and the same command goes on |

use crate::failure::Failure;
use ontogeny_analysis::scaling::ScalingError;
use ontogeny_import::ImportError;
use ontogeny_lab::LabError;
use ontogeny_probes::ProbeError;
use ontogeny_store::StoreError;
use ontogeny_train::TrainError;
use std::error::Error;
use std::io;
use std::process::ExitCode;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// Something inside failed.
    Internal = 1,
    /// A name, key, value or step that does not exist or is not allowed.
    Usage = 2,
    /// Data that cannot be trusted.
    Data = 3,
    /// A store that cannot be used.
    Store = 4,
    /// Interrupted.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The table for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done
  1    internal failure
  2    usage or configuration: an unknown name, a bad key or value, a step that does not exist
  3    data that cannot be trusted: damaged file, broken ledger, run that differs when repeated
  4    the store cannot be used: none there, not ours, newer, locked, read-only, full
  130  interrupted; everything is saved and the same command goes on from there

Environment:
  ONTOGENY_STORE  the store, where --store is not given
  ONTOGENY_CACHE  where copies of what is read from a URL are kept, where --cache is not given
  AWS_*, GOOGLE_*, AZURE_*  credentials, region and endpoint of object stores";

impl Exit {
    /// The code of an error: that of the outermost part which has one of its own.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(own).unwrap_or(Self::Internal)
    }
}

/// The code that an error has by itself; `None` if that depends on its source.
fn own(error: &(dyn Error + 'static)) -> Option<Exit> {
    if let Some(e) = error.downcast_ref::<Failure>() {
        Some(e.exit)
    } else if let Some(e) = error.downcast_ref::<LabError>() {
        of_lab(e)
    } else if let Some(e) = error.downcast_ref::<StoreError>() {
        Some(of_store(e))
    } else if let Some(e) = error.downcast_ref::<TrainError>() {
        Some(of_train(e))
    } else if let Some(e) = error.downcast_ref::<ImportError>() {
        of_import(e)
    } else if error.is::<ScalingError>() {
        // Points that cannot tell the law asked for.
        Some(Exit::Usage)
    } else if let Some(ProbeError::UnknownProbe { .. }) = error.downcast_ref::<ProbeError>() {
        Some(Exit::Usage)
    } else {
        let io = error.downcast_ref::<io::Error>()?;
        (io.kind() == io::ErrorKind::BrokenPipe).then_some(Exit::Ok)
    }
}

fn of_lab(error: &LabError) -> Option<Exit> {
    match error {
        LabError::Stopped | LabError::ReplayStopped { .. } => Some(Exit::Interrupted),
        LabError::UnknownStudy { .. }
        | LabError::RunDiffers { .. }
        | LabError::NoSuchStep { .. }
        | LabError::NotAsked { .. }
        | LabError::NotTrainedHere { .. }
        | LabError::NoStretch { .. }
        | LabError::NoCheckpoint { .. } => Some(Exit::Usage),
        LabError::ControlDiffers { .. }
        | LabError::ReplayDiffers(_)
        | LabError::ReadingDiffers { .. }
        | LabError::Config { .. } => Some(Exit::Data),
        // The others say where; their source says what.
        _ => None,
    }
}

fn of_store(error: &StoreError) -> Exit {
    match error {
        // A file that must be there is not.
        StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Exit::Data,
        StoreError::NoStore { .. }
        | StoreError::NotAStore { .. }
        | StoreError::Newer { .. }
        | StoreError::ReadOnly { .. }
        | StoreError::Full { .. }
        | StoreError::Locked { .. }
        | StoreError::Poisoned { .. }
        | StoreError::OnlyRead { .. }
        | StoreError::NoObjectStores { .. }
        | StoreError::NoBucket { .. }
        | StoreError::Credentials { .. }
        | StoreError::Remote { .. }
        | StoreError::Io { .. } => Exit::Store,
        StoreError::UnknownRun { .. }
        | StoreError::RunExists { .. }
        | StoreError::UnknownZoom { .. }
        | StoreError::BadUrl { .. }
        | StoreError::NoCheckpoint { .. } => Exit::Usage,
        StoreError::Damaged { .. }
        | StoreError::DamagedFile { .. }
        | StoreError::Diverged { .. }
        | StoreError::Changed { .. }
        | StoreError::LedgerBroken { .. }
        | StoreError::LedgerLine { .. }
        | StoreError::LedgerCut { .. }
        | StoreError::NoLedgerHead { .. } => Exit::Data,
        _ => Exit::Internal,
    }
}

fn of_import(error: &ImportError) -> Option<Exit> {
    match error {
        // The store says why it did not take what was read.
        ImportError::Sink { .. } => None,
        e if e.is_usage() => Some(Exit::Usage),
        _ => Some(Exit::Data),
    }
}

fn of_train(error: &TrainError) -> Exit {
    match error {
        TrainError::OutOfRange { .. }
        | TrainError::Schedule { .. }
        | TrainError::Mismatch { .. }
        | TrainError::UnknownKey { .. }
        | TrainError::WrongType { .. }
        | TrainError::NotAPair { .. } => Exit::Usage,
        TrainError::StateMismatch { .. } => Exit::Data,
        _ => Exit::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: impl Into<anyhow::Error>, expected: Exit) {
        assert_eq!(Exit::of(&error.into().context("while doing something")), expected);
    }

    #[test]
    fn every_kind_of_error_has_its_code() {
        let path = || std::path::PathBuf::from("s");
        check(anyhow::anyhow!("surprise"), Exit::Internal);
        check(Failure::usage("no"), Exit::Usage);
        check(LabError::Stopped, Exit::Interrupted);
        check(LabError::from(StoreError::NotAStore { path: path() }), Exit::Store);
        check(StoreError::LedgerCut { path: path(), sealed: 2, found: 1 }, Exit::Data);
        let source = TrainError::NotAPair { text: "x".into() };
        check(LabError::Configure { source }, Exit::Usage);
        check(io::Error::from(io::ErrorKind::BrokenPipe), Exit::Ok);
        check(io::Error::from(io::ErrorKind::NotFound), Exit::Internal);
    }

    #[test]
    fn help_and_table_name_the_same_codes() {
        for exit in
            [Exit::Ok, Exit::Internal, Exit::Usage, Exit::Data, Exit::Store, Exit::Interrupted]
        {
            assert!(HELP.contains(&format!("\n  {:<5}", exit as u8)), "{exit:?}");
        }
    }
}
