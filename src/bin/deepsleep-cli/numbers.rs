//! Numbers on the command line, checked against their range before any work begins.

/// A whole number of at least `MIN`.
pub fn at_least<const MIN: usize>(text: &str) -> Result<usize, String> {
    let number: usize = whole(text)?;
    if number < MIN { Err(format!("it must be at least {MIN}")) } else { Ok(number) }
}

/// A whole number from `MIN` to `MAX`.
pub fn between<const MIN: usize, const MAX: usize>(text: &str) -> Result<usize, String> {
    at_least::<MIN>(text).and_then(|_| at_most::<MAX>(text))
}

/// A whole number of at most `MAX`.
pub fn at_most<const MAX: usize>(text: &str) -> Result<usize, String> {
    let number: usize = whole(text)?;
    if number > MAX { Err(format!("it must be at most {MAX}")) } else { Ok(number) }
}

/// A finite number above zero.
pub fn positive(text: &str) -> Result<f32, String> {
    let number: f32 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    // Too small a number becomes 0, too large a one infinite.
    if number > 0.0 && number.is_finite() {
        Ok(number)
    } else {
        Err("it must be above 0 and finite".to_owned())
    }
}

/// A share as a percentage; of nothing there is none.
pub fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.2} %", 100.0 * part / whole) } else { "- %".to_owned() }
}

/// An interval of shares, in few letters.
pub fn range([low, high]: [f64; 2]) -> String {
    format!("{:.2}-{:.2} %", 100.0 * low, 100.0 * high)
}

/// Where a share lies.
pub fn confidence([low, high]: [f64; 2]) -> String {
    format!("{:.2} to {:.2} % with 95 % confidence", 100.0 * low, 100.0 * high)
}

/// A whole number: an index, a seed.
pub fn whole<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| "it is not a whole number, 0 or greater".to_owned())
}
