//! What will be installed, as far as it is known: the profile's list, the cartridge's list, and what they bring when
//! the package databases are at hand.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Severity;
use super::subject::Subject;
use super::sync_db::{Index, SyncPackage};

/// Repositories of Arch Linux itself (<https://wiki.archlinux.org/title/Official_repositories>). `community` and
/// `testing` are gone and still written.
const OFFICIAL: [&str; 14] = [
    "community",
    "community-testing",
    "core",
    "core-staging",
    "core-testing",
    "extra",
    "extra-staging",
    "extra-testing",
    "gnome-unstable",
    "kde-unstable",
    "multilib",
    "multilib-staging",
    "multilib-testing",
    "testing",
];

/// The packages of a subject.
pub(super) struct PackageSet<'a> {
    /// Every name that is listed.
    pub(super) listed: BTreeSet<&'a str>,
    /// Names of repositories.
    repositories: BTreeSet<&'a str>,
    /// What can be asked for, if all databases are there.
    pub(super) index: Option<Index<'a>>,
    /// What may be installed, dependencies included, if all databases are there.
    pub(super) closure: Option<BTreeMap<&'a str, &'a SyncPackage>>,
}

impl<'a> PackageSet<'a> {
    pub(super) fn new(subject: &'a Subject<'a>, repositories: &'a BTreeSet<&'a str>) -> Self {
        let list = subject.profile.packages.packages.iter().map(|package| package.name.as_str());
        let own = subject.packages.iter().chain(&subject.profile.definition.pkg_list);
        let listed: BTreeSet<&str> = list.chain(own.map(String::as_str)).collect();
        let covered = subject.databases.cover(repositories.iter().copied());
        let index = covered.then(|| subject.databases.index(repositories));
        let closure = index.as_ref().map(|index| index.closure(listed.iter().copied()));
        Self { listed, repositories: repositories.clone(), index, closure }
    }

    /// Whether a package is listed, or brought by one that is.
    pub(super) fn has(&self, name: &str) -> bool {
        self.listed.contains(name)
            || self.closure.as_ref().is_some_and(|all| {
                all.contains_key(name) || all.values().any(|package| package.provides.iter().any(|it| it == name))
            })
    }

    /// How sure it is that none of `any_of` is installed: `None` when one is, and when there is no list, which is said once
    /// and not with every package that is not on it. Without databases a repository of
    /// somebody else's may bring one as a dependency.
    pub(super) fn lacks(&self, any_of: &[&str]) -> Option<Severity> {
        if self.listed.is_empty() || any_of.iter().any(|name| self.has(name)) {
            return None;
        }
        let sure = self.closure.is_some() || self.all_official();
        Some(if sure { Severity::Error } else { Severity::Warning })
    }

    /// Whether all repositories are Arch's own.
    pub(super) fn all_official(&self) -> bool {
        self.repositories.iter().all(|name| is_official(name))
    }
}

/// Whether a repository is one of Arch's own.
pub(super) fn is_official(repository: &str) -> bool {
    OFFICIAL.contains(&repository)
}
