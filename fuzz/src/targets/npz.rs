//! npz files: any bytes are arrays or an error, arrays a crafted set or an error, and a set can be shown.

use super::{CONTEXT, LENET};
use deepsleep::checkpoint::{Npz, NpzReader};
use deepsleep::evaluation::Crafted;
use std::io::Cursor;

pub fn run(bytes: &[u8]) {
    if let Ok(npz) = Npz::read(Cursor::new(bytes), "fuzz") {
        let again = npz.to_bytes().expect("what was read can be written");
        assert!(Npz::read(Cursor::new(again), "again").is_ok());
    }
    // A set may stand in a file of which something else is damaged.
    let Some(crafted) = read(bytes) else { return };
    let again = crafted.to_npz(&()).and_then(|npz| npz.to_bytes()).expect("it can be written");
    assert_eq!(read(&again).expect("it was written"), crafted);
    if crafted.samples().len() <= 16 {
        let _ = crafted.show(&CONTEXT, &*LENET);
    }
}

fn read(bytes: &[u8]) -> Option<Crafted> {
    let mut file = NpzReader::new(Cursor::new(bytes), "fuzz").ok()?;
    Crafted::read(&mut file).ok()
}
