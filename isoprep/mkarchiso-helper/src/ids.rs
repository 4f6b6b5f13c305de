//! Which ids of the host root inside stands for: a range that nobody has, so that the host takes it for nobody of its own.
//! Pure but for [`free_on_this_host`].

use std::fs;

use cartridge_supervise::{IdMap, IdRange};

/// How many ids exist inside: as many as any distribution's files need.
pub(crate) const COUNT: u32 = 65_536;
/// The range that is for containers, in steps of [`COUNT`] (systemd, "Users, Groups, UIDs and GIDs on systemd systems").
const CONTAINERS: std::ops::RangeInclusive<u32> = 8..=0x6FFE;

/// The first id of a range that nobody on this host has, as user or as group.
pub(crate) fn free_on_this_host(caller: [u32; 2]) -> Option<u32> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut taken: Vec<(u32, u32)> = caller.map(|id| (id, 1)).to_vec();
    for accounts in ["/etc/passwd", "/etc/group"] {
        taken.extend(own(&read(accounts)));
    }
    for lent in ["/etc/subuid", "/etc/subgid"] {
        taken.extend(ranges(&read(lent)));
    }
    free(&taken)
}

/// The highest range of containers that overlaps none of `taken`: those who choose one otherwise begin at the low end.
fn free(taken: &[(u32, u32)]) -> Option<u32> {
    let meets = |first: u32, (other, count): (u32, u32)| {
        u64::from(first) < u64::from(other) + u64::from(count) && u64::from(other) < u64::from(first) + u64::from(COUNT)
    };
    CONTAINERS.rev().map(|step| step * COUNT).find(|first| !taken.iter().any(|other| meets(*first, *other)))
}

/// The ids in a passwd(5) or group(5) file.
fn own(text: &str) -> impl Iterator<Item = (u32, u32)> {
    text.lines().filter_map(|line| Some((line.split(':').nth(2)?.parse().ok()?, 1)))
}

/// The ranges in a subuid(5) file.
fn ranges(text: &str) -> impl Iterator<Item = (u32, u32)> {
    text.lines().filter_map(|line| {
        let mut words = line.trim().split(':').skip(1);
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    })
}

/// The map in which ids from 0 on are those from `first` on. `user` and `group` of the host are there too, after them, for
/// our own copying of what belongs to them; never root.
pub(crate) fn map(first: u32, guests: Option<(u32, u32)>) -> IdMap {
    let with = |guest: Option<u32>| {
        let mut ranges = vec![IdRange { inside: 0, outside: first, count: COUNT }];
        ranges.extend(guest.filter(|id| *id != 0).map(|outside| IdRange { inside: COUNT, outside, count: 1 }));
        ranges
    };
    IdMap::Lent { users: with(guests.map(|it| it.0)), groups: with(guests.map(|it| it.1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_anybody_has_is_not_free() {
        assert_eq!(free(&[]), Some(0x6FFE_0000));
        assert_eq!(free(&[(0x6FFE_FFFF, 1)]), Some(0x6FFD_0000));
        assert_eq!(free(&[(0x6FFE_0000, 1), (0x6FFC_FFFF, 2)]), Some(0x6FFB_0000));
        assert_eq!(free(&[(0, u32::MAX)]), None);
        assert_eq!(own("root:x:0:0::/:/bin/sh\nme:x:1000:7\nbroken\n").collect::<Vec<_>>(), [(0, 1), (1000, 1)]);
        assert_eq!(ranges("me:100000:65536\nbroken:\n").collect::<Vec<_>>(), [(100_000, 65_536)]);
    }

    #[test]
    fn the_host_s_root_is_never_inside() {
        let IdMap::Lent { users, groups } = map(1 << 20, Some((1000, 0))) else { unreachable!() };
        let outside = |ranges: &[IdRange]| ranges.iter().map(|it| (it.inside, it.outside)).collect::<Vec<_>>();
        assert_eq!((outside(&users), outside(&groups)), (vec![(0, 1 << 20), (65_536, 1000)], vec![(0, 1 << 20)]));
    }
}
