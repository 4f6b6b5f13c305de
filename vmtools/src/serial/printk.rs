//! The form in which a Linux kernel prints a line on a console: `[    1.234567] text`.
//!
//! As in kernel/printk/printk.c, `print_time` and `print_caller`: the time since the start in seconds, five columns or
//! more before the point and six digits after it. Before it a level (`<0>`) may stand, after it the caller (`[    T1]`).
//! A kernel told to print no time (`printk.time=0`) is not recognised.

use std::time::Duration;

/// A line that a kernel printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Printed<'a> {
    /// By the kernel's clock, which begins with it.
    pub(crate) at: Duration,
    pub(crate) text: &'a [u8],
}

/// The kernel's line in `line`, if it has that form.
pub(crate) fn parse(line: &[u8]) -> Option<Printed<'_>> {
    let rest = without_level(line).strip_prefix(b"[")?;
    let seconds_end = rest.iter().position(|&b| b == b'.')?;
    let (seconds, rest) = rest.split_at(seconds_end);
    let (micros, rest) = rest.get(1..)?.split_at_checked(6)?;
    let digits = seconds.trim_ascii_start();
    let right_aligned = seconds.len() == 5 || (seconds.len() > 5 && digits.len() == seconds.len());
    if !right_aligned {
        return None;
    }
    let at = Duration::from_secs(number(digits)?) + Duration::from_micros(number(micros)?);
    let rest = rest.strip_prefix(b"]")?;
    let rest = match rest.strip_prefix(b"[") {
        Some(caller) => caller.get(caller.iter().position(|&b| b == b']')? + 1..)?,
        None => rest,
    };
    Some(Printed { at, text: rest.strip_prefix(b" ")? })
}

/// Whether `start` may grow into such a line, or is one: an empty one may.
pub(crate) fn may_begin(start: &[u8]) -> bool {
    // Level, seconds, point and micros: nothing else may come before the bracket closes.
    let Some(rest) = without_level(start).strip_prefix(b"[") else {
        return without_level(start).is_empty()
            || (start[0] == b'<' && start.len() < 3 && start[1..].iter().all(u8::is_ascii_digit));
    };
    let clock = |time: &[u8]| time.iter().all(|&b| b.is_ascii_digit() || b == b' ' || b == b'.');
    let mut parts = rest.splitn(2, |&b| b == b']');
    let time = parts.next().unwrap_or_default();
    match parts.next() {
        None | Some([]) => clock(time),
        Some([b'[', caller @ ..]) if clock(time) => {
            let open = caller.strip_suffix(b"]").unwrap_or(caller);
            open.iter().all(|&b| b == b' ' || b.is_ascii_alphanumeric()) || parse(start).is_some()
        }
        Some(_) => parse(start).is_some(),
    }
}

fn without_level(line: &[u8]) -> &[u8] {
    match line {
        [b'<', level, b'>', rest @ ..] if level.is_ascii_digit() => rest,
        _ => line,
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let whole = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| whole)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_kernels_lines() {
        for (line, micros, text) in [
            ("[    1.234567] usb 1-1: new", 1_234_567, "usb 1-1: new"),
            ("<4>[    0.000000] Linux", 0, "Linux"),
            ("[12345.000001][    T1] x", 12_345_000_001, "x"),
            ("[123456.000001][  C12] ", 123_456_000_001, ""),
        ] {
            let at = Duration::from_micros(micros);
            assert_eq!(parse(line.as_bytes()), Some(Printed { at, text: text.as_bytes() }), "{line}");
            for end in 0..=line.len() {
                assert!(may_begin(&line.as_bytes()[..end]), "{}", &line[..end]);
            }
        }
    }

    #[test]
    fn knows_what_is_none() {
        for line in [
            "x",
            " [    1.234567] x",
            "[1.234567] x",
            "[  1  .234567] x",
            "[ 123456.234567] x",
            "[    1.234567]x",
            "[    1.2345678] x",
            "[root@demo ~]# ",
            "[    T1] x",
            "<12>[    1.234567] x",
            "[99999999999999999999999.000000] x",
        ] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
        for start in
            ["x", "demo ~ $ ", "[r", "[root@demo ~]# ", "<x", "<12", "[    1.234567]x", "[  OK  ]", "[root@demo ~]"]
        {
            assert!(!may_begin(start.as_bytes()), "{start}");
        }
    }
}
