//! Runs a way's command to its end, and ends it when it was cancelled: each way ends in its own manner.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use cartridge_supervise::{Cancel, Channel, Exit, Observer, ProcessHandle, spawn};
use rustix::fs::FlockOperation;

use super::command::Plan;
use super::error::MkarchisoError;
use super::scratch::Scratch;
use super::ways::Way;

/// How often we look whether somebody cancelled.
const BEAT: Duration = Duration::from_millis(20);
/// How long a cancelled way may take to end by itself before it is killed: the container, and the helper, which is
/// root's and cannot be signalled.
const GRACE: Duration = Duration::from_millis(1000);
/// How much output waits to be read.
const QUEUE: usize = 256;

enum Event {
    Output(Channel, Vec<u8>),
    Exited(Exit),
}

struct Forward(SyncSender<Event>);

impl Observer for Forward {
    fn output(&mut self, channel: Channel, bytes: &[u8]) {
        // Nobody listens any more once it was cancelled.
        let _ = self.0.send(Event::Output(channel, bytes.to_vec()));
    }

    fn exited(&mut self, exit: &Exit) {
        let _ = self.0.send(Event::Exited(exit.clone()));
    }
}

/// Starts the plan's command and feeds `read` until it ended or was cancelled.
pub(super) fn watch(
    plan: &Plan<'_>,
    scratch: &Scratch,
    cancel: &Cancel,
    read: &mut dyn FnMut(Channel, &[u8]),
) -> Result<Exit, MkarchisoError> {
    if cancel.is_cancelled() {
        return Err(MkarchisoError::Cancelled);
    }
    let (sender, events) = sync_channel(QUEUE);
    let child =
        spawn(&plan.command(), Forward(sender)).map_err(|source| MkarchisoError::Start { way: plan.way, source })?;
    loop {
        match events.recv_timeout(BEAT) {
            Ok(Event::Output(channel, bytes)) => read(channel, &bytes),
            Ok(Event::Exited(exit)) => return Ok(exit),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return child.exit().ok_or(MkarchisoError::Unexplained { how: "lost".to_owned(), tail: Vec::new() });
            }
        }
        if cancel.is_cancelled() {
            stop(plan.way, scratch, &child, events);
            return Err(MkarchisoError::Cancelled);
        }
    }
}

/// Ends a cancelled build. A namespace dies with its first process; the container and the helper end themselves.
fn stop(way: Way, scratch: &Scratch, child: &ProcessHandle, events: Receiver<Event>) {
    drop(events);
    match way {
        Way::Namespace | Way::NamespaceOfOne => {}
        Way::Podman => {
            // It was locked by us; that cannot fail.
            let _ = rustix::fs::flock(&scratch.lock, FlockOperation::Unlock);
            // What podman keeps of it is removed by podman's monitor (`--rm`), with or without the client.
            let _ = child.wait(GRACE);
        }
        Way::Helper => {
            // The helper looks for the end ten times a second, and is gone once it has removed what it made. Until polkit has
            // its answer pkexec can still be killed; after that nothing of root's can, and we do not wait for it.
            child.close_stdin();
            child.kill();
            let _ = child.wait(GRACE);
            return;
        }
    }
    let _ = child.end(Duration::ZERO);
}
