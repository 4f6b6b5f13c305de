//! Deploy: an image is written to a USB stick or a card, read back, and the stick is made ready to be pulled.
//!
//! A disk that is being written to cannot be started from before all of it was read back and is right: what firmware looks at
//! first, the head, is cleared first and written last. So a deploy that was cancelled, failed or killed leaves a disk that is
//! plainly empty, never one that seems to work.
//!
//! | module | what is there |
//! |---|---|
//! | `image` | the file: what it is, and whether it stays what it was |
//! | `layout` | what is written where, in which order (pure) |
//! | `write` | writing and reading back, on a disk that is open |
//! | `buffer` | memory that a disk reads and writes without the page cache |
//! | `ways` | who opens the disk: we ourselves, udisks2, or the helper that polkit guards |
//! | `udisks`, `helper` | two of them |
//! | `away` | ejecting it |
//! | `error` | what can go wrong, and what to do then |
//!
//! Which disks there are, what uses them and why one is refused is for `cartridge-disks`, which the helper shares.

mod away;
mod buffer;
mod error;
mod helper;
mod image;
mod layout;
mod udisks;
mod ways;
mod write;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cartridge_disks::check_open;
pub use cartridge_disks::{
    Bus, DeviceNumber, Disk, DiskUse, OpenError, Part, Policy, Refusal, Tree, UsedBy, Wanted, label_size, named, scan,
    verdict,
};
use serde::Serialize;

use crate::Cancel;
pub use away::Away;
pub use error::DeployError;
pub use helper::{HELPER, HelperRequest};
pub use image::{DiskImage, Starts};
pub use ways::Way;

/// What is to be written where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployRequest {
    /// The image.
    pub image: PathBuf,
    /// The disk that somebody has said yes to.
    pub disk: Wanted,
    /// Which disks may be written to: what front ends ask for is [`Policy::Removable`].
    pub policy: Policy,
    /// Who may be asked to open it, first first.
    pub ways: Vec<Way>,
    /// Whether it is ejected in the end.
    pub eject: bool,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeployStage {
    /// The disk is being opened; somebody may be asked for a password meanwhile.
    Opening,
    /// The image is being written.
    Writing,
    /// What was written is being read back.
    Verifying,
    /// The disk is being ejected.
    Ejecting,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DeployStep {
    /// What is being done.
    pub stage: DeployStage,
    /// Bytes of that done.
    pub done: u64,
    /// Of how many; 0 where nothing is counted.
    pub total: u64,
}

/// A disk that has the image on it, all of it read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deployed {
    /// Bytes of the image.
    pub bytes: u64,
    /// Who opened the disk.
    pub way: Way,
    /// How long it took, without the question for a password.
    pub took: Duration,
    /// What became of the disk.
    pub away: Away,
}

/// Writes an image to a disk, reads it back, and ejects the disk. Blocks; `tell` is called often.
///
/// # Errors
/// [`DeployError`]; [`DeployError::touched`] says whether the disk is not what it was.
pub fn deploy(
    request: &DeployRequest,
    cancel: &Cancel,
    tell: &mut dyn FnMut(DeployStep),
) -> Result<Deployed, DeployError> {
    let tree = Tree::default();
    let image = DiskImage::open(&request.image)?;
    tell(DeployStep { stage: DeployStage::Opening, done: 0, total: 0 });
    let (fd, way) = ways::open(request, image.bytes(), &tree, cancel)?;
    // Whoever has opened it: it is looked at here, on what is open.
    let disk = check_open(&fd, &tree, &request.disk, image.bytes(), request.policy)?;
    let began = Instant::now();
    write::write(&fd, &disk, &image, &tree, cancel, tell)?;
    tell(DeployStep { stage: DeployStage::Ejecting, done: 0, total: 0 });
    let away = away::away(fd, &disk, request.eject, cancel);
    Ok(Deployed { bytes: image.bytes(), way, took: began.elapsed(), away })
}
