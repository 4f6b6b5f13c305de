//! What is judged besides the table: QEMU's age, KVM, user namespaces, space, the runtime folder, memory, processors. Pure.

use isoprep::mkarchiso::{Mend, NoWay};

use super::probe::{HostProbe, Isolated, Kvm, RuntimeDir};
use super::purpose::{LENT_IDS, USER_NAMESPACES};
use super::{Check, Distro, Family, Status};

/// The oldest QEMU that is expected to do; Ubuntu 22.04's. Older ones lack what the screen and the disk need.
const OLDEST_QEMU: (u32, u32) = (6, 2);
/// Under this much free space even the built-in cartridge may fail, MiB.
const SPACE_TOO_LITTLE: u64 = 300;
/// Under this much free space a larger cartridge will fail, MiB.
const SPACE_SCARCE: u64 = 2048;
/// Under this much memory even a small guest starves, MiB.
const MEMORY_TOO_LITTLE: u64 = 512;
/// Under this much memory guests get less than the usual 4 GiB and the machine may swap, MiB.
const MEMORY_SCARCE: u64 = 2048;

const MIB: u64 = 1024 * 1024;

/// Adds QEMU's version to its check, and lowers the status of an old one.
pub(super) fn judge_qemu_version(check: &mut Check, line: Option<&str>) {
    if check.status != Status::Good {
        return;
    }
    match line.and_then(qemu_version) {
        Some(version) => {
            check.found = format!("{}.{}, {}", version.0, version.1, check.found);
            if version < OLDEST_QEMU {
                check.status = Status::Warning;
                check.found.push_str(&format!("; older than {}.{}", OLDEST_QEMU.0, OLDEST_QEMU.1));
            }
        }
        None => {
            check.status = Status::Warning;
            check.found.push_str("; it does not tell its version");
            check.fix =
                Some(format!("{} --version", super::shlex_quote(check.found.split(';').next().unwrap_or_default())));
        }
    }
}

/// From "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)".
fn qemu_version(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.strip_prefix("QEMU emulator version ")?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The machine itself.
pub(super) fn judge(probe: &HostProbe) -> Vec<Check> {
    let lent = lent_ids(probe);
    let mut report = vec![kvm(probe), user_namespaces(probe)];
    report.extend(lent);
    report.extend([space(probe), runtime(probe), memory(probe), processors(probe)]);
    report
}

fn check(name: &str, status: Status, found: impl Into<String>, why: &str, fix: Option<&str>) -> Check {
    Check { name: name.to_owned(), status, found: found.into(), why: why.to_owned(), fix: fix.map(str::to_owned) }
}

fn amount(there: u64, too_little: u64, scarce: u64) -> Status {
    if there < too_little {
        Status::Missing
    } else if there < scarce {
        Status::Warning
    } else {
        Status::Good
    }
}

fn kvm(probe: &HostProbe) -> Check {
    let why = "runs the guest at full speed; without it everything works, several times slower";
    let (status, found, fix) = match (&probe.kvm, &probe.trial) {
        (_, Some((true, sentence))) => (Status::Good, sentence.clone(), None),
        (Kvm::Absent, _) => (
            Status::Warning,
            "no /dev/kvm: turn on virtualisation (VT-x or AMD-V) in the firmware".to_owned(),
            Some("sudo modprobe -a kvm_intel kvm_amd"),
        ),
        (Kvm::Denied, _) => (
            Status::Warning,
            "/dev/kvm is there, and you may not open it".to_owned(),
            Some("sudo usermod -aG kvm \"$USER\"   # then log in again"),
        ),
        (Kvm::Allowed, Some((false, sentence))) => (Status::Warning, sentence.clone(), None),
        (Kvm::Allowed, None) => (
            Status::Good,
            "/dev/kvm can be opened; a trial before the first boot shows whether it works".to_owned(),
            None,
        ),
    };
    check("KVM", status, found, why, fix)
}

fn user_namespaces(probe: &HostProbe) -> Check {
    let seen = &probe.user_namespaces;
    let (status, found, fix) = if seen.max.is_none_or(|max| max == 0) {
        (Status::Warning, "user.max_user_namespaces is 0 or absent", Some("sudo sysctl user.max_user_namespaces=15000"))
    } else if probe.root {
        (Status::Good, "allowed", None)
    } else if seen.unprivileged == Some(0) {
        (
            Status::Warning,
            "kernel.unprivileged_userns_clone is 0",
            Some("sudo sysctl kernel.unprivileged_userns_clone=1"),
        )
    } else if seen.apparmor == Some(1) {
        (
            Status::Warning,
            "AppArmor takes their capabilities away",
            Some("sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
        )
    } else {
        (Status::Good, "allowed", None)
    };
    let why = "let builds mount and own files without root";
    match &probe.isolated {
        Isolated::Untried => check(USER_NAMESPACES, status, found, why, fix),
        // What happens counts more than what the settings say.
        Isolated::Works { .. } => check(USER_NAMESPACES, Status::Good, "allowed", why, None),
        Isolated::Refused { why: said } => check(USER_NAMESPACES, Status::Warning, said.clone(), why, fix),
    }
}

/// Which users exist in a build's namespace; nothing is said where there is none.
fn lent_ids(probe: &HostProbe) -> Option<Check> {
    let why = "let files of an image belong to users other than root";
    match &probe.isolated {
        Isolated::Untried | Isolated::Refused { .. } => None,
        Isolated::Works { alone: None } => {
            let found =
                if probe.root { "not needed: root has all of them" } else { "lent by /etc/subuid and /etc/subgid" };
            Some(check(LENT_IDS, Status::Good, found, why, None))
        }
        Isolated::Works { alone: Some(reason) } => {
            let (found, mend) =
                reason.split_once("; sudo ").map_or((reason.as_str(), None), |(found, mend)| (found, Some(mend)));
            let fix = mend.map(|mend| format!("sudo {}", mend.replace("$USER", "\"$USER\"")));
            Some(check(LENT_IDS, Status::Warning, found, why, fix.as_deref()))
        }
    }
}

/// The way that mkarchiso would run, for a cartridge that wants it.
pub(super) fn mkarchiso(way: &Result<String, NoWay>, distro: &Distro, root: bool) -> Check {
    let (status, found, fix) = match way {
        Ok(sentence) => (Status::Good, sentence.clone(), None),
        Err(no) => (Status::Missing, no.to_string(), open_way(&no.mend, distro, root)),
    };
    check("mkarchiso", status, found, "is this cartridge's engine", fix.as_deref())
}

/// The command that lets mkarchiso run. Only Arch has it; elsewhere a container of Arch does.
fn open_way(mend: &Mend, distro: &Distro, root: bool) -> Option<String> {
    match mend {
        Mend::Install { .. } if distro.family == Some(Family::Pacman) => distro.install(&["archiso".to_owned()], root),
        Mend::Install { container, podman: false, .. } => Some(container.clone()),
        Mend::Install { container, podman: true, .. } => {
            let podman = distro.install(&["podman".to_owned()], root)?;
            Some(format!("{podman} && {container}"))
        }
        // The check of what does not work has its own.
        Mend::Reasons => None,
    }
}

fn space(probe: &HostProbe) -> Check {
    let why = "holds images and what makes the next build fast";
    let folder = probe.cache.0.display();
    let Some(mib) = probe.cache.1.map(|bytes| bytes / MIB) else {
        return check("Disk space", Status::Warning, format!("unknown for {folder}"), why, None);
    };
    let status = amount(mib, SPACE_TOO_LITTLE, SPACE_SCARCE);
    let fix = (status != Status::Good).then_some("cartridge eject --everything");
    check("Disk space", status, format!("{mib} MiB free in {folder}"), why, fix)
}

fn runtime(probe: &HostProbe) -> Check {
    let why = "holds the guest's sockets, where only you can reach them";
    let make = "export XDG_RUNTIME_DIR=\"$(mktemp -d)\"";
    match &probe.runtime {
        RuntimeDir::Good(folder) => check("Runtime folder", Status::Good, folder.display().to_string(), why, None),
        RuntimeDir::Unset => {
            let found = "XDG_RUNTIME_DIR is not set; a private folder in the temporary folder is used";
            check("Runtime folder", Status::Warning, found, why, Some(make))
        }
        RuntimeDir::Bad(folder, reason) => {
            check("Runtime folder", Status::Warning, format!("{}: {reason}", folder.display()), why, Some(make))
        }
    }
}

fn memory(probe: &HostProbe) -> Check {
    let (total, available) = probe.memory_mib;
    let status = amount(available, MEMORY_TOO_LITTLE, MEMORY_SCARCE);
    let why = "is shared with the guest, which gets 4 GiB or what can be spared";
    check("Memory", status, format!("{available} of {total} MiB available"), why, None)
}

fn processors(probe: &HostProbe) -> Check {
    let status = if probe.cpus < 2 { Status::Warning } else { Status::Good };
    check(
        "Processors",
        status,
        probe.cpus.to_string(),
        "are shared with the guest, which gets 4 or as many as there are",
        None,
    )
}
