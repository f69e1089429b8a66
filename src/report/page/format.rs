//! Numbers and lists as words.

use crate::sleep::{DreamAttack, DreamOptions, DreamSource};

/// `a`, `a and b`, `a, b and c`.
pub fn listed(items: &[&str]) -> String {
    match items {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// `1 pass`, `2 passes`.
pub fn times(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A strength as the paper writes it, where it is a whole number of 255ths.
pub fn fraction(eps: f32) -> String {
    let of_255 = eps * 255.0;
    if (of_255 - of_255.round()).abs() < 1e-3 {
        format!("{}/255", of_255.round())
    } else {
        eps.to_string()
    }
}

/// A number with separators between thousands.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (head, rest) = digits.split_at(first);
    let groups = rest.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let head = (!head.is_empty()).then(|| head.to_owned());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}

/// Seconds as a person would say them.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), (s % 60.0).floor()),
        s => format!("{:.0} h {:02.0} min", (s / 3600.0).floor(), (s % 3600.0 / 60.0).floor()),
    }
}

/// A number of bytes.
pub fn bytes(count: u64) -> String {
    format!("{:.0} MiB", count as f64 / f64::from(1 << 20))
}

/// A day and a time (UTC) of seconds since 1970, by the civil calendar (Hinnant's days-from-civil, inverted).
pub fn date(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (day, month) =
        (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", of_day / 3600, of_day % 3600 / 60)
}

/// Dreams, and how far they are from the paper's.
pub fn dreams(options: &DreamOptions) -> String {
    let source = match options.source {
        DreamSource::Control => {
            "the undefended control, which is the paper's picture; the published code's source is a hybrid of control and sleeper"
        }
        DreamSource::Hybrid => {
            "the published code's hybrid (live convolutions, the control's running statistics, an early linear layer); the paper pictures the undefended control"
        }
        DreamSource::Live => {
            "the sleeping network seen with rectifiers; the paper pictures the undefended control, the published code a hybrid"
        }
        DreamSource::LiveSnn => {
            "the spiking network itself; the paper pictures the undefended control, the published code a hybrid"
        }
    };
    let attack = match options.attack {
        DreamAttack::Fgsm => "FGSM".to_owned(),
        DreamAttack::Pgd { steps, .. } => format!("{steps}-step PGD"),
    };
    format!(
        "with probability {} a batch is replaced by {attack} examples of eps {} crafted on {source}. (The paper's Figure 2 says PGD, its text FGSM.)",
        options.ratio,
        fraction(options.eps)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
        assert_eq!(fraction(128.0 / 255.0), "128/255");
        assert_eq!(fraction(0.3), "0.3");
        assert_eq!(
            (grouped(7), grouped(1234), grouped(100_000)),
            ("7".into(), "1,234".into(), "100,000".into())
        );
        assert_eq!(duration(59.96), "60.0 s");
        assert_eq!(duration(3725.0), "1 h 02 min");
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_827_696), "2000-02-29 12:34 UTC");
    }
}
