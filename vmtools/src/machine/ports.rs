//! Ports for what comes while the guest runs: disks, and the folders of a guest that is resumed. Nothing can be
//! plugged into the root bus of a q35 (`docs/pcie.txt`), so every machine has some PCI Express root ports, empty at the start.

use std::ffi::OsString;

/// How many ports a machine has: each costs the firmware and the kernel a look.
pub(crate) const PORTS: u32 = 4;

/// The name of a port's bus, to plug into.
pub(crate) fn port_name(port: u32) -> String {
    format!("port{port}")
}

/// The devices that make the ports.
pub(super) fn devices() -> impl Iterator<Item = String> {
    (0..PORTS).map(device)
}

/// Arguments for ports beyond those that every machine has, for `folders` folders.
pub(crate) fn folder_ports(folders: u32) -> impl Iterator<Item = OsString> {
    (0..folders).flat_map(|folder| ["-device".into(), device(folder_port(folder)).into()])
}

/// The port that is meant for a folder.
pub(super) const fn folder_port(folder: u32) -> u32 {
    PORTS + folder
}

/// Chassis and slot tell them apart.
fn device(port: u32) -> String {
    let number = port + 1;
    format!("pcie-root-port,id={},chassis={number},slot={number}", port_name(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_another() {
        let devices: Vec<String> = devices().collect();
        assert_eq!(devices.len(), 4);
        assert_eq!(devices[3], "pcie-root-port,id=port3,chassis=4,slot=4");
        let more: Vec<OsString> = folder_ports(2).collect();
        assert_eq!(more[2..], ["-device", "pcie-root-port,id=port5,chassis=6,slot=6"]);
    }
}
