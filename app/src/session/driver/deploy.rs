//! Writes an image to a disk, beside everything else: one at a time, and no state moves by it. The disks are looked at once a second
//! for as long as somebody watches them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use isoprep::Cancel;
use isoprep::deploy::{DeployError, DeployRequest, DeployStep, DiskImage, Policy, Tree, Way, deploy, scan};
use isoprep::{Progress, StageName, Unit};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

use super::{Driver, millis};
use crate::session::deploy::{
    DeployCommand, DeployEvent, DeployImage, DeployWish, DiskView, ImageView, shown, stage_words,
};
use crate::session::event::{Event, Level};
use crate::session::failure;
use crate::session::pace::PaceMaker;

/// How often the disks are looked at while somebody watches.
const LOOK: Duration = Duration::from_secs(1);
/// The least time between two tellings of how far it is.
const BEAT: Duration = Duration::from_millis(150);
/// How long the end of a session waits for a write that was cancelled: a disk may hang in the kernel for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is under way.
#[derive(Default)]
pub(super) struct Deploying {
    watch: Option<Watch>,
    writing: Option<(Cancel, JoinHandle<()>)>,
}

/// A task that looks at the disks, until this is dropped.
struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Driver {
    pub(super) async fn deploy(&mut self, command: DeployCommand) {
        match command {
            DeployCommand::Watch(image) => {
                let image = match image {
                    DeployImage::None => None,
                    DeployImage::At(path) => Some(path),
                    DeployImage::Built => match &self.image {
                        Some(built) => Some(built.image.iso.clone()),
                        None => {
                            let failure = failure::no_built_image();
                            return self.tell(Event::Deploy(DeployEvent::DisksUnseen { failure })).await;
                        }
                    },
                };
                self.deploying.watch = Some(Watch(tokio::spawn(watch(image, self.side.0.clone()))));
            }
            DeployCommand::Unwatch => self.deploying.watch = None,
            DeployCommand::Cancel => {
                if let Some((cancel, _)) = &self.deploying.writing {
                    cancel.cancel();
                }
            }
            DeployCommand::Write(wish) => self.write_to_disk(wish).await,
        }
    }

    async fn write_to_disk(&mut self, wish: DeployWish) {
        if self.deploying.writing.as_ref().is_some_and(|(_, task)| !task.is_finished()) {
            let text = "An image is being written to a disk already: wait for it, or cancel it".into();
            return self.notice(Level::Warning, text).await;
        }
        if !wish.confirmed() {
            let failure = wish.unconfirmed();
            return self
                .tell(Event::Deploy(DeployEvent::DeployFailed { failure, touched: false, cancelled: false }))
                .await;
        }
        let (image, disk) = (wish.image.clone(), wish.disk.name.clone());
        self.tell(Event::Deploy(DeployEvent::DeployBegan { image, disk })).await;
        let (cancel, side) = (Cancel::new(), self.side.0.clone());
        let token = cancel.clone();
        let task = tokio::task::spawn_blocking(move || {
            let event = write(wish, &token, &side);
            // The session may have ended meanwhile.
            let _ = side.blocking_send(Event::Deploy(event));
        });
        self.deploying.writing = Some((cancel, task));
    }

    /// The session ends: what is being written is cancelled, and its end is told.
    pub(super) async fn end_deploy(&mut self) {
        self.deploying.watch = None;
        let Some((cancel, mut task)) = self.deploying.writing.take() else { return };
        cancel.cancel();
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            tokio::select! {
                Some(event) = self.side.1.recv() => self.side_event(event).await,
                _ = &mut task => break,
                () = tokio::time::sleep_until(end) => {
                    let text = "The disk does not answer any more: pull it out".into();
                    return self.notice(Level::Warning, text).await;
                }
            }
        }
        while let Ok(event) = self.side.1.try_recv() {
            self.side_event(event).await;
        }
    }
}

fn write(wish: DeployWish, cancel: &Cancel, side: &Sender<Event>) -> DeployEvent {
    let (began, mut pace, mut last) = (Instant::now(), PaceMaker::default(), None::<(DeployStep, Instant)>);
    let mut tell = |step: DeployStep| {
        let stage = StageName(stage_words(step.stage));
        let new = last.is_none_or(|(before, _)| before.stage != step.stage);
        if new {
            pace.take(&Progress::Started { stage }, millis(began.elapsed()));
        }
        let (done, total) = (step.done, Some(step.total).filter(|total| *total > 0));
        let advanced = Progress::Advanced { stage, done, total, unit: Unit::Bytes, what: None };
        let pace = pace.take(&advanced, millis(began.elapsed()));
        let due = last.is_none_or(|(_, when)| when.elapsed() >= BEAT);
        if new || due || step.done == step.total {
            last = Some((step, Instant::now()));
            let _ = side.blocking_send(Event::Deploy(DeployEvent::DeployAdvanced { step, pace }));
        }
    };
    let DeployWish { image, disk, eject, .. } = wish;
    let name = disk.name.clone();
    // No front end can ask for another policy.
    let policy = Policy::Removable;
    let request = DeployRequest { image: image.clone(), disk, policy, ways: Way::ALL.to_vec(), eject };
    match deploy(&request, cancel, &mut tell) {
        Ok(deployed) => DeployEvent::DeployEnded { image, disk: name, deployed },
        Err(error) => DeployEvent::DeployFailed {
            failure: failure::of_deploy(&error),
            touched: error.touched(),
            cancelled: matches!(error, DeployError::Cancelled { .. }),
        },
    }
}

/// Looks at the disks again and again, and tells what is another than before.
async fn watch(image: Option<PathBuf>, side: Sender<Event>) {
    let mut before = None;
    loop {
        let path = image.clone();
        let Ok(seen) = tokio::task::spawn_blocking(move || look(path.as_deref())).await else { return };
        if before.as_ref() != Some(&seen) {
            let event = match &seen {
                Ok((image, disks)) => DeployEvent::DisksSeen { image: image.clone(), disks: disks.clone() },
                Err(failure) => DeployEvent::DisksUnseen { failure: failure.clone() },
            };
            if side.send(Event::Deploy(event)).await.is_err() {
                return;
            }
            before = Some(seen);
        }
        tokio::time::sleep(LOOK).await;
    }
}

type Seen = Result<(Option<ImageView>, Vec<DiskView>), super::Failure>;

fn look(image: Option<&Path>) -> Seen {
    let view = |path: &Path| Ok(ImageView::of(path.to_owned(), &DiskImage::open(path)?));
    let image = image.map(view).transpose().map_err(|error: DeployError| failure::of_deploy(&error))?;
    let disks = scan(&Tree::default()).map_err(|error| failure::of_disks(&error))?;
    let needed = image.as_ref().map_or(0, |it| it.bytes);
    Ok((image, shown(disks, needed)))
}
