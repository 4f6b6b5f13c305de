//! A process beside ours that outlives it for a moment. The parent-death signal ends our children, but not what these have started:
//! once we are gone, however that came, the warden ends whoever has our [mark](crate::mark), in whatever group or session.
//!
//! It is this very program with a hidden argument. It waits for the end of its standard input, which nobody but us holds open:
//! it costs nothing until then, and the kernel tells it even of a SIGKILL.

use std::ffi::{CString, OsString};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::marks::{MARK, kill, mark, marked, sees_itself};

/// The hidden argument that makes a process the warden.
pub const WARDEN_ARGUMENT: &str = "__warden";
/// What it is called: by the kernel (proc(5), /proc/pid/comm) and in its command line.
pub const WARDEN_NAME: &str = "cartridge-ward";
/// How long it goes on killing what comes again.
const LIMIT: Duration = Duration::from_secs(10);
/// Between two looks.
const BEAT: Duration = Duration::from_millis(20);
/// How often nobody must be found: who replaces itself by another program has no environment for a moment, which is long on a busy
/// machine.
const QUIET: u32 = 25;
/// Longest mark that is read, bytes.
const LONGEST: u64 = 256;

/// Whether this program knows the argument.
static KNOWN: AtomicBool = AtomicBool::new(false);
/// The warden, with its standard input, for as long as we live.
static POST: Mutex<Option<Child>> = Mutex::new(None);

/// What an application's `main` calls first: if `args`, with the program's name, ask for the warden, it is that to its end, and the exit
/// code is returned. Otherwise `None`, and the application goes on.
#[must_use]
pub fn warden_main(args: &[OsString]) -> Option<ExitCode> {
    KNOWN.store(true, Ordering::Relaxed);
    if args.get(1).is_none_or(|arg| arg != WARDEN_ARGUMENT) {
        return None;
    }
    // By the path that it was started by it would be called "exe".
    if let Ok(name) = CString::new(WARDEN_NAME) {
        let _ = rustix::thread::set_name(&name);
    }
    let mut word = String::new();
    let read = io::stdin().take(LONGEST).read_to_string(&mut word);
    // A mark that was cut off ends nobody: nobody has it.
    if read.is_ok() {
        end_all(word.trim());
    }
    Some(ExitCode::SUCCESS)
}

fn end_all(mark: &str) {
    let until = Instant::now() + LIMIT;
    let mut quiet = 0;
    while quiet < QUIET && Instant::now() < until {
        let found = marked(mark);
        kill(&found);
        quiet = if found.is_empty() { quiet + 1 } else { 0 };
        std::thread::sleep(BEAT);
    }
}

/// Posts the warden of this process, if it has none that lives and this is a program with a [`warden_main`].
///
/// # Errors
/// When it cannot be started, or could see nobody. What it would end is left to the next start then.
pub fn post_warden() -> io::Result<()> {
    let mut post = POST.lock().unwrap_or_else(PoisonError::into_inner);
    if !KNOWN.load(Ordering::Relaxed) || mark().is_empty() {
        return Ok(());
    }
    // One that somebody has killed is reaped by that.
    if post.as_mut().is_some_and(|warden| matches!(warden.try_wait(), Ok(None))) {
        return Ok(());
    }
    if !sees_itself() {
        return Err(io::Error::other("/proc shows the processes of another namespace"));
    }
    let mut command = Command::new("/proc/self/exe");
    // It works nowhere, so that it keeps nothing busy, and has neither our mark nor that of who started us.
    command.arg0(WARDEN_NAME).arg(WARDEN_ARGUMENT).env_remove(MARK).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: a few system calls, which are async-signal-safe.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| {
            // What the terminal sends to us is not meant for it.
            rustix::process::setsid()?;
            // Nor is what ends everything of that name, or of a session: we may be at an eject still. That outlives an exec (signal(7)).
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::signal(signal, libc::SIG_IGN);
            }
            // What we have inherited ourselves, somebody may wait for the end of. Kernels before 5.11 do not know that.
            libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
            Ok(())
        });
    }
    let warden = post.insert(command.spawn()?);
    warden.stdin.as_mut().map_or(Ok(()), |input| input.write_all(mark().as_bytes()))
}

/// Before the program's end: the warden looks whether anybody is left, and ends, also one that somebody has stopped (SIGSTOP).
pub fn dismiss_warden() {
    let Some(mut warden) = POST.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    let pid = i32::try_from(warden.id()).ok().and_then(rustix::process::Pid::from_raw);
    // Our child, which nobody has reaped: the number is still its own. With its handle goes its standard input.
    if let (Some(pid), Ok(None)) = (pid, warden.try_wait()) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::CONT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in for the warden here is this test program, which knows no test of the argument's name and ends.
    #[test]
    fn a_dead_one_is_reaped_and_another_one_posted() {
        assert!(warden_main(&["x".into()]).is_none());
        let posted = || {
            // Where it is gone already nobody reads its word.
            let _ = post_warden();
            POST.lock().unwrap().as_ref().unwrap().id()
        };
        let first = posted();
        let until = Instant::now() + Duration::from_secs(240);
        while posted() == first {
            assert!(Instant::now() < until, "no other one is posted");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!std::path::Path::new(&format!("/proc/{first}")).exists(), "it is a zombie");
    }
}
