//! Putting lines of a log on the clipboard: collected on a thread, because a log may hold 192 MB.

use super::ansi;
use super::log_search::Finder;
use super::log_view::{LogView, Place};
use crate::session::logs::LogPane;

/// Lines to put on the clipboard.
#[derive(Clone, Debug)]
pub struct CopyRequest {
    from: Place,
    to: Place,
    filter: String,
    /// What the lines begin with.
    stage: String,
}

impl CopyRequest {
    /// All of a log.
    #[must_use]
    pub fn all() -> Self {
        let (from, to) = (Place { line: 0, byte: 0 }, Place { line: u64::MAX, byte: 0 });
        Self { from, to, filter: String::new(), stage: String::new() }
    }

    /// The current selection of a view, if there is one.
    #[must_use]
    pub fn selection(view: &LogView) -> Option<Self> {
        let (filter, stage) = (view.filter_text.clone(), view.stage_mark());
        view.selected().map(|(from, to)| Self { from, to, filter, stage })
    }

    /// Collects the text, at most `limit` bytes. To be called from a thread: it reads the log in pieces, and waits.
    #[must_use]
    pub fn collect(&self, pane: &LogPane, limit: usize) -> String {
        const PIECE: u64 = 4096;
        let mut finder = Finder::default();
        finder.set(&[&self.filter], &self.stage);
        let mut out = String::new();
        let mut next = self.from.line;
        loop {
            let more = pane.read(|ring| {
                next = next.max(ring.begin());
                let end = ring.end().min(self.to.line.saturating_add(1));
                let stop = end.min(next.saturating_add(PIECE));
                while next < stop && out.len() < limit {
                    if let Some(line) = ring.line(next)
                        && finder.matches(line)
                    {
                        let text = ansi::parse(line).text;
                        let from = if next == self.from.line { self.from.byte } else { 0 };
                        let to = if next == self.to.line { self.to.byte } else { text.len() };
                        out.push_str(text.get(from..to).unwrap_or_default());
                        if next != self.to.line {
                            out.push('\n');
                        }
                    }
                    next += 1;
                }
                next < end && out.len() < limit
            });
            if !more {
                return out;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::logs::{LogHub, Pane};

    #[test]
    fn copying_gives_the_lines_without_colours_and_only_filtered_ones() {
        let hub = LogHub::in_memory();
        let pane = hub.pane(Pane::Build);
        pane.append(b"\x1b[31mred\x1b[0m one\ntwo\nred three\n");
        assert_eq!(CopyRequest::all().collect(pane, 1 << 20), "red one\ntwo\nred three\n");
        let (from, to) = (Place { line: 0, byte: 4 }, Place { line: 2, byte: 3 });
        let part = CopyRequest { from, to, filter: "RED".to_owned(), stage: String::new() };
        assert_eq!(part.collect(pane, 1 << 20), "one\nred");
        assert!(CopyRequest::all().collect(pane, 5).len() < 12);
    }
}
