//! Layers plugged into a running guest: a file of this host as one more read-only disk, on a port that every machine of
//! ours has for that. Our program in the guest mounts what it finds there over the repository, and reports again.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::error::PlugError;
use super::manifest::Plugged;
use crate::guest::Monitor;
use crate::machine::PORTS;
use crate::qmp::{Qmp, QmpError};

/// What the serial number of a layer begins with, by which the guest tells it from other disks; a number follows.
pub const LAYER_SERIAL: &str = "cartridge-layer-";

/// How long a guest may take to let go of a layer.
const RELEASE: Duration = Duration::from_secs(10);
/// How often QEMU is asked whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// Plugs `file`, a squashfs, into the guest. Returns what it is called there; the guest's report follows as an event, if
/// our program runs in it. With no port free, the oldest layer is pulled out first.
///
/// # Errors
/// [`PlugError`]; the guest is as it was.
pub async fn plug_layer(monitor: &Monitor, file: &Path) -> Result<Plugged, PlugError> {
    let _alone = monitor.alone().ok_or(PlugError::Busy)?;
    let file = file.canonicalize().map_err(|source| PlugError::File { path: file.to_owned(), source })?;
    let free = |taken: &[Plugged]| (0..PORTS).find(|port| taken.iter().all(|it| it.port != *port));
    let port = match free(&monitor.plugged()) {
        Some(port) => port,
        None => {
            let oldest = monitor.plugged().into_iter().min_by_key(Plugged::number).ok_or(PlugError::Full(PORTS))?;
            pull(monitor, &oldest).await?;
            oldest.port
        }
    };
    let plugged = Plugged { port, serial: format!("{LAYER_SERIAL}{}", monitor.next_number()), file };
    let qmp = monitor.qmp();
    qmp.execute("blockdev-add", Some(plugged.node())).await?;
    if let Err(error) = qmp.execute("device_add", Some(plugged.device())).await {
        let _ = qmp.execute("blockdev-del", Some(json!({ "node-name": plugged.node_name() }))).await;
        return Err(error.into());
    }
    monitor.plugged_in(plugged.clone());
    Ok(plugged)
}

/// Pulls the layer called `serial` out of the guest: what lay beneath it there is seen again. Programs that have files of
/// it open get errors.
///
/// # Errors
/// [`PlugError`] when there is none of that name, or the guest does not let go of it within ten seconds.
pub async fn unplug(monitor: &Monitor, serial: &str) -> Result<(), PlugError> {
    let _alone = monitor.alone().ok_or(PlugError::Busy)?;
    let plugged = monitor.plugged().into_iter().find(|it| it.serial == serial);
    pull(monitor, &plugged.ok_or_else(|| PlugError::Absent(serial.to_owned()))?).await
}

async fn pull(monitor: &Monitor, plugged: &Plugged) -> Result<(), PlugError> {
    let qmp = monitor.qmp();
    let id = plugged.device_id();
    qmp.execute("device_del", Some(json!({ "id": id }))).await?;
    let until = Instant::now() + RELEASE;
    while is_there(qmp, &id).await? {
        if Instant::now() >= until {
            return Err(PlugError::NotReleased { serial: plugged.serial.clone(), seconds: RELEASE.as_secs() });
        }
        sleep(LOOK).await;
    }
    monitor.pulled_out(plugged);
    // The last reader may still be busy for a moment.
    while let Err(error) = qmp.execute("blockdev-del", Some(json!({ "node-name": plugged.node_name() }))).await {
        if Instant::now() >= until || !matches!(error, QmpError::Refused { .. }) {
            return Err(error.into());
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// Whether QEMU still has a device of that id (`qapi/qom.json`).
async fn is_there(qmp: &Qmp, id: &str) -> Result<bool, QmpError> {
    let devices = qmp.execute("qom-list", Some(json!({ "path": "/machine/peripheral" }))).await?;
    Ok(devices.as_array().into_iter().flatten().any(|it| it.get("name").and_then(Value::as_str) == Some(id)))
}

impl Plugged {
    /// The number in its serial number.
    pub(crate) fn number(&self) -> Option<u32> {
        self.serial.strip_prefix(LAYER_SERIAL)?.parse().ok()
    }

    fn node_name(&self) -> String {
        format!("layer-port{}", self.port)
    }

    fn device_id(&self) -> String {
        format!("layer-port{}-disk", self.port)
    }

    /// The file as a block node (`qapi/block-core.json`, BlockdevOptions).
    fn node(&self) -> Value {
        json!({
            "driver": "raw",
            "node-name": self.node_name(),
            "read-only": true,
            "file": { "driver": "file", "filename": self.file },
        })
    }

    /// The disk that shows it to the guest.
    fn device(&self) -> Value {
        json!({
            "driver": "virtio-blk-pci",
            "id": self.device_id(),
            "drive": self.node_name(),
            "bus": crate::machine::port_name(self.port),
            "serial": self.serial,
        })
    }

    /// The arguments that give a new QEMU the same disk in the same port.
    pub(crate) fn arguments(&self) -> [std::ffi::OsString; 4] {
        // Both options take JSON since QEMU 6.2 (qemu(1)).
        ["-blockdev".into(), self.node().to_string().into(), "-device".into(), self.device().to_string().into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_has_the_same_words_at_the_start_and_later() {
        let plugged = Plugged { port: 2, serial: "cartridge-layer-7".into(), file: "/a,b \"c\"".into() };
        assert_eq!(plugged.number(), Some(7));
        assert_eq!(Plugged { serial: LAYER_SERIAL.into(), ..plugged.clone() }.number(), None);
        let [_, node, _, device] = plugged.arguments();
        let node: Value = serde_json::from_str(node.to_str().unwrap()).unwrap();
        assert_eq!(node["file"]["filename"], "/a,b \"c\"");
        assert!(device.to_str().unwrap().contains("\"serial\":\"cartridge-layer-7\""));
        assert!(format!("{LAYER_SERIAL}9999").len() <= 20, "virtio takes no longer serial number");
    }
}
