//! The published slow-wave layers against PyTorch's numbers (tests/golden, made by make_golden.py there). The recorded
//! uniform numbers break the ties, as they did there.

use crate::common::isas;
use deepsleep::autodiff::Tape;
use deepsleep::checkpoint::StateDict;
use deepsleep::kernels::conv2d::{Conv2dOptions, Geometry};
use deepsleep::sleep::{StdpConv, StdpLinear};
use deepsleep::tensor::{Context, Shape, Tensor};
use ndarray::Array4;

fn golden(file: &str) -> StateDict {
    StateDict::load(format!("tests/golden/{file}.safetensors")).unwrap()
}

fn tensor(golden: &StateDict, name: &str) -> Tensor {
    let entry = golden.get(name).unwrap();
    let mut shape = entry.shape.clone();
    shape.resize(4, 1);
    let dim = (shape[0], shape[1], shape[2], shape[3]);
    Tensor::from_array(Array4::from_shape_vec(dim, entry.values.clone()).unwrap().view())
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.to_array().iter().copied().collect()
}

fn distance(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0_f32, |m, e| m.max(e.abs()));
    found.iter().zip(expected).fold(0.0_f32, |m, (f, e)| m.max((f - e).abs())) / scale
}

/// The candidate with the largest recorded number.
fn largest(uniforms: &[f32], at: impl Fn(usize) -> usize, candidates: &[u32]) -> usize {
    (0..32)
        .filter(|c| candidates[0] >> c & 1 == 1)
        .max_by(|&a, &b| uniforms[at(a)].total_cmp(&uniforms[at(b)]))
        .unwrap()
}

#[test]
fn the_convolution_layer() {
    let golden = golden("stdp_conv");
    let values = |name: &str| golden.get(name).unwrap().values.as_slice();
    let x = tensor(&golden, "x");
    for isa in isas() {
        let context = Context::with_isa(isa, 2).unwrap();
        let input = Shape::new(1, 12, 12);
        let geometry = Geometry::new(input, [10, 1, 5, 5], Conv2dOptions::default()).unwrap();
        let mut layer = StdpConv::new(geometry, values("weight")).unwrap();
        let uniforms = values("uniforms");
        layer
            .simulate(&context, &x, 10, &|sample, pixel, step, candidates| {
                let at = |c: usize| ((step * 3 + sample) * 10 + c) * 64 + pixel;
                largest(uniforms, at, candidates)
            })
            .unwrap();
        assert!(distance(layer.threshold(), values("threshold")) < 1e-6);
        assert_eq!(flat(layer.counts()), values("counts"), "{}", isa.name());
        let mut tape = Tape::new(context.clone());
        let mut next = layer.counts().clone();
        layer.normalize(&context, &mut next);
        let next = tape.constant(next);
        let pooled = tape.max_pool(next, [2, 2], [2, 2]).unwrap();
        assert!(distance(&flat(tape.value(pooled)), values("next_input")) < 1e-6);
        let grad = layer.gradient(&context, &x);
        assert!(distance(&grad, values("grad")) < 1e-4, "{}", distance(&grad, values("grad")));
        layer.update(&grad, 1e-3);
        let off = distance(layer.weight(), values("new_weight"));
        assert!(off < 1e-4, "{}: {off}", isa.name());
    }
}

#[test]
fn the_linear_layer_keeps_its_state() {
    let golden = golden("stdp_linear");
    let values = |name: &str| golden.get(name).unwrap().values.as_slice();
    let x = tensor(&golden, "x");
    for isa in isas() {
        let context = Context::with_isa(isa, 2).unwrap();
        let mut layer = StdpLinear::new(320, 10, values("weight")).unwrap();
        for batch in 0..2 {
            let name = |what: &str| format!("{batch}.{what}");
            let uniforms = values(&name("uniforms")).to_vec();
            layer
                .simulate(&context, &x, 15, &|sample, _, step, candidates| {
                    largest(&uniforms, |c| (step * 4 + sample) * 10 + c, candidates)
                })
                .unwrap();
            assert_eq!(flat(layer.counts()), values(&name("counts")), "{}", isa.name());
            assert!(distance(&flat(layer.membrane().unwrap()), values(&name("membrane"))) < 1e-5);
            layer.update(&context, &x);
            assert!(distance(layer.threshold(), values(&name("threshold"))) < 1e-5);
            assert!(distance(layer.weight(), values(&name("new_weight"))) < 1e-5);
        }
    }
}
