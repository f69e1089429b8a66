//! What a column of a sheet measures.

use super::printed::{Printed, PrintedColumn};
use crate::attack::{ATTACKS, AttackSpec};
use crate::certify::BoundMethod;
use crate::wording::meant;
use crate::{Error, Result};

/// The key of the column of certified images, those of interval bounds; `certified=crown` has those of CROWN.
pub const CERTIFIED: &str = "certified";

/// The key of the column of what withstands all attacks beside it.
pub const UNION: &str = "union";

/// A column by what is measured in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// What models make of images: clean ones, or those of an attack.
    Shown(Box<PrintedColumn>),
    /// Which images are certified.
    Certified(BoundMethod),
    /// Which images withstand all attacks of the sheet.
    Union,
}

impl Column {
    /// The column with this key, or that of an attack that the paper has none of, such as `square:queries=1000`: it runs as it
    /// is written, whatever the profile.
    ///
    /// # Errors
    /// If there is neither, or the attack has no such option.
    pub fn of(key: &str, printed: &Printed) -> Result<Self> {
        if key == UNION {
            return Ok(Self::Union);
        }
        if let Some(bounds) = bounds(key) {
            let wrong = |e| Error::argument("experiment", format!("the column `{key}`: {e}"));
            return bounds.map(Self::Certified).map_err(wrong);
        }
        let column = match printed.column(key) {
            Some(column) => column.clone(),
            None => of_attack(key, printed)?,
        };
        Ok(Self::Shown(Box::new(column)))
    }

    /// Whether an attack stands in it.
    pub fn is_attack(&self) -> bool {
        matches!(self, Self::Shown(column) if column.attack.is_some())
    }
}

/// How the images of the column with this key are certified; None if it is another.
pub fn certified_by(key: &str) -> Option<BoundMethod> {
    bounds(key)?.ok()
}

fn bounds(key: &str) -> Option<Result<BoundMethod>> {
    match key.strip_prefix(CERTIFIED)? {
        "" => Some(Ok(BoundMethod::default())),
        rest => rest.strip_prefix('=').map(str::parse),
    }
}

fn of_attack(key: &str, printed: &Printed) -> Result<PrintedColumn> {
    let name = key.split(':').next().unwrap_or(key);
    // In capitals, as the paper has them, they are no attacks of that name with our defaults.
    let is_printed = printed.columns.iter().any(|column| column.key.eq_ignore_ascii_case(key));
    if is_printed || !ATTACKS.iter().any(|attack| attack.name.eq_ignore_ascii_case(name)) {
        let keys = printed.columns.iter().map(|column| column.key.as_str());
        let keys: Vec<&str> = keys.chain([UNION, CERTIFIED]).collect();
        let (meant, keys) = (meant(key, &keys), keys.join(", "));
        let problem = format!(
            "there is no column `{key}`{meant}; there are {keys}, and attacks such as `square:queries=1000` (`attack --list`)"
        );
        return Err(Error::argument("experiment", problem));
    }
    let attack: AttackSpec = key.parse()?;
    attack.build()?;
    let (label, key) = (key.to_owned(), key.to_owned());
    let ran = attack.to_string();
    Ok(PrintedColumn {
        label,
        key,
        ran,
        attack: Some(attack),
        other_norms: None,
        full: None,
        spiking: None,
    })
}
