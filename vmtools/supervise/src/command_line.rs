//! What to run: program, arguments, environment, directory. Prints itself as a line that a shell would run again.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Isolation;

/// A command line to be run by [`spawn`](crate::spawn) or [`run`](crate::run).
///
/// Its `Display` is a shell command with every word quoted as needed, to be copied and run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) stdin: Vec<u8>,
    pub(crate) stdin_held: bool,
    pub(crate) stdin_from: Option<Lent>,
    pub(crate) isolation: Option<Isolation>,
    pub(crate) one_pipe: bool,
    pub(crate) kept: Option<Vec<OsString>>,
    pub(crate) unmarked: bool,
}

/// A descriptor that a child gets. Equal to itself alone.
#[derive(Clone, Debug)]
pub(crate) struct Lent(pub(crate) Arc<OwnedFd>);

impl PartialEq for Lent {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Lent {}

impl CommandLine {
    /// A command line that runs `program`, looked up in `PATH` unless it has a slash.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            stdin: Vec::new(),
            stdin_held: false,
            stdin_from: None,
            isolation: None,
            one_pipe: false,
            kept: None,
            unmarked: false,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<I, S>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<OsString>,
    {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one environment variable for the child, which otherwise inherits ours.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// What the child starts is not known for ours: it may be of use to others after us. The child itself is ended with us all the
    /// same.
    #[must_use]
    pub fn unmarked(mut self) -> Self {
        self.unmarked = true;
        self
    }

    /// Gives the child no more of our environment than these variables, besides those that are set here.
    #[must_use]
    pub fn only_env<I, S>(mut self, kept: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<OsString>,
    {
        self.kept = Some(kept.into_iter().map(Into::into).collect());
        self
    }

    /// Runs the child in `dir`.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// Feeds `bytes` to the child's standard input and closes it. Without this the child reads `/dev/null`.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self.stdin_held = false;
        self
    }

    /// Feeds `bytes` to the child's standard input, which then stays open until the child's handle is gone or this process is,
    /// however it ends: a child that no signal of ours reaches can tell by it.
    #[must_use]
    pub fn stdin_held(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self = self.stdin(bytes);
        self.stdin_held = true;
        self
    }

    /// Makes `fd` the child's standard input: one end of a socket, for a child that hands something back. The child's end is open
    /// here for as long as this command line is.
    #[must_use]
    pub fn stdin_from(mut self, fd: Arc<OwnedFd>) -> Self {
        self.stdin_from = Some(Lent(fd));
        self
    }

    /// Runs the child in namespaces of its own, where it sees no more than `isolation` says.
    #[must_use]
    pub fn isolated(mut self, isolation: Isolation) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// Sends standard error to where standard output goes: lines keep the order in which they were printed, and all of them
    /// come as [`Channel::Stdout`](crate::Channel::Stdout).
    #[must_use]
    pub fn one_pipe(mut self) -> Self {
        self.one_pipe = true;
        self
    }

    /// The program as it was given.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// The arguments after the program.
    #[must_use]
    pub fn arguments(&self) -> &[OsString] {
        &self.args
    }

    /// The directory it runs in, if one was set.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.cwd.as_deref()
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(dir) = &self.cwd {
            write!(f, "cd {} && ", quoted(dir.as_os_str()))?;
        }
        for (key, value) in &self.env {
            write!(f, "{}={} ", key.to_string_lossy(), quoted(value))?;
        }
        f.write_str(&quoted(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", quoted(arg))?;
        }
        Ok(())
    }
}

fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    match shlex::try_quote(&text) {
        Ok(quoted) => quoted.into_owned(),
        // Only a NUL byte gets here, and exec refuses that too.
        Err(_) => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_a_shell_would_run_again() {
        let line = CommandLine::new("qemu").args(["-name", "a b", "it's", ""]).env("K", "v w").cwd("/tmp/x y");
        let text = line.to_string();
        assert_eq!(text, r#"cd '/tmp/x y' && K='v w' qemu -name 'a b' "it's" ''"#);
        let words: Vec<_> = shlex::split(&text).unwrap();
        assert_eq!(&words[4..], ["qemu", "-name", "a b", "it's", ""]);
    }
}
