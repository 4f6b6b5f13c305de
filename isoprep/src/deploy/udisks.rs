//! udisks2, the desktop's daemon for disks, over the system bus: it opens a disk for a user whom polkit lets, and switches one off.
//! Its interfaces: <http://storaged.org/doc/udisks2-api/latest/>.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::time::Duration;

use cartridge_disks::{OpenError, Wanted};
use rustix::fs::OFlags;
use zbus::Connection;
use zbus::zvariant::{self, OwnedObjectPath, Value};

use super::ways::NotOpened;
use crate::Cancel;

const SERVICE: &str = "org.freedesktop.UDisks2";
const MANAGER: &str = "/org/freedesktop/UDisks2/Manager";
/// How often somebody who waits for a password looks whether it was cancelled.
const BEAT: Duration = Duration::from_millis(50);
/// How long the daemon may take where it asks nobody.
const PATIENCE: Duration = Duration::from_secs(30);

type Options<'a> = HashMap<&'a str, Value<'a>>;

/// Asks it to open the disk for us alone, and around the page cache. The user may be asked for a password.
pub(super) fn open(disk: &Wanted, cancel: &Cancel) -> Result<OwnedFd, NotOpened> {
    let node = format!("/dev/{}", disk.name);
    let asked = beside(cancel, None, async move {
        let bus = Connection::system().await?;
        let object = object_of(&bus, &node).await?;
        // What the mode does not say (udisks2, `OpenDevice`); it adds O_CLOEXEC.
        let how = (OFlags::EXCL | OFlags::DIRECT | OFlags::NOFOLLOW).bits().cast_signed();
        let options = Options::from([("flags", Value::from(how))]);
        let reply = call(&bus, &object, "Block", "OpenDevice", &("rw", options)).await?;
        let fd: zvariant::OwnedFd = reply.body().deserialize()?;
        Ok(OwnedFd::from(fd))
    });
    match asked {
        None => Err(NotOpened::Cancelled),
        Some(Ok(fd)) => Ok(fd),
        Some(Err(error)) => Err(why(&error, &disk.name)),
    }
}

/// A drive as the daemon knows it: the thing itself, whatever its name becomes.
pub(super) struct Drive(OwnedObjectPath);

/// The drive of a disk. To be asked while the disk is held open: until then its name is nobody else's. In words why not.
pub(super) fn drive_of(name: &str, cancel: &Cancel) -> Result<Drive, String> {
    let node = format!("/dev/{name}");
    told(beside(cancel, Some(PATIENCE), async move {
        let bus = Connection::system().await?;
        let object = object_of(&bus, &node).await?;
        let properties = Some("org.freedesktop.DBus.Properties");
        let which = (format!("{SERVICE}.Block"), "Drive");
        let reply = bus.call_method(Some(SERVICE), &object, properties, "Get", &which).await?;
        let drive: zvariant::OwnedValue = reply.body().deserialize()?;
        Ok(Drive(OwnedObjectPath::try_from(drive)?))
    }))
}

/// Ejects the drive and switches it off, where that can be. In words why not.
pub(super) fn switch_off(Drive(drive): Drive, cancel: &Cancel) -> Result<(), String> {
    told(beside(cancel, Some(PATIENCE), async move {
        let bus = Connection::system().await?;
        // What cannot be ejected may still be switched off.
        let _ = call(&bus, &drive, "Drive", "Eject", &Options::new()).await;
        call(&bus, &drive, "Drive", "PowerOff", &Options::new()).await.map(drop)
    }))
}

fn told<T>(asked: Option<zbus::Result<T>>) -> Result<T, String> {
    asked.ok_or_else(|| "udisks2 does not answer".to_owned())?.map_err(|error| format!("udisks2: {}", said(&error)))
}

async fn object_of(bus: &Connection, node: &str) -> zbus::Result<OwnedObjectPath> {
    let which = Options::from([("path", Value::from(node))]);
    let manager = zvariant::ObjectPath::try_from(MANAGER)?;
    let reply = call(bus, &manager, "Manager", "ResolveDevice", &(which, Options::new())).await?;
    let found: Vec<OwnedObjectPath> = reply.body().deserialize()?;
    found.into_iter().next().ok_or_else(|| zbus::Error::Failure(format!("it does not know {node}")))
}

async fn call(
    bus: &Connection,
    object: &zvariant::ObjectPath<'_>,
    interface: &str,
    method: &str,
    body: &(impl serde::Serialize + zvariant::DynamicType),
) -> zbus::Result<zbus::Message> {
    bus.call_method(Some(SERVICE), object, Some(format!("{SERVICE}.{interface}")), method, body).await
}

/// Does `work` on a thread, because a person may be asked in it, and a bus may not answer. `None` if nobody waits any more.
fn beside<T: Send + 'static>(
    cancel: &Cancel,
    patience: Option<Duration>,
    work: impl Future<Output = zbus::Result<T>> + Send + 'static,
) -> Option<zbus::Result<T>> {
    let (done, answer) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name("udisks".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        // Nobody may wait any more: what was opened is closed then.
        let _ = done.send(match runtime {
            Ok(runtime) => runtime.block_on(work),
            Err(error) => Err(zbus::Error::InputOutput(std::sync::Arc::new(error))),
        });
    });
    if let Err(error) = thread {
        return Some(Err(zbus::Error::InputOutput(std::sync::Arc::new(error))));
    }
    let began = std::time::Instant::now();
    loop {
        match answer.recv_timeout(BEAT) {
            Ok(answer) => return Some(answer),
            Err(mpsc::RecvTimeoutError::Disconnected) => return None,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if cancel.is_cancelled() || patience.is_some_and(|patience| began.elapsed() > patience) {
            return None;
        }
    }
}

/// What an error of the bus means here.
fn why(error: &zbus::Error, disk: &str) -> NotOpened {
    if let zbus::Error::MethodError(name, text, _) = error {
        let text = text.as_deref().unwrap_or_default();
        if name.as_str() == "org.freedesktop.UDisks2.Error.NotAuthorizedDismissed" {
            return NotOpened::Declined;
        }
        // It passes on what the kernel says of its open(2).
        if name.as_str() == "org.freedesktop.UDisks2.Error.DeviceBusy" || text.contains("resource busy") {
            return NotOpened::Refused(OpenError::InUse(disk.to_owned()));
        }
    }
    NotOpened::Unavailable(format!("by udisks2: {}", said(error)))
}

fn said(error: &zbus::Error) -> String {
    match error {
        zbus::Error::MethodError(name, None, _) => name.to_string(),
        zbus::Error::MethodError(name, Some(text), _) => match name.as_str() {
            "org.freedesktop.DBus.Error.ServiceUnknown" => "it is not installed, or does not run".into(),
            _ => text.clone(),
        },
        zbus::Error::InputOutput(error) => format!("there is no system bus ({error})"),
        other => other.to_string(),
    }
}
