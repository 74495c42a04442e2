//! Text from a seeded probabilistic grammar whose entropy is known.
//!
//! 400 words in eight classes. The class of a word depends on the classes of the two words before it, the word on its
//! class alone (Zipf, exponent .7). All words are different and end with a space, so the text has one reading and its
//! entropy per byte is that of its words.

use ontogeny_core::random::Philox;
use std::collections::BTreeSet;

const N_CLASSES: usize = 8;
const WORDS_PER_CLASS: usize = 50;
const EXPONENT: f64 = 0.7;
/// Spread of the logarithms of the rates at which classes follow one another.
const SPREAD: f64 = 1.5;
const SHORTEST: u64 = 2;
const LENGTHS: u64 = 4;

/// A grammar.
#[derive(Debug, Clone)]
pub struct Grammar {
    /// `[class][rank]`, each word with its space.
    words: Vec<Vec<Vec<u8>>>,
    /// Cumulative probabilities of the next class, `[class before last][last class]`.
    classes: Vec<Vec<Vec<f64>>>,
    /// Cumulative probabilities of the words of a class.
    ranks: Vec<f64>,
}

/// Where a uniform number falls among cumulative probabilities, and the probability of that place.
fn pick(cumulative: &[f64], at: f64) -> (usize, f64) {
    let i = cumulative.partition_point(|c| *c <= at).min(cumulative.len() - 1);
    (i, cumulative[i] - if i == 0 { 0.0 } else { cumulative[i - 1] })
}

fn cumulative(weights: &[f64]) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let of = |w: &f64| {
        sum += w / total;
        sum
    };
    weights.iter().map(of).collect()
}

impl Grammar {
    /// The grammar of a seed.
    pub fn new(seed: u64) -> Self {
        let letters = Philox::new(seed, "canaries.words");
        let mut seen = BTreeSet::new();
        let mut words = vec![Vec::new(); N_CLASSES];
        for attempt in 0.. {
            let n = seen.len();
            if n == N_CLASSES * WORDS_PER_CLASS {
                break;
            }
            let draws = letters.at(attempt);
            let length = SHORTEST + draws.below(0, LENGTHS);
            let starts_with_vowel = draws.below(1, 3) == 0;
            let mut word: Vec<u8> = (0..length)
                .map(|i| {
                    let of: &[u8] = if i.is_multiple_of(2) == starts_with_vowel {
                        b"aeiou"
                    } else {
                        b"bcdfghjklmnpqrstvwxyz"
                    };
                    of[draws.below(2 + i, of.len() as u64) as usize]
                })
                .collect();
            word.push(b' ');
            if seen.insert(word.clone()) {
                words[n % N_CLASSES].push(word);
            }
        }
        let rates = Philox::new(seed, "canaries.classes");
        let follow = |a: usize, b: usize| {
            let draws = rates.at((a * N_CLASSES + b) as u64);
            let weights: Vec<f64> =
                (0..N_CLASSES as u64).map(|c| libm::exp(SPREAD * draws.normal(c))).collect();
            cumulative(&weights)
        };
        let classes =
            (0..N_CLASSES).map(|a| (0..N_CLASSES).map(|b| follow(a, b)).collect()).collect();
        let zipf: Vec<f64> =
            (1..=WORDS_PER_CLASS).map(|r| libm::pow(r as f64, -EXPONENT)).collect();
        Self { words, classes, ranks: cumulative(&zipf) }
    }

    /// At least `n_bytes` of text cut to that many, and the bits it takes to say its words.
    pub fn text(&self, seed: u64, n_bytes: usize) -> (Vec<u8>, f64) {
        let stream = Philox::new(seed, "canaries.text").at(0);
        let mut text = Vec::with_capacity(n_bytes + 8);
        let (mut before, mut last, mut bits) = (0, 0, 0.0);
        for i in 0.. {
            if text.len() >= n_bytes {
                break;
            }
            let (class, p) = pick(&self.classes[before][last], stream.uniform(2 * i));
            let (rank, q) = pick(&self.ranks, stream.uniform(2 * i + 1));
            text.extend_from_slice(&self.words[class][rank]);
            bits -= libm::log2(p * q);
            (before, last) = (last, class);
        }
        // The last word may be cut: its bits are counted in proportion.
        bits *= n_bytes as f64 / text.len().max(1) as f64;
        text.truncate(n_bytes);
        (text, bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_of_400_words_at_about_one_and_a_half_bits_a_byte() {
        for seed in 0..4 {
            let grammar = Grammar::new(seed);
            let (text, bits) = grammar.text(seed, 200_000);
            assert_eq!(text.len(), 200_000);
            let per_byte = bits / text.len() as f64;
            assert!((1.35..1.75).contains(&per_byte), "seed {seed}: {per_byte}");
            let words: BTreeSet<&[u8]> = text.split(|b| *b == b' ').collect();
            assert!((390..=402).contains(&words.len()), "{}", words.len());
            assert!(text.iter().all(|b| b.is_ascii_lowercase() || *b == b' '));
            assert_eq!(grammar.text(seed, 100).0, text[..100]);
        }
    }

    #[test]
    fn the_code_length_is_that_of_the_counts_of_words_given_two_classes() {
        // An empirical conditional entropy of the classes, from the text alone, beside the grammar's own count.
        let grammar = Grammar::new(3);
        let (text, bits) = grammar.text(3, 600_000);
        let class_of = |word: &[u8]| {
            let with_space = [word, b" "].concat();
            grammar.words.iter().position(|c| c.contains(&with_space))
        };
        let known: Vec<usize> = text.split(|b| *b == b' ').filter_map(class_of).collect();
        let mut counts = vec![[0.0_f64; N_CLASSES]; N_CLASSES * N_CLASSES];
        for w in known.windows(3) {
            counts[w[0] * N_CLASSES + w[1]][w[2]] += 1.0;
        }
        let of_classes: f64 = counts
            .iter()
            .map(|row| {
                let n: f64 = row.iter().sum();
                row.iter().filter(|c| **c > 0.0).map(|c| -c * (c / n).log2()).sum::<f64>()
            })
            .sum();
        let ranks = &grammar.ranks;
        let of_rank = |r: usize| ranks[r] - if r == 0 { 0.0 } else { ranks[r - 1] };
        let of_words: f64 =
            (0..WORDS_PER_CLASS).map(|r| -of_rank(r) * of_rank(r).log2()).sum::<f64>();
        let expected = of_classes + of_words * known.len() as f64;
        assert!((bits / expected - 1.0).abs() < 0.01, "{bits} {expected}");
    }
}
