//! The long-lived thread that spawns: the kernel sends the parent-death signal when the spawning *thread* ends
//! (prctl(2), PR_SET_PDEATHSIG), so a child must not be started from a thread that may end before the process does.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};

type Request = (Command, SyncSender<io::Result<Child>>);

static SPAWNER: OnceLock<Option<Sender<Request>>> = OnceLock::new();

/// Spawns `command` as leader of its own process group, to be killed with SIGKILL when this process dies.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    let gone = || io::Error::other("the thread that spawns processes could not be started");
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = channel::<Request>();
        let thread = std::thread::Builder::new().name("spawner".into()).spawn(move || {
            for (mut command, answer) in requests {
                // Whoever asked may have gone; then nobody will own the child, and dropping the answer is right.
                let _ = answer.send(spawn_here(&mut command));
            }
        });
        thread.is_ok().then_some(sender)
    });
    let spawner = spawner.as_ref().ok_or_else(gone)?;
    let (answer, child) = sync_channel(1);
    spawner.send((command, answer)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}

fn spawn_here(command: &mut Command) -> io::Result<Child> {
    let parent = rustix::process::getpid();
    command.process_group(0);
    // SAFETY: between fork and exec only async-signal-safe calls are made: prctl and getppid, no allocation, no lock.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            // If we died between fork and prctl the signal will never come: notice it and give up.
            if rustix::process::getppid() != Some(parent) {
                return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
            }
            Ok(())
        });
    }
    command.spawn()
}
