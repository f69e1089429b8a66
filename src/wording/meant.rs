//! Suggestions for misspelled names.

/// `, did you mean ...?`, if one of the names is near enough.
pub fn meant(name: &str, names: &[&str]) -> String {
    let name = name.to_ascii_lowercase();
    let scored =
        names.iter().map(|known| (strsim::normalized_damerau_levenshtein(&name, known), known));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
    match best {
        Some((score, known)) if score > 0.5 => format!(", did you mean `{known}`?"),
        _ => String::new(),
    }
}
