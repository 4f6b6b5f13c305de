//! Lock keys of the guest and of this host, and which of the guest's have to be pressed to bring both in step (pure).
//!
//! A guest tells of its lock keys by the lights of its keyboard. They are compared once each time that the guest gets the
//! keyboard: whoever changes them inside the guest afterwards has wanted that.

/// Caps Lock's scan code.
const CAPS: u16 = 0x3a;
/// Num Lock's scan code.
const NUM: u16 = 0x45;
/// Scroll Lock's scan code.
const SCROLL: u16 = 0x46;

/// Which lock keys are on in a guest, as the lights of its keyboard show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Locks {
    /// Scroll Lock.
    pub scroll: bool,
    /// Num Lock.
    pub num: bool,
    /// Caps Lock.
    pub caps: bool,
}

impl Locks {
    /// From the bits of both LED state pseudo-encodings (rfbproto, 7.8.27 and 7.8.28): 0 Scroll, 1 Num, 2 Caps Lock.
    pub(super) const fn from_bits(bits: u32) -> Self {
        Self { scroll: bits & 1 != 0, num: bits & 2 != 0, caps: bits & 4 != 0 }
    }
}

/// Which lock keys are on at the user's own keyboard; `None` where the desktop does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostLocks {
    /// Scroll Lock.
    pub scroll: Option<bool>,
    /// Num Lock.
    pub num: Option<bool>,
    /// Caps Lock.
    pub caps: Option<bool>,
}

/// Keeps a guest's lock keys in step with the host's.
#[derive(Debug, Default)]
pub(super) struct LockStep {
    guest: Option<Locks>,
    /// What the host's were when the guest got the keyboard, as long as the guest has not told its own.
    wanted: Option<HostLocks>,
    /// Keys that were pressed since the guest last told: one that tells nothing is not pressed at again and again.
    unanswered: Vec<u16>,
}

impl LockStep {
    /// The guest gets the keyboard while the host's lock keys are `host`: the keys to press and release in the guest.
    pub(super) fn begin(&mut self, host: HostLocks) -> Vec<u16> {
        self.wanted = Some(host);
        self.step()
    }

    /// The guest has lost the keyboard.
    pub(super) fn end(&mut self) {
        self.wanted = None;
    }

    /// The guest tells its lock keys: the keys to press and release, if it has just got the keyboard.
    pub(super) fn told(&mut self, guest: Locks) -> Vec<u16> {
        self.guest = Some(guest);
        self.unanswered.clear();
        self.step()
    }

    /// The connection is a new one: what the guest told before may be wrong by now.
    pub(super) fn reconnect(&mut self) {
        self.guest = None;
        self.unanswered.clear();
    }

    fn step(&mut self) -> Vec<u16> {
        let Some(guest) = self.guest else { return Vec::new() };
        let Some(host) = self.wanted.take() else { return Vec::new() };
        let pairs = [(host.num, guest.num, NUM), (host.caps, guest.caps, CAPS), (host.scroll, guest.scroll, SCROLL)];
        let apart = pairs.into_iter().filter(|(host, guest, _)| host.is_some_and(|host| host != *guest));
        let keys: Vec<u16> = apart.map(|(_, _, key)| key).filter(|key| !self.unanswered.contains(key)).collect();
        self.unanswered.extend(&keys);
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: [u16; 0] = [];
    const CAPS_ON: Locks = Locks { scroll: false, num: false, caps: true };

    fn host(num: bool, caps: bool) -> HostLocks {
        HostLocks { num: Some(num), caps: Some(caps), scroll: None }
    }

    #[test]
    fn bits_are_lights() {
        assert_eq!(Locks::from_bits(0), Locks::default());
        assert_eq!(Locks::from_bits(4), CAPS_ON);
        assert_eq!(Locks::from_bits(0xffff_fff3), Locks { scroll: true, num: true, caps: false });
    }

    #[test]
    fn what_differs_is_pressed_once_when_the_guest_gets_the_keyboard() {
        let mut step = LockStep::default();
        assert_eq!(step.told(Locks::default()), NOTHING);
        assert_eq!(step.begin(host(false, false)), NOTHING);
        assert_eq!(step.begin(host(true, true)), [NUM, CAPS]);
        assert_eq!(step.told(Locks { num: true, ..Locks::default() }), NOTHING);
        assert_eq!(step.told(Locks { num: true, ..CAPS_ON }), NOTHING);
        // The user, or the guest itself, changes one later.
        assert_eq!(step.told(Locks::default()), NOTHING);
        step.end();
        assert_eq!(step.begin(host(true, false)), [NUM]);
    }

    #[test]
    fn a_guest_that_tells_later_is_brought_in_step_then() {
        let mut step = LockStep::default();
        assert_eq!(step.begin(host(false, true)), NOTHING);
        assert_eq!(step.told(Locks::default()), [CAPS]);
        assert_eq!(step.told(CAPS_ON), NOTHING);
        // It loses the keyboard before it tells.
        let mut step = LockStep::default();
        assert_eq!(step.begin(host(false, true)), NOTHING);
        step.end();
        assert_eq!(step.told(Locks::default()), NOTHING);
    }

    #[test]
    fn a_guest_that_does_not_answer_is_pressed_at_once_only() {
        let mut step = LockStep::default();
        step.told(Locks::default());
        assert_eq!(step.begin(host(false, true)), [CAPS]);
        for _ in 0..10 {
            step.end();
            assert_eq!(step.begin(host(false, true)), NOTHING);
        }
        // Another key is none of that.
        assert_eq!(step.begin(host(true, true)), [NUM]);
        assert_eq!(step.told(CAPS_ON), NOTHING);
        assert_eq!(step.begin(host(true, true)), [NUM]);
    }

    #[test]
    fn nothing_is_pressed_where_a_side_is_unknown() {
        let mut step = LockStep::default();
        assert_eq!(step.begin(host(true, true)), NOTHING);
        let mut step = LockStep::default();
        step.told(CAPS_ON);
        assert_eq!(step.begin(HostLocks::default()), NOTHING);
        assert_eq!(step.begin(HostLocks { caps: Some(false), ..HostLocks::default() }), [CAPS]);
        step.reconnect();
        assert_eq!(step.begin(host(true, true)), NOTHING);
        assert_eq!(step.told(Locks { num: true, ..CAPS_ON }), NOTHING);
    }
}
