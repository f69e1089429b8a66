//! The numbers that the paper printed (`experiments/printed.toml`), with the labels as printed and what really stood
//! behind them.

use super::sheet::parse;
use crate::Result;
use crate::attack::AttackSpec;
use serde::{Deserialize, Serialize};

const FILE: &str = include_str!("../../experiments/printed.toml");

/// A column of Tables 1 to 3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrintedColumn {
    /// As printed.
    pub label: String,
    /// Ours: `clean`, `pgd`, `fgsm`, `bim`, `cw`, `autoattack`, by what really ran.
    pub key: String,
    /// What really ran, in words; nothing for clean samples.
    #[serde(default)]
    pub ran: String,
    /// What really ran; None for clean samples.
    #[serde(default)]
    pub attack: Option<AttackSpec>,
    /// The same attack in other norms than the paper's, where its steps are too short for these.
    #[serde(default)]
    pub other_norms: Option<AttackSpec>,
    /// The same attack at its full strength, where that is another one.
    #[serde(default)]
    pub full: Option<AttackSpec>,
    /// What a spiking network is attacked with, where its gradients need another attack.
    #[serde(default)]
    pub spiking: Option<AttackSpec>,
}

/// A row of a table: six accuracies of one method at one noise scale, in the order of the columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The noise scale, e.g. `64/255`.
    pub scale: String,
    /// The method, as printed.
    pub method: String,
    /// Accuracies in 0..=1.
    pub values: Vec<f64>,
}

/// Table 1, 2 or 3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its number.
    pub number: usize,
    /// As printed.
    pub caption: String,
    /// Its rows, as printed.
    pub rows: Vec<Row>,
}

/// A curve of Figure 3, read off the figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// `a` or `b`.
    pub panel: String,
    /// The column whose attack it shows, as printed.
    pub column: String,
    /// The method, as printed.
    pub method: String,
    /// Noise scales.
    pub scales: Vec<String>,
    /// Accuracies in 0..=1, within 0.01.
    pub values: Vec<f64>,
}

/// Everything that the paper printed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Printed {
    /// The columns of all three tables.
    #[serde(rename = "column")]
    pub columns: Vec<PrintedColumn>,
    /// Tables 1, 2, 3.
    #[serde(rename = "table")]
    pub tables: Vec<Table>,
    /// Figure 3, but for what is Table 3.
    #[serde(rename = "curve")]
    pub curves: Vec<Curve>,
}

impl PrintedColumn {
    /// The label as printed, with the attack that ran where that is another.
    pub fn label_with_attack(&self) -> String {
        match self.attack {
            Some(_) if self.label.to_lowercase() != self.key => {
                format!("{} (ran: {})", self.label, self.key.to_uppercase())
            }
            _ => self.label.clone(),
        }
    }
}

impl Printed {
    /// Reads the numbers that come with the library.
    ///
    /// # Errors
    /// If the file was edited into something else.
    pub fn load() -> Result<Self> {
        parse(FILE, "experiments/printed.toml")
    }

    /// The column with this key.
    pub fn column(&self, key: &str) -> Option<&PrintedColumn> {
        self.columns.iter().find(|column| column.key == key)
    }

    /// What the paper printed for a table, a method, a scale and a column's key.
    pub fn value(&self, table: usize, method: &str, scale: &str, key: &str) -> Option<f64> {
        let at = self.columns.iter().position(|column| column.key == key)?;
        let table = self.tables.iter().find(|t| t.number == table)?;
        let row = table.rows.iter().find(|row| row.method == method && row.scale == scale)?;
        row.values.get(at).copied()
    }

    /// The same in the first table that prints it.
    pub fn anywhere(&self, method: &str, scale: &str, key: &str) -> Option<f64> {
        self.tables.iter().find_map(|table| self.value(table.number, method, scale, key))
    }
}

#[cfg(test)]
mod tests {
    use super::Printed;

    #[test]
    fn all_204_cells_are_there() {
        let printed = Printed::load().expect("the file is ours");
        let cells = printed.tables.iter().flat_map(|t| &t.rows).map(|row| row.values.len());
        assert_eq!(cells.sum::<usize>(), 204);
        assert_eq!(printed.value(2, "Fast-wave only", "128/255", "autoattack"), Some(0.0098));
        // The column printed as PGD is FGSM.
        assert_eq!(printed.value(3, "DeepSleep", "255/255", "fgsm"), Some(0.1099));
    }
}
