//! The binary as a user meets it: arguments in, exit code, stdout, stderr and files out.

mod architecture;
mod arguments;
mod attack;
mod audit;
mod convert;
mod data;
mod datasets;
mod defend;
mod digits;
mod evaluate;
mod extremes;
mod full;
mod info;
mod models;
mod names;
mod non_finite;
mod options;
mod outputs;
mod possible;
mod random;
mod report;
mod reproduce;
mod resume;
mod robustness;
mod rows;
mod same_bits;
mod search;
mod signals;
mod train;
mod words;

#[path = "../common/mod.rs"]
mod common;

use assert_cmd::Command;
use deepsleep::data::{Dataset, IdxArray, Split};
use std::path::{Path, PathBuf};

/// The binary in the repository, where `./data` has MNIST; no variable of ours set but `DEEPSLEEP_ISA`, with which the
/// tests may have been started.
fn cli(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo_bin!("deepsleep-cli"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("DEEPSLEEP_DATA");
    command
}

/// The words of a command line, in which `NAME=VALUE` stands for `--set NAME=VALUE`.
fn as_options(line: &str) -> Vec<&str> {
    let set = |word: &str| word.contains('=').then_some("--set");
    line.split_whitespace().flat_map(|word| set(word).into_iter().chain([word])).collect()
}

/// Whether the true quick reproduction is to be run instead of a tiny one, for hours: `DEEPSLEEP_TEST_FULL=1`.
fn full() -> bool {
    std::env::var_os("DEEPSLEEP_TEST_FULL").is_some_and(|value| value == "1")
}

/// A run that ended.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the binary starts");
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Self { code: output.status.code(), stdout, stderr }
    }

    /// What `--json` printed, of a run that ended well.
    fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).expect("stdout is JSON")
    }

    /// Printed a result, which is returned, and ended with exit code 1 and a line that says why it is not whole.
    fn assert_incomplete(&self, words: &[&str]) -> String {
        let last = self.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("error: ") && self.code == Some(1), "{}", self.stderr);
        let words = words.iter().chain(&["the result is incomplete"]);
        words.for_each(|word| assert!(last.contains(word), "{word:?} is not in {last:?}"));
        assert!(!self.stdout.is_empty());
        self.stdout.clone()
    }

    /// Ended with this code, nothing on stdout and one line of error on stderr that says all of `words`.
    fn assert_fails(&self, code: i32, words: &[&str]) {
        for trace in ["panicked", "backtrace", "memory allocation"] {
            assert!(!self.stderr.contains(trace), "{}", self.stderr);
        }
        let errors: Vec<&str> =
            self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{}", self.stderr);
        assert_eq!(self.stderr.lines().last(), errors.last().copied(), "the error comes last");
        for word in words {
            assert!(errors[0].contains(word), "{word:?} is not in {:?}", errors[0]);
        }
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{}", self.stderr);
    }
}

fn run(arguments: &[&str]) -> Run {
    Run::of(&mut cli(arguments))
}

/// A folder that goes away, and paths in it as arguments.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A data set of few images, for tests in which only the training counts; what `--data-dir` names.
    fn small_data(&self, train: usize, test: usize) -> String {
        let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist");
        for (split, name, count) in [(Split::Train, "train", train), (Split::Test, "t10k", test)] {
            let images = Dataset::load(&bundled, split).unwrap().slice(0..count).unwrap();
            let pixels = (0..count)
                .flat_map(|i| images.image(i).into_iter().map(|p| (255.0 * p).round() as u8))
                .collect();
            let save = |kind: &str, dims: Vec<usize>, bytes: Vec<u8>| {
                let file = self.path(&format!("{name}-{kind}-ubyte"));
                IdxArray::new(dims, bytes).unwrap().save(file).unwrap();
            };
            save("images-idx3", vec![count, 28, 28], pixels);
            save("labels-idx1", vec![count], images.labels().to_vec());
        }
        self.argument("")
    }

    /// Gives every image of [`small_data`](Self::small_data) the label after its own; what `--data-dir` names.
    fn with_other_labels(&self) -> String {
        for half in ["train", "t10k"] {
            let file = self.path(&format!("{half}-labels-idx1-ubyte"));
            let mut bytes = read(&file);
            bytes[8..].iter_mut().for_each(|label| *label = (*label + 1) % 10);
            std::fs::write(&file, bytes).unwrap();
        }
        self.argument("")
    }

    /// The names of all that is in it, sorted.
    fn names(&self, inner: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(inner)).expect("a folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.expect("an entry").file_name().into_string().expect("a name in UTF-8")
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    fn argument(&self, name: &str) -> String {
        self.path(name).to_str().expect("a temporary path is UTF-8").to_owned()
    }
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Numbers in 0..1, the same in every run (a multiplicative generator; the first ones differ by `seed`).
fn points(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    })
}
