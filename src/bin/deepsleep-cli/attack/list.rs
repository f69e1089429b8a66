//! `attack --list`: what there is.

use crate::common::Common;
use anyhow::Result;
use deepsleep::attack::ATTACKS;
use serde::Serialize;

#[derive(Serialize)]
struct Listed {
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

pub fn run(common: &Common) -> Result<()> {
    let option = |&(key, default, meaning): &_| ListedOption { key, default, meaning };
    let list = ATTACKS.iter().map(|entry| Listed {
        name: entry.name,
        summary: entry.summary,
        options: entry.options.iter().map(option).collect(),
    });
    let list: Vec<Listed> = list.collect();
    let mut lines = Vec::new();
    for entry in &list {
        lines.push(format!("{:<12} {}", entry.name, entry.summary));
        for ListedOption { key, default, meaning } in &entry.options {
            lines.push(format!("    {:<26} {meaning}", format!("{key}={default}")));
        }
    }
    common.console().result(&list, lines.join("\n"))
}
