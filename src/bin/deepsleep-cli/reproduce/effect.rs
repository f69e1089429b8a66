//! Settings that would change nothing.

use super::Reproduce;
use crate::failure::WrongUse;
use crate::settings::assignments;
use anyhow::Result;
use deepsleep::Error;
use deepsleep::experiment::{Graph, Sheet};
use deepsleep::method::Settings;

impl Reproduce {
    /// Where it is said how many seeds there are.
    fn seeds(&self) -> String {
        match (&self.search, &self.sweep) {
            (Some(path), _) => format!("`seeds` and `final_seeds` in {} say", path.display()),
            (_, Some(path)) => format!("`seeds` in {} says", path.display()),
            _ => "--seeds says".to_owned(),
        }
    }

    /// Refuses settings that would change nothing in any of these graphs.
    pub(super) fn refuse_without_effect(
        &self,
        sheet: Option<&Sheet>,
        graphs: &[(&Settings, &Graph)],
    ) -> Result<()> {
        let no_effect = |name: &str| match graphs.iter().any(|(_, graph)| graph.reads(name)) {
            true => "every model that reads it is given a value of its own",
            false => "no model that was asked for reads it",
        };
        let problem = |name: &str| match name {
            "seed" => Some(format!("seeds are 0 and on; {} how many", self.seeds())),
            _ if graphs.iter().any(|(settings, graph)| graph.takes(settings, name)) => None,
            _ => Some(format!("this changes nothing: {}", no_effect(name))),
        };
        if let (Some(sheet), Some(path)) = (sheet, &self.sheet) {
            let set = sheet.set.keys();
            if let Some((name, problem)) = set.filter_map(|n| Some((n, problem(n)?))).next() {
                return Err(Error::format(path, format!("`{name}`: {problem}")).into());
            }
        }
        for (name, value) in assignments(&self.set)? {
            if let Some(problem) = problem(name) {
                return Err(WrongUse(format!("--set {name}={value}: {problem}")).into());
            }
        }
        Ok(())
    }
}
