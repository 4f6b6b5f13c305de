//! What the user does, and which keys are down because of it.

use super::HostLocks;

/// Something the user did with keyboard or pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputEvent {
    /// A physical key moved.
    Key {
        /// Its scan code: XT set 1, extended keys as 0xe0xx.
        scancode: u16,
        /// Pressed, not released.
        down: bool,
    },
    /// The pointer moved or a button changed.
    Pointer {
        /// Pixels of the guest's screen from the left.
        x: u16,
        /// Pixels of the guest's screen from the top.
        y: u16,
        /// Bit 0 left, 1 middle, 2 right, 3 wheel up, 4 wheel down (RFC 6143, 7.5.5).
        buttons: u8,
    },
    /// The guest gets the keyboard while the user's own lock keys are like this: the guest's are brought in step, once.
    Locks(HostLocks),
    /// The window has lost the focus: every key and button that is down goes up.
    ReleaseAll,
}

/// Remembers what is down, so that it can be released.
#[derive(Debug, Default)]
pub struct Keyboard {
    down: Vec<u16>,
    pointer: (u16, u16, u8),
}

/// The most keys that are remembered as down; nobody has more fingers than that.
const MAX_DOWN: usize = 32;

impl Keyboard {
    /// Follows `event` and passes on what has to be sent: the event itself, or the releases that it stands for.
    pub fn follow(&mut self, event: InputEvent, mut send: impl FnMut(InputEvent)) {
        match event {
            InputEvent::Key { scancode, down } => {
                let known = self.down.iter().position(|&code| code == scancode);
                match (down, known) {
                    (true, None) if self.down.len() < MAX_DOWN => self.down.push(scancode),
                    // A key that cannot be remembered could not be released either.
                    (true, None) => return,
                    (false, Some(at)) => {
                        self.down.remove(at);
                    }
                    _ => {}
                }
                send(event);
            }
            InputEvent::Pointer { x, y, buttons } => {
                self.pointer = (x, y, buttons);
                send(event);
            }
            InputEvent::Locks(_) => send(event),
            InputEvent::ReleaseAll => {
                // The last pressed goes first, so that a modifier outlives the key it modifies.
                while let Some(scancode) = self.down.pop() {
                    send(InputEvent::Key { scancode, down: false });
                }
                let (x, y, buttons) = self.pointer;
                if buttons != 0 {
                    self.pointer.2 = 0;
                    send(InputEvent::Pointer { x, y, buttons: 0 });
                }
            }
        }
    }

    /// The mouse buttons that are down, as in [`InputEvent::Pointer`].
    #[must_use]
    pub fn buttons(&self) -> u8 {
        self.pointer.2
    }

    /// The last event may not have arrived: `buttons`, which were down before it, may be so still.
    pub fn doubt(&mut self, buttons: u8) {
        self.pointer.2 |= buttons;
    }

    /// The connection to the guest is a new one, on which nothing is down. The old one's end has lifted the keys, but a
    /// button that was down still is, and only a press that is seen to end lifts it: passes on both.
    pub fn reconnect(&mut self, mut send: impl FnMut(InputEvent)) {
        self.down.clear();
        let (x, y, buttons) = self.pointer;
        if buttons != 0 {
            self.pointer.2 = 0;
            send(InputEvent::Pointer { x, y, buttons });
            send(InputEvent::Pointer { x, y, buttons: 0 });
        }
    }

    /// Whether a key is down.
    #[must_use]
    pub fn is_down(&self, scancode: u16) -> bool {
        self.down.contains(&scancode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_connection_lifts_the_buttons_of_the_old_one() {
        let mut keyboard = Keyboard::default();
        let at = |x, buttons| InputEvent::Pointer { x, y: 4, buttons };
        keyboard.reconnect(|e| panic!("{e:?}"));
        keyboard.follow(InputEvent::Key { scancode: 0x1d, down: true }, |_| {});
        keyboard.follow(at(3, 1), |_| {});
        let mut sent = Vec::new();
        keyboard.reconnect(|e| sent.push(e));
        assert_eq!(sent, [at(3, 1), at(3, 0)]);
        assert!(!keyboard.is_down(0x1d) && keyboard.buttons() == 0);
        keyboard.reconnect(|e| panic!("{e:?}"));
        // A release that was sent into a dying connection.
        keyboard.follow(at(3, 1), |_| {});
        let before = keyboard.buttons();
        keyboard.follow(at(9, 0), |_| {});
        keyboard.doubt(before);
        keyboard.reconnect(|e| sent.push(e));
        assert_eq!(sent[2..], [at(9, 1), at(9, 0)]);
    }

    #[test]
    fn release_all_lifts_what_is_down() {
        let mut keyboard = Keyboard::default();
        let mut sent = Vec::new();
        let key = |scancode, down| InputEvent::Key { scancode, down };
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
        for scancode in 0..1000 {
            keyboard.follow(key(scancode, true), |_| {});
        }
        keyboard.follow(InputEvent::ReleaseAll, |e| sent.push(e));
        assert_eq!(sent.len(), MAX_DOWN);
    }
}
