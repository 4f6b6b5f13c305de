//! Eject: stop the job, end the guest, remove this session's work; and what removing everything would remove.

use std::sync::Arc;
use std::time::{Duration, Instant};

use isoprep::{Cancel, Holder};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval_at, timeout};
use vmtools::{EndStep, GuestHandle};

use super::beside::Beside;
use super::{Driver, millis};
use crate::session::event::{Event, Level};
use crate::session::failure;
use crate::session::jobs::{self, Ejected, Outcome, Tally, What};
use crate::session::model::endable;
use crate::session::record;
use crate::session::state::{Denied, EjectScope, Input, Phase};

/// How long what uses the cache beside everything else may take to end once it was cancelled: a file system that does not answer
/// may hold it for ever.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a removal may take before it is told how far it is, and how often after that.
const QUIET: Duration = Duration::from_millis(300);
const BEAT: Duration = Duration::from_millis(200);

/// The eject under way, and what the last one left.
#[derive(Default)]
pub(super) struct Ejecting {
    /// How much it removes.
    scope: EjectScope,
    /// Stops its removal.
    cancel: Cancel,
    /// The removal was told, so that it may be stopped.
    told: bool,
    /// Processes that the last one has named and that may be ended.
    named: Vec<Holder>,
    /// Those of them that the next one ends.
    agreed: Vec<Holder>,
    /// The session ends with it, but not while somebody holds what was to be removed.
    pub(super) unless_held: bool,
    /// It did not end because of that: the user is asked.
    pub(super) asked: bool,
}

impl Driver {
    /// Takes everything that runs out of the driver and ends it in a task of its own.
    pub(super) async fn start_eject(&mut self, scope: EjectScope) {
        self.cancel.cancel();
        self.slots.cancel();
        self.hands_off();
        self.stop_recording().await;
        let agreed = std::mem::take(&mut self.ejecting.agreed);
        let (unless_held, asked) = (self.ejecting.unless_held, self.ejecting.asked);
        self.ejecting = Ejecting { scope, unless_held, asked, ..Ejecting::default() };
        self.nothing_is_waited_for();
        self.progress = None;
        let (job, guest, side) = (self.job.take(), self.guest.take(), self.side.0.clone());
        let attached = self.attached.take();
        let look = self.take_examination().await;
        // What stays is not waited for.
        let beside = (scope == EjectScope::Everything).then(|| {
            self.stop_source_look();
            self.beside.stop()
        });
        let making = self.templates.stop();
        let comparing = if scope == EjectScope::Everything { self.stop_comparing() } else { None };
        if comparing.is_some() {
            self.tell(Event::NotCompared { error: None }).await;
        }
        let dirs = self.record.works();
        let runtime = self.record.made().runtime.clone();
        let (everything, paths, cancel) =
            (scope == EjectScope::Everything, self.paths.clone(), self.ejecting.cancel.clone());
        let what = What { dirs, runtime, everything, paths, agreed, cancel };
        self.job = Some(tokio::spawn(async move {
            // What it works in is removed like the rest.
            if let Some(look) = look {
                look.cancel.cancel();
                let _ = look.answer.await;
            }
            if let Some(comparing) = comparing {
                let _ = comparing.answer.await;
            }
            if let Some(making) = making {
                let _ = making.await;
            }
            if let Some(attached) = attached {
                attached.end().await;
            }
            eject(job, guest, beside, what, side).await
        }));
    }

    pub(super) async fn ejected(&mut self, ejected: Ejected) {
        // What the eject told on its way comes before its end.
        while let Ok(event) = self.side.1.try_recv() {
            self.side_event(event).await;
        }
        // What the guest had seen does not count any more.
        self.look_at_source_again();
        // Its lock must be free for the goal that may be waiting.
        self.prepared = None;
        let Ejected { removal, took } = ejected;
        if removal.is_whole() {
            let noted = self.record.note(|made| {
                made.runtime = None;
                made.guest = None;
            });
            if let Err(error) = noted {
                self.notice(Level::Warning, format!("The session's record could not be written: {error}")).await;
            }
        }
        let scope = self.ejecting.scope;
        if scope == EjectScope::Everything {
            self.image = None;
        }
        self.hear_guest(None);
        self.attached_events = None;
        let held = !removal.held.is_empty();
        let stays = held && self.quitting && self.ejecting.unless_held;
        // Whoever was asked once is asked again by what he agreed to, and by nothing else.
        let asked = held && (stays || self.ejecting.asked);
        self.ejecting = Ejecting { scope, named: endable(&removal.held), asked, ..Ejecting::default() };
        let failure = failure::of_eject(&removal, scope, !self.ejecting.named.is_empty());
        let (report, left) = (removal.report, removal.left);
        self.tell(Event::Ejected { report, took_ms: millis(took), scope, left }).await;
        if !removal.held.is_empty() {
            self.tell(Event::EjectHeld { scope, held: removal.held }).await;
        }
        if let Some(failure) = failure {
            self.tell(Event::Failed { failure }).await;
        }
        if stays {
            // Others may be ended now, and whoever has waited with something is listened to.
            self.quitting = false;
        }
        self.input(Input::Ejected).await;
        if self.quitting {
            self.close().await;
        }
    }

    /// Ejects as the last time, and ends those of `agreed` that were named then.
    pub(super) async fn eject_ending(&mut self, agreed: Vec<Holder>) {
        let names = |holder: &Holder| (holder.pid, holder.started);
        let named = |holder: &Holder| agreed.iter().any(|it| names(it) == names(holder));
        let meant: Vec<Holder> = self.ejecting.named.iter().filter(|holder| named(holder)).cloned().collect();
        let denied = match (self.state.phase, meant.is_empty()) {
            (Phase::Idle, false) => {
                self.ejecting.agreed = meant;
                return self.input(Input::Eject(self.ejecting.scope)).await;
            }
            (Phase::Idle, true) => Denied::NotNamed,
            _ => Denied::Busy,
        };
        self.tell(Event::Refused { denied, reason: denied.to_string() }).await;
    }

    /// The removal was told: from here on it may be stopped.
    pub(super) fn removal_advanced(&mut self) {
        self.ejecting.told = self.state.phase == Phase::Ejecting;
    }

    /// Stops the removal of the eject under way, and says whether there is one. What runs is ended to its end.
    pub(super) async fn stop_removal(&mut self) -> bool {
        let stops = self.ejecting.told && self.state.phase == Phase::Ejecting && self.state.next.is_none();
        if stops && !self.ejecting.cancel.is_cancelled() {
            self.ejecting.cancel.cancel();
            self.tell(Event::EjectProgressed { step: "Stopping the removal".into() }).await;
        }
        stops
    }

    pub(super) fn survey_everything(&self) {
        let (mut dirs, side) =
            (vec![self.paths.stages(), self.paths.images(), self.paths.direct()], self.side.0.clone());
        dirs.extend(self.record.works());
        let paths = self.paths.clone();
        tokio::task::spawn_blocking(move || {
            dirs.extend(record::left_behind(&paths));
            let surveys = dirs.iter().filter(|d| d.exists()).filter_map(|dir| isoprep::survey(dir).ok()).collect();
            let _ = side.blocking_send(Event::Surveyed { surveys });
        });
    }
}

/// Which step of ending QEMU was needed, and how long it took.
fn end_words(step: EndStep, took: Duration) -> String {
    let what = match step {
        EndStep::Already => "QEMU had ended before",
        EndStep::Quit => "Asked QEMU to quit",
        EndStep::Term => "Sent SIGTERM to QEMU",
        EndStep::Kill => "Sent SIGKILL to QEMU",
    };
    format!("{what}: {:.1} s", took.as_secs_f64())
}

async fn eject(
    job: Option<JoinHandle<Outcome>>,
    guest: Option<Box<GuestHandle>>,
    beside: Option<Beside>,
    what: What,
    side: Sender<Event>,
) -> Outcome {
    let began = Instant::now();
    // A cancelled job answers within two seconds. What it answers no longer matters, but a guest that it started does.
    let started = match job {
        Some(job) => match job.await {
            Ok(Outcome::Started(Ok(guest))) => Some(guest),
            Ok(Outcome::Attached(Ok(joined))) => {
                joined.attached.end().await;
                None
            }
            _ => None,
        },
        None => None,
    };
    let mut problems = Vec::new();
    for guest in guest.into_iter().chain(started) {
        let told = side.clone();
        let pid = guest.pid();
        let _ = guest
            .end(move |step, took: Duration| {
                // The driver is not waiting for us here, so this cannot fill up for long; a lost step is only a line.
                let _ = told.try_send(Event::EjectProgressed { step: end_words(step, took) });
            })
            .await;
        if std::path::Path::new(&format!("/proc/{pid}")).exists() {
            problems.push(format!("QEMU (process {pid}) did not even end at SIGKILL: it is stuck in the kernel"));
        }
    }
    let mut in_use = Vec::new();
    if let Some(beside) = beside
        && timeout(PATIENCE, beside.ended()).await.is_err()
    {
        in_use.push("something still reads for this session and does not end");
    }
    let tally = Arc::new(Tally::default());
    let counted = Arc::clone(&tally);
    let mut removing = tokio::task::spawn_blocking(move || jobs::remove(what, &counted, in_use));
    let mut beat = interval_at(tokio::time::Instant::now() + QUIET, BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let removed = loop {
        tokio::select! {
            removed = &mut removing => break removed,
            _ = beat.tick() => {
                let (path, removed, total) = tally.read();
                // Whoever is behind sees the next one.
                let _ = side.try_send(Event::EjectAdvanced { path, removed, total });
            }
        }
    };
    let mut ejected = match removed {
        Ok((removal, said)) => {
            if !said.is_empty() {
                let _ = side.send(Event::Recovered { what: said }).await;
            }
            Ejected { removal, took: began.elapsed() }
        }
        Err(error) => Ejected::failed(error.to_string()),
    };
    ejected.removal.problems.splice(0..0, problems);
    Outcome::Ejected(Box::new(ejected))
}
