//! Rules about systemd's units in `airootfs`. A link to a unit that is not there is passed over in silence: the service
//! simply does not start.

use std::path::{Path, PathBuf};

use super::finding::{LintFinding, Severity};
use super::known::{Known, plain};
use super::packages::makes_an_image;
use super::rule::Rule;
use super::subject::{Entry, EntryKind};

pub(super) const RULES: &[Rule] = &[
    Rule::new("unit-missing", "a service that is enabled and that nothing brings", unit_missing),
    Rule::new("unit-without-package", "a service that is enabled and whose package is not listed", without_package),
];

/// Which package of Arch has a unit: the file lists of Arch's packages, November 2026, for what live systems enable.
const UNITS: &[(&str, &[&str])] = &[
    ("ModemManager.service", &["modemmanager"]),
    ("NetworkManager.service", &["networkmanager"]),
    ("avahi-daemon.service", &["avahi"]),
    ("bluetooth.service", &["bluez"]),
    ("cloud-config.service", &["cloud-init"]),
    ("cloud-final.service", &["cloud-init"]),
    ("cloud-init-local.service", &["cloud-init"]),
    ("cloud-init-main.service", &["cloud-init"]),
    ("cloud-init-network.service", &["cloud-init"]),
    ("cups.service", &["cups"]),
    ("dhcpcd.service", &["dhcpcd"]),
    ("docker.service", &["docker"]),
    ("gdm.service", &["gdm"]),
    ("hv_fcopy_daemon.service", &["hyperv"]),
    ("hv_kvp_daemon.service", &["hyperv"]),
    ("hv_vss_daemon.service", &["hyperv"]),
    ("iwd.service", &["iwd"]),
    ("libvirtd.service", &["libvirt"]),
    ("lightdm.service", &["lightdm"]),
    ("pcscd.socket", &["pcsclite"]),
    ("qemu-guest-agent.service", &["qemu-guest-agent"]),
    ("reflector.service", &["reflector"]),
    ("sddm.service", &["sddm"]),
    ("sshd.service", &["openssh"]),
    ("vboxservice.service", &["virtualbox-guest-utils", "virtualbox-guest-utils-nox"]),
    ("vmtoolsd.service", &["open-vm-tools"]),
    ("vmware-vmblock-fuse.service", &["open-vm-tools"]),
];

/// The enabled units: links in folders `*.wants` and `*.requires`, each with what it points to, absolute.
fn enabled<'a>(known: &Known<'a>) -> impl Iterator<Item = (&'a Entry, PathBuf)> {
    let is_link = |entry: &'a Entry| match &entry.kind {
        EntryKind::Link(target) => {
            let path = Path::new("/").join(entry.path.strip_prefix("airootfs").ok()?);
            let folder = path.parent()?;
            let wanted = folder.extension().is_some_and(|it| it == "wants" || it == "requires");
            // A link may lead up out of its folder, in the image's root.
            wanted.then(|| (entry, plain(&folder.join(target))))
        }
        _ => None,
    };
    let makes = makes_an_image(known);
    known.below("airootfs/etc/systemd").filter_map(is_link).filter(move |_| makes)
}

fn unit_missing(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for (entry, target) in enabled(known) {
        // Packages put their units into /usr/lib.
        let ours = target.starts_with("/etc/systemd/system")
            || target.starts_with("/root")
            || target.starts_with("/usr/local");
        let is_template = target.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.contains('@'));
        if !ours || is_template || known.item(&target).is_some() || target == Path::new("/dev/null") {
            continue;
        }
        let what = format!("{} is enabled, and nothing puts {} into the image.", name(&target), target.display());
        found.push(
            LintFinding::warning(known.at(entry, None), what, "systemd says nothing, and it does not start.")
                .fixed_by("Leave the link out of the image", known.leave_out(entry)),
        );
    }
    found
}

fn without_package(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for (entry, target) in enabled(known) {
        let unit = name(&target);
        let Some((_, packages)) = UNITS.iter().find(|(name, _)| *name == unit) else { continue };
        if known.item(&target).is_some() || !target.starts_with("/usr/lib/systemd") {
            continue;
        }
        // Something that is listed may bring it: only the databases know.
        if known.packages.closure.is_none() {
            continue;
        }
        let Some(severity) = known.packages.lacks(packages) else { continue };
        let what = format!("{unit} is enabled, and the package {} is not listed.", packages[0]);
        found.push(
            LintFinding::warning(known.at(entry, None), what, "systemd says nothing, and it does not start.")
                .graded(severity.max(Severity::Warning))
                .fixed_by("Leave the link out of the image", known.leave_out(entry)),
        );
    }
    found
}

fn name(unit: &Path) -> String {
    unit.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
