//! The library from data to a saved network: train, freeze, evaluate, save, load, look at single images.
//!
//! ```text
//! cargo run --release --example train_lenet -- [EPOCHS] [FILE]
//! ```

use deepsleep::Result;
use deepsleep::checkpoint::StateDict;
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{
    Freeze, Model, Network, Trainer, TrainingOptions, accuracy, input_gradients, predictions,
};
use deepsleep::tensor::{Context, Tensor};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let epochs = arguments.next().and_then(|epochs| epochs.parse().ok()).unwrap_or(1);
    let file = arguments.next();

    // What to compute on: all threads, the best instruction set (or what DEEPSLEEP_ISA says). The numbers that come
    // out do not depend on either.
    let context = Context::new(0)?;
    let folder = locate(DatasetName::Mnist, None)?;
    let train = Dataset::load(&folder, Split::Train)?;
    let test = Dataset::load(&folder, Split::Test)?;

    let mut lenet = Model::lenet(0);
    println!("{} parameters, {} training images", lenet.parameters().count(), train.len());
    let options = TrainingOptions::default().with(|o| o.epochs = epochs);
    let mut trainer = Trainer::new(&lenet, options)?;
    for _ in 0..epochs {
        let report = trainer.epoch(&context, &mut lenet, &train)?;
        // Training needs batch statistics; evaluation and attacks run the frozen form, normalization folded away.
        let correct = accuracy(&context, &lenet.freeze()?, &test)?;
        println!("epoch {}: loss {:.4}, test accuracy {correct:.4}", report.epoch + 1, report.loss);
    }

    // Safetensors with PyTorch's names; what is noted goes into the file's metadata.
    let temporary = std::env::temp_dir().join(format!("lenet-{}.safetensors", std::process::id()));
    let path = file.as_ref().map_or(temporary.as_path(), std::path::Path::new);
    let mut state = lenet.state();
    state.note("training.options", trainer.options());
    state.save(path)?;

    // `Model::open` takes a network that PyTorch saved just as well.
    let loaded = Model::open(&StateDict::load(path)?)?.freeze()?;
    assert_eq!(
        predictions(&context, &loaded, &test)?,
        predictions(&context, &lenet.freeze()?, &test)?
    );

    // Single images: what the network takes them for, and how much each pixel matters to its loss.
    let few = test.slice(0..5)?;
    let labels: Vec<usize> = few.labels().iter().map(|&label| usize::from(label)).collect();
    let pixels = Tensor::from_array(few.images_f32(0..few.len()).view());
    let gradients = input_gradients(&context, &loaded, &pixels, &labels)?.to_array();
    for (i, class) in predictions(&context, &loaded, &few)?.into_iter().enumerate() {
        let image = gradients.index_axis(ndarray::Axis(0), i);
        let steepest = image.iter().fold(0.0_f32, |most, g| most.max(g.abs()));
        println!(
            "image {i}: a {}, taken for a {class}; steepest gradient {steepest:.1e}",
            labels[i]
        );
    }

    match file {
        Some(file) => println!("saved {file}"),
        None => std::fs::remove_file(&temporary).unwrap_or_default(),
    }
    Ok(())
}
