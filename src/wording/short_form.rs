//! Structured values the way attacks are written: `pgd:steps=10,step=0.01` for `{"pgd":{"steps":10,"step":0.01}}`.

use super::{of_32_bits, to_json, written};
use serde::Serialize;
use serde_json::{Map, Value};

/// A value as text: the short form if it has one, else JSON.
pub fn of(value: &impl Serialize) -> String {
    let value = to_json(value).unwrap_or_default();
    short(&value).unwrap_or_else(|| value.to_string())
}

fn short(value: &Value) -> Option<String> {
    let fields = match value {
        Value::String(name) => return Some(name.clone()),
        Value::Object(fields) => fields,
        _ => return None,
    };
    let mut fields = fields.iter();
    let (Some((name, content)), None) = (fields.next(), fields.next()) else { return None };
    match content {
        Value::Number(_) => Some(format!("{name}:{}", plain(content))),
        Value::Object(options) if options.values().all(|v| !v.is_object() && !v.is_array()) => {
            let options: Vec<String> =
                options.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
            Some(format!("{name}:{}", options.join(",")))
        }
        _ => None,
    }
}

/// A number as people write it, anything else as JSON.
pub fn plain(value: &Value) -> String {
    of_32_bits(value).map_or_else(|| value.to_string(), written)
}

/// The name that stands before the colon, if there is one, and what stands between the commas behind it: a key with its
/// value, or something else.
pub fn split(text: &str) -> (&str, Vec<(&str, Option<&str>)>) {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    let parts = rest.split(',').map(str::trim).filter(|part| !part.is_empty());
    let options = parts.map(|part| match part.split_once('=') {
        Some((key, value)) => (key.trim(), Some(value.trim())),
        None => (part, None),
    });
    (name.trim(), options.collect())
}

/// A short form as JSON, its values read by `value`; none if it is no short form, or names an option twice.
pub fn read(text: &str, value: impl Fn(&str) -> Value) -> Option<Value> {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    let (name, parts) = split(text);
    if !is_name(name) {
        return None;
    }
    let content = match parts[..] {
        [] => return None,
        [(number, None)] => Some(value(number)).filter(Value::is_number)?,
        _ => {
            let mut options = Map::new();
            for (option, text) in parts {
                let is_new =
                    is_name(option) && options.insert(option.to_owned(), value(text?)).is_none();
                if !is_new {
                    return None;
                }
            }
            Value::Object(options)
        }
    };
    Some(Value::Object(Map::from_iter([(name.to_owned(), content)])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_options_are_told_apart() {
        assert_eq!(split("pgd"), ("pgd", vec![]));
        assert_eq!(split(" pgd : steps = 4, x,"), ("pgd", vec![("steps", Some("4")), ("x", None)]));
        let json = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        assert_eq!(read("a:b=1,c=d", json), Some(serde_json::json!({"a": {"b": 1, "c": "d"}})));
        assert_eq!(read("a:2", json), Some(serde_json::json!({"a": 2})));
        for none in ["a", "a:", "a:x", "a:b=1,b=2", "a:b=1,c", "4:b=1", "a:2,3"] {
            assert_eq!(read(none, json), None, "{none}");
        }
    }

    #[test]
    fn numbers_are_written_as_people_write_them() {
        let value = serde_json::json!({"sgd": {"momentum": 0.0, "rate": 0.1, "epochs": 3}});
        assert_eq!(of(&value), "sgd:epochs=3,momentum=0,rate=0.1");
        assert_eq!(of(&serde_json::json!({"arctan": 2.0})), "arctan:2");
    }
}
