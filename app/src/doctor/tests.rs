//! The verdicts, on made-up machines, and one look at this one.

use std::path::{Path, PathBuf};

use cartridge_supervise::IdMap;
use isoprep::mkarchiso::{self, Facts, HelperFact, NamespaceFact, PodmanFact};

use super::*;

const DEBIAN: &str = "ID=debian\n";

/// A machine that has everything.
fn good(os_release: &str) -> HostProbe {
    HostProbe {
        os_release: os_release.to_owned(),
        display: true,
        found: checks().iter().map(|spec| (spec.name.clone(), Some("/there".to_owned()))).collect(),
        qemu_version: Some("QEMU emulator version 8.2.2 (Debian)".to_owned()),
        kernel_store: Some(PathBuf::from("/home/a b/kernels")),
        kvm: Kvm::Allowed,
        user_namespaces: UserNamespaces { max: Some(1000), unprivileged: Some(1), apparmor: None },
        cache: (PathBuf::from("/cache"), Some(1 << 40)),
        runtime: RuntimeDir::Good(PathBuf::from("/run/user/1")),
        memory_mib: (16000, 8000),
        cpus: 4,
        ..HostProbe::default()
    }
}

fn without(mut probe: HostProbe, name: &str) -> HostProbe {
    assert!(probe.found.insert(name.to_owned(), None).is_some(), "no need {name}");
    probe
}

fn find(report: &[Check], name: &str) -> Check {
    report.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no {name} in {report:?}")).clone()
}

#[test]
fn a_good_machine_is_good_and_has_no_fixes() {
    let report = diagnose(&good(DEBIAN), &Purpose::default());
    assert_eq!(worst(&report), Status::Good, "{report:#?}");
    assert!(report.iter().all(|check| check.fix.is_none() && !check.found.is_empty() && !check.why.is_empty()));
    assert!(find(&report, "QEMU").found.starts_with("8.2, "));
    assert_eq!(find(&report, "Window libraries").status, Status::Good);
    assert!(!report.iter().any(|check| check.name == "Xvfb" || check.name == "Rust"), "a user needs no tests' tools");
}

#[test]
fn what_is_missing_comes_with_this_distributions_command() {
    let fix = |os: &str| find(&diagnose(&without(good(os), "xorriso"), &Purpose::default()), "xorriso").fix;
    assert_eq!(fix(DEBIAN).as_deref(), Some("sudo apt-get install --no-install-recommends xorriso"));
    assert_eq!(fix("ID=arch").as_deref(), Some("sudo pacman -S --needed libisoburn"));
    assert_eq!(fix("ID=fedora").as_deref(), Some("sudo dnf install xorriso"));
    assert_eq!(fix("ID=nixos"), None);
    let check = find(&diagnose(&without(good(DEBIAN), "xorriso"), &Purpose::default()), "xorriso");
    assert_eq!(check.status, Status::Missing);
    assert!(check.found.contains("the program xorriso"), "{}", check.found);
}

#[test]
fn what_can_be_done_without_is_a_warning() {
    for name in ["UEFI firmware", "Desktop portal", "squashfs tools"] {
        let report = diagnose(&without(good(DEBIAN), name), &Purpose::default());
        assert_eq!((find(&report, name).status, worst(&report)), (Status::Warning, Status::Warning), "{name}");
    }
}

#[test]
fn what_the_inserted_cartridges_engine_cannot_do_without_is_missing() {
    let archiso = Purpose { engine: Some(isoprep::EngineKind::Archiso), uefi: false, ..Purpose::default() };
    let without_pacman = without(good(DEBIAN), "pacman");
    let check = find(&diagnose(&without_pacman, &archiso), "pacman");
    assert_eq!(check.status, Status::Missing);
    assert!(check.why.ends_with("needed by this cartridge's engine, archiso"), "{}", check.why);
    let micro = Purpose { engine: Some(isoprep::EngineKind::Micro), uefi: true, ..Purpose::default() };
    assert_eq!(find(&diagnose(&without_pacman, &micro), "pacman").status, Status::Warning);
    for (purpose, status) in [(&micro, Status::Missing), (&archiso, Status::Warning)] {
        assert_eq!(find(&diagnose(&without(good(DEBIAN), "Kernel"), purpose), "Kernel").status, status);
    }
    let firmware = find(&diagnose(&without(good(DEBIAN), "UEFI firmware"), &micro), "UEFI firmware");
    assert_eq!(firmware.status, Status::Missing);
    let guarded = Purpose { secure: true, tpm: true, ..micro };
    for name in ["Secure Boot firmware", "swtpm"] {
        let bare = without(good(DEBIAN), name);
        assert_eq!(find(&diagnose(&bare, &guarded), name).status, Status::Missing, "{name}");
        assert_eq!(find(&diagnose(&bare, &archiso), name).status, Status::Warning, "{name}");
    }
    for engine in [isoprep::EngineKind::Archiso, isoprep::EngineKind::Debian, isoprep::EngineKind::Tree] {
        for spec in checks() {
            // Names in the code are names of the table.
            let purpose = Purpose { engine: Some(engine), uefi: true, ..Purpose::default() };
            assert!(
                spec.level == Level::May || purpose.needs(&spec.name).is_none(),
                "{} is necessary anyway",
                spec.name
            );
        }
    }
}

#[test]
fn user_namespaces_are_judged_by_trial_and_lent_ids_come_with_their_command() {
    let archiso = Purpose { engine: Some(isoprep::EngineKind::Archiso), uefi: false, ..Purpose::default() };
    let mut probe = good(DEBIAN);
    probe.user_namespaces.apparmor = Some(1);
    probe.isolated = Isolated::Works { alone: None };
    assert_eq!(find(&diagnose(&probe, &archiso), "User namespaces").status, Status::Good, "it works all the same");
    assert_eq!(find(&diagnose(&probe, &archiso), "Lent ids").status, Status::Good);

    let why = "/etc/subuid lends no ids to this user; sudo usermod --add-subuids 100000-165535 $USER";
    probe.isolated = Isolated::Works { alone: Some(why.to_owned()) };
    let check = find(&diagnose(&probe, &archiso), "Lent ids");
    assert_eq!((check.status, check.found.as_str()), (Status::Missing, "/etc/subuid lends no ids to this user"));
    assert_eq!(check.fix.as_deref(), Some("sudo usermod --add-subuids 100000-165535 \"$USER\""));
    assert_eq!(find(&diagnose(&probe, &Purpose::default()), "Lent ids").status, Status::Warning);

    probe.isolated = Isolated::Refused { why: "could not make namespaces: the setting x forbids it".to_owned() };
    let check = find(&diagnose(&probe, &archiso), "User namespaces");
    assert_eq!(check.status, Status::Missing);
    assert!(check.found.contains("the setting x") && check.fix.unwrap().contains("apparmor"), "{}", check.found);
}

#[test]
fn mkarchiso_says_which_way_it_would_take() {
    let mut probe = good(DEBIAN);
    assert!(!diagnose(&probe, &Purpose::default()).iter().any(|check| check.name == "mkarchiso"));
    let facts = |podman| Facts {
        tool: None,
        missing: Vec::new(),
        namespaces: NamespaceFact::Work(IdMap::Same),
        podman,
        helper: HelperFact::Absent,
    };
    let image = "archiso".to_owned();
    let none = |podman| Some(Err(mkarchiso::choose(&facts(podman)).unwrap_err()));
    let fix = |probe: &HostProbe| {
        let check = find(&diagnose(probe, &Purpose::default()), "mkarchiso");
        assert_eq!(check.status, Status::Missing);
        check.fix.unwrap()
    };
    probe.mkarchiso = none(PodmanFact::NoImage { image: image.clone() });
    assert!(fix(&probe).starts_with("podman run ") && fix(&probe).contains("podman commit archiso archiso"));
    probe.mkarchiso = none(PodmanFact::Absent);
    let install = "sudo apt-get install --no-install-recommends podman && podman run ";
    assert!(fix(&probe).starts_with(install), "{}", fix(&probe));
    let mut arch = good("ID=arch\n");
    arch.mkarchiso = none(PodmanFact::Absent);
    assert_eq!(fix(&arch), "sudo pacman -S --needed archiso");
}

#[test]
fn window_libraries_are_missing_with_a_display_and_a_warning_without() {
    let mut probe = without(good(DEBIAN), "EGL");
    let check = find(&diagnose(&probe, &Purpose::default()), "EGL");
    assert_eq!(check.status, Status::Missing);
    assert_eq!(check.fix.as_deref(), Some("sudo apt-get install --no-install-recommends libegl1"));
    probe.display = false;
    let report = diagnose(&probe, &Purpose::default());
    assert_eq!(find(&report, "EGL").status, Status::Warning);
    assert!(!report.iter().any(|check| check.name == "Window libraries" || check.name == "OpenGL"));
}

#[test]
fn a_missing_kernel_is_copied_where_only_root_reads_it_or_else_fetched() {
    let mut probe = without(good(DEBIAN), "Kernel");
    assert_eq!(find(&diagnose(&probe, &Purpose::default()), "Kernel").fix, None, "no set-up script to name");
    probe.setup = Some(PathBuf::from("/usr/share/cartridge/setup"));
    assert_eq!(
        find(&diagnose(&probe, &Purpose::default()), "Kernel").fix.as_deref(),
        Some("/usr/share/cartridge/setup run")
    );
    probe.unreadable_kernel = Some("6.8.0-41-generic".to_owned());
    assert_eq!(
        find(&diagnose(&probe, &Purpose::default()), "Kernel").fix.as_deref(),
        Some(
            "mkdir -p '/home/a b/kernels/6.8.0-41-generic' && sudo cat /boot/vmlinuz-6.8.0-41-generic > \
             '/home/a b/kernels/6.8.0-41-generic'/vmlinuz && ln -sfn /lib/modules/6.8.0-41-generic \
             '/home/a b/kernels/6.8.0-41-generic'/modules"
        )
    );
}

#[test]
fn qemu_is_judged_by_its_version() {
    let with = |version: Option<&str>| {
        let mut probe = good(DEBIAN);
        probe.qemu_version = version.map(str::to_owned);
        find(&diagnose(&probe, &Purpose::default()), "QEMU")
    };
    assert_eq!(with(Some("QEMU emulator version 6.2.0")).status, Status::Good);
    let old = with(Some("QEMU emulator version 5.2.0 (Debian 1:5.2+dfsg-11)"));
    assert_eq!(old.status, Status::Warning);
    assert!(old.found.contains("older than 6.2"), "{}", old.found);
    for odd in [None, Some(""), Some("QEMU emulator version"), Some("QEMU emulator version x.y")] {
        let check = with(odd);
        assert_eq!((check.status, check.fix.as_deref()), (Status::Warning, Some("/there --version")), "{odd:?}");
    }
    let gone = find(&diagnose(&without(good(DEBIAN), "QEMU"), &Purpose::default()), "QEMU");
    assert_eq!(gone.status, Status::Missing);
}

#[test]
fn kvm_is_never_missing_and_a_trial_has_the_last_word() {
    let with = |kvm: Kvm, trial: Option<(bool, &str)>| {
        let mut probe = good(DEBIAN);
        (probe.kvm, probe.trial) = (kvm, trial.map(|(works, sentence)| (works, sentence.to_owned())));
        find(&diagnose(&probe, &Purpose::default()), "KVM")
    };
    assert_eq!(with(Kvm::Absent, None).status, Status::Warning);
    assert!(with(Kvm::Denied, None).fix.unwrap().contains("usermod -aG kvm"));
    assert_eq!(with(Kvm::Allowed, None).status, Status::Good);
    assert_eq!(with(Kvm::Allowed, Some((true, "KVM works"))).found, "KVM works");
    let emulated = with(Kvm::Allowed, Some((false, "KVM is emulated here")));
    assert_eq!((emulated.status, emulated.found.as_str()), (Status::Warning, "KVM is emulated here"));
}

#[test]
fn little_of_something_is_said() {
    type Change = fn(&mut HostProbe);
    let cases: [(&str, Status, Change); 9] = [
        ("Disk space", Status::Warning, |p| p.cache.1 = Some(1 << 30)),
        ("Disk space", Status::Missing, |p| p.cache.1 = Some(1 << 20)),
        ("Disk space", Status::Warning, |p| p.cache.1 = None),
        ("Memory", Status::Warning, |p| p.memory_mib = (2048, 1024)),
        ("Memory", Status::Missing, |p| p.memory_mib = (512, 100)),
        ("Processors", Status::Warning, |p| p.cpus = 1),
        ("Runtime folder", Status::Warning, |p| p.runtime = RuntimeDir::Unset),
        ("User namespaces", Status::Warning, |p| p.user_namespaces.apparmor = Some(1)),
        ("User namespaces", Status::Warning, |p| p.user_namespaces.unprivileged = Some(0)),
    ];
    for (name, status, change) in cases {
        let mut probe = good(DEBIAN);
        change(&mut probe);
        let check = find(&diagnose(&probe, &Purpose::default()), name);
        assert_eq!(check.status, status, "{check:?}");
    }
    let mut root = good(DEBIAN);
    (root.root, root.user_namespaces.apparmor) = (true, Some(1));
    assert_eq!(
        find(&diagnose(&root, &Purpose::default()), "User namespaces").status,
        Status::Good,
        "root is not restricted"
    );
}

#[test]
fn this_machine_which_runs_the_tests_lacks_nothing_that_a_run_needs() {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share"))).unwrap();
    let probe = HostProbe::gather(&Places::from_environment(&data.join("cartridge"), Path::new("/tmp/cartridge")));
    let report = diagnose(&probe, &Purpose::default());
    let table: Vec<_> = checks().iter().filter(|spec| spec.set == Set::Run).map(|spec| &spec.name).collect();
    for check in report.iter().filter(|check| table.contains(&&check.name)) {
        assert_eq!(check.status, Status::Good, "{check:?}");
    }
}

#[test]
fn the_report_is_plain_json() {
    let json = serde_json::to_value(&diagnose(&good(DEBIAN), &Purpose::default())[0]).unwrap();
    assert_eq!(json["status"], "good");
    assert!(json["fix"].is_null() && json["name"].is_string() && json["found"].is_string() && json["why"].is_string());
}
