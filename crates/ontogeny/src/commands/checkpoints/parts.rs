//! Which tensors of a checkpoint are the weights, and which the rest of the state.

/// Beginnings of names before a slash under which people keep the weights.
const WEIGHTS: [&str; 7] =
    ["params", "model", "module", "state_dict", "model_state_dict", "net", "weights"];

/// The part of the state that a tensor belongs to: what is before the first slash.
pub(super) fn part(name: &str) -> &str {
    name.split_once('/').map_or("weights", |(part, _)| part)
}

/// The name of a weight without its part; `None` if it is no weight.
pub(super) fn weight(name: &str) -> Option<&str> {
    match name.split_once('/') {
        None => Some(name),
        Some((part, rest)) => WEIGHTS.contains(&part).then_some(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_told_from_the_rest() {
        assert_eq!(weight("params/embed"), Some("embed"));
        assert_eq!(weight("linear.weight"), Some("linear.weight"));
        assert_eq!(weight("optim.m/embed"), None);
        assert_eq!((part("optim.m/embed"), part("embed")), ("optim.m", "weights"));
    }
}
