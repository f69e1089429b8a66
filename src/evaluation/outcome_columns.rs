//! Columns of stored outcomes: values as run-length encoded words.

use crate::attack::{Expected, Status, Winner};
use crate::{Error, Result};
use std::fmt::Display;
use std::str::FromStr;

/// Outcomes that are read, at most: a run length is an untrusted number.
const MOST: usize = 10_000_000;

/// Placeholder for a missing value.
pub(super) const NONE: &str = "-";

/// Values as words: `0.5*3 1` is 0.5 three times, then 1.
pub(super) fn column<T: Display>(values: impl Iterator<Item = T>) -> String {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for value in values {
        let word = value.to_string();
        match runs.last_mut() {
            Some((last, count)) if *last == word => *count += 1,
            _ => runs.push((word, 1)),
        }
    }
    let run = |(word, count)| if count == 1 { word } else { format!("{word}*{count}") };
    runs.into_iter().map(run).collect::<Vec<String>>().join(" ")
}

pub(super) fn words(column: &str) -> Result<Vec<&str>> {
    let mut all = Vec::new();
    for run in column.split_ascii_whitespace() {
        let (word, count) = match run.rsplit_once('*') {
            Some((word, count)) => (word, count.parse().map_err(|_| unreadable(run))?),
            None => (run, 1_usize),
        };
        if count > MOST - all.len() {
            return Err(unreadable(run));
        }
        all.extend(std::iter::repeat_n(word, count));
    }
    Ok(all)
}

pub(super) fn numbers<T: FromStr>(name: &str, column: &str) -> Result<Vec<T>> {
    let number = |word: &str| word.parse().map_err(|_| unreadable(&format!("{name}: {word}")));
    words(column)?.into_iter().map(number).collect()
}

pub(super) fn letter(status: Status) -> char {
    match status {
        Status::CleanWrong => 'c',
        Status::Fooled => 'f',
        Status::Survived => 's',
        Status::Invalid => 'i',
        Status::Outside => 'o',
        Status::Uncertified => 'u',
    }
}

pub(super) fn status(word: &str) -> Result<Status> {
    let all = [
        Status::CleanWrong,
        Status::Fooled,
        Status::Survived,
        Status::Invalid,
        Status::Outside,
        Status::Uncertified,
    ];
    let mut all = all.into_iter();
    all.find(|status| letter(*status).to_string() == word).ok_or_else(|| unreadable(word))
}

pub(super) fn winner(winner: &Winner) -> String {
    let Winner { attack, restart, target, iteration } = winner;
    let target = target.map_or(NONE.to_owned(), |target| target.to_string());
    // Names of others may hold anything.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:=,".contains(c);
    let attack: String = attack.chars().filter(|c| plain(*c)).collect();
    format!("{attack}/{restart}/{target}/{iteration}")
}

pub(super) fn finder(word: &str) -> Result<Option<Winner>> {
    if word == NONE {
        return Ok(None);
    }
    let read = || {
        let mut parts = word.split('/');
        let attack = parts.next()?.to_owned().into();
        let restart = parts.next()?.parse().ok()?;
        let target = match parts.next()? {
            NONE => None,
            target => Some(target.parse().ok()?),
        };
        Some(Winner { attack, restart, target, iteration: parts.next()?.parse().ok()? })
    };
    read().map(Some).ok_or_else(|| unreadable(word))
}

pub(super) fn shares(word: &str) -> Result<Option<Expected>> {
    if word == NONE {
        return Ok(None);
    }
    let read = || {
        let (clean, attacked) = word.split_once('/')?;
        Some(Expected { clean: clean.parse().ok()?, attacked: attacked.parse().ok()? })
    };
    read().map(Some).ok_or_else(|| unreadable(word))
}

fn unreadable(word: &str) -> Error {
    let word: String = word.chars().take(40).collect();
    Error::format("", format!("`{word}` is not a valid value in stored evidence"))
}

pub(super) fn differ(name: &str, expected: usize, found: usize) -> Error {
    Error::format("", format!("the column `{name}` has {found} values, `ids` has {expected}"))
}
