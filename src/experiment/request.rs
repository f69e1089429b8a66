//! What is asked of a results folder, as a file in it. A folder holds results of one data set, network, profile and engine;
//! all others are refused, in a line that says what differs.

use super::graph::Graph;
use super::identity::{
    Conditions, FolderIdentity, Noted, of_folder, of_this_engine, other_engine, refuse_others,
};
use super::results::{Results, save};
use super::search::{Hypothesis, JointSearch};
use super::spec::ExperimentSpec;
use super::store::Store;
use super::sweep::Sweep;
use super::work::NUMERICS;
use crate::files::Lock;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What is asked of a results folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// [`NUMERICS`] of the engine.
    pub numerics: u32,
    /// The layers of the network and their shapes.
    pub network: String,
    /// What is asked.
    #[serde(rename = "question")]
    pub spec: ExperimentSpec,
    /// The sweep, if it is one.
    pub sweep: Option<Sweep>,
    /// The search, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<JointSearch>,
}

impl Request {
    /// The file in a results folder: in the store, whose results it is about.
    pub fn file(folder: &Path) -> PathBuf {
        folder.join(Store::FOLDER).join(Store::REQUEST)
    }

    /// To be asked of this engine.
    pub fn new(spec: ExperimentSpec, sweep: Option<Sweep>) -> Self {
        let network = spec.architecture.to_string();
        Self { numerics: NUMERICS, network, spec, sweep, search: None }
    }

    /// A search that begins with the settings of the spec.
    pub fn of_search(spec: ExperimentSpec, search: JointSearch) -> Self {
        Self { search: Some(search), ..Self::new(spec, None) }
    }

    /// How what is asked differs from what some results are of, in words, so that its answer is none about them; nothing if
    /// it does not. A hypothesis that the results were made with is no difference.
    pub fn differences(&self, results: &Results, hypothesis: &Hypothesis) -> Vec<String> {
        let mut all =
            Conditions::of(self).differences(&Conditions::of_results(results), hypothesis);
        if self.numerics != results.numerics {
            all.push(format!("numerics {}, not {}", self.numerics, results.numerics));
        }
        all
    }

    /// What a folder was asked last.
    ///
    /// # Errors
    /// If nothing says so, or the engine was another one: this one cannot use its results.
    pub fn load(folder: &Path) -> Result<Self> {
        match of_this_engine(&Self::file(folder))? {
            Noted::Here(request) => Ok(*request),
            Noted::OfNumerics(theirs) => {
                Err(Error::format(folder, format!("it holds {}", other_engine(theirs))))
            }
            Noted::Nothing => {
                let (store, file) = (Store::FOLDER, Store::REQUEST);
                let problem =
                    format!("no {store}/{file} says what was asked of it: an older engine made it");
                Err(Error::format(folder, problem))
            }
        }
    }

    /// The graph of all that is asked.
    ///
    /// # Errors
    /// Those of [`Graph::new`] and [`Sweep::graph`], and if it is a search, which has many.
    pub fn graph(&self) -> Result<Graph> {
        match (&self.search, &self.sweep) {
            (Some(_), _) => {
                let problem = "it holds a search, whose jobs follow from one another: run the same command again";
                Err(Error::argument("results folder", problem))
            }
            (None, Some(sweep)) => sweep.graph(&mut self.spec.clone()),
            (None, None) => Graph::new(&self.spec),
        }
    }

    /// Refuses a folder whose results are of other images, another network, profile or engine. A folder without results
    /// accepts any request.
    ///
    /// # Errors
    /// If they are: in what they differ, and what to do.
    pub fn check(&self, folder: &Path) -> Result<()> {
        let differences = match of_folder(folder)? {
            None => return refuse_others(folder),
            Some(Ok(common)) => common.differences(&FolderIdentity::of(self)),
            Some(Err(engine)) => vec![engine],
        };
        if differences.is_empty() {
            return Ok(());
        }
        let problem =
            format!("{} holds {}; name another folder", folder.display(), differences.join("; "));
        Err(Error::argument("results folder", problem))
    }

    /// Makes a folder the place of this request, if [`check`](Self::check) does not refuse it; else nothing new is there.
    ///
    /// # Errors
    /// As for [`check`](Self::check), and if it cannot be written.
    pub fn claim(&self, folder: &Path) -> Result<()> {
        // Of two processes that begin at once with other images, the second has to see the first one's request.
        let (store, made) = Store::begin(folder)?;
        let _lock = Lock::wait(&store.path("request.lock"))?;
        self.check(folder)?;
        save(self, &Self::file(folder))?;
        made.keep();
        Ok(())
    }

    /// One request for what two folders were asked: the tables, figures, seeds and threat models of both.
    ///
    /// # Errors
    /// If they differ in anything else; both folders are named.
    pub fn joined(&self, other: &Self, [ours, theirs]: [&Path; 2]) -> Result<Self> {
        let (a, b) = (&self.spec, &other.spec);
        let mut differences =
            Conditions::of(other).differences(&Conditions::of(self), &Hypothesis::new());
        if a.white_box_images != b.white_box_images {
            let (theirs, ours) = (b.white_box_images, a.white_box_images);
            differences.push(format!("{theirs} images under white-box attacks, not {ours}"));
        }
        if a.only != b.only {
            differences.push("another part of the tables".to_owned());
        }
        if a.sheets != b.sheets {
            differences.push("another sheet".to_owned());
        }
        if self.search != other.search {
            differences.push("another search".to_owned());
        }
        if self.sweep != other.sweep {
            differences.push("another sweep".to_owned());
        }
        if !differences.is_empty() {
            let problem = format!(
                "{} holds {}; it does not belong together with {}",
                theirs.display(),
                differences.join("; "),
                ours.display()
            );
            return Err(Error::argument("merge", problem));
        }
        let mut spec = a.clone();
        spec.tables = both(&a.tables, &b.tables);
        spec.figures = both(&a.figures, &b.figures);
        spec.seeds = both(&a.seeds, &b.seeds);
        spec.seeds.sort_unstable();
        for &threat_model in &b.threat_models {
            if !spec.threat_models.contains(&threat_model) {
                spec.threat_models.push(threat_model);
            }
        }
        Ok(Self { spec, ..self.clone() })
    }
}

fn both<T: Copy + PartialEq + Ord>(a: &[T], b: &[T]) -> Vec<T> {
    let mut all = [a, b].concat();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataIdentity, ImageSet};
    use crate::experiment::{assemble_results, stored_outcomes};
    use crate::method::{Profile, Settings};
    use serde_json::json;
    use std::fs;

    fn request() -> Request {
        let set = |start: &str| ImageSet { images: 10, fingerprint: start.repeat(8) };
        let data = DataIdentity { name: "digits".into(), train: set("abcd"), test: set("1234") };
        let spec = ExperimentSpec {
            images: 10,
            white_box_images: 5,
            largest_class: Some(0.2),
            trained_on: data.train.clone(),
            data,
            quick: true,
            ..ExperimentSpec::example()
        };
        Request::new(spec, None)
    }

    fn refused(ours: &Request, folder: &Path, words: &[&str]) {
        let error = ours.check(folder).expect_err("refused").to_string();
        for word in words.iter().chain(&["name another folder"]) {
            assert!(error.contains(word), "{word} is not in {error}");
        }
        let claimed = ours.claim(folder).expect_err("refused").to_string();
        assert_eq!(error, claimed);
    }

    #[test]
    fn a_folder_belongs_to_one_set_network_profile_and_engine() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let ours = request();
        ours.claim(folder).expect("an empty folder");
        ours.claim(folder).expect("ours");
        assert_eq!(Request::load(folder).expect("noted"), ours);

        let mut other = ours.clone();
        other.spec.data.test.fingerprint = "5678".repeat(8);
        refused(&other, folder, &["other test images (digits 10 images", "12341234", "56785678"]);
        let mut other = ours.clone();
        other.spec.settings = Settings::new(Profile::Paper);
        refused(&other, folder, &["profile published, not paper"]);
        let other = Request { network: "another".into(), ..ours.clone() };
        refused(&other, folder, &["the network `lenet, 1x28x28 to 10 classes", "`another`"]);
        // Other tables of the same are welcome.
        let mut other = ours.clone();
        other.spec.tables = vec![2];
        other.claim(folder).expect("of the same images");

        // Another engine's, however it writes its requests.
        let old = json!({ "numerics": 1, "question": 7 }).to_string();
        fs::write(Request::file(folder), old).expect("written");
        refused(&ours, folder, &["numerics 1", "this one has 3"]);
        assert!(Request::load(folder).expect_err("old").to_string().contains("numerics 1"));
        fs::remove_file(Request::file(folder)).expect("there");
        ours.check(folder).expect("an empty store");
        fs::write(folder.join("store/k.json"), "{}").expect("written");
        refused(&ours, folder, &["an older engine"]);
        fs::write(folder.join(Results::FILE), r#"{ "numerics": 1 }"#).expect("written");
        refused(&ours, folder, &["numerics 1"]);
    }

    /// A folder can hold results and the answer of a sweep or a search of other settings.
    #[test]
    fn an_answer_says_how_it_differs_from_results() {
        let folder = tempfile::tempdir().expect("a folder");
        let ours = request();
        let graph = Graph::new(&ours.spec).expect("a graph");
        let outcomes = stored_outcomes(&graph, &Store::at(folder.path()));
        let mut results = assemble_results(&graph, &ours.spec, &outcomes).expect("nothing yet");
        let none = Hypothesis::new();
        assert_eq!(ours.differences(&results, &none), Vec::<String>::new());
        results.settings.set("control.epochs", "7").expect("a setting");
        assert_eq!(ours.differences(&results, &none), ["`control.epochs` 10, not 7"]);
        // Results of what a search found are of its settings.
        let seven = Hypothesis::from([("control.epochs".to_owned(), "7".to_owned())]);
        assert_eq!(ours.differences(&results, &seven), Vec::<String>::new());
        (results.images, results.quick) = (9, false);
        results.data.as_mut().expect("noted").test.fingerprint = "5678".repeat(8);
        let all = ours.differences(&results, &seven).join("; ");
        for words in ["other test images", "10 images under transfer, not 9", "a quick run"] {
            assert!(all.contains(words), "{words} is not in {all}");
        }
        results.numerics = 2;
        assert!(ours.differences(&results, &seven).join("; ").contains("numerics 3, not 2"));
    }

    #[test]
    fn requests_are_joined_if_they_belong_together() {
        let join = |change: fn(&mut Request)| {
            let mut other = request();
            change(&mut other);
            request().joined(&other, [Path::new("a"), Path::new("b")])
        };
        let both = join(|r| (r.spec.tables, r.spec.seeds) = (vec![3], vec![1]));
        let both = both.expect("of the same images").spec;
        assert_eq!((both.tables, both.seeds), (vec![1, 3], vec![0, 1]));
        for (change, words) in [
            (
                (|r| r.spec.data.train.images = 9) as fn(&mut Request),
                "other training images (digits 9 images",
            ),
            (|r| r.spec.settings.cycles = 2, "`cycles` 2, not 1"),
            (|r| r.spec.images = 9, "9 images under transfer, not 10"),
            (|r| r.spec.quick = false, "a full run"),
        ] {
            let error = join(change).expect_err("apart").to_string();
            assert!(error.contains(words) && error.contains("b holds"), "{error}");
        }
    }
}
