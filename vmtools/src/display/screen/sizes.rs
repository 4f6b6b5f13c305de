//! Another size of the guest's screen: the wish for it, and what becomes of that.

use super::{Screen, lock};

/// What became of a wish for another size of the guest's screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeAnswer {
    /// The screen has that size now.
    Done,
    /// The guest was told, and may follow or not.
    PassedOn,
    /// It will not be, for this reason.
    Refused(&'static str),
}

impl Screen {
    /// Wishes for another size of the guest's screen, pixels. The last wish counts; a guest that cannot change its size, or
    /// a source that cannot ask, leaves it open: see [`Screen::size_answer`].
    pub fn wish_size(&self, width: u16, height: u16) {
        *lock(&self.wished_size) = Some((width, height));
        *lock(&self.size_answer) = None;
        self.wishes.notify_one();
    }

    /// What became of the last wish for a size; `None` while nothing is known.
    #[must_use]
    pub fn size_answer(&self) -> Option<SizeAnswer> {
        *lock(&self.size_answer)
    }

    /// The wish for a size, once.
    pub(crate) fn take_wished_size(&self) -> Option<(u16, u16)> {
        lock(&self.wished_size).take()
    }

    /// The server's answer to a wish, by its number in rfbproto's ExtendedDesktopSize.
    pub(crate) fn answer_size(&self, status: u16) {
        *lock(&self.size_answer) = Some(match status {
            0 => SizeAnswer::Done,
            1 => SizeAnswer::Refused("the display does not let its size be changed"),
            2 => SizeAnswer::Refused("the display has too little memory for that size"),
            3 => SizeAnswer::Refused("the display cannot have that size"),
            4 => SizeAnswer::PassedOn,
            _ => SizeAnswer::Refused("the display refused that size for a reason of its own"),
        });
        self.changed();
    }
}
