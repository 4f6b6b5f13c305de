//! Finds what matters in a guest's serial output: the report of our init, and a kernel's last words.
//!
//! Pure and incremental: any bytes, in any chunks, in constant memory. Terminal escape sequences are left out, because a
//! boot loader or a console may write them into the very line that we look for.

use serde::{Deserialize, Serialize};

/// What our init prints before its report, once, on the first serial line.
const REPORT: &[u8] = b"CARTRIDGE-REPORT ";
/// What a Linux kernel prints when it gives up (kernel/panic.c).
const PANIC: &[u8] = b"Kernel panic - not syncing";
/// The longest line that is looked at, bytes.
const LINE_LIMIT: usize = 8 * 1024;

/// What our init found out inside the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestReport {
    /// The cartridge's name.
    pub name: String,
    /// The running kernel's version.
    pub kernel: String,
    /// "bios" or "uefi", as the guest sees it.
    pub firmware: String,
    /// "tcg", "kvm" or another hypervisor, as the guest sees it.
    pub accelerator: String,
    /// How many files lie at [`GuestReport::path`].
    pub files: u64,
    /// The hash over that tree, 64 hexadecimal digits.
    pub tree: String,
    /// Where the repository lies in the guest.
    pub path: String,
}

/// Something that [`ReportScanner`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Our init's report.
    Report(GuestReport),
    /// The kernel has panicked; its words.
    Panic(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    /// After ESC.
    Start,
    /// Inside a control sequence, which a byte from `@` to `~` ends (ECMA-48, 5.4).
    Control,
    /// Inside an operating system command, which BEL or ESC ends.
    Command,
}

/// Takes a serial line's bytes as they come and says what it found.
#[derive(Debug, Default)]
pub struct ReportScanner {
    line: Vec<u8>,
    escape: Escape,
}

impl ReportScanner {
    /// A scanner at the start of a line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes; `found` is called for each finding, in order.
    pub fn push(&mut self, bytes: &[u8], mut found: impl FnMut(Finding)) {
        for &byte in bytes {
            if byte == b'\n' || byte == b'\r' {
                self.escape = Escape::None;
                if let Some(finding) = look_at(&self.line) {
                    found(finding);
                }
                self.line.clear();
            } else if self.is_text(byte) {
                self.line.push(byte);
                if self.line.len() > LINE_LIMIT {
                    self.shorten();
                }
            }
        }
    }

    /// Follows escape sequences; says whether `byte` belongs to the text.
    fn is_text(&mut self, byte: u8) -> bool {
        let (next, text) = match (self.escape, byte) {
            (_, 0x1b) => (Escape::Start, false),
            (Escape::None, _) => (Escape::None, true),
            (Escape::Start, b'[') => (Escape::Control, false),
            (Escape::Start, b']') => (Escape::Command, false),
            // Two-byte sequences may have intermediates, as in ESC ( B.
            (Escape::Start, 0x20..=0x2f) => (Escape::Start, false),
            (Escape::Start, _) | (Escape::Control, 0x40..=0x7e) | (Escape::Command, 0x07) => (Escape::None, false),
            (inside, _) => (inside, false),
        };
        self.escape = next;
        text
    }

    /// Makes room in a line that is too long: what lies before a mark goes, and so does a mark with too long a text.
    fn shorten(&mut self) {
        let mark = [REPORT, PANIC].iter().filter_map(|mark| position(&self.line, mark)).min();
        let keep_from = match mark {
            Some(0) => self.line.len(),
            Some(at) => at,
            // The end may be the start of a mark.
            None => self.line.len() - PANIC.len().max(REPORT.len()),
        };
        self.line.drain(..keep_from);
    }
}

fn look_at(line: &[u8]) -> Option<Finding> {
    if let Some(at) = position(line, REPORT) {
        // Only the first value: another writer may have got into the same line behind it.
        let mut values = serde_json::Deserializer::from_slice(&line[at + REPORT.len()..]).into_iter::<GuestReport>();
        if let Some(Ok(report)) = values.next() {
            return Some(Finding::Report(report));
        }
    }
    let at = position(line, PANIC)?;
    let words = String::from_utf8_lossy(&line[at..]).trim_end_matches("]---").trim_end().to_owned();
    Some(Finding::Panic(words))
}

fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const JSON: &str = r#"{"v":1,"name":"demo","kernel":"6.1.0","firmware":"bios","accelerator":"tcg","files":12,"tree":"ab","path":"/root/demo"}"#;

    fn scan(bytes: &[u8], chunk: usize) -> Vec<Finding> {
        let mut scanner = ReportScanner::new();
        let mut found = Vec::new();
        for chunk in bytes.chunks(chunk) {
            scanner.push(chunk, |f| found.push(f));
            assert!(scanner.line.len() <= LINE_LIMIT && scanner.line.capacity() <= 4 * LINE_LIMIT);
        }
        found
    }

    fn is_the_report(finding: &Finding) -> bool {
        matches!(finding, Finding::Report(r) if r.name == "demo" && r.files == 12 && r.path == "/root/demo")
    }

    #[test]
    fn finds_the_report_in_any_company() {
        for text in [
            format!("CARTRIDGE-REPORT {JSON}\n"),
            format!("\x1b[2J\x1b[01;01H\x1b]0;title\x07CARTRIDGE-\x1b[1mREPORT {JSON}\x1b[0m\r\n"),
            format!("[    1.5] random: crng\nlogin: CARTRIDGE-REPORT {JSON} [  2.0] usb 1-1\n"),
            format!("\x1b]never ended\nCARTRIDGE-REPORT {JSON}\n"),
            format!("{}CARTRIDGE-REPORT {JSON}\n", "x".repeat(3 * LINE_LIMIT)),
        ] {
            for chunk in [1, 7, text.len()] {
                let found = scan(text.as_bytes(), chunk);
                assert!(found.len() == 1 && is_the_report(&found[0]), "{text:?} {found:?}");
            }
        }
    }

    #[test]
    fn what_is_no_report_is_none() {
        for text in [
            format!("CARTRIDGE-REPORT {JSON}"),
            "CARTRIDGE-REPORT {}\n".to_owned(),
            "CARTRIDGE-REPORT nonsense\n".to_owned(),
            format!("CARTRIDGE-REPORT {{\"name\":\"{}\"}}\n", "x".repeat(2 * LINE_LIMIT)),
        ] {
            assert_eq!(scan(text.as_bytes(), 100), []);
        }
    }

    #[test]
    fn hears_a_panic() {
        let text = "[    2.1] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n\
                    [    2.2] ---[ end Kernel panic - not syncing: VFS: Unable to mount root fs ]---\r\n";
        let found = scan(text.as_bytes(), 3);
        let words = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)";
        assert_eq!(found[0], Finding::Panic(words.into()));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_flood_costs_no_memory() {
        let mut scanner = ReportScanner::new();
        let flood = vec![b'A'; 1 << 20];
        for _ in 0..64 {
            scanner.push(&flood, |f| panic!("{f:?}"));
        }
        assert!(scanner.line.capacity() <= 4 * LINE_LIMIT);
        let mut found = Vec::new();
        scanner.push(format!("CARTRIDGE-REPORT {JSON}\n").as_bytes(), |f| found.push(f));
        assert!(is_the_report(&found[0]));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_chunks_find_the_same(
            bytes in proptest::collection::vec(any::<u8>(), 0..2000), at in 0_usize..2000, chunk in 1_usize..100,
        ) {
            let mut stream = bytes;
            let at = at.min(stream.len());
            stream.splice(at..at, format!("\nCARTRIDGE-REPORT {JSON}\n").into_bytes());
            let found = scan(&stream, chunk);
            prop_assert!(found.iter().any(is_the_report));
            prop_assert_eq!(found, scan(&stream, usize::MAX));
        }
    }
}
