//! Signs of life on a guest's serial line, for images that have nothing in them that reports: a login prompt, a shell's
//! prompt, a target that systemd has reached; and the shell of an initramfs that has given up.
//!
//! Pure and incremental: any bytes, in any chunks, in constant memory. A prompt is an open line, which may yet go on: it
//! counts when nothing follows it for a while, which is the caller's to see to.

use serde::{Deserialize, Serialize};
use vmtools::EscapeFilter;

use super::prompt;

/// The longest line that is looked at, bytes: what is longer is no sign.
const LINE_LIMIT: usize = 1024;

/// How a guest shows how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// getty(8) asks who is there: `archiso login:`.
    Login,
    /// A shell waits for a command: `[root@archiso ~]#`.
    Shell,
    /// systemd has reached its multi-user or graphical target.
    Target,
    /// The initramfs, or systemd, has given up and offers a shell to mend things.
    Emergency,
    /// A root's own init has taken over, or an initramfs that is not ours, and nothing more was said for a while.
    HandedOver,
}

/// Takes a serial line's bytes as they come and says what sign they are.
#[derive(Debug, Default)]
pub(super) struct SignScanner {
    line: Vec<u8>,
    escapes: EscapeFilter,
}

impl SignScanner {
    /// Takes the next bytes. Returns the first sign that a whole line of them is.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Option<Sign> {
        let mut found = None;
        for &byte in bytes {
            if byte == b'\n' || byte == b'\r' {
                self.escapes.line_ended();
                found = found.or_else(|| of_line(&self.line)).or_else(|| of_interrupted(&self.line));
                self.line.clear();
            } else if self.escapes.is_text(byte) && self.line.len() <= LINE_LIMIT {
                self.line.push(byte);
            }
        }
        found
    }

    /// The sign that the open line is, if nothing follows it.
    pub(super) fn standing(&self) -> Option<Sign> {
        of_prompt(&self.line)
    }
}

/// A whole line. Words of systemd (its unit files), of mkinitcpio's and dracut's init, of initramfs-tools.
fn of_line(line: &[u8]) -> Option<Sign> {
    let text = String::from_utf8_lossy(line.get(..line.len().min(LINE_LIMIT))?);
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&[
        "emergency shell",
        "emergency mode",
        "Reached target emergency.target",
        "Dropping to a shell",
        "Falling back to interactive prompt",
    ]) {
        Some(Sign::Emergency)
    } else if has(&["Reached target "])
        && has(&["multi-user.target", "Multi-User System", "graphical.target", "Graphical Interface"])
    {
        Some(Sign::Target)
    } else {
        None
    }
}

/// A prompt that the kernel wrote behind: it is not shown again.
fn of_interrupted(line: &[u8]) -> Option<Sign> {
    prompt::before_kernel(line.get(..line.len().min(LINE_LIMIT))?).and_then(of_prompt)
}

/// An open line. A prompt without a host in it is that of a shell that somebody was dropped into.
fn of_prompt(line: &[u8]) -> Option<Sign> {
    if line.len() > LINE_LIMIT {
        return None;
    }
    let text = String::from_utf8_lossy(line);
    let prompt = text.strip_suffix(' ')?;
    if ["[rootfs ", "(initramfs)", "dracut:/"].iter().any(|begins| prompt.starts_with(begins)) {
        return Some(Sign::Emergency);
    }
    if prompt == "login:" || prompt.ends_with(" login:") {
        return Some(Sign::Login);
    }
    let before = prompt.trim_end_matches(['#', '$', '%', '>']);
    let at = before.find('@')?;
    let user = before[..at].trim_start_matches(['[', '(']);
    let named = !user.is_empty() && !user.contains(char::is_whitespace);
    (prompt.len() == before.len() + 1 && named).then_some(Sign::Shell)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn standing(text: &str) -> Option<Sign> {
        let mut scanner = SignScanner::default();
        assert_eq!(scanner.push(text.as_bytes()), None, "{text:?}");
        scanner.standing()
    }

    #[test]
    fn prompts_are_signs() {
        for (text, sign) in [
            ("\r\nDebian GNU/Linux 12 debian ttyS0\r\n\r\ndebian login: ", Sign::Login),
            ("login: ", Sign::Login),
            ("\x1b[?2004h[root@archiso ~]# ", Sign::Shell),
            ("\x1b[1;31mroot\x1b[0m@archiso ~ # ", Sign::Shell),
            ("user@debian:~$ ", Sign::Shell),
            ("%   \r \rroot@archiso ~ % ", Sign::Shell),
            ("sh: can't access tty; job control turned off\r\n[rootfs ~]# ", Sign::Emergency),
            ("\r\n(initramfs) ", Sign::Emergency),
            ("dracut:/# ", Sign::Emergency),
        ] {
            assert_eq!(standing(text), Some(sign), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_prompt_is_none() {
        for text in [
            "",
            "boot: ",
            "grub> ",
            "sh-5.2# ",
            "Shell> ",
            "demo login:",
            "debian login: root",
            "root@archiso ~ # ls",
            "Password: ",
            "mail of joe @ home # ",
            "[    2.1] usb 1-1: new device # ",
            "Last login: Mon\r\n",
        ] {
            assert_eq!(standing(text), None, "{text:?}");
        }
        assert_eq!(standing(&format!("{}root@x # ", "y".repeat(2 * LINE_LIMIT))), None);
    }

    #[test]
    fn whole_lines_are_signs() {
        for (text, sign) in [
            (
                "[\x1b[0;32m  OK  \x1b[0m] Reached target \x1b[0;1;39mmulti-user.target\x1b[0m - Multi-User System.\r\n",
                Sign::Target,
            ),
            ("[  OK  ] Reached target Graphical Interface.\n", Sign::Target),
            ("You are now being dropped into an emergency shell.\n", Sign::Emergency),
            // What is written behind a prompt makes no other come.
            ("\x1b[?2004h[root@archiso ~]# [   12.345678] clocksource: tsc is unstable\r\n", Sign::Shell),
            ("demo login: [    9.876543] random: crng init done\n", Sign::Login),
            ("You are in emergency mode. After logging in, type \"journalctl -xb\"\n", Sign::Emergency),
        ] {
            assert_eq!(SignScanner::default().push(text.as_bytes()), Some(sign), "{text:?}");
        }
        for text in [
            "[  OK  ] Reached target Local File Systems.\n",
            "Stopped target Emergency Mode.\n",
            "root@x ~ # ls [ 1.0] a\n",
            "x\n",
        ] {
            assert_eq!(SignScanner::default().push(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_chunks_say_the_same(
            bytes in proptest::collection::vec(any::<u8>(), 0..3000), chunk in 1_usize..200,
        ) {
            let mut whole = SignScanner::default();
            let found = whole.push(&bytes);
            let mut parts = SignScanner::default();
            let mut pieces = None;
            for chunk in bytes.chunks(chunk) {
                pieces = pieces.or(parts.push(chunk));
                prop_assert!(parts.line.len() <= LINE_LIMIT + 1);
            }
            prop_assert_eq!(pieces, found);
            prop_assert_eq!(parts.standing(), whole.standing());
        }
    }
}
