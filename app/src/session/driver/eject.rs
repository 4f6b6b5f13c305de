//! Eject: stop the job, end the guest, remove this session's work; and what removing everything would remove.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use isoprep::Cancel;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use vmtools::{EndStep, GuestHandle};

use super::beside::Beside;
use super::{Driver, millis};
use crate::paths::Paths;
use crate::session::event::{Event, Failure, Level};
use crate::session::failure::exit_code;
use crate::session::jobs::{self, Ejected, Outcome};
use crate::session::record;
use crate::session::state::{EjectScope, Input};

/// How long what uses the cache beside everything else may take to end once it was cancelled: a file system that does not answer
/// may hold it for ever.
const PATIENCE: Duration = Duration::from_secs(10);

impl Driver {
    /// Takes everything that runs out of the driver and ends it in a task of its own.
    pub(super) async fn start_eject(&mut self, scope: EjectScope) {
        self.cancel.cancel();
        self.slots.cancel();
        self.hands_off();
        self.stop_recording().await;
        self.scope = scope;
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
        let what = What { dirs, runtime, everything: scope == EjectScope::Everything, paths: self.paths.clone() };
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
        if ejected.clean {
            let noted = self.record.note(|made| {
                made.runtime = None;
                made.guest = None;
            });
            if let Err(error) = noted {
                self.notice(Level::Warning, format!("The session's record could not be written: {error}")).await;
            }
        }
        if self.scope == EjectScope::Everything {
            self.image = None;
        }
        self.guest_events = None;
        self.attached_events = None;
        self.tell(Event::Ejected { report: ejected.report.clone(), took_ms: millis(ejected.took) }).await;
        if !ejected.clean {
            let left = ejected.report.untouched.iter().map(|u| format!("{}: {}", u.path.display(), u.reason));
            let problems: Vec<String> = ejected.problems.into_iter().chain(left).collect();
            let failure = Failure {
                title: "Not everything could be removed".into(),
                detail: problems.join("\n"),
                advice: Some("End what holds it, then eject again; nothing else was touched".into()),
                command: None,
                pane: None,
                exit_code: exit_code::EJECT,
            };
            self.tell(Event::Failed { failure }).await;
        }
        self.input(Input::Ejected).await;
        if self.quitting {
            self.tell(Event::Closed).await;
            self.closed = true;
        }
    }

    pub(super) fn survey_everything(&self) {
        let (mut dirs, side) =
            (vec![self.paths.stages(), self.paths.images(), self.paths.direct()], self.side.0.clone());
        dirs.extend(self.record.works());
        tokio::task::spawn_blocking(move || {
            let surveys = dirs.iter().filter(|d| d.exists()).filter_map(|dir| isoprep::survey(dir).ok()).collect();
            let _ = side.blocking_send(Event::Surveyed { surveys });
        });
    }
}

/// What an eject removes.
struct What {
    /// This session's work directories.
    dirs: Vec<PathBuf>,
    /// Its guest's sockets.
    runtime: Option<PathBuf>,
    /// Whether caches and images go too.
    everything: bool,
    paths: Paths,
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
    let removed = tokio::task::spawn_blocking(move || {
        let told = |step: String| {
            let _ = side.try_send(Event::EjectProgressed { step });
        };
        let What { mut dirs, runtime, everything, paths } = what;
        if everything && in_use.is_empty() && isoprep::cache_in_use(&paths.stages()) {
            in_use.push("another session is building");
        }
        if everything && in_use.is_empty() {
            dirs.extend([paths.stages(), paths.images(), paths.direct()]);
        }
        let (mut report, mut problems) = jobs::remove(&dirs, runtime.as_deref(), &Cancel::new(), &told);
        let kept = |why| format!("{why}: the caches and images that it uses were not touched");
        problems.extend(in_use.into_iter().map(kept));
        let recovered = record::recover(&paths, &Cancel::new());
        report.removed += recovered.report.removed;
        report.bytes += recovered.report.bytes;
        report.untouched.extend(recovered.report.untouched);
        problems.extend(recovered.problems);
        if !recovered.said.is_empty() {
            let _ = side.blocking_send(Event::Recovered { what: recovered.said });
        }
        (report, problems)
    })
    .await;
    let nothing = isoprep::EjectReport { removed: 0, bytes: 0, untouched: Vec::new() };
    let (report, more) = removed.unwrap_or_else(|error| (nothing, vec![error.to_string()]));
    problems.extend(more);
    let clean = problems.is_empty() && report.untouched.is_empty();
    Outcome::Ejected(Box::new(Ejected { report, took: began.elapsed(), problems, clean }))
}
