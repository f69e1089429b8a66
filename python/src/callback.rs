//! A model of Python's: batches of images in, logits and gradients out.

use crate::desk::{Answered, Desk, Question, Request};
use crate::error::refuse;
use deepsleep::Error;
use deepsleep::nn::{Classifier, DRAWS, Session};
use deepsleep::simd::random::Key;
use deepsleep::simd::{LANES, Lanes};
use deepsleep::tensor::{Context, Shape};
use numpy::{IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use std::sync::Arc;

/// A model that answers batches: `forward(images, differentiable)` gives the logits, and a function from weights of the
/// logits to the gradient of the weighted sum, or None.
#[pyclass(frozen, module = "deepsleep._native")]
pub struct Callback {
    forward: Py<PyAny>,
    shape: Shape,
    classes: usize,
    /// Images in a batch, at most.
    batch: usize,
    random: bool,
    draws: usize,
    /// Whether its gradients are estimates on purpose.
    surrogate: bool,
}

#[pymethods]
impl Callback {
    #[new]
    fn new(
        forward: Py<PyAny>,
        shape: (usize, usize, usize),
        classes: usize,
        batch: usize,
        random: bool,
        draws: Option<usize>,
        surrogate: bool,
    ) -> Self {
        let shape = Shape::new(shape.0, shape.1, shape.2);
        Self { forward, shape, classes, batch, random, draws: draws.unwrap_or(DRAWS), surrogate }
    }

    /// What answers.
    #[getter]
    fn forward(&self, py: Python<'_>) -> Py<PyAny> {
        self.forward.clone_ref(py)
    }

    #[getter]
    fn classes(&self) -> usize {
        self.classes
    }

    /// Whether the same images get different answers.
    #[getter]
    fn random(&self) -> bool {
        self.random
    }

    /// Draws that decide about an image, if it is random.
    #[getter]
    fn draws(&self) -> usize {
        self.draws
    }
}

/// What differentiates a batch that was answered.
pub struct Pullback {
    function: Py<PyAny>,
    rows: usize,
}

pub type ModelDesk = Desk<Pullback>;

impl Callback {
    /// Threads whose lanes fill a batch.
    pub fn threads(&self) -> usize {
        (self.batch / LANES).max(1)
    }

    /// Answers logits, all in one batch.
    fn answer_logits(&self, py: Python<'_>, requests: Vec<Request<Pullback>>) -> PyResult<()> {
        let (mut pixels, mut wanted) = (Vec::new(), false);
        for request in &requests {
            if let Question::Logits { rows, differentiable } = &request.question {
                pixels.extend_from_slice(rows);
                wanted |= differentiable;
            }
        }
        let Shape { channels, height, width } = self.shape;
        let rows = pixels.len() / self.shape.features().max(1);
        let images = pixels.into_pyarray(py).reshape([rows, channels, height, width])?;
        let answer = self.forward.call1(py, (images, wanted))?;
        let (logits, pullback): (Bound<'_, PyAny>, Option<Py<PyAny>>) = answer.extract(py)?;
        let logits = numbers(&logits, &[rows, self.classes], "logits")?;
        let pullback = pullback.map(|function| Arc::new(Pullback { function, rows }));
        let mut first = 0;
        for request in requests {
            let Question::Logits { rows, .. } = &request.question else { continue };
            let count = rows.len() / self.shape.features().max(1);
            let values = logits[first * self.classes..][..count * self.classes].to_vec();
            let answered = pullback.clone().map(|pullback| Answered { pullback, first, count });
            request.answer(values, answered);
            first += count;
        }
        Ok(())
    }

    /// Answers gradients: one call for each batch of logits that they are of.
    fn answer_gradients(
        &self,
        py: Python<'_>,
        mut requests: Vec<Request<Pullback>>,
    ) -> PyResult<()> {
        while let Some(pullback) = requests.first().and_then(of) {
            let (these, others): (Vec<_>, Vec<_>) = requests
                .into_iter()
                .partition(|request| of(request).is_some_and(|p| Arc::ptr_eq(&p, &pullback)));
            requests = others;
            let mut all = vec![0.0; pullback.rows * self.classes];
            for request in &these {
                if let Question::Gradient { of, weights } = &request.question {
                    all[of.first * self.classes..][..weights.len()].copy_from_slice(weights);
                }
            }
            let weights = PyArray1::from_vec(py, all).reshape([pullback.rows, self.classes])?;
            let gradient = pullback.function.call1(py, (weights,))?;
            let Shape { channels, height, width } = self.shape;
            let shape = [pullback.rows, channels, height, width];
            let gradient = numbers(gradient.bind(py), &shape, "gradient")?;
            let features = self.shape.features();
            for request in these {
                let Question::Gradient { of, .. } = &request.question else { continue };
                let values = gradient[of.first * features..][..of.count * features].to_vec();
                request.answer(values, None);
            }
        }
        Ok(())
    }
}

fn of(request: &Request<Pullback>) -> Option<Arc<Pullback>> {
    match &request.question {
        Question::Gradient { of, .. } => Some(Arc::clone(&of.pullback)),
        Question::Logits { .. } => None,
    }
}

/// The numbers of an array of this shape.
fn numbers(array: &Bound<'_, PyAny>, shape: &[usize], what: &str) -> PyResult<Vec<f32>> {
    let array: PyReadonlyArrayDyn<'_, f32> = array.extract()?;
    let view = array.as_array();
    if view.shape() != shape {
        let found = view.shape();
        return Err(refuse(format!("the model's {what} have shape {found:?}, expected {shape:?}")));
    }
    Ok(view.iter().copied().collect())
}

/// Answers questions about these models, all of one kind.
pub fn answer(
    py: Python<'_>,
    models: &[&Callback],
    requests: Vec<Request<Pullback>>,
) -> PyResult<()> {
    let mut of_model: Vec<Vec<Request<Pullback>>> = models.iter().map(|_| Vec::new()).collect();
    requests.into_iter().for_each(|request| of_model[request.model].push(request));
    for (model, requests) in models.iter().zip(of_model) {
        let (gradients, logits): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|request| of(request).is_some());
        model.answer_gradients(py, gradients)?;
        if !logits.is_empty() {
            model.answer_logits(py, logits)?;
        }
    }
    Ok(())
}

/// A model of Python's as the engine sees it, from threads that may not touch Python.
pub struct Remote<'a> {
    pub desk: &'a ModelDesk,
    pub model: &'a Callback,
    /// Its place among the models that the desk is for.
    pub index: usize,
}

impl Classifier for Remote<'_> {
    fn input_shape(&self) -> Shape {
        self.model.shape
    }

    fn classes(&self) -> usize {
        self.model.classes
    }

    fn is_random(&self) -> bool {
        self.model.random
    }

    fn draws_by_key(&self) -> bool {
        !self.model.random
    }

    fn estimates_gradients(&self) -> bool {
        self.model.surrogate
    }

    fn may_change(&self) -> bool {
        !self.model.random
    }

    fn draws(&self) -> usize {
        if self.model.random { self.model.draws } else { 1 }
    }

    fn announce(&self, blocks: usize) {
        self.desk.announce(blocks);
    }

    fn session(&self, _: Context) -> Box<dyn Session + '_> {
        let worker = self.desk.hire();
        Box::new(RemoteSession { remote: self, worker, occupied: u16::MAX, last: None })
    }
}

struct RemoteSession<'a> {
    remote: &'a Remote<'a>,
    worker: u64,
    /// Lanes with samples.
    occupied: u16,
    /// The last evaluation, if it can be differentiated, and the lanes that it was of.
    last: Option<(Answered<Pullback>, u16)>,
}

impl Drop for RemoteSession<'_> {
    fn drop(&mut self) {
        self.remote.desk.dismiss(self.worker);
    }
}

impl Session for RemoteSession<'_> {
    fn occupy(&mut self, lanes: u16) {
        self.occupied = lanes;
        if lanes == 0 {
            self.remote.desk.rest(self.worker);
        }
    }

    fn logits(
        &mut self,
        images: &[Lanes],
        _: &[Key; LANES],
        differentiable: bool,
        out: &mut [Lanes],
    ) -> deepsleep::Result<()> {
        self.last = None;
        let rows = rows_of(images, self.occupied);
        let question = Question::Logits { rows, differentiable };
        let reply = self.remote.desk.ask(self.worker, self.remote.index, question)?;
        write_rows(&reply.values, self.occupied, out);
        self.last = reply.answered.map(|answered| (answered, self.occupied));
        Ok(())
    }

    fn gradient(&mut self, weight: &[Lanes], out: &mut [Lanes]) -> deepsleep::Result<()> {
        let Some((answered, lanes)) = &self.last else {
            let problem =
                "it has no gradient; give gradient=, or an attack that needs none, such as square";
            return Err(Error::argument("model", problem));
        };
        let (of, lanes, weights) = (answered.clone(), *lanes, rows_of(weight, *lanes));
        let question = Question::Gradient { of, weights };
        let reply = self.remote.desk.ask(self.worker, self.remote.index, question)?;
        write_rows(&reply.values, lanes, out);
        Ok(())
    }
}

fn lanes_in(lanes: u16) -> impl Iterator<Item = usize> {
    (0..LANES).filter(move |lane| lanes >> lane & 1 == 1)
}

/// The rows of these lanes, one after the other.
fn rows_of(block: &[Lanes], lanes: u16) -> Vec<f32> {
    lanes_in(lanes).flat_map(|lane| block.iter().map(move |values| values.0[lane])).collect()
}

/// Rows into these lanes; the others become 0.
fn write_rows(rows: &[f32], lanes: u16, block: &mut [Lanes]) {
    block.fill(Lanes::ZERO);
    let width = block.len();
    for (row, lane) in lanes_in(lanes).enumerate() {
        let row = &rows[row * width..][..width];
        block.iter_mut().zip(row).for_each(|(to, &value)| to.0[lane] = value);
    }
}
