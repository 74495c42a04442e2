//! Names from the command line: runs, steps, and what a person may have meant.

use crate::failure::Failure;
use ontogeny_core::{RunId, Step, StudyId, nearest};

/// A run's name.
pub(crate) fn run_id(text: &str) -> Result<RunId, Failure> {
    RunId::new(text).ok_or_else(|| {
        Failure::usage(format!("`{text}` cannot be the name of a run")).help(
            "names have 1 to 120 letters, digits, `-`, `_` and `.`; `ontogeny runs ls` lists them",
        )
    })
}

/// A study's name in the store.
pub(crate) fn study_id(text: &str) -> Result<StudyId, Failure> {
    StudyId::new(text).ok_or_else(|| {
        Failure::usage(format!("`{text}` cannot be the name of a study")).help(
            "names have 1 to 120 letters, digits, `-`, `_` and `.`; `ontogeny report` lists them",
        )
    })
}

/// `RUN@STEP`.
pub(crate) fn run_at_step(text: &str) -> Result<(RunId, Step), Failure> {
    let expected = |why: String| Failure::usage(why).help("write RUN@STEP, e.g. skills.a.s0@400");
    let (run, step) = text
        .rsplit_once('@')
        .ok_or_else(|| expected(format!("`{text}` does not say which step")))?;
    let step = step.parse().ok().map(Step);
    let step = step.ok_or_else(|| expected(format!("`{text}` has no number after the @")))?;
    Ok((run_id(run)?, step))
}

/// "no `kind` called ...", with what was probably meant.
pub(crate) fn unknown<'a>(
    kind: &str,
    name: &str,
    there_is: impl IntoIterator<Item = &'a str>,
) -> Failure {
    let guess = nearest(name, there_is).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
    Failure::usage(format!("no {kind} called {name}{guess}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_point_is_a_run_and_a_step() {
        let (run, step) = run_at_step("skills.a-1@400").unwrap();
        assert_eq!((run.as_str(), step), ("skills.a-1", Step(400)));
        for bad in ["skills", "skills@", "skills@x", "skills@-1", "@4", "a/b@4"] {
            assert!(run_at_step(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn suggests_what_was_meant() {
        let e = unknown("tier", "smok", ["smoke", "study"]);
        assert_eq!(e.to_string(), "no tier called smok; did you mean smoke?");
        assert_eq!(unknown("tier", "zzz", ["smoke"]).to_string(), "no tier called zzz");
    }
}
