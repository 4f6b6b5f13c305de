//! The stage that a line of the build log belongs to: the log is one file, and each line begins with its stage.

/// How a line of `stage` begins.
#[must_use]
pub fn stage_tag(stage: &str) -> String {
    format!("[{stage}] ")
}

/// The stage that a line names at its beginning; `None` for a line of none.
#[must_use]
pub fn stage_of(line: &[u8]) -> Option<&str> {
    /// Names of stages are short.
    const LONGEST: usize = 32;
    let rest = line.strip_prefix(b"[")?;
    let end = rest.iter().take(LONGEST + 1).position(|byte| *byte == b']')?;
    let name = &rest[..end];
    let plain = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'-');
    (plain && rest.get(end + 1).is_none_or(|byte| *byte == b' ')).then(|| std::str::from_utf8(name).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_its_stage_or_has_none() {
        let line = format!("{}(1/2) installing linux", stage_tag("packages"));
        assert_eq!(stage_of(line.as_bytes()), Some("packages"));
        assert_eq!(stage_of(b"[iso]"), Some("iso"));
        let long = format!("[{}] x", "a".repeat(33));
        for line in ["", "[", "[]", "[ packages] x", "[  OK  ] Reached", "[packages", "[    1.5] usb", "[iso]x", &long]
        {
            assert_eq!(stage_of(line.as_bytes()), None, "{line}");
        }
    }
}
