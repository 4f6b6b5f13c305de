//! The task that tells what a guest does, in order, and last of all how it ended.

use std::sync::Arc;
use std::time::Duration;

use cartridge_supervise::Exit;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::display::Screen;
use crate::guest::shared::Shared;
use crate::guest::status::{Fact, GuestStatus};
use crate::guest::{GuestEvent, status};
use crate::qmp::{Qmp, QmpError};
use crate::serial::{self, Finding, ReportScanner};

/// How long after a reset a guest counts as running again.
const REBOOT: Duration = Duration::from_secs(1);
/// How many steps of direct boots are told: a few each time that the guest starts anew, not a flood.
const STEPS: u32 = 256;
/// How often QEMU is asked whether it is there, and how long its answer may take.
const PULSE: Duration = Duration::from_secs(2);
/// How long we keep to ourselves that the guest has switched itself off: QEMU's end, which says the same, is near.
const END_IS_NEAR: Duration = Duration::from_secs(1);
/// How long the control line may take to close when QEMU has ended: its last event says why.
pub(crate) const LAST_EVENT: Duration = Duration::from_secs(5);
/// How long we go on handing over what the guest wrote before QEMU ended.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Reads the serial line to its end: raw pieces to the events, findings to whom they concern.
pub(crate) async fn serial_line(reader: OwnedReadHalf, events: mpsc::Sender<GuestEvent>, shared: Arc<Shared>) {
    let mut scanner = ReportScanner::new();
    let mut steps = 0;
    serial::read(reader, |piece| {
        let mut told = Vec::new();
        // Not through the events: the end must know of it even if nobody reads them.
        let now = Instant::now();
        shared.wrote(false, now);
        scanner.push(&piece, |finding| match finding {
            Finding::Report(report) if shared.is_news(report.generation) => told.push(GuestEvent::Reported(report)),
            Finding::Step(step) if steps < STEPS => {
                steps += 1;
                told.push(GuestEvent::Boot(step));
            }
            Finding::Step(_) => {}
            // Whoever prints the same words again is not our init.
            Finding::Report(_) => {}
            Finding::Panic { words, at } => shared.suspect(words, at, now),
            Finding::Alive => shared.wrote(true, now),
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

/// Stops the CPUs of a guest whose kernel has panicked on the serial line only, so that its screen stays and nothing
/// spins. With pvpanic loaded QEMU does the same by itself.
pub(crate) async fn stop_when_panicked(shared: Arc<Shared>, qmp: Qmp) {
    loop {
        sleep_until(shared.suspicion_due().await).await;
        if shared.believe_if_due(Instant::now()) {
            // A QEMU that does not answer is told elsewhere.
            let _ = qmp.execute("stop", None).await;
        }
    }
}

/// Asks QEMU again and again whether it is there: a picture that nobody refreshes must not look alive. Tells among
/// QEMU's words why there is no picture.
pub(crate) async fn feel_pulse(shared: Arc<Shared>, qmp: Qmp, screen: Arc<Screen>, events: mpsc::Sender<GuestEvent>) {
    let mut told = None;
    loop {
        sleep(PULSE).await;
        let trouble = screen.trouble();
        if trouble != told {
            let line = trouble.map(|why| GuestEvent::Qemu(format!("\n[{why}]\n").into_bytes()));
            // With the queue full it is told the next time.
            if line.is_none_or(|line| events.try_send(line).is_ok()) {
                told = trouble;
            }
        }
        let mut asking = std::pin::pin!(qmp.execute("query-status", None));
        let mut answer = timeout(PULSE, &mut asking).await;
        if answer.is_err() {
            screen.set_answering(false);
            shared.hear(Fact::Answering(false));
            answer = Ok(asking.await);
        }
        match answer {
            Ok(Ok(_) | Err(QmpError::Refused { .. })) => {
                shared.hear(Fact::Answering(true));
                screen.set_answering(true);
            }
            Ok(Err(QmpError::Closed { .. })) => return,
            _ => {}
        }
    }
}

/// Everything that the telling task owns.
pub(crate) struct Watch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) exit: watch::Receiver<Option<Exit>>,
    pub(crate) qmp_closed: watch::Receiver<bool>,
    pub(crate) events: mpsc::Sender<GuestEvent>,
    pub(crate) output: mpsc::Receiver<Vec<u8>>,
    pub(crate) screen: Arc<Screen>,
    pub(crate) qmp: Qmp,
    pub(crate) gone: watch::Sender<bool>,
    /// Becomes true when nothing of this guest will touch the screen any more.
    pub(crate) dark: watch::Sender<bool>,
    pub(crate) serial: JoinHandle<()>,
    pub(crate) display: JoinHandle<()>,
    /// What is told before everything else.
    pub(crate) first: Vec<GuestEvent>,
}

impl Watch {
    pub(crate) async fn run(self) {
        let Self { shared, mut exit, mut qmp_closed, events, mut output, .. } = self;
        let Self { screen, qmp, gone, dark, serial, display, first, .. } = self;
        let panics = tokio::spawn(stop_when_panicked(Arc::clone(&shared), qmp.clone()));
        let pulse = tokio::spawn(feel_pulse(Arc::clone(&shared), qmp, Arc::clone(&screen), events.clone()));
        // Apart from the telling, which may have to wait for a reader: a dead guest's screen must not look alive.
        let mut ended = exit.clone();
        let darkening = tokio::spawn(async move {
            has_exited(&mut ended).await;
            screen.lost();
            for task in [panics, pulse] {
                task.abort();
                let _ = task.await;
            }
            gone.send_replace(true);
            let _ = display.await;
            screen.lost();
            // The screen's next guest is another one.
            screen.set_answering(true);
            screen.forget_trouble();
            dark.send_replace(true);
        });
        for event in first {
            let _ = events.send(event).await;
        }
        let mut settled = None;
        let mut off = None;
        loop {
            let settling = settled.unwrap_or_else(Instant::now);
            let telling = off.unwrap_or_else(Instant::now);
            tokio::select! {
                status = shared.next_status() => {
                    if status == GuestStatus::Rebooting {
                        settled = Some(Instant::now() + REBOOT);
                    }
                    if status == GuestStatus::PoweredOff {
                        off = Some(Instant::now() + END_IS_NEAR);
                    } else {
                        let _ = events.send(GuestEvent::Status(status)).await;
                    }
                }
                () = sleep_until(telling), if off.is_some() => {
                    off = None;
                    let _ = events.send(GuestEvent::Status(GuestStatus::PoweredOff)).await;
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
            // The end says it.
            if status == end.status {
                continue;
            }
            let _ = events.send(GuestEvent::Status(status)).await;
        }
        let _ = events.send(GuestEvent::Ended(end)).await;
    }
}

async fn has_exited(exit: &mut watch::Receiver<Option<Exit>>) {
    let _ = exit.wait_for(Option::is_some).await;
}
