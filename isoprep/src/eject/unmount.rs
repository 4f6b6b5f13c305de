//! Unmounts what is mounted inside a directory: last mount first, never lazily, nothing outside. What holds a mount is ended
//! if it is ours, and named if it is not.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Removed;
use super::attempts::{self, Hangs};
use super::descriptors::{Hands, Tried};
use super::error::EjectError;
use super::guard::Target;
use super::holders::{self, Holder, Wanted};
use super::mountinfo::{self, BadLine, Mount, Place};
use super::namespaces::{self, Namespace};
use super::processes::{self, Ending, Name};
use super::stat::mount_id;

pub(super) const PROC: &str = "/proc";
const TABLE: &str = "/proc/self/mountinfo";

/// What keeps a directory from being deleted: a mount that could not be unmounted, or a loop device.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Where it is mounted, or the file that it shows as a disk.
    pub path: PathBuf,
    /// What it is: `tmpfs (tmpfs)`, `ext4 (/dev/sda1[/home/me])`, `/dev/loop3 (loop device)`.
    pub what: String,
    /// What the system said.
    pub why: String,
    /// A command that ends it, or says more, where no process can be named.
    pub advice: Option<String>,
    /// The processes that hold it, or that live where it is mounted. Empty when none was found that we may look at.
    pub holders: Vec<Holder>,
}

/// How often processes of ours are ended before a mount is given up.
const ROUNDS: usize = 4;

impl fmt::Display for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}", self.path.display(), self.what, self.why)?;
        for holder in &self.holders {
            write!(f, "\n    held by {holder}")?;
        }
        if let Some(advice) = self.advice.as_ref().filter(|_| self.holders.is_empty()) {
            write!(f, "\n    no process that we may look at holds it; try: {advice}")?;
        }
        Ok(())
    }
}

/// The mount table of this process.
pub(super) fn table() -> Result<Vec<Mount>, EjectError> {
    let table = fs::read(TABLE).map_err(|error| EjectError::system("read", TABLE, error))?;
    mountinfo::parse(&table).map_err(|BadLine(line)| {
        let error = io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not understood"));
        EjectError::system("read", TABLE, error)
    })
}

/// Where something is mounted strictly inside the directory, or on something in it by another path.
pub(super) fn inside(target: &Target) -> Result<Vec<PathBuf>, EjectError> {
    let table = table()?;
    let mut found = mountinfo::inside(&table, &target.path);
    if let Some(place) = place(&table, &target.path, &target.root) {
        let elsewhere = mountinfo::upon(&table, &place).into_iter();
        found.extend(elsewhere.filter(|mount| !mount.point.starts_with(&target.path)));
    }
    Ok(found.into_iter().map(|mount| mount.point.clone()).collect())
}

/// What would stand in the way of an eject now: mounts that somebody holds, and those that are not ours to unmount. Changes nothing.
pub(super) fn held(target: &Target) -> Result<Vec<Remaining>, EjectError> {
    let table = table()?;
    let mounts = mountinfo::inside(&table, &target.path);
    let others = namespaces::others(Path::new(PROC));
    let why = "somebody uses it";
    let mut stays: Vec<_> = mounts.into_iter().map(|mount| stay(mount, why.to_owned(), &table, &others)).collect();
    let own = stays.len();
    if let Some(place) = place(&table, &target.path, &target.root) {
        let lies_on = mount_id(&target.root).and_then(|id| table.iter().find(|mount| mount.id == id));
        let group = lies_on.and_then(|mount| mount.peers);
        let had = stays.iter().map(|it| key(&it.mount, &table)).collect();
        seen_elsewhere(&mut stays, &place, &target.path)?;
        in_namespaces(&mut stays, &place, &others, &had, group);
    }
    let found = remaining(stays, &[]).into_iter().enumerate();
    Ok(found.filter(|(index, it)| *index >= own || !it.holders.is_empty()).map(|(_, it)| it).collect())
}

/// Where the directory lies. `None` where the table does not have its mount, as in a chroot.
pub(super) fn place(table: &[Mount], path: &Path, root: &OwnedFd) -> Option<Place> {
    let id = mount_id(root)?;
    Place::on(table.iter().find(|mount| mount.id == id)?, path)
}

/// A mount that stays, and what is needed to say who holds it.
struct Stays {
    mount: Mount,
    why: String,
    /// Its id, and those of its copies in other mount namespaces.
    ids: Vec<u64>,
    /// A process of the namespace that it is mounted in, if that is another one.
    lives: Option<u32>,
    /// Its path is that of another namespace.
    foreign: bool,
}

/// Unmounts everything inside the directory, or says what is left. Processes that hold something are ended if they are ours, or
/// among `agreed`.
pub(super) fn all(target: &Target, agreed: &[Holder], ending: &mut Ending, cancel: &Cancel) -> Result<(), EjectError> {
    let first = table()?;
    let place = place(&first, &target.path, &target.root);
    let lies_on = mount_id(&target.root).and_then(|id| first.iter().find(|mount| mount.id == id));
    let group = lies_on.and_then(|mount| mount.peers);
    // What we had mounted may have spread to other namespaces, where it does no harm.
    let had: HashSet<_> = mountinfo::inside(&first, &target.path).into_iter().map(|mount| key(mount, &first)).collect();
    let hands = Hands::new(&target.root, &target.path, cancel);
    let hands = hands.map_err(|error| EjectError::system("open", &target.path, error))?;
    for round in 0.. {
        let mut stays = unmount_inside(&hands, &target.path, place.as_ref(), cancel)?;
        let others = place.as_ref().map_or_else(Vec::new, |_| namespaces::others(Path::new(PROC)));
        if let Some(place) = &place {
            seen_elsewhere(&mut stays, place, &target.path)?;
            in_namespaces(&mut stays, place, &others, &had, group);
        }
        let mounts = remaining(stays, &ending.known);
        if mounts.is_empty() {
            break;
        }
        end_holders(mounts, round, (agreed, &mut *ending), &target.path, cancel)?;
    }
    Ok(())
}

/// Ends those who hold what is left and may be ended, so that it can be tried once more; fails where there are none.
pub(super) fn end_holders(
    mounts: Vec<Remaining>,
    round: usize,
    (agreed, ending): (&[Holder], &mut Ending),
    dir: &Path,
    cancel: &Cancel,
) -> Result<(), EjectError> {
    let mut seen = HashSet::new();
    let holders = mounts.iter().flat_map(|mount| &mount.holders).filter(|holder| seen.insert(holder.pid));
    if round >= ROUNDS || !ending.end(Path::new(PROC), &holders.collect::<Vec<_>>(), agreed, cancel) {
        return Err(EjectError::StillMounted { path: dir.to_owned(), mounts });
    }
    if cancel.is_cancelled() {
        return Err(EjectError::Cancelled { path: dir.to_owned(), removed: Removed::default() });
    }
    Ok(())
}

/// What is mounted, and where that lies: the same for a mount and for its copies in other namespaces.
fn key(mount: &Mount, table: &[Mount]) -> (String, PathBuf, Option<PathBuf>) {
    (mount.device.clone(), mount.root.clone(), Place::under(mount, table).map(|under| under.path))
}

/// Unmounts what is inside by its path, as far as that goes.
fn unmount_inside(
    hands: &Hands<'_>,
    dir: &Path,
    place: Option<&Place>,
    cancel: &Cancel,
) -> Result<Vec<Stays>, EjectError> {
    loop {
        let table = table()?;
        let mounts = mountinfo::inside(&table, dir);
        if mounts.is_empty() {
            return Ok(Vec::new());
        }
        if cancel.is_cancelled() {
            return Err(EjectError::Cancelled { path: dir.to_owned(), removed: Removed::default() });
        }
        let failed = pass(hands, &mounts, &table, dir);
        // Who was not waited for because of that is not slow.
        if cancel.is_cancelled() {
            return Err(EjectError::Cancelled { path: dir.to_owned(), removed: Removed::default() });
        }
        // A mount that was moved stands before its parent in the table: another pass gets it, as long as one got any.
        if failed.len() == mounts.len() {
            let others = place.map_or_else(Vec::new, |_| namespaces::others(Path::new(PROC)));
            return Ok(failed.into_iter().map(|(mount, why)| stay(mount, why, &table, &others)).collect());
        }
    }
}

/// A mount inside with its copies in other namespaces.
fn stay(mount: &Mount, why: String, table: &[Mount], others: &[Namespace]) -> Stays {
    let same = key(mount, table);
    let copies = others.iter().flat_map(|other| other.mounts.iter().map(move |copy| (copy, other)));
    let copies = copies.filter(|(copy, other)| key(copy, &other.mounts) == same);
    let ids = std::iter::once(mount.id).chain(copies.map(|(copy, _)| copy.id)).collect();
    Stays { mount: mount.clone(), why, ids, lives: None, foreign: false }
}

/// Tries to unmount each, last first; returns those that it could not, with the reason.
fn pass<'a>(hands: &Hands<'_>, mounts: &[&'a Mount], table: &'a [Mount], dir: &Path) -> Vec<(&'a Mount, String)> {
    // In a shared tree (`mount --rbind /sys work/sys`) unmounting `work/sys/fs/cgroup` would unmount `/sys/fs/cgroup`
    // too, because the unmount spreads from the parent to its peers: cut the ties of every mount inside first.
    let mut cut = HashSet::new();
    for mount in mounts {
        match hands.cut_ties(mount) {
            Tried::Done => drop(cut.insert(mount.id)),
            Tried::Covered | Tried::Late | Tried::LateInside | Tried::NotBegun(_) => {}
            Tried::Failed(error) => {
                let why = explain(mount, "cut from its peers", error);
                return mounts.iter().map(|mount| (*mount, why.clone())).collect();
            }
        }
    }
    let mut failed = Vec::new();
    for mount in mounts.iter().rev() {
        // What it is on may have been covered until now.
        if let Some(parent) = mounts.iter().find(|parent| parent.id == mount.parent && !cut.contains(&parent.id))
            && hands.is_on_top(mount)
        {
            if hands.cut_ties(parent) == Tried::Done {
                cut.insert(parent.id);
            } else if let Some(peer) = peer_outside(parent, table, dir) {
                let peer = peer.point.display();
                failed
                    .push((*mount, format!("it covers what is shared with {peer}, and would be unmounted there too")));
                continue;
            }
        }
        match hands.unmount(mount) {
            Tried::Done => {}
            Tried::Covered => failed.push((*mount, "another mount covers it".to_owned())),
            Tried::Failed(error) => failed.push((*mount, explain(mount, "unmounted", error))),
            late => failed.push((*mount, hangs(late))),
        }
    }
    failed
}

/// What is said of a mount that hangs.
fn hangs(tried: Tried) -> String {
    let why = "it could not be unmounted: its file system does not answer";
    let number = attempts::hanging_unmounts();
    let all = match number {
        0 | 1 => String::new(),
        several => format!("; {several} such attempts hang now"),
    };
    match tried {
        Tried::LateInside => format!("{why}; the system goes on with it, so eject again later{all}"),
        Tried::NotBegun(Hangs::Same(since)) => format!(
            "{why}, and an attempt that began {} s ago still hangs; it is not tried again before that is over{all}",
            since.as_secs()
        ),
        Tried::NotBegun(Hangs::Others(number)) => {
            format!("it was not tried to unmount it: {number} other attempts hang; eject again when those are over")
        }
        _ => format!("{why}; the attempt was called off, so eject again once it does{all}"),
    }
}

/// Another mount that mounting and unmounting in this one spreads to, and that is not inside.
fn peer_outside<'a>(mount: &Mount, table: &'a [Mount], dir: &Path) -> Option<&'a Mount> {
    let group = mount.peers?;
    table.iter().find(|peer| peer.id != mount.id && peer.peers == Some(group) && !peer.point.starts_with(dir))
}

/// Adds what is mounted on something inside by a path that is not inside: unmounting there would be somebody else's business.
fn seen_elsewhere(stays: &mut Vec<Stays>, place: &Place, dir: &Path) -> Result<(), EjectError> {
    let table = table()?;
    for mount in mountinfo::upon(&table, place) {
        // On the directory itself: it was mounted after that had been opened.
        if mount.point == dir || !mount.point.starts_with(dir) {
            let why = "the directory is seen there too, and this is mounted in it; unmount it there".to_owned();
            stays.push(Stays { mount: mount.clone(), why, ids: vec![mount.id], lives: None, foreign: false });
        }
    }
    Ok(())
}

/// Adds what is mounted inside in other mount namespaces, but for copies of what was mounted here that nobody uses: those go with
/// the directory. What is mounted in the `group` spreads to others.
fn in_namespaces(
    stays: &mut Vec<Stays>,
    place: &Place,
    others: &[Namespace],
    had: &HashSet<(String, PathBuf, Option<PathBuf>)>,
    group: Option<u64>,
) {
    let mut copies = Vec::new();
    for other in others {
        for mount in mountinfo::upon(&other.mounts, place) {
            let why = "it is mounted in another mount namespace".to_owned();
            let one = Stays { mount: mount.clone(), why, ids: vec![mount.id], lives: Some(other.pid), foreign: true };
            // An eject that was stopped, or whoever unmounted by hand, may have left it there.
            let spread = group.is_some_and(|group| mountinfo::spreads_to(group, mount, &other.mounts, place));
            let known = spread || had.contains(&key(mount, &other.mounts));
            if known { copies.push(one) } else { stays.push(one) }
        }
    }
    let named = stays.iter().flat_map(|it| it.ids.iter().copied()).collect::<HashSet<_>>();
    copies.retain(|copy| !copy.ids.iter().any(|id| named.contains(id)));
    if copies.is_empty() {
        return;
    }
    let held = holders::of(Path::new(PROC), &copies.iter().map(Stays::wanted).collect::<Vec<_>>(), &[]);
    let used = copies.into_iter().zip(held).filter(|(_, holders)| holders.iter().any(Holder::certain));
    stays.extend(used.map(|(copy, _)| Stays { lives: None, ..copy }));
}

/// What the system said, and for those who may not unmount, the commands for those who may.
fn explain(mount: &Mount, what: &str, error: Errno) -> String {
    let said = format!("it could not be {what}: {}", io::Error::from(error));
    if error != Errno::PERM {
        return said;
    }
    // Private first, as in `pass`: else the unmount could spread to what the mount was made from.
    let private = CommandLine::new("sudo").args(["mount", "--make-rprivate"]).arg(&mount.point);
    let unmount = CommandLine::new("sudo").args(["umount", "-R"]).arg(&mount.point);
    format!("{said}; only root may do that: {private} && {unmount}")
}

impl Stays {
    fn wanted(&self) -> Wanted {
        let minor = self.mount.device.split_once(':').and_then(|(_, minor)| minor.parse().ok());
        let fuse = minor.filter(|_| self.mount.kind.starts_with("fuse"));
        let point = (!self.foreign).then(|| self.mount.point.clone());
        Wanted { ids: self.ids.clone(), point, fuse, disks: Vec::new() }
    }
}

/// Finds who holds what stays.
fn remaining(stays: Vec<Stays>, known: &[Name]) -> Vec<Remaining> {
    if stays.is_empty() {
        return Vec::new();
    }
    let held = holders::of(Path::new(PROC), &stays.iter().map(Stays::wanted).collect::<Vec<_>>(), known);
    let one = |(stays, mut holders): (Stays, Vec<Holder>)| {
        if let Some(pid) = stays.lives.filter(|pid| holders.iter().all(|holder| holder.pid != *pid)) {
            holders.extend(holders::named(Path::new(PROC), pid, "has it mounted in its own mount namespace", known));
        }
        let advice = Some(CommandLine::new("fuser").arg("-vm").arg(&stays.mount.point).to_string());
        Remaining {
            path: stays.mount.point,
            what: format!("{} ({})", stays.mount.kind, processes::plain(&stays.mount.source)),
            why: stays.why,
            advice,
            holders,
        }
    };
    stays.into_iter().zip(held).map(one).collect()
}
