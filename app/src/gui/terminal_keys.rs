//! Keys as a terminal sends them over a line: xterm's sequences, which Linux guests expect.

use egui::{Event, Key, Modifiers};

/// The bytes that an event of the window sends; empty for most. `application`: the guest asked for DECCKM.
#[must_use]
pub fn bytes(event: &Event, application: bool) -> Vec<u8> {
    match event {
        Event::Text(text) => text.clone().into_bytes(),
        // What a paste holds is typed: line ends are the Enter key.
        Event::Paste(text) => text.replace("\r\n", "\r").replace('\n', "\r").replace('\x1b', "").into_bytes(),
        Event::Copy => vec![0x03],
        Event::Cut => vec![0x18],
        Event::Key { key, pressed: true, modifiers, .. } => key_bytes(*key, *modifiers, application),
        _ => Vec::new(),
    }
}

fn key_bytes(key: Key, modifiers: Modifiers, application: bool) -> Vec<u8> {
    let control = modifiers.ctrl || modifiers.command;
    if control
        && !modifiers.alt
        && let Some(byte) = control_byte(key)
    {
        return vec![byte];
    }
    // CSI 1 ; m X of xterm: m is one more than shift 1, alt 2, control 4.
    let m = 1 + u8::from(modifiers.shift) + 2 * u8::from(modifiers.alt) + 4 * u8::from(control);
    let letter = |x: char| match (m, application) {
        (1, true) => format!("\x1bO{x}"),
        (1, false) => format!("\x1b[{x}"),
        _ => format!("\x1b[1;{m}{x}"),
    };
    let tilde = |n: u8| if m == 1 { format!("\x1b[{n}~") } else { format!("\x1b[{n};{m}~") };
    let escape = if modifiers.alt { "\x1b" } else { "" };
    match key {
        Key::Enter => format!("{escape}\r"),
        Key::Tab if modifiers.shift => "\x1b[Z".to_owned(),
        Key::Tab => "\t".to_owned(),
        Key::Backspace => format!("{escape}\x7f"),
        Key::Escape => "\x1b".to_owned(),
        Key::ArrowUp => letter('A'),
        Key::ArrowDown => letter('B'),
        Key::ArrowRight => letter('C'),
        Key::ArrowLeft => letter('D'),
        Key::Home => letter('H'),
        Key::End => letter('F'),
        Key::Insert => tilde(2),
        Key::Delete => tilde(3),
        Key::PageUp => tilde(5),
        Key::PageDown => tilde(6),
        Key::F1 if m == 1 => "\x1bOP".to_owned(),
        Key::F2 if m == 1 => "\x1bOQ".to_owned(),
        Key::F3 if m == 1 => "\x1bOR".to_owned(),
        Key::F4 if m == 1 => "\x1bOS".to_owned(),
        Key::F5 => tilde(15),
        Key::F6 => tilde(17),
        Key::F7 => tilde(18),
        Key::F8 => tilde(19),
        Key::F9 => tilde(20),
        Key::F10 => tilde(21),
        Key::F12 => tilde(24),
        _ => return Vec::new(),
    }
    .into_bytes()
}

/// Ctrl with a letter or one of `[ \ ] Space`: 0x00 to 0x1f.
fn control_byte(key: Key) -> Option<u8> {
    let name = key.name().as_bytes();
    match key {
        Key::Space => Some(0x00),
        Key::OpenBracket => Some(0x1b),
        Key::Backslash => Some(0x1c),
        Key::CloseBracket => Some(0x1d),
        _ => match name {
            [letter @ b'A'..=b'Z'] => Some(letter - b'A' + 1),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: Key, modifiers: Modifiers) -> Event {
        Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers }
    }

    #[test]
    fn keys_of_a_shell() {
        for (event, expected) in [
            (Event::Text("ä".to_owned()), "ä".as_bytes()),
            (key(Key::Enter, Modifiers::NONE), b"\r"),
            (key(Key::Backspace, Modifiers::NONE), b"\x7f"),
            (key(Key::D, Modifiers::CTRL), b"\x04"),
            (Event::Copy, b"\x03"),
            (key(Key::ArrowUp, Modifiers::NONE), b"\x1b[A"),
            (key(Key::ArrowRight, Modifiers::CTRL), b"\x1b[1;5C"),
            (key(Key::Delete, Modifiers::NONE), b"\x1b[3~"),
            (Event::Paste("a\nb\x1b[201~".to_owned()), b"a\rb[201~"),
            (key(Key::A, Modifiers::NONE), b""),
        ] {
            assert_eq!(bytes(&event, false), expected, "{event:?}");
        }
        assert_eq!(bytes(&key(Key::ArrowUp, Modifiers::NONE), true), b"\x1bOA");
    }
}
