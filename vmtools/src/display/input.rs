//! What the user does, and which keys are down because of it.

use super::HostLocks;
use super::keymap::{SHIFT, SHIFT_R, shifted};

/// Something the user did with keyboard or pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputEvent {
    /// A physical key moved.
    Key {
        /// Its scan code: XT set 1, extended keys as 0xe0xx; 0 where `keysym` is all there is.
        scancode: u16,
        /// What it yields on the user's own keyboard, with Shift, AltGr and the layout (X11's keysymdef.h), where that is known.
        /// It is for servers that do not know keys by their scan codes.
        keysym: Option<u32>,
        /// Pressed, not released.
        down: bool,
    },
    /// The pointer moved or a button changed.
    Pointer {
        /// Pixels of the guest's screen from the left.
        x: u16,
        /// Pixels of the guest's screen from the top.
        y: u16,
        /// Bit 0 left, 1 middle, 2 right, 3 to 6 the wheel up, down, left, right (RFC 6143, 7.5.5), 7 back, 8 forward.
        buttons: u16,
    },
    /// The pointer moved by so much or a button changed: for a guest that takes movements, see [`Screen::relative`].
    ///
    /// [`Screen::relative`]: crate::display::Screen::relative
    Motion {
        /// To the right.
        dx: i16,
        /// Downwards.
        dy: i16,
        /// As in [`InputEvent::Pointer`].
        buttons: u16,
    },
    /// The guest gets the keyboard while the user's own lock keys are like this: the guest's are brought in step, once.
    Locks(HostLocks),
    /// The window has lost the focus: every key and button that is down goes up.
    ReleaseAll,
}

impl InputEvent {
    /// A physical key moves, whatever it yields.
    #[must_use]
    pub fn key(scancode: u16, down: bool) -> Self {
        Self::Key { scancode, keysym: None, down }
    }

    /// What `self` and `next` come to where nobody needs to see both: the last of several places, the sum of movements.
    pub(crate) fn overtaken_by(self, next: Self) -> Option<Self> {
        match (self, next) {
            (Self::Pointer { buttons, .. }, Self::Pointer { buttons: same, .. }) if buttons == same => Some(next),
            (Self::Motion { dx, dy, buttons }, Self::Motion { dx: x, dy: y, buttons: same }) if buttons == same => {
                Some(Self::Motion { dx: dx.checked_add(x)?, dy: dy.checked_add(y)?, buttons })
            }
            _ => None,
        }
    }

    /// The mouse buttons that are down in it.
    pub(crate) fn buttons(self) -> Option<u16> {
        match self {
            Self::Pointer { buttons, .. } | Self::Motion { buttons, .. } => Some(buttons),
            Self::ReleaseAll => Some(0),
            Self::Key { .. } | Self::Locks(_) => None,
        }
    }
}

/// Remembers what is down, so that it can be released.
#[derive(Debug, Default)]
pub struct Keyboard {
    /// Scan codes, and the keysym that each was pressed with: it is released with the same, whatever Shift does meanwhile.
    down: Vec<(u16, Option<u32>)>,
    buttons: u16,
    /// Where the pointer was last, as far as that was told.
    place: Option<(u16, u16)>,
    /// It only moves.
    moves: bool,
}

/// The most keys that are remembered as down; nobody has more fingers than that.
const MAX_DOWN: usize = 32;

impl Keyboard {
    /// Follows `event` and passes on what has to be sent: the event itself, or the releases that it stands for.
    pub fn follow(&mut self, event: InputEvent, mut send: impl FnMut(InputEvent)) {
        match event {
            InputEvent::Key { scancode, keysym, down } => {
                let same = |(code, sym): &(u16, Option<u32>)| *code == scancode && (scancode != 0 || *sym == keysym);
                let known = self.down.iter().position(same);
                let mut keysym = keysym.or_else(|| self.legend(scancode));
                match (down, known) {
                    (true, None) if self.down.len() < MAX_DOWN => self.down.push((scancode, keysym)),
                    // A key that cannot be remembered could not be released either.
                    (true, None) => return,
                    (true, Some(at)) => keysym = self.down[at].1,
                    (false, Some(at)) => keysym = self.down.remove(at).1,
                    (false, None) => {}
                }
                send(InputEvent::Key { scancode, keysym, down });
            }
            InputEvent::Pointer { x, y, buttons } => {
                (self.place, self.moves, self.buttons) = (Some((x, y)), false, buttons);
                send(event);
            }
            InputEvent::Motion { buttons, .. } => {
                (self.moves, self.buttons) = (true, buttons);
                send(event);
            }
            InputEvent::Locks(_) => send(event),
            InputEvent::ReleaseAll => {
                // The last pressed goes first, so that a modifier outlives the key it modifies.
                while let Some((scancode, keysym)) = self.down.pop() {
                    send(InputEvent::Key { scancode, keysym, down: false });
                }
                if self.buttons != 0 {
                    self.buttons = 0;
                    send(self.now());
                }
            }
        }
    }

    /// What a key of a US keyboard yields while Shift is down, where that is another thing than without.
    fn legend(&self, scancode: u16) -> Option<u32> {
        let shift = self.is_down(SHIFT) || self.is_down(SHIFT_R);
        if shift { shifted(scancode) } else { None }
    }

    /// The mouse buttons that are down, as in [`InputEvent::Pointer`].
    #[must_use]
    pub fn buttons(&self) -> u16 {
        self.buttons
    }

    /// The pointer as it is, not moved.
    fn now(&self) -> InputEvent {
        match self.place {
            Some((x, y)) if !self.moves => InputEvent::Pointer { x, y, buttons: self.buttons },
            _ => InputEvent::Motion { dx: 0, dy: 0, buttons: self.buttons },
        }
    }

    /// Where the pointer was last, if it ever was anywhere.
    pub(super) fn place(&self) -> Option<(u16, u16)> {
        self.place
    }

    /// The last event may not have arrived: `buttons`, which were down before it, may be so still.
    pub fn doubt(&mut self, buttons: u16) {
        self.buttons |= buttons;
    }

    /// The connection to the guest is a new one. QEMU has lifted the keys by the end of the old one, and others, as x11vnc, have
    /// not: passes on that they go up. A button that was down still is, and only a press that is seen to end lifts it: passes on
    /// both.
    pub fn reconnect(&mut self, mut send: impl FnMut(InputEvent)) {
        while let Some((scancode, keysym)) = self.down.pop() {
            send(InputEvent::Key { scancode, keysym, down: false });
        }
        if self.buttons != 0 {
            send(self.now());
            self.buttons = 0;
            send(self.now());
        }
    }

    /// Whether a key is down.
    #[must_use]
    pub fn is_down(&self, scancode: u16) -> bool {
        self.down.iter().any(|(code, _)| *code == scancode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_connection_lifts_the_keys_and_buttons_of_the_old_one() {
        let mut keyboard = Keyboard::default();
        let at = |x, buttons| InputEvent::Pointer { x, y: 4, buttons };
        keyboard.reconnect(|e| panic!("{e:?}"));
        keyboard.follow(InputEvent::key(0x1d, true), |_| {});
        keyboard.follow(at(3, 1), |_| {});
        let mut sent = Vec::new();
        keyboard.reconnect(|e| sent.push(e));
        assert_eq!(sent, [InputEvent::key(0x1d, false), at(3, 1), at(3, 0)]);
        assert!(!keyboard.is_down(0x1d) && keyboard.buttons() == 0);
        keyboard.reconnect(|e| panic!("{e:?}"));
        // A release that was sent into a dying connection.
        keyboard.follow(at(3, 1), |_| {});
        let before = keyboard.buttons();
        keyboard.follow(at(9, 0), |_| {});
        keyboard.doubt(before);
        keyboard.reconnect(|e| sent.push(e));
        assert_eq!(sent[3..], [at(9, 1), at(9, 0)]);
    }

    #[test]
    fn a_pointer_that_only_moves_is_released_without_a_place_and_movements_add_up() {
        let mut keyboard = Keyboard::default();
        let moved = |dx, dy, buttons| InputEvent::Motion { dx, dy, buttons };
        keyboard.follow(moved(3, -4, 1 << 7), |_| {});
        let mut sent = Vec::new();
        keyboard.follow(InputEvent::ReleaseAll, |e| sent.push(e));
        assert_eq!(sent, [moved(0, 0, 0)]);
        assert_eq!(moved(3, -4, 1).overtaken_by(moved(5, 6, 1)), Some(moved(8, 2, 1)));
        assert_eq!(moved(3, -4, 1).overtaken_by(moved(5, 6, 0)), None);
        assert_eq!(moved(i16::MAX, 0, 0).overtaken_by(moved(1, 0, 0)), None, "what does not fit is sent as two");
        let at = |x, buttons| InputEvent::Pointer { x, y: 4, buttons };
        assert_eq!(at(1, 0).overtaken_by(at(2, 0)), Some(at(2, 0)));
        assert_eq!(at(1, 0).overtaken_by(moved(2, 0, 0)), None);
    }

    #[test]
    fn a_key_is_released_as_what_it_was_pressed_as() {
        let mut keyboard = Keyboard::default();
        let mut sent = Vec::new();
        let typed = |keysym: char, down| InputEvent::Key { scancode: 0x1e, keysym: Some(keysym.into()), down };
        let shift = |down| InputEvent::key(SHIFT, down);
        // Shift goes up first, as quick fingers do; and a repetition is of the key that is down.
        for event in [shift(true), typed('A', true), shift(false), typed('a', true), typed('a', false)] {
            keyboard.follow(event, |e| sent.push(e));
        }
        assert_eq!(sent, [shift(true), typed('A', true), shift(false), typed('A', true), typed('A', false)]);
        // What nobody has said is that of a US keyboard, with Shift.
        sent.clear();
        for event in [shift(true), InputEvent::key(0x1e, true), InputEvent::key(0x1c, true), shift(false)] {
            keyboard.follow(event, |e| sent.push(e));
        }
        keyboard.follow(InputEvent::key(0x1e, false), |e| sent.push(e));
        assert_eq!((sent[1], sent[4]), (typed('A', true), typed('A', false)));
        assert_eq!(sent[2], InputEvent::key(0x1c, true), "Shift makes no other key of Enter");
        // Keysyms without keys are told apart.
        let alone = |keysym: u32, down| InputEvent::Key { scancode: 0, keysym: Some(keysym), down };
        sent.clear();
        for event in [alone(0xdf, true), alone(0xe9, true), alone(0xdf, false), InputEvent::ReleaseAll] {
            keyboard.follow(event, |e| sent.push(e));
        }
        assert_eq!(sent[2..4], [alone(0xdf, false), alone(0xe9, false)]);
    }

    #[test]
    fn release_all_lifts_what_is_down() {
        let mut keyboard = Keyboard::default();
        let mut sent = Vec::new();
        let key = InputEvent::key;
        for event in [
            key(0x1d, true),
            key(0x2e, true),
            key(0x2e, true),
            key(0x1e, true),
            key(0x1e, false),
            InputEvent::Pointer { x: 3, y: 4, buttons: 1 },
        ] {
            keyboard.follow(event, |e| sent.push(e));
        }
        assert_eq!(sent.len(), 6);
        assert!(keyboard.is_down(0x1d) && !keyboard.is_down(0x1e));
        sent.clear();
        keyboard.follow(InputEvent::ReleaseAll, |e| sent.push(e));
        let up = InputEvent::Pointer { x: 3, y: 4, buttons: 0 };
        assert_eq!(sent, [key(0x2e, false), key(0x1d, false), up]);
        sent.clear();
        keyboard.follow(InputEvent::ReleaseAll, |e| sent.push(e));
        assert_eq!(sent, []);
        for scancode in 1..1000 {
            keyboard.follow(key(scancode, true), |_| {});
        }
        keyboard.follow(InputEvent::ReleaseAll, |e| sent.push(e));
        assert_eq!(sent.len(), MAX_DOWN);
    }
}
