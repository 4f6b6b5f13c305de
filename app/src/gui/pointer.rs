//! The pointer on its way to the guest: positions become framebuffer pixels, or movements for a guest without a tablet;
//! the wheel becomes buttons 4 to 7.

use egui::{Event, MouseWheelUnit, PointerButton, Pos2};
use vmtools::display::InputEvent;

use super::scaling::Placement;

/// Points of a smooth wheel that make one step.
const POINTS_A_STEP: f32 = 40.0;
/// Steps of the wheel sent at most for one event: a free-spinning wheel must not flood the guest.
const STEPS: usize = 8;

/// What was last sent, and what is left of the wheel.
#[derive(Debug, Default)]
pub struct Pointer {
    x: u16,
    y: u16,
    buttons: u16,
    wheel: egui::Vec2,
    /// It was moved last, not placed.
    moves: bool,
    /// How far it has moved since it was told.
    way: egui::Vec2,
}

impl Pointer {
    /// Whether a button is down that the guest was told of.
    #[must_use]
    pub fn pressed(&self) -> bool {
        self.buttons != 0
    }

    /// What the window's events mean for the guest. `inside` says whether the picture is under the pointer; a button
    /// that went down inside is followed until it is up.
    pub fn events(&mut self, events: &[Event], inside: bool, picture: &Placement) -> Vec<InputEvent> {
        let mut out = Vec::new();
        let mut moved = false;
        self.moves = false;
        for event in events {
            match event {
                Event::PointerMoved(pos) if inside || self.pressed() => moved |= self.locate(*pos, picture),
                Event::PointerButton { pos, button, pressed, .. }
                    if (inside && picture.rect.contains(*pos)) || !pressed =>
                {
                    let Some(mask) = mask(*button) else { continue };
                    let buttons = if *pressed { self.buttons | mask } else { self.buttons & !mask };
                    if buttons != self.buttons {
                        self.locate(*pos, picture);
                        self.buttons = buttons;
                        out.push(self.now());
                        moved = false;
                    }
                }
                Event::MouseWheel { unit, delta, .. } if inside => self.turn(*unit, *delta, &mut out),
                _ => {}
            }
        }
        // Of many positions in one frame the last one counts.
        if moved {
            out.push(self.now());
        }
        out
    }

    /// What the window's events mean for a guest that takes movements and has the pointer. `moved`: how far it went, where
    /// that is known better than from events.
    pub fn movements(&mut self, events: &[Event], moved: Option<egui::Vec2>) -> Vec<InputEvent> {
        let mut out = Vec::new();
        self.moves = true;
        self.way += moved.unwrap_or_default();
        for event in events {
            match event {
                Event::MouseMoved(way) if moved.is_none() => self.way += *way,
                Event::PointerButton { button, pressed, .. } => {
                    let Some(mask) = mask(*button) else { continue };
                    let buttons = if *pressed { self.buttons | mask } else { self.buttons & !mask };
                    if buttons != self.buttons {
                        self.walk(&mut out);
                        self.buttons = buttons;
                        out.push(self.now());
                    }
                }
                Event::MouseWheel { unit, delta, .. } => {
                    self.walk(&mut out);
                    self.turn(*unit, *delta, &mut out);
                }
                _ => {}
            }
        }
        self.walk(&mut out);
        out
    }

    /// Only buttons of the mask `held` are down at this host: the others go up, also where egui was not told, since the pointer
    /// had left the window. `None` where nothing changes.
    pub fn lift(&mut self, held: u16) -> Option<InputEvent> {
        let left = self.buttons & held;
        if left == self.buttons {
            return None;
        }
        self.buttons = left;
        Some(self.now())
    }

    /// All buttons are up.
    pub fn forget(&mut self) {
        self.buttons = 0;
        self.wheel = egui::Vec2::ZERO;
        self.way = egui::Vec2::ZERO;
    }

    fn now(&self) -> InputEvent {
        self.with(self.buttons)
    }

    fn with(&self, buttons: u16) -> InputEvent {
        match self.moves {
            true => InputEvent::Motion { dx: 0, dy: 0, buttons },
            false => InputEvent::Pointer { x: self.x, y: self.y, buttons },
        }
    }

    /// Tells the way that was gone in whole steps; what is left of it is told with the next ones.
    fn walk(&mut self, out: &mut Vec<InputEvent>) {
        let (dx, dy) = (whole(&mut self.way.x), whole(&mut self.way.y));
        if (dx, dy) != (0, 0) {
            out.push(InputEvent::Motion { dx, dy, buttons: self.buttons });
        }
    }

    fn locate(&mut self, pos: Pos2, picture: &Placement) -> bool {
        let (x, y) = picture.pixel(pos);
        let moved = (x, y) != (self.x, self.y);
        (self.x, self.y) = (x, y);
        moved
    }

    fn turn(&mut self, unit: MouseWheelUnit, delta: egui::Vec2, out: &mut Vec<InputEvent>) {
        let step = match unit {
            MouseWheelUnit::Point => POINTS_A_STEP,
            MouseWheelUnit::Line => 1.0,
            MouseWheelUnit::Page => 0.2,
        };
        self.wheel += delta / step;
        // Buttons 4, 5, 6, 7 of RFC 6143, 7.5.5: up, down, left, right.
        for (axis, positive, negative) in [(1, 1 << 3, 1 << 4), (0, 1 << 5, 1 << 6)] {
            for _ in 0..STEPS {
                let left = self.wheel[axis];
                if left.abs() < 1.0 {
                    break;
                }
                self.wheel[axis] -= left.signum();
                let button = if left > 0.0 { positive } else { negative };
                out.push(self.with(self.buttons | button));
                out.push(self.now());
            }
            self.wheel[axis] %= 1.0;
        }
    }
}

/// Takes the whole steps out of a way.
#[allow(clippy::cast_possible_truncation, reason = "a cast that saturates, and a fraction")]
fn whole(way: &mut f32) -> i16 {
    let steps = *way as i16;
    *way = if way.is_finite() { way.fract() } else { 0.0 };
    steps
}

/// The bit of a button in [`InputEvent::Pointer`].
#[must_use]
pub fn mask(button: PointerButton) -> Option<u16> {
    match button {
        PointerButton::Primary => Some(1),
        PointerButton::Middle => Some(1 << 1),
        PointerButton::Secondary => Some(1 << 2),
        PointerButton::Extra1 => Some(1 << 7),
        PointerButton::Extra2 => Some(1 << 8),
    }
}

#[cfg(test)]
mod tests {
    use egui::{Modifiers, Rect, Vec2, pos2, vec2};

    use super::*;
    use crate::gui::scaling::{Scaling, place};

    /// 800 × 600 pixels of a guest in 400 × 300 points.
    fn picture() -> Placement {
        let area = Rect { min: pos2(100.0, 50.0), max: pos2(500.0, 350.0) };
        place(area, [800, 600], 1.0, Scaling::Fit, Vec2::ZERO)
    }

    fn button(at: Pos2, button: PointerButton, pressed: bool) -> Event {
        Event::PointerButton { pos: at, button, pressed, modifiers: Modifiers::NONE }
    }

    fn xyb(event: &InputEvent) -> (u16, u16, u16) {
        match event {
            InputEvent::Pointer { x, y, buttons } => (*x, *y, *buttons),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn positions_are_the_guests_pixels() {
        let mut pointer = Pointer::default();
        let moves = [pos2(110.0, 60.0), pos2(300.0, 200.0)].map(Event::PointerMoved);
        let sent = pointer.events(&moves, true, &picture());
        assert_eq!(sent.iter().map(xyb).collect::<Vec<_>>(), [(401, 301, 0)]);
        let sent = pointer.events(&[Event::PointerMoved(pos2(500.0, 350.0))], true, &picture());
        assert_eq!(sent.iter().map(xyb).collect::<Vec<_>>(), [(799, 599, 0)]);
    }

    #[test]
    fn a_drag_is_followed_outside_and_a_press_outside_is_not_ours() {
        let mut pointer = Pointer::default();
        let outside = pos2(10.0, 10.0);
        assert!(pointer.events(&[button(outside, PointerButton::Primary, true)], false, &picture()).is_empty());
        let inside = pos2(300.0, 200.0);
        let sent = pointer.events(&[button(inside, PointerButton::Primary, true)], true, &picture());
        assert_eq!(xyb(&sent[0]), (401, 301, 1));
        let sent = pointer.events(
            &[Event::PointerMoved(outside), button(outside, PointerButton::Primary, false)],
            false,
            &picture(),
        );
        assert_eq!(sent.iter().map(xyb).collect::<Vec<_>>(), [(0, 0, 0)]);
        assert!(!pointer.pressed());
    }

    #[test]
    fn movements_are_whole_steps_and_in_order_with_the_buttons() {
        let mut pointer = Pointer::default();
        let moved = |x, y| Event::MouseMoved(vec2(x, y));
        let told = |dx, dy, buttons| InputEvent::Motion { dx, dy, buttons };
        let at = pos2(5.0, 5.0);
        assert_eq!(pointer.movements(&[moved(0.6, -0.5), moved(0.6, -0.6)], None), [told(1, -1, 0)]);
        let events = [
            moved(2.8, 0.0),
            button(at, PointerButton::Extra1, true),
            moved(4.0, 2.3),
            button(at, PointerButton::Extra1, false),
        ];
        let expected = [told(3, 0, 0), told(0, 0, 1 << 7), told(4, 2, 1 << 7), told(0, 0, 0)];
        assert_eq!(pointer.movements(&events, None), expected, "with what was left before");
        assert_eq!(pointer.movements(&[moved(1e9, 0.0)], None), [told(i16::MAX, 0, 0)]);
        assert_eq!(pointer.movements(&[moved(f32::NAN, f32::INFINITY)], None), [told(0, i16::MAX, 0)]);
        pointer.forget();
        let better = pointer.movements(&[moved(50.0, 50.0)], Some(vec2(3.5, -2.0)));
        assert_eq!(better, [told(3, -2, 0)], "what is known better counts alone");
        pointer.forget();
        let wheel = Event::MouseWheel {
            unit: MouseWheelUnit::Line,
            delta: vec2(-1.0, 0.0),
            phase: egui::TouchPhase::Move,
            modifiers: Modifiers::NONE,
            source: egui::MouseWheelSource::Unknown,
        };
        assert_eq!(pointer.movements(&[wheel], None), [told(0, 0, 1 << 6), told(0, 0, 0)], "to the right");
    }

    #[test]
    fn the_wheel_is_buttons_four_and_five_and_bounded() {
        let wheel = |y: f32, unit| Event::MouseWheel {
            unit,
            delta: vec2(0.0, y),
            phase: egui::TouchPhase::Move,
            modifiers: Modifiers::NONE,
            source: egui::MouseWheelSource::Unknown,
        };
        let mut pointer = Pointer::default();
        let sent = pointer.events(&[wheel(1.0, MouseWheelUnit::Line)], true, &picture());
        assert_eq!(sent.iter().map(|e| xyb(e).2).collect::<Vec<_>>(), [8, 0]);
        let sent = pointer.events(&[wheel(-20.0, MouseWheelUnit::Point)], true, &picture());
        assert!(sent.is_empty(), "half a step");
        let sent = pointer.events(&[wheel(-25.0, MouseWheelUnit::Point)], true, &picture());
        assert_eq!(sent.iter().map(|e| xyb(e).2).collect::<Vec<_>>(), [16, 0]);
        let sent = pointer.events(&[wheel(1e9, MouseWheelUnit::Line)], true, &picture());
        assert_eq!(sent.len(), 2 * STEPS);
    }
}
