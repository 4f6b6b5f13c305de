//! What can go wrong when an image is written to a disk, and what to do then.

use std::io;
use std::path::PathBuf;

use cartridge_disks::{OpenError, label_size};

/// Why a disk has not got its image.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The image cannot be opened.
    #[error("the image {} cannot be opened: {source}", path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no image.
    #[error("{} is not an image that can be written to a disk: {found}", path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// The image cannot be read to its end.
    #[error("the image {} cannot be read at byte {at}: {source}", path.display())]
    ImageRead {
        /// The image.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody wrote into it meanwhile.
    #[error("the image {} was changed while it was being written", path.display())]
    ImageChanged {
        /// The image.
        path: PathBuf,
    },
    /// It came to nothing before anything was written.
    #[error("{0}; nothing was written")]
    Before(Box<DeployError>),
    /// The disk was refused, or could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Nobody opened the disk for us.
    #[error("/dev/{name} could not be opened for writing:\n{}", said.join("\n"))]
    NoWay {
        /// The disk.
        name: String,
        /// What each who was asked said.
        said: Vec<String>,
    },
    /// The user was asked for a password and gave none.
    #[error("/dev/{name} was not opened: the question for a password was dismissed")]
    Declined {
        /// The disk.
        name: String,
    },
    /// The disk was pulled.
    #[error("/dev/{name} was pulled out or has failed altogether: it is not there any more, after {} of it were written", label_size(*written))]
    Pulled {
        /// The disk.
        name: String,
        /// Bytes of the image that were written.
        written: u64,
    },
    /// It does not take what is written.
    #[error("/dev/{name} could not be written to at byte {at}: {source}")]
    Write {
        /// The disk.
        name: String,
        /// Where.
        at: u64,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be read back.
    #[error("/dev/{name} could not be read back at byte {at}: {source}")]
    Read {
        /// The disk.
        name: String,
        /// Where.
        at: u64,
        /// What the system said.
        source: io::Error,
    },
    /// What is on it is not what was written.
    #[error("/dev/{name} does not hold what was written to it: bytes {from} to {to} differ")]
    Differs {
        /// The disk.
        name: String,
        /// Where the part begins that differs.
        from: u64,
        /// Where it ends.
        to: u64,
    },
    /// It was cancelled.
    #[error("cancelled{}", if *touched { "" } else { " before anything was written" })]
    Cancelled {
        /// Whether something had been written.
        touched: bool,
    },
}

/// Said of a disk that is not what it was, and has no image.
const NOT_BOOTABLE: &str =
    "The disk is now not bootable, and what was on it is gone; write to it again, or format it, before you use it";

impl DeployError {
    /// Whether the disk is not what it was: then it is not bootable.
    #[must_use]
    pub fn touched(&self) -> bool {
        match self {
            Self::ImageRead { .. }
            | Self::ImageChanged { .. }
            | Self::Pulled { .. }
            | Self::Write { .. }
            | Self::Read { .. }
            | Self::Differs { .. } => true,
            Self::Cancelled { touched } => *touched,
            Self::Image { .. }
            | Self::NotAnImage { .. }
            | Self::Before(_)
            | Self::Open(_)
            | Self::NoWay { .. }
            | Self::Declined { .. } => false,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Cancelled { touched: true } => NOT_BOOTABLE.to_owned(),
            _ if self.touched() => format!("{NOT_BOOTABLE}. {}", self.next()),
            _ => self.next(),
        }
    }

    fn next(&self) -> String {
        let next = match self {
            Self::Before(error) => return error.next(),
            Self::Image { .. } => "Build the image, or choose another one",
            Self::NotAnImage { .. } => {
                "Choose an ISO, or the image of a whole disk; what is packed (.xz, .zst, .gz) is unpacked first"
            }
            Self::ImageRead { .. } => "Build or fetch the image again: its own disk may be failing",
            Self::ImageChanged { .. } => "Wait until what writes it has ended, then write it again",
            Self::Open(error) => match error {
                OpenError::Refused { refusal, .. } => return refusal.advice(),
                OpenError::Gone(_) => "Plug it in again, and choose it again",
                OpenError::Another(_) => "Look at the list again, and choose the disk that you mean",
                OpenError::InUse(_) => {
                    "Close what uses it (a file manager, another mount namespace); sudo lsof and lsblk tell more"
                }
                OpenError::Denied { .. } => {
                    "Run Cartridge where an administrator can be asked, or write as root: sudo cartridge deploy"
                }
                OpenError::NoDisk(_) | OpenError::Io { .. } => {
                    "Plug it out and in again; the kernel's log (sudo dmesg) tells more"
                }
            },
            Self::NoWay { .. } => {
                "Install udisks2 and polkit and start a session that they know, or write as root: sudo cartridge deploy"
            }
            Self::Declined { .. } => "Write again, and give the password; nothing was written",
            Self::Pulled { .. } => "Plug it in again, and write again",
            Self::Write { .. } => {
                "Try another port, then another disk: this one may be worn out. The kernel's log (sudo dmesg) tells more"
            }
            Self::Read { .. } | Self::Differs { .. } => {
                "Do not trust this disk: it loses what is written to it, or it pretends to be larger than it is"
            }
            Self::Cancelled { .. } => "Nothing was written",
        };
        next.to_owned()
    }
}
