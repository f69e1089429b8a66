use deepsleep::attack::Samples;
use deepsleep::data::Dataset;
use deepsleep::evaluation::*;
use deepsleep::experiment::Store;
use deepsleep::nn::*;
use deepsleep::tensor::Context;
use std::path::Path;
fn main() {
    let c = Context::new(1).unwrap();
    let l = LeNet::new(0).freeze().unwrap();
    let images = Dataset::new(vec![127; 2 * 784], vec![0, 1], [1, 28, 28], 10).expect("two");
    let s = Samples::from_dataset(&images, 0..2).expect("two");
    let attacks = vec!["fgsm".to_owned(), "deepfool:steps=1".to_owned()];
    let plan = Plan { attacks, radii: vec![0.25], portion: 1, ..Plan::default() };
    let models = Models { target: &l, source: None };
    let mut set = Settings::new();
    set.insert("attacks".into(), "fgsm, deepfool:steps=1".into());
    set.insert("eps".into(), "0.25".into());
    set.insert("samples".into(), fingerprint(&s));
    let mut j = Journal::begin(Path::new("seeds/journal/whole"), &set).unwrap();
    let mut n = 0;
    let mut k = Journal::begin(Path::new("seeds/journal/begun"), &set).unwrap();
    evaluate(&c, models, &s, &plan, Vec::new(), &mut |p| {
        n += 1;
        if n < 3 {
            k.add(p)?;
        }
        j.add(p)
    })
    .unwrap();
    let t = tempfile::tempdir().unwrap();
    let store = Store::open(t.path()).unwrap();
    std::fs::write(store.path("k.model"), b"weights").unwrap();
    store.keep("k", "train control, seed 0", 12.5, serde_json::json!({"history":[{"stage":"training","done":1,"of":1,"loss":0.25,"test_accuracy":0.975,"spiking_accuracy":null}]}), Some("k.model".into())).unwrap();
    std::fs::copy(store.path("k.json"), "seeds/store/with-file").unwrap();
    store.keep("k", "attack control by fgsm 64/255, seed 0", 0.5, serde_json::json!({"images":100,"accuracy":0.31,"zero_gradient_share":0.001,"warnings":[]}), None).unwrap();
    std::fs::copy(store.path("k.json"), "seeds/store/without-file").unwrap();
}
