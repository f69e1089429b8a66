//! What each check of an audit catches, whether or not it found anything.

/// Names of checks, and what they catch.
const ALL: &[(&str, &str)] = &[
    ("determinism", "noise, batch statistics"),
    ("hidden noise", "noise drawn from the pixels"),
    ("output type", "softmax in the model"),
    ("zero gradient", "rounding, encoders without a gradient, needle-thin surrogates"),
    ("ascent", "wrong, random, negated, shattered gradients"),
    ("directional derivative", "the gradient of another function"),
    ("roughness", "shattering"),
    ("loss along the gradient", "catastrophic overfitting"),
    ("silent neurons", "starved surrogates"),
    ("surrogate gap", "surrogates that hide gradients"),
    ("single step", "oscillating or misled iterations"),
    ("score search", "masked gradients"),
    ("hard label", "masked gradients and logits"),
    ("gradient-free smooth", "staircases"),
    ("transfer", "layers without a gradient, local learning"),
    ("rectifiers", "layers without a gradient, local learning"),
    ("random points", "broken attacks"),
    ("effort", "too few steps"),
    ("convergence", "too few steps"),
    ("logit scale", "inflated logits"),
    ("unbounded", "strong masking of any kind"),
    ("radius curve", "masking, bugs"),
    ("averaged draws", "accuracies from single draws"),
    ("fixed draws", "masks behind the noise"),
    ("active test", "attacks too weak for this network"),
    ("reach", "steps that fall short"),
    ("attack of the claim", "weak attacks"),
    ("controls", "an audit that does not work here"),
    ("second look", "false successes"),
    ("finite answers", "logits that overflow or divide by zero, which attacks count as failures"),
    ("claim", "claims beyond what attacks leave"),
];

/// What the check of this name catches.
pub fn of(check: &str) -> &'static str {
    ALL.iter().find(|(name, _)| *name == check).map_or("", |(_, what)| what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the documentation says the same.
    #[test]
    fn the_documentation_says_the_same() {
        let page = include_str!("../../docs/attacks.md");
        let rows = page.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |"));
        let rows: Vec<Vec<&str>> =
            rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect();
        for (name, catches) in ALL {
            let found = rows.iter().any(|row| {
                let names = row[0].split(" (").next().unwrap_or("").split(", ");
                row.len() == 4 && names.into_iter().any(|n| n == *name) && row[3].contains(catches)
            });
            assert!(found, "{name}: {catches}");
        }
    }
}
