//! The guest's screen in the window's size: when it is asked for, and what is said when it does not come. Pure.

use crate::gui::scaling::Scaling;
use vmtools::display::SizeAnswer;

/// For how long the panel must have its size before the guest is asked: while a window is dragged it changes all the
/// time, and a guest takes a moment for each. Seconds.
const SETTLED: f64 = 0.4;
/// After so long without any answer the display is one that cannot be asked. Seconds.
const UNANSWERED: f64 = 5.0;
/// A guest that was told follows within this time, or does not. Seconds.
const FOLLOWS: f64 = 8.0;
/// Sizes that can be asked for, pixels a side; wider ones are multiples of 8, as the guest's modes are (VESA CVT).
const SIDES: std::ops::RangeInclusive<u16> = 320..=8192;

/// What is to be done now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Ask the guest for this size, pixels.
    pub wish: Option<(u16, u16)>,
    /// Why the guest has another size, where it is known.
    pub why: Option<String>,
    /// Look again after so many seconds.
    pub again: Option<f64>,
}

/// What was asked for, and when.
#[derive(Debug, Default)]
pub struct Follow {
    asked: Option<((u16, u16), f64)>,
    settling: Option<((u16, u16), f64)>,
    /// The guest's size, and since when.
    seen: Option<([usize; 2], f64)>,
}

impl Follow {
    /// The panel has `room` device pixels at `now`, seconds; the guest has `guest` and answered `answer` to the last wish.
    pub fn step(&mut self, room: [f32; 2], now: f64, guest: [usize; 2], answer: Option<SizeAnswer>) -> Step {
        let wanted = (side(room[0]) & !7, side(room[1]));
        // One that has another size since a moment, as after a reset, is on its way.
        let changed = match self.seen {
            Some((size, since)) if size == guest => since,
            _ => now,
        };
        self.seen = Some((guest, changed));
        if self.asked.is_none_or(|(asked, _)| asked != wanted) {
            let since = match self.settling {
                Some((size, since)) if size == wanted => since,
                _ => now,
            };
            self.settling = Some((wanted, since));
            if now - since < SETTLED {
                return Step { again: Some(SETTLED - (now - since)), ..Step::default() };
            }
            self.asked = Some((wanted, now));
            // Asked also where it is so already: the answer says whether it can be asked at all.
            return Step { wish: Some(wanted), again: Some(UNANSWERED), ..Step::default() };
        }
        let Some((asked, since)) = self.asked else { return Step::default() };
        if guest == [usize::from(asked.0), usize::from(asked.1)] {
            return Step::default();
        }
        let passed = now - since.max(changed);
        let later = |limit: f64| Step { again: Some((limit - passed).max(0.05)), ..Step::default() };
        let says = |why: String| Step { why: Some(why), ..Step::default() };
        match answer {
            Some(SizeAnswer::Refused(why)) => says(format!("The guest keeps its size: {why}. {} shows all of it.", Scaling::Fit.label())),
            None if passed < UNANSWERED => later(UNANSWERED),
            None => says("The guest's display cannot be asked for another size.".to_owned()),
            Some(_) if passed < FOLLOWS => later(FOLLOWS),
            Some(_) => says(
                "The guest was told of the window's size and keeps its own. Something in it has to follow, as desktops do."
                    .to_owned(),
            ),
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn side(pixels: f32) -> u16 {
    pixels.clamp(f32::from(*SIDES.start()), f32::from(*SIDES.end())) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: [usize; 2] = [1024, 768];

    fn wished(step: &Step) -> Option<(u16, u16)> {
        step.wish
    }

    #[test]
    fn it_is_asked_once_when_the_window_stands_still() {
        let mut follow = Follow::default();
        for (at, width) in [(0.0, 800.0), (0.1, 810.0), (0.2, 820.0), (0.5, 820.0)] {
            let step = follow.step([width, 600.0], at, GUEST, None);
            assert!(step.wish.is_none() && step.again.is_some(), "{at}");
        }
        assert_eq!(
            wished(&follow.step([823.9, 600.7], 0.55, GUEST, None)),
            None,
            "another one, by two pixels of height"
        );
        let mut follow = Follow::default();
        follow.step([823.9, 600.7], 0.0, GUEST, None);
        assert_eq!(wished(&follow.step([823.9, 600.7], 0.45, GUEST, None)), Some((816, 600)));
        assert_eq!(wished(&follow.step([823.9, 600.7], 0.6, GUEST, None)), None);
        follow.step([1000.0, 600.0], 1.0, [816, 600], Some(SizeAnswer::Done));
        assert_eq!(wished(&follow.step([1000.0, 600.0], 1.5, [816, 600], Some(SizeAnswer::Done))), Some((1000, 600)));
    }

    #[test]
    fn what_does_not_follow_is_told_why() {
        let asked = |answer, at, guest| {
            let mut follow = Follow::default();
            follow.step([800.0, 600.0], 0.0, GUEST, None);
            assert!(follow.step([800.0, 600.0], 0.5, GUEST, None).wish.is_some());
            follow.step([800.0, 600.0], at, guest, answer)
        };
        let refused = Some(SizeAnswer::Refused("the display cannot have that size"));
        assert_eq!(
            asked(refused, 0.6, GUEST).why.as_deref(),
            Some("The guest keeps its size: the display cannot have that size. Fit shows all of it.")
        );
        assert_eq!(asked(refused, 0.6, [800, 600]), Step::default(), "it has it");
        assert!(asked(None, 1.0, GUEST).why.is_none());
        assert!(asked(None, 6.0, GUEST).why.is_some_and(|why| why.contains("cannot be asked")));
        let mut reset = Follow::default();
        for (at, guest) in [(0.0, GUEST), (0.5, GUEST), (20.0, [800, 600]), (30.0, [720, 400]), (33.0, [720, 400])] {
            assert_eq!(
                reset.step([800.0, 600.0], at, guest, Some(SizeAnswer::Done)).why,
                None,
                "{at}: it has just been reset"
            );
        }
        let early = asked(Some(SizeAnswer::PassedOn), 6.0, GUEST);
        assert!(early.why.is_none() && early.again.is_some());
        assert!(asked(Some(SizeAnswer::PassedOn), 9.0, GUEST).why.is_some_and(|why| why.contains("was told")));
    }

    #[test]
    fn sizes_are_ones_that_a_guest_can_have() {
        for (room, size) in [([10.0, 10.0], (320, 320)), ([1e9, 1e9], (8192, 8192)), ([1367.0, 769.0], (1360, 769))] {
            let mut follow = Follow::default();
            follow.step(room, 0.0, GUEST, None);
            assert_eq!(wished(&follow.step(room, 1.0, GUEST, None)), Some(size));
        }
    }
}
