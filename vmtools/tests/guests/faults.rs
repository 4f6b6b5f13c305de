//! Faults injected with fake QEMUs: shell scripts and Python servers that die, hang or lie.

use std::time::{Duration, Instant};

use vmtools::{Boot, EndStep, GuestError, GuestStatus};

use crate::harness::{alive, machine, plan, script};

#[tokio::test(flavor = "multi_thread")]
async fn qemu_that_dies_at_start_is_quoted() {
    let mut plan = plan(machine(), Boot::Nothing);
    plan.plan.qemu = script(plan.dir.path(), "echo 'fake-qemu: no room on this planet' >&2; exit 3");
    let command_has = plan.plan.runtime.join("qmp.sock").display().to_string();
    let started = Instant::now();
    let Err(error) = plan.start().await else { panic!("it started") };
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(matches!(error, GuestError::Died { .. }), "{error:?}");
    let text = error.to_string();
    for part in ["exit code 3", "no room on this planet", "command: ", "fake-qemu", &command_has] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_qemu_with_a_missing_medium_says_so() {
    let plan = plan(machine(), Boot::Iso("/absent/image.iso".into()));
    let Err(error) = plan.start().await else { panic!("it started") };
    assert!(error.to_string().contains("/absent/image.iso': No such file"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_qemu_and_a_bad_directory_are_said() {
    let mut absent = plan(machine(), Boot::Nothing);
    absent.plan.qemu = "/absent/qemu".into();
    let Err(error) = absent.start().await else { panic!("it started") };
    assert!(matches!(error, GuestError::Spawn(_)) && error.to_string().contains("install QEMU"), "{error}");
    let mut open = plan(machine(), Boot::Nothing);
    open.plan.runtime = "/tmp".into();
    let Err(error) = open.start().await else { panic!("it started") };
    assert!(matches!(error, GuestError::Runtime(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qemu_without_sandbox_is_started_without_it() {
    let mut plan = plan(machine(), Boot::Nothing);
    let fake = "case \" $* \" in *' -sandbox '*) echo 'qemu: -sandbox support is not enabled in this QEMU binary' >&2; \
                exit 1;; esac; exec qemu-system-x86_64 \"$@\"";
    plan.plan.qemu = script(plan.dir.path(), fake);
    let guest = plan.start().await.unwrap();
    assert!(!guest.handle.command().contains("-sandbox"));
    guest.handle.end(|_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_given_up_leaves_nothing() {
    let mut plan = plan(machine(), Boot::Nothing);
    let pid_file = plan.dir.path().join("pid");
    let fake = format!("echo $$ > '{0}.part'; mv '{0}.part' '{0}'; exec sleep 600", pid_file.display());
    plan.plan.qemu = script(plan.dir.path(), &fake);
    // The directory must outlive the plan, which is dropped with the start.
    let kept = tempfile::tempdir().unwrap();
    let dir = std::mem::replace(&mut plan.dir, kept);
    let seen = async {
        while !pid_file.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        started = plan.start() => panic!("it started: {:?}", started.err()),
        () = seen => {}
    }
    let pid = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while alive(pid) {
        assert!(Instant::now() < end, "the fake QEMU {pid} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qemu_that_hangs_does_not_look_alive() {
    let mut guest = plan(machine(), Boot::Nothing).start().await.unwrap();
    guest.wait("a picture", |g| g.screen.live()).await;
    guest.until_status(&GuestStatus::Running).await;
    let pid = rustix::process::Pid::from_raw(guest.handle.pid().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let stopped = Instant::now();
    guest.until_status(&GuestStatus::Unresponsive).await;
    assert!(stopped.elapsed() < Duration::from_secs(6), "{:?}", stopped.elapsed());
    assert!(!guest.screen.live() && guest.screen.snapshot().is_some());
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    guest.until_status(&GuestStatus::Running).await;
    guest.wait("the picture again", |g| g.screen.live()).await;
    assert_eq!(guest.handle.end(|_, _| {}).await.status, GuestStatus::Ended);
}

/// A QEMU that opens its control and serial lines, answers everything, and obeys nothing.
const DEAF: &str = r#"
trap '' TERM
exec python3 - "$@" <<'PYTHON'
import signal, socket, sys, threading, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
words = " ".join(sys.argv)
def serve(mark, talk):
    path = words.split(mark)[1].split(",server")[0]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    threading.Thread(target=talk, args=(listener,), daemon=True).start()
def qmp(listener):
    line, _ = listener.accept()
    line.sendall(b'{"QMP": {}}\n')
    number = 0
    for _ in line.makefile():
        number += 1
        line.sendall(b'{"return": {}, "id": %d}\n' % number)
def serial(listener):
    line, _ = listener.accept()
    while True:
        line.sendall(b"flood " * 10000)
serve("-qmp unix:", qmp)
serve("id=serial0,path=", serial)
time.sleep(600)
PYTHON
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_deaf_qemu_is_killed_in_time_though_nobody_reads_its_flood() {
    let mut plan = plan(machine(), Boot::Nothing);
    plan.plan.qemu = script(plan.dir.path(), DEAF);
    let guest = plan.start().await.unwrap();
    let pid = guest.handle.pid();
    // Let the flood fill every queue there is; the receiver is kept, and never read.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let started = Instant::now();
    let mut steps = Vec::new();
    let end = guest.handle.end(|step, took| steps.push((step, took))).await;
    let took = started.elapsed();
    let names: Vec<_> = steps.iter().map(|(step, _)| *step).collect();
    assert_eq!(names, [EndStep::Quit, EndStep::Term, EndStep::Kill], "{steps:?}");
    assert!(steps[0].1 >= Duration::from_secs(3) && steps[1].1 >= Duration::from_secs(2), "{steps:?}");
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!(end.status, GuestStatus::Ended);
    assert!(end.how.contains("SIGKILL") && end.how.contains("signal 9"), "{}", end.how);
    assert!(!alive(pid));
}
