//! Listens to a guest's serial line for what a test expects. Pure and incremental: any bytes, in any chunks, in bounded memory.
//!
//! A terminal echoes what is sent to it, and what is expected is often in that too: an echo is no answer.

use vmtools::EscapeFilter;

/// How much is kept that nobody has waited for yet, bytes: the newest.
const KEPT: usize = 64 << 10;

/// What was heard and not yet asked for.
#[derive(Debug, Default)]
pub(super) struct Ear {
    heard: Vec<u8>,
    escapes: EscapeFilter,
    /// The line that was sent last, until its echo has been heard.
    sent: Option<Vec<u8>>,
}

impl Ear {
    /// Takes the next bytes of the line.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\n' => {
                    self.escapes.line_ended();
                    self.heard.push(byte);
                }
                b'\r' => {}
                _ if self.escapes.is_text(byte) => self.heard.push(byte),
                _ => {}
            }
        }
        if self.heard.len() > KEPT {
            let old = self.heard.len() - KEPT;
            self.heard.drain(..old);
        }
        let Some(sent) = &self.sent else { return };
        if let Some(at) = position(&self.heard, sent) {
            self.heard.drain(at..at + sent.len());
            self.sent = None;
        }
    }

    /// A line was sent: its echo, if one comes, is not what the guest says.
    pub(super) fn sent(&mut self, line: &str) {
        self.sent = Some(line.as_bytes().to_vec()).filter(|sent| !sent.is_empty());
    }

    /// Whether this was heard; what was heard up to its end is then forgotten.
    pub(super) fn takes(&mut self, expected: &str) -> bool {
        let echo = self.sent.as_deref().map_or(0, |sent| begun(&self.heard, sent));
        let said = &self.heard[..self.heard.len() - echo];
        let Some(at) = position(said, expected.as_bytes()) else { return false };
        self.heard.drain(..at + expected.len());
        true
    }

    /// The last line that was heard, for people.
    pub(super) fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.heard);
        text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().chars().take(200).collect()
    }
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len().max(1)).position(|window| window == wanted)
}

/// How many bytes at the end of `bytes` are the beginning of `line`.
fn begun(bytes: &[u8], line: &[u8]) -> usize {
    (1..=line.len().min(bytes.len())).rev().find(|count| bytes.ends_with(&line[..*count])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ear(sent: &str, bytes: &[u8]) -> Ear {
        let mut ear = Ear::default();
        ear.sent(sent);
        ear.push(bytes);
        ear
    }

    #[test]
    fn an_echo_is_no_answer() {
        let mut ear = ear("make && echo done", b"~ # make && echo do");
        assert!(!ear.takes("do"));
        ear.push(b"ne\r\ncc -o x\r\n");
        assert!(!ear.takes("done") && ear.last_line() == "cc -o x");
        ear.push(b"\x1b[32mdone\x1b[0m\r\n~ # ");
        assert!(ear.takes("done") && !ear.takes("done") && ear.takes("~ #"));
    }

    #[test]
    fn what_was_said_before_anybody_asked_counts_once() {
        let mut ear = ear("", b"one\ntwo\nthree\n");
        assert!(ear.takes("two") && !ear.takes("one") && ear.takes("three"));
        // Without an echo the answer counts all the same.
        let mut mute = super::tests::ear("login", b"welcome\n");
        assert!(mute.takes("welcome"));
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_chunks_do_not_matter(
            bytes in proptest::collection::vec(any::<u8>(), 0..3000), chunk in 1_usize..200,
        ) {
            let mut whole = Ear::default();
            whole.push(&bytes);
            let mut parts = Ear::default();
            bytes.chunks(chunk).for_each(|chunk| parts.push(chunk));
            prop_assert_eq!(&whole.heard, &parts.heard);
            for _ in 0..40 {
                parts.push(&[b'x'; 4096]);
            }
            prop_assert!(parts.heard.len() <= KEPT);
            let _ = parts.last_line();
        }
    }
}
