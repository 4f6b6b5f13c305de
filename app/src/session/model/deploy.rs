//! What a front end knows of disks that an image can be written to.

use std::path::PathBuf;

use isoprep::deploy::{DeployStep, Deployed};

use crate::session::deploy::{DeployEvent, DiskView, ImageView};
use crate::session::event::Failure;
use crate::session::pace::Pace;

/// Disks, and what is being written to one.
#[derive(Clone, Debug, Default)]
pub struct DeployView {
    /// The image that the disks were looked at for.
    pub image: Option<ImageView>,
    /// The disks; `None` until they were seen.
    pub disks: Option<Vec<DiskView>>,
    /// Why they, or the image, cannot be seen.
    pub unseen: Option<Failure>,
    /// What is being written, or was written last.
    pub run: Option<DeployRun>,
}

/// An image that is being written to a disk.
#[derive(Clone, Debug)]
pub struct DeployRun {
    /// The image.
    pub image: PathBuf,
    /// The disk's name.
    pub disk: String,
    /// How far it is.
    pub step: Option<DeployStep>,
    /// How quickly, and how long its stage still takes.
    pub pace: Option<Pace>,
    /// Its end.
    pub end: Option<Result<Deployed, DeployFailure>>,
}

/// Why a disk has not got its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployFailure {
    /// In words.
    pub failure: Failure,
    /// Whether the disk is not what it was.
    pub touched: bool,
    /// Whether that was asked for.
    pub cancelled: bool,
}

impl DeployView {
    /// Folds one event.
    pub(super) fn fold(&mut self, event: &DeployEvent) {
        match event {
            DeployEvent::DisksSeen { image, disks } => {
                self.image.clone_from(image);
                self.disks = Some(disks.clone());
                self.unseen = None;
            }
            DeployEvent::DisksUnseen { failure } => self.unseen = Some(failure.clone()),
            DeployEvent::DeployBegan { image, disk } => {
                let (image, disk) = (image.clone(), disk.clone());
                self.run = Some(DeployRun { image, disk, step: None, pace: None, end: None });
            }
            DeployEvent::DeployAdvanced { step, pace } => {
                if let Some(run) = &mut self.run {
                    (run.step, run.pace) = (Some(*step), *pace);
                }
            }
            DeployEvent::DeployEnded { deployed, .. } => self.end(Ok(deployed.clone())),
            DeployEvent::DeployFailed { failure, touched, cancelled } => {
                let (failure, touched, cancelled) = (failure.clone(), *touched, *cancelled);
                self.end(Err(DeployFailure { failure, touched, cancelled }));
            }
        }
    }

    fn end(&mut self, end: Result<Deployed, DeployFailure>) {
        if let Some(run) = &mut self.run {
            run.end = Some(end);
        }
    }

    /// What is being written right now.
    #[must_use]
    pub fn running(&self) -> Option<&DeployRun> {
        self.run.as_ref().filter(|run| run.end.is_none())
    }
}
