//! Places that cannot be written to, or that hold what must not be lost, and a second process on the same results.
#![cfg(unix)]

use crate::{Folder, run};
use deepsleep::checkpoint::StateDict;
use deepsleep::files::Output;
use std::fs::File;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

const MODEL: &str = "tests/golden/lenet_weights.safetensors";

/// Every option that names a file or folder to write, with a small data set.
fn writers<'a>(data: &'a str, out: &'a str) -> Vec<(Vec<&'a str>, &'a str)> {
    let attack = ["--model", MODEL, "--attack", "fgsm", "--eps", "0.1"];
    let small = ["--quick", "--table", "1", "--images", "4", "--white-box-images", "2"];
    let defense = ["--defense", "fast-wave", "--from", MODEL];
    let writers: Vec<(Vec<&str>, &str)> = vec![
        (vec!["train", "--epochs", "1", "--batch-size", "8"], "--out"),
        ([&["train"], &defense[..]].concat(), "--out"),
        ([&["evaluate"], &attack[..]].concat(), "--out"),
        ([&["attack"], &attack[..]].concat(), "--save"),
        ([&["attack"], &attack[..]].concat(), "--grid"),
        (vec!["inspect", MODEL], "--filters"),
        (vec!["inspect", MODEL], "--raster"),
        ([&["reproduce"], &small[..]].concat(), "--out"),
    ];
    let whole = |(arguments, option): (Vec<&'a str>, &'a str)| {
        ([&arguments[..], &["--data-dir", data, option, out]].concat(), option)
    };
    writers.into_iter().map(whole).collect()
}

/// Whether a checkpoint lies beside the output while the command works.
fn has_checkpoint(arguments: &[&str], option: &str) -> bool {
    option == "--out" && arguments[0] != "reproduce"
}

#[test]
fn what_cannot_be_written_to_is_refused_before_any_work() {
    let folder = Folder::new();
    let data = folder.small_data(40, 8);
    std::fs::create_dir(folder.path("taken.svg")).unwrap();
    std::fs::write(folder.path("file"), "mine").unwrap();
    let mut places = vec![folder.argument("file/under.svg")];
    #[cfg(target_os = "linux")] // /proc can be written to by nobody, not even root
    places.push("/proc/out.svg".to_owned());
    for place in &places {
        for (arguments, option) in writers(&data, place) {
            let run = run(&arguments);
            run.assert_fails(1, &[place.as_str()]);
            // The results folder is made, the others are looked at.
            let words = if arguments[0] == "reproduce" { "cannot create" } else { option };
            run.assert_fails(1, &[words]);
            assert!(!run.stderr.contains("accuracy"), "worked first: {}", run.stderr);
        }
    }
    // A folder where a file should be, and the other way around.
    for (arguments, option) in writers(&data, &folder.argument("taken.svg")) {
        if arguments[0] != "reproduce" {
            run(&arguments).assert_fails(2, &[option, "this is a folder"]);
        }
    }
    assert!(folder.names("taken.svg").is_empty());
    assert_eq!(std::fs::read_to_string(folder.path("file")).unwrap(), "mine");
}

/// Another picture there would be another data set.
#[test]
fn no_output_goes_among_the_images_of_a_folder() {
    let folder = Folder::new();
    let picture = folder.path("set/test/3/18.png");
    std::fs::create_dir_all(picture.parent().unwrap()).unwrap();
    let train = folder.path("set/train/3");
    std::fs::create_dir_all(&train).unwrap();
    (0..10).for_each(|class| {
        std::fs::create_dir_all(folder.path(&format!("set/test/{class}"))).unwrap();
    });
    let mut encoder = png::Encoder::new(File::create(&picture).unwrap(), 28, 28);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&[0; 28 * 28]).unwrap();
    let before = std::fs::read(&picture).unwrap();
    std::fs::copy(&picture, train.join("1.png")).unwrap();
    let (set, link) = (folder.argument("set"), folder.path("link.png"));
    symlink(folder.path("set/test/4/new.png"), &link).unwrap();
    let attack = ["attack", "--model", MODEL, "--attack", "fgsm", "--eps", "0.1", "--data", &set];
    for place in ["set/test/3/18.png", "set/test/new.png", "link.png"] {
        let grid = folder.argument(place);
        run(&[&attack[..], &["--grid", &grid]].concat()).assert_fails(2, &["--grid", "all files"]);
    }
    assert_eq!(std::fs::read(&picture).unwrap(), before);
    assert!(!folder.path("set/test/4/new.png").exists());
    // Where a link in the folder leads, images are read too.
    std::fs::create_dir(folder.path("elsewhere")).unwrap();
    let moved = folder.path("elsewhere/18.png");
    std::fs::rename(&picture, &moved).unwrap();
    symlink(&moved, &picture).unwrap();
    std::fs::remove_dir(folder.path("set/test/7")).unwrap();
    std::fs::create_dir(folder.path("seven")).unwrap();
    symlink(folder.path("seven"), folder.path("set/test/7")).unwrap();
    for place in ["elsewhere/18.png", "seven/0.png"] {
        let grid = folder.argument(place);
        run(&[&attack[..], &["--grid", &grid]].concat()).assert_fails(2, &["--grid", "read"]);
    }
    assert_eq!(std::fs::read(&moved).unwrap(), before);
    let small = ["--quick", "--table", "1", "--images", "1", "--white-box-images", "1"];
    for place in ["set/test", "set/test/3", "set/test/a/b"] {
        let out = folder.argument(place);
        let reproduce = [&["reproduce", "--data", &set, "--out", &out], &small[..]].concat();
        run(&reproduce).assert_fails(2, &["--out", "all files"]);
    }
    assert_eq!(folder.names("set/test").len(), 10);
    assert_eq!(folder.names("set/test/3"), ["18.png"]);
    let beside = folder.argument("set/grid.png");
    assert_eq!(run(&[&attack[..], &["--grid", &beside]].concat()).code, Some(0));
}

#[test]
fn a_checkpoint_that_is_a_folder_is_refused_before_any_work() {
    let folder = Folder::new();
    let data = folder.small_data(40, 8);
    std::fs::create_dir(folder.path("out.checkpoint")).unwrap();
    for (arguments, option) in writers(&data, &folder.argument("out")) {
        if option == "--out" && arguments[0] != "reproduce" {
            run(&arguments).assert_fails(2, &["out.checkpoint", "is a folder", "move that"]);
        }
    }
    let made = std::process::Command::new("mkfifo").arg(folder.path("pipe.checkpoint")).status();
    assert!(made.unwrap().success());
    for (arguments, option) in writers(&data, &folder.argument("pipe")) {
        if has_checkpoint(&arguments, option) {
            run(&arguments).assert_fails(2, &["pipe.checkpoint", "a pipe", "move that", "--out"]);
        }
    }
    assert!(!folder.path("out").exists());
}

/// A lock of ours stands for another process: the system treats both alike.
#[test]
fn one_process_at_a_time_works_on_results() {
    let folder = Folder::new();
    let data = folder.small_data(40, 8);
    let out = folder.argument("results");
    let (reproduce, _) = writers(&data, &out).pop().unwrap();
    std::fs::create_dir_all(folder.path("results/store")).unwrap();
    std::fs::write(folder.path("results/lock"), "4711").unwrap();
    let lock = File::open(folder.path("results/lock")).unwrap();
    lock.lock().unwrap();
    run(&reproduce).assert_fails(1, &["another process (pid 4711) is at work on it", "--out"]);
    let merge = ["merge", &out, "--out", &out];
    run(&merge).assert_fails(1, &["another process (pid 4711)"]);
    drop(lock);

    // Every file that any command writes, by its name, through a link, and as the checkpoint of another.
    let pid = format!("another process (pid {})", std::process::id());
    symlink(folder.path("x.svg"), folder.path("link.svg")).unwrap();
    for (place, held) in [
        ("x.svg", "x.svg"),
        ("link.svg", "x.svg"),
        ("x.svg", "link.svg"),
        ("y.svg", "y.svg.checkpoint"),
    ] {
        let held = Output::open(&folder.path(held)).unwrap().locked().unwrap();
        for (arguments, option) in writers(&data, &folder.argument(place)) {
            let checkpoint = has_checkpoint(&arguments, option);
            if arguments[0] != "reproduce" && (place != "y.svg" || checkpoint) {
                run(&arguments).assert_fails(1, &[&pid, option, place]);
            }
        }
        drop(held);
    }
    // A killed one blocks no other, and leaves nothing behind.
    std::fs::create_dir(folder.path("killed")).unwrap();
    let result = folder.argument("killed/result.json");
    let held = Output::open(&folder.path("killed/result.json")).unwrap().locked().unwrap();
    let name = folder.names("killed").pop().unwrap();
    drop(held);
    std::fs::write(folder.path("killed").join(name), "4711").unwrap();
    let attack = ["--model", MODEL, "--attack", "fgsm", "--eps", "0.1", "--data-dir", &data];
    assert_eq!(run(&[&["evaluate", "--out", &result], &attack[..]].concat()).code, Some(0));
    assert_eq!(folder.names("killed"), ["result.json"]);
}

#[test]
fn two_that_begin_at_once_are_one_that_goes_on() {
    let folder = Folder::new();
    let result = folder.argument("result.json");
    let evaluate = ["evaluate", "--quiet", "--out", &result, "--model", MODEL, "--images", "64"];
    let attack = ["--attack", "pgd:steps=200", "--eps", "0.1", "--threads", "1", "--portion", "8"];
    let start = || {
        std::process::Command::new(assert_cmd::cargo_bin!("deepsleep-cli"))
            .args([&evaluate[..], &attack].concat())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("DEEPSLEEP_DATA")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [start(), start()];
    let pids = both.each_ref().map(std::process::Child::id);
    let ends = both.map(|child| child.wait_with_output().unwrap());
    let codes = ends.each_ref().map(|end| end.status.code());
    let winner = codes.iter().position(|code| *code == Some(0)).unwrap();
    assert_eq!(codes[1 - winner], Some(1), "one of them, not both");
    let refused = String::from_utf8_lossy(&ends[1 - winner].stderr).into_owned();
    assert!(refused.contains(&format!("another process (pid {})", pids[winner])), "{refused}");
    assert_eq!(folder.names(""), ["result.json"]);
}

#[test]
fn an_output_is_no_input_and_no_other_output() {
    let folder = Folder::new();
    let data = folder.small_data(40, 8);
    let model = folder.argument("model.svg");
    std::fs::copy(MODEL, &model).unwrap();
    std::fs::hard_link(&model, folder.path("hard.svg")).unwrap();
    symlink("model.svg", folder.path("soft.svg")).unwrap();
    std::fs::create_dir(folder.path("sub")).unwrap();
    let before = folder.names("");
    for place in ["model.svg", "hard.svg", "soft.svg", "sub/../model.svg"] {
        let place = folder.argument(place);
        for (mut arguments, option) in writers(&data, &place) {
            let Some(at) = arguments.iter().position(|argument| *argument == MODEL) else {
                continue;
            };
            arguments[at] = &model;
            // A picture in PNG or SVG, as its name says: what is in it is not looked at.
            run(&arguments).assert_fails(2, &[option, &place, "this is the file that"]);
        }
    }
    // The checkpoint of an output; the images of a data set; two outputs.
    std::fs::copy(MODEL, folder.path("net.checkpoint")).unwrap();
    let (net, checkpoint) = (folder.argument("net"), folder.argument("net.checkpoint"));
    let attack = ["--attack", "fgsm", "--eps", "0.1", "--data-dir", &data];
    let evaluate = ["evaluate", "--model", &checkpoint, "--out", &net];
    run(&[&evaluate[..], &attack].concat()).assert_fails(2, &["net.checkpoint", "--model"]);
    let images = folder.argument("t10k-images-idx3-ubyte");
    let evaluate = ["evaluate", "--model", MODEL, "--data-dir", &data, "--out", &images];
    run(&evaluate).assert_fails(2, &["--out", "--data-dir", "t10k-images"]);
    let both = folder.argument("both.png");
    let save = ["attack", "--model", MODEL, "--save", &both, "--grid", &both];
    run(&[&save[..], &attack].concat()).assert_fails(2, &["--grid", "--save", "both.png"]);
    // The description of a network, and the weights beside an ONNX file.
    let toml = folder.argument("net.toml");
    let shown = run(&["architecture", "show", "lenet", "--toml"]).stdout;
    std::fs::write(&toml, &shown).unwrap();
    let of_network = ["--architecture", &toml];
    for (arguments, option) in writers(&data, &toml) {
        if arguments[0] != "reproduce" {
            let all = [&arguments[..], &of_network].concat();
            let words = [option, "net.toml", "--architecture"];
            // Pictures are refused by their names' endings.
            let picture = ["--grid", "--filters", "--raster"].contains(&option);
            run(&all).assert_fails(2, if picture { &words[..2] } else { &words });
        }
    }
    assert!(std::fs::read_to_string(&toml).unwrap() == shown);
    let [onnx, weights] = ["external.onnx", "external.bin"].map(|name| folder.argument(name));
    std::fs::copy("tests/golden/onnx/refused/external.onnx", &onnx).unwrap();
    std::fs::write(&weights, vec![0; 1 << 17]).unwrap();
    run(&["evaluate", "--model", &onnx, "--data-dir", &data, "--out", &weights])
        .assert_fails(2, &["external.bin", "this is the file that"]);
    run(&["convert", &onnx, &weights]).assert_fails(2, &["external.bin"]);
    for (option, more) in
        [("--architecture", &[][..]), ("--source-architecture", &["--source", MODEL])]
    {
        let attack =
            ["attack", "--model", MODEL, "--attack", "fgsm", "--eps", "0.1", option, &onnx];
        run(&[&attack[..], more, &["--save", &weights]].concat())
            .assert_fails(2, &["external.bin", option]);
    }
    let mut after = folder.names("");
    after.retain(|name| {
        !["net.checkpoint", "net.toml", "external.onnx", "external.bin"].contains(&name.as_str())
    });
    assert_eq!(after, before, "nothing was written");
    assert!(crate::read(&model) == crate::read(MODEL));
}

#[test]
fn a_folder_of_somebodys_is_no_results_folder() {
    let folder = Folder::new();
    let (home, data) = (folder.path("index.html"), folder.small_data(40, 8));
    std::fs::write(&home, "my home page").unwrap();
    let out = data.trim_end_matches('/');
    let small = ["--quick", "--table", "1", "--images", "4", "--white-box-images", "2"];
    let reproduce = [&["reproduce", "--out", out, "--data-dir", &data], &small[..]].concat();
    run(&reproduce).assert_fails(2, &["index.html is there", "name another folder"]);
    assert!(crate::read(&home) == b"my home page");
}

#[test]
fn a_checkpoint_of_another_kind_stays() {
    let folder = Folder::new();
    let data = folder.small_data(40, 8);
    let mut training = StateDict::load(MODEL).unwrap();
    training.note("training.epochs_done", 3);
    let training = training.to_bytes().unwrap();
    let mut defense = StateDict::load(MODEL).unwrap();
    defense.note("defense.stage", 0);
    let defense = defense.to_bytes().unwrap();
    let (journal, others) = (&b"{\"--eps\":\"0.1\"}\n"[..], &b"my own notes"[..]);
    let out = folder.argument("out");
    for (content, train, defend, evaluate) in [
        (&training[..], None, Some("a training's"), Some("a training's")),
        (&defense, Some("a defense's"), None, Some("a defense's")),
        (journal, Some("an evaluation's"), Some("an evaluation's"), None),
        (others, Some("not a training's"), Some("not a defense's"), Some("not an evaluation's")),
    ] {
        for (arguments, option) in writers(&data, &out) {
            let words = match arguments[0] {
                "train" if arguments.contains(&"--defense") => defend,
                "train" => train,
                _ => evaluate,
            };
            let Some(words) = words.filter(|_| has_checkpoint(&arguments, option)) else {
                continue;
            };
            std::fs::write(folder.path("out.checkpoint"), content).unwrap();
            for more in [&[][..], &["--resume"]] {
                let run = run(&[&arguments[..], more].concat());
                run.assert_fails(2, &["out.checkpoint", words, "name another output"]);
                assert_eq!(crate::read(folder.path("out.checkpoint")), content);
            }
        }
    }
    // One's own is replaced, and said to be.
    std::fs::write(folder.path("out.checkpoint"), journal).unwrap();
    let (arguments, _) = writers(&data, &out).swap_remove(2);
    let run = run(&arguments);
    assert!(run.code == Some(0) && run.stderr.contains("will be replaced"), "{}", run.stderr);
}

#[test]
fn devices_pipes_links_and_modes_are_kept() {
    let folder = Folder::new();
    let data = folder.small_data(40, 8);
    let attack = ["--model", MODEL, "--attack", "fgsm", "--eps", "0.1", "--data-dir", &data];
    let save =
        |name: &str| run(&[&["attack", "--save", &folder.argument(name)], &attack[..]].concat());
    let kind = |name: &str| std::fs::symlink_metadata(folder.path(name)).unwrap();
    // A link to a device is one: the real /dev/null is only written to.
    symlink("/dev/null", folder.path("null")).unwrap();
    let null = std::fs::metadata("/dev/null").unwrap().ino();
    assert_eq!(save("null").code, Some(0));
    assert!(kind("null").is_symlink());
    for (arguments, option) in writers(&data, &folder.argument("null")) {
        if has_checkpoint(&arguments, option) {
            run(&arguments).assert_fails(2, &["--out", "null", "a device or a pipe"]);
        }
    }
    let after = std::fs::metadata("/dev/null").unwrap();
    assert!(after.file_type().is_char_device() && after.ino() == null);

    // A pipe without a reader is refused at once; one with a reader gets all of it.
    let made = std::process::Command::new("mkfifo").arg(folder.path("fifo")).status();
    assert!(made.unwrap().success());
    save("fifo").assert_fails(1, &["--save", "fifo", "nothing reads"]);
    let fifo = folder.path("fifo");
    let reader = std::thread::spawn(move || std::fs::read(fifo).unwrap());
    let written = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        save("fifo").code == Some(0)
    });
    assert!(written && kind("fifo").file_type().is_fifo());
    let through = reader.join().unwrap();
    assert_eq!(save("plain.npz").code, Some(0));
    assert!(crate::read(folder.path("plain.npz")) == through);

    // Links lead to what is written, be it there or not; the mode stays; other names keep what they had.
    symlink("target.npz", folder.path("link.npz")).unwrap();
    symlink("nowhere/target.npz", folder.path("astray.npz")).unwrap();
    symlink("round.npz", folder.path("round.npz")).unwrap();
    assert_eq!(save("link.npz").code, Some(0));
    assert!(kind("link.npz").is_symlink() && kind("target.npz").is_file());
    save("astray.npz").assert_fails(1, &["there is no folder", "nowhere"]);
    save("round.npz").assert_fails(1, &["round.npz"]);
    std::fs::write(folder.path("private.npz"), "").unwrap();
    std::fs::set_permissions(folder.path("private.npz"), PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(save("private.npz").code, Some(0));
    assert_eq!(kind("private.npz").mode() & 0o7777, 0o600);
    let old = [&b"PK\x03\x04"[..], &[0; 22], b"\x0a\0\0\0images.npy"].concat();
    std::fs::write(folder.path("one.npz"), &old).unwrap();
    std::fs::hard_link(folder.path("one.npz"), folder.path("two.npz")).unwrap();
    let linked = save("one.npz");
    assert!(linked.code == Some(0) && linked.stderr.contains("hard links"), "{}", linked.stderr);
    assert_eq!(crate::read(folder.path("two.npz")), old);
}

#[test]
fn a_name_that_is_too_long_is_refused_before_any_work() {
    let folder = Folder::new();
    let data = folder.small_data(40, 8);
    // The second one leaves no room for `.checkpoint`.
    for letters in [300, 245] {
        let name = "n".repeat(letters) + ".svg";
        for (arguments, option) in writers(&data, &folder.argument(&name)) {
            if letters == 300 || has_checkpoint(&arguments, option) {
                let run = run(&arguments);
                run.assert_fails(1, &["name too long"]);
                assert!(!run.stderr.contains("accuracy"), "worked first: {}", run.stderr);
            }
        }
    }
    assert!(folder.names("").iter().all(|name| name.ends_with("ubyte")));
}

/// What is recognized as another kind of file is the user's work: no command overwrites it.
#[test]
fn a_file_of_another_kind_is_not_replaced() {
    let folder = Folder::new();
    let data = folder.small_data(40, 8);
    let network = crate::read(MODEL);
    let set = [&b"PK\x03\x04"[..], &[0; 22], b"\x0a\0\0\0images.npy"].concat();
    let picture = b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec();
    for (name, content, kept_by, words) in [
        (
            "a.svg",
            &network,
            &["--grid", "--filters", "--raster", "--save", "evaluate"][..],
            "a safetensors file",
        ),
        ("b.svg", &set, &["--grid", "--filters", "--raster", "train", "evaluate"], "an npz file"),
        ("c.svg", &b"{}".to_vec(), &["--grid", "--filters", "--raster", "--save", "train"], "JSON"),
        ("d.svg", &picture, &["--save", "train", "evaluate"], "an XML document"),
        (
            "x.checkpoint",
            &network,
            &["--save", "train", "evaluate"],
            "the checkpoint of interrupted work",
        ),
    ] {
        std::fs::write(folder.path(name), content).unwrap();
        for (arguments, option) in writers(&data, &folder.argument(name)) {
            if kept_by.iter().any(|word| *word == option || *word == arguments[0]) {
                if option == "--out" || name.ends_with(".svg") || option == "--save" {
                    run(&arguments).assert_fails(2, &[option, name, words, "name another file"]);
                }
                assert!(crate::read(folder.path(name)) == *content, "{arguments:?}");
            }
        }
    }
}

#[test]
fn a_slash_at_the_end_names_no_file() {
    let folder = Folder::new();
    let data = folder.small_data(40, 8);
    for end in ["new.svg/", "new.svg//", "new.svg/."] {
        for (arguments, option) in writers(&data, &folder.argument(end)) {
            if arguments[0] != "reproduce" && (option != "--grid" && arguments[0] != "inspect") {
                run(&arguments).assert_fails(2, &[option, "this names a folder", "name a file"]);
            }
        }
    }
    assert!(folder.names("").iter().all(|name| name.ends_with("ubyte")));
}
