//! The helper that the packages install: pkexec starts it as root where an administrator agrees. It looks at everything again, opens
//! the disk, hands the descriptor over its standard input, which is a socket, and ends. It never sees the image.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use cartridge_disks::Wanted;
use cartridge_supervise::{Channel, CommandLine, Exit, Observer, spawn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType, recvmsg, socketpair,
};
use serde::Serialize;

use super::ways::NotOpened;
use crate::Cancel;

/// Where the packages put the helper. polkit's policy names this path.
pub const HELPER: &str = "/usr/lib/cartridge/deploy-helper";
/// How often somebody who waits for a password looks whether it was cancelled.
const BEAT: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// What the helper reads: one JSON document on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HelperRequest<'a> {
    /// The disk that was meant.
    pub disk: &'a Wanted,
    /// Bytes that it must have room for.
    pub needed: u64,
}

struct Deaf;

impl Observer for Deaf {
    fn output(&mut self, _channel: Channel, _bytes: &[u8]) {}
    fn exited(&mut self, _exit: &Exit) {}
}

/// Asks it to open the disk. The user may be asked for a password.
pub(super) fn open(disk: &Wanted, needed: u64, cancel: &Cancel) -> Result<OwnedFd, NotOpened> {
    if !std::path::Path::new(HELPER).exists() {
        return Err(NotOpened::Unavailable(format!("by the helper: {HELPER} is not installed")));
    }
    let failed = |what: String| NotOpened::Unavailable(format!("by the helper: {what}"));
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|it| failed(it.to_string()))?;
    let mut text = serde_json::to_vec(&HelperRequest { disk, needed }).map_err(|it| failed(it.to_string()))?;
    text.push(b'\n');
    rustix::io::retry_on_intr(|| rustix::io::write(&ours, &text)).map_err(|it| failed(it.to_string()))?;
    let line = CommandLine::new("pkexec")
        .arg("--disable-internal-agent")
        .arg(HELPER)
        .arg(&disk.name)
        .stdin_from(Arc::new(theirs));
    let child = spawn(&line, Deaf).map_err(|error| failed(error.source.to_string()))?;
    // Ours of its end goes: the socket ends when the helper does.
    drop(line);
    let got = loop {
        let mut waited = [PollFd::new(&ours, PollFlags::IN)];
        match poll(&mut waited, Some(&BEAT)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => break receive(&ours),
            Err(errno) => return Err(failed(errno.to_string())),
        }
        if cancel.is_cancelled() {
            return Err(NotOpened::Cancelled);
        }
    };
    if let Some(fd) = got {
        return Ok(fd);
    }
    let exit = child.wait(Duration::from_secs(10));
    // pkexec(1): 126 when the dialog was dismissed, 127 when it is not authorised or failed itself.
    match exit.as_ref().and_then(|exit| exit.status.code()) {
        Some(126) => Err(NotOpened::Declined),
        _ => {
            let said = exit.map(|exit| exit.evidence_text()).unwrap_or_default();
            let said = said.trim();
            Err(failed(if said.is_empty() { "it ended without a word".into() } else { said.to_owned() }))
        }
    }
}

/// The descriptor that came with what is there to read.
fn receive(socket: &OwnedFd) -> Option<OwnedFd> {
    let mut byte = [0; 16];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    rustix::io::retry_on_intr(|| recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)).ok()?;
    control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_what_the_helper_reads() {
        let number = cartridge_disks::DeviceNumber { major: 8, minor: 16 };
        let disk = Wanted { name: "sdb".into(), number, sequence: Some(9), bytes: 8_000_000_000 };
        // The same text is in the helper's own test.
        let text =
            r#"{"disk":{"name":"sdb","number":{"major":8,"minor":16},"sequence":9,"bytes":8000000000},"needed":700}"#;
        assert_eq!(serde_json::to_string(&HelperRequest { disk: &disk, needed: 700 }).unwrap(), text);
    }
}
