//! Packages added, removed and changed in version.

use std::cmp::Ordering;

use serde::Serialize;

use super::{Change, Listed};
use crate::contents::model::{ImageContents, PackageEntry};
use crate::contents::versions;

/// In what two lists of packages differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PackageDifference {
    /// Packages that only the second has.
    pub added: Listed<PackageLine>,
    /// Packages that only the first has.
    pub removed: Listed<PackageLine>,
    /// Packages of another version.
    pub changed: Listed<VersionChange>,
    /// How many of those became newer.
    pub newer: u64,
    /// How many became older.
    pub older: u64,
    /// How many packages there are.
    pub count: Change<u64>,
}

/// A package that is in one image only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageLine {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its installed size, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// A package of another version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionChange {
    /// Its name.
    pub name: String,
    /// Its versions.
    #[serde(flatten)]
    pub version: Change<String>,
    /// Which is newer.
    pub direction: Direction,
    /// Its installed sizes, bytes.
    pub size: Change<Option<u64>>,
}

/// Which of two versions is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The second.
    Newer,
    /// The first.
    Older,
    /// Neither is by the package manager's rules, or the images have different package managers.
    Other,
}

impl PackageDifference {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.total + self.removed.total + self.changed.total == 0
    }

    pub(super) fn reversed(self) -> Self {
        let turn = |it: VersionChange| VersionChange {
            name: it.name,
            version: it.version.reversed(),
            direction: match it.direction {
                Direction::Newer => Direction::Older,
                Direction::Older => Direction::Newer,
                Direction::Other => Direction::Other,
            },
            size: it.size.reversed(),
        };
        Self {
            added: self.removed,
            removed: self.added,
            changed: self.changed.map(turn),
            newer: self.older,
            older: self.newer,
            count: self.count.reversed(),
        }
    }
}

pub(super) fn compare(from: &ImageContents, to: &ImageContents) -> PackageDifference {
    let count = Change { from: from.packages.len() as u64, to: to.packages.len() as u64 };
    let mut found = PackageDifference { count, ..PackageDifference::default() };
    let manager = from.package_manager.filter(|_| from.package_manager == to.package_manager);
    let line = |name: &String, package: &PackageEntry| PackageLine {
        name: name.clone(),
        version: package.version.clone(),
        size: package.size,
    };
    for (name, one) in &from.packages {
        let Some(two) = to.packages.get(name) else {
            found.removed.push(|| line(name, one));
            continue;
        };
        if one.version == two.version {
            continue;
        }
        let direction = match manager.map(|manager| versions::compare(manager, &one.version, &two.version)) {
            Some(Ordering::Less) => Direction::Newer,
            Some(Ordering::Greater) => Direction::Older,
            Some(Ordering::Equal) | None => Direction::Other,
        };
        found.newer += u64::from(direction == Direction::Newer);
        found.older += u64::from(direction == Direction::Older);
        found.changed.push(|| VersionChange {
            name: name.clone(),
            version: Change { from: one.version.clone(), to: two.version.clone() },
            direction,
            size: Change { from: one.size, to: two.size },
        });
    }
    for (name, two) in to.packages.iter().filter(|(name, _)| !from.packages.contains_key(*name)) {
        found.added.push(|| line(name, two));
    }
    found
}
