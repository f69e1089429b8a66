//! Values as JSON, with numbers as they were written.

use serde::Serialize;
use serde_json::Value;

/// A value as JSON by way of text: an f32 stays the shortest number that names it (0.1), where a direct conversion would
/// widen it first (0.10000000149011612).
pub fn to_json(value: &impl Serialize) -> serde_json::Result<Value> {
    serde_json::from_str(&serde_json::to_string(value)?)
}

/// The number that a value was when it was written in decimals, if it is one of 32 bits.
pub fn of_32_bits(value: &Value) -> Option<f32> {
    let number = value.as_f64().filter(|_| value.is_f64())?;
    let short = number as f32;
    (short.to_string().parse() == Ok(number)).then_some(short)
}
