//! The one rule for "this file belongs to other options": compares the options recorded in a file with those asked for
//! now, and refuses with every difference.

use crate::fingerprint::shortened;
use crate::wording::shown;
use crate::wording::to_json;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Everything that the bits of a result depend on, as named values.
///
/// ```
/// use deepsleep::checkpoint::MadeWith;
///
/// let ours = MadeWith::default().and("--seed", 1).and("--lr", 0.1);
/// let theirs = MadeWith::default().and("--seed", 2);
/// let differences = theirs.differences(&ours);
/// assert_eq!(differences, ["no note of its --lr, not 0.1", "--seed 2, not 1"]);
/// let refused = MadeWith::refuse("model.checkpoint", &differences).unwrap_err().to_string();
/// assert!(refused.contains("model.checkpoint was made with no note of its --lr"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MadeWith(BTreeMap<String, String>);

impl MadeWith {
    /// With this value too.
    #[must_use]
    pub fn and(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.0.insert(name.into(), value.to_string());
        self
    }

    /// With this value too, if there is one: a file may not say.
    #[must_use]
    pub fn and_if(self, name: impl Into<String>, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.and(name, value),
            None => self,
        }
    }

    /// With every field of a struct of options, by its dotted name behind `prefix`.
    #[must_use]
    pub fn and_all(mut self, prefix: &str, options: &impl Serialize) -> Self {
        if let Ok(value) = to_json(options) {
            for (name, value) in flatten(&value) {
                self.0.insert(format!("{prefix}{name}"), value.to_string());
            }
        }
        self
    }

    /// How this, of a file, differs from ours, in words; empty if it does not.
    pub fn differences(&self, ours: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(ours.0.keys()).collect();
        let values = names.into_iter().map(|name| (name, self.0.get(name), ours.0.get(name)));
        values.filter_map(|(name, theirs, ours)| difference(name, theirs, ours)).collect()
    }

    /// Refuses to go on with a file that was made with other settings than ours.
    ///
    /// # Errors
    /// If a setting differs; every one that does is listed.
    pub fn same(
        path: impl AsRef<Path>,
        theirs: BTreeMap<String, String>,
        ours: &BTreeMap<String, String>,
    ) -> Result<()> {
        Self::refuse(path, &Self(theirs).differences(&Self(ours.clone())))
    }

    /// Refuses to go on with a file if there are differences.
    ///
    /// # Errors
    /// If there are; they are listed.
    pub fn refuse(path: impl AsRef<Path>, differences: &[String]) -> Result<()> {
        if differences.is_empty() {
            return Ok(());
        }
        let path = path.as_ref();
        let file = match path.as_os_str().is_empty() {
            true => "the checkpoint".to_owned(),
            false => path.display().to_string(),
        };
        let problem = format!(
            "{file} was made with {}; give the same options, or do not resume it",
            differences.join("; ")
        );
        Err(Error::argument("cannot resume", problem))
    }
}

/// Letters of a setting that are said in full: what is longer than any list of attacks is none of a person's options.
const LONG: usize = 1000;

fn difference(name: &str, theirs: Option<&String>, ours: Option<&String>) -> Option<String> {
    let said = |value: &String| {
        if value.len() > LONG { shown(value) } else { shortened(value).to_owned() }
    };
    match (theirs, ours) {
        (theirs, ours) if theirs == ours => None,
        (Some(theirs), Some(ours)) => Some(format!("{name} {}, not {}", said(theirs), said(ours))),
        (Some(theirs), None) => Some(format!("{name} {}, which is not asked for", said(theirs))),
        (None, ours) => {
            Some(format!("no note of its {name}, not {}", ours.map_or_else(String::new, said)))
        }
    }
}

/// The dotted names of all values that are no objects, in order.
pub(crate) fn flatten(value: &Value) -> Vec<(String, Value)> {
    fn into(name: &str, value: &Value, out: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (field, value) in fields {
                    let dot = if name.is_empty() { "" } else { "." };
                    into(&format!("{name}{dot}{field}"), value, out);
                }
            }
            _ => out.push((name.to_owned(), value.clone())),
        }
    }
    let mut out = Vec::new();
    into("", value, &mut out);
    out
}
