//! Roots and initramfs files with nothing in them that reports: they count as running once an init of their own has taken over
//! and nothing more was said; what a guest tells later counts more.

use std::path::Path;

use cartridge::session::direct::{DirectKernel, DirectRoot, DirectSource, DirectWish};
use cartridge::session::sign::Sign;
use cartridge::session::state::Phase;
use cartridge::session::{Command, Event, RunField};
use isoprep::BootAccess;

use crate::parts::{initramfs, kernel, root};
use crate::support::session::Session;
use crate::support::{Console, Finished};

/// Far longer than it takes, and far shorter than the patience with a guest that is not known.
const WAIT: [&str; 7] =
    ["--until-report", "--json", "--wait", "150", "--memory", "512M", "--set=guest.accelerator=tcg"];

fn showed(run: &Finished, sign: &str) -> bool {
    run.events.iter().any(|event| event["event"] == "guest_showed" && event["sign"] == sign)
}

#[test]
fn a_root_that_reports_nothing_runs_soon_after_its_init_took_over() {
    let console = Console::new();
    let (kernel, dir) = (kernel(), console.dir("quiet"));
    root(&dir, "while :; do /bin/busybox sleep 1000; done");
    let words = ["boot", "--kernel", kernel.to_str().unwrap(), "--root", dir.to_str().unwrap()];
    let run = console.run(&[&words[..], &WAIT].concat());
    assert_eq!(run.code, 0, "{:#?}\n{}", run.events, run.stderr);
    assert!(showed(&run, "handed_over"), "{:#?}", run.events);
    assert_eq!(run.phases(), ["preparing", "booting", "running", "ejecting", "idle"]);
    console.assert_clean();
}

#[test]
fn an_initramfs_of_somebody_else_runs_by_the_kernels_word() {
    let console = Console::new();
    let (kernel, cpio) = (kernel(), console.home.path().join("quiet.cpio"));
    initramfs(&cpio, "while :; do /busybox sleep 1000; done");
    let words = ["boot", "--kernel", kernel.to_str().unwrap(), "--initrd", cpio.to_str().unwrap()];
    let run = console.run(&[&words[..], &WAIT].concat());
    assert_eq!(run.code, 0, "{:#?}\n{}", run.events, run.stderr);
    assert!(showed(&run, "handed_over"), "{:#?}", run.events);
    console.assert_clean();
}

#[test]
fn a_panic_after_the_hand_over_is_no_guest_that_runs() {
    let console = Console::new();
    let (kernel, dir) = (kernel(), console.dir("dies"));
    root(&dir, "exit 3");
    let words = ["boot", "--kernel", kernel.to_str().unwrap(), "--root", dir.to_str().unwrap()];
    let run = console.run(&[&words[..], &WAIT].concat());
    assert_eq!(run.code, 6, "{:#?}\n{}", run.events, run.stderr);
    assert!(!showed(&run, "handed_over") && !run.phases().contains(&"running"), "{:#?}", run.events);
    console.assert_clean();
}

fn boots(dir: &Path) -> Command {
    let root = DirectRoot::Folder(dir.to_owned(), BootAccess::Overlaid);
    let kernel = DirectKernel { kernel: Some(kernel()), root, ..DirectKernel::default() };
    let fields = [("guest.memory", "512M"), ("guest.accelerator", "tcg")];
    let fields = fields.map(|(key, value)| RunField::set(key, value)).to_vec();
    Command::BootDirect(Box::new(DirectWish { fields, ..DirectWish::of(DirectSource::Kernel(kernel)) }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_and_a_login_that_come_later_are_told() {
    let console = Console::new();
    let dir = console.dir("slow");
    let report = r#"CARTRIDGE-REPORT {"v":1,"name":"slow","kernel":"6","firmware":"bios","accelerator":"tcg","files":1,"tree":"aa","path":"/a"}"#;
    root(&dir, &format!("read line\necho '{report}'\nprintf 'slow login: '\nread line"));
    let mut session = Session::begin(&console);
    session.send(boots(&dir)).await;
    session.until_phase(Phase::Running).await;
    let guest = session.model.guest.clone().unwrap();
    assert_eq!((guest.sign, guest.report), (Some(Sign::HandedOver), None));
    // It goes on when somebody types.
    session.send(Command::SendSerial(b"go\n".to_vec())).await;
    session.until("the report", |event, _| matches!(event, Event::GuestReported { .. })).await;
    session.until("the login", |event, _| matches!(event, Event::GuestShowed { sign: Sign::Login })).await;
    assert_eq!(session.model.guest.as_ref().unwrap().report.as_ref().unwrap().name, "slow");
    assert_eq!(session.model.state.phase, Phase::Running);
    session.quit().await;
    console.assert_clean();
}
