//! Which column or key of a log is the step.

/// Names under which steps are logged, the most telling first.
const NAMES: [&str; 14] = [
    "step",
    "global_step",
    "_step",
    "trainer/global_step",
    "trainer/step",
    "train/global_step",
    "train/step",
    "train_step",
    "steps",
    "iteration",
    "iter",
    "n_iter",
    "update",
    "num_updates",
];

/// The place of the step among `names`: the one the user names, or the first that is known.
pub(super) fn find<'a, I>(names: &I, wanted: Option<&str>) -> Option<usize>
where
    I: Iterator<Item = &'a str> + Clone,
{
    let place = |key: &str| names.clone().position(|n| n.trim().eq_ignore_ascii_case(key));
    wanted.map_or_else(|| NAMES.iter().find_map(|key| place(key)), place)
}

/// Whether a key says when something was logged rather than what.
pub(super) fn is_index(name: &str) -> bool {
    name.is_empty() || name.starts_with("Unnamed: ") || name == "index"
}
