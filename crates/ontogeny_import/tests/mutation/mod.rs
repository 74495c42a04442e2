//! Damage and malice, addressed: every round can be repeated from its number.

/// Changes bytes as damage and malice do.
pub(crate) fn mutate(bytes: &mut Vec<u8>, mut random: impl FnMut() -> u64) {
    for _ in 0..=random() % 4 {
        if bytes.is_empty() {
            return;
        }
        let at = (random() % bytes.len() as u64) as usize;
        match random() % 7 {
            0 => bytes[at] ^= 1 << (random() % 8),
            1 => bytes[at] = random() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..(at + 1 + (random() % 16) as usize).min(bytes.len()))),
            4 => bytes.insert(at, random() as u8),
            5 => {
                let n = (random() % 64) as usize;
                let piece: Vec<u8> = bytes[at..(at + n).min(bytes.len())].to_vec();
                let to = (random() % bytes.len() as u64) as usize;
                bytes.splice(to..to, piece);
            }
            _ => {
                let value = [0, u64::MAX, 1 << 31, 1 << 63, 0x7fff_ffff][(random() % 5) as usize];
                let n = bytes.len().min(at + 8) - at;
                bytes[at..at + n].copy_from_slice(&value.to_le_bytes()[..n]);
            }
        }
    }
}

/// Addressed random numbers (splitmix64): every round can be repeated from its number.
pub(crate) fn random_from(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// Rounds of mutation, each with a pick and random numbers of its own, for as long as `ONTOGENY_FUZZ_SECS` says or ten
/// minutes. Says how many there were, and in how many seconds.
pub(crate) fn rounds(mut one_round: impl FnMut(usize, &mut dyn FnMut() -> u64)) -> (u64, u64) {
    #[expect(clippy::disallowed_methods, reason = "a test may be told how long to run")]
    let secs = std::env::var("ONTOGENY_FUZZ_SECS").ok().and_then(|s| s.parse().ok()).unwrap_or(600);
    let began = std::time::Instant::now();
    let mut n = 0;
    while began.elapsed().as_secs() < secs {
        let mut random = random_from(n);
        let pick = random() as usize;
        let round = std::time::Instant::now();
        one_round(pick, &mut random);
        assert!(round.elapsed().as_secs() < 10, "round {n} took {:?}", round.elapsed());
        n += 1;
    }
    (n, secs)
}
