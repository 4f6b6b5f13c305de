//! Real children: drained, ended, killed with their group, and killed with us.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use cartridge_supervise::{Cancel, Channel, CommandLine, EndStep, Exit, Observer, RunError, run, spawn};

struct Quiet;
impl Observer for Quiet {
    fn output(&mut self, _: Channel, _: &[u8]) {}
    fn exited(&mut self, _: &Exit) {}
}

struct Pids(Sender<u32>, String);
impl Observer for Pids {
    fn output(&mut self, _: Channel, bytes: &[u8]) {
        self.1.push_str(&String::from_utf8_lossy(bytes));
        while let Some((line, rest)) = self.1.clone().split_once('\n') {
            if let Ok(pid) = line.trim().parse() {
                let _ = self.0.send(pid);
            }
            self.1 = rest.to_owned();
        }
    }
    fn exited(&mut self, _: &Exit) {}
}

fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|s| !s.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

fn gone_within(pid: u32, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if !alive(pid) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

fn sh(script: &str) -> CommandLine {
    CommandLine::new("sh").args(["-c", script])
}

#[test]
fn output_of_both_pipes_is_drained_and_the_end_is_kept() {
    let line = sh("head -c 300000 /dev/zero | tr '\\0' x >&2; head -c 300000 /dev/zero | tr '\\0' y; exit 3");
    let err = run(&line, &Cancel::new(), |_, _| {}).unwrap_err();
    let RunError::Failed { how, evidence, command, .. } = err else { panic!("{err}") };
    assert_eq!(how, "exit code 3");
    assert_eq!(evidence.len(), 64 * 1024);
    assert!(command.starts_with("sh -c "));
}

#[test]
fn in_one_pipe_lines_keep_their_order() {
    let line = sh("for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done").one_pipe();
    let wanted: String = (1..10).map(|i| format!("o{i}\ne{i}\n")).collect();
    let output = run(&line, &Cancel::new(), |channel, _| assert_eq!(channel, Channel::Stdout)).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), wanted);
    assert_eq!(output.exit.evidence_text(), wanted);
}

#[test]
fn standard_input_is_fed_and_output_returned() {
    let out = run(&CommandLine::new("cat").stdin("hello"), &Cancel::new(), |_, _| {}).unwrap();
    assert_eq!(out.stdout, b"hello");
}

#[test]
fn a_held_input_ends_with_its_handle() {
    let top = tempfile::tempdir().unwrap();
    let place = top.path().join("read");
    // No signal reaches it: only the end of its input tells it that we are gone.
    let script = format!(
        "exec 3<&0; setsid sh -c 'cat >\"{0}.part\"; mv \"{0}.part\" \"{0}\"' <&3 & sleep 600",
        place.display()
    );
    let child = spawn(&sh(&script).stdin_held("hello"), Quiet).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(!place.exists(), "its input had ended");
    drop(child);
    let end = Instant::now() + Duration::from_secs(5);
    while !place.exists() {
        assert!(Instant::now() < end, "its input did not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(std::fs::read_to_string(place).unwrap(), "hello");
}

#[test]
fn a_missing_program_names_itself_and_its_command() {
    let err = run(&CommandLine::new("/no/such program").arg("x y"), &Cancel::new(), |_, _| {}).unwrap_err();
    assert!(err.to_string().contains("command: '/no/such program' 'x y'"), "{err}");
}

#[test]
fn cancel_ends_a_tool_that_ignores_sigterm_together_with_its_children() {
    let (sender, pids) = channel();
    let cancel = Cancel::new();
    let token = cancel.clone();
    let worker = std::thread::spawn(move || {
        let mut observer = Pids(sender, String::new());
        run(&sh("trap '' TERM; sleep 600 & echo $!; echo $$; wait; sleep 600"), &token, move |c, b| {
            observer.output(c, b)
        })
    });
    let (child, shell) = (pids.recv().unwrap(), pids.recv().unwrap());
    let asked = Instant::now();
    cancel.cancel();
    assert!(matches!(worker.join().unwrap(), Err(RunError::Cancelled { .. })));
    assert!(asked.elapsed() < Duration::from_secs(2));
    assert!(gone_within(child, Duration::from_secs(1)) && gone_within(shell, Duration::from_secs(1)));
}

#[test]
fn end_says_which_step_was_needed() {
    let polite = spawn(&sh("sleep 600"), Quiet).unwrap();
    assert_eq!(polite.end(Duration::from_secs(5)).step, EndStep::Term);
    assert_eq!(polite.end(Duration::from_secs(5)).step, EndStep::Already);
    let (sender, ready) = channel();
    let stubborn = spawn(&sh("trap '' TERM; echo 1; while :; do sleep 1; done"), Pids(sender, String::new())).unwrap();
    ready.recv().unwrap();
    let end = stubborn.end(Duration::from_millis(200));
    assert_eq!(end.step, EndStep::Kill);
    assert_eq!(end.exit.unwrap().describe(), "killed by signal 9");
}

#[test]
fn a_grandchild_does_not_outlive_a_leader_that_ended_by_itself() {
    let (sender, pids) = channel();
    let child = spawn(&sh("sleep 600 & echo $!"), Pids(sender, String::new())).unwrap();
    let grandchild = pids.recv().unwrap();
    assert!(child.wait(Duration::from_secs(5)).is_some());
    assert!(gone_within(grandchild, Duration::from_secs(1)));
}

#[test]
fn dropping_the_handle_kills() {
    let child = spawn(&sh("sleep 600"), Quiet).unwrap();
    let pid = child.pid();
    drop(child);
    assert!(gone_within(pid, Duration::from_secs(2)));
}

/// Started again by the next test as a process of its own, to be killed with SIGKILL.
#[test]
fn parent_that_will_be_killed() {
    if std::env::var_os("SUPERVISE_PARENT").is_none() {
        return;
    }
    // From a thread that ends at once: the child must survive that, and still die with the process.
    let child = std::thread::spawn(|| spawn(&sh("sleep 600"), Quiet).unwrap()).join().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    println!("\n{}", if child.exit().is_none() { child.pid() } else { 0 });
    std::thread::sleep(Duration::from_secs(600));
}

#[test]
fn children_die_with_us_even_by_sigkill() {
    let me = std::env::current_exe().unwrap();
    let line = CommandLine::new(me)
        .args(["--exact", "parent_that_will_be_killed", "--nocapture"])
        .env("SUPERVISE_PARENT", "1");
    let (sender, pids) = channel();
    let parent = spawn(&line, Pids(sender, String::new())).unwrap();
    let child = pids.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(child != 0 && alive(child));
    // Only the parent itself, not its group: the child must die by the parent-death signal alone.
    let pid = rustix::process::Pid::from_raw(i32::try_from(parent.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert!(gone_within(child, Duration::from_secs(2)));
}
