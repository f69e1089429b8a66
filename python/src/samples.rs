//! Images with labels, and what a model says about them.

use crate::error::Raised;
use crate::work::{AnyModel, run};
use deepsleep::attack;
use deepsleep::nn::decision_noise;
use deepsleep::simd::{LANES, Lanes};
use numpy::{IntoPyArray, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray4};
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
        if model.input_shape() != samples.shape() {
            let (expected, found) = (model.input_shape(), samples.shape());
            let (expected, found) = (format!("images of {expected}"), format!("{found}"));
            return Err(deepsleep::Error::shape("logits", expected, found));
        }
        let mut values = vec![0.0; samples.len() * classes];
        let draws = model.draws().max(1);
        let workers = office.context.workers(|context| model.session(context));
        workers.chunks(&mut values, LANES * classes, |session, block, values| {
            let count = values.len() / classes;
            let mut images = vec![Lanes::ZERO; features];
            let mut z = vec![Lanes::ZERO; classes];
            for lane in 0..count {
                let image = samples.image(block * LANES + lane);
                images.iter_mut().zip(image).for_each(|(to, &pixel)| to.0[lane] = pixel);
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
            Ok(())
        })?;
        Ok((values, classes))
    })?;
    let rows = values.len() / classes;
    values.into_pyarray(py).reshape([rows, classes])
}
