//! Names of runs, studies and zooms.

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Accepts 1 to 120 letters, digits, `-`, `_` and `.`, not starting with a dot: safe as a folder name.
            ///
            /// Returns `None` for anything else.
            pub fn new(text: impl Into<String>) -> Option<Self> {
                let text = text.into();
                let ok = !text.is_empty()
                    && text.len() <= 120
                    && !text.starts_with('.')
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
                ok.then_some(Self(text))
            }

            /// A name made of any text: what a name may not hold becomes `_`, and what is too long is cut off.
            ///
            /// Returns `None` for the empty text and for text that starts with a dot.
            pub fn made_of(text: &str) -> Option<Self> {
                let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                let safe = text.chars().map(|c| if keep(c) { c } else { '_' });
                Self::new(safe.take(120).collect::<String>())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

name! {
    /// Name of a run: its folder in the store.
    RunId
}
name! {
    /// Name of a study: its folder in the store.
    StudyId
}
name! {
    /// Name of a zoom: its folder in that of its run.
    ZoomId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_that_could_leave_their_folder() {
        for bad in ["", "..", ".hidden", "a/b", "a\\b", "a b", "ä", &"x".repeat(121)] {
            assert!(RunId::new(bad).is_none(), "{bad:?}");
        }
        assert_eq!(RunId::new("grokking-wd1.0-s3").unwrap().as_str(), "grokking-wd1.0-s3");
        assert_eq!(RunId::made_of("a b/ä.c").unwrap().as_str(), "a_b__.c");
        assert_eq!(RunId::made_of(&"x".repeat(200)).unwrap().as_str().len(), 120);
        assert!(RunId::made_of("").is_none() && RunId::made_of(".a").is_none());
    }
}
