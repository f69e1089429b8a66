//! Tables and figures as configuration (`experiments/*.toml`): which methods, noise scales and columns.

use crate::attack::{Norm, parse_eps};
use crate::files::read_regular;
use crate::method::{Settings, Training, current_name, spiking_reads};
use crate::wording::in_words;
use crate::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// A model's recipe.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowSpec {
    /// As the paper prints it, e.g. `DeepSleep (depth=3)`.
    pub label: String,
    /// Ours, for files: `deepsleep-depth-3`.
    pub id: String,
    /// A defense, or `none` for the control.
    #[serde(rename = "defense")]
    pub training: Training,
    /// Settings in which it differs, by name.
    #[serde(default, deserialize_with = "by_current_names")]
    pub set: BTreeMap<String, String>,
    /// Whether the model is run as a spiking network (`fast_wave.spiking` says how), not as the network of rectifiers that it
    /// is saved as.
    #[serde(default, skip_serializing_if = "is_false")]
    pub spiking: bool,
}

/// What is left out of files: what older ones do not say.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(super) fn is_false(value: &bool) -> bool {
    !*value
}

impl RowSpec {
    /// The experiment's settings with the method's own.
    ///
    /// # Errors
    /// If a setting is unknown, or does not take its value; the row is named.
    pub fn settings(&self, of_experiment: &Settings) -> Result<Settings> {
        let mut settings = of_experiment.clone();
        set_all(&mut settings, &self.set).map_err(|error| self.blamed(error))?;
        Ok(settings)
    }

    /// What is wrong with its settings, with its name.
    pub(super) fn blamed(&self, error: Error) -> Error {
        Error::argument("experiment", format!("row `{}`: {error}", self.id))
    }

    /// Whether a setting makes a difference to the model: its training, or that of the control which it starts from,
    /// reads it.
    ///
    /// # Errors
    /// As for [`settings`](Self::settings).
    pub fn reads(&self, of_experiment: &Settings, name: &str) -> Result<bool> {
        let settings = self.settings(of_experiment)?;
        let spikes = self.spiking && spiking_reads(&settings, name);
        Ok(spikes || [self.training, Training::Control].iter().any(|t| t.reads(&settings, name)))
    }

    /// Rejects settings that would not be applied, or do not go together.
    ///
    /// # Errors
    /// If there are such; the row is named. And those of [`reads`](Self::reads).
    pub fn validate(&self, of_experiment: &Settings) -> Result<()> {
        let settings = self.settings(of_experiment)?;
        settings.validate().map_err(|error| self.blamed(error))?;
        let trains = "adversarial_training.spiking";
        if settings.adversarial_training.spiking
            && !self.spiking
            && self.training.reads(&settings, trains)
        {
            let problem = "trains a spiking network, which would be measured with ReLUs; add `spiking = true` to the row";
            return Err(self.blamed(Error::argument("setting", format!("`{trains}`: {problem}"))));
        }
        for name in self.set.keys() {
            let problem = if name == "seed" {
                "a model has the seeds of the experiment, or `seeds` of a sweep".into()
            } else if !self.reads(of_experiment, name)? {
                format!("it changes nothing: `{}` reads no such setting here", self.training)
            } else {
                continue;
            };
            return Err(self.blamed(Error::argument("setting", format!("`{name}`: {problem}"))));
        }
        Ok(())
    }
}

/// Settings by name, those of older sheets by the names of today.
fn by_current_names<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let set = BTreeMap::<String, String>::deserialize(deserializer)?;
    Ok(set.into_iter().map(|(name, value)| (current_name(&name).into_owned(), value)).collect())
}

/// The norm of what does not say it.
pub(super) fn linf() -> Norm {
    Norm::Linf
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(super) fn is_linf(norm: &Norm) -> bool {
    *norm == Norm::Linf
}

/// A table or a figure. One of the caller's without methods stands for the paper's, with another network or other images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sheet {
    /// The network: its name, or a file, seen from the sheet's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The data set: its name, or a folder or file, seen from the sheet's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Settings of all models in which they differ from the profile's, by name.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "by_current_names"
    )]
    pub set: BTreeMap<String, String>,
    /// The number of the table, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<usize>,
    /// The number of the figure, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figure: Option<usize>,
    /// How perturbations are measured; Linf if the sheet does not say.
    #[serde(default = "linf")]
    pub norm: Norm,
    /// Noise scales such as `64/255`.
    #[serde(default)]
    pub scales: Vec<String>,
    /// Columns: the paper's by their keys, and attacks with their options.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Rows.
    #[serde(rename = "method", alias = "row", default)]
    pub rows: Vec<RowSpec>,
}

impl Sheet {
    /// A table of these rows, with the network and the images of the experiment.
    pub fn new(norm: Norm, scales: Vec<String>, columns: Vec<String>, rows: Vec<RowSpec>) -> Self {
        Self {
            architecture: None,
            data: None,
            set: BTreeMap::new(),
            table: None,
            figure: None,
            norm,
            scales,
            columns,
            rows,
        }
    }

    /// Rejects a list that is empty, or has something twice: what that would mean is not clear.
    ///
    /// # Errors
    /// If there is one.
    pub fn validate(&self) -> Result<()> {
        // Each name with what makes it the same as another.
        let list = |what: &str, names: Vec<(String, &String)>| {
            if names.is_empty() {
                return Err(Error::argument("experiment", format!("there is no {what}")));
            }
            let mut known = HashSet::new();
            match names.into_iter().find(|(same, _)| !known.insert(same.clone())) {
                Some((_, name)) => {
                    let problem = format!("the {what} `{name}` is there twice");
                    Err(Error::argument("experiment", problem))
                }
                None => Ok(()),
            }
        };
        // One radius may be written in several ways; what is none is refused where it is used.
        let radius = |scale: &String| {
            let read = parse_eps(scale, self.norm, usize::MAX);
            read.map_or_else(|_| scale.clone(), |eps| format!("{eps:?}"))
        };
        list("noise scale", self.scales.iter().map(|scale| (radius(scale), scale)).collect())?;
        list("column", self.columns.iter().map(|column| (column.clone(), column)).collect())?;
        list("row", self.rows.iter().map(|row| (row.id.clone(), &row.id)).collect())
    }

    /// Reads a sheet of the caller's.
    ///
    /// # Errors
    /// If it cannot be read, is no sheet, or asks for nothing, or for a table of the paper with rows of its own.
    pub fn load(path: &Path) -> Result<Self> {
        let sheet: Self = read(path)?;
        let fail = |problem: &str| Err(Error::format(path, problem));
        let of_paper = sheet.table.is_some() || sheet.figure.is_some();
        match (sheet.rows.is_empty(), sheet.scales.is_empty(), sheet.columns.is_empty()) {
            (false, ..) if of_paper => fail(
                "`table` and `figure` are the paper's, with rows of their own; leave them out, or every [[row]]",
            ),
            (false, true, _) => {
                fail("`scales` is missing: at which noise scales the rows are attacked")
            }
            (false, _, true) => fail("`columns` is missing: by which attacks"),
            (true, false, _) | (true, _, false) => {
                fail("`scales` and `columns` are of rows, and there is no [[row]]")
            }
            (true, ..) if !is_linf(&sheet.norm) => {
                fail("`norm` is of rows, and there is no [[row]]; the paper's tables are in linf")
            }
            _ => Ok(sheet),
        }
    }

    /// A table of the paper.
    ///
    /// # Errors
    /// If there is no table of this number.
    pub fn of_table(number: usize) -> Result<Self> {
        match number {
            1 => parse(include_str!("../../experiments/table1.toml"), "experiments/table1.toml"),
            2 => parse(include_str!("../../experiments/table2.toml"), "experiments/table2.toml"),
            3 => parse(include_str!("../../experiments/table3.toml"), "experiments/table3.toml"),
            _ => {
                let problem = format!("there is no table {number}; there are 1, 2 and 3");
                Err(Error::argument("experiment", problem))
            }
        }
    }

    /// A figure of the paper.
    ///
    /// # Errors
    /// If there is no figure of this number to compute.
    pub fn of_figure(number: usize) -> Result<Self> {
        match number {
            3 => parse(include_str!("../../experiments/figure3.toml"), "experiments/figure3.toml"),
            _ => {
                let problem = format!("figure {number} shows no numbers; figure 3 does");
                Err(Error::argument("experiment", problem))
            }
        }
    }
}

/// A part of the paper's tables.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Noise scales.
    pub scales: Vec<String>,
    /// Methods, as printed.
    pub methods: Vec<String>,
}

impl Selection {
    /// What of a sheet is in it; None if that is nothing.
    pub fn of(&self, mut sheet: Sheet) -> Option<Sheet> {
        sheet.scales.retain(|scale| self.scales.contains(scale));
        sheet.rows.retain(|row| self.methods.contains(&row.label));
        (!sheet.scales.is_empty() && !sheet.rows.is_empty()).then_some(sheet)
    }
}

/// The shortened run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quick {
    /// What is run if no table is named.
    pub only: Selection,
    /// Training images.
    pub train_images: usize,
    /// Test images under transfer attacks.
    pub images: usize,
    /// Test images under white-box attacks.
    pub white_box_images: usize,
    /// Settings in which it differs from the profile.
    pub set: BTreeMap<String, String>,
}

impl Quick {
    /// `experiments/quick.toml`.
    ///
    /// # Errors
    /// If the file was edited into something else.
    pub fn load() -> Result<Self> {
        parse(include_str!("../../experiments/quick.toml"), "experiments/quick.toml")
    }

    /// Shortens the settings.
    ///
    /// # Errors
    /// If a setting is unknown.
    pub fn shorten(&self, settings: &mut Settings) -> Result<()> {
        set_all(settings, &self.set)
    }
}

/// Sets many settings by name.
pub(super) fn set_all(settings: &mut Settings, values: &BTreeMap<String, String>) -> Result<()> {
    values.iter().try_for_each(|(name, value)| settings.set(name, value))
}

/// Reads a TOML file that was written by hand.
///
/// # Errors
/// If it cannot be read, is no regular file of at most a megabyte, no text, or not of this kind.
pub fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    const MOST: u64 = 1 << 20;
    let text = String::from_utf8(read_regular(path, MOST)?);
    parse(&text.map_err(|_| Error::format(path, "no text, so no TOML"))?, path)
}

/// Reads a configuration, such as a [`Sheet`], from TOML; `path` is what errors name.
///
/// # Errors
/// If the text is no TOML, or says something else.
pub fn parse<T: serde::de::DeserializeOwned>(text: &str, path: impl AsRef<Path>) -> Result<T> {
    toml::from_str(text).map_err(|e: toml::de::Error| {
        let line =
            e.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let at = line.map_or(String::new(), |line| format!("line {line}: "));
        Error::format(path, format!("{at}{}", in_words(e.message())))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Sweep;
    use super::*;

    /// What a sheet without rows says of rows would be left out without a word.
    #[test]
    fn what_is_of_rows_needs_rows() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sheet.toml");
        for (text, word) in [
            ("norm = 'l2'", "`norm` is of rows"),
            ("scales = ['64/255']", "`scales` and `columns` are of rows"),
            ("columns = ['pgd']", "`scales` and `columns` are of rows"),
        ] {
            std::fs::write(&path, text).expect("written");
            let error = Sheet::load(&path).expect_err("refused").to_string();
            assert!(error.contains(word), "{error}");
        }
        std::fs::write(&path, "norm = 'linf'\narchitecture = 'madry'").expect("written");
        Sheet::load(&path).expect("the paper's tables with another network");
    }

    #[test]
    fn a_file_that_does_not_fit_is_told_in_its_own_words() {
        let whole = "all = false\nscales = ['64/255']\ncolumns = ['fgsm']\nseeds = 1\nmethod = []\naxis = []\n";
        parse::<Sweep>(whole, "s.toml").expect("a sweep");
        for (from, to, words) in [
            ("all = false\n", "", "`all` is missing"),
            (
                "all = false",
                "all = 'yes'",
                "line 1: \"yes\" does not fit here; expected true or false",
            ),
            (
                "seeds = 1",
                "seeds = -1",
                "line 4: `-1` does not fit here; expected a whole number, 0 or greater",
            ),
            ("seeds = 1", "seeds = 'x'", "expected a whole number, 0 or greater"),
            ("['64/255']", "[1]", "line 2: `1` does not fit here; expected a text in quotes"),
            ("['fgsm']", "'fgsm'", "expected a list in brackets"),
            ("seeds", "seedz", "there is no `seedz` here; there are `all`, `scales`"),
            ("all = false", "all = = false", "line 1: "),
        ] {
            let text = whole.replace(from, to);
            let error = parse::<Sweep>(&text, "s.toml").expect_err("wrong").to_string();
            assert!(error.starts_with("s.toml: ") && error.contains(words), "{error}");
            for jargon in ["invalid type", "usize", "struct", "field", "boolean"] {
                assert!(!error.contains(jargon), "{error}");
            }
        }
    }
}
