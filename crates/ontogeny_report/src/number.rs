//! Numbers as a reader wants them: few digits, thousands grouped, a real minus sign.

/// A value in a sentence or a read-out: four significant digits; counts are written in full.
pub(crate) fn human(value: f64) -> String {
    if value.is_nan() {
        return "not a number".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e9).contains(&size) {
        let text = format!("{value:.3e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!(
            "{}×10{}",
            minus(trim(mantissa)),
            superscript(exponent.parse().unwrap_or(0))
        );
    }
    if value.fract() == 0.0 {
        return grouped(&format!("{value:.0}"));
    }
    let digits = (3 - size.log10().floor() as i32).max(0) as usize;
    grouped(trim(&format!("{value:.digits$}")))
}

/// A value in a tight place: three significant digits, thousands as `k`, `M`.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    if (1e4..1e15).contains(&size) {
        let magnitude = 10f64.powf(size.log10().floor() - 2.0);
        return tick((value / magnitude).round() * magnitude, 0, true);
    }
    if size == 0.0 || !(1e-4..1e4).contains(&size) {
        return human(value);
    }
    let digits = (2 - size.log10().floor() as i32).max(0) as usize;
    minus(trim(&format!("{value:.digits$}")))
}

/// A position on an axis with `decimals` decimals; thousands as `k`, `M`, `G`, `T` if `compact`.
pub(crate) fn tick(value: f64, decimals: usize, compact: bool) -> String {
    let size = value.abs();
    if compact {
        for (scale, suffix) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
            if size >= scale * 0.999_999 {
                let digits = format!("{:.4}", value / scale);
                return format!("{}{suffix}", minus(trim(&digits)));
            }
        }
    }
    let text = format!("{value:.decimals$}");
    let is_zero = text.bytes().all(|b| matches!(b, b'0' | b'.' | b'-'));
    if is_zero { "0".to_owned() } else { grouped(&text) }
}

/// Ten to the power of `exponent`: plain where that is short, else as a power.
pub(crate) fn power_of_ten(exponent: i32, plain: bool) -> String {
    match exponent {
        0 if plain => "1".to_owned(),
        1 | 2 if plain => format!("{:.0}", 10f64.powi(exponent)),
        3..=14 if plain => tick(10f64.powi(exponent), 0, true),
        -4..=-1 if plain => {
            format!("{:.*}", exponent.unsigned_abs() as usize, 10f64.powi(exponent))
        }
        _ => format!("10{}", superscript(exponent)),
    }
}

/// An integer as superscript digits.
pub(crate) fn superscript(number: i32) -> String {
    number
        .to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            c => char::from_u32(0x2070 + c.to_digit(10).unwrap_or(0)).unwrap_or(c),
        })
        .collect()
}

/// A number for a machine: the shortest text that reads back as the same value; empty if there is none.
pub(crate) fn exact(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        if value.is_nan() { String::new() } else { format!("{value}") }
    } else if size != 0.0 && !(1e-5..1e15).contains(&size) {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

fn trim(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

fn minus(text: &str) -> String {
    text.strip_prefix('-').map_or_else(|| text.to_owned(), |rest| format!("−{rest}"))
}

/// Groups the digits before the point by thin spaces from five digits on.
fn grouped(text: &str) -> String {
    let (sign, body) = text.strip_prefix('-').map_or(("", text), |rest| ("−", rest));
    let (whole, rest) = body.find('.').map_or((body, ""), |at| body.split_at(at));
    if whole.len() < 5 {
        return format!("{sign}{whole}{rest}");
    }
    let mut out = String::from(sign);
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(c);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: f64, expected: &str) {
        assert_eq!(human(value), expected);
    }

    #[test]
    fn numbers_read_well() {
        check(0.0, "0");
        check(-0.25, "−0.25");
        check(1234.0, "1234");
        check(20_600.0, "20\u{2009}600");
        check(0.123_456, "0.1235");
        check(1.5e-7, "1.5×10⁻⁷");
        check(-3e12, "−3×10¹²");
        check(f64::NAN, "not a number");
        check(f64::NEG_INFINITY, "−∞");
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!(tick(20_000.0, 0, true), "20k");
        assert_eq!(tick(-1_500_000.0, 0, true), "−1.5M");
        assert_eq!(tick(0.30, 1, false), "0.3");
        assert_eq!(tick(-0.0, 1, false), "0");
        assert_eq!(short(0.009_612), "0.00961");
        assert_eq!(short(-123_456.0), "−123k");
        assert_eq!(power_of_ten(-3, true), "0.001");
        assert_eq!(power_of_ten(-7, false), "10⁻⁷");
        assert_eq!(power_of_ten(4, true), "10k");
    }

    #[test]
    fn what_a_machine_reads_is_exact() {
        for value in [0.1, 1e-30, 1.234_567_890_123e17, -4.0] {
            assert_eq!(exact(value).parse::<f64>().unwrap(), value);
        }
        assert_eq!(exact(f64::NAN), "");
    }
}
