//! What all sources keep to: how often they ask, how long they wait, how fast keys may come.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::display::InputEvent;

/// How often QEMU is told that somebody looks.
pub(super) const BEAT: Duration = Duration::from_millis(40);

/// How soon a request that got lost is repeated.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Handshakes and sends that take longer mean that QEMU hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Connecting may take so long: a name is looked up, and one of several addresses may be dead.
pub(super) const CONNECTING: Duration = Duration::from_secs(20);
/// What has not answered for so long is gone: a connection's other end, or a server that was asked whether it is there.
pub(super) const UNANSWERED: Duration = Duration::from_secs(15);
/// The shortest and the longest wait before another connection: doubled each time, unless the last one was good.
const RETRY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// A connection that lasted longer was good.
const GOOD: Duration = Duration::from_secs(1);

/// Key events beyond [`BURST`] are sent at this pace: QEMU feeds the guest one each 10 ms from a queue that overflows.
pub(super) const KEY_PACE: Duration = Duration::from_millis(12);
/// How far ahead of its pace the keyboard may be: about 100 key events.
pub(super) const BURST: Duration = Duration::from_millis(1200);

/// How long to wait after a connection that lasted `lived`; `last` is the wait before it.
pub(super) fn next_wait(last: Duration, lived: Duration) -> Duration {
    if lived > GOOD { RETRY.0 } else { (last * 2).clamp(RETRY.0, RETRY.1) }
}

/// Waits until the guest has ended, or whoever would tell us has.
pub(super) async fn is_gone(gone: &mut watch::Receiver<bool>) {
    let _ = gone.wait_for(|gone| *gone).await;
}

/// The next input, but none before `from`.
pub(super) async fn next_input(inputs: &mut mpsc::Receiver<InputEvent>, from: Instant) -> Option<InputEvent> {
    if from > Instant::now() {
        sleep_until(from).await;
    }
    inputs.recv().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_that_always_fails_is_not_hammered() {
        let ms = Duration::from_millis;
        let mut wait = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..10 {
            wait = next_wait(wait, ms(900));
            waits.push(wait.as_millis());
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(next_wait(wait, ms(1100)), ms(5));
    }
}
