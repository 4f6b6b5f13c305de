//! The helper that polkit guards: opens one removable disk as root, for a user who may not, and hands it over opened. pkexec starts
//! it; nothing else should.
//!
//! It is as narrow as it can be:
//! - it takes one small JSON document on its standard input, the name of the disk in it as its only argument, so that who is asked for
//!   a password reads which disk it is for (pkexec(1), `$(command_line)`), and nothing from its environment but `PKEXEC_UID`;
//! - it opens what is a whole disk that can be taken away, has the very number, count and size that the user has said yes to, and
//!   that nothing uses: not the system, no mount, no swap, no other device. This is looked at before and after it is open, by the
//!   same code that the program uses (`cartridge-disks`);
//! - it opens for the caller alone (`O_EXCL`): for as long as the descriptor is open the kernel mounts nothing of that disk;
//! - it writes nothing, reads no file of the user's, and ends at once.
//!
//! What the user gets is that disk, to be overwritten, until it is closed. So polkit must ask for an administrator each time.

mod request;

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;

use cartridge_disks::{OpenError, Policy, Tree};
use request::Request;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// How it ends when it refuses or fails itself (sysexits.h, `EX_SOFTWARE`).
const FAILED: u8 = 70;

/// Why nothing is handed over. The caller shows these to the user as they are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelperError {
    #[error("it takes one argument, the name of a disk, and a request for that disk on its standard input")]
    Arguments,
    #[error("it was not started by pkexec for a user: PKEXEC_UID names none")]
    NoCaller,
    #[error("it is not root: pkexec starts it")]
    NotRoot,
    #[error("the request is not one: {0}")]
    Request(String),
    #[error("the request could not be read: {0}")]
    Read(std::io::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the disk could not be handed over: its standard input is no socket ({0})")]
    HandOver(rustix::io::Errno),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be left to read it.
            let _ = writeln!(std::io::stderr(), "deploy-helper: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn run() -> Result<(), HelperError> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(named), None) = (arguments.next(), arguments.next()) else { return Err(HelperError::Arguments) };
    caller(std::env::var("PKEXEC_UID").ok().as_deref())?;
    if !rustix::process::geteuid().is_root() {
        return Err(HelperError::NotRoot);
    }
    let request = Request::read(std::io::stdin().lock())?;
    // An administrator has agreed to the disk that pkexec showed.
    if named != *request.disk.name {
        return Err(HelperError::Arguments);
    }
    let fd = cartridge_disks::open(&Tree::default(), &request.disk, request.needed, Policy::Removable)?;
    hand_over(std::io::stdin().as_fd(), fd.as_fd())
}

/// Sends the descriptor, with a byte that carries it.
fn hand_over(socket: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<(), HelperError> {
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let sent = rustix::io::retry_on_intr(|| sendmsg(socket, &[IoSlice::new(b"\n")], &mut control, SendFlags::NOSIGNAL));
    sent.map(drop).map_err(HelperError::HandOver)
}

/// The user who asked, as pkexec(1) tells. Root needs no helper.
fn caller(word: Option<&str>) -> Result<u32, HelperError> {
    let uid = word.and_then(|it| it.parse().ok()).ok_or(HelperError::NoCaller)?;
    if uid == 0 { Err(HelperError::NoCaller) } else { Ok(uid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_must_be_a_user() {
        assert_eq!(caller(Some("1000")).ok(), Some(1000));
        for word in [None, Some(""), Some("0"), Some("-1"), Some("me"), Some("4294967296"), Some("1000 ")] {
            assert!(caller(word).is_err(), "{word:?}");
        }
    }
}
