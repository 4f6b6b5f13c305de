//! From a path as a boot loader writes it to the file that it means: loaders do not mind the case, links are followed, and
//! nothing leads out of the file system. Pure.

use std::collections::{BTreeMap, HashMap};

use super::super::model::{Entry, Kind};
use super::super::tree_path::TreePath;
use super::super::volume::{Listing, Node};

/// How many symbolic links one path may go through (as in Linux, `MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// The paths of a file system, to be found in any case.
pub(super) struct Names<'a> {
    entries: &'a BTreeMap<TreePath, (Entry, Node)>,
    by_case: HashMap<Vec<u8>, &'a TreePath>,
}

/// A regular file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: TreePath,
    pub(super) node: Node,
    pub(super) bytes: u64,
}

impl<'a> Names<'a> {
    pub(super) fn of(listing: &'a Listing) -> Self {
        let by_case = listing.entries.keys().map(|path| (path.as_bytes().to_ascii_lowercase(), path)).collect();
        Self { entries: &listing.entries, by_case }
    }

    /// The regular file that `path` means for a configuration in the directory `from`.
    pub(super) fn find(&self, path: &str, from: &TreePath) -> Option<Found> {
        let mut at = if path.starts_with('/') { TreePath::default() } else { from.clone() };
        let mut todo: Vec<Vec<u8>> = parts(path.as_bytes());
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == b".." {
                at = at.parent();
                continue;
            }
            let (real, (entry, node)) = self.entry(&at.join(&part))?;
            match &entry.kind {
                Kind::Symlink { target } => {
                    links += 1;
                    if links > MOST_LINKS {
                        return None;
                    }
                    if target.as_bytes().starts_with(b"/") {
                        at = TreePath::default();
                    }
                    todo.extend(parts(target.as_bytes()));
                }
                Kind::File { size, .. } if todo.is_empty() => {
                    return Some(Found { path: real.clone(), node: *node, bytes: *size });
                }
                Kind::Directory => at = real.clone(),
                _ => return None,
            }
        }
        None
    }

    fn entry(&self, path: &TreePath) -> Option<(&'a TreePath, &'a (Entry, Node))> {
        self.entries.get_key_value(path).or_else(|| {
            let real = self.by_case.get(&path.as_bytes().to_ascii_lowercase())?;
            self.entries.get_key_value(*real)
        })
    }
}

/// The parts of a path, the last one first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .rev()
        .filter(|part| !part.is_empty() && *part != b".")
        .map(<[u8]>::to_vec)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        let mut listing = Listing::of(1 << 20);
        let link = |target: &str| Entry::new(Kind::Symlink { target: target.into() }, 0o777);
        for (path, entry) in [
            ("live", Entry::new(Kind::Directory, 0o755)),
            ("live/vmlinuz-6.1", Entry::new(Kind::file(7), 0o644)),
            ("live/vmlinuz", link("vmlinuz-6.1")),
            ("BOOT", Entry::new(Kind::Directory, 0o755)),
            ("BOOT/VMLINUZ", Entry::new(Kind::file(9), 0o644)),
            ("kernel", link("/live/../live/vmlinuz")),
            ("loop", link("loop")),
            ("out", link("../../../live/vmlinuz")),
            ("dir", link("live")),
        ] {
            listing.add(path.into(), entry, 1).unwrap();
        }
        listing
    }

    #[test]
    fn files_are_found_in_any_case_and_through_links() {
        let listing = listing();
        let names = Names::of(&listing);
        let find = |path: &str, from: &str| names.find(path, &from.into()).map(|it| it.path.to_string());
        for path in ["/live/vmlinuz-6.1", "/live/vmlinuz", "//LIVE/./vmlinuz", "/kernel", "/out", "/dir/vmlinuz"] {
            assert_eq!(find(path, "BOOT").as_deref(), Some("live/vmlinuz-6.1"), "{path}");
        }
        assert_eq!(find("vmlinuz", "boot").as_deref(), Some("BOOT/VMLINUZ"));
        assert_eq!(find("../live/vmlinuz", "BOOT").as_deref(), Some("live/vmlinuz-6.1"));
        for path in ["/loop", "/live", "/live/vmlinuz/x", "/absent", "", "/", ".."] {
            assert_eq!(find(path, ""), None, "{path}");
        }
    }
}
