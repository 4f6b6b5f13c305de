//! What the kernel tells of devices that come and go (netlink(7), `NETLINK_KOBJECT_UEVENT`).

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

/// The longest message, bytes (Linux, include/linux/kobject.h, `UEVENT_BUFFER_SIZE`, and its headers).
const LONGEST: usize = 8192;
/// The group that the kernel sends to itself; udev sends to another.
const KERNEL: u32 = 1;

/// The kernel's messages.
pub(crate) struct Uevents(OwnedFd);

/// One of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Uevent {
    /// "add", "remove", "change" …
    pub(crate) action: String,
    /// "block", "pci" …
    pub(crate) subsystem: String,
    /// What finds a driver for the device.
    pub(crate) modalias: Option<String>,
    /// The machine says that it is another one now (Linux 6.10, drivers/virt/vmgenid.c).
    pub(crate) another_machine: bool,
}

impl Uevents {
    /// Opens the line; messages wait in it from then on.
    pub(crate) fn open() -> io::Result<Self> {
        let line = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(KOBJECT_UEVENT))?;
        bind(&line, &SocketAddrNetlink::new(0, KERNEL))?;
        Ok(Self(line))
    }

    /// Waits for the next message. `None`: some were lost, or could not be understood.
    pub(crate) fn next(&self) -> io::Result<Option<Uevent>> {
        let mut buffer = [0_u8; LONGEST];
        match recv(&self.0, &mut buffer, RecvFlags::empty()) {
            Ok((length, _)) => Ok(parse(&buffer[..length])),
            Err(Errno::NOBUFS | Errno::INTR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

/// Understands `add@/devices/…`, NUL, `ACTION=add`, NUL, ….
fn parse(message: &[u8]) -> Option<Uevent> {
    let mut parts = message.split(|&byte| byte == 0);
    parts.next().filter(|head| head.contains(&b'@'))?;
    let mut event = Uevent::default();
    for part in parts {
        let Some((key, value)) = std::str::from_utf8(part).ok().and_then(|part| part.split_once('=')) else { continue };
        match key {
            "ACTION" => value.clone_into(&mut event.action),
            "SUBSYSTEM" => value.clone_into(&mut event.subsystem),
            "MODALIAS" => event.modalias = Some(value.to_owned()),
            "NEW_VMGENID" => event.another_machine = true,
            _ => {}
        }
    }
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_understood_and_strange_ones_passed_over() {
        let message = b"add@/devices/pci0000:00/x\0ACTION=add\0SUBSYSTEM=pci\0MODALIAS=pci:v00001AF4d\0SEQNUM=7\0";
        let event = parse(message).unwrap();
        assert_eq!((&*event.action, &*event.subsystem), ("add", "pci"));
        assert_eq!(event.modalias.as_deref(), Some("pci:v00001AF4d"));
        assert!(parse(b"change@/devices/x\0NEW_VMGENID=1\0").unwrap().another_machine);
        // What udev sends begins so.
        assert_eq!(parse(b"libudev\0\xfe\xed\xca\xfe"), None);
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"a@b\0\xff=\0=\0x"), Some(Uevent::default()));
    }
}
