//! What is kept is found; what is damaged, or leads outside, is not taken.

use super::*;
use serde_json::json;
use std::time::SystemTime;

#[test]
fn what_was_kept_is_found_and_damage_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    assert!(matches!(store.find("k"), Lookup::NotFound));
    fs::write(store.path("k.model"), b"weights").expect("a file");
    let value = json!({ "accuracy": 0.1 });
    store.keep("k", "train", 1.5, value.clone(), Some("k.model".into())).expect("kept");
    let Lookup::Entry(entry) = store.find("k") else { panic!("not found") };
    assert_eq!((entry.value, entry.seconds), (value, 1.5));

    fs::write(store.path("k.model"), b"weighty").expect("a file");
    assert!(matches!(store.find("k"), Lookup::Damaged(what) if what.contains("k.model")));
    fs::write(store.path("k.model"), b"weights").expect("a file");
    let text = fs::read_to_string(store.path("k.json")).expect("the entry");
    fs::write(store.path("k.json"), text.replace("0.1", "0.2")).expect("the entry");
    assert!(matches!(store.find("k"), Lookup::Damaged(what) if what.contains("checksum")));
    fs::write(store.path("k.json"), &text[..text.len() / 2]).expect("the entry");
    assert!(matches!(store.find("k"), Lookup::Damaged(_)));
}

#[test]
fn an_entry_names_files_of_the_store_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    fs::write(folder.path().join("outside"), b"weights").expect("a file");
    let outside = folder.path().join("outside").display().to_string();
    for file in ["../outside", outside.as_str(), "/dev/zero", "..", "", "./k.json"] {
        let file_sha256 = Some(sha256(b"weights"));
        let (name, file) = ("train".to_owned(), Some(file.to_owned()));
        let entry =
            StoreEntry { name, seconds: 1.0, value: json!(1), file, file_sha256, not_finite: None };
        let sealed = Sealed { sha256: seal(&entry).expect("JSON"), entry };
        let text = serde_json::to_string(&sealed).expect("JSON");
        fs::write(store.path("k.json"), text).expect("the entry");
        assert!(matches!(store.find("k"), Lookup::Damaged(what) if what.contains("not the name")));
    }
}

#[test]
fn a_job_is_claimed_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let claim = store.claim("k").expect("no failure");
    assert!(claim.is_some() && store.claim("k").expect("no failure").is_none());
    // Of what a killed process left, only what is not in use goes away.
    for name in ["left.lock", ".deepsleep-old", ".deepsleep-new", "k.checkpoint"] {
        fs::write(store.path(name), "").expect("written");
    }
    let old = File::options().write(true).open(store.path(".deepsleep-old")).expect("there");
    old.set_modified(SystemTime::now() - Duration::from_secs(7200)).expect("older");
    store.tidy();
    let left = ["left.lock", ".deepsleep-old", ".deepsleep-new", "k.checkpoint", "k.lock"];
    assert_eq!(left.map(|name| store.path(name).exists()), [false, false, true, true, true]);
    drop(claim);
    assert!(store.claim("k").expect("no failure").is_some());
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_of_the_store_is_damaged() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let found = |word: &str| {
        let Lookup::Damaged(what) = store.find("k") else { panic!("not damaged") };
        assert!(what.contains(word) && what.contains("k."), "{what}");
    };
    let fifo = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(store.path(name)).status();
        assert!(made.expect("mkfifo").success());
    };
    fifo("k.json");
    found("a pipe");
    fs::remove_file(store.path("k.json")).expect("there");
    symlink("/dev/zero", store.path("k.json")).expect("a link");
    found("leads out");
    fs::remove_file(store.path("k.json")).expect("there");

    fs::write(store.path("k.model"), b"weights").expect("a file");
    store.keep("k", "train", 1.0, json!(1), Some("k.model".into())).expect("kept");
    fs::remove_file(store.path("k.model")).expect("there");
    fifo("k.model");
    found("a pipe");
    fs::remove_file(store.path("k.model")).expect("there");
    fs::write(folder.path().join("outside"), b"weights").expect("a file");
    symlink(folder.path().join("outside"), store.path("k.model")).expect("a link");
    found("leads out");

    // What is computed again takes its place, and nothing is written outside.
    let outside = folder.path().join("outside");
    fs::remove_file(store.path("k.json")).expect("there");
    symlink(&outside, store.path("k.json")).expect("a link");
    fs::write(store.place("k.model").expect("removed"), b"weighty").expect("a file");
    store.keep("k", "train", 1.0, json!(1), Some("k.model".into())).expect("kept");
    assert!(matches!(store.find("k"), Lookup::Entry(_)));
    assert_eq!(fs::read(&outside).expect("there"), b"weights");
    symlink(&outside, store.path("k.lock")).expect("a link");
    assert!(store.claim("k").is_err());
    assert_eq!(fs::read(&outside).expect("there"), b"weights");
}

#[test]
fn a_number_that_is_not_finite_is_kept_and_other_failures_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let error = Error::NotFinite { place: "epoch 1".into(), problem: "loss is NaN".into() };
    store.keep_failure("k", "train", 1.0, &error).expect("kept");
    let Lookup::Entry(entry) = store.find("k") else { panic!("not found") };
    assert_eq!(entry.failure().expect("a failure").to_string(), error.to_string());
    for passing in [Error::Interrupted, Error::failed("store", "no room")] {
        store.keep_failure("l", "train", 1.0, &passing).expect("nothing to do");
        assert!(matches!(store.find("l"), Lookup::NotFound));
    }
}

/// Keys as older versions wrote them, which find what is stored: a change of the engine's numbers changes all of them
/// (`NUMERICS`), other values of a profile those that read them, and nothing else may change any.
#[test]
fn keys_are_those_of_older_stores() {
    use crate::attack::Norm;
    use crate::certify::BoundMethod;
    use crate::experiment::work::{Observation, Sources, Work};
    use crate::method::{Profile, Settings, Training};
    let [train, test, network] = ["train", "test", "network"].map(String::from);
    let sources = Sources { train, test, network };
    let mut found = String::new();
    for profile in [Profile::Published, Profile::Paper, Profile::Standard, Profile::Lucid] {
        for training in Training::all() {
            let settings = Box::new(Settings::new(profile));
            let work = Work::Train { training, settings, images: 100 };
            let key = work.key(&sources, &["control"]);
            let asleep = work.sleep_key(&sources, "control").unwrap_or_default();
            found += format!("{} {training} {key} {asleep}\n", profile.name()).trim_end();
            found += "\n";
        }
    }
    let attack = || "pgd:steps=7".parse().expect("an attack");
    let (norm, eps, seed) = (Norm::Linf, 0.25, 3);
    let craft = Work::Craft { attack: attack(), norm, eps, seed, images: 0..10 };
    found += &format!("craft {}\n", craft.key(&sources, &["control"]));
    for profile in [Profile::Published, Profile::Paper] {
        let spiking = Settings::new(profile).fast_wave.spiking;
        for spiking in [None, Some(spiking)] {
            let show = Work::Show { images: 10, spiking };
            let attack = Work::Attack { attack: attack(), norm, eps, seed, images: 10, spiking };
            let keys = [show, attack].map(|work| work.key(&sources, &["model"])).join(" ");
            found += &format!("{} spiking {}: {keys}\n", profile.name(), spiking.is_some());
        }
        let network = Work::Observe(Observation::Network { images: 10, spiking });
        found += &format!("{} observe {}\n", profile.name(), network.key(&sources, &["model"]));
    }
    for bounds in BoundMethod::ALL {
        let certify = Work::Certify { bounds, eps, images: 10 };
        found += &format!("certify {} {}\n", bounds.name(), certify.key(&sources, &["model"]));
    }
    let union = Work::Union { norm, eps }.key(&sources, &["attack", "other attack"]);
    found += &format!("union {union}\n");
    assert_eq!(found, include_str!("../../../tests/golden/store_keys.txt"), "{found}");
}
