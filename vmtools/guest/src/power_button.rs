//! The machine's power button: an input device of the ACPI `button` driver, read through evdev.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;

use crate::Event;

/// Size of `struct input_event` on x86_64, bytes: two words of time, type, code, value (`linux/input.h`).
const EVENT: usize = 24;
/// `EV_KEY` and `KEY_POWER` of `linux/input-event-codes.h`.
const POWER: (u16, u16) = (1, 116);

/// Listens on every power button in threads of their own. A machine without one is no reason for a note.
pub(crate) fn watch(events: &SyncSender<Event>, notes: &mut Vec<String>) {
    for device in buttons() {
        let (events, shown) = (events.clone(), device.display().to_string());
        let listen = move || listen(&device, &events);
        if let Err(e) = std::thread::Builder::new().name("power button".into()).spawn(listen) {
            notes.push(format!("the power button {shown} is not watched: {e}"));
        }
    }
}

fn buttons() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/sys/class/input") else { return Vec::new() };
    let is_button = |entry: &std::fs::DirEntry| {
        std::fs::read_to_string(entry.path().join("device/name")).is_ok_and(|name| name.contains("Power Button"))
    };
    let named = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("event");
    entries
        .flatten()
        .filter(|it| named(it) && is_button(it))
        .map(|it| PathBuf::from("/dev/input").join(it.file_name()))
        .collect()
}

fn listen(device: &PathBuf, events: &SyncSender<Event>) {
    let Ok(mut file) = File::open(device) else { return };
    let mut event = [0; EVENT];
    while file.read_exact(&mut event).is_ok() {
        if is_press(&event) && events.send(Event::PowerButton).is_err() {
            return;
        }
    }
}

fn is_press(event: &[u8; EVENT]) -> bool {
    let [.., t0, t1, c0, c1, v0, v1, v2, v3] = *event;
    (u16::from_ne_bytes([t0, t1]), u16::from_ne_bytes([c0, c1])) == POWER && i32::from_ne_bytes([v0, v1, v2, v3]) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_press_counts_and_its_release_does_not() {
        let mut event = [0; EVENT];
        event[16] = 1;
        event[18] = 116;
        event[20] = 1;
        assert!(is_press(&event));
        event[20] = 0;
        assert!(!is_press(&event));
    }
}
