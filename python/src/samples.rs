//! Images with labels, and what a model says about them.

use crate::error::Raised;
use crate::work::{AnyModel, run};
use deepsleep::attack;
use deepsleep::nn::{Classifier, decision_noise};
use deepsleep::simd::{LANES, Lanes};
use numpy::{
    IntoPyArray, PyArray2, PyArray4, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyReadonlyArray4,
};
use pyo3::prelude::*;
use std::sync::Arc;

/// Images, labels and identities.
#[pyclass(frozen, module = "deepsleep._native")]
pub struct Samples(pub Arc<attack::Samples>);

#[pymethods]
impl Samples {
    /// From `[n, c, h, w]` pixels, `[n]` labels and `[n]` identities, none of them negative.
    #[new]
    fn new(
        images: PyReadonlyArray4<'_, f32>,
        labels: PyReadonlyArray1<'_, i64>,
        ids: PyReadonlyArray1<'_, i64>,
    ) -> PyResult<Self> {
        let labels = labels.as_array().iter().map(|&label| label as usize).collect();
        let ids = ids.as_array().iter().map(|&id| id as u64).collect();
        Ok(Self(Arc::new(attack::Samples::new(images.as_array(), labels, ids).raised()?)))
    }
}

/// The logits of images `[n, class]`; of a random model the mean over the draws that decide.
#[pyfunction]
pub fn logits<'py>(
    py: Python<'py>,
    model: AnyModel<'py>,
    samples: &Samples,
    seed: u64,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let samples = Arc::clone(&samples.0);
    let (values, classes) = run(py, &[model], threads, None, |office, models| {
        let model = models[0];
        let (features, classes) = (samples.shape().features(), model.classes());
        takes(model, &samples)?;
        let mut values = vec![0.0; samples.len() * classes];
        let draws = model.draws().max(1);
        model.announce(samples.len().div_ceil(LANES));
        let workers = office.context.workers(|context| model.session(context));
        workers.chunks(&mut values, LANES * classes, |session, block, values| {
            let count = values.len() / classes;
            let mut images = vec![Lanes::ZERO; features];
            let mut z = vec![Lanes::ZERO; classes];
            for lane in 0..count {
                fill(&mut images, lane, samples.image(block * LANES + lane));
            }
            session.occupy((u32::MAX >> (32 - count)) as u16);
            for draw in 0..draws {
                let id = |lane: usize| samples.ids().get(block * LANES + lane).map_or(0, |&id| id);
                let noise = std::array::from_fn(|lane| decision_noise(seed, id(lane), draw));
                session.logits(&images, &noise, false, &mut z)?;
                for (lane, row) in values.chunks_mut(classes).enumerate() {
                    row.iter_mut().zip(&z).for_each(|(to, z)| *to += z.0[lane] / draws as f32);
                }
            }
            session.occupy(0);
            Ok(())
        })?;
        Ok((values, classes))
    })?;
    let rows = values.len() / classes;
    values.into_pyarray(py).reshape([rows, classes])
}

/// The gradient `[n, c, h, w]` of the sum of `weights * logits`, `[n, class]`, with respect to the pixels, of a network that
/// draws no random numbers.
#[pyfunction]
pub fn gradients<'py>(
    py: Python<'py>,
    model: AnyModel<'py>,
    samples: &Samples,
    weights: PyReadonlyArray2<'_, f32>,
) -> PyResult<Bound<'py, PyArray4<f32>>> {
    let samples = Arc::clone(&samples.0);
    let weights = weights.as_array().to_owned();
    let shape = samples.shape();
    let values = run(py, &[model], 0, None, |office, models| {
        let model = models[0];
        takes(model, &samples)?;
        let (features, classes) = (shape.features(), model.classes());
        if weights.dim() != (samples.len(), classes) {
            let expected = format!("weights of {} x {classes}", samples.len());
            return Err(deepsleep::Error::shape(
                "gradients",
                expected,
                format!("{:?}", weights.dim()),
            ));
        }
        let mut values = vec![0.0; samples.len() * features];
        model.announce(samples.len().div_ceil(LANES));
        let workers = office.context.workers(|context| model.session(context));
        workers.chunks(&mut values, LANES * features, |session, block, values| {
            let count = values.len() / features;
            let mut images = vec![Lanes::ZERO; features];
            let mut weight = vec![Lanes::ZERO; classes];
            for lane in 0..count {
                fill(&mut images, lane, samples.image(block * LANES + lane));
                fill(&mut weight, lane, weights.row(block * LANES + lane));
            }
            session.occupy((u32::MAX >> (32 - count)) as u16);
            let noise = std::array::from_fn(|lane| decision_noise(0, lane as u64, 0));
            session.logits(&images, &noise, true, &mut vec![Lanes::ZERO; classes])?;
            session.gradient(&weight, &mut images)?;
            session.occupy(0);
            for (lane, row) in values.chunks_mut(features).enumerate() {
                row.iter_mut().zip(&images).for_each(|(to, from)| *to = from.0[lane]);
            }
            Ok(())
        })?;
        Ok(values)
    })?;
    let rows = values.len() / shape.features();
    values.into_pyarray(py).reshape([rows, shape.channels, shape.height, shape.width])
}

/// Puts a sample's numbers into its lane.
fn fill<'a>(lanes: &mut [Lanes], lane: usize, values: impl IntoIterator<Item = &'a f32>) {
    lanes.iter_mut().zip(values).for_each(|(to, &value)| to.0[lane] = value);
}

/// Whether a model takes images of this shape.
fn takes(model: &dyn Classifier, samples: &attack::Samples) -> deepsleep::Result<()> {
    if model.input_shape() == samples.shape() {
        return Ok(());
    }
    let (expected, found) =
        (format!("images of {}", model.input_shape()), format!("{}", samples.shape()));
    Err(deepsleep::Error::shape("logits", expected, found))
}
