//! `train --resume`: an interrupted training ends in the same bits as an uninterrupted one.

use crate::{Folder, Run, cli, read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TRAINING: [&str; 4] = ["train", "--quiet", "--seed", "3"];

/// Enough to be hit in the middle.
const EPOCHS: &str = "12";

fn train([data, out]: [&str; 2], more: &[&str]) -> Run {
    Run::of(cli(&TRAINING).args(["--epochs", EPOCHS, "--data-dir", data, "--out", out]).args(more))
}

pub fn start([data, out]: [&str; 2], epochs: &str, more: &[&str]) -> Child {
    Command::new(assert_cmd::cargo_bin!("deepsleep-cli"))
        .args(TRAINING)
        .args(["--epochs", epochs, "--data-dir", data, "--out", out])
        .args(more)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("DEEPSLEEP_DATA")
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Sends SIGKILL, so that nothing can be tidied up, when the checkpoint is another than `before` or the child has ended.
pub fn kill_at_checkpoint(mut child: Child, checkpoint: &Path, before: Option<&[u8]>) {
    while std::fs::read(checkpoint).ok().as_deref() == before {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn killed_and_resumed_is_uninterrupted_to_the_last_bit() {
    let folder = Folder::new();
    let data = folder.small_data(1024, 200);
    let [whole, killed] = ["whole", "killed"].map(|name| folder.argument(name));
    let done = train([&data, &whole], &["--threads", "1"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);

    // Killed twice, at whatever moment, once a checkpoint is there; the second time when that has changed.
    let (model, checkpoint) = (folder.path("killed"), folder.path("killed.checkpoint"));
    for more in [&[][..], &["--resume"]] {
        let before = std::fs::read(&checkpoint).ok();
        let killed_in_time = (0..10).any(|_| {
            let child = start([&data, &killed], EPOCHS, more);
            kill_at_checkpoint(child, &checkpoint, before.as_deref());
            if !model.exists() {
                return true;
            }
            // On a busy machine it may have been done before we got to kill it: back to where it started.
            std::fs::remove_file(&model).unwrap();
            if let Some(before) = &before {
                std::fs::write(&checkpoint, before).unwrap();
            }
            false
        });
        assert!(killed_in_time && checkpoint.exists());
    }

    let resumed = train([&data, &killed], &["--resume", "--json"]).json();
    assert_eq!(resumed["history"].as_array().unwrap().len(), 12, "the killed runs' epochs count");
    assert_eq!(read(&killed), read(&whole));
    assert!(!checkpoint.exists());

    // Resuming what is finished finds it finished, and touches nothing.
    let again = train([&data, &killed], &["--resume", "--json"]).json();
    assert_eq!(again["clean_accuracy"], resumed["clean_accuracy"]);
    assert_eq!(read(&killed), read(&whole));
    let other = folder.with_other_labels();
    train([&other, &killed], &["--resume"]).assert_fails(
        2,
        &["cannot resume", "killed", "other training images", "other test images"],
    );
    folder.small_data(1024, 200);
    train([&data, &killed], &["--resume", "--batch-size", "64"])
        .assert_fails(2, &["cannot resume", "killed", "--batch-size 128, not 64"]);
    train([&data, &killed], &["--resume", "--lr", "0.25"])
        .assert_fails(2, &["cannot resume", "--lr 0.1, not 0.25"]);
}

#[test]
fn only_a_checkpoint_of_the_same_settings_is_resumed() {
    let folder = Folder::new();
    let data = folder.small_data(1024, 200);
    let out = folder.argument("model");
    train([&data, &out], &["--resume"]).assert_fails(1, &["nothing to resume", "model.checkpoint"]);

    // A checkpoint of the first epoch of many: nothing else makes one that stays.
    let checkpoint = folder.path("model.checkpoint");
    kill_at_checkpoint(start([&data, &out], "100000", &[]), &checkpoint, None);

    let content = read(&checkpoint);
    for (more, words) in [
        (["--lr", "0.2"], "--lr 0.1, not 0.2"),
        (["--batch-size", "64"], "--batch-size 128, not 64"),
    ] {
        let run = train([&data, &out], &[&["--resume"][..], &more].concat());
        run.assert_fails(2, &["cannot resume", "model.checkpoint", words]);
    }
    // The same options, and other files in the place of the images: with other labels it is another training.
    let relabeled = Folder::new();
    relabeled.small_data(1024, 200);
    let other = relabeled.with_other_labels();
    let words = ["cannot resume", "model.checkpoint", "other training images", "fingerprint"];
    train([&other, &out], &["--resume"]).assert_fails(2, &words);
    assert_eq!(read(&checkpoint), content, "a refused one stays");

    std::fs::write(&checkpoint, &content[..content.len() / 2]).unwrap();
    train([&data, &out], &["--resume"]).assert_fails(1, &["model.checkpoint", "safetensors"]);

    // Without --resume it begins anew, and says what becomes of the old one.
    let anew = ["train", "--data-dir", &data, "--epochs", "1", "--out", &out];
    let run = Run::of(&mut cli(&anew));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("model.checkpoint") && run.stderr.contains("--resume"));
    assert!(!checkpoint.exists());
}

#[test]
fn a_defense_does_not_go_on_with_other_images() {
    let folder = Folder::new();
    let data = folder.small_data(256, 40);
    let (out, checkpoint) = (folder.argument("defended"), folder.path("defended.checkpoint"));
    let model = "tests/golden/lenet_weights.safetensors";
    let nothing = ["train", "--defense", "fast-wave", "--from", model, "--out", &out, "--resume"];
    crate::run(&[&nothing[..], &["--data-dir", &data]].concat())
        .assert_fails(1, &["nothing to resume", "defended.checkpoint", "train without --resume"]);
    let arguments = |data: &str| {
        let model = "tests/golden/lenet_weights.safetensors";
        let defense = ["--defense", "adversarial-training", "--from", model, "--out", &out];
        let epochs = ["--set", "adversarial_training.epochs=100000", "--data-dir", data];
        let all = [&["train", "--quiet"], &defense[..], &epochs].concat();
        all.into_iter().map(String::from).collect::<Vec<_>>()
    };
    let child = Command::new(assert_cmd::cargo_bin!("deepsleep-cli"))
        .args(arguments(&data))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    kill_at_checkpoint(child, &checkpoint, None);
    let content = read(&checkpoint);
    let other = folder.with_other_labels();
    let run = Run::of(cli(&[]).args(arguments(&other)).arg("--resume"));
    run.assert_fails(2, &["cannot resume", "defended.checkpoint", "other training images"]);
    assert_eq!(read(&checkpoint), content);
}
