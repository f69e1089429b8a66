//! npz files: any bytes are arrays or an error, arrays a crafted set or an error, and a set can be shown.

use super::{CONTEXT, LENET};
use deepsleep::checkpoint::Npz;
use deepsleep::evaluation::Crafted;
use std::io::Cursor;

pub fn run(bytes: &[u8]) {
    let Ok(npz) = Npz::read(Cursor::new(bytes), "fuzz") else { return };
    let again = npz.to_bytes().expect("what was read can be written");
    assert!(Npz::read(Cursor::new(again), "again").is_ok());
    let Ok(crafted) = Crafted::from_npz(&npz) else { return };
    let again = crafted.to_npz(&()).expect("what was read can be written");
    assert_eq!(Crafted::from_npz(&again).expect("it was written"), crafted);
    if crafted.samples().len() <= 16 {
        let _ = crafted.show(&CONTEXT, &*LENET);
    }
}
