//! The ways to delete a work directory: ours, and what people do without it.

use std::path::Path;
use std::process::Command;

use cartridge_supervise::Cancel;
use isoprep::eject::{EjectError, EjectReport};

/// A way to delete a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Eject,
    Rm,
    RmOneFileSystem,
    FindXdev,
    RemoveDirAll,
}

impl Method {
    pub const ALL: [Self; 5] = [Self::Eject, Self::Rm, Self::RmOneFileSystem, Self::FindXdev, Self::RemoveDirAll];

    pub fn name(self) -> &'static str {
        match self {
            Self::Eject => "Eject",
            Self::Rm => "`rm -rf`",
            Self::RmOneFileSystem => "`rm -rf --one-file-system`",
            Self::FindXdev => "`find -xdev -delete`",
            Self::RemoveDirAll => "`remove_dir_all`",
        }
    }

    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| format!("{method:?}") == word)
    }

    /// Deletes `dir`; only Eject has something to say.
    pub fn apply(self, dir: &Path, as_owner: bool) -> Option<Result<EjectReport, EjectError>> {
        let line: &[&str] = match self {
            Self::Eject => {
                return Some(maybe_as_owner(as_owner, || isoprep::eject::eject(dir, &Cancel::new(), &|_| {})));
            }
            Self::RemoveDirAll => {
                let dir = dir.to_owned();
                // What hangs is left behind: the namespace ends with this process.
                let (tell, told) = std::sync::mpsc::channel();
                std::thread::spawn(move || {
                    let _ = tell.send(maybe_as_owner(as_owner, || std::fs::remove_dir_all(&dir)).is_ok());
                });
                let _ = told.recv_timeout(std::time::Duration::from_secs(10));
                return None;
            }
            Self::Rm => &["rm", "-rf", "--"],
            Self::RmOneFileSystem => &["rm", "-rf", "--one-file-system", "--"],
            Self::FindXdev => &["find"],
        };
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", "10"]);
        if as_owner {
            command.args(["setpriv", "--bounding-set=-all", "--inh-caps=-all"]);
        }
        command.args(line).arg(dir);
        if self == Self::FindXdev {
            command.args(["-xdev", "-delete"]);
        }
        let _ = command.output();
        None
    }
}

/// Runs `work` on this thread, or on one that has given all of its capabilities away: an owner like any other.
fn maybe_as_owner<T: Send>(as_owner: bool, work: impl FnOnce() -> T + Send) -> T {
    if !as_owner {
        return work();
    }
    std::thread::scope(|scope| {
        let without = || {
            let none = rustix::thread::CapabilitySet::empty();
            let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
            rustix::thread::set_capabilities(None, sets).unwrap();
            work()
        };
        scope.spawn(without).join().unwrap()
    })
}
