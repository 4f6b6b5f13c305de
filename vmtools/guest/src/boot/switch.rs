//! From the initramfs into the root: mounts move along, the initramfs is emptied, the root's init takes over (what
//! switch_root(8) does). Where the root has no init, we stay process 1 in it.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

use rustix::mount::{MountFlags, mount, mount_move};

use super::steps::{self, Step};
use super::{Failure, NEW_ROOT};
use crate::console::Console;
use crate::modules;
use crate::shares;
use crate::shell::Program;

/// Where an init is looked for, as Linux does (init/main.c) with the places of systemd.
const INITS: [&str; 5] =
    ["/sbin/init", "/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/usr/sbin/init", "/bin/init"];
/// What mounts the folders that the host lends.
const LENDING: [&str; 5] = ["qemu_fw_cfg", "9pnet_virtio", "9p", "virtiofs", "overlay"];
/// What moves along.
const MOVED: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];

/// Goes over. Comes back in the root if it has no init, with its shell, or `None` if it has none either.
/// `lends_more`: the host lends folders besides the root.
pub(super) fn over(lends_more: bool, notes: &mut Vec<String>) -> Result<Option<Program>, Failure> {
    if lends_more {
        // The root's own modules may be another kernel's.
        LENDING.iter().for_each(|module| modules::load_named(module));
    }
    let root = Path::new(NEW_ROOT);
    for place in MOVED {
        let to = root.join(&place[1..]);
        // In a root that cannot be written it may be there all the same.
        let _ = fs::create_dir(&to);
        mount_move(place, &to)
            .map_err(|e| Failure::new(format!("{place} cannot be moved to the root: {e}")).with(contents(root)))?;
    }
    let tmp = root.join("tmp");
    if rustix::fs::access(&tmp, rustix::fs::Access::WRITE_OK).is_err() && tmp.is_dir() {
        let _ = mount("tmpfs", &tmp, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=1777"));
    }
    let before = File::open("/");
    let entered = std::env::set_current_dir(root).map_err(|e| e.to_string()).and_then(|()| {
        mount_move(".", "/").map_err(|e| e.to_string())?;
        rustix::process::chroot(".").map_err(|e| e.to_string())?;
        std::env::set_current_dir("/").map_err(|e| e.to_string())
    });
    entered.map_err(|e| Failure::new(format!("the root cannot be entered: {e}")))?;
    let emptying = before.and_then(empty_initramfs);
    if let Err(e) = &emptying {
        notes.push(format!("the memory of the initramfs stays in use: {e}"));
    }
    if lends_more {
        lend(notes);
    }
    let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let found = || INITS.iter().find(|it| Path::new(it).exists()).map(|it| (*it).to_owned());
    if let Some(init) = asked(&cmdline).or_else(found) {
        // Threads end where another program takes over.
        if let Ok(emptying) = emptying {
            let _ = emptying.join();
        }
        // It comes back only with a failure.
        let e = exec(&init);
        notes.push(format!("{init} was not started: {e}"));
    }
    let program = Program::of_the_root();
    if program.is_none() {
        let what = "the root has neither an init nor a shell";
        Console::both().write(&format!("\r\n{what}: the guest stands still.\r\n"));
        steps::tell(&Step::Failed { what: what.to_owned(), there: contents(Path::new("/")) });
    }
    Ok(program)
}

/// Mounts the other folders that the host lends, and leaves a process that keeps them fresh if that is needed.
fn lend(notes: &mut Vec<String>) {
    let listed: Vec<_> = shares::listed(notes).into_iter().filter(|share| share.at != Path::new("/")).collect();
    let outcomes = shares::mount_all(&listed, Path::new("/"));
    if shares::must_forget(&outcomes) {
        let spawned = Command::new("/proc/self/exe").arg(crate::KEEP_FRESH).spawn();
        if let Err(e) = spawned {
            notes.push(format!("new files of the host are not seen in overlaid folders: {e}"));
        }
    }
}

/// The last `init=`.
fn asked(cmdline: &str) -> Option<String> {
    let words = cmdline.split_whitespace().take_while(|word| *word != "--");
    words.filter_map(|word| word.strip_prefix("init=")).last().map(str::to_owned)
}

/// Becomes `init`, with the words that the kernel gave us for it. Comes back with what went wrong.
fn exec(init: &str) -> std::io::Error {
    steps::tell(&Step::Exec { what: init.to_owned() });
    Command::new(init).args(std::env::args_os().skip(1)).exec()
}

/// Frees the memory that the initramfs takes, beside everything else. What is mounted in it is left alone. It is reached
/// by `before`, its folder that was opened before the root lay over it (proc(5), /proc/pid/fd).
fn empty_initramfs(before: File) -> std::io::Result<JoinHandle<()>> {
    let empty = move || {
        let folder = PathBuf::from(format!("/proc/self/fd/{}", before.as_raw_fd()));
        let Ok(own) = before.metadata() else { return };
        remove_below(&folder, own.dev());
    };
    std::thread::Builder::new().name("initramfs".into()).spawn(empty)
}

fn remove_below(dir: &Path, device: u64) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.dev() != device {
            continue;
        }
        if meta.is_dir() {
            remove_below(&path, device);
            let _ = fs::remove_dir(&path);
        } else {
            let _ = fs::remove_file(&path);
        }
    }
}

fn contents(root: &Path) -> Vec<String> {
    let names: Vec<String> = super::disks::children(root)
        .iter()
        .filter_map(|it| Some(it.file_name()?.to_string_lossy().into_owned()))
        .collect();
    if names.is_empty() { vec!["it is empty".to_owned()] } else { vec![format!("it has {}", names.join(", "))] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_init_of_the_command_line_counts() {
        assert_eq!(asked("quiet init=/a rdinit=/b init=/bin/sh -- init=/c"), Some("/bin/sh".to_owned()));
        assert_eq!(asked("rdinit=/b"), None);
    }

    #[test]
    fn another_file_system_is_not_emptied() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/b"), "").unwrap();
        let device = fs::symlink_metadata(dir.path()).unwrap().dev();
        remove_below(dir.path(), device + 1);
        assert!(dir.path().join("a/b").exists());
        remove_below(dir.path(), device);
        assert_eq!(contents(dir.path()), ["it is empty"]);
    }
}
