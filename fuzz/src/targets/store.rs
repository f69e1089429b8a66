//! A store with an entry of any bytes: it is found, or damaged, never anything else; and what is kept is found again.

use deepsleep::experiment::{Lookup, Store, merge, plan_merge};

pub fn run(bytes: &[u8]) {
    let (here, there) = (tempfile::tempdir().expect("a"), tempfile::tempdir().expect("b"));
    let (here, there) =
        (Store::open(here.path()).expect("a"), Store::open(there.path()).expect("b"));
    std::fs::write(there.path("k.model"), b"weights").expect("written");
    std::fs::write(there.path("k.json"), bytes).expect("written");
    let found = matches!(there.find("k"), Lookup::Entry(_));
    let others = [there];
    let plan = plan_merge(&here, &others).expect("folders");
    let (taken, damaged) = (plan[0].keys.len(), plan[0].damaged.len());
    assert_eq!((taken, damaged), (usize::from(found), usize::from(!found)));
    merge(&here, &others, &plan).expect("copied");
    assert_eq!(matches!(here.find("k"), Lookup::Entry(_)), found);

    // JSON may nest as deep as its reader goes, and one deeper inside of an entry.
    let nested = bytes.iter().filter(|byte| b"[{".contains(byte)).count();
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes)
        && nested < 100
    {
        here.keep("v", "fuzz", 1.5, value.clone(), None).expect("kept");
        assert!(matches!(here.find("v"), Lookup::Entry(entry) if entry.value == value));
    }
}
