//! Hosts as the doctor judges them: made-up machines, real checks.

use std::path::PathBuf;

use cartridge::doctor::{self, Check, HostProbe, Isolated, Kvm, Purpose, RuntimeDir, UserNamespaces};
use isoprep::EngineKind;

/// A Debian that has everything.
fn good() -> HostProbe {
    let found = |name: &str| match name {
        "QEMU" => "/usr/bin/qemu-system-x86_64".to_owned(),
        "Kernel" => "6.1.0-56-amd64".to_owned(),
        name => format!("/usr/bin/{}", name.to_lowercase().replace(' ', "-")),
    };
    HostProbe {
        os_release: "ID=debian\n".to_owned(),
        display: true,
        found: doctor::checks().iter().map(|it| (it.name.clone(), Some(found(&it.name)))).collect(),
        qemu_version: Some("QEMU emulator version 7.2.22 (Debian)".to_owned()),
        kvm: Kvm::Allowed,
        trial: Some((true, "KVM runs a guest at full speed".to_owned())),
        user_namespaces: UserNamespaces { max: Some(15_000), unprivileged: Some(1), apparmor: None },
        isolated: Isolated::Works { alone: None },
        cache: (PathBuf::from("/home/you/.cache/cartridge"), Some(212 << 30)),
        runtime: RuntimeDir::Good(PathBuf::from("/run/user/1000")),
        memory_mib: (15_872, 9_114),
        cpus: 8,
        ..HostProbe::default()
    }
}

/// A host that is ready.
pub fn ready() -> Vec<Check> {
    doctor::diagnose(&good(), &Purpose::default())
}

/// One that lacks something for a guest with UEFI.
pub fn with_gaps() -> Vec<Check> {
    let mut probe = good();
    for name in ["xorriso", "UEFI firmware"] {
        assert!(probe.found.insert(name.to_owned(), None).is_some(), "{name}");
    }
    probe.trial = Some((false, "KVM is there, but it emulates: 543 ns a step. TCG is faster here.".to_owned()));
    doctor::diagnose(&probe, &Purpose { engine: Some(EngineKind::Micro), uefi: true, ..Purpose::default() })
}

/// One that keeps builds of distributions from being shut in, with long words for it.
pub fn forbidding() -> Vec<Check> {
    let mut probe = good();
    probe.user_namespaces.apparmor = Some(1);
    let why = "a process may not make a user namespace: write /proc/self/uid_map: Operation not permitted. The setting \
               kernel.apparmor_restrict_unprivileged_userns forbids it";
    probe.isolated = Isolated::Refused { why: why.to_owned() };
    doctor::diagnose(&probe, &Purpose { engine: Some(EngineKind::Archiso), uefi: false, ..Purpose::default() })
}
