//! Names of runs and studies.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_that_could_leave_their_folder() {
        for bad in ["", "..", ".hidden", "a/b", "a\\b", "a b", "ä", &"x".repeat(121)] {
            assert!(RunId::new(bad).is_none(), "{bad:?}");
        }
        assert_eq!(RunId::new("grokking-wd1.0-s3").unwrap().as_str(), "grokking-wd1.0-s3");
    }
}
