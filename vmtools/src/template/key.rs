//! Which template a plan can be resumed from: that of the same kernel and machine. What would make a copy of a guest another
//! than a booted one is told as the reason why there is none.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::boot::{Early, content};
use crate::guest::GuestPlan;
use crate::machine::{Accelerator, Boot, Firmware, Gpu};
use crate::share::by_virtiofs;
use crate::slot::SlotInputs;

/// To be raised when a template is made in another way.
const FORMAT: u32 = 2;
/// How many digits of the hash a template's name has.
const DIGITS: usize = 32;

/// What a template depends on, as one word, with what shows that it can never be used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Hexadecimal digits.
    pub(super) hash: String,
    /// Which QEMU.
    pub(super) qemu: String,
    /// The kernel's and the initramfs's files.
    pub(super) files: Vec<PathBuf>,
    /// How many folders come when it is resumed: QEMU cannot keep a guest to which a virtiofsd serves one.
    pub(super) late: u32,
}

/// Why there is no template for a plan. The guest can be booted all the same.
#[derive(Debug, thiserror::Error)]
pub enum NoTemplate {
    /// What it is made of cannot be kept, or would not fit another guest. The end of a sentence.
    #[error("there is no template for this guest: {0}")]
    Unfit(&'static str),
    /// A file that it depends on cannot be read.
    #[error("could not read {} for the template's key: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The key of `plan`, as it is for [`start`](crate::start). `early` comes with its [`Prepared`](crate::boot::Prepared) boot,
/// and `cache` is the folder in which that was prepared. Blocks: looks at files, and for a virtiofsd.
///
/// # Errors
/// [`NoTemplate`] with the reason.
pub fn key(plan: &GuestPlan, early: Option<Early>, cache: &Path) -> Result<Key, NoTemplate> {
    match unfit(plan, early) {
        Some(reason) => Err(NoTemplate::Unfit(reason)),
        None => {
            let folders = u32::try_from(plan.sharing.folders.len()).unwrap_or(u32::MAX);
            let late = if folders > 0 && by_virtiofs(&plan.sharing.serving) { folders } else { 0 };
            of(plan, late, cache)
        }
    }
}

/// Why a guest of this plan cannot be kept, as far as the plan tells.
fn unfit(plan: &GuestPlan, early: Option<Early>) -> Option<&'static str> {
    let machine = &plan.machine;
    let Boot::Direct { initrds, .. } = &plan.boot else { return Some("it is not booted directly") };
    let Some(early) = early.filter(|_| initrds.len() == 1) else {
        return Some("its initramfs is not ours alone, or its kernel's modules are not known");
    };
    let has_disks = !(machine.layers.is_empty() && machine.disks.is_empty());
    let reasons = [
        (machine.firmware != Firmware::Bios, "its firmware keeps variables"),
        (machine.gpu == Gpu::VirtioGl, "its graphics are the host's"),
        (machine.tpm, "it has a TPM"),
        (machine.clipboard, "it has a clipboard, which QEMU does not keep"),
        (!machine.usb.is_empty(), "it has USB devices of the host"),
        (machine.extra_iso.is_some(), "it has a CD, which its kernel looks at first"),
        (!machine.extra.is_empty(), "QEMU gets arguments that are not known here"),
        (machine.lends_its_memory(), "its memory is lent to a program that is not known here"),
        (has_disks && early.disks, "its kernel has the driver of virtio disks built in, and looks at them first"),
        (!plan.sharing.folders.is_empty() && early.words, "its kernel has qemu_fw_cfg built in, and looks at it first"),
    ];
    reasons.into_iter().find(|(is_so, _)| *is_so).map(|(_, reason)| reason)
}

fn of(plan: &GuestPlan, late: u32, cache: &Path) -> Result<Key, NoTemplate> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| NoTemplate::Unreadable { path, source }
    };
    let Boot::Direct { kernel, initrds, cmdline } = &plan.boot else {
        return Err(NoTemplate::Unfit("it is not booted directly"));
    };
    let program = program(&plan.qemu).map_err(unreadable(&plan.qemu))?;
    let qemu = identity(&program).map_err(unreadable(&program))?;
    let inputs = SlotInputs::of(plan, &qemu, "", None);
    let mut words = vec![FORMAT.to_string(), qemu.clone(), inputs.accelerator, inputs.processor, cmdline.clone()];
    words.push(late.to_string());
    if plan.machine.accelerator == Accelerator::Kvm {
        // What a guest sees of its processor depends on the host's kernel as well.
        words.push(rustix::system::uname().release().to_string_lossy().into_owned());
    }
    words.extend(inputs.machine);
    let files: Vec<PathBuf> = std::iter::once(kernel).chain(initrds).cloned().collect();
    for file in &files {
        words.push(content(cache, file).map_err(unreadable(file))?);
    }
    Ok(Key { hash: hash(&words), qemu, files, late })
}

fn hash(words: &[String]) -> String {
    let mut hasher = blake3::Hasher::new();
    for word in words {
        // With its length, so that no two lists read alike.
        hasher.update(&(word.len() as u64).to_le_bytes()).update(word.as_bytes());
    }
    hasher.finalize().to_hex()[..DIGITS].to_owned()
}

/// The program that will run: looked up as a shell does.
fn program(qemu: &Path) -> io::Result<PathBuf> {
    if qemu.components().count() > 1 {
        return qemu.canonicalize();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(qemu)).find(|it| it.is_file());
    found.ok_or(io::Error::from(io::ErrorKind::NotFound))?.canonicalize()
}

/// What is another one when the program was replaced. A version would not tell two builds of it apart.
fn identity(program: &Path) -> io::Result<String> {
    let meta = program.metadata()?;
    let changed = (meta.mtime(), meta.mtime_nsec());
    Ok(format!("{} {} {}.{:09} {}", program.display(), meta.len(), changed.0, changed.1, meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Forward, UsbId, test_machine};
    use crate::share::{Access, SharedFolder, Sharing};

    const EARLY: Option<Early> = Some(Early { disks: false, words: false });

    fn plan(dir: &Path) -> GuestPlan {
        for name in ["kernel", "initramfs", "qemu"] {
            if !dir.join(name).exists() {
                std::fs::write(dir.join(name), name).unwrap();
            }
        }
        let boot = Boot::Direct {
            kernel: dir.join("kernel"),
            initrds: vec![dir.join("initramfs")],
            cmdline: "console=ttyS0".into(),
        };
        let (runtime, qemu) = (dir.join("run"), dir.join("qemu"));
        GuestPlan { machine: test_machine(), boot, runtime, qemu, firmware: None, sharing: Sharing::default() }
    }

    fn lent(dir: &str, tag: &str) -> Sharing {
        let mut sharing = Sharing::default();
        sharing.serving.virtiofsd.clear();
        let (dir, at) = (dir.into(), "/".into());
        sharing.folders.push(SharedFolder { tag: tag.into(), dir, at, access: Access::Overlaid });
        sharing
    }

    #[test]
    fn another_machine_kernel_or_qemu_has_another_template_and_another_folder_or_disk_has_not() {
        let dir = tempfile::tempdir().unwrap();
        let key = |change: &dyn Fn(&mut GuestPlan)| {
            let mut plan = plan(dir.path());
            plan.sharing = lent("/a", "root");
            plan.machine.layers = vec!["/x".into()];
            change(&mut plan);
            super::key(&plan, EARLY, dir.path()).unwrap().hash
        };
        let first = key(&|_| ());
        assert_eq!(first.len(), DIGITS);
        let same: [&dyn Fn(&mut GuestPlan); 4] = [
            &|plan| plan.sharing = lent("/b", "root"),
            &|plan| plan.machine.layers = vec!["/y".into()],
            &|plan| plan.machine.name = "another".into(),
            &|plan| {
                plan.machine.forwards = vec![Forward { name: "ssh".into(), guest_port: 22, host_port: None }];
                plan.runtime = "/elsewhere".into();
            },
        ];
        for change in same {
            assert_eq!(key(change), first);
        }
        let other: [&dyn Fn(&mut GuestPlan); 8] = [
            &|plan| plan.machine.memory_mib += 1,
            &|plan| plan.machine.cpus += 1,
            &|plan| plan.machine.accelerator = Accelerator::Kvm,
            &|plan| plan.machine.layers.clear(),
            &|plan| plan.sharing = lent("/a", "other"),
            &|plan| std::fs::write(&plan.qemu, "another qemu").unwrap(),
            &|_| std::fs::write(dir.path().join("kernel"), "another kernel").unwrap(),
            &|plan| {
                let Boot::Direct { cmdline, .. } = &mut plan.boot else { panic!() };
                cmdline.push_str(" quiet");
            },
        ];
        let mut seen = vec![first];
        for change in other {
            let key = key(change);
            assert!(!seen.contains(&key));
            seen.push(key);
        }
    }

    #[test]
    fn what_cannot_be_kept_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let why = |early, change: &dyn Fn(&mut GuestPlan)| {
            let mut plan = plan(dir.path());
            change(&mut plan);
            super::key(&plan, early, dir.path()).unwrap_err().to_string()
        };
        assert!(why(None, &|_| ()).contains("modules are not known"));
        assert!(why(EARLY, &|plan| plan.boot = Boot::Nothing).contains("not booted directly"));
        assert!(why(EARLY, &|plan| plan.machine.tpm = true).contains("TPM"));
        assert!(why(EARLY, &|plan| plan.machine.clipboard = true).contains("clipboard"));
        assert!(why(EARLY, &|plan| plan.machine.usb.push(UsbId { vendor: 1, product: 2 })).contains("USB"));
        let early = |disks, words| Some(Early { disks, words });
        assert!(why(early(true, false), &|plan| plan.machine.layers.push("/x".into())).contains("virtio disks"));
        assert!(why(early(false, true), &|plan| plan.sharing = lent("/a", "root")).contains("qemu_fw_cfg"));
        assert!(why(EARLY, &|plan| plan.qemu = "no-such-qemu-here".into()).contains("no-such-qemu-here"));
        let two = |plan: &mut GuestPlan| {
            let Boot::Direct { initrds, .. } = &mut plan.boot else { panic!() };
            initrds.push("/more".into());
        };
        assert!(why(EARLY, &two).contains("not ours alone"));
    }
}
