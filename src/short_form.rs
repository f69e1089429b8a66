//! Writes structured values the way attacks are written: `pgd:steps=10,step=0.01` for `{"pgd":{"steps":10,"step":0.01}}`.

use crate::checkpoint::to_json;
use serde::Serialize;
use serde_json::{Map, Value};

/// A value as text: the short form if it has one, else JSON.
pub fn of(value: &impl Serialize) -> String {
    let value = to_json(value).unwrap_or_default();
    written(&value).unwrap_or_else(|| value.to_string())
}

fn written(value: &Value) -> Option<String> {
    let fields = match value {
        Value::String(name) => return Some(name.clone()),
        Value::Object(fields) => fields,
        _ => return None,
    };
    let mut fields = fields.iter();
    let (Some((name, content)), None) = (fields.next(), fields.next()) else { return None };
    match content {
        Value::Number(number) => Some(format!("{name}:{number}")),
        Value::Object(options) if options.values().all(|v| !v.is_object() && !v.is_array()) => {
            let options: Vec<String> = options.iter().map(|(n, v)| format!("{n}={v}")).collect();
            Some(format!("{name}:{}", options.join(",")))
        }
        _ => None,
    }
}

/// A short form as JSON, its values read by `value`; none if it is no short form, or names an option twice.
pub fn read(text: &str, value: impl Fn(&str) -> Value) -> Option<Value> {
    let (name, rest) = text.split_once(':')?;
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    let name = Some(name.trim()).filter(|name| is_name(name))?;
    let content = if rest.contains('=') {
        let mut options = Map::new();
        for option in rest.split(',') {
            let (option, text) = option.split_once('=')?;
            let option = Some(option.trim()).filter(|option| is_name(option))?;
            if options.insert(option.to_owned(), value(text.trim())).is_some() {
                return None;
            }
        }
        Value::Object(options)
    } else {
        Some(value(rest.trim())).filter(Value::is_number)?
    };
    Some(Value::Object(Map::from_iter([(name.to_owned(), content)])))
}
