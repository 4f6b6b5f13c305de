//! The table of layouts: a name, and what makes it.

mod holders;
mod kinds;
mod links;
mod markers;
mod mounts;
mod names;
mod races;
mod special;
mod stubborn;

use crate::room::{Expect, Room, Skip};

/// Makes a layout in a room, or says why not here.
pub type Build = fn(&mut Room) -> Result<Expect, Skip>;

/// A layout of a work directory.
pub struct Layout {
    /// What it is about; layouts of a group follow each other.
    pub group: &'static str,
    pub name: &'static str,
    pub build: Build,
}

/// All of them.
pub fn all() -> Vec<Layout> {
    let tables: [(&'static str, &[(&'static str, Build)]); 9] = [
        ("bind mounts", mounts::TABLE),
        ("other file systems", special::TABLE),
        ("names", names::TABLE),
        ("links", links::TABLE),
        ("kinds, rights and users", kinds::TABLE),
        ("what is not ours", markers::TABLE),
        ("races", races::TABLE),
        ("mounts that somebody holds", holders::TABLE),
        ("disks and what does not answer", stubborn::TABLE),
    ];
    let rows = |(group, table): (&'static str, &'static [(&'static str, Build)])| {
        table.iter().map(move |&(name, build)| Layout { group, name, build })
    };
    tables.into_iter().flat_map(rows).collect()
}
