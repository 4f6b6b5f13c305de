//! The table of layouts: a name, and what makes it.

mod holders;
mod kinds;
mod links;
mod markers;
mod mounts;
mod names;
mod races;
mod special;

use crate::room::{Expect, Room, Skip};

/// Makes a layout in a room, or says why not here.
pub type Build = fn(&mut Room) -> Result<Expect, Skip>;

/// A layout of a work directory.
pub struct Layout {
    pub name: &'static str,
    pub build: Build,
}

/// All of them.
pub fn all() -> Vec<Layout> {
    let tables: [&[(&'static str, Build)]; 8] = [
        mounts::TABLE,
        special::TABLE,
        names::TABLE,
        links::TABLE,
        kinds::TABLE,
        markers::TABLE,
        races::TABLE,
        holders::TABLE,
    ];
    tables.into_iter().flatten().map(|&(name, build)| Layout { name, build }).collect()
}
