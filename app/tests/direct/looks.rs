//! What is asked for while a guest runs is looked at first. Such a look ends with what it was asked for, and who waited for it
//! is told. A FIFO in the place of an initramfs holds the look for as long as a test wants.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::time::Duration;

use cartridge::session::direct::{DirectKernel, DirectSource, DirectWish};
use cartridge::session::state::{Outcome, Phase};
use cartridge::session::{Command, Event, RunField};
use rustix::fs::OFlags;

use crate::parts::kernel;
use crate::support::Console;
use crate::support::session::Session;

fn boot(initrds: Vec<PathBuf>) -> Command {
    let fields = [("guest.memory", "512M"), ("guest.accelerator", "tcg")];
    let fields = fields.map(|(key, value)| RunField::set(key, value)).to_vec();
    let kernel = DirectKernel { kernel: Some(kernel()), initrds, ..DirectKernel::default() };
    Command::BootDirect(Box::new(DirectWish { fields, ..DirectWish::of(DirectSource::Kernel(kernel)) }))
}

fn fifo(console: &Console) -> PathBuf {
    let at = console.home.path().join("held.cpio");
    assert!(Program::new("mkfifo").arg(&at).status().unwrap().success());
    at
}

/// The look has come to the initramfs, and waits for what this gives.
async fn held(fifo: &Path) -> File {
    let fifo = fifo.to_path_buf();
    tokio::task::spawn_blocking(move || File::options().write(true).open(fifo).unwrap()).await.unwrap()
}

/// Lets it go on: it is an initramfs. Nobody reads from the FIFO any more when this returns: who opens it next meets the next look.
async fn release(mut held: File, fifo: &Path) {
    held.write_all(b"070701").unwrap();
    drop(held);
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    for _ in 0..600 {
        // ENXIO: nobody has it open to read (fifo(7)).
        if File::options().write(true).custom_flags(nonblocking).open(fifo).is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the look reads on");
}

/// A session with a guest that runs, and a cartridge whose boot is looked at for as long as is wished.
async fn running(console: &Console, fifo: &Path) -> Session {
    let repo = console.repository("distro");
    let text = format!(
        "[guest]\nmemory = \"512M\"\naccelerator = \"tcg\"\n[boot]\nway = \"initramfs\"\nkernel = \"{}\"\ninitrd = [\"{}\"]\n\
         [test]\nsteps = [\"wait 1\"]\n",
        kernel().display(),
        fifo.display()
    );
    fs::write(repo.join("cartridge.toml"), text).unwrap();
    let mut session = Session::begin(console);
    session.insert(&repo).await;
    session.send(boot(Vec::new())).await;
    session.until_phase(Phase::Running).await;
    session
}

/// Waits for a test that did not pass, and says why.
async fn not_passed(session: &mut Session) -> String {
    session
        .until("the end of the test", |event, model| {
            assert_eq!(model.state.phase, Phase::Running, "the guest stays until then");
            matches!(event, Event::TestEnded { passed: false, .. })
        })
        .await;
    session.model.test.clone().unwrap().ended.unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_whose_boot_is_looked_at_can_be_cancelled_and_begun_again() {
    let console = Console::new();
    let fifo = fifo(&console);
    let mut session = running(&console, &fifo).await;
    for _ in 0..2 {
        session.send(Command::RunTest { warm: false }).await;
        session.until("its begin", |event, _| matches!(event, Event::TestBegan { .. })).await;
        let held = held(&fifo).await;
        session.until("the look", |_, model| model.checking_since_ms.is_some()).await;
        session.send(Command::Cancel).await;
        let why = not_passed(&mut session).await;
        assert!(why.contains("it was cancelled") && session.model.checking_since_ms.is_none(), "{why}");
        release(held, &fifo).await;
    }
    session.quit().await;
    console.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_instead_ends_what_waited_for_the_look() {
    let console = Console::new();
    let fifo = fifo(&console);
    let mut session = running(&console, &fifo).await;
    session.send(Command::RunTest { warm: false }).await;
    let first = held(&fifo).await;
    session.send(boot(Vec::new())).await;
    let why = not_passed(&mut session).await;
    assert!(why.contains("something else was asked for"), "{why}");
    release(first, &fifo).await;
    session.until_phase(Phase::Ejecting).await;
    session.until_phase(Phase::Running).await;

    session.send(Command::BringIn).await;
    let second = held(&fifo).await;
    session.send(boot(Vec::new())).await;
    session
        .until("another guest", |event, _| {
            assert!(!matches!(event, Event::BroughtIn { .. }), "it has nothing of the repository");
            matches!(event, Event::GuestShowed { .. })
        })
        .await;
    release(second, &fifo).await;
    session
        .until("that it runs", |event, model| {
            assert!(!matches!(event, Event::BroughtIn { .. }), "it has nothing of the repository");
            matches!(event, Event::StateChanged { .. }) && model.state.phase == Phase::Running
        })
        .await;
    session.send(Command::Quit).await;
    session
        .until("the end", |event, _| {
            assert!(!matches!(event, Event::BroughtIn { .. }), "it has nothing of the repository");
            matches!(event, Event::Closed)
        })
        .await;
    console.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_goes_meanwhile_takes_the_look_with_it() {
    let console = Console::new();
    let fifo = fifo(&console);
    let mut session = running(&console, &fifo).await;
    session.send(boot(vec![fifo.clone()])).await;
    let held = held(&fifo).await;
    let pid = session.model.guest.as_ref().unwrap().pid;
    assert!(Program::new("kill").args(["-s", "KILL", &pid.to_string()]).status().unwrap().success());
    session.until_phase(Phase::Idle).await;
    assert_eq!(session.model.state.outcome, Some(Outcome::Failed));
    assert!(session.model.checking_since_ms.is_none(), "nothing is looked at any more");
    release(held, &fifo).await;
    // What it would have begun comes before the answer to what is asked for after it.
    session.send(Command::ReadMenu(fifo.with_file_name("none.iso"))).await;
    session
        .until("an answer", |event, _| {
            assert!(!matches!(event, Event::StateChanged { .. }), "nothing is begun: {event:?}");
            matches!(event, Event::MenuRead { .. })
        })
        .await;
    assert_eq!(session.model.state.phase, Phase::Idle);
    session.quit().await;
    console.assert_clean();
}
