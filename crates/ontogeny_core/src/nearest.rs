//! The name a person probably meant.

/// The candidate nearest to `name` by edit distance, if one is near enough to suggest.
///
/// Near enough: at most a third of the longer word's letters differ, or one is a prefix of the other.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|c| {
            let d = distance(&name, &c.to_lowercase());
            let near = 3 * d <= name.len().max(c.len())
                || (name.len() >= 2 && c.starts_with(&name))
                || (c.len() >= 2 && name.starts_with(c));
            near.then_some((d, c))
        })
        .min_by_key(|&(d, _)| d)
        .map(|(_, c)| c)
}

/// Levenshtein distance over characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let next = (row[j] + 1).min(row[j + 1] + 1).min(diagonal + usize::from(ca != cb));
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_was_meant_and_nothing_wild() {
        let names = ["grokking", "skills"];
        assert_eq!(nearest("groking", names), Some("grokking"));
        assert_eq!(nearest("skill", names), Some("skills"));
        assert_eq!(nearest("robustness", names), None);
    }
}
