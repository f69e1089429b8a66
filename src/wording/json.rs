//! Values as JSON, with numbers as they were written.

use super::shown;
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt::Formatter;

/// JSON in which no object has a key twice: which of the two counts is nobody's to guess.
///
/// # Errors
/// If the text is no JSON, or a key is there twice.
pub fn from_strict_json(text: &str) -> serde_json::Result<Value> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = from.next_element_seed(Strict)? {
            all.push(value);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(key) = from.next_key::<String>()? {
            if all.contains_key(&key) {
                return Err(A::Error::custom(format!("`{}` is there twice", shown(&key))));
            }
            let value = from.next_value_seed(Strict)?;
            all.insert(key, value);
        }
        Ok(Value::Object(all))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_once() {
        for text in ["{\"a\": [1, -2, 0.1, \"x\", null, true], \"b\": {\"a\": {}}}", "[]", "1.5"] {
            let plain: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(from_strict_json(text).expect("no key twice"), plain);
        }
        for (text, word) in [
            ("{\"a\": 1, \"a\": 1}", "`a` is there twice"),
            ("[{\"b\": {\"mean\": 1, \"std\": 2, \"mean\": 3}}]", "`mean` is there twice"),
            ("{} {}", "trailing"),
            ("{", "EOF"),
        ] {
            let error = from_strict_json(text).expect_err("refused").to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
