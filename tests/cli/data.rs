//! `data`: list, verify, fetch.

use crate::{Folder, Run, cli, run};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;

fn bundled() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist")
}

/// Serves the bundled files for as long as the test runs; returns the base URL.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            // A proxy is asked for the whole URL.
            let name = request.split(' ').nth(1).unwrap().rsplit('/').next().unwrap().to_owned();
            let content = fs::read(bundled().join(name)).unwrap();
            let length = content.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
            )
            .and_then(|()| stream.write_all(&content))
            .unwrap();
        }
    });
    url
}

#[test]
fn fetched_data_is_listed_verified_and_used() {
    let folder = Folder::new();
    let (into, url) = (folder.argument("sets"), serve());
    let fetch = ["data", "fetch", "mnist", "--base-url", &url, "--into", &into, "--json"];
    let fetched = run(&fetch).json();
    assert_eq!(fetched["files"].as_array().unwrap().len(), 4);
    assert!(folder.path("sets/mnist/t10k-labels-idx1-ubyte.gz").is_file());
    let again = run(&fetch);
    assert_eq!(again.json(), fetched);
    assert_eq!(again.stderr.matches("already there").count(), 4, "{}", again.stderr);

    let listed = Run::of(cli(&["data", "list", "--json"]).env("DEEPSLEEP_DATA", &into)).json();
    assert_eq!(listed[0]["name"], "mnist");
    assert_eq!(listed[0]["folder"], fetched["folder"]);
    assert_eq!(listed[1]["name"], "fashion-mnist");
    let verified = run(&["data", "verify", "mnist", "--data-dir", &into]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    assert_eq!(verified.stdout.lines().filter(|line| line.starts_with("ok ")).count(), 4);

    // The wrong content is named, file by file.
    let labels = folder.path("sets/mnist/train-labels-idx1-ubyte.gz");
    fs::copy(bundled().join("t10k-labels-idx1-ubyte.gz"), labels).unwrap();
    let damaged = run(&["data", "verify", "mnist", "--data-dir", &into, "--json"]);
    assert_eq!(damaged.code, Some(1));
    assert!(damaged.stderr.starts_with("error: 1 of 4 files"), "{}", damaged.stderr);
    let checks: serde_json::Value = serde_json::from_str(&damaged.stdout).unwrap();
    let wrong = checks.as_array().unwrap().iter().filter(|check| check["ok"] == false);
    assert!(wrong.clone().count() == 1 && wrong.clone().next().unwrap()["found"].is_string());
    let model = folder.argument("model");
    run(&["train", "--data-dir", &into, "--out", &model])
        .assert_fails(1, &["train-images", "60000 images, but 10000 labels"]);
}

#[test]
fn what_cannot_be_had_fails_in_a_line() {
    let folder = Folder::new();
    let [into, empty] = ["sets", "empty"].map(|name| folder.argument(name));
    fs::create_dir(&empty).unwrap();
    run(&["data", "verify", "mnist", "--data-dir", &empty])
        .assert_fails(1, &["no mnist data set", "none of the files", "data fetch mnist"]);
    run(&["data", "verify", "--data-dir", &empty]).assert_fails(1, &["no mnist data set"]);
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap(); // closed again
    run(&["data", "fetch", "mnist", "--base-url", &format!("http://{away}"), "--into", &into])
        .assert_fails(1, &["cannot download", "curl: (7) "]);
    let listed = run(&["data", "list", "--data-dir", &empty]);
    let lines: Vec<&str> = listed.stdout.lines().collect();
    assert_eq!(listed.code, Some(0));
    assert_eq!(lines.iter().filter(|line| !line.starts_with(' ')).count(), 6, "{lines:?}");
    // A long path alone may be longer.
    assert!(lines.iter().all(|line| line.len() <= 100 || line.contains(&empty)), "{lines:?}");
    let found = run(&["data", "list"]).stdout;
    assert!(found.contains("mnist         data/mnist\n"), "{found}");
}

/// The environment may name a proxy; what else the user tells curl is not for us.
#[test]
fn a_proxy_is_used_and_curls_own_settings_are_not() {
    let folder = Folder::new();
    fs::write(folder.path(".curlrc"), "proxy = \"http://127.0.0.1:1\"\n").unwrap();
    let fetched = |base: &str, into: &str, proxy: &str| {
        let into = folder.argument(into);
        let mut command = cli(&["data", "fetch", "mnist", "--base-url", base, "--into", &into]);
        for home in ["HOME", "CURL_HOME", "XDG_CONFIG_HOME"] {
            command.env(home, folder.path(""));
        }
        command.env_remove("no_proxy").env_remove("NO_PROXY").env("http_proxy", proxy);
        Run::of(&mut command)
    };
    let direct = fetched(&serve(), "direct", "");
    assert_eq!(direct.code, Some(0), "{}", direct.stderr);
    let proxied = fetched("http://nowhere.invalid/files", "proxied", &serve());
    assert_eq!(proxied.code, Some(0), "{}", proxied.stderr);
}

#[test]
fn where_there_is_no_curl_the_way_without_is_said() {
    let folder = Folder::new();
    let [into, empty] = ["sets", "empty"].map(|name| folder.argument(name));
    fs::create_dir(&empty).unwrap();
    for (name, words) in [
        ("mnist", &["train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "s3.amazonaws.com"]),
        ("cifar-100", &["cifar-100-binary.tar.gz", "www.cs.toronto.edu", "folder, unpacked"]),
    ] {
        let fetch = ["data", "fetch", name, "--into", &into];
        let path = folder
            .argument(&format!("sets/{name}: cannot download: the program curl is not installed"));
        Run::of(cli(&fetch).env("PATH", &empty))
            .assert_fails(1, &[&[path.as_str(), "install it, or get"], &words[..]].concat());
        assert!(!folder.path("sets").exists());
    }
    // What is there needs none.
    fs::create_dir(folder.path("sets")).unwrap();
    fs::create_dir(folder.path("sets/mnist")).unwrap();
    for file in fs::read_dir(bundled()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path("sets/mnist").join(file.file_name())).unwrap();
    }
    let there = Run::of(cli(&["data", "fetch", "mnist", "--into", &into]).env("PATH", &empty));
    assert_eq!(there.code, Some(0), "{}", there.stderr);
}

/// A command asks for the files that it reads, and for no others.
#[test]
fn half_a_data_set_is_enough_for_who_reads_half() {
    const MODEL: &str = "tests/golden/lenet_weights.safetensors";
    let folder = Folder::new();
    let data = folder.small_data(4, 20);
    for part in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"] {
        fs::remove_file(folder.path(part)).unwrap();
    }
    let out = folder.argument("out");
    let attack = ["--attack", "fgsm", "--eps", "0.1"];
    for arguments in [
        vec!["evaluate", "--model", MODEL],
        [&["attack", "--model", MODEL][..], &attack].concat(),
        vec!["inspect", MODEL],
    ] {
        let named = run(&[&arguments[..], &["--data-dir", &data]].concat());
        assert_eq!(named.code, Some(0), "{arguments:?}: {}", named.stderr);
        let by_variable = Run::of(cli(&arguments).env("DEEPSLEEP_DATA", &data));
        assert_eq!(by_variable.code, Some(0), "{arguments:?}: {}", by_variable.stderr);
    }
    // Nothing else is taken instead of what a user named.
    let words = ["no mnist data set", "lacks train-images-idx3-ubyte, train-labels-idx1-ubyte"];
    run(&["train", "--out", &out, "--data-dir", &data]).assert_fails(1, &words);
    Run::of(cli(&["train", "--out", &out]).env("DEEPSLEEP_DATA", &data))
        .assert_fails(1, &[&words[..], &["in the folder of DEEPSLEEP_DATA"]].concat());
    let typo = folder.argument("typo");
    run(&["inspect", MODEL, "--data-dir", &typo])
        .assert_fails(1, &["typo (no such folder)", "DEEPSLEEP_DATA"]);
}

/// Where it was built, the data beside the sources are found from everywhere.
#[test]
fn bundled_data_are_found_from_elsewhere() {
    let folder = Folder::new();
    let model =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lenet_weights.safetensors");
    let model = model.to_str().unwrap();
    let elsewhere = |arguments: &[&str]| {
        Run::of(cli(arguments).current_dir(folder.path("")).env("HOME", folder.path("")))
    };
    let evaluated = elsewhere(&["evaluate", "--model", model, "--images", "10"]);
    assert_eq!(evaluated.code, Some(0), "{}", evaluated.stderr);
    // Nothing is said of what was not asked for.
    let away = elsewhere(&["inspect", model, "--dataset", "fashion-mnist"]);
    if away.stderr.contains("no fashion-mnist data set") {
        assert!(away.code == Some(0) && away.stderr.starts_with("left out: firing rates"));
        assert!(!away.stdout.contains("firing rates") && away.stdout.contains("8510 parameters"));
    }
}
