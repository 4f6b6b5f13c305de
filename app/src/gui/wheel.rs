//! A wheel that is buttons, as that of a pointer by which an X session is remote-controlled. winit 0.30 tells it twice: its buttons
//! 4 to 7 are a turn when they go down and another one when they go up again (`xinput2_button_input`).

use winit::event::{ElementState, MouseScrollDelta};

/// The first button of a wheel: 4 to 7 are up, down, left and right.
const FIRST: u32 = 4;

/// Which of those turns are none. A real wheel is an axis, and its buttons are not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wheel {
    /// Of each button: it went up, and the turn that this is told as has not come yet.
    up: [bool; 4],
}

impl Wheel {
    /// A button of a device, which comes before what the window is told of it.
    pub fn button(&mut self, button: u32, state: ElementState) {
        let at = button.checked_sub(FIRST).and_then(|at| usize::try_from(at).ok());
        if let Some(up) = at.and_then(|at| self.up.get_mut(at)) {
            // The same may be told more than once.
            *up = state == ElementState::Released;
        }
    }

    /// Whether the window is told of a turn that is only a button going up.
    pub fn is_echo(&mut self, delta: MouseScrollDelta) -> bool {
        let MouseScrollDelta::LineDelta(x, y) = delta else { return false };
        let at = match (x, y) {
            (0.0, 1.0) => 0,
            (0.0, -1.0) => 1,
            (1.0, 0.0) => 2,
            (-1.0, 0.0) => 3,
            _ => return false,
        };
        std::mem::take(&mut self.up[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_by_buttons_counts_once_and_an_axis_always() {
        let (down, up) = (ElementState::Pressed, ElementState::Released);
        let turn = MouseScrollDelta::LineDelta(0.0, -1.0);
        let mut wheel = Wheel::default();
        assert!(!wheel.is_echo(turn) && !wheel.is_echo(turn), "an axis");
        for _ in 0..3 {
            // Under a grab raw events come twice.
            wheel.button(5, down);
            wheel.button(5, down);
            assert!(!wheel.is_echo(turn));
            wheel.button(5, up);
            wheel.button(5, up);
            assert!(wheel.is_echo(turn));
        }
        wheel.button(5, up);
        assert!(!wheel.is_echo(MouseScrollDelta::LineDelta(0.0, 1.0)), "the other way");
        assert!(!wheel.is_echo(MouseScrollDelta::LineDelta(0.0, -3.0)));
        wheel.button(1, up);
        wheel.button(9, up);
    }
}
