//! The same bits on every instruction set and on any number of threads: trained weights, predictions, gradients.
//! And one sample's results do not depend on which others are computed with it.

use crate::common::{best, bits, isas, portable};
use deepsleep::autodiff::{Labels, Seed, Tape};
use deepsleep::checkpoint::StateDict;
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{
    Augmentation, Classifier, Freeze, FrozenModel, FrozenNetwork, Model, Network, Rule, Trainer,
    TrainingOptions, input_gradients, predictions,
};
use deepsleep::simd::Isa;
use deepsleep::tensor::{Context, Tensor};
use ndarray::{Axis, concatenate};
use proptest::prelude::*;

fn mnist(split: Split) -> Dataset {
    Dataset::load(locate(DatasetName::Mnist, None).unwrap(), split).unwrap()
}

/// Everything that one epoch leaves behind, as bytes: weights, running statistics, optimizer, and the mean loss.
fn epoch(
    isa: Isa,
    threads: usize,
    batch_size: usize,
    rule: Rule,
    data: &Dataset,
) -> (Vec<u8>, u32) {
    let context = Context::with_isa(isa, threads).unwrap();
    let mut lenet = Model::lenet(11);
    let options = TrainingOptions::default().with(|o| {
        o.batch_size = batch_size;
        o.rule = rule;
        o.seed = 5;
    });
    let mut trainer = Trainer::new(&lenet, options).unwrap();
    let report = trainer.epoch(&context, &mut lenet, data).unwrap();
    (trainer.checkpoint(&lenet).unwrap().to_bytes().unwrap(), report.loss.to_bits())
}

#[test]
fn training_gives_the_same_bits_on_every_instruction_set_and_number_of_threads() {
    let data = mnist(Split::Train).slice(0..640).unwrap();
    let momentum = Rule::Sgd { momentum: 0.9, weight_decay: 1e-3 };
    for (batch, rule, images) in [(128, Rule::SGD, 640), (50, Rule::ADAM, 200), (23, momentum, 69)]
    {
        let data = data.slice(0..images).unwrap();
        let expected = epoch(portable(), 2, batch, rule, &data);
        for isa in isas() {
            // Where it is not alone, the portable one is slow; its other thread counts get the smaller jobs.
            let all = if isa.name() == "portable" && images > 100 { &[][..] } else { &[1, 2, 7] };
            for &threads in all {
                let found = epoch(isa, threads, batch, rule, &data);
                assert!(found == expected, "batch {batch}, {}, {threads} threads", isa.name());
            }
        }
    }
}

#[test]
fn a_whole_epoch_gives_the_same_bits_on_any_number_of_threads() {
    // The portable one alone would take minutes.
    let images = if best().name() == "portable" { 1_280 } else { 60_000 };
    let data = mnist(Split::Train).slice(0..images).unwrap();
    let expected = epoch(best(), 1, 128, Rule::SGD, &data);
    for threads in [2, 7] {
        assert!(epoch(best(), threads, 128, Rule::SGD, &data) == expected, "{threads} threads");
    }
}

#[test]
fn augmented_training_gives_the_same_bits_everywhere_and_when_it_is_resumed() {
    let data = mnist(Split::Train).slice(0..100).unwrap();
    let train = |isa, threads, augmentation, resumed: bool| {
        let context = Context::with_isa(isa, threads).unwrap();
        let mut lenet = Model::lenet(11);
        let options = TrainingOptions::default().with(|o| {
            o.batch_size = 50;
            o.augmentation = augmentation;
        });
        let mut trainer = Trainer::new(&lenet, options.clone()).unwrap();
        for _ in 0..2 {
            trainer.epoch(&context, &mut lenet, &data).unwrap();
            if resumed {
                let state = trainer.checkpoint(&lenet).unwrap();
                lenet = Model::lenet(0);
                trainer = Trainer::new(&lenet, options.clone()).unwrap();
                trainer.resume(&mut lenet, &state).unwrap();
            }
        }
        trainer.checkpoint(&lenet).unwrap().to_bytes().unwrap()
    };
    let [off, shifted, flipped] = [(0, false), (2, false), (0, true)]
        .map(|(shift, flip)| Augmentation { shift, flip })
        .map(|augmentation| (augmentation, train(best(), 1, augmentation, false)));
    assert!(off.1 != shifted.1 && off.1 != flipped.1 && shifted.1 != flipped.1);
    for (augmentation, expected) in [shifted, flipped] {
        assert!(train(best(), 2, augmentation, true) == expected, "{augmentation:?}");
        assert!(train(portable(), 3, augmentation, false) == expected, "{augmentation:?}");
    }
    // What is off leaves no trace in a checkpoint.
    assert!(!String::from_utf8_lossy(&off.1).contains("augmentation"));
    let far = TrainingOptions::default()
        .with(|o| o.augmentation = Augmentation { shift: 28, flip: false });
    let problem = Trainer::new(&Model::lenet(0), far).err().expect("nothing is left").to_string();
    assert!(problem.contains("a shift of up to 28 pixels can leave nothing of images of 1x28x28"));
}

fn trained() -> FrozenModel {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let state = StateDict::load(format!("{folder}/lenet_weights.safetensors")).unwrap();
    Model::open(&state).unwrap().freeze().unwrap()
}

#[test]
fn predictions_and_input_gradients_are_the_same_everywhere() {
    let (network, test) = (trained(), mnist(Split::Test).slice(0..147).unwrap());
    let images = Tensor::from_array(test.images_f32(0..147).view());
    let labels: Vec<usize> = test.labels().iter().map(|&label| usize::from(label)).collect();
    let mut first = None;
    for (isa, threads) in isas().into_iter().flat_map(|isa| [1, 2, 7].map(|threads| (isa, threads)))
    {
        let context = Context::with_isa(isa, threads).unwrap();
        let classes = predictions(&context, &network, &test).unwrap();
        let gradients = input_gradients(&context, &network, &images, &labels).unwrap();
        let found = (classes, bits(gradients.lanes()));
        assert!(&found == first.get_or_insert_with(|| found.clone()), "{}, {threads}", isa.name());
    }
    // Any part of the data alone gives its part of the predictions.
    let (all, _) = first.unwrap();
    let context = Context::with_isa(best(), 2).unwrap();
    for (start, count) in [(0, 1), (1, 16), (5, 33), (100, 47), (146, 1), (20, 0)] {
        let part =
            predictions(&context, &network, &test.slice(start..start + count).unwrap()).unwrap();
        assert_eq!(part, all[start..start + count]);
    }
}

/// Logits and input gradients of some images, on one tape.
fn frozen(images: &Tensor, labels: &[usize], network: &FrozenModel) -> (Tensor, Tensor) {
    let mut tape = Tape::new(Context::serial(best()));
    let x = tape.input(images.clone());
    let logits = network.logits(&mut tape, x).unwrap();
    let loss = tape.cross_entropy(logits, &Labels::new(labels, 10).unwrap(), 1.0).unwrap();
    tape.backward(loss, Seed::Sum).unwrap();
    (tape.value(logits).clone(), tape.gradient(x).unwrap().clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_samples_results_do_not_depend_on_its_lane_or_its_company(
        indices in prop::collection::vec(0_usize..300, 1..40), place in any::<prop::sample::Index>(),
    ) {
        let (network, test) = (trained(), mnist_head());
        let label = |i: &usize| test.label(*i);
        let views: Vec<_> = indices.iter().map(|&i| test.images_f32(i..i + 1)).collect();
        let views: Vec<_> = views.iter().map(|image| image.view()).collect();
        let images = Tensor::from_array(concatenate(Axis(0), &views).unwrap().view());
        let labels: Vec<usize> = indices.iter().map(label).collect();
        let together = frozen(&images, &labels, &network);
        let place = place.index(indices.len());
        let alone = Tensor::from_array(views[place]);
        let alone = frozen(&alone, &labels[place..=place], &network);
        let bits = |x: &Tensor, n: usize| x.sample(0, n).map(f32::to_bits).collect::<Vec<_>>();
        prop_assert_eq!(bits(&together.0, place), bits(&alone.0, 0));
        prop_assert_eq!(bits(&together.1, place), bits(&alone.1, 0));
        prop_assert!([&together.0, &together.1, &alone.0, &alone.1].into_iter().all(crate::common::dead_lanes_are_zero));
    }
}

fn mnist_head() -> &'static Dataset {
    static HEAD: std::sync::OnceLock<Dataset> = std::sync::OnceLock::new();
    HEAD.get_or_init(|| mnist(Split::Test).slice(0..300).unwrap())
}

#[test]
fn images_of_another_shape_are_refused_even_if_they_have_as_many_pixels() {
    let (network, context) = (trained(), Context::with_isa(best(), 2).unwrap());
    for (channels, height, width) in [(1, 14, 56), (784, 1, 1), (1, 28, 27)] {
        let shape = deepsleep::tensor::Shape::new(channels, height, width);
        let images = Tensor::zeros(shape, 3);
        let message =
            input_gradients(&context, &network, &images, &[0, 1, 2]).unwrap_err().to_string();
        assert!(message.contains("1x28x28") && message.contains(&shape.to_string()), "{message}");
    }
    let images = Tensor::zeros(network.input_shape(), 3);
    let message = input_gradients(&context, &network, &images, &[0, 1]).unwrap_err().to_string();
    assert!(message.contains("3 labels") && message.contains("2 labels"), "{message}");
    let message =
        input_gradients(&context, &network, &images, &[0, 10, 3]).unwrap_err().to_string();
    assert!(message.contains("label 10"), "{message}");
    assert_eq!(Model::lenet(1).input_shape(), network.input_shape());
}
