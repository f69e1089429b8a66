//! No option is taken and does nothing: every option of every subcommand in every mode either changes what can be
//! observed (exit code, what is printed, files) or is refused as wrong use. The options are those that `--help` shows: a
//! new one without a row fails here.

use crate::robustness::timeless;
use crate::{Folder, Run, cli};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What comes of an option.
enum Want {
    /// Something else can be observed than without it.
    Effect(&'static str),
    /// Exit code 2, and a line with these words.
    Refused(&'static str, &'static str),
    /// It is for speed or silence: taken, and the result is the same.
    Same(&'static str),
}

use Want::{Effect, Refused, Same};

/// Part of the table: a way to use a subcommand. `$` stands for the folder of inputs.
struct Mode {
    command: &'static str,
    /// Besides the command; an option of a row replaces its own here.
    base: &'static str,
    /// Those that other modes share, and its own.
    rows: &'static [&'static [Want]],
}

const CLEAN: &str = "--model $/robust --images 8 --data-dir $";
const UNDER_ATTACK: &str =
    "--model $/robust --images 8 --data-dir $ --attack square:queries=20 --eps 0.2 --out out.json";
const PLAIN_DATA: &str = "--data-dir $/other";

/// What every training reads and writes.
const OF_TRAINING: &[Want] = &[
    Effect("--architecture mlp:8"),
    Effect("--seed 1"),
    Effect("--limit-train 17"),
    Effect("--dataset fashion-mnist"),
    Effect("--data fashion-mnist"),
    Effect(PLAIN_DATA),
    Effect("--out elsewhere"),
    Effect("--resume"),
];

/// A network and the images that it is shown.
const OF_IMAGES: &[Want] = &[
    // The weights are of another one.
    Effect("--architecture mlp:8"),
    Effect("--model $/plain"),
    Effect("--model-kind snn"),
    Effect("--images 7"),
    Effect("--first 1"),
    Effect("--dataset fashion-mnist"),
    Effect("--data fashion-mnist"),
];

/// An attack that draws, on networks that do not.
const OF_ATTACK: &[Want] = &[
    Effect("--attack fgsm"),
    Effect("--eps 0.3"),
    Effect("--norm l2"),
    Effect("--seed 1"),
    Refused("--draws 3", "--draws"),
];

/// A network that images are crafted on.
const OF_SOURCE: &[Want] = &[
    Effect("--source $/robust"),
    Effect("--source-architecture mlp:8"),
    Effect("--source-kind snn"),
];

/// Where there are no images to choose.
const NO_IMAGES: &[Want] = &[
    Refused("--images 7", "--images"),
    Refused("--first 1", "--first"),
    Refused("--dataset mnist", "--dataset"),
    Refused("--data mnist", "--data"),
    Refused("--data-dir $", "--data-dir"),
];

/// Where there is no data set.
const NO_DATA: &[Want] = &[
    Refused("--dataset mnist", "--dataset"),
    Refused("--data mnist", "--data"),
    Refused("--data-dir $", "--data-dir"),
];

/// Where nothing is drawn, nor crafted on another network.
const NO_THREAT: &[Want] = &[
    Refused("--source $/plain", "--source"),
    Refused("--source-architecture mlp:8", "--source-architecture"),
    Refused("--source-kind snn", "--source-kind"),
    Refused("--seed 1", "--seed"),
    Refused("--draws 3", "--draws"),
];

/// Data sets by name, in places that hold them or not.
const IN_PLACES: &[Want] = &[
    Effect("--dataset fashion-mnist --data-dir $/named"),
    Effect("--data fashion-mnist --data-dir $/named"),
    Effect(PLAIN_DATA),
];

/// Data sets that are not found.
const IN_NO_PLACE: &[Want] = &[
    Effect("--dataset fashion-mnist --data-dir $/nowhere"),
    Effect("--data fashion-mnist --data-dir $/nowhere"),
    Effect("--data-dir $/nowhere"),
];

/// A command that shows progress.
const LOUD: &[Want] = &[Effect("--json"), Effect("--quiet"), Same("--threads 1")];

/// A command that is done before it shows progress.
const SHORT: &[Want] = &[Effect("--json"), Same("--quiet"), Same("--threads 1")];

/// A command that computes nothing.
const INSTANT: &[Want] = &[Refused("--threads 1", "--threads"), Effect("--json"), Same("--quiet")];

const MODES: &[Mode] = &[
    Mode {
        command: "train",
        base: "--epochs 1 --batch-size 16 --data-dir $",
        rows: &[
            OF_TRAINING,
            LOUD,
            &[
                Effect("--epochs 2"),
                Effect("--batch-size 8"),
                Effect("--lr 0.01"),
                Effect("--rule adam"),
                Effect("--momentum 0.5"),
                Effect("--weight-decay 0.01"),
                Effect("--schedule cosine"),
                Effect("--warm-up 1"),
                Effect("--label-smoothing 0.1"),
                Effect("--augment-shift 2"),
                Effect("--augment-flip"),
                Effect("--set control.temperature=2"),
                Effect("--model-kind snn"),
                Refused("--defense fast-wave", "--epochs"),
                Effect("--from $/plain"),
                Refused("--profile paper", "--profile"),
                Refused("--set cycles=2", "--set cycles=2: the control does not read this"),
                Refused("--set control={}", "give one of them"),
                Refused("--print-config", "--print-config"),
            ],
        ],
    },
    Mode {
        command: "train",
        base: "--defense fast-wave --from $/plain --set fast_wave.epochs=1 --set fast_wave.batch_size=16 \
               --set fast_wave.spiking.steps=2 --data-dir $",
        rows: &[
            OF_TRAINING,
            LOUD,
            &[
                Effect("--defense adversarial-training"),
                Effect("--from $/robust"),
                Effect("--profile standard"),
                Effect("--set conversion=carry"),
                Refused("--model-kind snn", "--model-kind"),
                Refused("--epochs 1", "--epochs"),
                Refused("--batch-size 16", "--batch-size"),
                Refused("--lr 0.1", "--lr"),
                Refused("--rule adam", "--rule"),
                Refused("--momentum 0.5", "--momentum"),
                Refused("--weight-decay 0.01", "--weight-decay"),
                Refused("--schedule cosine", "--schedule"),
                Refused("--warm-up 1", "--warm-up"),
                Refused("--label-smoothing 0.1", "--label-smoothing"),
                Refused("--augment-shift 2", "--augment-shift"),
                Refused("--augment-flip", "--augment-flip"),
                Refused("--print-config", "--print-config"),
            ],
        ],
    },
    Mode {
        command: "train",
        base: "--print-config",
        rows: &[
            NO_DATA,
            INSTANT,
            &[
                Refused("--architecture mlp:8", "--architecture"),
                Effect("--profile paper"),
                Effect("--set cycles=2"),
                Effect("--seed 1"),
                Effect("--print-config"),
                Refused("--defense sleep", "--defense"),
                Refused("--model-kind snn", "--model-kind"),
                Refused("--epochs 2", "--epochs"),
                Refused("--batch-size 8", "--batch-size"),
                Refused("--lr 0.01", "--lr"),
                Refused("--rule adam", "--rule"),
                Refused("--momentum 0.5", "--momentum"),
                Refused("--weight-decay 0.01", "--weight-decay"),
                Refused("--schedule cosine", "--schedule"),
                Refused("--warm-up 1", "--warm-up"),
                Refused("--label-smoothing 0.1", "--label-smoothing"),
                Refused("--augment-shift 2", "--augment-shift"),
                Refused("--augment-flip", "--augment-flip"),
                Refused("--from $/plain", "--from"),
                Refused("--limit-train 24", "--limit-train"),
                Refused("--out out", "--out"),
                Refused("--resume", "--resume"),
            ],
        ],
    },
    Mode {
        command: "evaluate",
        base: CLEAN,
        rows: &[
            OF_IMAGES,
            SHORT,
            &[
                Effect("--confusion"),
                Refused("--certify", "--eps"),
                // Numbers of eight images are easily equal: what is read is seen by what cannot be.
                Effect("--data-dir $/nowhere"),
                Effect("--out out.json"),
                Refused("--attack fgsm", "--eps"),
                Refused("--eps 0.1", "--attack"),
                Refused("--crafted $/set.npz", "--crafted"),
                Refused("--portion 4", "--out"),
                Refused("--resume", "--attack"),
                Refused("--norm l2", "--attack"),
                Refused("--source $/plain", "--attack"),
                Refused("--source-architecture mlp:8", "--source"),
                Refused("--source-kind snn", "--source"),
                Refused("--seed 1", "--seed"),
                Refused("--draws 3", "--draws"),
                Refused("--allow-outside", "--allow-outside"),
            ],
        ],
    },
    Mode {
        command: "evaluate",
        base: UNDER_ATTACK,
        rows: &[
            OF_IMAGES,
            OF_ATTACK,
            LOUD,
            &[
                Effect("--confusion"),
                Effect("--certify"),
                Effect(PLAIN_DATA),
                Effect("--portion 4"),
                Effect("--out elsewhere.json"),
                Effect("--resume"),
                Effect("--source $/plain"),
                Refused("--allow-outside", "--allow-outside"),
                Refused("--crafted $/set.npz", "--crafted"),
                Refused("--source-architecture mlp:8", "--source"),
                Refused("--source-kind snn", "--source"),
            ],
        ],
    },
    Mode {
        command: "evaluate",
        base: "--model $/robust --source $/plain --images 8 --data-dir $ --attack square:queries=20 --eps 0.2",
        rows: &[
            OF_IMAGES,
            OF_ATTACK,
            OF_SOURCE,
            SHORT,
            &[
                Effect("--confusion"),
                Effect("--certify"),
                Effect(PLAIN_DATA),
                Effect("--out out.json"),
                Refused("--allow-outside", "--allow-outside"),
                Refused("--crafted $/set.npz", "--crafted"),
                Refused("--portion 4", "--out"),
                Refused("--resume", "--out"),
            ],
        ],
    },
    Mode {
        command: "evaluate",
        base: "--model $/robust --crafted $/set.npz",
        rows: &[
            NO_IMAGES,
            NO_THREAT,
            SHORT,
            &[
                Effect("--architecture mlp:8"),
                Refused("--confusion", "--confusion"),
                Refused("--certify", "--crafted"),
                Effect("--model $/plain"),
                Effect("--model-kind snn"),
                Effect("--crafted $/set2.npz"),
                Effect("--out out.json"),
                Refused("--attack fgsm", "--attack"),
                Effect("--eps 0.01"),
                Refused("--portion 4", "--portion"),
                Refused("--resume", "--resume"),
                Refused("--norm l2", "--eps"),
                Same("--allow-outside"),
            ],
        ],
    },
    Mode {
        command: "attack",
        base: "--model $/robust --images 8 --data-dir $ --attack square:queries=20 --eps 0.2 --save out.npz",
        rows: &[
            OF_IMAGES,
            OF_ATTACK,
            LOUD,
            &[
                Effect(PLAIN_DATA),
                Effect("--source $/plain"),
                Effect("--save elsewhere.npz"),
                Effect("--grid grid.png"),
                Refused("--source-architecture mlp:8", "--source"),
                Refused("--source-kind snn", "--source"),
                Refused("--list", "--list"),
            ],
        ],
    },
    Mode {
        command: "attack",
        base: "--model $/robust --source $/plain --images 8 --data-dir $ --attack square:queries=20 --eps 0.2",
        rows: &[
            OF_IMAGES,
            OF_ATTACK,
            OF_SOURCE,
            SHORT,
            &[
                Effect(PLAIN_DATA),
                Effect("--save out.npz"),
                Effect("--grid grid.svg"),
                Refused("--list", "--list"),
            ],
        ],
    },
    Mode {
        command: "attack",
        base: "--list",
        rows: &[
            NO_IMAGES,
            NO_THREAT,
            INSTANT,
            &[
                Effect("--list"),
                Refused("--architecture mlp:8", "--architecture"),
                Effect("--attack fgsm"),
                Refused("--model $/plain", "--model"),
                Refused("--model-kind snn", "--model-kind"),
                Refused("--eps 0.3", "--eps"),
                Refused("--norm l2", "--norm"),
                Refused("--save out.npz", "--save"),
                Refused("--grid grid.png", "--grid"),
            ],
        ],
    },
    Mode {
        command: "inspect",
        base: "$/robust --images 8 --data-dir $",
        rows: &[
            IN_PLACES,
            SHORT,
            &[
                Effect("--architecture mlp:8"),
                Effect("--images 7"),
                Effect("--filters filters.svg"),
                Effect("--raster raster.svg"),
                Effect("--movable maps.svg --eps 0.1"),
                Refused("--movable maps.svg", "--eps"),
                Refused("--eps 0.1", "--movable"),
                Refused("--image 1", "--raster"),
                Refused("--layer relu2", "--raster"),
            ],
        ],
    },
    Mode {
        command: "inspect",
        base: "$/robust --images 8 --data-dir $ --raster raster.svg",
        rows: &[
            IN_PLACES,
            LOUD,
            &[
                Effect("--image 1"),
                Effect("--architecture mlp:8"),
                Effect("--layer relu1"),
                Effect("--images 7"),
                Effect("--filters filters.svg"),
                Effect("--movable maps.svg --eps 0.1"),
                Refused("--movable maps.svg", "--eps"),
                Refused("--eps 0.1", "--movable"),
                Effect("--raster elsewhere.svg"),
            ],
        ],
    },
    Mode {
        command: "inspect",
        base: "$/robust --data-dir $ --movable maps.svg --eps 0.1",
        rows: &[
            IN_PLACES,
            LOUD,
            &[
                Effect("--image 1"),
                Effect("--eps 0.2"),
                Effect("--movable elsewhere.svg"),
                Effect("--filters filters.svg"),
                Effect("--images 7"),
                Effect("--raster raster.svg"),
                Effect("--architecture mlp:8"),
                Refused("--layer relu2", "--raster"),
            ],
        ],
    },
    Mode {
        command: "report",
        base: "$/empty",
        rows: &[&[Same("--json"), Same("--quiet"), Refused("--threads 1", "--threads")]],
    },
    Mode {
        command: "reproduce",
        base: "--dry-run --quick --table 1 --images 8 --white-box-images 2 --data-dir $",
        rows: &[
            IN_NO_PLACE,
            INSTANT,
            &[
                Effect("--architecture mlp:8"),
                Effect("--dry-run"),
                Effect("--quick"),
                Effect("--table 2"),
                Effect("--figure 3"),
                Effect("--profile paper"),
                Effect("--set cycles=2"),
                Effect("--seeds 2"),
                Effect("--threat-model white-box"),
                Effect("--images 7"),
                Effect("--white-box-images 1"),
                // What is in the store is not done again; in this one there is nothing.
                Same("--out $/full"),
                Refused("--jobs 2", "--jobs"),
                Effect("--shard 1/2"),
                Refused("--verbose", "--json"),
                Effect("--sheet $/sheet.toml"),
                Refused("--sweep $/sweep.toml", "--sweep"),
                Refused("--search $/sweep.toml", "--search"),
            ],
        ],
    },
    Mode {
        command: "reproduce",
        base: "--dry-run --quick --images 8 --data-dir $ --sweep $/sweep.toml",
        rows: &[
            IN_NO_PLACE,
            INSTANT,
            &[
                Effect("--architecture mlp:8"),
                Effect("--dry-run"),
                Effect("--quick"),
                Effect("--profile paper"),
                Effect("--set slow_wave.length=2"),
                Effect("--images 7"),
                Same("--out $/full"),
                Effect("--sweep $/sweep2.toml"),
                Refused("--sheet $/sheet.toml", "--sheet"),
                Refused("--search $/sweep.toml", "--search"),
                Refused("--table 1", "--table"),
                Refused("--figure 3", "--figure"),
                Refused("--seeds 2", "--seeds"),
                Refused("--threat-model white-box", "--threat-model"),
                Refused("--white-box-images 1", "--white-box-images"),
                Refused("--jobs 2", "--jobs"),
                Effect("--shard 1/2"),
                Refused("--verbose", "--json"),
            ],
        ],
    },
    // A run would take too long. Its questions are those of the dry run; here each option is seen to be read at all.
    Mode {
        command: "reproduce",
        base: "--quick --table 1 --images 8 --white-box-images 2 --data-dir $/nowhere --out $/full",
        rows: &[&[
            Effect("--architecture none-such --data-dir $"),
            Effect("--dry-run --data-dir $"),
            Same("--quick"),
            Effect("--table 9"),
            Effect("--figure 9"),
            Effect("--profile paperr"),
            Effect("--set cycle=2"),
            Effect("--threat-model transfer"),
            Effect("--images 9999999 --data-dir $"),
            Effect("--white-box-images 9999999 --data-dir $"),
            Effect("--dataset fashion-mnist"),
            Effect("--data fashion-mnist"),
            Effect("--data-dir $/nowhere2"),
            Effect("--seeds 0"),
            Effect("--shard 3/2"),
            Refused("--verbose", "--verbose"),
            Effect("--jobs 65"),
            Effect("--sweep $/nowhere"),
            Effect("--sheet $/nowhere"),
            Refused("--search $/nowhere", "--search"),
            Effect("--out $/robust/x --data-dir $"),
            Same("--threads 1"),
            Same("--json"),
            Same("--quiet"),
        ]],
    },
    Mode {
        command: "merge",
        base: "$/nowhere --out merged",
        rows: &[&[
            Effect("--jobs 2"),
            Refused("--data-dir $", "--compute"),
            Refused("--data $", "--compute"),
            Refused("--compute --dry-run", "--dry-run"),
            Same("--compute"),
            Same("--dry-run"),
            Same("--out merged2"),
            Same("--json"),
            Same("--quiet"),
            Refused("--threads 1", "--threads"),
            Same("--compute --threads 1"),
        ]],
    },
    Mode { command: "data list", base: "", rows: &[INSTANT, &[Effect("--data-dir $/named")]] },
    Mode {
        command: "data verify",
        base: "--data-dir $/real",
        rows: &[INSTANT, &[Effect(PLAIN_DATA)]],
    },
    Mode {
        command: "data fetch",
        base: "mnist --base-url http://127.0.0.1:1 --into fetched",
        rows: &[&[
            Effect("--base-url http://127.0.0.1:2"),
            Effect("--into elsewhere"),
            // There is no result to print.
            Same("--json"),
            Effect("--quiet"),
            Refused("--threads 1", "--threads"),
        ]],
    },
    Mode {
        command: "info",
        base: "",
        rows: &[&[Effect("--threads 3"), Effect("--json"), Same("--quiet")]],
    },
    Mode { command: "architecture list", base: "", rows: &[INSTANT] },
    Mode {
        command: "architecture show",
        base: "mlp:8",
        rows: &[
            INSTANT,
            &[Effect("--input 3x8x8"), Effect("--classes 5"), Refused("--toml", "--json")],
        ],
    },
    Mode {
        command: "convert",
        base: "$/robust out.onnx",
        rows: &[INSTANT, &[Effect("--architecture mlp:8"), Effect("--time-steps 3")]],
    },
    Mode { command: "architecture check", base: "$/robust.safetensors", rows: &[INSTANT] },
    Mode {
        command: "audit",
        base: "--model $/robust --images 4 --data-dir $ --eps 0.2 --search 1 --fast",
        rows: &[
            OF_IMAGES,
            LOUD,
            &[
                Effect("--fast"),
                Effect("--eps 0.3"),
                Effect("--norm l2"),
                Effect("--search 2"),
                Effect("--claim 1"),
                Refused("--attack pgd", "--claim"),
                Effect("--attack pgd --claim 0.5"),
                Effect("--twin $/plain"),
                Effect("--seed 1"),
                Effect("--out out.json"),
                Effect("--page audit.html"),
                Refused("--resume", "--out"),
                Effect(PLAIN_DATA),
            ],
        ],
    },
    Mode { command: "completions", base: "bash", rows: &[INSTANT] },
    Mode { command: "man", base: "train", rows: &[INSTANT] },
];

impl Mode {
    fn rows(&self) -> impl Iterator<Item = &'static Want> {
        self.rows.iter().copied().flatten()
    }
}

impl Want {
    /// The option and its value, and more options that go with it.
    fn text(&self) -> &'static str {
        match self {
            Effect(text) | Same(text) | Refused(text, _) => text,
        }
    }

    fn option(&self) -> &'static str {
        self.text().split(' ').next().unwrap()
    }
}

/// The options that `--help` shows.
fn options(command: &str) -> BTreeSet<String> {
    let help = Run::of(cli(&command.split(' ').collect::<Vec<_>>()).arg("--help"));
    assert_eq!(help.code, Some(0), "{}", help.stderr);
    let name = |line: &str| {
        let start = line.find("--").filter(|_| line.trim_start().starts_with('-'))?;
        let name = |c: char| c == '-' || c.is_ascii_alphanumeric();
        Some(line[start..].chars().take_while(|&c| name(c)).collect::<String>())
    };
    let all = help.stdout.lines().filter_map(name);
    all.filter(|option| option != "--help" && option != "--version").collect()
}

/// What can be observed of a run.
#[derive(Debug, PartialEq)]
struct Seen {
    code: Option<i32>,
    stdout: String,
    /// Of a run that failed: progress says how fast it went.
    error: String,
    files: BTreeMap<String, String>,
}

/// Runs in a folder of its own, where relative outputs go; also returned is all of stderr.
fn observe(command: &str, arguments: &[String]) -> (Seen, String) {
    let here = tempfile::tempdir().unwrap();
    let mut process = cli(&command.split(' ').collect::<Vec<_>>());
    let run = Run::of(process.args(arguments).current_dir(here.path()).env("HOME", here.path()));
    let plain = |text: &str| text.replace(here.path().to_str().unwrap(), "~");
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(here.path()).unwrap() {
        let entry = entry.unwrap();
        let content = std::fs::read(entry.path()).unwrap_or_default();
        let content = String::from_utf8(content).unwrap_or_else(|e| format!("{:?}", e.as_bytes()));
        files.insert(entry.file_name().into_string().unwrap(), unmeasured(&content));
    }
    let error = if run.code == Some(0) { String::new() } else { plain(&run.stderr) };
    (Seen { code: run.code, stdout: unmeasured(&plain(&run.stdout)), error, files }, run.stderr)
}

/// JSON without what is measured, and without the number of threads, which is for speed (but in `info`).
fn unmeasured(text: &str) -> String {
    let Ok(json) = serde_json::from_str(text) else { return text.to_owned() };
    let mut json = timeless(json);
    if let Some(map) = json.as_object_mut() {
        map.remove("fma_peak_gflops");
        if !map.contains_key("isas_available") {
            map.remove("threads");
        }
    }
    json.to_string()
}

/// The base with what a row says in place of the base's own.
fn with(base: &str, row: &str, inputs: &str) -> Vec<String> {
    let tokens = |text: &str| {
        let mut all: Vec<Vec<String>> = Vec::new();
        for word in text.split_whitespace() {
            let word = word.replace('$', inputs);
            match all.last_mut().filter(|last| !word.starts_with("--") && last[0].starts_with("--"))
            {
                Some(last) if last.len() == 1 => last.push(word),
                _ => all.push(vec![word]),
            }
        }
        all
    };
    let row = tokens(row);
    let replaced = |own: &Vec<String>| own[0] != "--set" && row.iter().any(|new| new[0] == own[0]);
    let kept = tokens(base).into_iter().filter(|own| !replaced(own));
    kept.chain(row.clone()).flatten().collect()
}

/// Two small data sets, models, crafted images, a folder of results.
fn inputs(folder: &Folder) {
    let root = folder.path("");
    folder.small_data(32, 16);
    for (name, from) in [("plain", "lenet_weights"), ("robust", "lenet_robust")] {
        std::fs::copy(format!("tests/golden/{from}.safetensors"), root.join(name)).unwrap();
    }
    std::fs::copy(root.join("robust"), root.join("robust.safetensors")).unwrap();
    let other = Folder::new();
    other.small_data(16, 12);
    let four = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"];
    // The other one learns from the images that this one is tested on, and the other way round.
    let turned = [four[2], four[3], four[0], four[1]];
    for (from, to, names) in [(&other, "other", turned), (folder, "named/mnist", four)] {
        std::fs::create_dir_all(root.join(to)).unwrap();
        for (name, its_name) in four.iter().zip(names) {
            let place = root.join(to).join(format!("{its_name}-ubyte"));
            std::fs::copy(from.path(&format!("{name}-ubyte")), place).unwrap();
        }
    }
    std::os::unix::fs::symlink(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist"),
        root.join("real"),
    )
    .unwrap();
    for name in ["empty", "full/store"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    let data = folder.argument("");
    for (set, seed) in [("set.npz", "0"), ("set2.npz", "1")] {
        let (model, set) = (folder.argument("plain"), folder.argument(set));
        let attack = ["--attack", "square:queries=20", "--eps", "0.2", "--images", "8"];
        let more = ["--model", &model, "--data-dir", &data, "--save", &set, "--seed", seed];
        assert_eq!(crate::run(&[&["attack"], &attack[..], &more].concat()).code, Some(0));
    }
    std::fs::write(root.join("sheet.toml"), "architecture = 'mlp:8'\n").unwrap();
    for (name, axis) in [("sweep.toml", "2"), ("sweep2.toml", "3")] {
        let text = format!(
            "all = false\nscales = ['64/255']\ncolumns = ['fgsm']\nseeds = 1\n\
             [[axis]]\nsetting = 'slow_wave.length'\nvalues = ['{axis}']\n\
             [[method]]\nlabel = 'Slow-wave only'\nid = 'slow-wave'\ndefense = 'slow-wave'\n"
        );
        std::fs::write(root.join(name), text).unwrap();
    }
}

fn check(command: &str) {
    let folder = Folder::new();
    inputs(&folder);
    let text = folder.argument("");
    let text = text.trim_end_matches('/');
    let mut wrong = Vec::new();
    let modes = MODES.iter().filter(|mode| mode.command.split(' ').next() == Some(command));
    for mode in modes {
        let place = format!("{} {}", mode.command, mode.base);
        let in_base = |option: &str| mode.base.split(' ').any(|word| word == option);
        let rows: BTreeSet<String> = mode.rows().map(|row| row.option().to_owned()).collect();
        let all = options(mode.command);
        // What makes the mode is looked at in the others: there it is refused or makes this one.
        let missing = all.difference(&rows).filter(|option| !in_base(option));
        wrong.extend(missing.map(|option| format!("{place}: no row for {option}")));
        wrong.extend(rows.difference(&all).map(|option| format!("{place}: there is no {option}")));
        // Numbers in JSON have all their digits.
        let json = |mut arguments: Vec<String>| {
            arguments.push("--json".to_owned());
            observe(mode.command, &arguments)
        };
        let before = json(with(mode.base, "", text));
        for row in mode.rows() {
            let (before, after) = match (row, row.option()) {
                (_, "--json") => {
                    let base = with(mode.base, "", text);
                    (&observe(mode.command, &base), json(base))
                }
                // The effect of a flag that is in the base is seen without it.
                (Effect(flag), option) if in_base(option) && *flag == option => {
                    let base = mode.base.replacen(option, "", 1);
                    if base.trim().is_empty() {
                        continue;
                    }
                    (&before, json(with(&base, "", text)))
                }
                _ => (&before, json(with(mode.base, row.text(), text))),
            };
            let ((was, said), (is, says)) = (before, &after);
            let fits = match (row, row.option()) {
                (Effect(_), "--quiet") => said.len() > says.len(),
                (Effect(_), _) => is != was,
                (Same(_), "--json") => is.code == was.code,
                (Same(_), _) => is == was,
                (Refused(_, words), _) => {
                    is.code == Some(2) && is.error.contains(words) && is.files.is_empty()
                }
            };
            if !fits {
                let shown =
                    |seen: &Seen| format!("{seen:?}").chars().take(1500).collect::<String>();
                wrong.push(format!("{place}: {}\n  {}\n  {}", row.text(), shown(was), shown(is)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn of_train() {
    check("train");
}

#[test]
fn of_evaluate() {
    check("evaluate");
}

#[test]
fn of_attack() {
    check("attack");
}

#[test]
fn of_inspect_and_report() {
    check("inspect");
    check("report");
}

#[test]
fn of_reproduce_and_merge() {
    check("reproduce");
    check("merge");
}

#[test]
fn of_audit() {
    check("audit");
}

#[test]
fn of_the_others() {
    check("data");
    check("info");
    check("completions");
    check("man");
    check("architecture");
    check("convert");
}

/// A command that is not in the table would not be looked at.
#[test]
fn every_command_is_in_the_table() {
    let help = crate::run(&["--help"]).stdout;
    let commands = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    for line in commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let command = line.split_whitespace().next().unwrap();
        let known = MODES.iter().any(|mode| mode.command.split(' ').next() == Some(command));
        assert!(known || command == "help", "{command}");
    }
}
