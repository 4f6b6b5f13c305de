//! With what a guest begins that does not begin with nothing: a moment that was saved, and its memory in a file. What QEMU
//! is told of that, and what a person is shown in its place.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use cartridge_supervise::Cancel;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals};
use serde_json::Value;

use crate::guest::{GuestError, GuestPlan};
use crate::machine::{
    FirmwareFiles, Machine, MemoryFile, MemoryUse, RuntimePaths, folder_ports, memory_in_file, plugging_of_folders,
    qemu_arguments,
};
use crate::slot::{InputFile, Plugged, copy_content};

/// Makes QEMU wait for a guest's memory (qemu(1)).
const WAITING: [&str; 2] = ["-incoming", "defer"];

/// A moment of a guest that was saved, for another guest to begin with.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// Memory and devices.
    pub(crate) memory: PathBuf,
    /// What the guest reads and does not write: what it was at first, and where it is now.
    pub(crate) files: Vec<(InputFile, PathBuf)>,
    /// Layers that had been plugged in.
    pub(crate) plugged: Vec<Plugged>,
    /// The generation of the last report, if there was one.
    pub(crate) generation: Option<u32>,
}

/// With what a guest begins, if it does not begin with nothing.
#[derive(Default)]
pub(super) struct Beginning {
    pub(super) moment: Option<Moment>,
    /// Its memory, and that of the moment.
    pub(super) memory: Option<KeptMemory>,
}

/// The memory of a template.
pub(super) enum KeptMemory {
    /// The guest fills this file, and has ports for as many folders.
    Filled { path: PathBuf, late: u32 },
    /// The guest begins with what is in it, and does not change it. It was kept without so many folders that a virtiofsd
    /// serves, and finds them when it goes on.
    Kept { path: PathBuf, late: u32 },
}

/// The words for QEMU.
pub(super) struct Words {
    pub(super) arguments: Vec<OsString>,
    /// What whoever starts such a guest by hand has use for.
    pub(super) shown: Vec<OsString>,
    /// The memory that QEMU opens by its name; to be kept until it has.
    pub(super) lent: Option<OwnedFd>,
    /// What is plugged in before the guest goes on, by QMP.
    pub(super) plugging: Vec<(&'static str, Value)>,
}

impl Beginning {
    /// The words for the guest of `plan`, whose folders are served already.
    ///
    /// # Errors
    /// The memory cannot be copied, or the folders are served in another way than those of the guest that was kept.
    pub(super) async fn words(
        &self,
        plan: &GuestPlan,
        runtime: &RuntimePaths,
        firmware: Option<&FirmwareFiles>,
    ) -> Result<Words, GuestError> {
        let (machine, boot) = (&plan.machine, &plan.boot);
        let plugged = self.moment.iter().flat_map(|moment| &moment.plugged).flat_map(Plugged::arguments);
        let mut shown = qemu_arguments(machine, boot, runtime, firmware);
        shown.extend(plugged);
        let (mut lent, mut plugging) = (None, Vec::new());
        let mut arguments = match &self.memory {
            None => shown.clone(),
            Some(KeptMemory::Filled { path, late }) => {
                let ports = folder_ports(*late);
                in_file(shown.iter().cloned().chain(ports).collect(), machine, path.clone(), MemoryUse::Filled)
            }
            Some(KeptMemory::Kept { path, late: 0 }) => {
                in_file(shown.clone(), machine, path.clone(), MemoryUse::Private)
            }
            Some(KeptMemory::Kept { path, late }) => {
                if let Some(share) = machine.shares.iter().find(|share| !share.is_virtiofs()) {
                    return Err(GuestError::NotLent { problem: format!("9p serves the folder {:?}", share.tag) });
                }
                let copy = copied(path.clone()).await?;
                // This process's name of it, because QEMU inherits nothing (proc(5), /proc/pid/fd).
                let name = format!("/proc/{}/fd/{}", std::process::id(), copy.as_raw_fd());
                lent = Some(copy);
                plugging = plugging_of_folders(machine);
                let bare = qemu_arguments(&machine.without_virtiofs(), boot, runtime, firmware);
                in_file(bare.into_iter().chain(folder_ports(*late)).collect(), machine, name.into(), MemoryUse::Lent)
            }
        };
        if self.moment.is_some() {
            // It takes the memory when it is told where that comes from.
            arguments.extend(WAITING.map(Into::into));
        }
        Ok(Words { arguments, shown, lent, plugging })
    }
}

fn in_file(arguments: Vec<OsString>, machine: &Machine, path: PathBuf, used: MemoryUse) -> Vec<OsString> {
    memory_in_file(arguments, machine.memory_mib, &MemoryFile { path, used })
}

/// A copy of the memory in `path` that other programs can be given, and that is gone with the last of them.
async fn copied(path: PathBuf) -> Result<OwnedFd, GuestError> {
    let shown = path.clone();
    let copying = tokio::task::spawn_blocking(move || copy(&path));
    let copied = copying.await.unwrap_or_else(|e| Err(io::Error::other(e)));
    copied.map_err(|source| GuestError::Prepare { path: shown, source })
}

fn copy(path: &Path) -> io::Result<OwnedFd> {
    let mut copy =
        File::from(rustix::fs::memfd_create("guest memory", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    copy_content(File::open(path)?, &mut copy, &Cancel::new())?;
    // Who is lent it cannot make it shorter, of which QEMU would die.
    fcntl_add_seals(&copy, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(copy.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Boot, Share, Transport, test_machine};
    use crate::share::Sharing;

    fn plan(dir: &Path) -> GuestPlan {
        let mut machine = test_machine();
        let transport = Transport::Virtiofs { socket: "/run/demo/share0.sock".into() };
        machine.shares.push(Share { tag: "root".into(), transport });
        let boot = Boot::Direct { kernel: "/k".into(), initrds: vec!["/i".into()], cmdline: String::new() };
        let (runtime, qemu) = (dir.to_owned(), "qemu".into());
        GuestPlan { machine, boot, runtime, qemu, firmware: None, sharing: Sharing::default() }
    }

    #[tokio::test]
    async fn a_guest_that_was_kept_without_its_folders_has_ports_for_them_and_a_copy_of_the_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("memory");
        std::fs::write(&path, b"kept").unwrap();
        let moment = Moment { memory: "/d".into(), files: vec![], plugged: vec![], generation: None };
        let memory = Some(KeptMemory::Kept { path: path.clone(), late: 1 });
        let beginning = Beginning { moment: Some(moment), memory };
        let words = beginning.words(&plan(dir.path()), &RuntimePaths::new(dir.path()), None).await.unwrap();
        let text = |words: &[OsString]| words.iter().map(|it| it.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        let (told, shown) = (text(&words.arguments), text(&words.shown));
        assert!(
            told.contains("-device pcie-root-port,id=port4,chassis=5,slot=5 -object memory-backend-file"),
            "{told}"
        );
        assert!(!told.contains("vhost-user-fs") && !told.contains("memory-backend-memfd"), "{told}");
        let plugging: Vec<String> = words.plugging.iter().map(|(command, with)| format!("{command} {with}")).collect();
        assert!(
            plugging[0].starts_with("chardev-add") && plugging[0].contains("/run/demo/share0.sock"),
            "{plugging:?}"
        );
        assert!(plugging[1].starts_with("device_add") && plugging[1].contains(r#""bus":"port4""#), "{plugging:?}");
        assert!(shown.contains("memory-backend-memfd") && !shown.contains("incoming") && !shown.contains("/proc/"));
        let transport = Transport::Plan9 { dir: "/a".into(), read_only: true };
        let mut mixed = plan(dir.path());
        mixed.machine.shares.push(Share { tag: "other".into(), transport });
        let refused = beginning.words(&mixed, &RuntimePaths::new(dir.path()), None).await.err().unwrap();
        assert!(refused.to_string().contains("9p serves the folder \"other\""), "{refused}");
        let object = words.arguments.iter().find_map(|it| it.to_str()?.split_once("share=on,")).unwrap().1;
        let name = object.split_once("mem-path=").unwrap().1;
        let lent = std::fs::File::options().write(true).open(name).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&lent, b"mine", 0).unwrap();
        assert!(lent.set_len(1).is_err() && lent.set_len(9).is_err(), "others could make it shorter");
        assert_eq!(std::fs::read(&path).unwrap(), b"kept");
    }
}
