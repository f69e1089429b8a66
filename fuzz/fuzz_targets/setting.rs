//! `--set NAME=VALUE`: any text is a setting or an error.
#![no_main]

use deepsleep::sleep::{Profile, Settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut settings = Settings::new(Profile::Published);
    if let Some((name, value)) = text.split_once('=') {
        let _ = settings.set(name, value);
        assert!(!settings.list().is_empty());
    }
});
