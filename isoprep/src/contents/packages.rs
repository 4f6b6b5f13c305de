//! The list of installed packages, as the package manager of the image left it, and which files they own. The parsers take
//! text.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::Fault;
use super::model::{Kind, PackageEntry, PackageManager, Tree};
use super::tree_path::TreePath;

/// Where pacman keeps what is installed: a directory a package, with `desc` and `files`.
const PACMAN: &str = "var/lib/pacman/local";
/// Where dpkg keeps what is installed, and a list of files a package.
const DPKG: &str = "var/lib/dpkg/status";
const DPKG_LISTS: &str = "var/lib/dpkg/info";
/// The largest file of a package list that is read, bytes.
pub(super) const LARGEST: u64 = 64 << 20;
/// How many packages are read.
const MOST: usize = 100_000;

/// What is installed.
#[derive(Debug, Default)]
pub(super) struct Installed {
    pub(super) manager: Option<PackageManager>,
    pub(super) packages: BTreeMap<String, PackageEntry>,
    /// Which package a file belongs to.
    pub(super) owners: Vec<(TreePath, Arc<str>)>,
}

/// Reads what is installed in the root file system `files`, whose content `read` gives.
pub(super) fn installed(
    files: &Tree,
    mut read: impl FnMut(&TreePath) -> Result<Vec<u8>, Fault>,
) -> Result<Installed, Fault> {
    let mut installed = Installed::default();
    let is_file = |path: &TreePath| matches!(files.get(path).map(|entry| &entry.kind), Some(Kind::File { .. }));
    let below = |dir: &str| {
        let prefix = TreePath::new([dir.as_bytes(), b"/"].concat());
        let paths = files.range_from(&prefix).map(|(path, _)| path);
        paths.take_while(move |path| path.as_bytes().starts_with(prefix.as_bytes()))
    };
    let mut text = |path: &TreePath| read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    for path in below(PACMAN).filter(|path| path.name() == b"desc" && is_file(path)).take(MOST) {
        installed.manager = Some(PackageManager::Pacman);
        let Some((name, package)) = pacman_desc(&text(path)?) else { continue };
        let list = path.parent().join(b"files");
        if is_file(&list) {
            let owner: Arc<str> = name.as_str().into();
            let owned = pacman_files(&text(&list)?);
            installed.owners.extend(owned.into_iter().map(|path| (path, Arc::clone(&owner))));
        }
        installed.packages.insert(name, package);
    }
    let status = TreePath::from(DPKG);
    if installed.packages.is_empty() && is_file(&status) {
        installed.manager = Some(PackageManager::Dpkg);
        installed.packages = dpkg_status(&text(&status)?);
        for path in below(DPKG_LISTS).filter(|path| is_file(path)).take(MOST) {
            let name = String::from_utf8_lossy(path.name()).into_owned();
            let Some(name) = name.strip_suffix(".list").map(|name| name.split(':').next().unwrap_or(name)) else {
                continue;
            };
            if installed.packages.contains_key(name) {
                let owner: Arc<str> = name.into();
                let owned = dpkg_files(&text(path)?, files);
                installed.owners.extend(owned.into_iter().map(|path| (path, Arc::clone(&owner))));
            }
        }
    }
    Ok(installed)
}

/// The lists of packages that lie beside a root image: archiso's `pkglist.<arch>.txt` and live-build's
/// `filesystem.packages`. Tells whose it is by its name.
pub(super) fn list_beside(path: &TreePath) -> Option<PackageManager> {
    let name = String::from_utf8_lossy(path.name()).to_ascii_lowercase();
    match name.as_str() {
        "filesystem.packages" => Some(PackageManager::Dpkg),
        name if name.starts_with("pkglist.") && name.ends_with(".txt") => Some(PackageManager::Pacman),
        _ => None,
    }
}

/// Lines of a name and a version.
pub(super) fn names_and_versions(text: &str) -> BTreeMap<String, PackageEntry> {
    let line = |line: &str| {
        let (name, version) = line.trim().split_once(char::is_whitespace)?;
        let name = name.split(':').next().unwrap_or(name);
        Some((name.to_owned(), PackageEntry { version: version.trim().to_owned(), ..PackageEntry::default() }))
    };
    text.lines().filter_map(line).take(MOST).collect()
}

/// `%KEY%`, then its lines, then an empty line.
fn sections(text: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let key = lines.by_ref().find(|line| line.len() > 2 && line.starts_with('%') && line.ends_with('%'))?;
        Some((&key[1..key.len() - 1], lines.by_ref().take_while(|line| !line.is_empty()).collect()))
    })
}

fn pacman_desc(text: &str) -> Option<(String, PackageEntry)> {
    let mut name = None;
    let mut package = PackageEntry::default();
    for (key, lines) in sections(text) {
        let Some(line) = lines.first() else { continue };
        match key {
            "NAME" => name = Some((*line).to_owned()),
            "VERSION" => (*line).clone_into(&mut package.version),
            "SIZE" => package.size = line.parse().ok(),
            "INSTALLED_DB" => package.repository = Some((*line).to_owned()),
            _ => {}
        }
    }
    name.map(|name| (name, package))
}

fn pacman_files(text: &str) -> Vec<TreePath> {
    let files = sections(text).filter(|(key, _)| *key == "FILES").flat_map(|(_, lines)| lines);
    // Directories, which end with a slash, are shared by many.
    files.filter(|path| !path.ends_with('/')).map(TreePath::from).collect()
}

fn dpkg_status(text: &str) -> BTreeMap<String, PackageEntry> {
    let stanza = |stanza: &str| {
        let field = |wanted: &str| {
            stanza
                .lines()
                .find_map(|line| line.split_once(':').filter(|(key, _)| *key == wanted).map(|(_, v)| v.trim()))
        };
        let is_installed = field("Status").is_some_and(|status| status.ends_with(" installed"));
        let size = field("Installed-Size").and_then(|kib| kib.parse::<u64>().ok()?.checked_mul(1024));
        let package = PackageEntry { version: field("Version")?.to_owned(), size, repository: None };
        is_installed.then_some((field("Package")?.to_owned(), package))
    };
    text.split("\n\n").filter_map(stanza).take(MOST).collect()
}

/// A package's files. dpkg still writes `/bin/x` where `/bin` has become a link to `usr/bin`.
fn dpkg_files(text: &str, files: &Tree) -> Vec<TreePath> {
    let file = |line: &str| {
        let path = TreePath::from(line.strip_prefix('/')?);
        let top = TreePath::new(path.parts().next()?);
        let Some(Kind::Symlink { target }) = files.get(&top).map(|entry| &entry.kind) else { return Some(path) };
        let rest = path.as_bytes().get(top.as_bytes().len() + 1..)?;
        Some(target.join(rest))
    };
    let is_directory = |path: &TreePath| matches!(files.get(path).map(|entry| &entry.kind), Some(Kind::Directory));
    text.lines().filter_map(file).filter(|path| !is_directory(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contents::model::Entry;

    fn tree(paths: &[&str]) -> Tree {
        paths.iter().map(|path| (TreePath::from(*path), Entry::new(Kind::file(1), 0o644))).collect()
    }

    #[test]
    fn pacmans_local_database_is_read() {
        let files = tree(&[
            "var/lib/pacman/local/ALPM_DB_VERSION",
            "var/lib/pacman/local/bash-5.2-1/desc",
            "var/lib/pacman/local/bash-5.2-1/files",
            "var/lib/pacman/local/zlib-1:1.3-2/desc",
            "var/lib/pacman/localx/no-1-1/desc",
        ]);
        let found = installed(&files, |path| {
            let text = match path.to_string().as_str() {
                "var/lib/pacman/local/bash-5.2-1/desc" => {
                    "%NAME%\nbash\n\n%VERSION%\n5.2-1\n\n%SIZE%\n900\n\n%INSTALLED_DB%\ncore\n\n%DEPENDS%\na\nb\n"
                }
                "var/lib/pacman/local/bash-5.2-1/files" => {
                    "%FILES%\nusr/\nusr/bin/bash\nusr/bin/sh\n\n%BACKUP%\netc/x\tabc\n"
                }
                "var/lib/pacman/local/zlib-1:1.3-2/desc" => "%NAME%\nzlib\n\n%VERSION%\n1:1.3-2\n",
                other => panic!("{other} is not wanted"),
            };
            Ok(text.into())
        });
        let found = found.unwrap();
        assert_eq!(found.manager, Some(PackageManager::Pacman));
        let bash = &found.packages["bash"];
        assert_eq!((bash.version.as_str(), bash.size, bash.repository.as_deref()), ("5.2-1", Some(900), Some("core")));
        assert_eq!(found.packages["zlib"].version, "1:1.3-2");
        let owned: Vec<_> = found.owners.iter().map(|(path, owner)| format!("{owner} {path}")).collect();
        assert_eq!(owned, ["bash usr/bin/bash", "bash usr/bin/sh"]);
    }

    #[test]
    fn dpkgs_status_and_lists_are_read_through_merged_directories() {
        let mut files = tree(&["var/lib/dpkg/status", "var/lib/dpkg/info/dash.list", "var/lib/dpkg/info/gone.list"]);
        files.insert("bin".into(), Entry::new(Kind::Symlink { target: "usr/bin".into() }, 0o777));
        files.insert("usr".into(), Entry::new(Kind::Directory, 0o755));
        let found = installed(&files, |path| {
            let text = match path.name() {
                b"status" => {
                    "Package: dash\nStatus: install ok installed\nInstalled-Size: 191\nVersion: 0.5.12-2\nDescription: x\n Version: no\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
                }
                b"dash.list" => "/.\n/usr\n/bin/dash\n/usr/share/doc/dash\n",
                other => panic!("{other:?} is not wanted"),
            };
            Ok(text.into())
        });
        let found = found.unwrap();
        assert_eq!(found.manager, Some(PackageManager::Dpkg));
        assert_eq!(found.packages.len(), 1);
        assert_eq!(
            (found.packages["dash"].version.as_str(), found.packages["dash"].size),
            ("0.5.12-2", Some(191 << 10))
        );
        assert!(found.owners.contains(&("usr/bin/dash".into(), "dash".into())), "{:?}", found.owners);
        assert!(!found.owners.iter().any(|(path, _)| *path == TreePath::from("usr")));
    }

    #[test]
    fn lists_beside_the_root_are_read() {
        assert_eq!(list_beside(&"arch/pkglist.x86_64.txt".into()), Some(PackageManager::Pacman));
        assert_eq!(list_beside(&"live/filesystem.packages".into()), Some(PackageManager::Dpkg));
        assert_eq!(list_beside(&"arch/x86_64/airootfs.sfs".into()), None);
        let list = names_and_versions("linux 6.11-1\nlibc6:amd64\t2.36-9\nbroken\n\n");
        assert_eq!(
            (list["linux"].version.as_str(), list["libc6"].version.as_str(), list.len()),
            ("6.11-1", "2.36-9", 2)
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken(text: String) {
            let (files, _) = (tree(&["bin"]), ());
            let _ = (pacman_desc(&text), pacman_files(&text), dpkg_status(&text), dpkg_files(&text, &files));
            let _ = names_and_versions(&text);
        }
    }
}
