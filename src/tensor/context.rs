//! What a computation runs on: an instruction set and some threads, handed on as an argument, never ambient.

use crate::simd::{Isa, Lanes};
use crate::{Error, Result};
use rayon::prelude::*;
use std::sync::{Arc, Mutex};

/// An instruction set, a number of threads, and a scratch buffer for each of them.
///
/// Results do not depend on either: work is cut into lane blocks, and what blocks contribute to a common sum is added
/// in the blocks' order.
#[derive(Clone, Debug)]
pub struct Context {
    isa: Isa,
    /// None: everything on the calling thread.
    pool: Option<Arc<rayon::ThreadPool>>,
    /// One a thread, kept between calls so that kernels find their scratch memory already there.
    scratch: Arc<[Mutex<Vec<Lanes>>]>,
}

impl Context {
    /// `threads` threads (0: as many as the machine has) with the instruction set of [`Isa::detect`].
    ///
    /// # Errors
    /// If `DEEPSLEEP_ISA` cannot be met or the threads cannot be started.
    pub fn new(threads: usize) -> Result<Self> {
        Self::with_isa(Isa::detect()?, threads)
    }

    /// `threads` threads (0: as many as the machine has) with this instruction set.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn with_isa(isa: Isa, threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("deepsleep-{i}"))
            .build()
            .map_err(|e| Error::argument("threads", format!("cannot start {threads}: {e}")))?;
        let scratch = scratch(pool.current_num_threads());
        Ok(Self { isa, pool: Some(Arc::new(pool)), scratch })
    }

    /// Everything on the calling thread, whichever that is: for a worker among workers, each with a context of its own.
    pub fn serial(isa: Isa) -> Self {
        Self { isa, pool: None, scratch: scratch(1) }
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.current_num_threads())
    }

    /// Runs `f` on the threads of this context. A loop of many steps runs inside one call, so that a step does not
    /// have to enter the pool anew.
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(f),
            None => f(),
        }
    }

    /// Calls `f(index, chunk)` for every `chunk` of `size` elements, in parallel.
    pub(crate) fn chunks<A: Send>(
        &self,
        a: &mut [A],
        size: usize,
        f: impl Fn(usize, &mut [A]) + Sync + Send,
    ) {
        match &self.pool {
            Some(pool) if pool.current_num_threads() > 1 => {
                pool.install(|| a.par_chunks_mut(size).enumerate().for_each(|(i, a)| f(i, a)));
            }
            _ => a.chunks_mut(size).enumerate().for_each(|(i, a)| f(i, a)),
        }
    }

    /// Calls `f(index, chunk of a, chunk of b)` for every pair of chunks, in parallel.
    pub(crate) fn chunks2<A: Send, B: Send>(
        &self,
        (a, size_a): (&mut [A], usize),
        (b, size_b): (&mut [B], usize),
        f: impl Fn(usize, &mut [A], &mut [B]) + Sync + Send,
    ) {
        match &self.pool {
            Some(pool) if pool.current_num_threads() > 1 => pool.install(|| {
                let pairs = a.par_chunks_mut(size_a).zip(b.par_chunks_mut(size_b));
                pairs.enumerate().for_each(|(i, (a, b))| f(i, a, b));
            }),
            _ => {
                let pairs = a.chunks_mut(size_a).zip(b.chunks_mut(size_b));
                pairs.enumerate().for_each(|(i, (a, b))| f(i, a, b));
            }
        }
    }

    /// Lends the calling thread `length` lanes of scratch memory with unspecified content.
    pub(crate) fn with_scratch<R>(&self, length: usize, f: impl FnOnce(&mut [Lanes]) -> R) -> R {
        let thread = rayon::current_thread_index().unwrap_or(0) % self.scratch.len();
        // A poisoned lock only says that some kernel panicked; scratch memory has no state to be harmed.
        let mut buffer = self.scratch[thread].lock().unwrap_or_else(|poison| poison.into_inner());
        if buffer.len() < length {
            buffer.resize(length, Lanes::ZERO);
        }
        f(&mut buffer[..length])
    }
}

fn scratch(threads: usize) -> Arc<[Mutex<Vec<Lanes>>]> {
    (0..threads).map(|_| Mutex::new(Vec::new())).collect()
}
