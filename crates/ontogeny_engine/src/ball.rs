//! The images that an adversary may show instead of an example.

/// The least and the largest `f32` that a pixel may become: an interval that holds every number of [0, 1] within `eps`
/// of `x`, its ends being the nearest `f32` outside of it or on its border.
///
/// An attack that stays in it and a certificate for it speak of the same images, however either of them rounds.
/// `x` is a pixel in [0, 1] and `eps` is not negative; with other numbers the interval means nothing.
pub fn pixel_range(x: f32, eps: f64) -> [f32; 2] {
    let x = f64::from(x);
    let (low, high) = (sum_below(x, -eps).max(0.0), -sum_below(-x, -eps));
    [f32_below(low), -f32_below(-high.min(1.0))]
}

/// The largest `f64` that is known not to exceed the exact a + b.
fn sum_below(a: f64, b: f64) -> f64 {
    let sum = a + b;
    // Knuth's exact error of a sum.
    let part = sum - a;
    let error = (a - (sum - part)) + (b - part);
    if error < 0.0 { sum.next_down() } else { sum }
}

/// The largest `f32` that does not exceed `x`.
fn f32_below(x: f64) -> f32 {
    let nearest = x as f32;
    if f64::from(nearest) > x { nearest.next_down() } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_everything_within_eps_and_is_as_tight_as_f32_allows() {
        assert_eq!(pixel_range(0.5, 0.0), [0.5, 0.5]);
        assert_eq!(pixel_range(0.5, 0.25), [0.25, 0.75]);
        assert_eq!(pixel_range(0.0, 0.3)[0], 0.0);
        assert_eq!(pixel_range(1.0, 0.3)[1], 1.0);
        assert_eq!(pixel_range(0.9, 0.3)[1], 1.0);
        // .1 is no f32: the ends are beside it.
        let [low, high] = pixel_range(0.5, 0.1);
        assert!(f64::from(low) <= 0.4 && f64::from(low.next_up()) > 0.4);
        assert!(f64::from(high) >= 0.6 && f64::from(high.next_down()) < 0.6);
        // A sum that f64 cannot hold: the exact ends lie just inside.
        let [low, high] = pixel_range(0.5, 1e-30);
        assert_eq!([low, high], [0.5f32.next_down(), 0.5f32.next_up()]);
    }
}
