//! What sessions tell in each state, told to a stage: the same events that a driver sends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cartridge::session::Event;
use cartridge::session::event::{CartridgeView, Failure, FieldView, FindingView, RecentView};
use cartridge::session::logs::Pane;
use cartridge::session::state::{EjectScope, Goal, Outcome, Phase, State};
use isoprep::{EjectReport, FIELDS, Holder, Image, Progress, Remaining, Removed, StageName, Survey, Unit, Untouched};
use vmtools::{GuestReport, GuestStatus};

use crate::display::Display;
use crate::host;
use crate::stage::Stage;

const STAGES: [StageName; 5] =
    [StageName("assemble"), StageName("initramfs"), StageName("inject"), StageName("bootloader"), StageName("iso")];

/// A cartridge with some settings, `error` in its memory.
pub fn cartridge(dirty: bool, error: bool) -> CartridgeView {
    let root = PathBuf::from("/srv/distros/homerchy");
    let mut text = isoprep::propose("homerchy", &isoprep::discover::Discovered::default()).text;
    let memory = if error { "4 gigs" } else { "2G" };
    for (key, value) in [("guest.memory", memory), ("guest.firmware", "uefi"), ("source.exclude", "work, *.iso")] {
        text = isoprep::set_field(&text, key, value).unwrap_or(text);
    }
    let findings = if error {
        vec![FindingView {
            line: Some(24),
            key: "guest.memory".to_owned(),
            message: "\"4 gigs\" is not a size".to_owned(),
            advice: "Write a number and M, G or T, for example \"4G\".".to_owned(),
        }]
    } else {
        Vec::new()
    };
    let value = |key: &str, default: &str| match key {
        "name" => "homerchy".to_owned(),
        "guest.memory" => memory.to_owned(),
        "guest.firmware" => "uefi".to_owned(),
        "source.exclude" => "work, *.iso".to_owned(),
        "guest.forward" => "ssh = \"auto\"".to_owned(),
        _ => default.to_owned(),
    };
    let fields = FIELDS
        .iter()
        .map(|doc| {
            let value = value(doc.key, doc.default);
            FieldView {
                key: doc.key.to_owned(),
                is_default: value == doc.default,
                error: findings.iter().find(|f| f.key == doc.key).map(|f| f.message.clone()),
                value,
            }
        })
        .collect();
    CartridgeView {
        file: root.join("cartridge.toml"),
        name: "homerchy".to_owned(),
        into: "/root/homerchy".to_owned(),
        root,
        exists: true,
        proposed: Vec::new(),
        dirty,
        builtin: false,
        text,
        fields,
        findings,
    }
}

/// The session is open; nothing is inserted.
pub fn opened(stage: &mut Stage) {
    let recent =
        |name: &str, exists| RecentView { path: Path::new("/srv/distros").join(name), name: name.to_owned(), exists };
    stage.tell(1, Event::Opened { logs: PathBuf::from("/home/you/.local/state/cartridge/sessions/7") });
    stage.tell(
        2,
        Event::RecentChanged {
            recent: vec![recent("homerchy", true), recent("tiny-arch", true), recent("gone", false)],
        },
    );
    stage.logs.pane(Pane::Session).line("session 20261123-041500-4711 begins; logs are kept here");
}

/// A cartridge is inserted.
pub fn inserted(stage: &mut Stage) {
    opened(stage);
    stage.tell(10, Event::CartridgeChanged { cartridge: cartridge(false, false) });
    stage.tell(11, Event::StateChanged { state: State { inserted: true, ..State::default() } });
    stage.tell(12, Event::Diagnosed { checks: host::ready() });
    stage.logs.pane(Pane::Session).line("inserted homerchy (/srv/distros/homerchy)");
}

fn state(phase: Phase, goal: Option<Goal>) -> Event {
    Event::StateChanged { state: State { phase, goal, inserted: true, ..State::default() } }
}

/// An idle session after an outcome.
pub fn idle(outcome: Outcome, image: bool) -> Event {
    Event::StateChanged { state: State { outcome: Some(outcome), inserted: true, image, ..State::default() } }
}

fn progress(progress: Progress) -> Event {
    Event::BuildProgressed { progress, pace: None }
}

/// The third of five stages is under way.
pub fn building(stage: &mut Stage) {
    inserted(stage);
    stage.tell(1000, state(Phase::Preparing, Some(Goal::Up)));
    stage.tell(
        1100,
        Event::AcceleratorChosen {
            accelerator: "tcg".to_owned(),
            reason: "KVM is there, but it emulates: 543 ns a step, where hardware takes 1. TCG is faster here."
                .to_owned(),
        },
    );
    stage.tell(1200, state(Phase::Building, Some(Goal::Up)));
    stage.tell(1201, progress(Progress::Planned { stages: STAGES.to_vec() }));
    for (at, name, reused, took) in [(1210, STAGES[0], true, 4), (1220, STAGES[1], false, 2410)] {
        stage.tell(at, progress(Progress::Started { stage: name }));
        stage.tell(at + took, progress(Progress::Finished { stage: name, reused, took: Duration::from_millis(took) }));
    }
    stage.tell(3700, progress(Progress::Started { stage: STAGES[2] }));
    stage.tell(
        8300,
        progress(Progress::Advanced { stage: STAGES[2], done: 1210, total: Some(1873), unit: Unit::Files, what: None }),
    );
    let build = stage.logs.pane(Pane::Build);
    for line in [
        "[assemble] unchanged, taken from the cache",
        "[initramfs] kernel 6.1.0-56-amd64, busybox 1.35, 61 modules",
        "[initramfs] \x1b[32mdone\x1b[0m in 2.4 s",
        "[inject] 1873 files of /srv/distros/homerchy, without .git and 212 ignored files",
        "[inject] warning: themes/old is a dangling symlink; it is kept as it is",
    ] {
        build.line(line);
    }
}

/// The image that the build leaves.
pub fn image() -> Image {
    Image {
        iso: PathBuf::from("/home/you/.cache/cartridge/images/homerchy/homerchy.iso"),
        bytes: 41_287_680,
        kernel: PathBuf::from("/home/you/.local/share/cartridge/kernels/6.1.0-56-amd64/vmlinuz"),
        initrds: Vec::new(),
        cmdline: "console=ttyS0 console=tty0".to_owned(),
        kernel_version: "6.1.0-56-amd64".to_owned(),
        files: 1873,
        tree_hash: "5f0c2a9e71d84b36a0f2c4d1e8b7a6953c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f".to_owned(),
        reused: false,
    }
}

/// The build is done.
pub fn built(stage: &mut Stage) {
    building(stage);
    stage.tell(
        9000,
        progress(Progress::Finished { stage: STAGES[2], reused: false, took: Duration::from_millis(5300) }),
    );
    for (at, name, took) in [(9010, STAGES[3], 80), (9100, STAGES[4], 1400)] {
        stage.tell(at, progress(Progress::Started { stage: name }));
        stage.tell(
            at + took,
            progress(Progress::Finished { stage: name, reused: false, took: Duration::from_millis(took) }),
        );
    }
    stage.tell(10_600, Event::ImageBuilt { image: image(), took_ms: 9500 });
}

/// The guest runs and has reported. Its display lives as long as what is returned.
pub fn running(stage: &mut Stage) -> Display {
    built(stage);
    let up = |phase| Event::StateChanged {
        state: State { phase, goal: Some(Goal::Up), inserted: true, image: true, ..State::default() },
    };
    stage.tell(10_700, up(Phase::Booting));
    stage.tell(
        10_800,
        Event::GuestStarted {
            pid: 4712,
            command: "qemu-system-x86_64 -name homerchy -machine q35 -accel tcg,thread=multi".to_owned(),
            mute: None,
        },
    );
    stage.tell(10_900, Event::GuestChanged { status: GuestStatus::Running });
    stage.tell(10_901, Event::PortForwarded { name: "ssh".to_owned(), guest_port: 22, host_port: 40_022 });
    let serial = b"\x1b[2J\x1b[H[    1.803142] Run /init as init process\r\n\
        \r\n  \x1b[1mhomerchy\x1b[0m on Linux 6.1.0-56-amd64 (uefi, \x1b[33mtcg\x1b[0m)\r\n\
        \x1b[32m  1873 files\x1b[0m in /root/homerchy, tree \x1b[36m5f0c2a9e71d84b36\x1b[0m\r\n\r\n\
        ~/homerchy # ls --color\r\n\x1b[1;34mairootfs\x1b[0m  \x1b[1;34mconfigs\x1b[0m  \x1b[1;32minstall.sh\x1b[0m  packages.x86_64  \x1b[7mREADME\x1b[0m\r\n~/homerchy # ";
    stage.logs.pane(Pane::Serial).append(serial);
    stage.logs.terminal.feed(serial);
    let report = GuestReport {
        name: "homerchy".to_owned(),
        kernel: "6.1.0-56-amd64".to_owned(),
        firmware: "uefi".to_owned(),
        accelerator: "tcg".to_owned(),
        files: 1873,
        tree: image().tree_hash,
        path: "/root/homerchy".to_owned(),
        generation: 0,
        trouble: None,
        system: None,
        failed: Vec::new(),
        shares: Vec::new(),
    };
    stage.tell(16_200, Event::GuestReported { report, matches: Some(true) });
    stage.tell(16_201, up(Phase::Running));
    Display::show(&stage.screen, 1024, 768)
}

/// The guest has ended by itself. The picture of it is stale.
pub fn ended(stage: &mut Stage, status: GuestStatus) -> Display {
    let display = running(stage);
    stage.settle();
    display.go();
    stage.tell(60_000, Event::GuestChanged { status: status.clone() });
    if let GuestStatus::Crashed { how } = &status {
        stage.tell(
            60_001,
            Event::Failed {
                failure: Failure {
                    title: "The guest crashed".to_owned(),
                    detail: format!("{how}\nqemu-system-x86_64: error: kvm run failed Input/output error"),
                    advice: Some("Boot again with the accelerator tcg.".to_owned()),
                    command: None,
                    pane: Some(Pane::Qemu),
                    exit_code: 5,
                },
            },
        );
        stage.logs.pane(Pane::Qemu).line("qemu-system-x86_64: error: kvm run failed Input/output error");
    }
    let state = State {
        phase: Phase::Ejecting,
        outcome: Some(Outcome::GuestEnded),
        inserted: true,
        image: true,
        ..State::default()
    };
    stage.tell(60_010, Event::StateChanged { state });
    stage.tell(
        60_200,
        Event::Ejected {
            report: EjectReport { removed: 12, bytes: 4096, untouched: Vec::new() },
            took_ms: 190,
            scope: EjectScope::Session,
            left: Vec::new(),
        },
    );
    stage.tell(60_201, idle(Outcome::GuestEnded, true));
    display
}

/// A stage has failed.
pub fn failed(stage: &mut Stage) {
    building(stage);
    let words = "xorriso : FAILURE : Cannot write 41287680 bytes: No space left on device";
    stage.logs.pane(Pane::Build).line("iso: xorriso -as mkisofs -o homerchy.iso …");
    stage.logs.pane(Pane::Build).line(words);
    stage.tell(
        8400,
        Event::Failed {
            failure: Failure {
                title: "The build stopped in stage iso: the disk is full".to_owned(),
                detail: format!("xorriso ended with exit code 32.\n{words}"),
                advice: Some(
                    "Free 38.2 MB in /home/you/.cache/cartridge, or eject everything. The old image is untouched."
                        .to_owned(),
                ),
                command: Some("xorriso -as mkisofs -o /home/you/.cache/cartridge/work/homerchy.iso".to_owned()),
                pane: Some(Pane::Build),
                exit_code: 5,
            },
        },
    );
    stage.tell(
        8410,
        Event::StateChanged {
            state: State { phase: Phase::Ejecting, outcome: Some(Outcome::Failed), inserted: true, ..State::default() },
        },
    );
    stage.tell(
        8500,
        Event::Ejected {
            report: EjectReport { removed: 3, bytes: 1024, untouched: Vec::new() },
            took_ms: 80,
            scope: EjectScope::Session,
            left: Vec::new(),
        },
    );
    stage.tell(8501, idle(Outcome::Failed, false));
}

/// The user has ejected; one path was not touched.
pub fn ejected(stage: &mut Stage) {
    inserted(stage);
    stage.tell(
        70_000,
        Event::StateChanged {
            state: State {
                phase: Phase::Ejecting,
                outcome: Some(Outcome::Ejected),
                inserted: true,
                image: true,
                ..State::default()
            },
        },
    );
    let untouched = vec![Untouched {
        path: PathBuf::from("/home/you/.cache/cartridge/work/7/airootfs/dev"),
        reason: "something is mounted there: devtmpfs. Unmount it with: umount /home/you/.cache/cartridge/work/7/airootfs/dev".to_owned(),
    }];
    stage.tell(
        70_900,
        Event::Ejected {
            report: EjectReport { removed: 2416, bytes: 198_400_000, untouched },
            took_ms: 840,
            scope: EjectScope::Session,
            left: Vec::new(),
        },
    );
    stage.tell(70_901, idle(Outcome::Ejected, true));
}

/// An eject is under way, and ends what runs.
pub fn ejecting(stage: &mut Stage) {
    inserted(stage);
    let state = State {
        phase: Phase::Ejecting,
        outcome: Some(Outcome::Ejected),
        inserted: true,
        image: true,
        ..State::default()
    };
    stage.tell(70_000, Event::StateChanged { state });
}

/// An eject is under way, and removes files.
pub fn removing(stage: &mut Stage) {
    ejecting(stage);
    let path = PathBuf::from("/home/you/.cache/cartridge/work/20261123-041500-4711-1f2e3d4c");
    let removed = Removed { files: 48_211, bytes: 3_104_000_000 };
    stage.tell(72_400, Event::EjectAdvanced { path, removed, total: Some(131_072) });
}

/// The removal was stopped.
pub fn stopped(stage: &mut Stage) {
    removing(stage);
    let report = EjectReport { removed: 51_020, bytes: 3_310_000_000, untouched: Vec::new() };
    let left = vec![PathBuf::from("/home/you/.cache/cartridge/work/20261123-041500-4711-1f2e3d4c")];
    stage.tell(72_900, Event::Ejected { report, took_ms: 2900, scope: EjectScope::Session, left });
    stage.tell(72_901, idle(Outcome::Ejected, true));
}

/// Whoever holds what an eject has left: one's own programs, and one of somebody else's where that is wished for.
pub fn holders(foreign: bool) -> Vec<Remaining> {
    let work = Path::new("/home/you/.cache/cartridge/work/20261123-041500-4711-1f2e3d4c");
    let holder = |pid: u32, command: &str, how: String, spared: Option<&str>| Holder {
        pid,
        command: command.to_owned(),
        how,
        started: 4_711_000 + u64::from(pid),
        ours: false,
        user: Some(1000),
        spared: spared.map(str::to_owned),
    };
    let root = work.join("x86_64/airootfs/proc");
    let mut shells = vec![
        holder(20_114, "bash", format!("works in {}", root.display()), None),
        holder(20_377, "vim notes.txt", format!("has {}/notes.txt open", root.display()), None),
    ];
    if foreign {
        let how = format!("works in {}", root.display());
        shells.push(holder(811, "/usr/lib/systemd/systemd-udevd", how, Some("it belongs to user 0")));
    }
    let busy = "it could not be unmounted: Device or resource busy (os error 16)".to_owned();
    let mut held =
        vec![Remaining { path: root, what: "proc (proc)".to_owned(), why: busy, advice: None, holders: shells }];
    if foreign {
        held.push(Remaining {
            path: work.join("out/root.img"),
            what: "/dev/loop3 (loop device)".to_owned(),
            why: "it shows this file as a disk, and that is mounted on /run/media/you/ROOT".to_owned(),
            advice: Some("sudo umount /run/media/you/ROOT".to_owned()),
            holders: Vec::new(),
        });
    }
    held
}

/// An eject has left what others hold.
pub fn held(stage: &mut Stage, foreign: bool) {
    removing(stage);
    let report = EjectReport { removed: 12, bytes: 4096, untouched: Vec::new() };
    let scope = EjectScope::Session;
    stage.tell(72_900, Event::Ejected { report, took_ms: 2900, scope, left: Vec::new() });
    stage.tell(72_901, Event::EjectHeld { scope, held: holders(foreign) });
    let failure = Failure {
        title: "Not everything could be removed".to_owned(),
        detail: "something is still mounted inside".to_owned(),
        advice: None,
        command: None,
        pane: None,
        exit_code: 9,
    };
    stage.tell(72_902, Event::Failed { failure });
    stage.tell(72_903, idle(Outcome::Ejected, true));
}

/// What ejecting everything would remove.
pub fn surveys() -> Event {
    let survey = |path: &str, files, bytes, mounts: &[&str]| Survey {
        path: PathBuf::from(path),
        files,
        bytes,
        mounts: mounts.iter().map(PathBuf::from).collect(),
        held: mounts
            .iter()
            .map(|at| Remaining {
                path: PathBuf::from(at),
                what: "proc (proc)".to_owned(),
                why: "somebody uses it".to_owned(),
                advice: None,
                holders: holders(false).swap_remove(0).holders.into_iter().take(1).collect(),
            })
            .collect(),
    };
    Event::Surveyed {
        surveys: vec![
            survey("/home/you/.cache/cartridge/work", 2416, 198_400_000, &["/home/you/.cache/cartridge/work/7/proc"]),
            survey("/home/you/.cache/cartridge/stages", 18_211, 1_204_000_000, &[]),
            survey("/home/you/.cache/cartridge/images", 3, 82_575_360, &[]),
        ],
    }
}
