//! The viridis colour map: perceptually uniform, readable without colour vision and in grey.
//!
//! Source: van der Walt and Smith 2015 (matplotlib, CC0); 17 of its 256 entries, interpolated linearly.

const ENTRIES: [(u8, u8, u8); 17] = [
    (68, 1, 84),
    (72, 24, 106),
    (71, 45, 123),
    (66, 64, 134),
    (59, 82, 139),
    (51, 99, 141),
    (44, 114, 142),
    (38, 130, 142),
    (33, 145, 140),
    (31, 160, 136),
    (40, 174, 128),
    (63, 188, 115),
    (94, 201, 98),
    (132, 212, 75),
    (173, 220, 48),
    (216, 226, 25),
    (253, 231, 37),
];

/// Colour at `share` of the way from low (0) to high (1), as `#rrggbb`.
pub(crate) fn colour(share: f64) -> String {
    let at = share.clamp(0.0, 1.0) * (ENTRIES.len() - 1) as f64;
    let i = (at.floor() as usize).min(ENTRIES.len() - 2);
    let rest = at - i as f64;
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * rest).round() as u8;
    let (a, b) = (ENTRIES[i], ENTRIES[i + 1]);
    format!("#{:02x}{:02x}{:02x}", mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_those_of_viridis() {
        assert_eq!((colour(0.0).as_str(), colour(1.0).as_str()), ("#440154", "#fde725"));
    }
}
