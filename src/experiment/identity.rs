//! What results are of: images, network, profile and engine, which all of a folder have in common; and the settings and
//! numbers of images, which tell whether two numbers of a folder can be held against each other.

use super::observations::Observations;
use super::request::Request;
use super::results::{REPORT_FILES, Results, load};
use super::run_info::RunInfo;
use super::search::{Found, Hypothesis};
use super::sheet::set_all;
use super::spec::ExperimentSpec;
use super::store::Store;
use super::sweep::SweepFound;
use super::work::NUMERICS;
use crate::data::DataIdentity;
use crate::method::{Profile, Settings};
use crate::wording::of_json;
use crate::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// What all results of a folder have in common.
pub(super) struct FolderIdentity {
    network: String,
    profile: Profile,
    data: DataIdentity,
}

impl FolderIdentity {
    pub(super) fn of(request: &Request) -> Self {
        let ExperimentSpec { settings, data, .. } = &request.spec;
        let (network, data) = (request.network.clone(), data.clone());
        Self { network, profile: settings.profile, data }
    }

    /// How results of this differ from `ours`, in words.
    pub(super) fn differences(&self, ours: &Self) -> Vec<String> {
        let mut all = Vec::new();
        if self.profile != ours.profile {
            let (theirs, ours) = (self.profile.name(), ours.profile.name());
            all.push(format!("results of profile {theirs}, not {ours}"));
        }
        if self.network != ours.network {
            let (theirs, ours) = (&self.network, &ours.network);
            all.push(format!("results of the network `{theirs}`, not `{ours}`"));
        }
        let images = self.data.differences(&ours.data);
        all.extend(images.into_iter().map(|what| format!("results of {what}")));
        all
    }
}

/// Under what numbers were measured.
pub(super) struct Conditions<'a> {
    identity: FolderIdentity,
    settings: &'a Settings,
    trained_on: usize,
    images: usize,
    quick: bool,
}

impl<'a> Conditions<'a> {
    /// Those that a request asks for.
    pub(super) fn of(request: &'a Request) -> Self {
        let ExperimentSpec { settings, trained_on, images, quick, .. } = &request.spec;
        let identity = FolderIdentity::of(request);
        Self { identity, settings, trained_on: trained_on.images, images: *images, quick: *quick }
    }

    /// Those of results.
    pub(super) fn of_results(results: &'a Results) -> Self {
        let Results { network, data, settings, images, quick, .. } = results;
        let (network, data) = (network.clone(), data.clone().unwrap_or_default());
        let identity = FolderIdentity { network, profile: settings.profile, data };
        let trained_on = results.images_trained_on();
        Self { identity, settings, trained_on, images: *images, quick: *quick }
    }

    /// How these differ from `ours`, in words; not in settings that `ours` have from a hypothesis.
    pub(super) fn differences(&self, ours: &Self, hypothesis: &Hypothesis) -> Vec<String> {
        let mut all = self.identity.differences(&ours.identity);
        let mut explained = self.settings.clone();
        // A search's own values, which could be set.
        let _ = set_all(&mut explained, hypothesis);
        let settings = self.settings.list().into_iter().zip(ours.settings.list());
        let other = settings.filter(|((name, theirs), (_, value))| {
            theirs != value && name != "profile" && explained.value(name).as_ref() != Some(value)
        });
        all.extend(
            other.map(|((name, theirs), (_, value))| format!("`{name}` {theirs}, not {value}")),
        );
        for (what, theirs, here) in [
            ("training images", self.trained_on, ours.trained_on),
            ("images under transfer", self.images, ours.images),
        ] {
            if theirs != here {
                all.push(format!("{theirs} {what}, not {here}"));
            }
        }
        if self.quick != ours.quick {
            all.push(if self.quick { "a quick run" } else { "a full run" }.to_owned());
        }
        all
    }
}

/// What the results in a folder have in common; in words, if another engine made them. None if there are none.
pub(super) fn of_folder(folder: &Path) -> Result<Option<Result<FolderIdentity, String>>> {
    match of_this_engine::<Request>(&Request::file(folder))? {
        Noted::Here(request) => return Ok(Some(Ok(FolderIdentity::of(&request)))),
        Noted::OfNumerics(theirs) => return Ok(Some(Err(other_engine(theirs)))),
        Noted::Nothing => {}
    }
    let unknown = || "results of an older engine, which did not say of which images".to_owned();
    Ok(match of_this_engine::<Results>(&folder.join(Results::FILE))? {
        Noted::Here(results) => {
            let Results { network, data, settings, .. } = *results;
            let of = |data| FolderIdentity { network, profile: settings.profile, data };
            Some(data.map(of).ok_or_else(unknown))
        }
        Noted::OfNumerics(theirs) => Some(Err(other_engine(theirs))),
        Noted::Nothing if Store::at(folder).keys()?.is_empty() => None,
        Noted::Nothing => Some(Err(unknown())),
    })
}

/// Refuses a folder without results that has files with our file names: they may be the user's.
pub(super) fn refuse_others(folder: &Path) -> Result<()> {
    let written = [Results::FILE, RunInfo::FILE, Observations::FILE, SweepFound::FILE, Found::FILE];
    let written = written.into_iter().chain(REPORT_FILES);
    let Some(file) = written.map(|name| folder.join(name)).find(|file| file.exists()) else {
        return Ok(());
    };
    let problem = format!(
        "{} is there, and no results of ours are; it would be replaced: name another folder",
        file.display()
    );
    Err(Error::argument("results folder", problem))
}

pub(super) fn other_engine(numerics: u64) -> String {
    format!("results of an engine with numerics {numerics}; this one has {NUMERICS}")
}

/// A file in which an engine noted its numerics.
pub(super) enum Noted<T> {
    Nothing,
    /// The file of an engine with these numerics, whatever else may be in it.
    OfNumerics(u64),
    Here(Box<T>),
}

pub(super) fn of_this_engine<T: DeserializeOwned>(path: &Path) -> Result<Noted<T>> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(Noted::Nothing);
    }
    let value: Value = load(path)?;
    match value.get("numerics").and_then(Value::as_u64) {
        Some(numerics) if numerics != u64::from(NUMERICS) => Ok(Noted::OfNumerics(numerics)),
        _ => {
            let wrong = |e: serde_json::Error| Error::format(path, of_json(&e));
            Ok(Noted::Here(Box::new(serde_json::from_value(value).map_err(wrong)?)))
        }
    }
}
