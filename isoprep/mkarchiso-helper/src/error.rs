//! Why the helper refused or failed. The caller shows these to the user as they are.

use std::io;
use std::path::PathBuf;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelperError {
    #[error("it takes no arguments, but a request on its standard input")]
    Arguments,
    #[error("it was not started by pkexec for a user: PKEXEC_UID names none")]
    NoCaller,
    #[error("it is not root: pkexec starts it")]
    NotRoot,
    #[error("the request is not one: {0}")]
    Request(String),
    #[error("the request's {what}, {}, {wrong}", path.display())]
    Path { what: &'static str, path: PathBuf, wrong: String },
    #[error("could not {doing} {what}: {source}")]
    Io { doing: &'static str, what: String, source: io::Error },
    #[error("mkarchiso could not be run: {0}")]
    Run(String),
    #[error("another helper is at work in that directory: try again when it has ended")]
    InUse,
    #[error("every range of {} ids is taken on this host: free one of those in /etc/subuid", crate::ids::COUNT)]
    NoIds,
    #[error("stopped, as was asked for")]
    Stopped,
}

impl HelperError {
    pub(crate) fn io(doing: &'static str, what: impl Into<String>) -> impl FnOnce(rustix::io::Errno) -> Self {
        let what = what.into();
        move |errno| Self::Io { doing, what, source: errno.into() }
    }
}
