//! The choice of instruction set: what is asked for runs, or it is an error.

use deepsleep::simd::{Isa, Simd, dispatch, fma_peak_gflops};
use std::process::Command;

/// Set in the child process of the tests below.
const CHILD: &str = "DEEPSLEEP_TEST_CHILD";

/// What `Isa::detect` says in a process with this `DEEPSLEEP_ISA`: a name, or an error's text.
fn detect_under(isa: Option<&str>) -> String {
    let mut child = Command::new(std::env::current_exe().expect("a test has a file"));
    child.args(["--exact", "simd_isa::child_reports", "--nocapture"]).env(CHILD, "1");
    match isa {
        Some(isa) => child.env("DEEPSLEEP_ISA", isa),
        None => child.env_remove("DEEPSLEEP_ISA"),
    };
    let output = child.output().expect("a test can start itself");
    assert!(output.status.success(), "the child failed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.split_once("detected: "));
    line.expect("the child reports").1.to_owned()
}

#[test]
fn child_reports() {
    if std::env::var_os(CHILD).is_some() {
        match Isa::detect() {
            Ok(isa) => println!("\ndetected: {}", isa.name()),
            Err(error) => println!("\ndetected: error: {error}"),
        }
    }
}

#[test]
fn the_variable_chooses() {
    for isa in Isa::available() {
        assert_eq!(detect_under(Some(isa.name())), isa.name());
    }
}

#[test]
fn without_the_variable_the_widest_is_chosen() {
    let has = |name: &&str| Isa::by_name(name).is_ok();
    let best =
        ["avx512", "avx2", "portable"].into_iter().find(has).expect("portable is everywhere");
    assert_eq!(detect_under(None), best);
    assert_eq!(detect_under(Some("")), best);
}

#[test]
fn nonsense_is_an_error() {
    let said = detect_under(Some("nonsense"));
    assert!(said.starts_with("error: ") && said.contains("nonsense"), "{said}");
    assert!(said.contains("portable, avx2 or avx512"), "{said}");
}

#[test]
fn lacking_ones_are_errors() {
    let available: Vec<_> = Isa::available().iter().map(|isa| isa.name()).collect();
    for name in ["portable", "avx2", "avx512"] {
        assert_eq!(Isa::by_name(name).is_ok(), available.contains(&name));
        if !available.contains(&name) {
            let said = detect_under(Some(name));
            assert!(
                said.starts_with("error: ") && said.contains("this processor has no"),
                "{said}"
            );
        }
    }
}

/// The name of the token that a dispatched body is compiled for: what runs, not what was asked.
fn running(isa: Isa) -> &'static str {
    #[inline(always)]
    fn name<S: Simd>(_: S) -> &'static str {
        S::NAME
    }
    dispatch!(isa, s => name(s))
}

#[test]
fn the_asked_for_one_runs() {
    let ran: Vec<_> = crate::common::isas().into_iter().map(running).collect();
    match crate::common::asked_for() {
        Some(name) => assert_eq!(ran, [name]),
        None => assert!(ran.contains(&"portable")),
    }
}

#[test]
fn the_peak_is_plausible() {
    for isa in crate::common::isas() {
        let peak = fma_peak_gflops(isa, 1);
        // 64 FLOP a cycle at 8 GHz: more can only mean that the compiler folded the work away.
        assert!(peak > 0.0 && peak < 512.0, "{}: {peak} GFLOP/s", isa.name());
    }
    assert!(fma_peak_gflops(crate::common::portable(), 0) > 0.0);
}
