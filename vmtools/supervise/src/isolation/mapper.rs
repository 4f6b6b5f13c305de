//! Our side of the conversation with a child that enters its namespaces: writes its id maps when it asks, and keeps the reason
//! when it fails.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::Command;
use std::thread::JoinHandle;

use rustix::pipe::{PipeFlags, pipe_with};

use super::enter::{ASK, FAIL, NOTHING};
use super::error::{IsolationError, Step};
use super::ids::{IdMap, IdRange, identity, setuid_program};
use super::steps::Steps;

/// The pipes and the thread that answers.
pub(crate) struct Conversation {
    thread: JoinHandle<Option<IsolationError>>,
}

/// The child's ends.
pub(crate) struct Ends {
    up: OwnedFd,
    down: OwnedFd,
}

impl Ends {
    /// What the child writes to, and what it reads from.
    pub(crate) fn raw(&self) -> (RawFd, RawFd) {
        (self.up.as_raw_fd(), self.down.as_raw_fd())
    }
}

impl Conversation {
    /// Starts to listen. The ends must live until the child was forked, and no longer.
    pub(crate) fn begin(steps: &Steps) -> io::Result<(Self, Ends)> {
        let (from_child, up) = pipe_with(PipeFlags::CLOEXEC)?;
        let (down, to_child) = pipe_with(PipeFlags::CLOEXEC)?;
        let names: Vec<String> = steps.held.iter().map(|held| held.from.to_string_lossy().into_owned()).collect();
        let map = steps.map.clone();
        let thread = std::thread::Builder::new()
            .name("id-map".into())
            .spawn(move || answer(&mut File::from(from_child), &mut File::from(to_child), &map, &names))?;
        Ok((Self { thread }, Ends { up, down }))
    }

    /// Why the child did not get in, if it did not. Call it once the ends are gone.
    pub(crate) fn end(self) -> Option<IsolationError> {
        self.thread.join().ok().flatten()
    }
}

fn answer(from_child: &mut File, to_child: &mut File, map: &IdMap, names: &[String]) -> Option<IsolationError> {
    let mut failed = None;
    let mut kind = [0];
    while from_child.read_exact(&mut kind).is_ok() {
        match kind[0] {
            ASK => {
                let mut pid = [0; 4];
                from_child.read_exact(&mut pid).ok()?;
                let written = write_maps(i32::from_ne_bytes(pid), map);
                let number = written.as_ref().map_or_else(|e| e.raw_os_error().unwrap_or(libc::EPERM), |()| 0);
                failed = written
                    .err()
                    .map(|e| IsolationError { said: e.to_string(), ..IsolationError::at(Step::Ids, "", number) });
                to_child.write_all(&number.to_ne_bytes()).ok()?;
            }
            FAIL => {
                let mut rest = [0; 7];
                from_child.read_exact(&mut rest).ok()?;
                let about = u16::from_ne_bytes([rest[1], rest[2]]);
                let errno = i32::from_ne_bytes([rest[3], rest[4], rest[5], rest[6]]);
                let name = if about == NOTHING { "" } else { names.get(usize::from(about)).map_or("", String::as_str) };
                let step = Step::of(rest[0])?;
                // What was wrong with the maps is known better here.
                failed = failed.or_else(|| Some(IsolationError::at(step, name, errno)));
            }
            _ => return failed,
        }
    }
    failed
}

fn write_maps(pid: i32, map: &IdMap) -> io::Result<()> {
    match map {
        IdMap::Same => ["uid", "gid"].into_iter().try_for_each(|kind| {
            let own = std::fs::read_to_string(format!("/proc/self/{kind}_map"))?;
            std::fs::write(format!("/proc/{pid}/{kind}_map"), identity(&own))
        }),
        IdMap::Lent { users, groups } if rustix::process::geteuid().is_root() => {
            std::fs::write(format!("/proc/{pid}/uid_map"), lines(users))?;
            std::fs::write(format!("/proc/{pid}/gid_map"), lines(groups))
        }
        IdMap::Lent { users, groups } => {
            with_tool("newuidmap", pid, users)?;
            with_tool("newgidmap", pid, groups)
        }
        IdMap::Single { .. } => Ok(()),
    }
}

fn lines(ranges: &[IdRange]) -> String {
    ranges.iter().map(|it| format!("{} {} {}\n", it.inside, it.outside, it.count)).collect()
}

fn with_tool(name: &str, pid: i32, ranges: &[IdRange]) -> io::Result<()> {
    let program = setuid_program(name).ok_or_else(|| io::Error::other(format!("{name} is not installed")))?;
    let mut command = Command::new(program);
    command.arg(pid.to_string());
    for range in ranges {
        command.args([range.inside, range.outside, range.count].map(|number| number.to_string()));
    }
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("{said} ({command:?})")))
}
