//! The clipboard between a guest and this host: the text that the guest has copied, and the text that the user hands to it.
//!
//! Nothing of the host's clipboard is here unless somebody has handed it over, for one guest, once.

use std::sync::Arc;

use crate::display::Screen;
use crate::display::screen::lock;

/// The longest text that passes in either direction, bytes of UTF-8.
pub const CLIPBOARD_LIMIT: usize = 1 << 20;

/// What a guest has put into its clipboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// A text, its lines ended by `\n`, without control characters but those and tabs.
    Text(Arc<str>),
    /// A text of more than [`CLIPBOARD_LIMIT`] bytes, of which nothing is kept.
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
}

/// Why a text is not handed to the guest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOffered {
    /// Nothing is in it.
    #[error("the clipboard holds no text: copy some text first")]
    Empty,
    /// It is longer than what passes.
    #[error(
        "the clipboard holds a text of {bytes} bytes, and at most {CLIPBOARD_LIMIT} go to a guest: hand it over in parts, or as a file"
    )]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// No guest's display is connected.
    #[error("no guest's screen is connected: start a guest, and try again")]
    NoGuest,
}

/// How much of a text the guest can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offered {
    /// All of it.
    Whole,
    /// The display knows Latin-1 alone: these characters go as question marks, each named once.
    Without(Vec<char>),
}

/// Whether clipboards meet, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nobody is connected.
    #[default]
    Nobody,
    /// Latin-1 (RFC 6143, 7.5.6).
    Latin,
    /// Any text, by the extended clipboard.
    Unicode,
}

/// The clipboards' state, shared by the source and whoever shows the guest.
#[derive(Debug, Default)]
pub(super) struct Clipboard {
    pub(super) reach: Reach,
    copied: Option<Copied>,
    /// Grows with each text that the guest copies.
    count: u64,
    offer: Option<Arc<str>>,
}

impl Clipboard {
    /// The guest has copied something.
    pub(super) fn set_copied(&mut self, copied: Copied) {
        self.copied = Some(copied);
        self.count += 1;
    }

    pub(super) fn copied(&self) -> Option<(u64, Copied)> {
        self.copied.clone().map(|copied| (self.count, copied))
    }

    /// Keeps `text` for the source to take.
    pub(super) fn offer(&mut self, text: &str) -> Result<Offered, NotOffered> {
        let text = for_guest(text);
        if text.is_empty() {
            return Err(NotOffered::Empty);
        }
        if text.len() > CLIPBOARD_LIMIT {
            return Err(NotOffered::TooLong { bytes: text.len() });
        }
        let offered = match self.reach {
            Reach::Nobody => return Err(NotOffered::NoGuest),
            Reach::Unicode => Offered::Whole,
            Reach::Latin => match beyond_latin(&text) {
                missing if missing.is_empty() => Offered::Whole,
                missing => Offered::Without(missing),
            },
        };
        self.offer = Some(text.into());
        Ok(offered)
    }

    pub(super) fn take_offer(&mut self) -> Option<Arc<str>> {
        self.offer.take()
    }

    /// The guest is gone: what it copied goes with it, and what was meant for it goes to nobody.
    pub(super) fn forget(&mut self) {
        (self.reach, self.copied, self.offer) = (Reach::Nobody, None, None);
    }
}

impl Screen {
    /// What the guest has copied last, with a number that grows with each copy; `None` before the first.
    #[must_use]
    pub fn copied(&self) -> Option<(u64, Copied)> {
        lock(&self.clipboard).copied()
    }

    /// Hands `text` to the guest that is shown, as the content of its clipboard: it may be pasted there until the guest copies
    /// something itself. Whether the guest has a clipboard is not known.
    ///
    /// # Errors
    /// [`NotOffered`], and the guest learns nothing of the text.
    pub fn offer(&self, text: &str) -> Result<Offered, NotOffered> {
        let offered = lock(&self.clipboard).offer(text)?;
        self.wishes.notify_one();
        Ok(offered)
    }

    /// The text for the guest, once.
    pub(super) fn take_offer(&self) -> Option<Arc<str>> {
        lock(&self.clipboard).take_offer()
    }

    /// The guest has copied something.
    pub(super) fn set_copied(&self, copied: Copied) {
        lock(&self.clipboard).set_copied(copied);
        self.changed();
    }

    /// A display is connected that takes such texts.
    pub(super) fn set_reach(&self, reach: Reach) {
        lock(&self.clipboard).reach = reach;
    }
}

/// A text as guests take it: lines ended by `\n`, no NUL, which would end it.
fn for_guest(text: &str) -> String {
    text.replace("\r\n", "\n").chars().filter(|&c| c != '\0').collect()
}

/// The characters that Latin-1 does not have, each once.
fn beyond_latin(text: &str) -> Vec<char> {
    let mut missing = Vec::new();
    for c in text.chars().filter(|&c| u32::from(c) > 0xff) {
        if !missing.contains(&c) && missing.len() < MOST_NAMED {
            missing.push(c);
        }
    }
    missing
}

/// So many characters are named at most.
const MOST_NAMED: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(reach: Reach) -> Clipboard {
        Clipboard { reach, ..Clipboard::default() }
    }

    #[test]
    fn a_text_is_offered_once_and_only_to_a_guest_that_is_there() {
        let mut clipboard = Clipboard::default();
        assert_eq!(clipboard.offer("secret"), Err(NotOffered::NoGuest));
        assert_eq!(clipboard.take_offer(), None);
        let mut clipboard = reached(Reach::Unicode);
        assert_eq!(clipboard.offer("one\r\ntwo\0 €"), Ok(Offered::Whole));
        assert_eq!(clipboard.take_offer().as_deref(), Some("one\ntwo €"));
        assert_eq!(clipboard.take_offer(), None);
        // A guest that goes takes with it what was meant for it.
        assert_eq!(clipboard.offer("secret"), Ok(Offered::Whole));
        clipboard.set_copied(Copied::Text("its own".into()));
        clipboard.forget();
        assert_eq!((clipboard.take_offer(), clipboard.copied(), clipboard.reach), (None, None, Reach::Nobody));
    }

    #[test]
    fn what_cannot_pass_is_told() {
        let mut clipboard = reached(Reach::Latin);
        assert_eq!(clipboard.offer("naïve"), Ok(Offered::Whole));
        assert_eq!(clipboard.offer("5 € or 5 €, ☃"), Ok(Offered::Without(vec!['€', '☃'])));
        assert_eq!(clipboard.offer("\0\0"), Err(NotOffered::Empty));
        let most = "é".repeat(CLIPBOARD_LIMIT / 2);
        assert_eq!(clipboard.offer(&most), Ok(Offered::Whole));
        let error = clipboard.offer(&(most + "x")).unwrap_err();
        assert_eq!(error, NotOffered::TooLong { bytes: CLIPBOARD_LIMIT + 1 });
        assert!(error.to_string().contains("1048577 bytes"), "{error}");
    }

    #[test]
    fn each_copy_has_a_number_of_its_own() {
        let mut clipboard = Clipboard::default();
        clipboard.set_copied(Copied::Text("a".into()));
        let first = clipboard.copied().unwrap();
        clipboard.set_copied(Copied::Text("a".into()));
        let second = clipboard.copied().unwrap();
        assert!(first.0 < second.0 && first.1 == second.1);
    }
}
