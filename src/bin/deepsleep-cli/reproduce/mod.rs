//! `reproduce`: the paper's tables and figures, as a graph of jobs whose results are kept.

mod display;
mod plan;
mod summary;

use crate::common::Common;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::interrupt::Leftover;
use crate::numbers::{at_most, between};
use crate::output::Outputs;
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use deepsleep::evaluation::ThreatModel;
use deepsleep::experiment::{
    Answer, Fate, Graph, Question, Quick, Results, Run, RunOptions, Store, Sweep, collect,
    job_runs, run,
};
use deepsleep::files::Lock;
use deepsleep::sleep::{Profile, Settings};
use display::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Test images, at most, before it is known how many there are: the graph of jobs is made first.
const MOST_IMAGES: usize = 10_000_000;

#[derive(Debug, Args)]
pub struct Reproduce {
    /// A small run of the same jobs: 1,000 test images, shortened training; its numbers mean nothing
    #[arg(long)]
    quick: bool,
    /// Tables, e.g. 1,2 [default: all, unless --figure is given]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    table: Vec<usize>,
    /// Figures, e.g. 3 [default: all, unless --table is given]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    figure: Vec<usize>,
    /// Whose method: published, paper or standard
    #[arg(long, value_name = "NAME", default_value = "published")]
    profile: String,
    /// Change a setting of all models; `train --print-config` lists them
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Number of seeds: 0, 1, ...
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = between::<1, 1000>)]
    seeds: usize,
    /// Who crafts adversarial images: transfer (on the control), white-box (on the model itself)
    #[arg(long, value_enum, ignore_case = true, value_name = "NAME", value_delimiter = ',', default_values = ["transfer", "white-box"])]
    threat_model: Vec<Threat>,
    /// Test images under transfer attacks [default: 10000; quick: 1000]
    #[arg(long, value_name = "N", value_parser = between::<1, MOST_IMAGES>)]
    images: Option<usize>,
    /// Test images under white-box attacks [default: 1000; quick: fewer]
    #[arg(long, value_name = "N", value_parser = between::<1, MOST_IMAGES>)]
    white_box_images: Option<usize>,
    /// Results folder; what is in it already is not computed again
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Jobs side by side, sharing the threads; 0 is one a thread, but four at most. Results do not depend on it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_most::<64>, conflicts_with = "dry_run")]
    jobs: usize,
    /// Only say what there is to do, and how long it may take
    #[arg(long)]
    dry_run: bool,
    /// A share of the models, e.g. 2/4: for several machines, on one folder or each on its own
    #[arg(long, value_name = "I/N", conflicts_with = "dry_run")]
    shard: Option<String>,
    /// Instead of tables: which of these settings come nearest to the printed rows, e.g. experiments/nearest.toml
    #[arg(long, value_name = "FILE", conflicts_with_all = ["table", "figure", "seeds", "threat_model", "white_box_images"])]
    sweep: Option<PathBuf>,
    #[command(flatten)]
    data: DatasetOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Threat {
    Transfer,
    WhiteBox,
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
        let mut question = self.question()?;
        let sweep = self.sweep.as_deref().map(Sweep::load).transpose()?;
        let graph = match &sweep {
            Some(sweep) => sweep.graph(&mut question),
            None => Graph::new(&question),
        };
        let graph = graph.map_err(wrong_use)?;
        let shard = self.shard()?;
        let console = common.console();
        let (train, test) = self.data.load_both()?;
        for (option, images) in
            [("--images", question.images), ("--white-box-images", question.white_box_images)]
        {
            if images > test.len() {
                let problem = format!("{option} {images}: there are {} test images", test.len());
                return Err(WrongUse(problem).into());
            }
        }
        if self.dry_run {
            return plan::show(&graph, &self.out, console);
        }
        let context = common.context()?;
        let options =
            RunOptions { threads: context.threads(), isa: context.isa(), jobs: self.jobs, shard };
        let store = Store::open(&self.out)?;
        let _lock = lock(&self.out, shard)?;
        self.look_at_outputs(common)?;
        let start = Instant::now();
        if self.quick {
            console.say("QUICK run: shortened training, few images; its numbers mean nothing");
        }
        let display = Display::new(&graph, &store, common);
        let fates = run(&graph, &store, (&train, &test), options, &|event| display.on(&event))?;
        display.finish();

        let results = collect(&graph, &question, &fates)?;
        let facts = Run {
            isa: context.isa().name().into(),
            threads: context.threads(),
            processor: processor(),
            finished: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
            seconds: start.elapsed().as_secs_f64(),
            peak_memory: peak_memory(),
            jobs: job_runs(&graph, &fates),
        };
        let missing = fates.iter().filter(|fate| !matches!(fate, Fate::Done(..))).count();
        let again = format!(
            "{missing} of {} jobs have no result; the same command tries them again",
            fates.len()
        );
        if let (Some((i, n)), true) = (shard, missing > 0) {
            console.say(format_args!(
                "shard {i} of {n} is done; `merge` joins what the shards have in folders of their own"
            ));
            let failed = fates.iter().any(|fate| matches!(fate, Fate::Failed));
            return if failed { bail!("some jobs failed") } else { Ok(()) };
        }
        if results.cells.is_empty() && missing > 0 {
            // What an earlier run has written is worth more than a page without a number.
            bail!("{again}");
        }
        match sweep {
            Some(sweep) => summary::save_sweep(&sweep.answers(&results)?, &self.out, common)?,
            None => {
                finish(&results, &facts, &self.out, common)?;
                let written = deepsleep::report::build(&context, &self.out, Some(&test))?;
                for line in &written.skipped {
                    console.say(format_args!("left out of the report: {line}"));
                }
                console.say(written.html.display());
            }
        }
        if missing > 0 {
            bail!("{again}");
        }
        Ok(())
    }

    /// Refuses places that cannot be written to at the end, before any work.
    fn look_at_outputs(&self, common: &Common) -> Result<()> {
        let mut read = self.data.files();
        read.extend(self.sweep.clone().map(|path| ("--sweep", path)));
        let mut outputs = Outputs::new(common.console(), read);
        let names: &[&str] = match self.sweep {
            Some(_) => &[Answer::FILE],
            None => &[&[Results::FILE, Run::FILE], &deepsleep::report::FILES[..]].concat(),
        };
        names.iter().try_for_each(|name| outputs.look("--out", &self.out.join(name)).map(drop))
    }

    /// The results folder.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// What is asked for.
    fn question(&self) -> Result<Question> {
        let profile: Profile = self.profile.to_ascii_lowercase().parse().map_err(wrong_use)?;
        let mut settings = Settings::new(profile);
        let (mut train_images, mut images, mut white_box_images) = (0, 10_000, 1000);
        if self.quick {
            let quick = Quick::load()?;
            quick.shorten(&mut settings)?;
            (train_images, images, white_box_images) =
                (quick.train_images, quick.images, quick.white_box_images);
        }
        for assignment in &self.set {
            let Some((name, value)) = assignment.split_once('=') else {
                return Err(WrongUse(format!("--set {assignment}: expected NAME=VALUE")).into());
            };
            settings.set(name.trim(), value.trim()).map_err(wrong_use)?;
        }
        let everything = self.table.is_empty() && self.figure.is_empty();
        let mut threat_models: Vec<ThreatModel> = Vec::new();
        for threat in &self.threat_model {
            let threat = match threat {
                Threat::Transfer => ThreatModel::Transfer,
                Threat::WhiteBox => ThreatModel::WhiteBox,
            };
            if !threat_models.contains(&threat) {
                threat_models.push(threat);
            }
        }
        if self.white_box_images.is_some() && !threat_models.contains(&ThreatModel::WhiteBox) {
            let problem = "--white-box-images is for --threat-model white-box, which is not among those asked for";
            return Err(WrongUse(problem.into()).into());
        }
        Ok(Question {
            tables: if everything { vec![1, 2, 3] } else { self.table.clone() },
            figures: if everything { vec![3] } else { self.figure.clone() },
            settings,
            seeds: (0..self.seeds as u64).collect(),
            threat_models,
            images: self.images.unwrap_or(images),
            white_box_images: self.white_box_images.unwrap_or(white_box_images),
            train_images,
            quick: self.quick,
        })
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

/// Writes the results, and says what they are.
fn finish(results: &Results, facts: &Run, out: &Path, common: &Common) -> Result<()> {
    results.save(out)?;
    facts.save(out)?;
    let text = summary::of(results)?;
    let minutes = facts.jobs.iter().map(|job| job.seconds).sum::<f64>() / 60.0;
    let text =
        format!("{text}\n{} ({minutes:.1} minutes of jobs)", out.join(Results::FILE).display());
    common.console().result(results, text)
}

/// One process on a results folder; shards of it side by side, each once.
pub fn lock(out: &Path, shard: Option<(usize, usize)>) -> Result<Lock> {
    let name = shard.map_or("lock".to_owned(), |(i, n)| format!("shard-{i}-of-{n}.lock"));
    Lock::take(&out.join(name), out).context("--out")
}

fn wrong_use(error: deepsleep::Error) -> anyhow::Error {
    WrongUse(error.to_string()).into()
}

/// The processor's name, where the system tells.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or(String::new(), |(_, name)| name.trim().into())
}

/// Largest resident memory of this process, where the system tells.
fn peak_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(1024 * kibibytes)
}
