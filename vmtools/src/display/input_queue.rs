//! Input on its way to a display: never waits, and loses presses and movements before it loses a release.

use std::sync::atomic::{AtomicU16, Ordering};

use tokio::sync::mpsc;

use super::InputEvent;

/// Inputs that wait at most.
const INPUTS: usize = 4096;
/// Room that is kept for releases: a press may get lost, a release must not.
const RELEASES: usize = 64;

/// The sending end.
#[derive(Debug)]
pub(crate) struct InputQueue {
    inputs: mpsc::Sender<InputEvent>,
    /// The mouse buttons that were down in the last input.
    buttons: AtomicU16,
}

impl InputQueue {
    /// A queue, and where its inputs come out.
    pub(crate) fn new() -> (Self, mpsc::Receiver<InputEvent>) {
        let (inputs, receiver) = mpsc::channel(INPUTS);
        (Self { inputs, buttons: AtomicU16::new(0) }, receiver)
    }

    /// Adds an input: when more than some thousands wait, presses and movements get lost, but releases do not. Returns the
    /// mouse buttons before and after, where it says them.
    pub(crate) fn push(&self, event: InputEvent) -> Option<(u16, u16)> {
        let change = event.buttons().map(|after| (self.buttons.swap(after, Ordering::Relaxed), after));
        let releases = is_release(event, change.map_or(0, |(before, _)| before));
        if releases || self.inputs.capacity() > RELEASES {
            let _ = self.inputs.try_send(event);
        }
        change
    }

    /// Adds one that does not say the buttons, and waits for room; false where nobody takes any more.
    pub(crate) async fn send(&self, event: InputEvent) -> bool {
        self.inputs.send(event).await.is_ok()
    }
}

/// Whether `event` lets a key or button go; `before` are the buttons that were down.
fn is_release(event: InputEvent, before: u16) -> bool {
    match event {
        InputEvent::Key { down, .. } => !down,
        // A movement with no button down is none.
        InputEvent::Pointer { buttons, .. } | InputEvent::Motion { buttons, .. } => before & !buttons != 0,
        InputEvent::ReleaseAll => true,
        InputEvent::Locks(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_that_goes_up_is_a_release_and_a_movement_is_none() {
        let pointer = |buttons| InputEvent::Pointer { x: 1, y: 1, buttons };
        assert!(is_release(pointer(0), 1) && is_release(pointer(2), 3) && is_release(InputEvent::ReleaseAll, 0));
        assert!(!is_release(pointer(0), 0) && !is_release(pointer(3), 1) && !is_release(pointer(1), 1));
        let key = |down| InputEvent::key(1, down);
        assert!(is_release(key(false), 0) && !is_release(key(true), 1));
    }

    #[test]
    fn a_full_queue_still_takes_releases() {
        let (queue, mut receiver) = InputQueue::new();
        let key = |down| InputEvent::key(1, down);
        for _ in 0..2 * INPUTS {
            queue.push(key(true));
        }
        queue.push(key(false));
        let all: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
        assert!(all.len() <= INPUTS && all.last() == Some(&key(false)), "{}", all.len());
    }
}
