//! Where the engine's workers, who may not touch Python, leave their questions for the thread that may.
//!
//! A worker asks about at most sixteen images and waits. The thread that serves them waits until every worker that is busy,
//! or was announced, has asked, and answers all in one batch: the model is called a few times for many images. Gradients
//! come first: who still waits for one will ask for logits right after, and can then be served with the others.

use deepsleep::{Error, Result};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a batch waits for those who are still computing, or were announced, after the last question. Who has no more
/// to ask says so or is dismissed, so that this passes only where a thread gets no processor for that long.
const PATIENCE: Duration = Duration::from_millis(250);

/// What a worker wants to know.
pub enum Question<P> {
    /// The logits of these rows of pixels, and what is needed to differentiate them.
    Logits { rows: Vec<f32>, differentiable: bool },
    /// The gradient for these weights `[row][class]`, of rows of an earlier answer.
    Gradient { of: Answered<P>, weights: Vec<f32> },
}

/// Where in an answered batch a question's rows are.
pub struct Answered<P> {
    /// What differentiates the batch.
    pub pullback: Arc<P>,
    pub first: usize,
    pub count: usize,
}

impl<P> Clone for Answered<P> {
    fn clone(&self) -> Self {
        Self { pullback: Arc::clone(&self.pullback), ..*self }
    }
}

/// The numbers of the rows that were asked about.
pub struct Reply<P> {
    pub values: Vec<f32>,
    pub answered: Option<Answered<P>>,
}

/// A question with its way back. Dropping it without an answer fails the one who asked.
pub struct Request<P> {
    /// Which of the models.
    pub model: usize,
    pub question: Question<P>,
    reply: Sender<Reply<P>>,
}

impl<P> Request<P> {
    /// Answers it. It is no fault if the asker is gone.
    pub fn answer(self, values: Vec<f32>, answered: Option<Answered<P>>) {
        let _ = self.reply.send(Reply { values, answered });
    }
}

/// How far the work is.
pub struct News {
    pub done: usize,
    pub total: usize,
    pub what: String,
}

/// What the serving thread gets.
pub enum Event<P> {
    Batch(Vec<Request<P>>),
    News(News),
    /// Nothing, for now.
    Quiet,
    /// The work is over.
    Over,
}

/// What a worker is doing.
#[derive(Clone, Copy, PartialEq)]
enum Doing {
    /// Nothing that would end in a question, as far as is known.
    Idle,
    /// Between an answer and the next question.
    Computing,
    /// Waiting for an answer.
    Waiting,
}

struct State<P> {
    /// Workers who can ask at once.
    seats: usize,
    workers: HashMap<u64, Doing>,
    hired: u64,
    /// Times that an idle worker, hired or not yet, is about to ask.
    announced: usize,
    waiting: Vec<(u64, Request<P>)>,
    last_asked: Instant,
    news: Option<News>,
    over: bool,
    failed: bool,
}

/// The desk of one piece of work.
pub struct Desk<P> {
    state: Mutex<State<P>>,
    changed: Condvar,
}

impl<P> State<P> {
    /// When the questions that are there are to be answered; None if there are none.
    fn due(&self) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        Some(if self.is_full() { self.last_asked } else { self.last_asked + PATIENCE })
    }

    /// Whether no more questions come before there are answers.
    fn is_full(&self) -> bool {
        let computing = self.workers.values().any(|&doing| doing == Doing::Computing);
        self.waiting.len() >= self.seats || self.announced == 0 && !computing
    }

    /// The questions to answer now.
    fn take(&mut self) -> Vec<Request<P>> {
        if !self.is_full() {
            // Who has not asked by now may have nothing to do.
            self.announced = 0;
            let workers = self.workers.values_mut();
            workers.filter(|d| **d == Doing::Computing).for_each(|d| *d = Doing::Idle);
        }
        let gradient = |request: &Request<P>| matches!(request.question, Question::Gradient { .. });
        let any = self.waiting.iter().any(|(_, request)| gradient(request));
        let waiting = std::mem::take(&mut self.waiting);
        let (now, later): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, request)| gradient(request) == any);
        self.waiting = later;
        for (worker, _) in &now {
            self.workers.insert(*worker, Doing::Computing);
        }
        now.into_iter().map(|(_, request)| request).collect()
    }
}

impl<P> Desk<P> {
    /// For so many workers at once.
    pub fn new(seats: usize) -> Self {
        let state = State {
            seats,
            workers: HashMap::new(),
            hired: 0,
            announced: 0,
            waiting: Vec::new(),
            last_asked: Instant::now(),
            news: None,
            over: false,
            failed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        // All of it is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new worker, who may never ask.
    pub fn hire(&self) -> u64 {
        let mut state = self.lock();
        state.hired += 1;
        let worker = state.hired;
        state.workers.insert(worker, Doing::Idle);
        worker
    }

    /// So many times, an idle worker or one who will be hired is about to ask.
    pub fn announce(&self, times: usize) {
        self.lock().announced += times;
    }

    /// This worker has nothing to ask for now.
    pub fn rest(&self, worker: u64) {
        self.lock().workers.insert(worker, Doing::Idle);
        self.changed.notify_all();
    }

    /// A worker who will not ask any more.
    pub fn dismiss(&self, worker: u64) {
        let mut state = self.lock();
        if state.workers.remove(&worker) == Some(Doing::Idle) {
            state.announced = state.announced.saturating_sub(1);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Asks, and waits for the answer.
    pub fn ask(&self, worker: u64, model: usize, question: Question<P>) -> Result<Reply<P>> {
        let (reply, answer): (_, Receiver<Reply<P>>) = channel();
        {
            let mut state = self.lock();
            if state.failed {
                return Err(Error::Interrupted);
            }
            if state.workers.insert(worker, Doing::Waiting) == Some(Doing::Idle) {
                state.announced = state.announced.saturating_sub(1);
            }
            state.last_asked = Instant::now();
            state.waiting.push((worker, Request { model, question, reply }));
        }
        self.changed.notify_all();
        answer.recv().map_err(|_| Error::Interrupted)
    }

    /// Says how far the work is.
    pub fn tell(&self, done: usize, total: usize, what: impl Into<String>) {
        self.lock().news = Some(News { done, total, what: what.into() });
        self.changed.notify_all();
    }

    /// The work is over.
    pub fn close(&self) {
        self.lock().over = true;
        self.changed.notify_all();
    }

    /// There will be no more answers.
    pub fn fail(&self) {
        let mut state = self.lock();
        state.failed = true;
        state.waiting.clear();
    }

    /// What happens next, within this time.
    pub fn next(&self, within: Duration) -> Event<P> {
        let end = Instant::now() + within;
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if let Some(news) = state.news.take() {
                return Event::News(news);
            }
            let due = state.due();
            if due.is_some_and(|due| due <= now) {
                return Event::Batch(state.take());
            }
            if state.over {
                return Event::Over;
            }
            if now >= end {
                return Event::Quiet;
            }
            let until = due.map_or(end, |due| due.min(end));
            let waited = self.changed.wait_timeout(state, until - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
