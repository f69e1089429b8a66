//! `info`.

use crate::{Run, cli, run};
use deepsleep::simd::Isa;

#[test]
fn json_has_the_promised_keys() {
    let info = run(&["info", "--json", "--threads", "1"]).json();
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["isa"], Isa::detect().unwrap().name());
    let available: Vec<_> = Isa::available().into_iter().map(Isa::name).collect();
    assert_eq!(info["isas_available"], serde_json::json!(available));
    assert_eq!(info["threads"], 1);
    assert!(info["fma_peak_gflops"].as_f64().unwrap() > 0.1);
    assert_eq!(info.as_object().unwrap().len(), 5);
    // Without --threads: all that the machine has.
    assert!(run(&["--json", "info"]).json()["threads"].as_u64().unwrap() >= 1);
}

#[test]
fn every_available_instruction_set_can_be_chosen() {
    for isa in Isa::available() {
        let run = Run::of(cli(&["info"]).env("DEEPSLEEP_ISA", isa.name()));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stdout.contains(&format!("instruction set   {} ", isa.name())));
        assert!(run.stdout.contains("GFLOP/s"));
    }
}

#[test]
#[cfg(unix)]
fn a_reader_that_left_is_no_failure() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(assert_cmd::cargo_bin!("deepsleep-cli"))
        .arg("info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take()); // measuring the peak takes long enough for this to come first
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}
