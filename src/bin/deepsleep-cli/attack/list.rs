//! `attack --list`: the attacks and their options.

use crate::common::Common;
use anyhow::Result;
use deepsleep::attack::{ATTACKS, parse_attack};
use serde::Serialize;

#[derive(Serialize)]
struct ListedAttack {
    name: &'static str,
    summary: &'static str,
    options: Vec<ListedOption>,
}

#[derive(Serialize)]
struct ListedOption {
    key: &'static str,
    default: &'static str,
    meaning: &'static str,
}

/// All attacks, or the one of this name (its options are not looked at).
pub fn run(common: &Common, only: Option<&str>) -> Result<()> {
    let only = only.map(|text| text.trim().to_ascii_lowercase());
    let only = only.as_deref().map(|text| text.split(':').next().unwrap_or(text));
    if let Some(name) = only
        && !ATTACKS.iter().any(|entry| entry.name == name)
    {
        // An unknown name is refused in the same words as where an attack is run.
        parse_attack(name)?;
    }
    let option = |&(key, default, meaning): &_| ListedOption { key, default, meaning };
    let wanted = ATTACKS.iter().filter(|entry| only.is_none_or(|name| entry.name == name));
    let list = wanted.map(|entry| ListedAttack {
        name: entry.name,
        summary: entry.summary,
        options: entry.options().map(option).collect(),
    });
    let list: Vec<ListedAttack> = list.collect();
    let mut lines = Vec::new();
    for entry in &list {
        lines.push(format!("{:<12} {}", entry.name, entry.summary));
        for ListedOption { key, default, meaning } in &entry.options {
            lines.push(format!("    {:<26} {meaning}", format!("{key}={default}")));
        }
    }
    lines.push("norms: linf, l2 and l1, and l0 for fgsm, bim, pgd and eot-pgd, unless the line of an attack says otherwise".to_owned());
    common.console().result(&list, lines.join("\n"))
}
