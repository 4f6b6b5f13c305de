//! Why an image, or a part of one, could not be read.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

/// An image could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {fault}", image.display(), part.as_ref().map(|part| format!(": {part}")).unwrap_or_default())]
pub struct ContentsError {
    /// The file that was read.
    pub image: PathBuf,
    /// The part of it: a file of the image, or "the EFI partition"; `None` for the image as a whole.
    pub part: Option<String>,
    /// What is wrong with it.
    pub fault: Fault,
}

impl ContentsError {
    /// Makes an error about `image` out of what went wrong in one of its parts.
    pub(crate) fn of<'a>(image: &'a Path, part: Option<&'a str>) -> impl Fn(Fault) -> Self + 'a {
        move |fault| Self { image: image.to_path_buf(), part: part.map(str::to_owned), fault }
    }

    /// Whether somebody asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.fault, Fault::Cancelled)
    }
}

/// What is wrong with an image or with a file system in it.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The system did not let us read it.
    #[error("it could not be read: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("it is not {expected}: {why}")]
    Foreign {
        /// "an ISO 9660 image".
        expected: &'static str,
        /// What was found instead.
        why: Cow<'static, str>,
    },
    /// It contradicts itself or its format, or ends too early.
    #[error("it is damaged: {0}\n  Build it again, or copy it again from where it is whole.")]
    Damaged(Cow<'static, str>),
    /// It claims to hold more than any real image does.
    #[error("it claims to hold more than {limit} {what}: that is no image that a build leaves")]
    TooMuch {
        /// What is counted.
        what: &'static str,
        /// The most that is read.
        limit: u64,
    },
    /// A valid format that we cannot read.
    #[error("{0}")]
    Unsupported(Cow<'static, str>),
    /// Somebody asked to stop.
    #[error("reading it was cancelled")]
    Cancelled,
}

impl Fault {
    pub(super) fn damaged(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Damaged(why.into())
    }

    pub(super) fn unsupported(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Unsupported(why.into())
    }
}
