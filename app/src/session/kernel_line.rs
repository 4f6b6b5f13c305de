//! Which lines of a serial console are a Linux kernel's own. Pure.

/// Whether the line is the kernel's own: `[    1.234567] usb 1-1: …` (kernel/printk/printk.c). What programs write into the kernel's
/// log has their process in it, as `systemd[1]: ` has.
pub(super) fn is_kernels(line: &[u8]) -> bool {
    let digits = |it: &[u8]| !it.is_empty() && it.iter().all(u8::is_ascii_digit);
    let Some(rest) = line.strip_prefix(b"[") else { return false };
    let Some(end) = rest.windows(2).position(|it| it == b"] ") else { return false };
    let (time, words) = (rest[..end].trim_ascii_start(), &rest[end + 2..]);
    let mut parts = time.splitn(2, |byte| *byte == b'.');
    let stamp = parts.next().is_some_and(digits) && parts.next().is_some_and(digits);
    let name = words.windows(3).position(|it| it == b"]: ").map(|at| &words[..at]);
    let program = name.and_then(|name| name.rsplit(|byte| *byte == b'[').next().filter(|pid| pid.len() < name.len()));
    stamp && !program.is_some_and(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kernels_lines_are_told_from_those_of_programs() {
        for own in ["[    0.000000] Linux version 6.1", "[12345.678901] a[b]: c", "[ 1.0] "] {
            assert!(is_kernels(own.as_bytes()), "{own}");
        }
        for other in
            ["[    5.1] systemd[1]: Failed", "[  OK  ] Reached", "[FAILED] Failed to start", "error", "[1] x", ""]
        {
            assert!(!is_kernels(other.as_bytes()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = is_kernels(&bytes);
            let _ = is_kernels(&[b"[ 1.0] ".as_slice(), &bytes].concat());
        }
    }
}
