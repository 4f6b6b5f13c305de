//! The helper that polkit guards: runs the installed mkarchiso as root for one user, where user namespaces are closed
//! to ordinary users or lend them no ids. pkexec starts it; nothing else should.
//!
//! It is as narrow as it can be:
//! - it takes no arguments, one small JSON document on its standard input, and nothing from its environment but
//!   `PKEXEC_UID`;
//! - every directory that it is given is opened once, following no link, must belong to that user, and is used by its
//!   descriptor from then on: what is renamed or replaced later changes nothing (`request`, `pinned`);
//! - it builds in a directory that only root may enter, and hands over finished images alone (`room`, `results`);
//! - mkarchiso itself, with the scripts of profile and packages, runs as the root of a user namespace whose powers end
//!   at that directory: the rest of the file system is read-only there, devices and kernel settings are closed
//!   (`make`).
//!
//! Whoever may use it can read every file of this machine, since scripts of the profile run with root's eyes. So polkit
//! must ask for an administrator each time.

mod error;
mod make;
mod pinned;
mod request;
mod results;
mod room;

use std::io::Read;
use std::process::ExitCode;

use error::HelperError;
use pinned::Pinned;
use request::{LONGEST, Request};
use room::Room;

/// How it ends when it refuses or fails itself (sysexits.h, `EX_SOFTWARE`).
const FAILED: u8 = 70;

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("mkarchiso-helper: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// Returns mkarchiso's own exit code.
fn run() -> Result<u8, HelperError> {
    if std::env::args_os().len() > 1 {
        return Err(HelperError::Arguments);
    }
    let caller = caller(std::env::var("PKEXEC_UID").ok().as_deref())?;
    if !rustix::process::geteuid().is_root() {
        return Err(HelperError::NotRoot);
    }
    let parent = rustix::process::getppid();
    let mut text = Vec::new();
    let read = std::io::stdin().take(LONGEST + 1).read_to_end(&mut text);
    read.map_err(|source| HelperError::Io { doing: "read", what: "the request".to_owned(), source })?;
    let request = Request::parse(&text)?;
    room::leave_the_host()?;
    let pinned = Pinned::open(&request, caller)?;
    let room = Room::furnish(&pinned)?;
    let made = make::mkarchiso(&room, request.source_date_epoch, || stopped(&pinned, parent));
    let handed = match &made {
        Ok(0) => results::hand_over(&room, &pinned),
        _ => Ok(()),
    };
    // Whatever happened: what root made must not be left in a user's directory.
    let cleared = room.clear(&pinned);
    let code = made?;
    handed?;
    cleared?;
    Ok(code)
}

/// The user who asked, as pkexec(1) tells. Root needs no helper.
fn caller(word: Option<&str>) -> Result<u32, HelperError> {
    let uid = word.and_then(|it| it.parse().ok()).ok_or(HelperError::NoCaller)?;
    if uid == 0 { Err(HelperError::NoCaller) } else { Ok(uid) }
}

/// Whether the caller wants it to stop: it has made the file `stop`, or it is gone. A signal of the caller's would not
/// do, as this process is root's.
fn stopped(pinned: &Pinned, parent: Option<rustix::process::Pid>) -> bool {
    pinned.out_has("stop") || rustix::process::getppid() != parent
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
