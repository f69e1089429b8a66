//! `data fetch`: downloads a data set from the public mirrors into the cache.

use crate::common::Common;
use crate::console::Console;
use crate::dataset::names;
use crate::interrupt::Leftover;
use crate::stderr::shown;
use anyhow::Result;
use clap::Args;
use deepsleep::data::{DatasetName, DownloadSource, FetchProgress, SearchPath, cache_dir, fetch};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Time between two lines about one file.
const EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub struct Fetch {
    /// Data set to download
    #[arg(value_parser = names(), ignore_case = true)]
    name: DatasetName,
    /// Fetch FILE from URL/FILE instead of from the public mirrors
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Folder of data sets; files go into a subfolder with the data set's name [default: DEEPSLEEP_DATA, else the user cache]
    // Straight into DIR, a second data set would replace the first, as the files' names are alike.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

#[derive(Serialize)]
struct Fetched {
    name: &'static str,
    folder: PathBuf,
    files: Vec<PathBuf>,
}

impl Fetch {
    fn folder(&self) -> deepsleep::Result<PathBuf> {
        // Where DEEPSLEEP_DATA names a folder, data are looked for nowhere else.
        let named = self.into.clone().or_else(|| SearchPath::from_env(None).variable);
        let root = named.map_or_else(cache_dir, Ok)?;
        Ok(root.join(self.name.as_str()))
    }

    /// What remains of its work when it is interrupted.
    pub fn leftover(&self) -> Leftover {
        self.folder().map_or(Leftover::Nothing, Leftover::Finished)
    }

    pub fn run(&self, common: &Common) -> Result<()> {
        let folder = self.folder()?;
        let source = DownloadSource::of(self.name);
        let source = match &self.base_url {
            Some(base) => source.with_base(base),
            None => source,
        };
        let console = common.console();
        let mut last = Instant::now();
        let files = fetch(&source, &folder, |event| report(console, &mut last, event))?;
        let text = format!("{} is in {}", self.name, shown(&folder));
        common.console().result(&Fetched { name: self.name.as_str(), folder, files }, text)
    }
}

/// A line for each file, and one every two seconds while it comes.
fn report(console: Console, last: &mut Instant, event: FetchProgress<'_>) {
    match event {
        FetchProgress::AlreadyThere { name } => console.say(format_args!("{name}: already there")),
        FetchProgress::Started { name, url } => console.say(format_args!("{name}: from {url}")),
        FetchProgress::Received { name, bytes, total } if last.elapsed() >= EVERY => {
            *last = Instant::now();
            let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
            let of = total.map_or_else(String::new, |total| format!(" of {}", megabytes(total)));
            console.say(format_args!("{name}: {}{of}", megabytes(bytes)));
        }
        // Why, the error says if no other mirror has it.
        FetchProgress::Failed { url, .. } => console.say(format_args!("{url}: failed")),
        FetchProgress::Done { name } => console.say(format_args!("{name}: done")),
        _ => {}
    }
}
