//! x
pub(super) const STUDY: super::Study = super::Study { name: "skills", summary: "", run: |_| Ok(ontogeny_core::Findings::default()) };
