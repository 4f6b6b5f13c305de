//! Kernel modules: loaded in the order of a list that the host computed, so that nothing is resolved at boot; and the few
//! that are known to be needed only then, by name.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The list: one path a line, relative to `/lib/modules/<release>/`, dependencies first.
const LIST: &str = "/etc/cartridge/modules.load";

/// Loads every listed module and returns a note for each that failed.
pub(crate) fn load_listed() -> Vec<String> {
    load_listed_if(|_| true)
}

/// As [`load_listed`], those alone whose name, with underscores, is wanted.
pub(crate) fn load_listed_if(is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let Ok(list) = std::fs::read_to_string(LIST) else {
        // An image for a kernel without modules has no list.
        return Vec::new();
    };
    let (root, release) = folder();
    if !root.is_dir() {
        return vec![format!("the running kernel is {release}, and this image has no modules for it")];
    }
    let lines = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let wanted = lines.filter(|line| is_wanted(&name_of(line)));
    wanted.filter_map(|line| load(&root.join(line)).err().map(|e| format!("module {line}: {e}"))).collect()
}

/// Loads the module `name` after those that it needs, of what this initramfs has. Where it has none the kernel may have it
/// built in: what is done next will tell.
pub(crate) fn load_named(name: &str) {
    let (root, _) = folder();
    let dep = std::fs::read_to_string(root.join("modules.dep")).unwrap_or_default();
    for path in order(&dep, name) {
        let _ = load(&root.join(path));
    }
}

/// The running kernel's modules, and its release.
fn folder() -> (PathBuf, String) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    (Path::new("/lib/modules").join(&release), release)
}

/// The paths of `name` and of what it needs in a `modules.dep`, in load order (modules.dep(5)): each line has all needs,
/// the nearest first.
fn order<'a>(dep: &'a str, name: &str) -> Vec<&'a str> {
    let name = name_of(name);
    let mut lines = dep.lines().filter_map(|line| line.split_once(':'));
    let Some((path, needs)) = lines.find(|(path, _)| name_of(path) == name) else {
        return Vec::new();
    };
    let mut seen = HashSet::new();
    needs.split_whitespace().rev().chain([path]).filter(|path| seen.insert(*path)).collect()
}

/// `kernel/a/b-c.ko` is the module `b_c`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

fn load(path: &Path) -> io::Result<()> {
    // The kernel would read all of it before it says that it has it (kernel/module/main.c).
    if path.to_str().is_some_and(|path| Path::new("/sys/module").join(name_of(path)).join("initstate").exists()) {
        return Ok(());
    }
    match rustix::system::finit_module(File::open(path)?, c"", 0) {
        // Already there, or built in; or a driver that wants hardware which this machine does not have.
        Ok(()) | Err(Errno::EXIST | Errno::NODEV) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_comes_first() {
        let dep = "k/9p.ko: k/netfs.ko k/9pnet.ko\nk/9pnet.ko:\nk/virtio-blk.ko:\n";
        assert_eq!(order(dep, "9p"), ["k/9pnet.ko", "k/netfs.ko", "k/9p.ko"]);
        assert_eq!(order(dep, "virtio_blk"), ["k/virtio-blk.ko"]);
        assert!(order(dep, "absent").is_empty() && order("", "9p").is_empty());
    }
}
