//! What a key yields, as X11's keysym, from what winit says of it (pure). Servers that do not know keys by their scan codes are
//! told this; where it is not known they are told what the key yields on a US keyboard.

use vmtools::display::{NOTHING, keysym_of};
use winit::keyboard::{Key, KeyLocation, NamedKey};

/// The keysym of a key; `None` where its place on the keyboard says as much, or nothing is known.
#[must_use]
pub fn of_key(key: &Key, location: KeyLocation) -> Option<u32> {
    match key {
        Key::Character(text) => {
            let mut characters = text.chars();
            let (character, None) = (characters.next()?, characters.next()) else { return None };
            let digit = character.is_ascii_digit() && location == KeyLocation::Numpad;
            // KP_0 to KP_9 are in a row. Whatever else the numpad has is told apart by its place.
            match location {
                KeyLocation::Numpad if digit => Some(0xffb0 + u32::from(character) - u32::from('0')),
                KeyLocation::Numpad => numpad(character),
                _ => Some(keysym_of(character)),
            }
        }
        // The letter after it comes with its accent: by both a server would have two.
        Key::Dead(_) => Some(NOTHING),
        Key::Named(named) => of_name(*named, location),
        Key::Unidentified(_) => None,
    }
}

/// The separators of a numpad; its signs are where they are on every keyboard.
fn numpad(character: char) -> Option<u32> {
    match character {
        ',' => Some(0xffac),
        '.' => Some(0xffae),
        _ => None,
    }
}

/// Keys that layouts move about: modifiers, and those that people put in place of Caps Lock. Names as in keysymdef.h.
fn of_name(key: NamedKey, location: KeyLocation) -> Option<u32> {
    let right = u32::from(location == KeyLocation::Right);
    Some(match key {
        NamedKey::Shift => 0xffe1 + right,
        NamedKey::Control => 0xffe3 + right,
        NamedKey::CapsLock => 0xffe5,
        NamedKey::Meta => 0xffe7 + right,
        NamedKey::Alt => 0xffe9 + right,
        NamedKey::Super => 0xffeb + right,
        NamedKey::Hyper => 0xffed + right,
        // ISO_Level3_Shift.
        NamedKey::AltGraph => 0xfe03,
        NamedKey::Escape => 0xff1b,
        NamedKey::Backspace => 0xff08,
        // What is composed comes by itself.
        NamedKey::Compose => NOTHING,
        NamedKey::Space if location == KeyLocation::Standard => 0x20,
        // With Shift it is ISO_Left_Tab on X11, which few servers know.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_yields_is_told_and_what_its_place_says_is_not() {
        let typed = |text: &str, location| of_key(&Key::Character(text.into()), location);
        for (text, keysym) in [("a", 0x61), ("A", 0x41), ("!", 0x21), ("ß", 0xdf), ("€", 0x20ac), ("ж", 0x6d6)] {
            assert_eq!(typed(text, KeyLocation::Standard), Some(keysym), "{text}");
        }
        assert_eq!(typed("7", KeyLocation::Numpad), Some(0xffb7));
        assert_eq!(typed(",", KeyLocation::Numpad), Some(0xffac));
        assert_eq!(typed("+", KeyLocation::Numpad), None);
        assert_eq!(typed("ab", KeyLocation::Standard), None);
        let named = |key, location| of_key(&Key::Named(key), location);
        assert_eq!(named(NamedKey::AltGraph, KeyLocation::Right), Some(0xfe03));
        assert_eq!(named(NamedKey::Control, KeyLocation::Left), Some(0xffe3));
        assert_eq!(named(NamedKey::Control, KeyLocation::Right), Some(0xffe4));
        assert_eq!(named(NamedKey::Home, KeyLocation::Numpad), None);
        assert_eq!(of_key(&Key::Dead(Some('^')), KeyLocation::Standard), Some(NOTHING));
        assert_eq!(named(NamedKey::Compose, KeyLocation::Standard), Some(NOTHING));
    }
}
