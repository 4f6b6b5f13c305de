//! The long-lived thread that spawns: the kernel sends the parent-death signal when the spawning *thread* ends
//! (prctl(2), PR_SET_PDEATHSIG), so a child must not be started from a thread that may end before the process does.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::isolation::{Conversation, Steps, enter};
use crate::marks::{MARK, mark};

type Request = (Command, Option<Steps>, SyncSender<io::Result<Child>>);

static SPAWNER: OnceLock<Option<Sender<Request>>> = OnceLock::new();

type Told = Box<dyn Fn(u32) + Send>;

static TOLD: Mutex<Vec<Told>> = Mutex::new(Vec::new());

/// Tells `told` the process id of every child from now on, for as long as this process lives: in the moment after it was started, on the
/// thread that starts them, so it must be quick.
pub fn tell_of_children(told: impl Fn(u32) + Send + 'static) {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(told));
}

/// Spawns `command` as leader of its own process group, to be killed with SIGKILL when this process dies; in namespaces of
/// its own if `steps` say so.
pub(crate) fn spawn(command: Command, steps: Option<Steps>) -> io::Result<Child> {
    let gone = || io::Error::other("the thread that spawns processes could not be started");
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = channel::<Request>();
        let thread = std::thread::Builder::new().name("spawner".into()).spawn(move || {
            for (mut command, steps, answer) in requests {
                // Whoever asked may have gone; then nobody will own the child, and dropping the answer is right.
                let _ = answer.send(spawn_here(&mut command, steps));
            }
        });
        thread.is_ok().then_some(sender)
    });
    let spawner = spawner.as_ref().ok_or_else(gone)?;
    let (answer, child) = sync_channel(1);
    spawner.send((command, steps, answer)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}

fn spawn_here(command: &mut Command, steps: Option<Steps>) -> io::Result<Child> {
    let parent = rustix::process::getpid();
    command.process_group(0);
    // Who says something of it himself has decided.
    if !command.get_envs().any(|(name, _)| name == MARK) {
        command.env(MARK, mark());
    }
    let (conversation, ends) = match &steps {
        Some(steps) => {
            let (conversation, ends) = Conversation::begin(steps)?;
            (Some(conversation), Some(ends))
        }
        None => (None, None),
    };
    let raw_ends = ends.as_ref().map(|ends| ends.raw());
    let mut isolate = steps.zip(raw_ends);
    // SAFETY: between fork and exec only async-signal-safe calls are made: prctl, getppid and what `enter` does, no
    // allocation, no lock.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            // If we died between fork and prctl the signal will never come: notice it and give up.
            if rustix::process::getppid() != Some(parent) {
                return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
            }
            match &mut isolate {
                Some((steps, (up, down))) => enter(steps, parent.as_raw_nonzero().get().unsigned_abs(), *up, *down),
                None => Ok(()),
            }
        });
    }
    let child = command.spawn();
    if let Ok(child) = &child {
        TOLD.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|told| told(child.id()));
    }
    drop(ends);
    match (child, conversation.and_then(Conversation::end)) {
        (Err(_), Some(why)) => Err(io::Error::other(why)),
        (child, _) => child,
    }
}
