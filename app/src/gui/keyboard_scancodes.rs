//! The scancodes of a PC keyboard's keys.

use winit::keyboard::KeyCode;

/// The XT set-1 scancode of a physical key, `0xe0xx` for extended ones. From the table "PS/2 set 1" of the USB HID to
/// PS/2 scan code translation by Microsoft, which QEMU's `qemu_input_map_qcode_to_qnum` agrees with.
#[must_use]
#[allow(clippy::too_many_lines, reason = "a table")]
pub fn scancode(key: KeyCode) -> Option<u16> {
    use KeyCode as K;
    Some(match key {
        K::Escape => 0x01,
        K::Digit1 => 0x02,
        K::Digit2 => 0x03,
        K::Digit3 => 0x04,
        K::Digit4 => 0x05,
        K::Digit5 => 0x06,
        K::Digit6 => 0x07,
        K::Digit7 => 0x08,
        K::Digit8 => 0x09,
        K::Digit9 => 0x0a,
        K::Digit0 => 0x0b,
        K::Minus => 0x0c,
        K::Equal => 0x0d,
        K::Backspace => 0x0e,
        K::Tab => 0x0f,
        K::KeyQ => 0x10,
        K::KeyW => 0x11,
        K::KeyE => 0x12,
        K::KeyR => 0x13,
        K::KeyT => 0x14,
        K::KeyY => 0x15,
        K::KeyU => 0x16,
        K::KeyI => 0x17,
        K::KeyO => 0x18,
        K::KeyP => 0x19,
        K::BracketLeft => 0x1a,
        K::BracketRight => 0x1b,
        K::Enter => 0x1c,
        K::ControlLeft => 0x1d,
        K::KeyA => 0x1e,
        K::KeyS => 0x1f,
        K::KeyD => 0x20,
        K::KeyF => 0x21,
        K::KeyG => 0x22,
        K::KeyH => 0x23,
        K::KeyJ => 0x24,
        K::KeyK => 0x25,
        K::KeyL => 0x26,
        K::Semicolon => 0x27,
        K::Quote => 0x28,
        K::Backquote => 0x29,
        K::ShiftLeft => 0x2a,
        K::Backslash => 0x2b,
        K::KeyZ => 0x2c,
        K::KeyX => 0x2d,
        K::KeyC => 0x2e,
        K::KeyV => 0x2f,
        K::KeyB => 0x30,
        K::KeyN => 0x31,
        K::KeyM => 0x32,
        K::Comma => 0x33,
        K::Period => 0x34,
        K::Slash => 0x35,
        K::ShiftRight => 0x36,
        K::NumpadMultiply => 0x37,
        K::AltLeft => 0x38,
        K::Space => 0x39,
        K::CapsLock => 0x3a,
        K::F1 => 0x3b,
        K::F2 => 0x3c,
        K::F3 => 0x3d,
        K::F4 => 0x3e,
        K::F5 => 0x3f,
        K::F6 => 0x40,
        K::F7 => 0x41,
        K::F8 => 0x42,
        K::F9 => 0x43,
        K::F10 => 0x44,
        K::NumLock => 0x45,
        K::ScrollLock => 0x46,
        K::Numpad7 => 0x47,
        K::Numpad8 => 0x48,
        K::Numpad9 => 0x49,
        K::NumpadSubtract => 0x4a,
        K::Numpad4 => 0x4b,
        K::Numpad5 => 0x4c,
        K::Numpad6 => 0x4d,
        K::NumpadAdd => 0x4e,
        K::Numpad1 => 0x4f,
        K::Numpad2 => 0x50,
        K::Numpad3 => 0x51,
        K::Numpad0 => 0x52,
        K::NumpadDecimal => 0x53,
        K::IntlBackslash => 0x56,
        K::F11 => 0x57,
        K::F12 => 0x58,
        K::NumpadEqual => 0x59,
        K::F13 => 0x5d,
        K::F14 => 0x5e,
        K::F15 => 0x5f,
        K::KanaMode => 0x70,
        K::IntlRo => 0x73,
        K::Convert => 0x79,
        K::NonConvert => 0x7b,
        K::IntlYen => 0x7d,
        K::NumpadComma => 0x7e,
        K::MediaTrackPrevious => 0xe010,
        K::MediaTrackNext => 0xe019,
        K::NumpadEnter => 0xe01c,
        K::ControlRight => 0xe01d,
        K::AudioVolumeMute => 0xe020,
        K::MediaPlayPause => 0xe022,
        K::MediaStop => 0xe024,
        K::AudioVolumeDown => 0xe02e,
        K::AudioVolumeUp => 0xe030,
        K::NumpadDivide => 0xe035,
        K::PrintScreen => 0xe037,
        K::AltRight => 0xe038,
        K::Pause => 0xe046,
        K::Home => 0xe047,
        K::ArrowUp => 0xe048,
        K::PageUp => 0xe049,
        K::ArrowLeft => 0xe04b,
        K::ArrowRight => 0xe04d,
        K::End => 0xe04f,
        K::ArrowDown => 0xe050,
        K::PageDown => 0xe051,
        K::Insert => 0xe052,
        K::Delete => 0xe053,
        K::SuperLeft => 0xe05b,
        K::SuperRight => 0xe05c,
        K::ContextMenu => 0xe05d,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use winit::keyboard::PhysicalKey;
    use winit::platform::scancode::PhysicalKeyExtScancode as _;

    use super::*;

    #[test]
    fn the_numpad_is_not_the_main_row() {
        assert_ne!(scancode(KeyCode::Numpad1), scancode(KeyCode::Digit1));
        assert_eq!(scancode(KeyCode::NumpadEnter), Some(0xe01c));
        assert_eq!(scancode(KeyCode::Enter), Some(0x1c));
    }

    #[test]
    fn every_key_of_the_table_can_be_sent() {
        // Linux's numbers of keys, as winit has them.
        let keys = (1..=255).filter_map(|code| match PhysicalKey::from_scancode(code) {
            PhysicalKey::Code(key) => scancode(key).map(|code| (key, code)),
            PhysicalKey::Unidentified(_) => None,
        });
        let lost: Vec<_> = keys.filter(|(_, code)| vmtools::display::keysym(*code).is_none()).collect();
        assert_eq!(lost, []);
    }
}
