//! Names for runs that others named: safe as folders, and each its own.

use ontogeny_core::RunId;
use std::collections::BTreeSet;

/// Characters that a name keeps of one that is too long; the rest becomes a hash.
const KEPT: usize = 100;

/// Gives every run of an import a name of its own.
#[derive(Debug, Default)]
pub(super) struct Naming {
    taken: BTreeSet<String>,
}

impl Naming {
    /// A name made of that of the unit and that of the run in it: `fixtures/a b` becomes `fixtures.a-b`.
    pub(super) fn name(&mut self, unit: &str, run: &str) -> Option<RunId> {
        let full = if run.is_empty() { unit.to_owned() } else { format!("{unit}/{run}") };
        let safe: String = full
            .trim_matches(['/', '.'])
            .chars()
            .map(|c| match c {
                '/' | '\\' => '.',
                c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') => c,
                _ => '-',
            })
            .collect();
        let safe = if safe.is_empty() { "run".to_owned() } else { safe };
        let mut name = safe.clone();
        if name.len() > KEPT {
            name.truncate(KEPT);
            name = format!("{name}-{:08x}", checksum(&full));
        }
        let mut n = 1;
        while !self.taken.insert(name.clone()) {
            n += 1;
            let short = &safe[..safe.len().min(KEPT)];
            name = format!("{short}-{n}");
        }
        RunId::new(name)
    }
}

/// FNV-1a: enough to tell long names apart, and the same everywhere.
fn checksum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_differ() {
        let mut naming = Naming::default();
        let mut name = |unit: &str, run: &str| naming.name(unit, run).unwrap().to_string();
        assert_eq!(name("fixtures/ogbg", ""), "fixtures.ogbg");
        assert_eq!(name("a", "v05/x y/trial_1"), "a.v05.x-y.trial_1");
        assert_eq!(name("a", "v05.x y.trial_1"), "a.v05.x-y.trial_1-2");
        assert_eq!(name("..", "ä"), "-");
        assert_eq!(name("", ""), "run");
        let (long, other) = (name("a", &"x".repeat(300)), name("a", &"x".repeat(301)));
        assert!(long.len() <= 120 && long != other, "{long} {other}");
    }
}
