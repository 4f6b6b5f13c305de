//! What the inserted cartridge's guest gets of this machine, looked at as a boot would: graphics card, USB devices, files.

use std::path::Path;

use isoprep::Cancel;
use vmtools::UsbProblem;

use super::{Check, Purpose, Status};

/// A check for each thing that `purpose` asks for. Blocks for a second at most.
pub(super) fn look(purpose: &Purpose) -> Vec<Check> {
    let root = Path::new("/");
    let mut report = Vec::new();
    let mut tell = |name: &str, status, found: String, why: &str, fix| {
        report.push(Check { name: name.to_owned(), status, found, why: why.to_owned(), fix });
    };
    if purpose.gl {
        let found = vmtools::find_render_node(root, Path::new("qemu-system-x86_64"), &Cancel::new());
        let (status, found) = match found {
            Ok(node) => (Status::Good, node.display().to_string()),
            Err(error) => (Status::Missing, error.to_string()),
        };
        tell("Graphics card", status, found, "draws for this cartridge's guest", None);
    }
    for wanted in &purpose.usb {
        let name = format!("USB device {:04x}:{:04x}", wanted.vendor, wanted.product);
        let (status, found, fix) = match vmtools::look_for_usb(root, &[*wanted]).pop() {
            None => (Status::Good, "plugged in, and you may open it".to_owned(), None),
            Some(problem @ UsbProblem::Absent { .. }) => (Status::Warning, problem.to_string(), None),
            Some(UsbProblem::Denied { node, .. }) => {
                let node = node.display();
                let found = format!("plugged in, and you may not open {node}");
                (Status::Missing, found, Some(format!("sudo chown \"$USER\" {node}")))
            }
        };
        tell(&name, status, found, "is handed to this cartridge's guest", fix);
    }
    for problem in &purpose.files {
        tell("Guest's files", Status::Missing, problem.clone(), "are given to this cartridge's guest", None);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_is_not_looked_for() {
        assert_eq!(look(&Purpose::default()), []);
    }

    #[test]
    fn what_a_guest_cannot_get_is_said() {
        let recipe = "[guest]\nusb = [\"fffe:fffe\"]\nextra_iso = \"none.iso\"\ntpm = true\nfirmware = \"uefi-secure\"";
        let purpose = Purpose::of(&isoprep::parse(recipe, Path::new("/absent")).unwrap());
        assert!(purpose.secure && purpose.uefi && purpose.tpm && !purpose.gl);
        let report = look(&purpose);
        assert_eq!((report[0].name.as_str(), report[0].status), ("USB device fffe:fffe", Status::Warning));
        assert_eq!((report[1].name.as_str(), report[1].status), ("Guest's files", Status::Missing));
        assert!(report[1].found.contains("guest.extra_iso: /absent/none.iso does not exist"), "{report:?}");
    }
}
