//! The tape as a user from outside of the crate sees it: own operations, gradient checks, reuse, misuse.

use crate::common::{best, dead_lanes_are_zero, numbers, relative, tensor, wide};
use deepsleep::autodiff::{Backward, Operation, Seed, Tape, Var, Weight, check_gradients};
use deepsleep::kernels::conv2d::Conv2dOptions;
use deepsleep::tensor::{Context, Shape, Tensor};
use deepsleep::{Error, Result};
use ndarray::Array4;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// `w[0] x^2`, with a derivative of one's choice.
#[derive(Default)]
struct Square {
    derivative: f32,
}

fn square(tape: &mut Tape, x: Var, weight: Weight, derivative: f32) -> Result<Var> {
    let mut operation: Box<Square> = tape.reuse();
    operation.derivative = derivative;
    let (shape, samples, steps) =
        (tape.value(x).shape(), tape.value(x).samples(), tape.value(x).steps());
    let mut out = tape.tensor(shape, samples, steps);
    let factor = tape.weight_value(weight)[0];
    for (out, x) in out.lanes_mut().iter_mut().zip(tape.value(x).lanes()) {
        out.0 = x.0.map(|x| factor * x * x);
    }
    Ok(tape.record(operation, &[x], &[weight], out))
}

impl Operation for Square {
    fn name(&self) -> &'static str {
        "square"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let factor = pass.weight(0)[0];
        let mut out = pass.like_input(0);
        let mut sum = 0.0;
        let pairs = pass.input(0).lanes().iter().zip(pass.grad().lanes());
        for (out, (x, grad)) in out.lanes_mut().iter_mut().zip(pairs) {
            for lane in 0..16 {
                out.0[lane] = self.derivative * factor * x.0[lane] * grad.0[lane];
                sum += x.0[lane] * x.0[lane] * grad.0[lane];
            }
        }
        pass.give_input(0, out);
        let mut weight = pass.like_weight(0);
        weight.fill(sum);
        pass.give_weight(0, weight);
    }
}

fn tape() -> Tape {
    Tape::new(Context::serial(best()))
}

fn panic_message<R>(f: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).err().expect("a panic");
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).expect("a message")
}

#[test]
fn an_operation_of_ones_own_passes_the_gradient_check_and_a_wrong_one_fails_it() {
    let x = Array4::from_shape_vec((3, 2, 4, 4), numbers(5, 96)).unwrap();
    let kernel = numbers(6, 36);
    let check = |derivative| {
        check_gradients(x.view(), &[(&[2, 2, 3, 3], &kernel), (&[1], &[1.5])], |tape, x, w| {
            let maps = tape.conv2d(x, w[0], Conv2dOptions::default())?;
            let squares = square(tape, maps, w[1], derivative)?;
            Ok(tape.tanh(squares))
        })
        .unwrap()
    };
    let right = check(2.0);
    assert!(right.weights.len() == 2 && right.worst() < 2e-3, "{right:?}");
    let wrong = check(2.2); // 10 % off
    assert!(wrong.input > 0.05 && wrong.weights[0] > 0.05, "{wrong:?}");
    assert!(wrong.weights[1] < 2e-3, "this one is right: {wrong:?}");
    let nan = check(f32::NAN);
    assert!(nan.worst() > 1e6, "{nan:?}");
}

#[test]
fn a_gradient_that_never_arrives_fails_the_check() {
    struct Nothing;
    impl Operation for Nothing {
        fn name(&self) -> &'static str {
            "nothing"
        }
        fn backward(&mut self, _: &mut Backward<'_>) {}
    }
    let x = Array4::from_shape_vec((2, 1, 2, 2), numbers(5, 8)).unwrap();
    let report = check_gradients(x.view(), &[], |tape, x, _| {
        let value = tape.value(x).clone();
        Ok(tape.record(Box::new(Nothing), &[x], &[], value))
    })
    .unwrap();
    assert!((report.worst() - 1.0).abs() < 1e-3, "{report:?}");
}

#[test]
fn a_gradient_of_another_shape_is_refused_with_the_operations_name() {
    struct Crooked;
    impl Operation for Crooked {
        fn name(&self) -> &'static str {
            "crooked"
        }
        fn backward(&mut self, pass: &mut Backward<'_>) {
            pass.give_input(0, Tensor::zeros(Shape::flat(2), 3));
            pass.give_weight(0, vec![0.0; 2]);
        }
    }
    let mut tape = tape();
    let x = tape.input(tensor(1, 3, Shape::flat(5)));
    let value = tape.value(x).clone();
    let y = tape.record(Box::new(Crooked), &[x], &[], value);
    let message = panic_message(|| tape.backward(y, Seed::Sum));
    assert!(
        message.contains("3 samples x 5x1x1") && message.contains("3 samples x 2x1x1"),
        "{message}"
    );
    let mut tape = self::tape();
    let x = tape.constant(tensor(1, 3, Shape::flat(5)));
    let w = tape.weight(&[3], &[0.0; 3]).unwrap();
    let value = tape.value(x).clone();
    let y = tape.record(Box::new(Crooked), &[x], &[w], value);
    let message = panic_message(|| tape.backward(y, Seed::Sum));
    assert!(message.contains('3') && message.contains('2'), "{message}");
}

#[test]
fn a_second_recording_gives_the_same_numbers() {
    let (x, w) = (tensor(1, 19, Shape::new(2, 6, 6)), numbers(2, 54));
    let mut tape = tape();
    let mut run = |images: &Tensor| {
        tape.reset();
        let x = tape.input(images.clone());
        let w = tape.weight(&[3, 2, 3, 3], &w).unwrap();
        let maps = tape.conv2d(x, w, Conv2dOptions::default()).unwrap();
        let y = tape.sigmoid(maps);
        let y = tape.max_pool(y, [2, 2], [2, 2]).unwrap();
        tape.backward(y, Seed::Mean).unwrap();
        let grad = tape.gradient(x).unwrap().clone();
        (tape.value(y).clone(), grad, tape.weight_gradient(w).unwrap().to_vec())
    };
    let first = run(&x);
    run(&tensor(3, 40, Shape::new(2, 6, 6))); // leaves larger buffers full of other numbers behind
    run(&tensor(3, 1, Shape::new(2, 6, 6)));
    assert_eq!(run(&x), first);
    assert!(dead_lanes_are_zero(&first.0) && dead_lanes_are_zero(&first.1));
}

#[test]
fn a_variable_of_an_earlier_recording_or_of_another_tape_panics() {
    let mut tape = tape();
    let old = tape.input(tensor(1, 3, Shape::flat(4)));
    let old_weight = tape.weight(&[1], &[2.0]).unwrap();
    tape.reset();
    let x = tape.input(tensor(1, 3, Shape::flat(4)));
    let w = tape.weight(&[1], &[2.0]).unwrap();
    let says = |message: String, what: &str| {
        assert!(message.contains(&format!("a {what} outlived its tape's reset")), "{message}");
    };
    says(panic_message(|| tape.value(old).samples()), "Var");
    says(panic_message(|| tape.gradient(old).is_some()), "Var");
    says(panic_message(|| tape.weight_value(old_weight).len()), "Weight");
    says(panic_message(|| tape.relu(old)), "Var");
    says(panic_message(|| tape.add(x, old)), "Var");
    says(panic_message(|| tape.backward(old, Seed::Sum)), "Var");
    let value = tensor(1, 3, Shape::flat(4));
    let mut record = |x: &[Var], w: &[Weight]| {
        panic_message(|| tape.record(Box::<Square>::default(), x, w, value.clone()))
    };
    says(record(&[old, x], &[w]), "Var");
    says(record(&[x, old], &[w]), "Var");
    says(record(&[x], &[old_weight]), "Weight");
    // Another tape, at its own first recording.
    let mut one = self::tape();
    let mut other = self::tape();
    let mine = one.input(tensor(1, 3, Shape::flat(4)));
    other.input(tensor(2, 5, Shape::flat(7)));
    panic_message(|| other.value(mine).samples());
}

#[test]
fn gradients_of_a_variable_that_is_used_more_than_once_add_up() {
    let values = tensor(1, 21, Shape::new(2, 3, 3));
    for same in [false, true] {
        let mut tape = tape();
        let x = tape.input(values.clone());
        let w = tape.weight(&[1], &[3.0]).unwrap();
        let a = square(&mut tape, x, w, 2.0).unwrap();
        let b = if same { square(&mut tape, x, w, 2.0) } else { tape.scale(x, 5.0) }.unwrap();
        let sum = tape.add(a, b).unwrap();
        let y = tape.add(sum, sum).unwrap(); // the same variable on both sides
        tape.backward(y, Seed::Sum).unwrap();
        let x_grad: Vec<f64> = wide(&values)
            .iter()
            .map(|x| 2.0 * if same { 12.0 * x } else { 6.0 * x + 5.0 })
            .collect();
        assert!(relative(tape.gradient(x).unwrap().to_array(), x_grad) < 1e-6);
        let squares: f64 = wide(&values).iter().map(|x| x * x).sum();
        let factor = if same { 4.0 } else { 2.0 };
        let w_grad = tape.weight_gradient(w).unwrap().iter().copied();
        assert!(relative(w_grad, [factor * squares]) < 1e-5);
    }
}

#[test]
fn a_second_sweep_adds_to_the_first() {
    let mut tape = tape();
    let x = tape.input(tensor(1, 5, Shape::flat(3)));
    let y = tape.scale(x, 2.0).unwrap();
    let z = tape.scale(x, 7.0).unwrap();
    tape.backward(y, Seed::Sum).unwrap();
    tape.backward(z, Seed::Mean).unwrap();
    tape.backward(y, Seed::Sum).unwrap();
    tape.backward(x, Seed::Sum).unwrap(); // from the input itself
    let grad = tape.gradient(x).unwrap();
    assert!(
        grad.to_array().iter().all(|&g| (g - (2.0 + 1.4 + 2.0 + 1.0)).abs() < 1e-6),
        "{grad:?}"
    );
    assert!(dead_lanes_are_zero(grad));
}

#[test]
fn nothing_to_differentiate_is_an_error_and_constants_get_no_gradient() {
    let mut tape = tape();
    let x = tape.constant(tensor(1, 5, Shape::new(3, 2, 2)));
    let fixed = tape.fixed_weight(&[3], &[1.0, 2.0, 3.0]).unwrap();
    let y = tape.bias(x, fixed).unwrap();
    assert!(!tape.wants_gradient(y));
    let error = tape.backward(y, Seed::Sum).unwrap_err();
    assert!(matches!(&error, Error::Argument { operation: "backward", .. }), "{error}");
    assert!(error.to_string().contains("`input` or `weight`"), "{error}");

    let trained = tape.weight(&[3], &[1.0, 2.0, 3.0]).unwrap();
    let statistics = deepsleep::autodiff::Normalization::Batch;
    let y = tape.batch_norm(y, fixed, trained, statistics, 1e-5).unwrap();
    let w = tape.weight(&[1], &[2.0]).unwrap();
    let z = square(&mut tape, y, w, 2.0).unwrap();
    tape.backward(z, Seed::Sum).unwrap();
    assert!(tape.weight_gradient(trained).is_some() && tape.weight_gradient(w).is_some());
    assert!(tape.gradient(x).is_none() && tape.weight_gradient(fixed).is_none());

    let wrong = tensor(1, 6, Shape::new(3, 2, 2));
    let error = tape.backward_from(z, wrong).unwrap_err().to_string();
    assert!(error.contains("5 samples x 3x2x2") && error.contains("6 samples x 3x2x2"), "{error}");
}

#[test]
fn batches_and_images_of_nothing_do_not_panic() {
    for (samples, shape) in
        [(0, Shape::new(2, 4, 4)), (3, Shape::new(2, 0, 4)), (3, Shape::new(0, 4, 4))]
    {
        let mut tape = tape();
        let x = tape.input(Tensor::zeros(shape, samples));
        let ones = tape.weight(&[2], &[1.0; 2]).unwrap();
        let kernel = tape.weight(&[2, 2, 3, 3], &[1.0; 36]).unwrap();
        let y = tape.relu(x);
        let y = tape.scale(y, 2.0).unwrap();
        let y = tape.add(y, x).unwrap();
        tape.backward(y, Seed::Sum).unwrap();
        assert_eq!(tape.gradient(x).unwrap().samples(), samples);
        assert!(
            tape.batch_norm(y, ones, ones, deepsleep::autodiff::Normalization::Batch, 1e-5)
                .is_err()
        );
        for y in [
            tape.bias(y, ones),
            tape.max_pool(y, [2, 2], [2, 2]),
            tape.avg_pool(y, [2, 2], [2, 2]),
            tape.conv2d(y, kernel, Conv2dOptions::default()),
        ] {
            // Refused or done, but not a panic.
            let Ok(y) = y else { continue };
            tape.backward(y, Seed::Mean).unwrap();
        }
    }
}
