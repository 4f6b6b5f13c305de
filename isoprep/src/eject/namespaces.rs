//! The mount tables of other mount namespaces: whoever lives there may have something mounted in a directory of ours.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::mountinfo::{self, Mount};
use super::processes;

/// A mount namespace that is not ours.
#[derive(Debug)]
pub(super) struct Namespace {
    /// Some process that lives in it.
    pub pid: u32,
    pub mounts: Vec<Mount>,
}

/// Which mount namespace a process is in: the same text for the same one. `None` if we may not know.
pub(super) fn of(process: &Path) -> Option<PathBuf> {
    fs::read_link(process.join("ns/mnt")).ok()
}

/// The mount namespaces of all processes that we may look at, without our own.
pub(super) fn others(proc: &Path) -> Vec<Namespace> {
    let own = of(&proc.join("self"));
    let mut found: BTreeMap<PathBuf, Namespace> = BTreeMap::new();
    for pid in processes::all(proc) {
        let process = proc.join(pid.to_string());
        let Some(name) = of(&process).filter(|name| own.as_ref() != Some(name)) else { continue };
        if found.contains_key(&name) {
            continue;
        }
        // One that cannot be read, or not understood, is of nobody who could be asked about it.
        let Some(mounts) = fs::read(process.join("mountinfo")).ok().and_then(|table| mountinfo::parse(&table).ok())
        else {
            continue;
        };
        found.insert(name, Namespace { pid, mounts });
    }
    found.into_values().collect()
}
