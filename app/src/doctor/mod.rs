//! What this machine has and lacks, each with its reason and its fix: `cartridge doctor` in the terminal and in the window.
//!
//! One source of truth: `packaging/needs.tsv`, the table that `packaging/setup` installs from, is built in and read here.
//! [`HostProbe::gather`] does all I/O; [`diagnose`] is pure, so that every finding can be tested without the machine that
//! has it.
//!
//! - `needs`: the table, parsed.
//! - `distro`: which distribution this is, and how it installs packages.
//! - `probe`: the look at the machine; `look`: where each thing is looked for.
//! - `host`: what is judged besides the table: KVM, user namespaces, space, folders, memory, processors.
//! - `guest`: what the inserted cartridge's guest gets of this machine: graphics card, USB devices, files.
//! - `purpose`: what the inserted cartridge cannot do without.
//! - `elf`: whether a program is static.

mod distro;
mod elf;
mod guest;
mod host;
mod look;
mod needs;
mod probe;
mod purpose;

pub use distro::{Distro, Family};
pub use needs::{Alternative, CheckSpec, Level, Set, checks};
pub use probe::{HostProbe, Isolated, Kvm, Places, RuntimeDir, UserNamespaces};
pub use purpose::Purpose;

use serde::{Deserialize, Serialize};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Good,
    /// Something works less well, or not at all, but the main job does.
    Warning,
    /// The main job does not work without it.
    Missing,
}

/// One line of the doctor's report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at: "xorriso", "KVM".
    pub name: String,
    /// How it came out.
    pub status: Status,
    /// What was found, or where it was looked for: a path, a version, an amount.
    pub found: String,
    /// What it is for.
    pub why: String,
    /// A shell command for this distribution that mends it; `None` where nothing needs mending or no command can.
    pub fix: Option<String>,
}

/// Judges what `probe` saw, for `purpose`: what that cannot do without is missing where it is not there. Pure. The order is
/// the table's, then the machine itself.
#[must_use]
pub fn diagnose(probe: &HostProbe, purpose: &Purpose) -> Vec<Check> {
    let distro = distro::parse(&probe.os_release);
    let mut report = Vec::new();
    let in_report = |spec: &&CheckSpec| matches!(spec.set, Set::Run | Set::Desktop);
    for spec in checks().iter().filter(in_report) {
        let mut check = judge(spec, probe, &distro);
        if spec.name == needs::QEMU {
            host::judge_qemu_version(&mut check, probe.qemu_version.as_deref());
        }
        report.push(check);
    }
    report.extend(window(probe, &distro));
    report.extend(host::judge(probe));
    for check in report.iter_mut().filter(|check| check.status != Status::Good) {
        if check.status == Status::Missing && purpose.does_without(&check.name) {
            check.status = Status::Warning;
        }
        // A rootless build of root's own needs no helpers: whatever maps ids, maps all of them.
        if let Some(who) = purpose.needs(&check.name).filter(|_| !(probe.root && check.name == "subordinate ids")) {
            check.status = Status::Missing;
            check.why.push_str(&format!("; needed by {who}"));
        }
    }
    report.extend(probe.guest.iter().cloned());
    report.extend(probe.mkarchiso.as_ref().map(|way| host::mkarchiso(way, &distro, probe.root)));
    report
}

/// Looks at this machine and judges it for `purpose`, the accelerator's trial included. Blocks for a few seconds at most.
#[must_use]
pub fn run(paths: &crate::paths::Paths, purpose: &Purpose) -> Vec<Check> {
    let mut probe = HostProbe::gather(&Places::from_environment(&paths.data, &paths.cache));
    let choice = vmtools::choose_accelerator(vmtools::AcceleratorWish::Auto, &paths.accelerator());
    probe.trial = Some((choice.accelerator == vmtools::Accelerator::Kvm, choice.reason));
    probe.isolated = Isolated::try_it();
    if purpose.engine == Some(isoprep::EngineKind::Mkarchiso) {
        probe.mkarchiso = Some(probe::way_of_mkarchiso());
    }
    probe.guest = guest::look(purpose);
    diagnose(&probe, purpose)
}

/// The worst status of a report; [`Status::Good`] for an empty one. What `cartridge doctor` ends with.
#[must_use]
pub fn worst(report: &[Check]) -> Status {
    report.iter().map(|check| check.status).max().unwrap_or(Status::Good)
}

fn judge(spec: &CheckSpec, probe: &HostProbe, distro: &Distro) -> Check {
    let found = probe.found.get(&spec.name).cloned().flatten();
    let status = match (&found, spec.level) {
        (Some(_), _) => Status::Good,
        (None, Level::Must) => Status::Missing,
        (None, Level::May) => Status::Warning,
    };
    let fix = if found.is_some() {
        None
    } else if spec.alternatives.contains(&Alternative::Kernel) {
        kernel_fix(probe)
    } else {
        distro.install(spec.packages(distro.family), probe.root)
    };
    Check {
        name: spec.name.clone(),
        status,
        found: found.unwrap_or_else(|| format!("not found; looked for {}", spec.looked_for())),
        why: spec.why.clone(),
        fix,
    }
}

/// A kernel that only root may read is copied; otherwise the set-up script fetches one.
fn kernel_fix(probe: &HostProbe) -> Option<String> {
    let store = probe.kernel_store.as_ref()?;
    if let Some(version) = &probe.unreadable_kernel {
        let folder = store.join(version);
        let folder = shlex_quote(&folder.to_string_lossy());
        return Some(format!(
            "mkdir -p {folder} && sudo cat /boot/vmlinuz-{version} > {folder}/vmlinuz && ln -sfn /lib/modules/{version} {folder}/modules"
        ));
    }
    let setup = probe.setup.as_ref()?;
    Some(format!("{} run", shlex_quote(&setup.to_string_lossy())))
}

/// The window's libraries are one line while all are there, and one line each where some are not.
fn window(probe: &HostProbe, distro: &Distro) -> Vec<Check> {
    let all: Vec<_> = checks().iter().filter(|spec| spec.set == Set::Window).collect();
    let mut lacking: Vec<_> =
        all.iter().map(|spec| judge(spec, probe, distro)).filter(|check| check.status != Status::Good).collect();
    if lacking.is_empty() {
        return vec![Check {
            name: "Window libraries".to_owned(),
            status: Status::Good,
            found: format!("all {}", all.len()),
            why: "open and draw the window".to_owned(),
            fix: None,
        }];
    }
    if !probe.display {
        for check in &mut lacking {
            check.status = Status::Warning;
            check.why.push_str("; there is no display here, and the terminal commands do without");
        }
    }
    lacking
}

/// A word as a shell reads it back.
fn shlex_quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./+:@%=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests;
