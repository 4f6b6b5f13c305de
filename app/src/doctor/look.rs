//! Where a need can be met: programs, files, libraries, kernels, each looked for under a root.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use rustix::fs::Access;

use super::elf;
use super::needs::Alternative;
use super::probe::Places;

/// Where the dynamic linker looks, in short; `packaging/shell/needs.sh` has the same list.
const LIBRARY_FOLDERS: [&str; 7] =
    ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib64", "lib64", "usr/lib", "lib", "usr/local/lib"];
/// Administrators' tools are outside an ordinary user's `PATH` on Debian.
const ADMIN_FOLDERS: [&str; 3] = ["usr/local/sbin", "usr/sbin", "sbin"];
pub(super) fn find(alternatives: &[Alternative], places: &Places) -> Option<String> {
    alternatives.iter().find_map(|alternative| match alternative {
        Alternative::Command(name) => programs(name, places).next().map(shown),
        Alternative::File(pattern) => glob(&places.root, pattern).map(shown),
        Alternative::Library(name) => LIBRARY_FOLDERS
            .iter()
            .map(|folder| places.root.join(folder).join(name))
            .find(|path| path.exists())
            .map(shown),
        Alternative::StaticBusybox => {
            let others = ["usr/lib/busybox/busybox", "sbin/busybox"].map(|path| places.root.join(path));
            programs("busybox", places).chain(others).find(|path| is_static_program(path)).map(shown)
        }
        Alternative::Kernel => kernels(places).pop(),
        Alternative::Rust => None,
    })
}

fn shown(path: PathBuf) -> String {
    path.display().to_string()
}

fn programs<'a>(name: &'a str, places: &'a Places) -> impl Iterator<Item = PathBuf> + 'a {
    let admin = ADMIN_FOLDERS.iter().map(|folder| places.root.join(folder));
    let folders = places.path.iter().cloned().chain(admin);
    folders.map(move |folder| folder.join(name)).filter(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok()
}

fn is_readable(path: &Path) -> bool {
    path.exists() && rustix::fs::access(path, Access::READ_OK).is_ok()
}

fn is_static_program(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(elf::HEAD).read_to_end(&mut head));
    read.is_ok() && is_program(path) && elf::is_static(&head)
}

/// The first path, in order of name, that fits `pattern` under `root`; `*` stands for any part of one component.
fn glob(root: &Path, pattern: &Path) -> Option<PathBuf> {
    let mut fitting = vec![root.to_owned()];
    for component in pattern.components() {
        let Component::Normal(name) = component else { continue };
        let star = name.to_str().and_then(|name| name.split_once('*'));
        fitting = match star {
            None => fitting.into_iter().map(|folder| folder.join(name)).filter(|path| path.exists()).collect(),
            Some((before, after)) => {
                let fits = |name: &OsStr| {
                    name.to_str().is_some_and(|name| {
                        name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
                    })
                };
                fitting
                    .iter()
                    .flat_map(|folder| entries(folder))
                    .filter(|path| path.file_name().is_some_and(fits))
                    .collect()
            }
        };
    }
    fitting.into_iter().next()
}

/// What is in a folder, sorted by name; nothing where it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

/// The kernels that can be read with their modules: the store's, then the system's.
fn kernels(places: &Places) -> Vec<String> {
    let store = places.kernel_store.iter().flat_map(|store| entries(store));
    let ours =
        store.filter(|folder| is_readable(&folder.join("vmlinuz")) && is_readable(&folder.join("modules/modules.dep")));
    let installed = entries(&places.root.join("lib/modules")).into_iter().filter(|folder| {
        let version = folder.file_name().unwrap_or_default();
        let images = [boot_image(&places.root, version), folder.join("vmlinuz")];
        is_readable(&folder.join("modules.dep")) && images.iter().any(|image| is_readable(image))
    });
    ours.chain(installed).map(shown).collect()
}

fn boot_image(root: &Path, version: &OsStr) -> PathBuf {
    let mut name = OsString::from("vmlinuz-");
    name.push(version);
    root.join("boot").join(name)
}

pub(super) fn unreadable(root: &Path, version: &str) -> bool {
    let image = boot_image(root, OsStr::new(version));
    !version.is_empty()
        && image.exists()
        && !is_readable(&image)
        && is_readable(&root.join("lib/modules").join(version).join("modules.dep"))
}

/// Installed with the package, or beside the source tree that this program was built in.
pub(super) fn setup_script(root: &Path) -> Option<PathBuf> {
    let beside =
        env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.parent()?.join("packaging/setup")));
    [Some(root.join("usr/share/cartridge/setup")), beside].into_iter().flatten().find(|path| is_program(path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_star_stands_for_part_of_one_component() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["usr/lib/python3.11/site-packages/gi/__init__.py", "a/lvp_icd.x86_64.json"] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let hit = |pattern: &str| glob(dir.path(), Path::new(pattern)).is_some();
        assert!(hit("/usr/lib/python3*/site-packages/gi/__init__.py"));
        assert!(hit("/a/lvp_icd*.json"));
        assert!(!hit("/a/lvp_icd.x86_64.json*.json"));
        assert!(!hit("/usr/*/gi/__init__.py"));
    }
}
