//! x
pub(super) const STUDY: super::Study = super::Study { name: "grokking", summary: "", run: |_| Ok(ontogeny_core::Findings::default()) };
