//! A boot that cannot be done ends nothing: the guest that runs stays.

use std::fs;
use std::path::PathBuf;

use cartridge::session::direct::{DirectKernel, DirectRoot, DirectSource, DirectWish, EntryWish};
use cartridge::session::event::Side;
use cartridge::session::state::{Goal, Phase};
use cartridge::session::{Command, Event, RunField};
use isoprep::BootAccess;

use crate::parts::{iso, kernel};
use crate::support::Console;
use crate::support::session::Session;

fn boot(source: DirectSource) -> Command {
    let fields = [("guest.memory", "512M"), ("guest.accelerator", "tcg")];
    let fields = fields.map(|(key, value)| RunField::set(key, value)).to_vec();
    Command::BootDirect(Box::new(DirectWish { fields, ..DirectWish::of(source) }))
}

fn of(kernel: PathBuf) -> DirectKernel {
    DirectKernel { kernel: Some(kernel), ..DirectKernel::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_is_looked_at_before_the_guest_that_runs_is_ended() {
    let console = Console::new();
    let home = console.home.path().to_owned();
    let text = home.join("notes");
    fs::write(&text, "no kernel and no initramfs\n".repeat(100)).unwrap();
    let gone = home.join("gone");
    let strange = iso(&home, "gone", &[], "menuentry 'Demo' {\n linux /boot/vmlinuz\n}\n");
    let mut session = Session::begin(&console);
    session.send(boot(DirectSource::Kernel(of(kernel())))).await;
    session.until_phase(Phase::Running).await;
    let pid = session.model.guest.as_ref().unwrap().pid;

    let initrds = |file: &PathBuf| DirectKernel { initrds: vec![file.clone()], ..of(kernel()) };
    let folder = DirectRoot::Folder(gone.clone(), BootAccess::Overlaid);
    let mut wrong = vec![
        (DirectSource::Kernel(of(text.clone())), "kernel"),
        (DirectSource::Kernel(of(gone.clone())), "kernel is not there"),
        (DirectSource::Kernel(initrds(&text)), "initial RAM disk"),
        (DirectSource::Kernel(initrds(&gone)), "initramfs is not there"),
        (DirectSource::Kernel(DirectKernel { root: folder, ..of(kernel()) }), "root folder is not there"),
        (DirectSource::Iso { iso: text.clone(), entry: EntryWish::Best }, "not an ISO"),
        (DirectSource::Iso { iso: strange, entry: EntryWish::Best }, "vmlinuz"),
    ];
    let told = |event: &Event, says: &str| match event {
        Event::SideFailed { side: Side::Boot, failure } => {
            let all = format!("{} {}", failure.title, failure.detail);
            assert!(all.contains(says), "{says}: {all}");
            true
        }
        Event::StateChanged { state } => panic!("the guest is ended for {says}: {state:?}"),
        _ => false,
    };
    for (source, says) in wrong.drain(..) {
        session.send(boot(source)).await;
        session.until(says, |event, _| told(event, says)).await;
    }
    // Fields for that boot alone, and what a cartridge asks for, are looked at as well.
    let lots = DirectWish {
        fields: vec![RunField::set("guest.memory", "lots")],
        ..DirectWish::of(DirectSource::Kernel(of(kernel())))
    };
    session.send(Command::BootDirect(Box::new(lots))).await;
    session.until("lots", |event, _| told(event, "lots")).await;
    assert_eq!((session.model.state.phase, session.model.guest.as_ref().unwrap().pid), (Phase::Running, pid));
    assert!(PathBuf::from("/proc").join(pid.to_string()).exists());

    // What can be booted is, in its place.
    session.send(boot(DirectSource::Kernel(of(kernel())))).await;
    session.until_phase(Phase::Ejecting).await;
    session.until_phase(Phase::Running).await;
    assert_ne!(session.model.guest.as_ref().unwrap().pid, pid);
    session.quit().await;
    console.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cartridge_that_names_what_is_no_kernel_ends_no_guest() {
    let console = Console::new();
    let repo = console.repository("distro");
    let (file, text) = (repo.join("cartridge.toml"), console.home.path().join("notes"));
    fs::write(&text, "no kernel\n".repeat(100)).unwrap();
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    session.send(Command::Ask(Goal::Up)).await;
    session.until_phase(Phase::Running).await;
    let toml = fs::read_to_string(&file).unwrap();
    let boot = format!("[boot]\nway = \"initramfs\"\nkernel = \"{}\"\n", text.display());
    fs::write(&file, format!("{toml}{boot}")).unwrap();
    for command in [Command::Ask(Goal::Boot), Command::Ask(Goal::Up), Command::RunTest { warm: false }] {
        if matches!(command, Command::RunTest { .. }) {
            fs::write(&file, format!("{toml}{boot}[test]\nsteps = [\"wait 1\"]\n")).unwrap();
        }
        let tests = matches!(command, Command::RunTest { .. });
        session.send(command).await;
        session
            .until("the failure", |event, _| match event {
                Event::StateChanged { state } => {
                    assert_eq!(state.phase, Phase::Running, "the guest is ended");
                    false
                }
                Event::SideFailed { side: Side::Boot, .. } => !tests,
                Event::TestEnded { passed, .. } => {
                    assert!(!passed);
                    tests
                }
                _ => false,
            })
            .await;
    }
    session.quit().await;
    console.assert_clean();
}
