//! Joins what was computed in several folders.

use super::store::{Lookup, Store, StoreEntry};
use crate::{Error, Result};
use std::collections::HashMap;

/// What a store has that those before it lack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The keys of the results that are taken.
    pub keys: Vec<String>,
    /// What cannot be used, and why.
    pub damaged: Vec<String>,
}

/// Looks for what `others` have and `store` lacks: of each of them, what none before it has. Nothing is copied.
///
/// # Errors
/// Those of the file system, and if two stores have different results under one key: at least one of them is not what the
/// engine computes.
pub fn plan_merge(store: &Store, others: &[Store]) -> Result<Vec<Taken>> {
    let mut known: HashMap<String, (Box<StoreEntry>, &Store)> = HashMap::new();
    let mut look = |at| -> Result<Taken> {
        let mut taken = Taken::default();
        for key in Store::keys(at)? {
            match at.find(&key) {
                Lookup::NotFound => {}
                Lookup::Damaged(what) => taken.damaged.push(what),
                Lookup::Entry(entry) => match known.get(&key) {
                    None => {
                        known.insert(key.clone(), (entry, at));
                        taken.keys.push(key);
                    }
                    Some((other, of)) if !entry.same_result(other) => {
                        let (name, file) = (&entry.name, format!("{key}.json"));
                        let problem = format!(
                            "`{name}` has another result than in {} under the same key: one of the two was not computed by this engine; delete it",
                            of.path(&file).display()
                        );
                        return Err(Error::format(at.path(&file), problem));
                    }
                    Some(_) => {}
                },
            }
        }
        Ok(taken)
    };
    look(store)?;
    others.iter().map(look).collect()
}

/// Copies what [`plan_merge`] found.
///
/// # Errors
/// Those of the file system.
pub fn merge(store: &Store, others: &[Store], plan: &[Taken]) -> Result<()> {
    for (other, taken) in others.iter().zip(plan) {
        taken.keys.iter().try_for_each(|key| store.take(key, other))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stores_are_joined() {
        let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
        let [a, b, c] = folders.each_ref().map(|f| Store::open(f.path()).expect("a store"));
        std::fs::write(b.path("x.npz"), b"images").expect("a file");
        b.keep("x", "craft", 1.0, json!(1), Some("x.npz".into())).expect("kept");
        for store in [&b, &c] {
            store.keep("y", "show", 1.0, json!(2), None).expect("kept");
        }
        std::fs::write(b.path("z.json"), b"{").expect("a file");
        c.keep("w", "show", 2.0, json!(3), None).expect("kept");

        let others = [b, c];
        let plan = plan_merge(&a, &others).expect("no dispute");
        assert_eq!(plan.iter().map(|t| t.keys.join(" ")).collect::<Vec<_>>(), ["x y", "w"]);
        assert_eq!((plan[0].damaged.len(), plan[1].damaged.len()), (1, 0));
        assert!(a.keys().expect("a folder").is_empty(), "a plan copies nothing");
        merge(&a, &others, &plan).expect("copied");
        assert_eq!(a.keys().expect("a folder"), ["w", "x", "y"]);
        assert!(a.keys().expect("keys").iter().all(|k| matches!(a.find(k), Lookup::Entry(_))));
        assert!(plan_merge(&a, &others).expect("the same").iter().all(|t| t.keys.is_empty()));

        // How long it took may differ, what came out may not.
        others[1].keep("x", "craft", 1.0, json!(1), None).expect("kept");
        let error = plan_merge(&a, &others).expect_err("another file").to_string();
        assert!(
            error.contains("`craft` has another result") && error.contains("x.json"),
            "{error}"
        );
    }

    #[test]
    fn a_store_that_is_not_there_holds_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let nowhere = Store::at(&folder.path().join("nowhere"));
        assert!(nowhere.keys().expect("nothing").is_empty());
        assert!(matches!(nowhere.find("k"), Lookup::NotFound));
    }
}
