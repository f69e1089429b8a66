//! `merge`: joins what shards have computed in folders of their own.

use crate::common::Common;
use crate::interrupt::Leftover;
use crate::reproduce::{Reproduce, lock};
use anyhow::{Result, bail};
use clap::Args;
use deepsleep::experiment::Store;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Merge {
    /// Results folders of the shards
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    reproduce: Reproduce,
}

impl Merge {
    /// What is left of it when it is interrupted.
    pub fn leftover(&self) -> Leftover {
        self.reproduce.leftover()
    }

    pub fn computes_nothing(&self) -> bool {
        self.reproduce.computes_nothing()
    }

    pub fn run(&self, common: &Common) -> Result<()> {
        for folder in &self.folders {
            if !folder.join(Store::FOLDER).is_dir() {
                let (folder, store) = (folder.display(), Store::FOLDER);
                bail!("{folder}: no results folder: there is no {store} in it");
            }
        }
        let out = self.reproduce.out();
        let store = Store::open(out)?;
        {
            let _lock = lock(out, None)?;
            for folder in &self.folders {
                let (taken, damaged) = store.take_from(&Store::open(folder)?)?;
                for what in damaged {
                    common.console().say(format_args!("damaged, left out: {what}"));
                }
                common.console().say(format_args!("{}: {taken} results taken", folder.display()));
            }
        }
        // What is complete is found in the store; what is not is computed.
        self.reproduce.run(common)
    }
}
