//! The task that tells what a guest does, in order, and last of all how it ended.

use std::sync::Arc;
use std::time::Duration;

use cartridge_supervise::Exit;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::display::Screen;
use crate::guest::shared::Shared;
use crate::guest::status::{Fact, GuestStatus};
use crate::guest::{GuestEvent, status};
use crate::serial::{self, Finding, ReportScanner};

/// How long after a reset a guest counts as running again.
const REBOOT: Duration = Duration::from_secs(1);
/// How long the control line may take to close when QEMU has ended: its last event says why.
pub(crate) const LAST_EVENT: Duration = Duration::from_millis(500);
/// How long we go on handing over what the guest wrote before QEMU ended.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Reads the serial line to its end: raw pieces to the events, findings to whom they concern.
pub(crate) async fn serial_line(reader: OwnedReadHalf, events: mpsc::Sender<GuestEvent>, shared: Arc<Shared>) {
    let mut scanner = ReportScanner::new();
    serial::read(reader, |piece| {
        let mut told = Vec::new();
        scanner.push(&piece, |finding| match finding {
            Finding::Report(report) => told.push(GuestEvent::Reported(report)),
            // Not through the events: the end must know of it even if nobody reads them.
            Finding::Panic(words) => shared.hear(Fact::SerialPanic(words)),
        });
        told.insert(0, GuestEvent::Serial(piece));
        let events = events.clone();
        async move {
            for event in told {
                // Nobody listens any more: go on reading, so that the guest is not held up.
                let _ = events.send(event).await;
            }
        }
    })
    .await;
}

/// Everything that the telling task owns.
pub(crate) struct Watch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) exit: watch::Receiver<Option<Exit>>,
    pub(crate) qmp_closed: watch::Receiver<bool>,
    pub(crate) events: mpsc::Sender<GuestEvent>,
    pub(crate) output: mpsc::Receiver<Vec<u8>>,
    pub(crate) screen: Arc<Screen>,
    pub(crate) gone: watch::Sender<bool>,
    /// Becomes true when nothing of this guest will touch the screen any more.
    pub(crate) dark: watch::Sender<bool>,
    pub(crate) serial: JoinHandle<()>,
    pub(crate) display: JoinHandle<()>,
    pub(crate) forwarded: Vec<GuestEvent>,
}

impl Watch {
    pub(crate) async fn run(self) {
        let Self { shared, mut exit, mut qmp_closed, events, mut output, .. } = self;
        let Self { screen, gone, dark, serial, display, forwarded, .. } = self;
        // Apart from the telling, which may have to wait for a reader: a dead guest's screen must not look alive.
        let mut ended = exit.clone();
        let darkening = tokio::spawn(async move {
            has_exited(&mut ended).await;
            screen.lost();
            gone.send_replace(true);
            let _ = display.await;
            screen.lost();
            dark.send_replace(true);
        });
        for event in forwarded {
            let _ = events.send(event).await;
        }
        let mut settled = None;
        loop {
            let settling = settled.unwrap_or_else(Instant::now);
            tokio::select! {
                status = shared.next_status() => {
                    if status == GuestStatus::Rebooting {
                        settled = Some(Instant::now() + REBOOT);
                    }
                    let _ = events.send(GuestEvent::Status(status)).await;
                }
                Some(piece) = output.recv() => {
                    let _ = events.send(GuestEvent::Qemu(piece)).await;
                }
                () = sleep_until(settling), if settled.is_some() => {
                    settled = None;
                    shared.hear(Fact::Settled);
                }
                () = has_exited(&mut exit) => break,
            }
        }
        let _ = timeout(LAST_EVENT, qmp_closed.wait_for(|closed| *closed)).await;
        let stop_reading = serial.abort_handle();
        if timeout(LAST_WORDS, serial).await.is_err() {
            stop_reading.abort();
        }
        while let Ok(piece) = output.try_recv() {
            let _ = events.send(GuestEvent::Qemu(piece)).await;
        }
        let _ = darkening.await;
        let last = exit.borrow().clone();
        let end: status::GuestEnd = shared.conclude(last.as_ref());
        while let Some(status) = shared.untold() {
            let _ = events.send(GuestEvent::Status(status)).await;
        }
        let _ = events.send(GuestEvent::Ended(end)).await;
    }
}

async fn has_exited(exit: &mut watch::Receiver<Option<Exit>>) {
    let _ = exit.wait_for(Option::is_some).await;
}
