//! The option `--set NAME=VALUE`, which may be given several times.

use crate::failure::WrongUse;
use anyhow::Result;
use deepsleep::method::is_within;

/// Names and values in their order. A setting that a later one would silently replace, the same or a part of it, is
/// refused.
pub fn assignments(all: &[String]) -> Result<Vec<(&str, &str)>> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for assignment in all {
        let Some((name, value)) = assignment.split_once('=') else {
            let problem = format!("--set {assignment}: expected NAME=VALUE");
            return Err(WrongUse(problem).into());
        };
        let (name, value) = (name.trim(), value.trim());
        if let Some((other, before)) = pairs.iter().find(|(other, _)| is_within(other, name)) {
            let problem = format!(
                "--set {assignment}: it would replace --set {other}={before}; give each setting once"
            );
            return Err(WrongUse(problem).into());
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::assignments;

    #[test]
    fn no_setting_is_lost_to_another() {
        let of = |all: &[&str]| {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            let pairs = assignments(&all).map_err(|error| error.to_string())?;
            Ok::<_, String>(pairs.iter().map(|(n, v)| format!("{n}:{v}")).collect::<Vec<_>>())
        };
        assert_eq!(
            of(&["a = 1", "a.b=2", "ab=x=y"]),
            Ok(vec!["a:1".into(), "a.b:2".into(), "ab:x=y".into()])
        );
        for twice in [["a=1", "a=2"], ["a=1", " a =1"], ["a.b=1", "a={}"], ["a.b.c=1", "a.b=2"]] {
            assert!(
                of(&twice).is_err_and(|problem| problem.contains("would replace")),
                "{twice:?}"
            );
        }
        assert!(of(&["a"]).is_err_and(|problem| problem.contains("NAME=VALUE")));
    }
}
