//! Writes the seeds of a target into a folder, for libFuzzer: `cargo run --bin seeds NAME fuzz/corpus/NAME`.

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, folder] = arguments.as_slice() else { panic!("usage: seeds TARGET FOLDER") };
    std::fs::create_dir_all(folder).expect("a folder");
    for (i, seed) in deepsleep_fuzz::seeds::of(target).iter().enumerate() {
        std::fs::write(format!("{folder}/seed-{i}"), seed).expect("written");
    }
}
