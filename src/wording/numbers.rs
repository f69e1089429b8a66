//! Numbers as people write them, and read back.

/// A number as people write it: 64/255, 0.1, 0.00001; whichever is shorter. Read back, it has the same bits.
///
/// ```
/// use deepsleep::wording::written;
/// assert_eq!([0.3, 64.0 / 255.0, 1e-5].map(written), ["0.3", "64/255", "0.00001"]);
/// ```
pub fn written(number: f32) -> String {
    let decimal = number.to_string();
    let above = (f64::from(number) * 255.0).round();
    let fraction = format!("{above}/255");
    let same = (above / 255.0) as f32 == number;
    if same && fraction.len() < decimal.len() { fraction } else { decimal }
}

/// `64/255`, if it is of this form.
pub fn fraction(text: &str) -> Option<f64> {
    let (above, below) = text.split_once('/')?;
    let (above, below): (f64, f64) = (above.trim().parse().ok()?, below.trim().parse().ok()?);
    Some(above / below).filter(|fraction| fraction.is_finite())
}

/// `0.3` or `64/255`. As 32 bits: 1e300 is no number here.
pub fn number(text: &str) -> Option<f32> {
    let number = fraction(text).or_else(|| text.parse().ok())?;
    Some(number as f32).filter(|number| number.is_finite())
}

/// A number with four digits that say something, however small it is.
///
/// ```
/// use deepsleep::wording::significant;
/// assert_eq!([0.0, 0.3, 1.0 / 3.0, 1e-5].map(significant), ["0", "0.3", "0.3333", "1.000e-5"]);
/// ```
pub fn significant(number: f64) -> String {
    let rounded = format!("{number:.3e}");
    match rounded.parse::<f64>() {
        Ok(round) if number == 0.0 || number.abs() >= 1e-4 => round.to_string(),
        _ => rounded,
    }
}

/// A number with separators between thousands.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (head, rest) = digits.split_at(first);
    let groups = rest.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let head = (!head.is_empty()).then(|| head.to_owned());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [128.0 / 255.0, 0.3, 0.005 * 1.05].map(written),
            ["128/255", "0.3", "0.0052499995"]
        );
        let numbers = [0.0, -0.3, 1.0 / 3.0, 24.000_01, 0.000_01, f64::NAN].map(significant);
        assert_eq!(numbers, ["0", "-0.3", "0.3333", "24", "1.000e-5", "NaN"]);
        assert_eq!(
            (grouped(7), grouped(1234), grouped(100_000)),
            ("7".into(), "1,234".into(), "100,000".into())
        );
    }

    #[test]
    fn fractions_are_numbers() {
        assert_eq!(fraction(" 64 / 255"), Some(64.0 / 255.0));
        assert_eq!((fraction("0.3"), fraction("1/0"), fraction("0/0")), (None, None, None));
        assert_eq!((number("0.3"), number("64/255")), (Some(0.3), Some(64.0 / 255.0)));
        assert_eq!((number("1e300"), number("inf"), number("1/x")), (None, None, None));
    }
}
