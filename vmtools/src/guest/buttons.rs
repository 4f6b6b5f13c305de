//! The mouse buttons that QEMU's VNC server does not know, over its control line: back, forward, and the wheel to the sides. The
//! last of them only its PS/2 mouse tells a guest, from QEMU 7.1 on; its USB tablet (7.2) does nothing with it.

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::qmp::Qmp;

/// Changes that may wait.
const WAITING: usize = 256;
/// As many of these go in one command at most.
const TOGETHER: usize = 32;

/// Bits of [`InputEvent::Pointer`](crate::InputEvent::Pointer) that VNC does not bring to QEMU, and QEMU's names for them
/// (qapi/ui.json, `InputButton`; `pointer_event` in ui/vnc.c knows the five below).
const NAMES: [(u16, &str); 4] = [(1 << 5, "wheel-left"), (1 << 6, "wheel-right"), (1 << 7, "side"), (1 << 8, "extra")];

/// Hands on what changes between `before` and `after`, if QEMU has to be told of it. Never waits: where too much waits,
/// presses get lost, releases do not.
pub(super) fn tell(queue: &mpsc::Sender<(u16, u16)>, before: u16, after: u16) {
    let changed = events(before, after);
    let releases = changed.iter().any(|(_, down)| !down);
    if !changed.is_empty() && (releases || queue.capacity() > WAITING / 2) {
        let _ = queue.try_send((before, after));
    }
}

/// Which of those buttons change, and how.
fn events(before: u16, after: u16) -> Vec<(&'static str, bool)> {
    let changed = NAMES.iter().filter(|(bit, _)| (before ^ after) & bit != 0);
    changed.map(|(bit, name)| (*name, after & bit != 0)).collect()
}

/// Tells QEMU what comes, in order, until nobody has anything to tell.
pub(super) fn serve(qmp: Qmp) -> mpsc::Sender<(u16, u16)> {
    let (sender, mut queue) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut changes = Vec::new();
        while queue.recv_many(&mut changes, TOGETHER).await > 0 {
            let events: Vec<Value> = changes
                .drain(..)
                .flat_map(|(before, after)| events(before, after))
                .map(|(button, down)| json!({ "type": "btn", "data": { "down": down, "button": button } }))
                .collect();
            // A QEMU that ends takes no more input; one that is too old for a button has none.
            let _ = qmp.execute("input-send-event", Some(json!({ "events": events }))).await;
        }
    });
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_vnc_cannot_tell_is_told() {
        assert_eq!(events(0, 0x1f), []);
        assert_eq!(events(1 << 7, 1 << 8 | 1), [("side", false), ("extra", true)]);
        let (sender, mut queue) = mpsc::channel(WAITING);
        tell(&sender, 0, 1);
        assert!(queue.try_recv().is_err());
        for _ in 0..WAITING {
            tell(&sender, 0, 1 << 5);
        }
        tell(&sender, 1 << 5, 0);
        let told: Vec<_> = std::iter::from_fn(|| queue.try_recv().ok()).collect();
        assert!(told.len() == WAITING / 2 + 1 && told.last() == Some(&(1 << 5, 0)), "{}", told.len());
    }
}
