//! `--set NAME=VALUE`, a line each: any text is a setting or an error, and settings stay what JSON can hold.

use deepsleep::method::{Profile, Settings};

pub fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let mut settings = Settings::new(Profile::Published);
    for (name, value) in text.lines().take(8).filter_map(|line| line.split_once('=')) {
        let _ = settings.set(name.trim(), value.trim());
    }
    let text = serde_json::to_string(&settings).expect("settings are JSON");
    assert_eq!(serde_json::from_str::<Settings>(&text).expect("they were written"), settings);
    assert!(!settings.list().is_empty());
}
