//! A kernel's modules on this host: where they are, and what depmod has written about them.

use std::path::{Path, PathBuf};

use cartridge_initramfs::modules::ModuleTree;

use super::BootError;

/// The list without which nothing is known.
const DEP: &str = "modules.dep";

/// The modules of one kernel.
#[derive(Debug)]
pub(super) struct Modules {
    pub(super) dir: PathBuf,
    pub(super) tree: ModuleTree,
    /// The text of `modules.alias`; empty if there is none.
    pub(super) alias: String,
}

/// Reads the modules for `kernel`, whose release is `release`, in `given` or else where they usually lie. `None`: they were
/// not named and are nowhere.
pub(super) fn find(given: Option<&Path>, kernel: &Path, release: Option<&str>) -> Result<Option<Modules>, BootError> {
    let places = match given {
        Some(given) => below(given, release),
        None => usual(kernel, release),
    };
    let there = places.iter().find(|dir| dir.join(DEP).is_file() && fits(dir, release));
    match (there, given) {
        (Some(dir), _) => read(dir).map(Some),
        (None, Some(given)) => Err(none_in(given, &places, release)),
        (None, None) => Ok(None),
    }
}

/// A folder may be named itself, or the one that has it by the release, or a whole root (Debian and Arch, merged or not).
fn below(given: &Path, release: Option<&str>) -> Vec<PathBuf> {
    let mut places = vec![given.to_path_buf(), given.join("modules")];
    if let Some(release) = release {
        places.extend(["", "lib/modules", "usr/lib/modules"].map(|dir| given.join(dir).join(release)));
    }
    places
}

/// Beside the kernel (`/usr/lib/modules/<release>/vmlinuz`), in the root that it lies in (`<root>/boot/vmlinuz`), on this host.
fn usual(kernel: &Path, release: Option<&str>) -> Vec<PathBuf> {
    let real = std::fs::canonicalize(kernel).unwrap_or_else(|_| kernel.to_path_buf());
    let mut places = Vec::new();
    for kernel in [kernel, &real] {
        let dir = kernel.parent().unwrap_or(Path::new("/"));
        places.extend([dir.join("modules"), dir.to_path_buf()]);
        if let Some(release) = release {
            let root = dir.parent().unwrap_or(Path::new("/"));
            places.extend(["lib/modules", "usr/lib/modules"].map(|it| root.join(it).join(release)));
        }
    }
    if let Some(release) = release {
        places.extend(["/lib/modules", "/usr/lib/modules"].map(|it| Path::new(it).join(release)));
    }
    places
}

/// Whether a folder that is called like a release is called like this one.
fn fits(dir: &Path, release: Option<&str>) -> bool {
    let Some((release, name)) = release.zip(dir.file_name().and_then(|name| name.to_str())) else { return true };
    !looks_like_a_release(name) || name == release
}

fn looks_like_a_release(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_digit()) && name.contains('.')
}

fn none_in(given: &Path, places: &[PathBuf], release: Option<&str>) -> BootError {
    let release = release.unwrap_or("of unknown release").to_owned();
    let modules = |dir: &&PathBuf| dir.join("kernel").is_dir() || dir.join("modules.builtin").is_file();
    let (why, advice) = if !given.is_dir() {
        ("there is no such folder".to_owned(), "Name the folder /lib/modules/<release> of this kernel.".to_owned())
    } else if let Some(dir) = places.iter().find(|dir| dir.join(DEP).is_file()) {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        (format!("those are for kernel {name}"), "Modules fit the kernel that they were built with only.".to_owned())
    } else if let Some(dir) = places.iter().find(modules) {
        let root = dir.ancestors().find(|it| it.ends_with("lib/modules")).and_then(Path::parent).and_then(Path::parent);
        let run = match root {
            Some(root) => format!("Run depmod first: depmod -b {} {release}", root.display()),
            None => "Run depmod first, see depmod(8).".to_owned(),
        };
        (format!("{} has no {DEP}", dir.display()), run)
    } else {
        (format!("there is no {DEP} in it"), "Name the folder /lib/modules/<release> of this kernel.".to_owned())
    };
    BootError::NoModules { path: given.to_path_buf(), release, why, advice }
}

fn read(dir: &Path) -> Result<Modules, BootError> {
    let path = dir.join(DEP);
    let dep = std::fs::read_to_string(&path).map_err(BootError::io("read", &path))?;
    // The other lists are refinements: a kernel without built-ins or softdeps has empty ones.
    let [builtin, softdep, alias] = ["modules.builtin", "modules.softdep", "modules.alias"]
        .map(|name| std::fs::read_to_string(dir.join(name)).unwrap_or_default());
    Ok(Modules { dir: dir.to_path_buf(), tree: ModuleTree::parse(&dep, &builtin, &softdep), alias })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(root: &Path, path: &str, dep: bool) -> PathBuf {
        let dir = root.join(path);
        std::fs::create_dir_all(dir.join("kernel")).unwrap();
        if dep {
            std::fs::write(dir.join(DEP), "kernel/9p.ko.xz:\n").unwrap();
        }
        dir
    }

    #[test]
    fn each_distributions_places_are_known() {
        let release = Some("6.1-x");
        for (modules, kernel) in [
            ("usr/lib/modules/6.1-x", "usr/lib/modules/6.1-x/vmlinuz"),
            ("lib/modules/6.1-x", "boot/vmlinuz-6.1-x"),
            ("usr/lib/modules/6.1-x", "boot/vmlinuz-linux"),
            ("store/6.1-x/modules", "store/6.1-x/vmlinuz"),
        ] {
            let root = tempfile::tempdir().unwrap();
            let dir = folder(root.path(), modules, true);
            let kernel = root.path().join(kernel);
            std::fs::create_dir_all(kernel.parent().unwrap()).unwrap();
            std::fs::write(&kernel, "").unwrap();
            assert_eq!(find(None, &kernel, release).unwrap().unwrap().dir, dir);
            for given in [dir.as_path(), dir.parent().unwrap()] {
                let found = find(Some(given), Path::new("/k"), release).unwrap().unwrap();
                assert!(found.dir == dir && found.tree.has("9p"));
            }
        }
        assert!(find(None, Path::new("/nowhere/vmlinuz"), release).unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_with_a_folder_is_said() {
        let root = tempfile::tempdir().unwrap();
        let error = |given: &Path| find(Some(given), Path::new("/k"), Some("6.1-x")).unwrap_err().to_string();
        assert!(error(&root.path().join("no")).contains("no such folder"));
        assert!(error(root.path()).contains("there is no modules.dep"));
        folder(root.path(), "lib/modules/6.1-x", false);
        assert!(error(root.path()).contains(&format!("depmod -b {} 6.1-x", root.path().display())));
        let other = folder(root.path(), "lib/modules/5.10-y", true);
        assert!(error(&other).contains("for kernel 5.10-y"), "{}", error(&other));
    }
}
