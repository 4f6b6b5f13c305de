//! The helper that polkit guards: runs the installed mkarchiso as root for one user, where user namespaces are closed
//! to ordinary users or lend them no ids. pkexec starts it; nothing else should.
//!
//! It is as narrow as it can be:
//! - it takes no arguments, one small JSON document on its standard input, and nothing from its environment but
//!   `PKEXEC_UID`;
//! - every directory that it is given is opened once, following no link, must belong to that user, and is used by its
//!   descriptor from then on: what is renamed or replaced later changes nothing (`request`, `pinned`);
//! - it builds in a directory that only root may enter, and hands over finished images alone (`room`, `results`);
//! - mkarchiso itself, with the scripts of profile and packages, runs as the root of a user namespace. On the host that
//!   root is an id that nobody has (`ids`): it may write that directory, read what everybody may read, and no socket or
//!   file takes it for root or for the user. The rest of the file system is read-only, homes and state are out of sight,
//!   devices and kernel settings are closed (`make`);
//! - the profile is copied with the user's own eyes;
//! - it ends with its standard input, which the caller holds open (`stop`), and leaves nothing; what one that was killed
//!   left, the next removes on request (`room`).
//!
//! What it makes root do is mount, change owners and remove. Scripts of the profile reach the network, and the machine's
//! processors and disk. So polkit must ask for an administrator each time.

mod error;
mod ids;
mod make;
mod pinned;
mod request;
mod results;
mod room;
mod stop;

use std::io::Write;
use std::process::ExitCode;

use error::HelperError;
use pinned::Pinned;
use request::{Build, Request};
use room::Room;

/// How it ends when it refuses or fails itself (sysexits.h, `EX_SOFTWARE`).
const FAILED: u8 = 70;

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Nobody may be left to read it.
            let _ = writeln!(std::io::stderr(), "mkarchiso-helper: {error}");
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
    let request = Request::parse(&stop::request()?)?;
    room::leave_the_host()?;
    let mut cleared = Ok(());
    for path in &request.clear {
        let removed = pinned::marked_directory("clear", path, caller).and_then(|work| room::clear_left(&work));
        if let (Err(error), true) = (&removed, request.build.is_some()) {
            let _ = writeln!(std::io::stderr(), "warning: {} was not cleared: {error}", path.display());
        }
        cleared = cleared.and(removed);
    }
    match &request.build {
        // What a dead one left is in nobody's way.
        Some(build) => image(build, caller),
        None => cleared.map(|()| 0),
    }
}

fn image(request: &Build, caller: u32) -> Result<u8, HelperError> {
    let pinned = Pinned::open(request, caller)?;
    if stop::asked() {
        return Err(HelperError::Stopped);
    }
    let root = ids::free_on_this_host([caller, pinned.profile_gid]).ok_or(HelperError::NoIds)?;
    let room = Room::furnish(&pinned, root)?;
    let made = make::copy_profile(&room, &pinned).and_then(|()| make::mkarchiso(&room, request.source_date_epoch));
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
