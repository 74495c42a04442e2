//! Units, where a name tells them. What is not known is called `unknown`.

/// The unit of readings that do not say.
pub(crate) const UNKNOWN: &str = "unknown";

/// Suffixes of names that say a unit by themselves.
const SUFFIXES: [(&str, &str); 9] = [
    ("_per_second", "1/s"),
    ("_ms", "ms"),
    ("_secs", "s"),
    ("_seconds", "s"),
    ("runtime", "s"),
    ("tokens", "tokens"),
    ("_bytes", "bytes"),
    ("_flops", "FLOP"),
    ("epoch", "epochs"),
];

/// Names, or last parts of them, that are a fraction or another pure number wherever they occur.
const PURE: [&str; 12] = [
    "accuracy",
    "acc",
    "acc_norm",
    "exact_match",
    "f1",
    "lr",
    "learning_rate",
    "weight_decay",
    "grad_norm",
    "ppl",
    "perplexity",
    "pct_stereotype",
];

/// The unit that a name tells.
pub(crate) fn of_name(name: &str) -> &'static str {
    let last = name.rsplit(['/', '.', ':']).next().unwrap_or(name);
    let is = |p: &str| last == p || last.strip_suffix(p).is_some_and(|s| s.ends_with('_'));
    if PURE.iter().any(|p| is(p)) {
        return "1";
    }
    SUFFIXES.iter().find(|(s, _)| last.ends_with(s)).map_or(UNKNOWN, |(_, unit)| unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_tell_a_unit_get_one() {
        for (name, unit) in [
            ("eval_g0_accuracy", "1"),
            ("validation/accuracy", "1"),
            ("train_time_ms", "ms"),
            ("eval_runtime", "s"),
            ("train_samples_per_second", "1/s"),
            ("tokens", "tokens"),
            ("loss", UNKNOWN),
            ("vacc", UNKNOWN),
        ] {
            assert_eq!(of_name(name), unit, "{name}");
        }
    }
}
