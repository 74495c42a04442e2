//! Which step a path speaks of.

use crate::options::StepRule;
use regex_lite::{Captures, Regex};

/// A number of steps.
const STEP: &str = r"(?i)(?:^|[^a-z])(?:global[-_]?step|step|checkpoint|ckpt|iteration|iter|update|batch)s?[-_=]?(\d+)";
/// A number of epochs, or the state before the first.
const EPOCH: &str = r"(?i)(?:^|[^a-z])(?:epoch|ep)s?[-_=]?(\d+)";
/// The state before the first update.
const INITIAL: &str = r"(?i)(?:^|[^a-z])(global[-_]?step|step|checkpoint|ckpt|iteration|iter|update|epoch)s?[-_=]?init(?:ial)?(?:$|[^a-z])";
/// A number alone, at the end of the name of a file.
const BARE: &str = r"(?:^|[-_.=])(\d+)$";
/// How many tokens had been seen: told beside the step in names of revisions.
const TOKENS: &str = r"(?i)[-_.]tokens?[-_=]?\d+[kmbt]?";

/// What the numbers in names count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Counts {
    /// Updates, as `step1000`, `checkpoint-1000`, `iter_1000` say.
    Steps,
    /// Epochs.
    Epochs,
    /// A name has a number and no word for it.
    Unnamed,
    /// What the user's own rule finds.
    ByRule,
}

impl Counts {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Epochs => "epochs",
            Self::Unnamed => "numbers without a word",
            Self::ByRule => "numbers of --step-from",
        }
    }
}

/// The step of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) step: u64,
    pub(crate) counts: Counts,
    /// Whether the name of the file tells it, rather than a folder.
    pub(crate) is_in_file: bool,
    /// How many of the folders that were looked at belong to all files of the checkpoint.
    pub(crate) n_home: usize,
}

/// Finds steps in names.
#[derive(Debug)]
pub(crate) struct StepFinder {
    rule: Option<StepRule>,
    step: Option<Regex>,
    epoch: Option<Regex>,
    initial: Option<Regex>,
    bare: Option<Regex>,
    tokens: Option<Regex>,
}

impl StepFinder {
    pub(crate) fn new(rule: Option<StepRule>) -> Self {
        let compile = |text| Regex::new(text).ok();
        Self {
            rule,
            step: compile(STEP),
            epoch: compile(EPOCH),
            initial: compile(INITIAL),
            bare: compile(BARE),
            tokens: compile(TOKENS),
        }
    }

    /// The step that the words of a name tell.
    fn in_words(&self, name: &str) -> Option<(u64, Counts)> {
        if let Some(rule) = &self.rule {
            return rule.find(name).map(|n| (n, Counts::ByRule));
        }
        // A name may tell both: `epoch=3-step=1000`.
        let found = number(self.step.as_ref(), name).map(|n| (n, Counts::Steps));
        let found = found.or_else(|| Some((number(self.epoch.as_ref(), name)?, Counts::Epochs)));
        found.or_else(|| {
            let word = self.initial.as_ref()?.captures(name)?.get(1)?.as_str();
            let is_epoch = word.eq_ignore_ascii_case("epoch");
            Some((0, if is_epoch { Counts::Epochs } else { Counts::Steps }))
        })
    }

    /// The step of the file `stem` in `folders`, the outermost first. Words count before numbers without one, the file
    /// before its folders, inner folders before outer ones.
    pub(crate) fn find(&self, folders: &[String], stem: &str) -> Option<Place> {
        let n_all = folders.len();
        if let Some((step, counts)) = self.in_words(stem) {
            // A folder of the same step outside holds what belongs together: `checkpoint-10/global_step10.pt`.
            let is_same =
                |f: &String| self.rule.is_none() && self.in_words(f) == Some((step, counts));
            let n_home = folders.iter().position(is_same).map_or(n_all, |i| i + 1);
            return Some(Place { step, counts, is_in_file: true, n_home });
        }
        let inner = folders.iter().rev().find_map(|f| self.in_words(f));
        if let Some((step, counts)) = inner {
            let outer = folders.iter().position(|f| self.in_words(f) == inner);
            let n_home = outer.map_or(n_all, |i| i + 1);
            return Some(Place { step, counts, is_in_file: false, n_home });
        }
        if self.rule.is_some() {
            return None;
        }
        let counts = Counts::Unnamed;
        if let Some(step) = number(self.bare.as_ref(), stem) {
            return Some(Place { step, counts, is_in_file: true, n_home: n_all });
        }
        let at = folders.iter().rposition(|f| f.parse::<u64>().is_ok())?;
        let step = folders[at].parse().ok()?;
        Some(Place { step, counts, is_in_file: false, n_home: at + 1 })
    }

    /// A name without what tells the step: what the file is among those of its step.
    pub(crate) fn label(&self, stem: &str) -> String {
        let mut label = stem.to_owned();
        if let Some(StepRule::Pattern(rule)) = &self.rule {
            label = rule.replace(&label, "").into_owned();
        } else if self.rule.is_none() {
            let worded = self.in_words(stem).is_some();
            // Without the first character, which is before the word.
            let cut = |c: &Captures<'_>| {
                let first = c.get(0).map_or("", |m| m.as_str()).chars().next();
                first.filter(|c| !c.is_alphabetic()).map_or(String::new(), String::from)
            };
            for rule in [&self.tokens, &self.step, &self.epoch, &self.initial].into_iter().flatten()
            {
                label = rule.replace(&label, cut).into_owned();
            }
            if let (false, Some(bare)) = (worded, &self.bare) {
                label = bare.replace(&label, "").into_owned();
            }
        }
        label.trim_matches(['-', '_', '.', '=', ' ']).to_owned()
    }
}

fn number(rule: Option<&Regex>, name: &str) -> Option<u64> {
    rule?.captures(name)?.get(1)?.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<(u64, Counts, usize)>) {
        let mut folders: Vec<String> = path.split('/').map(str::to_owned).collect();
        let stem = folders.pop().unwrap();
        let found = StepFinder::new(None).find(&folders, &stem);
        assert_eq!(found.map(|p| (p.step, p.counts, p.n_home)), expected, "{path}");
    }

    #[test]
    fn steps_are_found_where_people_write_them() {
        use Counts::{Epochs, Steps, Unnamed};
        check("r/step1000", Some((1000, Steps, 1)));
        check("r/step_1000", Some((1000, Steps, 1)));
        check("r/checkpoint-1000/model", Some((1000, Steps, 2)));
        check("r/checkpoint-1000/rng_state_0", Some((1000, Steps, 2)));
        check("r/checkpoint-10/global_step10/mp_rank_00_model_states", Some((10, Steps, 2)));
        check("r/epoch_00100", Some((100, Epochs, 1)));
        check("r/epoch=3-step=1000", Some((1000, Steps, 1)));
        check("r/checkpoint_epoch_5", Some((5, Epochs, 1)));
        check("r/epoch_init", Some((0, Epochs, 1)));
        check("r/iter_0001000", Some((1000, Steps, 1)));
        check("r/step1000-tokens2B/model", Some((1000, Steps, 2)));
        check("r/100", Some((100, Unnamed, 1)));
        check("r/net_100", Some((100, Unnamed, 1)));
        check("r/100/weights", Some((100, Unnamed, 2)));
        check("r/footstep7", None);
        check("r/best", None);
        check("r/final_model", None);
        check("r/step99999999999999999999999", None);
    }

    #[test]
    fn what_a_file_is_among_those_of_its_step() {
        let finder = StepFinder::new(None);
        for (stem, label) in [
            ("step_10", ""),
            ("optimizer_step_10", "optimizer"),
            ("step_10_optimizer", "optimizer"),
            ("model_epoch5", "model"),
            ("100", ""),
            ("net_100", "net"),
            ("rng_state", "rng_state"),
            ("step10-tokens2B", ""),
            ("epoch=3-step=1000", ""),
        ] {
            assert_eq!(finder.label(stem), label, "{stem}");
        }
    }

    #[test]
    fn the_rule_of_the_user_counts_alone() {
        let finder = StepFinder::new(Some(StepRule::new(r"_u(\d+)k").unwrap()));
        let place = finder.find(&["step5".into()], "net_u20k").unwrap();
        assert_eq!((place.step, place.counts), (20, Counts::ByRule));
        assert_eq!(finder.find(&["step5".into()], "net_7"), None);
        assert_eq!(finder.label("net_u20k"), "net");
    }
}
