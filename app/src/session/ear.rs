//! Listens to a guest's serial line for what a test expects. Pure and incremental: any bytes, in any chunks, in bounded memory.
//!
//! A terminal echoes what is sent to it, and what is expected is often in that too: an echo is no answer. A line is echoed by
//! the terminal as soon as it comes, and once more by a shell that was busy then, behind its prompt; a long one is wrapped.

use vmtools::EscapeFilter;

use super::prompt;

/// How much is kept that nobody has waited for yet, bytes: the newest.
const KEPT: usize = 64 << 10;
/// How many sent lines are remembered: the newest.
const LINES: usize = 32;

/// An echo has no more blanks than letters but for these: how far back one can begin is bounded, whatever a guest writes.
const BLANKS: usize = 256;

/// What was heard and not yet asked for.
#[derive(Debug, Default)]
pub(super) struct Ear {
    heard: Vec<u8>,
    escapes: EscapeFilter,
    sent: Vec<Sent>,
}

/// A line that was sent.
#[derive(Debug)]
struct Sent {
    /// Its bytes but for blanks, which a wrapped echo has more of.
    letters: Vec<u8>,
    /// Its echo was heard: what is like it at the beginning of a line from here on is an answer.
    echoed: bool,
}

impl Sent {
    /// The longest echo of it, bytes.
    fn longest(&self) -> usize {
        2 * self.letters.len() + BLANKS
    }
}

/// How far bytes are an echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Echo {
    No,
    /// As far as they go.
    Begun,
    /// Up to there.
    Whole(usize),
}

impl Ear {
    /// Takes the next bytes of the line.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let before = self.heard.len();
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
        let old = self.heard.len().saturating_sub(KEPT);
        self.heard.drain(..old);
        let before = before.saturating_sub(old);
        let Self { heard, sent, .. } = self;
        for line in sent {
            // One that lies before what is new was found when that came.
            let mut at = before.saturating_sub(line.longest());
            while at < heard.len() {
                let counts = !line.echoed || (at > 0 && heard[at - 1] != b'\n');
                match echo(&heard[at..], &line.letters) {
                    Echo::Whole(end) if counts => {
                        heard.drain(at..at + end);
                        line.echoed = true;
                    }
                    _ => at += 1,
                }
            }
        }
    }

    /// A line was sent: its echo, if one comes, is not what the guest says.
    pub(super) fn sent(&mut self, line: &str) {
        let letters: Vec<u8> = line.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        if letters.is_empty() {
            return;
        }
        if self.sent.len() == LINES {
            self.sent.remove(0);
        }
        self.sent.push(Sent { letters, echoed: false });
    }

    /// Whether this was heard; what was heard up to its end is then forgotten.
    pub(super) fn takes(&mut self, expected: &str) -> bool {
        // What may yet become an echo is not believed.
        let begun = |at: &usize| {
            self.sent.iter().any(|line| {
                let counts = !line.echoed || (*at > 0 && self.heard[at - 1] != b'\n');
                counts && echo(&self.heard[*at..], &line.letters) == Echo::Begun
            })
        };
        let longest = self.sent.iter().map(Sent::longest).max().unwrap_or(0);
        let end = (self.heard.len().saturating_sub(longest)..self.heard.len()).find(begun).unwrap_or(self.heard.len());
        let Some(at) = position(&self.heard[..end], expected.as_bytes()) else { return false };
        self.heard.drain(..at + expected.len());
        true
    }

    /// Whether the guest waits for somebody to type: its open line ends as prompts of shells and of getty(8) do.
    pub(super) fn asks(&self) -> bool {
        prompt::asks(&self.heard)
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

/// How far `bytes` begin with `letters`, whatever blanks are between them.
fn echo(bytes: &[u8], letters: &[u8]) -> Echo {
    if bytes.first() != letters.first() {
        return Echo::No;
    }
    let mut wanted = letters.iter();
    let mut next = wanted.next();
    let longest = 2 * letters.len() + BLANKS;
    for (at, byte) in bytes.iter().take(longest).enumerate() {
        match next {
            None => return Echo::Whole(at),
            Some(letter) if letter == byte => next = wanted.next(),
            Some(_) if byte.is_ascii_whitespace() => {}
            Some(_) => return Echo::No,
        }
    }
    match next {
        None => Echo::Whole(bytes.len().min(longest)),
        Some(_) if bytes.len() >= longest => Echo::No,
        Some(_) => Echo::Begun,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ear(sent: &[&str], bytes: &[u8]) -> Ear {
        let mut ear = Ear::default();
        sent.iter().for_each(|line| ear.sent(line));
        ear.push(bytes);
        ear
    }

    #[test]
    fn an_echo_is_no_answer() {
        let mut ear = ear(&["make && echo done"], b"~ # make && echo do");
        assert!(!ear.takes("do"));
        ear.push(b"ne\r\ncc -o x\r\n");
        assert!(!ear.takes("done") && ear.last_line() == "cc -o x");
        ear.push(b"\x1b[32mdone\x1b[0m\r\n~ # ");
        assert!(ear.takes("done") && !ear.takes("done") && ear.takes("~ #"));
    }

    #[test]
    fn lines_that_follow_each_other_are_echoed_each_and_again_behind_a_prompt() {
        let mut ear =
            ear(&["sleep 5", "make && echo done"], b"sleep 5\r\nmake && echo done\r\n~ # make && echo done\r\n");
        assert!(!ear.takes("done"));
        ear.push(b"done\r\n");
        assert!(ear.takes("done"));
    }

    #[test]
    fn a_long_line_is_wrapped_and_what_is_never_echoed_takes_nothing_away() {
        let long = "echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa && echo finished";
        let mut wrapped = ear(&[long], b"~ # echo aaaaaaaaaaaaaaaaaaaaa \r\naaaaaaaaaaaaa && echo fin\r\nished\r\n");
        assert!(!wrapped.takes("finished"));
        let mut login = ear(&["root"], b"login: root\r\nPassword: ");
        login.sent("secret");
        login.push(b"\r\nroot@demo:~# ");
        assert!(login.takes("Password:") && login.takes("root@demo"));
        login.sent("whoami");
        login.push(b"whoami\r\nroot\r\n");
        assert!(login.takes("root"));
    }

    #[test]
    fn what_was_said_before_anybody_asked_counts_once() {
        let mut ear = ear(&[], b"one\ntwo\nthree\n");
        assert!(ear.takes("two") && !ear.takes("one") && ear.takes("three"));
        // Without an echo the answer counts all the same.
        let mut mute = super::tests::ear(&["login"], b"welcome\n");
        assert!(mute.takes("welcome"));
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_nothing_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..3000), chunk in 1_usize..200, line in ".{0,20}",
        ) {
            let mut parts = Ear::default();
            parts.sent(&line);
            for chunk in bytes.chunks(chunk) {
                parts.push(chunk);
                let _ = parts.takes("xy");
            }
            for _ in 0..20 {
                parts.push(&[b'x'; 4096]);
            }
            prop_assert!(parts.heard.len() <= KEPT);
            let _ = parts.last_line();
        }
    }
}
