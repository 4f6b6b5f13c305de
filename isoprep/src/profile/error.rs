//! Why a profile could not be read: which file and line, bash's own words, and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cartridge_supervise::IsolationError;

/// A bound that a profile's own code ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Address space of a process, bytes.
    Memory(u64),
    /// Processor time of a process, seconds.
    Processor(u64),
    /// Processes at once.
    Processes(u64),
    /// Size of its private `/tmp` and of a file in it, bytes.
    FileSize(u64),
    /// What it prints and what its variables hold, bytes.
    Output(usize),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(bytes) => write!(f, "it took more than {} MiB of memory", bytes >> 20),
            Self::Processor(seconds) => write!(f, "it computed for more than {seconds} s"),
            Self::Processes(most) => write!(f, "it started more than {most} processes at once"),
            Self::FileSize(bytes) => write!(f, "it wrote more than {} MiB to its private /tmp", bytes >> 20),
            Self::Output(bytes) => write!(f, "it printed or set more than {} MiB", bytes >> 20),
        }
    }
}

/// Where something happened, as `file:line`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file: `profiledef.sh`, or one that it sources.
    pub file: PathBuf,
    /// From 1, where it is known.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// A profile that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is not there, or not a folder.
    #[error("{} is not a folder; a profile is the folder that holds profiledef.sh", dir.display())]
    NotAFolder {
        /// What was tried.
        dir: PathBuf,
    },
    /// There is no `profiledef.sh`.
    #[error("{} has no profiledef.sh, so it is no archiso profile; if it is an overlay, name it in image.overlays", dir.display())]
    NoDefinition {
        /// The folder.
        dir: PathBuf,
    },
    /// `profiledef.sh` is a link that leads nowhere.
    #[error("{} is a link to {}, which is not there; fetch what holds it (a submodule?) or mend the link", file.display(), target.display())]
    BrokenLink {
        /// The link.
        file: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// `profiledef.sh` is a folder, a pipe or a device.
    #[error("{} is {kind}, not a file; it was not opened", file.display())]
    NotAFile {
        /// What was tried.
        file: PathBuf,
        /// "a folder", "a pipe", ….
        kind: &'static str,
    },
    /// `profiledef.sh` is far too long.
    #[error("{} has {bytes} bytes and a profiledef.sh at most {limit}; it was not evaluated", file.display())]
    TooLarge {
        /// What was tried.
        file: PathBuf,
        /// How long it is.
        bytes: u64,
        /// How long it may be.
        limit: u64,
    },
    /// The system did not let us read something.
    #[error("could not read {}: {source}; check its permissions", path.display())]
    Unreadable {
        /// What was tried.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bash does not understand the file.
    #[error("{place}: bash does not understand it{}\n  check it again with: bash -n {}", block(words), shell_word(&place.file))]
    Syntax {
        /// Where bash gave up.
        place: Place,
        /// Bash's own words.
        words: String,
    },
    /// The code ended the shell: by a failing command, `exit`, `exec`, an unset variable.
    #[error("{place}: {}, before the profile was read to its end{}{}\n  {}", ended_how(*code, command), block(words), said(output), advice(*code, words))]
    Ended {
        /// Where, as far as bash told.
        place: Place,
        /// The exit code. It is 0 when the file calls `exit` or `exec`.
        code: i32,
        /// The command that failed, if one did.
        command: Option<String>,
        /// Bash's own words about it; may be empty.
        words: String,
        /// The end of what the profile printed; may be empty.
        output: String,
    },
    /// A signal ended the shell that was not one of our limits.
    #[error("{}: bash was killed by signal {signal} while it evaluated this{}{}", file.display(), killed_why(*signal), said(output))]
    Killed {
        /// `profiledef.sh`.
        file: PathBuf,
        /// The signal's number.
        signal: i32,
        /// The end of what the profile printed.
        output: String,
    },
    /// It did not end.
    #[error("{}: it was stopped after {} s and had not ended; a profile only sets variables{}", file.display(), after.as_secs_f32(), said(output))]
    TimedOut {
        /// `profiledef.sh`.
        file: PathBuf,
        /// How long it ran.
        after: Duration,
        /// The end of what it printed.
        output: String,
    },
    /// It ran into a bound.
    #[error("{}: it was stopped because {bound}; a profile only sets variables{}", file.display(), said(output))]
    OutOfBounds {
        /// `profiledef.sh`.
        file: PathBuf,
        /// Which.
        bound: Bound,
        /// The end of what it printed.
        output: String,
    },
    /// Bash went to the end, but what it printed are not variables: the profile did something to bash itself.
    #[error("{}: its variables could not be read from bash: {why}\n  it seems to change bash itself (its builtins, its options, its files)", file.display())]
    Garbled {
        /// `profiledef.sh`.
        file: PathBuf,
        /// What is wrong with the answer.
        why: String,
    },
    /// There is no bash here.
    #[error(
        "there is no bash in {}; profiledef.sh is a bash script and only bash can read it. Install the package bash",
        list(looked)
    )]
    NoBash {
        /// The folders of `PATH`.
        looked: Vec<PathBuf>,
    },
    /// The profile's code cannot be shut in here, and is not run without.
    #[error("{} was not evaluated: it is code, and this host does not let it be shut in: {source}", file.display())]
    NoSandbox {
        /// `profiledef.sh`.
        file: PathBuf,
        /// What forbids it, with the setting.
        source: IsolationError,
    },
    /// Bash is there and could not be started.
    #[error("{} was not evaluated: {source}", file.display())]
    NotStarted {
        /// `profiledef.sh`.
        file: PathBuf,
        /// What the system said.
        source: cartridge_supervise::SpawnError,
    },
    /// It was cancelled.
    #[error("reading {} was cancelled", dir.display())]
    Cancelled {
        /// The profile.
        dir: PathBuf,
    },
}

fn block(words: &str) -> String {
    words.lines().map(|line| format!("\n  {line}")).collect()
}

fn said(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!("\n  it printed:{}", block(output).replace('\n', "\n  ")) }
}

fn ended_how(code: i32, command: &Option<String>) -> String {
    match (code, command) {
        (0, _) => "it ended the shell (exit or exec)".to_owned(),
        (code, Some(command)) => format!("`{command}` failed with exit code {code}"),
        (code, None) => format!("it ended with exit code {code}"),
    }
}

fn advice(code: i32, words: &str) -> &'static str {
    if words.contains("No such file or directory") {
        "mkarchiso would end here too; what lies outside of the repository, in the home folder or in /tmp, is not shown to it"
    } else if words.contains("command not found") {
        "mkarchiso would end here too, unless the command is installed where it runs"
    } else if code == 0 {
        "mkarchiso would end here too, without an error and without an image; use return instead"
    } else {
        "mkarchiso would end here too: it runs with set -e and set -u"
    }
}

fn killed_why(signal: i32) -> &'static str {
    match signal {
        9 => "; the system may be short of memory",
        11 => "; it may have called itself without end",
        _ => "",
    }
}

fn list(dirs: &[PathBuf]) -> String {
    dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn shell_word(file: &Path) -> String {
    cartridge_supervise::CommandLine::new(file).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_where_what_and_what_next() {
        let place = Place { file: PathBuf::from("/p q/profiledef.sh"), line: Some(7) };
        let syntax = ProfileError::Syntax {
            place: place.clone(),
            words: "syntax error near unexpected token `)'\n`x)'".to_owned(),
        };
        assert_eq!(
            syntax.to_string(),
            "/p q/profiledef.sh:7: bash does not understand it\n  syntax error near unexpected token `)'\n  `x)'\n  check it again with: bash -n '/p q/profiledef.sh'"
        );
        let ended = ProfileError::Ended {
            place: Place { line: None, ..place },
            code: 1,
            command: Some("v=$(git describe)".to_owned()),
            words: "git: command not found".to_owned(),
            output: "hello\nworld".to_owned(),
        };
        assert_eq!(
            ended.to_string(),
            "/p q/profiledef.sh: `v=$(git describe)` failed with exit code 1, before the profile was read to its end\n  git: command not found\n  \
             it printed:\n    hello\n    world\n  mkarchiso would end here too, unless the command is installed where it runs"
        );
        assert_eq!(Bound::Memory(512 << 20).to_string(), "it took more than 512 MiB of memory");
    }
}
