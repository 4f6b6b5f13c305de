//! What a guest can only have if this machine has it and lets this user: a graphics card to draw with, USB devices.

use std::fs;
use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine, run};
use rustix::fs::{Access, access};

use super::UsbId;

/// What `virtio-gl` needs is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRenderNode {
    /// The machine has no graphics card that draws without a screen.
    #[error(
        "gpu = \"virtio-gl\" draws with the graphics card of this machine, and there is no {}/renderD128 or the like: \
         choose virtio or std",
        dir.display()
    )]
    Absent {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// This user may not open it.
    #[error("gpu = \"virtio-gl\" needs {}, which you may not open: sudo usermod -aG render \"$USER\", then log in again", node.display())]
    Denied {
        /// The node.
        node: PathBuf,
    },
    /// QEMU was built or installed without it.
    #[error(
        "gpu = \"virtio-gl\" needs a QEMU with {lacks}, which this one lacks: install it (Debian, Ubuntu: \
         qemu-system-gui; Arch: qemu-hw-display-virtio-vga-gl and qemu-ui-egl-headless; Fedora: \
         qemu-device-display-virtio-vga-gl and qemu-ui-egl-headless), or choose virtio or std"
    )]
    Qemu {
        /// "the device virtio-vga-gl", "the display egl-headless".
        lacks: &'static str,
    },
}

/// Looks for a render node below `root` (normally `/`), and whether `qemu` can draw with it. Blocks for a second at most.
///
/// # Errors
/// [`NoRenderNode`] with what is missing, and what to do.
pub fn find_render_node(root: &Path, qemu: &Path, cancel: &Cancel) -> Result<PathBuf, NoRenderNode> {
    let dir = root.join("dev/dri");
    let mut nodes: Vec<_> = fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    nodes.retain(|node| node.file_name().is_some_and(|name| name.to_string_lossy().starts_with("renderD")));
    nodes.sort();
    let Some(first) = nodes.first() else { return Err(NoRenderNode::Absent { dir }) };
    let open = |node: &&PathBuf| access(node.as_path(), Access::READ_OK | Access::WRITE_OK).is_ok();
    let Some(node) = nodes.iter().find(open) else { return Err(NoRenderNode::Denied { node: first.clone() }) };
    for (option, word, lacks) in [
        ("-device", "\"virtio-vga-gl\"", "the device virtio-vga-gl"),
        ("-display", "egl-headless", "the display egl-headless"),
    ] {
        if !helps(qemu, option, cancel).contains(word) {
            return Err(NoRenderNode::Qemu { lacks });
        }
    }
    Ok(node.clone())
}

/// What `qemu <option> help` prints; nothing where it fails.
fn helps(qemu: &Path, option: &str, cancel: &Cancel) -> String {
    let line = CommandLine::new(qemu).args([option, "help"]);
    run(&line, cancel, |_, _| {})
        .map_or_else(|_| String::new(), |said| String::from_utf8_lossy(&said.stdout).into_owned())
}

/// Why a USB device cannot be handed to a guest, or not yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsbProblem {
    /// It is not plugged in. QEMU waits for it.
    #[error("the USB device {vendor:04x}:{product:04x} is not plugged in; the guest gets it as soon as it is")]
    Absent {
        /// Who made it.
        vendor: u16,
        /// What it is.
        product: u16,
    },
    /// This user may not open it.
    #[error(
        "the USB device {vendor:04x}:{product:04x} is there, and you may not open {}; for now: sudo chown \"$USER\" {}; for \
         good, a line in /etc/udev/rules.d/70-guest.rules: SUBSYSTEM==\"usb\", ATTR{{idVendor}}==\"{vendor:04x}\", \
         ATTR{{idProduct}}==\"{product:04x}\", TAG+=\"uaccess\"",
        node.display(),
        node.display()
    )]
    Denied {
        /// Who made it.
        vendor: u16,
        /// What it is.
        product: u16,
        /// Its device node.
        node: PathBuf,
    },
}

/// Looks whether each of `wanted` is plugged in and may be opened, below `root` (normally `/`), in sysfs's words
/// (Documentation/ABI/testing/sysfs-bus-usb).
#[must_use]
pub fn look_for_usb(root: &Path, wanted: &[UsbId]) -> Vec<UsbProblem> {
    let devices: Vec<_> = fs::read_dir(root.join("sys/bus/usb/devices")).into_iter().flatten().flatten().collect();
    let text = |dir: &Path, name: &str| fs::read_to_string(dir.join(name)).ok().map(|text| text.trim().to_owned());
    let hex = |dir: &Path, name: &str| u16::from_str_radix(&text(dir, name)?, 16).ok();
    let node = |dir: &Path| {
        let number = |name: &str| text(dir, name)?.parse::<u16>().ok();
        Some(root.join(format!("dev/bus/usb/{:03}/{:03}", number("busnum")?, number("devnum")?)))
    };
    let mut problems = Vec::new();
    for &UsbId { vendor, product } in wanted {
        let is_it = |dir: &Path| hex(dir, "idVendor") == Some(vendor) && hex(dir, "idProduct") == Some(product);
        let nodes: Vec<_> =
            devices.iter().map(|it| it.path()).filter(|dir| is_it(dir)).filter_map(|dir| node(&dir)).collect();
        let open = |node: &PathBuf| access(node.as_path(), Access::READ_OK | Access::WRITE_OK).is_ok();
        match nodes.first() {
            None => problems.push(UsbProblem::Absent { vendor, product }),
            Some(node) if !nodes.iter().any(open) => {
                problems.push(UsbProblem::Denied { vendor, product, node: node.clone() });
            }
            Some(_) => {}
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn usb_devices_are_found_or_said_to_be_missing() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for (name, text) in [("idVendor", "1d6b\n"), ("idProduct", "0002\n"), ("busnum", "1\n"), ("devnum", "12\n")] {
            put(root, &format!("sys/bus/usb/devices/1-1/{name}"), text);
        }
        put(root, "sys/bus/usb/devices/1-1:1.0/bInterfaceClass", "09\n");
        let wanted = [UsbId { vendor: 0x1d6b, product: 2 }, UsbId { vendor: 0x1d6b, product: 3 }];
        let said: Vec<_> = look_for_usb(root, &wanted).iter().map(ToString::to_string).collect();
        assert!(said[0].contains("dev/bus/usb/001/012; for now: sudo chown"), "{said:?}");
        assert!(said[0].contains("ATTR{idVendor}==\"1d6b\", ATTR{idProduct}==\"0002\""), "{said:?}");
        assert!(said[1].contains("1d6b:0003 is not plugged in"), "{said:?}");
        put(root, "dev/bus/usb/001/012", "");
        assert_eq!(look_for_usb(root, &wanted), [UsbProblem::Absent { vendor: 0x1d6b, product: 3 }]);
    }

    #[test]
    fn a_card_to_draw_with_is_looked_for_in_the_machine_and_in_qemu() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let look = |qemu: &Path| find_render_node(root, qemu, &Cancel::new());
        let error = look(Path::new("absent")).unwrap_err();
        assert!(error.to_string().contains("renderD128") && matches!(error, NoRenderNode::Absent { .. }), "{error}");
        put(root, "dev/dri/card0", "");
        put(root, "dev/dri/renderD128", "");
        let error = look(Path::new("/absent/qemu")).unwrap_err();
        assert!(error.to_string().contains("qemu-system-gui"), "{error}");
        let fake = root.join("qemu");
        let words = "#!/bin/sh\necho 'name \"virtio-vga-gl\", bus PCI'\n";
        put(root, "qemu", words);
        fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(look(&fake), Err(NoRenderNode::Qemu { lacks: "the display egl-headless" }));
        put(root, "qemu", &format!("{words}echo egl-headless\n"));
        assert_eq!(look(&fake), Ok(root.join("dev/dri/renderD128")));
    }
}
