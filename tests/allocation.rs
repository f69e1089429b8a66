//! A loop's second iteration allocates nothing: every allocation of every thread is counted.
//!
//! One test function, as the test harness allocates when it starts another.

mod common;

use common::{isas, tensor};
use deepsleep::attack::{Budget, Norm, Samples, parse_attack, run_attack};
use deepsleep::autodiff::{Backward, Labels, Operation, Seed, Tape};
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{Classifier, Freeze, FrozenNetwork, Model, Rule, Trainer, TrainingOptions};
use deepsleep::simd::Isa;
use deepsleep::tensor::{Context, Shape, Tensor};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::SeqCst};

struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, SeqCst);
        BYTES.fetch_add(layout.size() as isize, SeqCst);
        // SAFETY: as our caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as isize, SeqCst);
        // SAFETY: as our caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, SeqCst);
        BYTES.fetch_add(size as isize - layout.size() as isize, SeqCst);
        // SAFETY: as our caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(f: impl FnOnce()) -> usize {
    let before = CALLS.load(SeqCst);
    f();
    CALLS.load(SeqCst) - before
}

/// Steps may allocate until ten in a row have not (a thread may wait for its first share of the work); from then on,
/// none may.
fn steady(what: &str, isa: Isa, threads: usize, mut step: impl FnMut()) {
    // Where it is not the only one, the portable instruction set is slow.
    let turns = if isa.name() == "portable" && isas().len() > 1 { 4 } else { 40 };
    let mut quiet = 0;
    for _ in 0..200 {
        quiet = if allocations(&mut step) == 0 { quiet + 1 } else { 0 };
        if quiet == turns.min(10) {
            break;
        }
    }
    let counts: Vec<usize> = (0..turns).map(|_| allocations(&mut step)).collect();
    assert!(
        counts.iter().all(|&n| n == 0),
        "{what}, {}, {threads} threads: {counts:?}",
        isa.name()
    );
}

fn training(isa: Isa, threads: usize, batch: usize, rule: Rule, data: &Dataset) {
    let context = Context::with_isa(isa, threads).unwrap();
    let mut lenet = Model::lenet(1);
    let options = TrainingOptions::default().with(|o| {
        o.batch_size = batch;
        o.rule = rule;
    });
    let mut trainer = Trainer::new(&lenet, options).unwrap();
    let indices: Vec<usize> = (0..data.len()).collect();
    context.install(|| {
        let mut batches = indices.chunks_exact(batch).cycle();
        steady("training", isa, threads, || {
            let batch = batches.next().unwrap();
            trainer.step(&context, &mut lenet, data, batch).unwrap();
        });
    });
}

fn frozen(isa: Isa, threads: usize, samples: usize, data: &Dataset) {
    let context = Context::with_isa(isa, threads).unwrap();
    let frozen = Model::lenet(1).freeze().unwrap();
    let mut tape = Tape::new(context.clone());
    let indices: Vec<usize> = (0..samples).collect();
    let mut labels = Labels::default();
    let mut step = |tape: &mut Tape, gradient: bool| {
        tape.reset();
        let mut images = tape.tensor(frozen.input_shape(), samples, 1);
        data.gather(tape.context(), &indices, &mut images).unwrap();
        let x = if gradient { tape.input(images) } else { tape.constant(images) };
        let logits = frozen.logits(tape, x).unwrap();
        if gradient {
            labels.set(indices.iter().map(|&i| data.label(i)), 10).unwrap();
            let loss = tape.cross_entropy(logits, &labels, 1.0).unwrap();
            tape.backward(loss, Seed::Sum).unwrap();
            assert!(tape.gradient(x).is_some());
        }
    };
    context.install(|| {
        steady("evaluation", isa, threads, || step(&mut tape, false));
        steady("input gradients", isa, threads, || step(&mut tape, true));
        let mut turn = 0;
        steady("both in turn", isa, threads, || {
            turn += 1;
            step(&mut tape, turn % 3 == 0);
        });
    });
}

/// An operation that is made anew each time, as a careless user does.
#[allow(dead_code)] // what it holds is never read
struct Heavy(Vec<f32>);

impl Operation for Heavy {
    fn name(&self) -> &'static str {
        "heavy"
    }
    fn backward(&mut self, pass: &mut Backward<'_>) {
        let out = pass.grad().clone();
        pass.give_input(0, out);
    }
}

/// Inputs and operations from outside of the tape's memory must not pile up in it.
fn memory_is_bounded(isa: Isa) {
    let mut tape = Tape::new(Context::serial(isa));
    let images = tensor(1, 16, Shape::new(1, 28, 28));
    let run = |tape: &mut Tape, n: usize| {
        for _ in 0..n {
            tape.reset();
            let x = tape.input(images.clone());
            let y = tape.relu(x);
            let value = Tensor::zeros(Shape::new(1, 28, 28), 16);
            let z = tape.record(Box::new(Heavy(vec![1.0; 1000])), &[y], &[], value);
            tape.backward_from(z, images.clone()).unwrap();
        }
    };
    run(&mut tape, 20);
    let before = BYTES.load(SeqCst);
    run(&mut tape, 100);
    let growth = BYTES.load(SeqCst) - before;
    assert!(growth.abs() < 500_000, "100 recordings left {growth} bytes behind");
}

/// A run of many steps allocates what a run of few does: all of it is set up before the first.
fn attacks(isa: Isa, data: &Dataset) {
    let (context, network) = (Context::serial(isa), Model::lenet(1).freeze().unwrap());
    let samples = Samples::from_dataset(data, 0..24).unwrap();
    // So small a radius that few are fooled, and those at once.
    for (norm, eps) in [(Norm::Linf, 1e-5), (Norm::L2, 1e-4)] {
        for (attack_name, option) in [
            ("pgd:return=last,", "steps"),
            ("apgd-ce:", "steps"),
            ("apgd-t:targets=2,", "steps"),
            ("fab-t:targets=2,return=first,", "steps"),
            ("square:", "queries"),
            ("cw:search=1,bounded=yes,", "steps"),
            ("pgd:jitter=0.25eps,draws=2,", "steps"),
            ("nes-pgd:pairs=2,", "steps"),
            ("hopskipjump:probes=3,", "steps"),
            ("vmi-fgsm:neighbors=2,", "steps"),
            ("di-fgsm:target=1,", "steps"),
            ("fmn:bounded=yes,", "steps"),
        ] {
            let count = |steps: usize| {
                let a = parse_attack(&format!("{attack_name}{option}={steps}")).unwrap();
                let budget = Budget { norm, eps, seed: 0 };
                let run = || run_attack(&context, &network, &samples, a.as_ref(), budget).unwrap();
                (0..3).map(|_| allocations(|| drop(run()))).min().unwrap()
            };
            let (few, many) = (count(12), count(60));
            let isa = isa.name();
            assert_eq!(few, many, "{attack_name}{norm} on {isa}: allocations of 12 and 60 steps");
        }
    }
}

#[test]
fn the_steady_state_allocates_nothing() {
    let folder = locate(DatasetName::Mnist, None).unwrap();
    let data = Dataset::load(folder, Split::Test).unwrap().slice(0..640).unwrap();
    let momentum = Rule::Sgd { momentum: 0.9, weight_decay: 1e-4 };
    // Small batches, as the portable instruction set is slow where it is not the only one.
    for isa in isas() {
        let small = isa.name() == "portable" && isas().len() > 1;
        for threads in [1, 2] {
            training(isa, threads, if small { 17 } else { 128 }, Rule::SGD, &data);
            frozen(isa, threads, if small { 17 } else { 130 }, &data);
            if !small {
                training(isa, threads, 50, Rule::ADAM, &data);
                training(isa, threads, 64, momentum, &data);
            }
        }
        memory_is_bounded(isa);
        if isa.name() != "portable" || isas().len() == 1 {
            attacks(isa, &data);
        }
    }
}
