//! The ledger: an append-only chain of claims, outcomes and judgements, each holding the hash of the one before.

use crate::{DesignOutcome, DesignProblem, Forecast, Outcome, Score};
use serde::{Deserialize, Serialize};

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "body")]
pub enum LedgerBody {
    /// A sealed forecast.
    Forecast(Box<Forecast>),
    /// What happened.
    Outcome(Outcome),
    /// How well the forecast did.
    Score(Score),
    /// A sealed design problem with its recipe.
    Design(Box<DesignProblem>),
    /// What became of a design problem.
    DesignOutcome(DesignOutcome),
    /// A remark that belongs to the record, e.g. a patch to a theory with its reason.
    Note {
        /// Theory or study the note is about.
        about: String,
        /// The text.
        text: String,
    },
}

impl LedgerBody {
    /// Of a claim or a design problem: its name, the theory whose it is, and the property it is about.
    pub fn subject(&self) -> Option<(&str, &str, &str)> {
        match self {
            Self::Forecast(f) => Some((&f.id, &f.theory.name, &f.property)),
            Self::Design(d) => Some((&d.id, &d.theory, &d.property)),
            _ => None,
        }
    }
}

/// One link of the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Position, from 0.
    pub seq: u64,
    /// Hash of the entry before; 64 zeros for the first.
    pub prev: String,
    /// Wall time of sealing, seconds since the Unix epoch; evidence only, nothing is computed from it.
    pub unix_secs: f64,
    /// What it says.
    pub body: LedgerBody,
    /// BLAKE3, in hexadecimal, over the canonical JSON of the fields above.
    pub hash: String,
}

/// Where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainBreak {
    /// An entry was removed, inserted or moved.
    #[error("ledger entry {seq} is missing or out of place (found {found})")]
    #[expect(missing_docs, reason = "the message names every field")]
    Sequence { seq: u64, found: u64 },
    /// An entry does not follow the one before it.
    #[error(
        "ledger entry {seq} does not follow the entry before it: something was removed or replaced"
    )]
    #[expect(missing_docs, reason = "the message names every field")]
    Link { seq: u64 },
    /// An entry was edited.
    #[error(
        "ledger entry {seq} was changed after it was sealed: its hash does not match its content"
    )]
    #[expect(missing_docs, reason = "the message names every field")]
    Content { seq: u64 },
}

impl LedgerEntry {
    /// The hash that stands before the first entry.
    pub fn genesis() -> String {
        "0".repeat(64)
    }

    /// Seals `body` behind `last` (or as the first entry).
    pub fn seal(last: Option<&Self>, unix_secs: f64, body: LedgerBody) -> Self {
        let (seq, prev) = last.map_or((0, Self::genesis()), |l| (l.seq + 1, l.hash.clone()));
        let mut entry = Self { seq, prev, unix_secs, body, hash: String::new() };
        entry.hash = entry.content_hash();
        entry
    }

    /// Recomputes the hash of everything but the hash itself.
    ///
    /// The canonical form is the JSON of (seq, prev, unix_secs, body) with keys sorted and floats written in
    /// the shortest form that reads back to the same bits, so re-serializing never changes it.
    pub fn content_hash(&self) -> String {
        let canonical =
            serde_json::json!([self.seq, self.prev, self.unix_secs, self.body]).to_string();
        blake3::hash(canonical.as_bytes()).to_hex().to_string()
    }
}

/// Checks that entries are complete, in order and unchanged.
///
/// # Errors
/// The first [`ChainBreak`].
pub fn verify_chain<'a>(
    entries: impl IntoIterator<Item = &'a LedgerEntry>,
) -> Result<(), ChainBreak> {
    let mut prev = LedgerEntry::genesis();
    for (seq, e) in (0..).zip(entries) {
        if e.seq != seq {
            return Err(ChainBreak::Sequence { seq, found: e.seq });
        }
        if e.prev != prev {
            return Err(ChainBreak::Link { seq });
        }
        if e.hash != e.content_hash() {
            return Err(ChainBreak::Content { seq });
        }
        prev.clone_from(&e.hash);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(n: usize) -> Vec<LedgerEntry> {
        let mut v: Vec<LedgerEntry> = Vec::new();
        for i in 0..n {
            let body = LedgerBody::Note {
                about: "t".into(),
                text: format!("note {i} {}", 0.1 + i as f64 / 3.0),
            };
            v.push(LedgerEntry::seal(v.last(), 1.5e9 + i as f64 / 7.0, body));
        }
        v
    }

    #[test]
    fn law_5_failures_stay_removing_or_editing_an_entry_breaks_the_chain() {
        let whole = chain(5);
        assert_eq!(verify_chain(&whole), Ok(()));
        let mut cut = whole.clone();
        cut.remove(2);
        assert_eq!(verify_chain(&cut), Err(ChainBreak::Sequence { seq: 2, found: 3 }));
        for (i, e) in cut.iter_mut().enumerate() {
            e.seq = i as u64;
        }
        assert_eq!(verify_chain(&cut), Err(ChainBreak::Link { seq: 2 }));
        let mut edited = whole;
        edited[3].body = LedgerBody::Note { about: "t".into(), text: "better".into() };
        assert_eq!(verify_chain(&edited), Err(ChainBreak::Content { seq: 3 }));
    }

    #[test]
    fn an_entry_survives_its_journey_through_text() {
        for e in chain(20) {
            let back: LedgerEntry =
                serde_json::from_str(&serde_json::to_string(&e).unwrap()).unwrap();
            assert_eq!(back.content_hash(), e.hash);
        }
    }
}
