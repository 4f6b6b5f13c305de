//! Which users and groups exist inside a user namespace (user_namespaces(7)): all of the host's for root; for others their own
//! as root, and as many more as `/etc/subuid` and `/etc/subgid` lend them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A range of ids: `count` ids from `inside` on are those from `outside` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first id in the namespace.
    pub inside: u32,
    /// The first id on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// How ids are mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdMap {
    /// We are root: every id is itself, but root's powers over the host are gone.
    Same,
    /// Our own id is root inside, and lent ids follow, so that files can belong to others than root.
    Lent {
        /// User ids.
        users: Vec<IdRange>,
        /// Group ids.
        groups: Vec<IdRange>,
    },
    /// Our own id is root inside and there is no other: files can only belong to root.
    Single {
        /// Why there are no lent ids, with what would mend it.
        why: String,
    },
}

impl IdMap {
    /// The map for whoever runs this process.
    #[must_use]
    pub fn of_this_user() -> Self {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        if uid == 0 {
            return Self::Same;
        }
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let name = user_name(&read("/etc/passwd"), uid).or_else(|| std::env::var("USER").ok()).unwrap_or_default();
        let users = lent(&read("/etc/subuid"), &name, uid);
        let groups = lent(&read("/etc/subgid"), &name, uid);
        let tools = ["newuidmap", "newgidmap"].map(setuid_program);
        decide(uid, gid, users, groups, tools.iter().all(Option::is_some))
    }

    /// Whether files can belong to users other than root.
    #[must_use]
    pub fn has_many(&self) -> bool {
        !matches!(self, Self::Single { .. })
    }

    /// The maps of users and groups for a namespace inside, in which every id is itself.
    pub(super) fn inner(&self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let own = |kind: &str| Ok::<_, io::Error>(identity(&fs::read_to_string(format!("/proc/self/{kind}_map"))?));
        let same = |ranges: &[IdRange]| {
            ranges.iter().map(|it| format!("{0} {0} {1}\n", it.inside, it.count)).collect::<String>()
        };
        let (users, groups) = match self {
            Self::Same => (own("uid")?, own("gid")?),
            Self::Lent { users, groups } => (same(users), same(groups)),
            Self::Single { .. } => ("0 0 1\n".to_owned(), "0 0 1\n".to_owned()),
        };
        Ok((users.into_bytes(), groups.into_bytes()))
    }
}

/// A map of every id that we have to itself: lines of `inside outside count` (user_namespaces(7)).
pub(super) fn identity(own: &str) -> String {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace();
        let (inside, count) = (numbers.next()?, numbers.nth(1)?);
        Some(format!("{inside} {inside} {count}\n"))
    };
    own.lines().filter_map(line).collect()
}

fn decide(uid: u32, gid: u32, users: Vec<(u32, u32)>, groups: Vec<(u32, u32)>, tools: bool) -> IdMap {
    let mend = "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER";
    if users.is_empty() || groups.is_empty() {
        let file = if users.is_empty() { "/etc/subuid" } else { "/etc/subgid" };
        return IdMap::Single { why: format!("{file} lends no ids to this user; {mend}") };
    }
    if !tools {
        return IdMap::Single {
            why: "newuidmap and newgidmap are not installed (package uidmap on Debian and Ubuntu, shadow on Arch, \
                  shadow-utils on Fedora)"
                .to_owned(),
        };
    }
    IdMap::Lent { users: ranges(uid, users), groups: ranges(gid, groups) }
}

/// Root is `own`; the lent ids follow without gaps, at most up to 65536 in all: no distribution's files need more.
fn ranges(own: u32, lent: Vec<(u32, u32)>) -> Vec<IdRange> {
    let mut ranges = vec![IdRange { inside: 0, outside: own, count: 1 }];
    let mut next = 1;
    for (outside, count) in lent {
        let count = count.min(65_536 - next);
        if count > 0 {
            ranges.push(IdRange { inside: next, outside, count });
            next += count;
        }
    }
    ranges
}

/// The ranges that a subuid(5) or subgid(5) file lends to a user: lines of `name-or-uid:first:count`.
fn lent(text: &str, name: &str, uid: u32) -> Vec<(u32, u32)> {
    let ours = |who: &str| (!name.is_empty() && who == name) || who.parse() == Ok(uid);
    let range = |line: &str| {
        let mut parts = line.trim().split(':');
        let (who, first, count) =
            (parts.next()?, parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<u32>().ok()?);
        (ours(who) && count > 0 && first.checked_add(count).is_some()).then_some((first, count))
    };
    text.lines().filter_map(range).collect()
}

fn user_name(passwd: &str, uid: u32) -> Option<String> {
    let of = |line: &str| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    };
    passwd.lines().find_map(of)
}

/// A program in the usual places; administrators' folders are not in every `PATH`.
pub(super) fn setuid_program(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"]
        .into_iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lent_ids_are_found_by_name_and_by_number() {
        let text = "root:1:2\nme:100000:65536\n1000:300000:10\nother:1:1\nme:x:y\nme:4294967295:9\nme\n";
        assert_eq!(lent(text, "me", 1000), [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(lent(text, "", 7), []);
        assert_eq!(user_name("root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/h:/bin/sh\n", 1000).as_deref(), Some("me"));
    }

    #[test]
    fn root_is_oneself_and_the_rest_follows_without_gaps() {
        let found = ranges(1000, vec![(100_000, 60_000), (300_000, 60_000)]);
        let shown: Vec<_> = found.iter().map(|it| (it.inside, it.outside, it.count)).collect();
        assert_eq!(shown, [(0, 1000, 1), (1, 100_000, 60_000), (60_001, 300_000, 5_535)]);
    }

    #[test]
    fn without_lent_ids_or_tools_the_reason_is_said() {
        let why = |map: IdMap| if let IdMap::Single { why } = map { why } else { String::new() };
        assert!(why(decide(1, 1, vec![], vec![(1, 1)], true)).contains("/etc/subuid"));
        assert!(why(decide(1, 1, vec![(1, 1)], vec![], true)).contains("/etc/subgid"));
        assert!(why(decide(1, 1, vec![(1, 1)], vec![(1, 1)], false)).contains("newuidmap"));
        assert!(decide(1, 1, vec![(1, 1)], vec![(1, 1)], true).has_many());
    }

    #[test]
    fn every_id_that_we_have_is_itself() {
        assert_eq!(identity("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(identity("0 1000 1\n1 100000 65536\nnonsense\n"), "0 0 1\n1 1 65536\n");
        let lent = IdMap::Lent { users: ranges(1000, vec![(100_000, 9)]), groups: ranges(7, vec![(200_000, 8)]) };
        assert_eq!(lent.inner().unwrap(), (b"0 0 1\n1 1 9\n".to_vec(), b"0 0 1\n1 1 8\n".to_vec()));
    }
}
