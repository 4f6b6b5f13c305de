//! Eject: stop the job, end the guest, remove this session's work; and the checks that need no state.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use isoprep::Cancel;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;
use vmtools::{EndStep, GuestHandle};

use super::{Driver, accelerator_event, millis};
use crate::paths::Paths;
use crate::session::event::{Event, Failure, Level};
use crate::session::failure::exit_code;
use crate::session::jobs::{self, Ejected, Outcome};
use crate::session::record;
use crate::session::state::{EjectScope, Input};

impl Driver {
    /// Takes everything that runs out of the driver and ends it in a task of its own.
    pub(super) fn start_eject(&mut self, scope: EjectScope) {
        self.cancel.cancel();
        self.hands_off();
        self.scope = scope;
        self.boot_deadline = None;
        self.progress = None;
        let (job, guest, side) = (self.job.take(), self.guest.take(), self.side.0.clone());
        let mut dirs = self.record.works();
        let runtime = self.record.made().runtime.clone();
        if scope == EjectScope::Everything {
            dirs.extend(self.everything());
        }
        self.job = Some(tokio::spawn(eject(job, guest, (dirs, runtime), self.paths.clone(), side)));
    }

    pub(super) async fn ejected(&mut self, ejected: Ejected) {
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
        self.tell(Event::Ejected { report: ejected.report, took_ms: millis(ejected.took) }).await;
        if !ejected.problems.is_empty() {
            let failure = Failure {
                title: "Not everything could be removed".into(),
                detail: ejected.problems.join("\n"),
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

    /// What ejecting everything removes besides this session's work. The caches are shared by all sessions; a build of
    /// another session that loses its cache makes it again.
    fn everything(&self) -> Vec<PathBuf> {
        vec![self.paths.stages(), self.paths.images()]
    }

    pub(super) fn survey_everything(&self) {
        let (mut dirs, side) = (self.everything(), self.side.0.clone());
        dirs.push(self.paths.work());
        tokio::task::spawn_blocking(move || {
            let surveys = dirs.iter().filter(|d| d.exists()).filter_map(|dir| isoprep::survey(dir).ok()).collect();
            let _ = side.blocking_send(Event::Surveyed { surveys });
        });
    }

    pub(super) fn diagnose(&self) {
        let (paths, side) = (self.paths.clone(), self.side.0.clone());
        tokio::task::spawn_blocking(move || {
            let _ = side.blocking_send(Event::Diagnosed { checks: crate::doctor::run(&paths) });
            // The checks have just probed it, so this only reads the answer.
            let choice = vmtools::choose_accelerator(vmtools::AcceleratorWish::Auto, &paths.accelerator());
            let _ = side.blocking_send(accelerator_event(&choice));
        });
    }
}

/// Which step of ending QEMU was needed, and how long it took.
fn end_words(step: EndStep, took: Duration) -> String {
    let what = match step {
        EndStep::Already => "QEMU had ended before",
        EndStep::Quit => "QEMU quit when asked",
        EndStep::Term => "QEMU ended at SIGTERM",
        EndStep::Kill => "QEMU had to be killed",
    };
    format!("{what}: {:.1} s", took.as_secs_f64())
}

async fn eject(
    job: Option<JoinHandle<Outcome>>,
    guest: Option<Box<GuestHandle>>,
    (dirs, runtime): (Vec<PathBuf>, Option<PathBuf>),
    paths: Paths,
    side: Sender<Event>,
) -> Outcome {
    let began = Instant::now();
    // A cancelled job answers within two seconds. What it answers no longer matters, but a guest that it started does.
    let started = match job {
        Some(job) => match job.await {
            Ok(Outcome::Started(Ok(guest))) => Some(guest),
            _ => None,
        },
        None => None,
    };
    for guest in guest.into_iter().chain(started) {
        let told = side.clone();
        guest
            .end(move |step, took: Duration| {
                // The driver is not waiting for us here, so this cannot fill up for long; a lost step is only a line.
                let _ = told.try_send(Event::EjectProgressed { step: end_words(step, took) });
            })
            .await;
    }
    let removed = tokio::task::spawn_blocking(move || {
        let told = |step: String| {
            let _ = side.try_send(Event::EjectProgressed { step });
        };
        let removed = jobs::remove(&dirs, runtime.as_deref(), &Cancel::new(), &told);
        let what = record::recover(&paths, &Cancel::new());
        if !what.is_empty() {
            let _ = side.blocking_send(Event::Recovered { what });
        }
        removed
    })
    .await;
    let nothing = isoprep::EjectReport { removed: 0, bytes: 0, untouched: Vec::new() };
    let (report, problems) = removed.unwrap_or_else(|error| (nothing, vec![error.to_string()]));
    let clean = problems.is_empty() && report.untouched.is_empty();
    Outcome::Ejected(Box::new(Ejected { report, took: began.elapsed(), problems, clean }))
}
