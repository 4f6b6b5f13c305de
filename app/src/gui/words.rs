//! How sizes and times are written for people.

/// Bytes: `512 B`, `14.2 MiB`. The same words as in the terminal.
pub use isoprep::contents::show::size as bytes;

/// By how much a size changed, bytes: `+3.0 MiB`, `−12 B`, `±0`.
#[must_use]
pub fn growth(by: i64) -> String {
    match by {
        0 => "±0".to_owned(),
        1.. => format!("+{}", bytes(by.unsigned_abs())),
        _ => format!("−{}", bytes(by.unsigned_abs())),
    }
}

/// By how much a size changed.
#[must_use]
pub fn growth_of(sizes: isoprep::contents::Change<u64>) -> String {
    let by = i128::from(sizes.to) - i128::from(sizes.from);
    growth(i64::try_from(by).unwrap_or(if by < 0 { i64::MIN } else { i64::MAX }))
}

/// A size before and after: `763.0 MiB → 766.0 MiB`.
#[must_use]
pub fn change(sizes: isoprep::contents::Change<u64>) -> String {
    format!("{} → {}", bytes(sizes.from), bytes(sizes.to))
}

/// How long something still takes, milliseconds: `8 s left`, `2 min left`, `1 h 5 min left`.
#[must_use]
pub fn left(ms: u64) -> String {
    let s = ms.div_ceil(1000);
    match s {
        0..60 => format!("{s} s left"),
        60..3600 => format!("{} min left", (s + 30) / 60),
        _ => format!("{} h {} min left", s / 3600, s % 3600 / 60),
    }
}

/// How long something took, milliseconds: `80 ms`, `2.4 s`, `1:05`.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
pub fn took(ms: u64) -> String {
    match ms {
        0..=999 => format!("{ms} ms"),
        1000..=59_999 => format!("{:.1} s", ms as f64 / 1000.0),
        _ => elapsed(ms),
    }
}

/// How long something has run, milliseconds, as a clock shows it: `0:07`, `12:05`, `1:02:03`.
#[must_use]
pub fn elapsed(ms: u64) -> String {
    let s = ms / 1000;
    if s < 3600 {
        format!("{}:{:02}", s / 60, s % 60)
    } else {
        format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    }
}

/// So many of a thing: "1 file", "1 234 files".
#[must_use]
pub fn number(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// A count with thin spaces between thousands: `1 234 567`.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(digit);
    }
    out
}

/// Words that were a part of a sentence, as one of their own: the first letter is a capital. What begins with a name keeps
/// it: `iso/build.sh adds it`.
#[must_use]
pub fn sentence(words: &str) -> String {
    let first = words.split(' ').next().unwrap_or_default().trim_end_matches([';', ',', ':']);
    if !first.chars().all(|c| c.is_ascii_lowercase()) || !words.contains(' ') {
        return words.to_owned();
    }
    let mut letters = words.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// A path with the user's home as `~`.
#[must_use]
pub fn path(path: &std::path::Path) -> String {
    let home = std::env::var_os("HOME").map(std::path::PathBuf::from);
    match home.filter(|home| home.components().count() > 1).and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!([0, 80, 2_400, 65_000].map(took), ["0 ms", "80 ms", "2.4 s", "1:05"]);
        assert_eq!([7_000, 725_000, 3_723_000].map(elapsed), ["0:07", "12:05", "1:02:03"]);
    }

    #[test]
    fn growths_and_what_is_left() {
        assert_eq!([0, 3_100_000, -12].map(growth), ["±0", "+3.0 MiB", "−12 B"]);
        let sizes = isoprep::contents::Change { from: u64::MAX, to: 0 };
        assert!(growth_of(sizes).starts_with('−'));
        let all = [400, 8_000, 59_400, 61_000, 119_000, 3_900_000].map(left);
        assert_eq!(all, ["1 s left", "8 s left", "1 min left", "1 min left", "2 min left", "1 h 5 min left"]);
    }

    #[test]
    fn sentences_begin_with_a_capital_and_names_keep_theirs() {
        let all = ["the one for a network", "changed; it was more", "iso/build.sh adds it", "image.base"].map(sentence);
        assert_eq!(all, ["The one for a network", "Changed; it was more", "iso/build.sh adds it", "image.base"]);
    }

    #[test]
    fn counts() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1_234_567), "1\u{2009}234\u{2009}567");
    }
}
