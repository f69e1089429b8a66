//! `info`: shows the instruction sets, threads and measured peak of this machine.

use crate::common::Common;
use anyhow::Result;
use deepsleep::simd::{Isa, fma_peak_gflops};
use serde::Serialize;

#[derive(Serialize)]
struct Info {
    version: &'static str,
    /// The one in use.
    isa: &'static str,
    isas_available: Vec<&'static str>,
    threads: usize,
    /// Measured, all threads together.
    fma_peak_gflops: f64,
}

pub fn run(common: &Common) -> Result<()> {
    let context = common.context()?;
    let (isa, threads) = (context.isa(), context.threads());
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        isa: isa.name(),
        isas_available: Isa::available().into_iter().map(Isa::name).collect(),
        threads,
        fma_peak_gflops: fma_peak_gflops(isa, threads),
    };
    let text = format!(
        "version           {}\n\
         instruction set   {} (available: {}; DEEPSLEEP_ISA chooses)\n\
         threads           {}\n\
         multiply-add peak {:.1} GFLOP/s, measured, all threads together",
        info.version,
        info.isa,
        info.isas_available.join(", "),
        info.threads,
        info.fma_peak_gflops,
    );
    common.console().result(&info, text)
}
