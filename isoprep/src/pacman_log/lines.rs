//! Bytes of a tool's output → lines. Progress that is drawn over itself (carriage returns, cursor movements) is told
//! apart from lines that stay; colours and other control characters are dropped; a line is kept up to a bound.

/// Longest line that is kept, bytes; the rest of a longer one is dropped.
pub const LINE_LIMIT: usize = 8 * 1024;

/// A part of a tool's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A line that stays.
    Line(String),
    /// Something that was drawn and is drawn over: a progress bar's state.
    Redrawn(String),
}

/// Where the cutter is inside a terminal's control sequence (ECMA-48, 5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    /// After ESC.
    Begun,
    /// After ESC and `[`.
    Sequence,
}

/// Cuts one pipe's bytes into [`Piece`]s. Chunks may end anywhere.
#[derive(Clone, Debug, Default)]
pub struct LineCutter {
    buffer: Vec<u8>,
    /// A carriage return came; what follows says whether a line ended or is drawn over.
    returned: bool,
    escape: Escape,
}

impl LineCutter {
    /// A cutter at the beginning of a line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and gives the pieces that they complete to `give`.
    pub fn feed(&mut self, bytes: &[u8], mut give: impl FnMut(Piece)) {
        for &byte in bytes {
            match (self.escape, byte) {
                (Escape::Begun, b'[') => self.escape = Escape::Sequence,
                (Escape::Begun, _) => self.escape = Escape::None,
                (Escape::Sequence, 0x40..=0x7e) => {
                    self.escape = Escape::None;
                    // Cursor movements begin another row; colours and the like do not.
                    if matches!(byte, b'A'..=b'H') {
                        self.returned = true;
                    }
                }
                (Escape::Sequence, 0x20..=0x3f) => {}
                // A broken sequence ends where text can go on.
                (Escape::Sequence, _) => {
                    self.escape = Escape::None;
                    self.plain(byte, &mut give);
                }
                (Escape::None, 0x1b) => self.escape = Escape::Begun,
                (Escape::None, _) => self.plain(byte, &mut give),
            }
        }
    }

    /// Gives what is left of an unfinished line.
    pub fn finish(&mut self, mut give: impl FnMut(Piece)) {
        let text = self.take();
        self.returned = false;
        self.escape = Escape::None;
        if !text.is_empty() {
            give(Piece::Line(text));
        }
    }

    fn plain(&mut self, byte: u8, give: &mut impl FnMut(Piece)) {
        match byte {
            b'\n' => {
                self.returned = false;
                give(Piece::Line(self.take()));
            }
            b'\r' => self.returned = true,
            _ => {
                if std::mem::take(&mut self.returned) {
                    let text = self.take();
                    if !text.is_empty() {
                        give(Piece::Redrawn(text));
                    }
                }
                if self.buffer.len() < LINE_LIMIT && (byte >= 0x20 && byte != 0x7f || byte == b'\t') {
                    self.buffer.push(byte);
                }
            }
        }
    }

    fn take(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.buffer).trim_end().to_owned();
        self.buffer.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<Piece> {
        let (mut cutter, mut pieces) = (LineCutter::new(), Vec::new());
        for chunk in chunks {
            cutter.feed(chunk, |piece| pieces.push(piece));
        }
        cutter.finish(|piece| pieces.push(piece));
        pieces
    }

    fn line(text: &str) -> Piece {
        Piece::Line(text.to_owned())
    }

    fn redrawn(text: &str) -> Piece {
        Piece::Redrawn(text.to_owned())
    }

    #[test]
    fn a_bar_is_redrawn_and_its_last_state_is_the_line() {
        assert_eq!(
            cut(&[b"(1/4) a   0%\r(1/4) a 100%\r\r\nnext\r\n"]),
            [redrawn("(1/4) a   0%"), line("(1/4) a 100%"), line("next")]
        );
    }

    #[test]
    fn colours_vanish_and_cursor_movements_begin_another_row() {
        assert_eq!(
            cut(&[b"\x1b[?25l\x1b[1;31merror:\x1b[0m x\n a 5%\x1b[1F b 6%\n"]),
            [line("error: x"), redrawn(" a 5%"), line(" b 6%")]
        );
    }

    #[test]
    fn an_unfinished_line_comes_at_the_end_and_an_endless_one_is_cut() {
        assert_eq!(cut(&[b"half"]), [line("half")]);
        let long = vec![b'x'; 3 * LINE_LIMIT];
        assert_eq!(cut(&[&long, b"\nafter\n"]), [line(&"x".repeat(LINE_LIMIT)), line("after")]);
    }

    proptest! {
        #[test]
        fn where_a_chunk_ends_changes_nothing(bytes in prop::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(0x1b), Just(b'['), Just(b'F'), Just(b'm'), any::<u8>()], 0..200),
            at in 0_usize..200)
        {
            let at = at.min(bytes.len());
            prop_assert_eq!(cut(&[&bytes]), cut(&[&bytes[..at], &bytes[at..]]));
        }
    }
}
