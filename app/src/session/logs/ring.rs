//! The newest lines of a log in bounded memory: a million lines, found by number in logarithmic time.

use std::collections::VecDeque;

use crate::session::kernel_line::is_kernels;

/// How many lines a ring keeps.
pub const RING_LINES: usize = 1_000_000;
/// How many bytes of text a ring keeps.
pub const RING_BYTES: usize = 192 * 1024 * 1024;
/// Where a line is cut, bytes: a guest may send a gigabyte without a newline.
pub const LINE_LIMIT: usize = 4096;
/// How many bytes one chunk holds before the next is begun.
const CHUNK: usize = 64 * 1024;

/// How a line looks to somebody who searches for trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing special.
    Plain,
    /// It says that it warns.
    Warning,
    /// It says that something failed.
    Error,
}

#[derive(Debug, Default)]
struct Chunk {
    text: Vec<u8>,
    /// Where each line ends in `text`.
    ends: Vec<u32>,
    levels: Vec<Level>,
    /// Number of the first line.
    first: u64,
}

/// Lines numbered from 0 since the log began; the oldest are dropped, and how many is known.
#[derive(Debug)]
pub struct LogRing {
    chunks: VecDeque<Chunk>,
    /// The line that has no newline yet.
    open: Vec<u8>,
    end: u64,
    bytes: usize,
    max_lines: u64,
    max_bytes: usize,
    first_error: Option<u64>,
    errors: u64,
}

impl LogRing {
    /// An empty ring that keeps at most `max_lines` lines and `max_bytes` bytes, give or take a chunk of 64 KiB.
    #[must_use]
    pub fn new(max_lines: usize, max_bytes: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            open: Vec::new(),
            end: 0,
            bytes: 0,
            max_lines: max_lines as u64,
            max_bytes,
            first_error: None,
            errors: 0,
        }
    }

    /// Appends raw bytes. A line ends at a newline, or at [`LINE_LIMIT`].
    pub fn append(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = LINE_LIMIT - self.open.len();
            let window = &rest[..rest.len().min(room)];
            if let Some(at) = window.iter().position(|b| *b == b'\n') {
                self.open.extend_from_slice(&window[..at]);
                self.close();
                rest = &rest[at + 1..];
            } else {
                self.open.extend_from_slice(window);
                rest = &rest[window.len()..];
                if self.open.len() == LINE_LIMIT {
                    self.close();
                }
            }
        }
    }

    /// Number after the newest line, an unfinished one included: how many lines there ever were.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end + u64::from(!self.open.is_empty())
    }

    /// Number of the oldest line that is still kept: how many were dropped.
    #[must_use]
    pub fn begin(&self) -> u64 {
        self.chunks.front().map_or(self.end, |chunk| chunk.first)
    }

    /// The raw bytes of a line, without its newline; `None` if it was dropped or is not there yet.
    #[must_use]
    pub fn line(&self, number: u64) -> Option<&[u8]> {
        if number == self.end && !self.open.is_empty() {
            return Some(trim(&self.open));
        }
        let (chunk, at) = self.find(number)?;
        let start = if at == 0 { 0 } else { chunk.ends[at - 1] as usize };
        chunk.text.get(start..chunk.ends[at] as usize)
    }

    /// How a line looks to somebody who searches for trouble.
    #[must_use]
    pub fn level(&self, number: u64) -> Level {
        if number == self.end {
            return level_of(&self.open);
        }
        self.find(number).map_or(Level::Plain, |(chunk, at)| chunk.levels[at])
    }

    /// Number of the first line that looks like an error. It may have been dropped since.
    #[must_use]
    pub fn first_error(&self) -> Option<u64> {
        self.first_error
    }

    /// How many lines look like errors.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }

    fn find(&self, number: u64) -> Option<(&Chunk, usize)> {
        if number < self.begin() || number >= self.end {
            return None;
        }
        let at = self.chunks.partition_point(|chunk| chunk.first <= number).checked_sub(1)?;
        let chunk = self.chunks.get(at)?;
        let line = usize::try_from(number - chunk.first).ok()?;
        (line < chunk.ends.len()).then_some((chunk, line))
    }

    fn close(&mut self) {
        let line = std::mem::take(&mut self.open);
        let text = trim(&line);
        let level = level_of(text);
        if level == Level::Error {
            self.first_error.get_or_insert(self.end);
            self.errors += 1;
        }
        if self.chunks.back().is_none_or(|chunk| chunk.text.len() + text.len() > CHUNK || chunk.ends.len() >= 4096) {
            self.chunks.push_back(Chunk { first: self.end, ..Chunk::default() });
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.text.extend_from_slice(text);
            chunk.ends.push(u32::try_from(chunk.text.len()).unwrap_or(u32::MAX));
            chunk.levels.push(level);
        }
        self.bytes += text.len();
        self.end += 1;
        self.open = line;
        self.open.clear();
        while self.chunks.len() > 1 && (self.end - self.begin() > self.max_lines || self.bytes > self.max_bytes) {
            if let Some(old) = self.chunks.pop_front() {
                self.bytes -= old.text.len();
            }
        }
    }
}

/// Without the carriage returns at its end: a terminal adds one to a line that may have one already.
fn trim(mut line: &[u8]) -> &[u8] {
    while let Some(shorter) = line.strip_suffix(b"\r") {
        line = shorter;
    }
    line
}

/// Words that lines of trouble have, lower case. Whole words only: "terror" and "errors=remount-ro" are no errors.
const ERRORS: [&[u8]; 8] = [b"error", b"fatal", b"panic", b"failed", b"failure", b"traceback", b"segfault", b"oops"];
const WARNINGS: [&[u8]; 2] = [b"warning", b"warn"];

fn level_of(line: &[u8]) -> Level {
    let mut level = Level::Plain;
    let mut end = 0;
    for word in line.split(|b| !b.is_ascii_alphabetic() && *b != b'=' && *b != b'_' && *b != b'-') {
        let start = end;
        end = start + word.len() + 1;
        if word.len() < 4 || word.len() > 9 {
            continue;
        }
        if ERRORS.iter().any(|e| word.eq_ignore_ascii_case(e)) && !counted(line, start, word) {
            if !tried(line, word) {
                return Level::Error;
            }
            level = Level::Warning;
        }
        if WARNINGS.iter().any(|w| word.eq_ignore_ascii_case(w)) {
            level = Level::Warning;
        }
    }
    level
}

/// Whether the word is a kernel's of something that it has tried: a device or a measurement that is not there is no fault, and
/// each boot has some (`calibrate_delay_direct() failed to get a good estimate`, firmware that nobody needs).
fn tried(line: &[u8], word: &[u8]) -> bool {
    let says = |words: &[u8]| line.windows(words.len()).any(|part| part.eq_ignore_ascii_case(words));
    let of_trying = [b"failed".as_slice(), b"failure"].iter().any(|it| word.eq_ignore_ascii_case(it));
    let of_firmware = word.eq_ignore_ascii_case(b"error") && says(b"firmware load");
    (of_trying || of_firmware) && is_kernels(line)
}

/// Whether the word at `start` says how many there are, and not that there is one: "no error", "0 failed", "1 error, 2
/// notes". What is counted was said before in a line of its own; "line 7 error: x" is one.
fn counted(line: &[u8], start: usize, word: &[u8]) -> bool {
    let Some(before) = line[..start].strip_suffix(b" ") else { return false };
    let from = before.iter().rposition(|b| !b.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
    let number = &before[from..];
    if number.eq_ignore_ascii_case(b"no") || number == b"0" {
        return true;
    }
    let counts = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    counts && word.eq_ignore_ascii_case(b"error") && line.get(start + word.len()) != Some(&b':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn levels_are_whole_words() {
        assert_eq!(level_of(b"[ 1.0] Kernel panic - not syncing"), Level::Error);
        assert_eq!(level_of(b"==> ERROR: Hook 'x' cannot be found"), Level::Error);
        assert_eq!(level_of(b"EXT4-fs: errors=remount-ro"), Level::Plain);
        assert_eq!(level_of(b"kernel: panic=-1 on the command line"), Level::Plain);
        assert_eq!(level_of(b"xorriso : WARNING : x"), Level::Warning);
        assert_eq!(level_of(b"no terrors here"), Level::Plain);
    }

    #[test]
    fn what_a_kernel_has_tried_is_no_error() {
        for line in [
            "[    0.000000] calibrate_delay_direct() failed to get a good estimate for loops_per_jiffy.",
            "[    2.345678] cfg80211: failed to load regulatory.db",
            "[    2.345678] platform regulatory.0: Direct firmware load for regulatory.db failed with error -2",
        ] {
            assert_eq!(level_of(line.as_bytes()), Level::Warning, "{line}");
        }
        for line in [
            "[    2.1] Kernel panic - not syncing: VFS: Unable to mount root fs",
            "[    9.1] EXT4-fs error (device vda): ext4_lookup",
            "[    9.1] blk_update_request: I/O error, dev sda",
            "[    5.1] systemd[1]: Failed to start a.service",
            "[FAILED] Failed to start a.service",
            "mount: failed",
        ] {
            assert_eq!(level_of(line.as_bytes()), Level::Error, "{line}");
        }
    }

    #[test]
    fn a_count_of_errors_is_none() {
        for none in [
            "[lint] Nothing to say: no error, no warning, no note.",
            "0 error(s), 0 warning(s)",
            "Test result: 0 failed",
            "    0.512  Looked at the cartridge: 1 error, 1 note",
            "12 error",
        ] {
            assert_ne!(level_of(none.as_bytes()), Level::Error, "{none}");
        }
        for one in [
            "error: no space",
            "line 7 error: no such file",
            "3 failed",
            "[    1.0] error",
            "no: error",
            "casino error",
        ] {
            assert_eq!(level_of(one.as_bytes()), Level::Error, "{one}");
        }
    }

    #[test]
    fn old_lines_are_dropped_and_counted() {
        let mut ring = LogRing::new(10_000, 100_000_000);
        for n in 0..50_000_u64 {
            ring.append(format!("line {n}\n").as_bytes());
        }
        assert_eq!(ring.end(), 50_000);
        assert!((40_000..=44_096).contains(&ring.begin()));
        assert_eq!(ring.line(49_999), Some(&b"line 49999"[..]));
        assert_eq!(ring.line(ring.begin()).unwrap(), format!("line {}", ring.begin()).as_bytes());
        assert_eq!(ring.line(ring.begin() - 1), None);
    }

    #[test]
    fn a_flood_without_a_newline_stays_bounded() {
        let mut ring = LogRing::new(1000, 1 << 20);
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..64 {
            ring.append(&chunk);
        }
        assert!(ring.bytes <= (1 << 20) + CHUNK + LINE_LIMIT);
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_lines_are_the_same(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..300),
            cuts in proptest::collection::vec(1_usize..20, 0..40)
        ) {
            let mut whole = LogRing::new(1000, 1 << 20);
            whole.append(&text);
            let mut parts = LogRing::new(1000, 1 << 20);
            let mut rest = &text[..];
            for cut in cuts {
                let cut = cut.min(rest.len());
                parts.append(&rest[..cut]);
                rest = &rest[cut..];
            }
            parts.append(rest);
            prop_assert_eq!(whole.end(), parts.end());
            for n in 0..whole.end() {
                prop_assert_eq!(whole.line(n), parts.line(n));
                prop_assert_eq!(whole.level(n), parts.level(n));
            }
        }
    }
}
