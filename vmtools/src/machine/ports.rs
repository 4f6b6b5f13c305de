//! Ports for disks that come while the guest runs. Nothing can be plugged into the root bus of a q35 (`docs/pcie.txt`),
//! so every machine has some PCI Express root ports, empty at the start.

/// How many ports a machine has: each costs the firmware and the kernel a look.
pub(crate) const PORTS: u32 = 4;

/// The name of a port's bus, to plug into.
pub(crate) fn port_name(port: u32) -> String {
    format!("port{port}")
}

/// The devices that make the ports. Chassis and slot tell them apart.
pub(crate) fn devices() -> impl Iterator<Item = String> {
    (0..PORTS).map(|port| {
        let number = port + 1;
        format!("pcie-root-port,id={},chassis={number},slot={number}", port_name(port))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_another() {
        let devices: Vec<String> = devices().collect();
        assert_eq!(devices.len(), 4);
        assert_eq!(devices[3], "pcie-root-port,id=port3,chassis=4,slot=4");
    }
}
