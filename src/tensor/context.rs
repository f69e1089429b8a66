//! What a computation runs on: an instruction set and threads, passed as an argument and never global.

use super::buffers::grow;
use super::pool::Pool;
use super::stop::Stop;
use crate::simd::{Isa, Lanes};
use crate::{Error, Result};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Multiply-adds of [`Lanes`] (10 microseconds with AVX-512, 20 with AVX2) below which a second thread does not help.
const WORTH_A_WAKING: usize = 60_000;

/// An instruction set, a number of threads, and a scratch buffer for each of them.
///
/// Results do not depend on either: work is cut into lane blocks, and what blocks contribute to a common sum is added
/// in the blocks' order.
#[derive(Clone, Debug)]
pub struct Context {
    isa: Isa,
    /// None: everything on the calling thread.
    pool: Option<Arc<Pool>>,
    /// One a thread, kept between calls so that kernels find their scratch memory already there.
    scratch: Arc<Scratch>,
    /// Whether the work is to end early.
    stop: Stop,
}

/// What is done with each chunk. The loops over threads take it behind a pointer, so that they are compiled once for a type
/// of elements, and not once for each of their callers.
type EachChunk<'a, A> = dyn Fn(usize, &mut [A]) + Sync + 'a;
type EachPair<'a, A, B> = dyn Fn(usize, &mut [A], &mut [B]) + Sync + 'a;
type EachTriple<'a, A, B, C> = dyn Fn(usize, &mut [A], &mut [B], &mut [C]) + Sync + 'a;

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
        let pool = Pool::new(threads)?;
        let scratch = Scratch::new(pool.threads());
        Ok(Self { isa, pool: Some(Arc::new(pool)), scratch, stop: Stop::default() })
    }

    /// Everything on the calling thread, whichever that is: for a worker among workers, each with a context of its own.
    pub fn serial(isa: Isa) -> Self {
        Self { isa, pool: None, scratch: Scratch::new(1), stop: Stop::default() }
    }

    /// The same threads, for work that this can stop.
    #[must_use]
    pub fn stopped_by(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// What can stop the work on it.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Whether this is a clone of `other`, or the other way round.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.scratch, &other.scratch) && self.stop.is(&other.stop)
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.threads())
    }

    /// Runs `f` on the threads of this context, which stay awake until it returns. A loop of many steps runs inside one
    /// call: entering and waking anew for each would take longer than what a step does in parallel at a time.
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.stay_awake(f),
            None => f(),
        }
    }

    /// Calls `f(index, chunk)` for every `chunk` of `size` elements, in parallel. (Of size 0 there are no chunks: such
    /// a tensor is empty.)
    pub fn chunks<A: Send>(&self, a: &mut [A], size: usize, f: impl Fn(usize, &mut [A]) + Sync) {
        self.each_chunk(a, size, &f);
    }

    /// [`chunks`](Self::chunks) for `work` multiply-adds of [`Lanes`] in all: on the calling thread alone if they are
    /// done before another thread would be awake.
    pub fn chunks_of_work<A: Send>(
        &self,
        work: usize,
        a: &mut [A],
        size: usize,
        f: impl Fn(usize, &mut [A]) + Sync,
    ) {
        let f: &EachChunk<A> = &f;
        if work < WORTH_A_WAKING {
            a.chunks_mut(size.max(1)).enumerate().for_each(|(i, a)| f(i, a));
        } else {
            self.each_chunk(a, size, f);
        }
    }

    /// Both, each of `work` multiply-adds of [`Lanes`], in parallel if that pays: two loops together have one end to wait
    /// for instead of two.
    pub fn join_of_work(&self, work: usize, a: impl FnOnce() + Send, b: impl FnOnce() + Send) {
        match &self.pool {
            Some(pool) if work >= WORTH_A_WAKING && pool.threads() > 1 => pool.join(a, b),
            _ => {
                a();
                b();
            }
        }
    }

    /// Calls `f(index, chunk of a, chunk of b)` for every pair of chunks, in parallel.
    pub fn chunks2<A: Send, B: Send>(
        &self,
        (a, size_a): (&mut [A], usize),
        (b, size_b): (&mut [B], usize),
        f: impl Fn(usize, &mut [A], &mut [B]) + Sync,
    ) {
        let f: &EachPair<A, B> = &f;
        match &self.pool {
            Some(pool) if pool.threads() > 1 => pool.run(|| {
                let pairs = a.par_chunks_mut(size_a.max(1)).zip(b.par_chunks_mut(size_b.max(1)));
                pairs.enumerate().for_each(|(i, (a, b))| f(i, a, b));
            }),
            _ => {
                let pairs = a.chunks_mut(size_a.max(1)).zip(b.chunks_mut(size_b.max(1)));
                pairs.enumerate().for_each(|(i, (a, b))| f(i, a, b));
            }
        }
    }

    /// Calls `f(index, chunk of a, chunk of b, chunk of c)` for every triple of chunks, in parallel.
    pub fn chunks3<A: Send, B: Send, C: Send>(
        &self,
        (a, size_a): (&mut [A], usize),
        (b, size_b): (&mut [B], usize),
        (c, size_c): (&mut [C], usize),
        f: impl Fn(usize, &mut [A], &mut [B], &mut [C]) + Sync,
    ) {
        let f: &EachTriple<A, B, C> = &f;
        match &self.pool {
            Some(pool) if pool.threads() > 1 => pool.run(|| {
                let pairs = a.par_chunks_mut(size_a.max(1)).zip(b.par_chunks_mut(size_b.max(1)));
                let triples = pairs.zip(c.par_chunks_mut(size_c.max(1)));
                triples.enumerate().for_each(|(i, ((a, b), c))| f(i, a, b, c));
            }),
            _ => {
                let pairs = a.chunks_mut(size_a.max(1)).zip(b.chunks_mut(size_b.max(1)));
                let triples = pairs.zip(c.chunks_mut(size_c.max(1)));
                triples.enumerate().for_each(|(i, ((a, b), c))| f(i, a, b, c));
            }
        }
    }

    fn each_chunk<A: Send>(&self, a: &mut [A], size: usize, f: &EachChunk<A>) {
        match &self.pool {
            Some(pool) if pool.threads() > 1 => pool.run(|| {
                a.par_chunks_mut(size.max(1)).enumerate().for_each(|(i, a)| f(i, a));
            }),
            _ => a.chunks_mut(size.max(1)).enumerate().for_each(|(i, a)| f(i, a)),
        }
    }

    /// Something for each thread to work with, made from a serial context.
    pub fn workers<T: Send>(&self, make: impl Fn(Self) -> T) -> Workers<T> {
        let serial = || Self::serial(self.isa).stopped_by(&self.stop);
        let states = (0..self.threads()).map(|_| Mutex::new(make(serial())));
        Workers { context: self.clone(), states: states.collect() }
    }

    /// The number of the calling thread among those of this context.
    fn thread(&self) -> usize {
        rayon::current_thread_index().unwrap_or(0) % self.scratch.buffers.len()
    }

    /// Lends the calling thread `length` lanes of scratch memory with unspecified content.
    pub fn with_scratch<R>(&self, length: usize, f: impl FnOnce(&mut [Lanes]) -> R) -> R {
        let mut buffer = lock(&self.scratch.buffers[self.thread()]);
        let mut largest = self.scratch.largest.load(Ordering::Relaxed);
        if length > largest {
            largest = self.scratch.largest.fetch_max(length, Ordering::Relaxed).max(length);
        }
        if buffer.len() < largest {
            // As large as any other thread's: which iteration of a loop first gives a thread its share of the work is
            // chance, and it should not allocate then.
            grow(&mut buffer, largest);
            for mut idle in self.scratch.buffers.iter().filter_map(|other| other.try_lock().ok()) {
                grow(&mut idle, largest);
            }
        }
        f(&mut buffer[..length])
    }
}

/// A state for each thread: workers that go from pixels to pixels without meeting one another.
pub struct Workers<T> {
    context: Context,
    states: Vec<Mutex<T>>,
}

impl<T: Send> Workers<T> {
    /// Calls `f(state of the thread, index, chunk)` for every `chunk` of `size` elements, in parallel.
    ///
    /// # Errors
    /// The error of the first chunk (by index) that failed; the others are still worked on, unless the context was asked
    /// to stop.
    pub fn chunks<A: Send>(
        &self,
        a: &mut [A],
        size: usize,
        f: impl Fn(&mut T, usize, &mut [A]) -> Result<()> + Sync + Send,
    ) -> Result<()> {
        let failure: Mutex<Option<(usize, Error)>> = Mutex::new(None);
        self.context.chunks(a, size, |i, a| {
            let state = || lock(&self.states[self.context.thread()]);
            if let Err(error) = self.context.stop.check().and_then(|()| f(&mut state(), i, a)) {
                let mut first = lock(&failure);
                if first.as_ref().is_none_or(|(index, _)| i < *index) {
                    *first = Some((i, error));
                }
            }
        });
        let first = lock(&failure).take();
        first.map_or(Ok(()), |(_, error)| Err(error))
    }
}

/// A poisoned lock only says that some thread panicked; what these locks guard is overwritten before it is read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Scratch memory of all threads.
#[derive(Debug)]
struct Scratch {
    buffers: Box<[Mutex<Vec<Lanes>>]>,
    /// The most lanes that any of them was asked for.
    largest: AtomicUsize,
}

impl Scratch {
    fn new(threads: usize) -> Arc<Self> {
        let buffers = (0..threads).map(|_| Mutex::default()).collect();
        Arc::new(Self { buffers, largest: AtomicUsize::new(0) })
    }
}
