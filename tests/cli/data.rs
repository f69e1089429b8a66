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
            let path = request.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
            let content = fs::read(bundled().join(path)).unwrap();
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
        .assert_fails(1, &["cannot download", "refused"]);
    let listed = run(&["data", "list", "--data-dir", &empty]);
    assert_eq!((listed.code, listed.stdout.lines().count()), (Some(0), 2));
}
