//! Which lines of a log hold a text: found a bounded piece a frame, so that a million lines never hold one up.

use crate::session::logs::LogRing;

/// Bytes looked at in one frame at most: a few milliseconds.
pub const BYTES_A_FRAME: usize = 4 * 1024 * 1024;
/// Lines looked at in one frame at most.
pub const LINES_A_FRAME: u64 = 40_000;
/// Line numbers kept at most: 8 bytes each.
const MATCHES: usize = crate::session::logs::RING_LINES;

/// The lines that hold all of some texts, in any case (ASCII), and begin with a mark.
#[derive(Debug, Default)]
pub struct Finder {
    needles: Vec<Vec<u8>>,
    mark: Vec<u8>,
    /// The next line to look at.
    next: u64,
    found: Vec<u64>,
    /// The line that was the newest when it was looked at.
    newest: Option<u64>,
    /// How many of `found` were dropped from the log since, at its front.
    gone: usize,
    /// How many were ever found and dropped since.
    dropped: u64,
}

impl Finder {
    /// Sets what is searched, and what the lines must begin with as it stands; the same again changes nothing. Empty
    /// texts are ignored.
    pub fn set(&mut self, texts: &[&str], mark: &str) {
        let needles: Vec<Vec<u8>> =
            texts.iter().filter(|t| !t.is_empty()).map(|t| t.to_ascii_lowercase().into_bytes()).collect();
        if needles != self.needles || mark.as_bytes() != self.mark {
            *self = Self { needles, mark: mark.as_bytes().to_vec(), ..Self::default() };
        }
    }

    /// Whether anything is searched.
    #[must_use]
    pub fn active(&self) -> bool {
        !self.needles.is_empty() || !self.mark.is_empty()
    }

    /// Looks at more lines. Returns whether there is more to look at.
    pub fn advance(&mut self, ring: &LogRing) -> bool {
        let begin = ring.begin();
        while self.found.get(self.gone).is_some_and(|line| *line < begin) {
            self.gone += 1;
            self.dropped += 1;
        }
        if self.gone > 4096 && self.gone * 2 > self.found.len() {
            self.found.drain(..self.gone);
            self.gone = 0;
        }
        if !self.active() {
            return false;
        }
        self.next = self.next.max(begin);
        // The newest line may still grow: it is looked at again until another one follows it.
        if self.next > begin && self.newest == Some(self.next - 1) {
            self.next -= 1;
            if self.found.len() > self.gone && self.found.last() == Some(&self.next) {
                self.found.pop();
            }
        }
        let stop = ring.end().min(self.next.saturating_add(LINES_A_FRAME));
        let mut bytes = 0;
        while self.next < stop && bytes < BYTES_A_FRAME {
            let Some(line) = ring.line(self.next) else { break };
            bytes += line.len();
            if self.found.len() - self.gone < MATCHES && self.matches(line) {
                self.found.push(self.next);
            }
            self.next += 1;
        }
        self.newest = (self.next > 0 && self.next == ring.end()).then(|| self.next - 1);
        self.next < ring.end()
    }

    /// The lines found so far that are still in the log, oldest first.
    #[must_use]
    pub fn found(&self) -> &[u64] {
        &self.found[self.gone..]
    }

    /// How many lines were found and then dropped from the log: the number of the first in [`Self::found`], counted
    /// since the search began.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether a line holds all the texts.
    #[must_use]
    pub fn matches(&self, line: &[u8]) -> bool {
        line.starts_with(&self.mark) && self.needles.iter().all(|needle| position(line, needle).is_some())
    }
}

/// Where `needle` (lower case) is first found in `hay`, in any case (ASCII).
#[must_use]
pub fn position(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, rest) = needle.split_first()?;
    let last = hay.len().checked_sub(needle.len())?;
    let fits = |at: usize| hay[at + 1..at + needle.len()].eq_ignore_ascii_case(rest);
    memchr::memchr2_iter(*first, first.to_ascii_uppercase(), &hay[..=last]).find(|at| fits(*at))
}

/// All places of `needle` in `hay` that do not overlap, in any case (ASCII).
#[must_use]
pub fn positions(hay: &str, needle: &str) -> Vec<(usize, usize)> {
    let needle = needle.to_ascii_lowercase().into_bytes();
    let mut out = Vec::new();
    let mut start = 0;
    while let Some(at) = hay.as_bytes().get(start..).and_then(|rest| position(rest, &needle)) {
        out.push((start + at, start + at + needle.len()));
        start += at + needle.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(finder: &mut Finder, ring: &LogRing) -> usize {
        let mut frames = 1;
        while finder.advance(ring) {
            frames += 1;
            assert!(frames < 10_000, "it never ends");
        }
        frames
    }

    #[test]
    fn a_million_lines_take_many_bounded_frames() {
        let mut ring = LogRing::new(1_000_000, 192 << 20);
        let mut text = Vec::new();
        for n in 0..1_000_000_u64 {
            text.extend_from_slice(format!("line {n} of the log\n").as_bytes());
        }
        ring.append(&text);
        let mut finder = Finder::default();
        finder.set(&["LINE 99999"], "");
        let before = finder.next;
        assert!(finder.advance(&ring));
        assert!(finder.next - before <= LINES_A_FRAME);
        assert!(all(&mut finder, &ring) >= 24);
        ring.append(b"the end\n");
        all(&mut finder, &ring);
        assert_eq!(finder.found().len(), 11);
    }

    #[test]
    fn dropped_lines_are_forgotten() {
        let mut ring = LogRing::new(8192, 1 << 30);
        let mut finder = Finder::default();
        finder.set(&["x"], "");
        for _ in 0..100_000 {
            ring.append(b"x\n");
            if ring.end().is_multiple_of(1000) {
                all(&mut finder, &ring);
            }
        }
        all(&mut finder, &ring);
        assert_eq!(finder.found().first(), Some(&ring.begin()));
        assert!(finder.found.len() < 40_000);
    }

    #[test]
    fn the_growing_line_is_looked_at_again() {
        let mut ring = LogRing::new(100, 1 << 20);
        let mut finder = Finder::default();
        finder.set(&["hello"], "");
        ring.append(b"hel");
        all(&mut finder, &ring);
        assert!(finder.found().is_empty());
        for more in [&b"lo"[..], b" you", b"\nnext\n"] {
            ring.append(more);
            all(&mut finder, &ring);
            all(&mut finder, &ring);
            assert_eq!(finder.found(), [0]);
        }
    }

    #[test]
    fn filter_and_search_together() {
        let mut ring = LogRing::new(100, 1 << 20);
        ring.append(b"warn a\nwarn b\ninfo a\nend\n");
        let mut finder = Finder::default();
        finder.set(&["warn", "A", ""], "");
        // "warn" holds an a too.
        all(&mut finder, &ring);
        assert_eq!(finder.found(), [0, 1]);
        finder.set(&["warn", " b"], "");
        all(&mut finder, &ring);
        assert_eq!(finder.found(), [1]);
    }

    #[test]
    fn a_mark_is_at_the_beginning_and_changing_it_searches_anew() {
        let mut ring = LogRing::new(100, 1 << 20);
        ring.append(b"[iso] begins\n[packages] curl\n[iso] after [packages]\n");
        let mut finder = Finder::default();
        finder.set(&[], "[iso]");
        all(&mut finder, &ring);
        assert_eq!(finder.found(), [0, 2]);
        finder.set(&["CURL"], "[packages]");
        all(&mut finder, &ring);
        assert_eq!(finder.found(), [1]);
    }

    proptest! {
        #[test]
        fn it_finds_what_the_standard_library_finds(hay in "[abAB ]{0,40}", needle in "[ab]{1,4}") {
            let expected = hay.to_ascii_lowercase().find(&needle);
            prop_assert_eq!(position(hay.as_bytes(), needle.as_bytes()), expected);
            for (from, to) in positions(&hay, &needle) {
                prop_assert!(hay[from..to].eq_ignore_ascii_case(&needle));
            }
        }
    }
}
