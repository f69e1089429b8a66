//! Speed of single layers: forward, and both gradients together, one JSON line a layer.
//!
//! `cargo run --release --example layer_speed -- --threads 2 64,64,32,3,1 linear,3136,1024`; PyTorch's side of
//! the same layers is `benches/peers/layers.py`.

use clap::Parser;
use deepsleep::autodiff::{Tape, Var};
use deepsleep::kernels::conv2d::Conv2dOptions;
use deepsleep::simd::fma_peak_gflops;
use deepsleep::tensor::{Context, Shape, Tensor};
use deepsleep::{Error, Result};
use std::time::Instant;

/// Our speed at single layers.
#[derive(Parser)]
struct Options {
    /// Threads; 0 for every core
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Samples in the batch
    #[arg(long, default_value_t = 64)]
    samples: usize,
    /// Timed calls of a layer, of which the fastest counts
    #[arg(long, default_value_t = 5)]
    calls: usize,
    /// Layers: `in,out,side,kernel,padding[,stride[,groups]]`, or `linear,in,out`
    #[arg(required = true)]
    layers: Vec<String>,
}

enum Layer {
    Conv { input: Shape, weight: [usize; 4], options: Conv2dOptions },
    Linear { features: usize, outputs: usize },
}

fn main() -> Result<()> {
    let options = Options::parse();
    let context = Context::new(options.threads)?;
    for name in &options.layers {
        let layer = parse(name)?;
        let (forward, backward, flops) = context.install(|| measure(&context, &layer, &options))?;
        let gflops = |times: f64, seconds: f64| (times * flops / seconds / 1e8).round() / 10.0;
        let line = serde_json::json!({
            "layer": name,
            "isa": context.isa().name(),
            "forward_gflops": gflops(1.0, forward),
            "backward_gflops": gflops(2.0, backward),
            "forward_seconds": forward,
            "backward_seconds": backward,
            "fma_peak_gflops": fma_peak_gflops(context.isa(), context.threads()).round(),
        });
        println!("{line}");
    }
    Ok(())
}

fn parse(name: &str) -> Result<Layer> {
    let wrong = || Error::argument("layer", format!("{name}: not `in,out,side,kernel,padding`"));
    let (linear, numbers) = match name.strip_prefix("linear,") {
        Some(rest) => (true, rest),
        None => (false, name),
    };
    let numbers: Vec<usize> =
        numbers.split(',').map(|n| n.parse().map_err(|_| wrong())).collect::<Result<_>>()?;
    match (linear, &numbers[..]) {
        (true, &[features, outputs]) => Ok(Layer::Linear { features, outputs }),
        (false, &[input, out, side, kernel, padding, ref rest @ ..]) => {
            let stride = rest.first().copied().unwrap_or(1);
            let groups = rest.get(1).copied().unwrap_or(1).max(1);
            Ok(Layer::Conv {
                input: Shape::new(input, side, side),
                weight: [out, input / groups, kernel, kernel],
                options: Conv2dOptions::default().with(|o| {
                    o.stride = [stride; 2];
                    o.padding = [padding; 2];
                    o.groups = groups;
                }),
            })
        }
        _ => Err(wrong()),
    }
}

/// Least seconds of a forward pass and of a backward pass, and operations of the forward pass.
fn measure(context: &Context, layer: &Layer, options: &Options) -> Result<(f64, f64, f64)> {
    let (input, weights, fan_in) = match layer {
        Layer::Conv { input, weight, .. } => {
            (*input, weight.iter().product(), weight[1] * weight[2] * weight[3])
        }
        Layer::Linear { features, outputs } => {
            (Shape::flat(*features), features * outputs, *features)
        }
    };
    let values = numbers(weights);
    let x = tensor(input, options.samples);
    let mut tape = Tape::new(context.clone());
    let mut seed: Option<Tensor> = None;
    let (mut forward, mut backward, mut flops) = (f64::INFINITY, f64::INFINITY, 0.0);
    // The first two calls fetch memory.
    for call in 0..options.calls + 2 {
        tape.reset();
        let x = tape.input(x.clone());
        let start = Instant::now();
        let out = record(&mut tape, x, layer, &values)?;
        let seconds = start.elapsed().as_secs_f64();
        let shape = tape.value(out).shape();
        flops = 2.0 * (options.samples * shape.features() * fan_in) as f64;
        let seed = seed.get_or_insert_with(|| tensor(shape, options.samples)).clone();
        let start = Instant::now();
        tape.backward_from(out, seed)?;
        if call >= 2 {
            forward = forward.min(seconds);
            backward = backward.min(start.elapsed().as_secs_f64());
        }
    }
    Ok((forward, backward, flops))
}

fn record(tape: &mut Tape, x: Var, layer: &Layer, values: &[f32]) -> Result<Var> {
    match layer {
        Layer::Conv { weight, options, .. } => {
            let weight = tape.weight(weight, values)?;
            tape.conv2d(x, weight, *options)
        }
        Layer::Linear { features, outputs } => {
            let weight = tape.weight(&[*outputs, *features], values)?;
            tape.linear(x, weight)
        }
    }
}

fn tensor(shape: Shape, samples: usize) -> Tensor {
    let mut tensor = Tensor::zeros(shape, samples);
    let lanes = tensor.lanes_mut();
    let values = numbers(lanes.len() * 16);
    for (lanes, values) in lanes.iter_mut().zip(values.as_chunks().0) {
        lanes.0 = *values;
    }
    tensor
}

fn numbers(count: usize) -> Vec<f32> {
    let number = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0;
    (0..count as u32).map(number).collect()
}
