//! `reproduce`: the paper's tables and figures, as a graph of jobs whose results are kept.

mod display;
mod effect;
mod plan;
mod search;
mod sheet;
mod summary;
mod work;

pub use plan::counted;
pub use work::{Reproduction, ResultsFolder};

use crate::architecture::ArchitectureOption;
use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::interrupt::Leftover;
use crate::numbers::{at_most, between};
use crate::output::{OutputFiles, refuse_among};
use crate::settings::assignments;
use crate::threat::threat_models;
use anyhow::{Context as _, Result};
use clap::Args;
use deepsleep::Error;
use deepsleep::data::Dataset;
use deepsleep::evaluation::ThreatModel;
use deepsleep::experiment::{
    ExperimentSpec, Found, Graph, JointSearch, Observations, Request, Results, RunInfo, Sheet,
    SpecBuilder, Store, Sweep, SweepFound,
};
use deepsleep::files::Lock;
use deepsleep::method::{Profile, Settings};
use sheet::SheetChoice;
use std::path::{Path, PathBuf};

/// Test images, at most, before it is known how many there are: the graph of jobs is made first.
const MOST_IMAGES: usize = 10_000_000;

#[derive(Debug, Args)]
pub struct Reproduce {
    /// Short run: five methods, two noise scales, 1,000 test images, long trainings shortened; the report gives error bars.
    /// With --table or --figure, those are complete
    #[arg(long)]
    quick: bool,
    /// Tables, e.g. 1,2 [default: all, unless --figure is given]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    table: Vec<usize>,
    /// Figures, e.g. 3 [default: all, unless --table is given]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    figure: Vec<usize>,
    /// Profile with the initial values of all settings: published, paper, standard or lucid
    #[arg(long, value_name = "NAME", default_value = "published")]
    profile: String,
    /// Change a setting of all models; `train --print-config` lists them
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Number of seeds: 0, 1, ...
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = between::<1, 1000>)]
    seeds: usize,
    /// Where adversarial images are crafted: transfer (on the control), white-box (on the model itself)
    #[arg(long, value_parser = threat_models(), ignore_case = true, value_name = "NAME", value_delimiter = ',', default_values = ["transfer", "white-box"])]
    threat_model: Vec<ThreatModel>,
    /// Test images under transfer attacks [default: all; quick: 1000]
    #[arg(long, value_name = "N", value_parser = between::<1, MOST_IMAGES>)]
    images: Option<usize>,
    /// Test images under white-box attacks [default: 1000; quick: fewer]
    #[arg(long, value_name = "N", value_parser = between::<1, MOST_IMAGES>)]
    white_box_images: Option<usize>,
    /// Results folder; jobs that it already holds are not run again
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Number of parallel jobs, which share the threads; 0: one per thread, at most four. Results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_most::<64>, conflicts_with = "dry_run")]
    jobs: usize,
    /// Print the plan and the estimated time, then exit
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: list every job, as --json does
    #[arg(long, requires = "dry_run", conflicts_with = "json")]
    verbose: bool,
    /// A share of the models, e.g. 2/4: for several machines, on one folder or each on its own
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// Instead of tables: find the settings that come nearest to the printed rows, e.g. experiments/nearest.toml
    #[arg(long, value_name = "FILE", conflicts_with_all = ["table", "figure", "seeds", "threat_model", "white_box_images"])]
    sweep: Option<PathBuf>,
    /// Instead of tables: find the one set of settings that best explains the whole paper, e.g. experiments/search.toml.
    /// Rerun to continue
    #[arg(long, value_name = "FILE", conflicts_with_all = ["table", "figure", "seeds", "threat_model", "white_box_images", "sweep", "sheet", "shard", "quick", "verbose"])]
    search: Option<PathBuf>,
    /// Instead of the paper's tables: those of this file, or the paper's with the network and the images that it names,
    /// e.g. experiments/digits/sheet.toml
    #[arg(long, value_name = "FILE", conflicts_with = "sweep")]
    sheet: Option<PathBuf>,
    #[command(flatten)]
    architecture: ArchitectureOption,
    #[command(flatten)]
    data: DatasetOptions,
}

impl Reproduce {
    /// What is left of it when it is interrupted.
    pub fn leftover(&self) -> Leftover {
        Leftover::Finished(self.out.join(Store::FOLDER))
    }

    pub fn computes_nothing(&self) -> bool {
        self.dry_run
    }

    pub fn run(&self, common: &Common) -> Result<()> {
        let choice =
            SheetChoice::new(self.sheet.as_deref(), self.data.clone(), self.architecture.clone())?;
        let (asked, shard) = (self.asked(choice.sheet.as_ref())?, self.shard()?);
        let sweep = self.sweep.as_deref().map(Sweep::load).transpose()?;
        let (train, test) = choice.data.load_both()?;
        let mut spec = self.of_images(asked, &choice, &train, &test)?;
        spec.settings.validate().map_err(wrong_use)?;
        if (self.search.is_some() || sweep.is_some()) && !spec.is_of_the_paper() {
            common.console().say(format_args!(
                "note: settings are compared by their distance from the paper's printed numbers, which are of LeNet on MNIST, and \
                 not of this network or these images"
            ));
        }
        if let Some(path) = &self.search {
            return self.search(path, spec, &choice.data, (&train, &test), common);
        }
        let graph = match &sweep {
            Some(sweep) => sweep.graph(&mut spec),
            None => Graph::new(&spec),
        };
        let graph = graph.map_err(|e| self.blamed(e))?;
        self.refuse_without_effect(choice.sheet.as_ref(), &[(&spec.settings, &graph)])?;
        let request = Request::new(spec, sweep);
        request.check(&self.out)?;
        for passed in &graph.passed_over {
            common.console().say(format_args!("passed over: {}", passed.why));
        }
        if self.dry_run {
            let plan = plan::DryRun { spec: &request.spec, graph: &graph, shard };
            return plan.show(&Store::at(&self.out), self.verbose, common.console());
        }
        // Before the folder is made: threads or an instruction set may not be had.
        let context = &common.context()?;
        let (store, _lock) = self.open(&request, &[&graph], &choice.data, shard, common)?;
        let folder = ResultsFolder { store: &store, out: &self.out, context, common };
        let work = Reproduction { request: &request, graph: &graph, folder };
        work.run((&train, &test), (self.jobs, shard))
    }

    /// Searches for the one hypothesis that explains the paper best.
    fn search(
        &self,
        path: &Path,
        spec: ExperimentSpec,
        data: &DatasetOptions,
        images: (&Dataset, &Dataset),
        common: &Common,
    ) -> Result<()> {
        let search = JointSearch::load(path)?;
        let (round, finalist) = search.check(&spec).map_err(|e| self.blamed(e))?;
        let trials = round.iter().chain([&finalist]);
        let graphs: Vec<_> = trials.map(|trial| (&trial.spec.settings, &trial.graph)).collect();
        self.refuse_without_effect(None, &graphs)?;
        let request = Request::of_search(spec, search.clone());
        request.check(&self.out)?;
        if self.dry_run {
            return search::plan(&search, (&round, &finalist), &Store::at(&self.out), common);
        }
        let graphs: Vec<&Graph> = graphs.into_iter().map(|(_, graph)| graph).collect();
        let context = &common.context()?;
        let (store, _lock) = self.open(&request, &graphs, data, None, common)?;
        let folder = ResultsFolder { store: &store, out: &self.out, context, common };
        search::run(&search, &request.spec, folder, images, self.jobs)
    }

    /// Makes the results folder this request's, and keeps other processes out.
    fn open(
        &self,
        request: &Request,
        graphs: &[&Graph],
        data: &DatasetOptions,
        shard: Option<(usize, usize)>,
        common: &Common,
    ) -> Result<(Store, Lock)> {
        let mut read = data.files();
        let named =
            [("--sweep", &self.sweep), ("--sheet", &self.sheet), ("--search", &self.search)];
        read.extend(named.into_iter().filter_map(|(option, path)| Some((option, path.clone()?))));
        read.extend(self.architecture.files());
        refuse_among(&read, "--out", &self.out)?;
        let (store, made) = Store::begin(&self.out)?;
        let lock = lock(&self.out, shard)?;
        look_at_outputs(&self.out, request, read, common)?;
        graphs.iter().try_for_each(|graph| graph.check_images()).map_err(|e| self.blamed(e))?;
        request.claim(&self.out)?;
        made.keep();
        store.tidy();
        Ok((store, lock))
    }

    /// What is asked for, but for network and images.
    fn asked(&self, sheet: Option<&Sheet>) -> Result<SpecBuilder> {
        let (tables, figures) = (self.table.clone(), self.figure.clone());
        if let Some(sheet) = sheet.filter(|sheet| sheet.rows.is_empty())
            && (sheet.table.is_some() || sheet.figure.is_some())
            && !(tables.is_empty() && figures.is_empty())
        {
            let problem = "--table and --figure: the sheet says which; give one of them";
            return Err(WrongUse(problem.into()).into());
        }
        for (option, given, threat) in [
            ("--images", self.images.is_some(), ThreatModel::Transfer),
            ("--white-box-images", self.white_box_images.is_some(), ThreatModel::WhiteBox),
        ] {
            if given && !self.threat_model.contains(&threat) {
                let problem = format!("{option} changes nothing: no such attack was asked for");
                return Err(WrongUse(problem).into());
            }
        }
        let profile: Profile = self.profile.to_ascii_lowercase().parse().map_err(wrong_use)?;
        let mut asked = SpecBuilder::new(profile, self.quick)?;
        asked.choose(tables, figures, sheet);
        asked.seeds = (0..self.seeds as u64).collect();
        asked.threat_models.clone_from(&self.threat_model);
        (asked.images, asked.white_box_images) = (self.images, self.white_box_images);
        self.change_settings(sheet, &mut asked.settings)?;
        asked.check_numbers().map_err(wrong_use)?;
        Ok(asked)
    }

    /// Changes what the sheet changes, then what is changed here.
    fn change_settings(&self, sheet: Option<&Sheet>, settings: &mut Settings) -> Result<()> {
        if let (Some(sheet), Some(path)) = (sheet, &self.sheet) {
            let mut set = sheet.set.iter();
            set.try_for_each(|(name, value)| settings.set(name, value))
                .map_err(|e| e.in_file(path))?;
        }
        for (name, value) in assignments(&self.set)? {
            settings.set(name, value).map_err(wrong_use)?;
        }
        Ok(())
    }

    /// Asks it of these images.
    fn of_images(
        &self,
        asked: SpecBuilder,
        choice: &SheetChoice,
        train: &Dataset,
        test: &Dataset,
    ) -> Result<ExperimentSpec> {
        for (images, what) in [(test.len(), "test"), (train.len(), "training")] {
            if images == 0 {
                return Err(WrongUse(format!("there are 0 {what} images")).into());
            }
        }
        for (option, given) in
            [("--images", self.images), ("--white-box-images", self.white_box_images)]
        {
            if let Some(images) = given.filter(|&images| images > test.len()) {
                let problem = format!("{option} {images}: there are {} test images", test.len());
                return Err(WrongUse(problem).into());
            }
        }
        let network = choice.network(train, test)?;
        for half in [train, test] {
            choice.data.check(half, network.input(), network.classes())?;
        }
        Ok(asked.spec(network, &choice.data.name(), train, test))
    }

    /// What cannot be done, as the fault of the file that asks for it, if one does.
    fn blamed(&self, error: Error) -> anyhow::Error {
        match self.search.as_ref().or(self.sweep.as_ref()).or(self.sheet.as_ref()) {
            Some(path) => error.in_file(path).into(),
            None => wrong_use(error),
        }
    }

    fn shard(&self) -> Result<Option<(usize, usize)>> {
        let Some(text) = &self.shard else { return Ok(None) };
        let parts =
            text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((i, n)) if 1 <= i && i <= n => Ok(Some((i, n))),
            _ => {
                let problem = format!("--shard {text}: expected I/N with 1 <= I <= N, e.g. 2/4");
                Err(WrongUse(problem).into())
            }
        }
    }
}

/// Refuses places in a results folder that cannot be written to at the end, before any work; `read` are the files that
/// are read, with the options that name them.
pub fn look_at_outputs(
    out: &Path,
    request: &Request,
    read: Vec<(&'static str, PathBuf)>,
    common: &Common,
) -> Result<()> {
    let mut outputs = OutputFiles::new(common.console(), read);
    let whole = [Results::FILE, RunInfo::FILE, Observations::FILE];
    let names = match (&request.sweep, &request.search) {
        (Some(_), _) => vec![SweepFound::FILE],
        (_, None) => [&whole, &deepsleep::report::FILES[..]].concat(),
        (_, Some(_)) => [&[Found::FILE], &whole[..], &deepsleep::report::FILES].concat(),
    };
    names.iter().try_for_each(|name| outputs.in_folder("--out", &out.join(name)).map(drop))
}

/// One process on a results folder; shards of it side by side, each once.
pub fn lock(out: &Path, shard: Option<(usize, usize)>) -> Result<Lock> {
    let name = shard.map_or("lock".to_owned(), |(i, n)| format!("shard-{i}-of-{n}.lock"));
    Lock::take(&out.join(name), out).context("--out")
}

fn wrong_use(error: deepsleep::Error) -> anyhow::Error {
    WrongUse(error.to_string()).into()
}
