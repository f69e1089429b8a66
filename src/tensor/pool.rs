//! Threads that stay awake through a loop of many short parallel sections.
//!
//! A rayon thread that finds nothing to do for a few microseconds goes to sleep, and waking it takes tens of them: longer
//! than most sections of a training step (on two cores, 0.35 of 2.24 ms a step). [`Pool::stay_awake`] gives every thread a
//! loop to spin in meanwhile: it looks for work until the loop is over.
//!
//! What a thread does while it spins is all the work there is; a thread that began to spin inside of other work
//! would not finish that before the loop is over, and if the loop waits for it, never. So spinning begins only while the
//! pool has no work: one call at a time asks for it, before its own work, and waits until all threads keep it.

use crate::{Error, Result};
use rayon::{ThreadPool, ThreadPoolBuilder, Yield};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Fruitless looks for work (a few dozen nanoseconds each) before a thread lets others of the machine have its core.
const SPINS: usize = 200;

/// Something that runs once on one of the threads. Behind a pointer, as all that is generic over it would be compiled for
/// every caller.
type PoolWork<'a> = dyn FnMut() + Send + 'a;

/// What `f` returns, which `run` calls once.
fn once<R: Send>(f: impl FnOnce() -> R + Send, run: impl FnOnce(&mut PoolWork)) -> R {
    let (mut f, mut result) = (Some(f), None);
    run(&mut || result = f.take().map(|f| f()));
    result.expect("it was called")
}

/// Some threads, and how many callers use them.
#[derive(Debug)]
pub(super) struct Pool {
    threads: ThreadPool,
    /// Those of the machine.
    cores: usize,
    /// Locked also while one of them waits for the others to spin.
    callers: Mutex<usize>,
}

impl Pool {
    /// `threads` threads, 0 for as many as the machine has.
    ///
    /// # Errors
    /// If the system cannot start them.
    pub(super) fn new(threads: usize) -> Result<Self> {
        // Asked for 0, rayon would take what a variable says, be it thousands.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = if threads == 0 { cores } else { threads };
        let builder = ThreadPoolBuilder::new().num_threads(count);
        let threads = builder.thread_name(|i| format!("deepsleep-{i}")).build().map_err(|e| {
            let problem = format!(
                "cannot start {count}: {e}; the system allows no more (see `ulimit -u`), or has no memory for them"
            );
            Error::failed("threads", problem)
        })?;
        Ok(Self { threads, cores, callers: Mutex::new(0) })
    }

    /// The number of threads.
    pub(super) fn threads(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// Runs `f` on one of the threads; on the calling one, if it belongs to the pool.
    pub(super) fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        once(f, |work| self.run_work(work))
    }

    /// Like [`run`](Self::run), but workers keep spinning until `f` returns. Falls back to `run` if another caller
    /// already uses the pool, or if there are more threads than cores: spinning threads would then take the cores of
    /// working ones.
    pub(super) fn stay_awake<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        once(f, |work| self.run_awake(work))
    }

    fn run_work(&self, f: &mut PoolWork) {
        if self.threads.current_thread_index().is_some() {
            return f();
        }
        let _caller = Caller::register(self, self.callers());
        self.threads.install(f);
    }

    /// Runs both, side by side if a thread is free.
    pub(super) fn join(&self, a: impl FnOnce() + Send, b: impl FnOnce() + Send) {
        once(a, |a| {
            once(b, |b| {
                self.run_work(&mut || {
                    rayon::join(&mut *a, &mut *b);
                });
            });
        });
    }

    fn run_awake(&self, f: &mut PoolWork) {
        let alone = self.threads() == 1;
        if alone || self.threads() > self.cores || self.threads.current_thread_index().is_some() {
            return self.run_work(f);
        }
        let awake = KeepAwake(Arc::default());
        let callers = self.callers();
        if *callers == 0 {
            let kept = Arc::clone(&awake.0);
            self.threads.spawn_broadcast(move |_| kept.keep());
            while awake.0.spinners.load(Ordering::Acquire) < self.threads() {
                std::thread::yield_now();
            }
        }
        let _caller = Caller::register(self, callers);
        self.threads.install(f);
    }

    fn callers(&self) -> MutexGuard<'_, usize> {
        // A panic elsewhere leaves the number valid.
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counted among the callers while it lives.
struct Caller<'a>(&'a Pool);

impl<'a> Caller<'a> {
    fn register(pool: &'a Pool, mut callers: MutexGuard<'_, usize>) -> Self {
        *callers += 1;
        Self(pool)
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        *self.0.callers() -= 1;
    }
}

#[derive(Default)]
struct Awake {
    spinners: AtomicUsize,
    over: AtomicBool,
}

impl Awake {
    fn keep(&self) {
        self.spinners.fetch_add(1, Ordering::AcqRel);
        let mut fruitless = 0;
        while !self.over.load(Ordering::Acquire) {
            fruitless = if rayon::yield_now() == Some(Yield::Executed) { 0 } else { fruitless + 1 };
            if fruitless < SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

/// Lets the threads sleep again, also when `f` panics.
struct KeepAwake(Arc<Awake>);

impl Drop for KeepAwake {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;

    /// Nested parallel sums, many of them: the right number, and no thread waits for ever.
    fn sections(n: usize) -> usize {
        (0..n)
            .map(|i| {
                (0..64)
                    .into_par_iter()
                    .map(|j| rayon::join(|| i, || j))
                    .map(|(i, j)| i * j)
                    .sum::<usize>()
            })
            .sum()
    }

    /// A pool whose threads spin, however few cores there are.
    fn awake(threads: usize) -> Pool {
        Pool { cores: threads, ..Pool::new(threads).unwrap() }
    }

    #[test]
    fn as_many_threads_as_cores_whatever_a_variable_says() {
        let cores = std::thread::available_parallelism().unwrap().get();
        assert_eq!(Pool::new(0).unwrap().threads(), cores);
        // More than that do not stay awake; they work all the same.
        let pool = Pool::new(4 * cores).unwrap();
        assert_eq!(pool.stay_awake(|| sections(9)), expected(9));
    }

    fn expected(n: usize) -> usize {
        n * n.saturating_sub(1) / 2 * 2016
    }

    #[test]
    fn loops_that_stay_awake_follow_one_another() {
        for threads in [1, 2, 3, 7] {
            let pool = awake(threads);
            for n in 0..40 {
                assert_eq!(pool.stay_awake(|| sections(n)), expected(n));
                assert_eq!(pool.run(|| pool.stay_awake(|| sections(n))), expected(n));
            }
            assert_eq!(*pool.callers(), 0);
        }
    }

    /// Several callers at once, short and long, beginning in any order: none starves.
    #[test]
    fn callers_share_the_threads() {
        for threads in [2, 3] {
            let (pool, start) = (awake(threads), Barrier::new(4));
            std::thread::scope(|scope| {
                for caller in 0..4 {
                    let (pool, start) = (&pool, &start);
                    scope.spawn(move || {
                        start.wait();
                        for n in 0..100 {
                            let found = if (n + caller) % 2 == 0 {
                                pool.run(|| sections(n))
                            } else {
                                pool.stay_awake(|| sections(n))
                            };
                            assert_eq!(found, expected(n));
                        }
                    });
                }
            });
            assert_eq!(*pool.callers(), 0);
        }
    }

    /// A caller that has to wait for another one, whose work runs on the same threads.
    #[test]
    fn one_caller_waits_for_another() {
        let pool = awake(2);
        let met = Barrier::new(2);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| pool.stay_awake(|| met.wait()));
            }
        });
    }

    #[test]
    fn a_panic_lets_the_threads_sleep() {
        let pool = awake(2);
        for _ in 0..3 {
            let panic = || pool.stay_awake(|| panic!("on purpose"));
            assert!(catch_unwind(AssertUnwindSafe(panic)).is_err());
            assert_eq!(*pool.callers(), 0);
        }
        assert_eq!(pool.stay_awake(|| sections(5)), expected(5));
    }
}
