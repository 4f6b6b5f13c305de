//! A guest as one line for a terminal, to be run without us: *Copy command*. Pure.
//!
//! QEMU shows the screen in a window of its own where there is a desktop; the serial line is the terminal (Ctrl-A X ends
//! it, Ctrl-A C is QEMU's monitor). What a guest has for itself alone (variables, disks that are thrown away, the TPM) is
//! made anew in a temporary folder, which goes with the line's end. The image, kept disks and images of the user's are
//! used where they are. The sandbox is left out: a QEMU that draws a window needs more than it lets.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use cartridge_supervise::CommandLine;

use super::arguments::{Reach, words};
use super::disk::creation;
use super::{Boot, Disk, DiskFormat, Firmware, FirmwareFiles, Machine, Made, RuntimePaths};

/// What the line begins with where something has to be made first: a folder that goes with it. Nothing in it needs quotes.
const FOLDER: &str = "set -e; d=$(mktemp -d); clean() { cd /; rm -rf -- \"$d\"; }; trap clean EXIT; trap exit INT TERM HUP; \
                      cd \"$d\"";
/// Waits until swtpm has opened its socket, ten seconds at most.
const TPM_WAIT: &str = "i=0; while [ ! -S tpm.sock ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done";

/// The line that starts `machine` with `boot`, for a shell. `window` says whether QEMU can open one there.
#[must_use]
pub fn standalone(
    machine: &Machine,
    boot: &Boot,
    qemu: &Path,
    firmware: Option<&FirmwareFiles>,
    window: bool,
) -> String {
    let here = RuntimePaths::new(Path::new(""));
    let (mut machine, mut steps) = (machine.clone(), Vec::new());
    if let Some(files) = firmware.filter(|_| machine.firmware != Firmware::Bios) {
        // Without its mode: the template is often read-only.
        steps.push(format!("cat {} > vars.fd", word(&files.vars)));
    }
    for disk in &mut machine.disks {
        if disk.made != Made::Before {
            *disk = Disk { file: format!("{}.qcow2", disk.name).into(), format: DiskFormat::Qcow2, ..disk.clone() };
        }
        steps.extend(creation(Path::new("qemu-img"), disk).map(|line| line.to_string()));
    }
    if let Boot::Direct { initrds, .. } = boot
        && initrds.len() > 1
    {
        // Each begins at a multiple of four bytes: dd fills its last block up.
        let padded = |initrd: &PathBuf| format!("dd if={} bs=64k conv=sync status=none", word(initrd));
        let all: Vec<_> = initrds.iter().map(padded).collect();
        steps.push(format!("{{ {}; }} > initrd.img", all.join("; ")));
    }
    if machine.tpm {
        let swtpm = "swtpm socket --tpm2 --tpmstate dir=. --ctrl type=unixio,path=tpm.sock --terminate &";
        steps.push(format!("{swtpm} {TPM_WAIT}"));
    }
    let words = words(&machine, boot, &here, firmware, Reach::Terminal { window });
    let line = CommandLine::new(qemu).args(words).to_string();
    if steps.is_empty() {
        return line;
    }
    // swtpm ends with QEMU, and writes into the folder until then.
    let end = if machine.tpm { "; wait" } else { "" };
    let steps: String = steps.iter().map(|step| format!("; {step}")).collect();
    CommandLine::new("sh").args(["-c".to_owned(), format!("{FOLDER}{steps}; {line}{end}")]).to_string()
}

/// A word as a shell reads it back.
fn word(text: impl AsRef<OsStr>) -> String {
    CommandLine::new(text.as_ref()).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::arguments::tests::{disk, machine};
    use super::super::{EnrolledKeys, FlashFormat};
    use super::*;

    fn line(machine: &Machine, boot: &Boot, window: bool) -> String {
        let firmware = FirmwareFiles {
            code: "/fw/CODE.fd".into(),
            code_format: FlashFormat::Raw,
            vars: "/fw/my VARS.fd".into(),
            vars_format: FlashFormat::Raw,
            keys: (machine.firmware == Firmware::UefiSecure).then_some(EnrolledKeys::Test),
        };
        standalone(machine, boot, Path::new("/usr/bin/qemu-system-x86_64"), Some(&firmware), window)
    }

    #[test]
    fn a_plain_machine_is_qemus_line_alone() {
        let iso = Boot::Iso("/images/a b.iso".into());
        let text = line(&machine(), &iso, true);
        assert!(text.starts_with("/usr/bin/qemu-system-x86_64 -name 'guest=demo,"), "{text}");
        for gone in ["-S", "-qmp", "-pidfile", "-sandbox", "-vnc", "-display", "/run/"] {
            assert!(!text.split(' ').any(|word| word.starts_with(gone)), "{gone}: {text}");
        }
        assert!(text.contains("-serial mon:stdio") && text.contains("file=/images/a b.iso"), "{text}");
        assert!(line(&machine(), &iso, false).contains("-display none"));
    }

    #[test]
    fn what_the_guest_has_for_itself_is_made_in_a_folder_that_goes() {
        let kept = disk("system", "/data/it's.qcow2", DiskFormat::Qcow2);
        let machine = Machine {
            firmware: Firmware::UefiSecure,
            tpm: true,
            disks: vec![
                Disk { made: Made::Empty { bytes: 1 << 30 }, ..disk("disk", "/work/1/disk.qcow2", DiskFormat::Qcow2) },
                Disk {
                    made: Made::Over { image: "/my/old disk.img".into(), format: DiskFormat::Raw },
                    ..disk("old", "/work/1/old.qcow2", DiskFormat::Qcow2)
                },
                kept,
            ],
            ..machine()
        };
        let boot = Boot::Direct { kernel: "/k".into(), initrds: vec!["/a".into(), "/b".into()], cmdline: "x y".into() };
        let text = line(&machine, &boot, false);
        assert!(text.starts_with("sh -c '"), "{text}");
        insta::assert_snapshot!("standalone", text.replace("; ", ";\n"));
        assert!(!text.contains("/work/1"), "{text}");
    }
}
