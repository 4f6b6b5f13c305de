//! Finds what matters in a guest's serial output: the report of our init, and a kernel's last words.
//!
//! Pure and incremental: any bytes, in any chunks, in constant memory. Terminal escape sequences are left out, because a
//! boot loader or a console may write them into the very line that we look for.
//!
//! A guest that lives may show the words of a panic as well, from a file or from `echo`. So they count only in the form
//! in which a kernel prints them, with its time, at the start of a line; and only as long as nothing follows but what
//! that kernel prints: a shell's prompt, a program's output or a kernel that starts anew shows that the guest lives.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::serial::GuestShare;
use crate::serial::escapes::EscapeFilter;
use crate::serial::printk::{self, Printed};
use crate::serial::steps::{self, BootStep};

/// What our init prints before its report, once, on the first serial line.
const REPORT: &[u8] = b"CARTRIDGE-REPORT ";
/// What a Linux kernel prints when it gives up (kernel/panic.c).
const PANIC: &[u8] = b"Kernel panic - not syncing: ";
/// What it prints before the same words when it has printed everything else.
const END: &[u8] = b"---[ end ";
/// How far a later line's time may lie before an earlier one's: processors print side by side.
const DISORDER: Duration = Duration::from_millis(100);
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
    /// How many layers were brought in since the guest started; 0 for the report of its start.
    #[serde(default, skip_serializing_if = "is_none")]
    pub generation: u32,
    /// Why the layer that was plugged in last is not what is seen at [`GuestReport::path`]; `None` if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What systemd says of the system once it is up: "running", "degraded" …; `None` where another init runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Units that failed, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// Folders of the host that it was lent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<GuestShare>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(number: &u32) -> bool {
    *number == 0
}

impl GuestReport {
    /// The folder of the host that lies at [`GuestReport::path`], if one does: then no files were counted and no tree
    /// was hashed, as both may be others the next moment.
    #[must_use]
    pub fn live(&self) -> Option<&GuestShare> {
        self.shares.iter().find(|share| share.covers(&self.path))
    }

    /// What systemd says, for people: "systemd says degraded: a.service failed".
    #[must_use]
    pub fn system_words(&self) -> Option<String> {
        let state = self.system.as_ref()?;
        Some(match &*self.failed {
            [] => format!("systemd says {state}"),
            failed => format!("systemd says {state}: {} failed", failed.join(", ")),
        })
    }
}

/// Something that [`ReportScanner`] found.
#[allow(clippy::large_enum_variant, reason = "findings are few and short-lived")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Our init's report.
    Report(GuestReport),
    /// A step of a direct boot.
    Step(BootStep),
    /// The kernel has printed a panic.
    Panic {
        /// Its words.
        words: String,
        /// The kernel's clock: time since it started.
        at: Duration,
    },
    /// After a panic something was written that a dead kernel does not write.
    Alive,
}

/// Takes a serial line's bytes as they come and says what it found.
#[derive(Debug, Default)]
pub struct ReportScanner {
    line: Vec<u8>,
    escapes: EscapeFilter,
    /// The start of the line is no longer there.
    cut: bool,
    /// When the kernel panicked, by its own clock, unless it has shown since that it lives.
    panicked: Option<Duration>,
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
                self.escapes.line_ended();
                self.finish(&mut found);
                self.line.clear();
                self.cut = false;
            } else if self.escapes.is_text(byte) {
                self.line.push(byte);
                if self.line.len() > LINE_LIMIT {
                    self.shorten();
                }
            }
        }
        // A prompt ends no line.
        if self.panicked.is_some() && (self.cut || !printk::may_begin(&self.line)) {
            self.panicked = None;
            found(Finding::Alive);
        }
    }

    fn finish(&mut self, found: &mut impl FnMut(Finding)) {
        if let Some(report) = report(&self.line) {
            found(Finding::Report(report));
        }
        if let Some(at) = position(&self.line, steps::MARK)
            && let Some(step) = steps::parse(&self.line[at + steps::MARK.len()..])
        {
            found(Finding::Step(step));
        }
        let printed = if self.cut { None } else { printk::parse(&self.line) };
        if let Some(at) = self.panicked {
            let lives = match printed {
                Some(Printed { at: later, .. }) => later + DISORDER < at,
                None => self.cut || !self.line.is_empty(),
            };
            if lives {
                self.panicked = None;
                found(Finding::Alive);
            }
        }
        if let Some(Printed { at, text }) = printed
            && let Some(words) = last_words(text)
        {
            self.panicked = Some(at);
            found(Finding::Panic { words, at });
        }
    }

    /// Makes room in a line that is too long: what lies before a report goes, and so does a report that is too long.
    fn shorten(&mut self) {
        let keep_from = match position(&self.line, REPORT) {
            Some(0) => self.line.len(),
            Some(at) => at,
            // The end may be the start of a report.
            None => self.line.len() - REPORT.len(),
        };
        self.line.drain(..keep_from);
        self.cut = true;
    }
}

fn report(line: &[u8]) -> Option<GuestReport> {
    let at = position(line, REPORT)?;
    // Only the first value: another writer may have got into the same line behind it.
    serde_json::Deserializer::from_slice(&line[at + REPORT.len()..]).into_iter::<GuestReport>().next()?.ok()
}

/// The words of a panic in what a kernel printed: at its beginning, and again at its end as
/// `---[ end Kernel panic - not syncing: … ]---`.
fn last_words(text: &[u8]) -> Option<String> {
    let text = text.strip_prefix(END).unwrap_or(text);
    text.starts_with(PANIC)
        .then(|| String::from_utf8_lossy(text).trim_end().trim_end_matches("]---").trim_end().to_owned())
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
    fn what_systemd_says_is_read_where_it_says_something() {
        let of = |more: &str| {
            let found = scan(format!("CARTRIDGE-REPORT {}{more}}}\n", JSON.trim_end_matches('}')).as_bytes(), 9);
            if let [Finding::Report(report)] = &found[..] { report.clone() } else { panic!("{found:?}") }
        };
        assert_eq!((of("").system, of("").failed), (None, Vec::new()));
        let degraded = of(r#","system":"degraded","failed":["a.service"],"later":1"#);
        assert_eq!((degraded.system.as_deref(), &*degraded.failed), (Some("degraded"), &["a.service".to_owned()][..]));
        assert_eq!(degraded.system_words().as_deref(), Some("systemd says degraded: a.service failed"));
        assert_eq!(degraded.live(), None);
        let share = r#","shares":[{"tag":"r","kind":"9p","at":"/root/demo","access":"read-only"}]"#;
        assert_eq!(of(share).live().map(|it| it.kind.as_str()), Some("9p"));
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

    const DEATH: &str = "[    2.100000] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n\
                         [    2.100001] CPU: 0 PID: 1 Comm: swapper/0\r\n\
                         [    2.200000] ---[ end Kernel panic - not syncing: VFS: Unable to mount root fs ]---\r\n";

    fn panic_at(ms: u64) -> Finding {
        let words = "Kernel panic - not syncing: VFS: Unable to mount root fs".to_owned();
        Finding::Panic { words, at: Duration::from_millis(ms) }
    }

    #[test]
    fn hears_a_panic() {
        for chunk in [1, 3, 1000] {
            assert_eq!(scan(DEATH.as_bytes(), chunk), [panic_at(2100), panic_at(2200)]);
        }
        let prompt = format!("demo ~ $ {DEATH}");
        assert_eq!(scan(prompt.as_bytes(), 7), [panic_at(2200)], "the line's start is the prompt's");
        let marked = "<0>[    2.100000][    T1] Kernel panic - not syncing: VFS: Unable to mount root fs \n";
        assert_eq!(scan(marked.as_bytes(), 7), [panic_at(2100)]);
    }

    #[test]
    fn the_words_alone_are_no_panic() {
        for text in [
            "Kernel panic - not syncing\n",
            "Kernel panic - not syncing: VFS\n",
            "demo ~ $ echo '[    2.100000] Kernel panic - not syncing: VFS'\n",
            "serial.log:[    2.100000] Kernel panic - not syncing: VFS\n",
            "[    2.100000] demo: Kernel panic - not syncing: VFS\n",
            "[2.1] Kernel panic - not syncing: VFS\n",
            "Nov 11 11:11:11 host kernel: Kernel panic - not syncing: VFS\n",
        ] {
            assert_eq!(scan(text.as_bytes(), 5), [], "{text}");
        }
        let long = format!("{}[    2.100000] Kernel panic - not syncing: VFS\n", "x".repeat(LINE_LIMIT - 10));
        assert_eq!(scan(long.as_bytes(), 5), []);
    }

    #[test]
    fn whatever_else_is_written_shows_that_the_guest_lives() {
        for sign in ["demo ~ $ ", "\x1b[1;34mdemo\x1b[0m ~ $ ", "done\n", "[root@demo ~]# ", "[    0.000000] Linux\n"] {
            for chunk in [1, 1000] {
                let found = scan(format!("{DEATH}{sign}").as_bytes(), chunk);
                assert_eq!(found, [panic_at(2100), panic_at(2200), Finding::Alive], "{sign:?}");
            }
        }
        for silence in ["", "\r\n", "[    3.1", "[   63.000000] rcu: INFO\n", "[    2.150000] late\n", "\x1b[0m"] {
            let found = scan(format!("{DEATH}{silence}").as_bytes(), 1);
            assert_eq!(found, [panic_at(2100), panic_at(2200)], "{silence:?}");
        }
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
