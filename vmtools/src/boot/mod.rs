//! Direct kernel boot: from a kernel and a wish to what QEMU and the guest's init need, with no ISO and no boot loader.
//!
//! [`prepare`] is the one door. It looks at every file first, so that what cannot work is said before anything starts:
//!
//! ```text
//! kernel ──▶ kernel     what it is; the ELF file inside, unpacked once and kept
//! modules ─▶ modules    where they are     ─▶ needs      what this way needs of them, what this kernel lacks
//! root ────▶ file_kind  what a disk holds  ─▶ initramfs  our init, busybox, the closure of modules, what to do
//! initrds ─▶ initrd     a look, then as they are
//! words ───▶ command_line
//! ```
//!
//! The three ways are [`Root`]'s variants. The other half is the guest's: `vmtools/guest/src/boot.rs`.

mod busybox;
mod cache;
mod command_line;
mod error;
mod file_kind;
mod initramfs;
mod initrd;
mod keep;
mod kernel;
mod modules;
mod needs;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use cartridge_supervise::Cancel;

pub(crate) use cache::content;
pub use error::BootError;
pub use keep::KEEP_LABEL;

use crate::machine::Boot;
use crate::share::{Access, GuestKernel, SharedFolder};
use busybox::Busybox;
use file_kind::{FileSystem, HEAD, what_is};
use initramfs::Parts;
use kernel::Kernel;
use modules::Modules;

/// The kind of unpacked kernels in the cache.
const UNPACKED: &str = "vmlinux";

/// A kernel to boot, and what its root is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectBoot {
    /// A bzImage, or an ELF kernel with a PVH entry.
    pub kernel: PathBuf,
    /// Its modules: `/lib/modules/<release>`, or a folder or a root that has them. `None`: they are looked for.
    pub modules: Option<PathBuf>,
    /// Initial RAM disks: with [`Root::Initramfs`] instead of ours, otherwise after ours.
    pub initrds: Vec<PathBuf>,
    /// What the guest's root is.
    pub root: Root,
    /// Words for the kernel's command line. Each wins over one of ours by the same name.
    pub cmdline: String,
}

/// What the root of a directly booted guest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// The initramfs is the whole system: ours (init, busybox, modules), or exactly the initial RAM disks that were given.
    Initramfs,
    /// Layers found on a disk (an ISO, a squashfs, an erofs, an ext4 image), stacked, with a memory or a disk over them
    /// that takes what the guest writes.
    Layers {
        /// The image, which the guest only reads.
        disk: PathBuf,
        /// Paths of layers inside an ISO, lowest first. Empty: those of archiso and live-boot are found by themselves.
        layers: Vec<String>,
        /// A disk that keeps what the guest writes; made if it is not there. `None`: a memory does, and forgets.
        keep: Option<PathBuf>,
    },
    /// A folder of this host.
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What the guest may do with it.
        access: Access,
    },
}

/// What is needed to start the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Kernel, initial RAM disks and command line.
    pub boot: Boot,
    /// Images for [`Machine::layers`](crate::machine::Machine::layers), before any other.
    pub layers: Vec<PathBuf>,
    /// A raw disk to attach, writable: the guest finds it by its label.
    pub keep: Option<PathBuf>,
    /// Folders to serve.
    pub shares: Vec<SharedFolder>,
    /// What is known of the kernel, for who serves them.
    pub kernel: GuestKernel,
    /// What this kernel looks at by itself, where the initramfs is ours and the kernel's modules are known: for
    /// [`template`](crate::template).
    pub early: Option<Early>,
    /// What the user should know: plain sentences.
    pub notices: Vec<String>,
}

/// What a kernel looks at before any module is loaded, because it has the driver built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Early {
    /// virtio disks.
    pub disks: bool,
    /// The host's words in the firmware's configuration device.
    pub words: bool,
}

/// Makes what QEMU needs in `into`, a folder of a cache: what is there already is used again. Blocks.
///
/// # Errors
/// [`BootError`], before anything is started: a file that is not what it should be, a kernel that lacks what this way needs.
pub fn prepare(boot: &DirectBoot, into: &Path, cancel: &Cancel) -> Result<Prepared, BootError> {
    let cmdline = command_line::joined(&boot.cmdline)?;
    let mut notices = Vec::new();
    let image = read(&boot.kernel, "read the kernel", kernel::LARGEST)?;
    let kernel = Kernel::parse(&image).map_err(|(found, advice)| BootError::NotAKernel {
        path: boot.kernel.clone(),
        found,
        advice,
    })?;
    boot.initrds.iter().try_for_each(|path| look_at_initrd(path))?;
    let disk = disk_of(&boot.root)?;
    if cancel.is_cancelled() {
        return Err(BootError::Cancelled);
    }
    let given = boot.root == Root::Initramfs && !boot.initrds.is_empty();
    let release = kernel.release().map(str::to_owned);
    // Initial RAM disks that were given bring their own modules.
    let modules = if given { None } else { modules::find(boot.modules.as_deref(), &boot.kernel, release.as_deref())? };
    let mut initrds = boot.initrds.clone();
    if !given {
        let needs = needs::needs(&boot.root, disk);
        check_modules(boot, &needs, modules.as_ref(), release.as_deref(), &mut notices)?;
        let busybox = busybox_for(&boot.root, &mut notices, cancel)?;
        let parts = Parts {
            root: &boot.root,
            needs: &needs,
            modules: modules.as_ref(),
            release: release.as_deref(),
            busybox: busybox.as_ref(),
        };
        initrds.insert(0, initramfs::initramfs(&parts, into, cancel)?);
    }
    let kernel = unpacked(boot, kernel, &image, into, &mut notices)?;
    let mut prepared = Prepared {
        boot: Boot::Direct { kernel, initrds, cmdline },
        layers: Vec::new(),
        keep: None,
        shares: Vec::new(),
        kernel: GuestKernel {
            plan9: modules.as_ref().map(|it| needs::has_plan9(&it.tree)),
            virtiofs: modules.as_ref().map(|it| needs::has_virtiofs(&it.tree)),
        },
        early: early(&boot.initrds, modules.as_ref()),
        notices,
    };
    match &boot.root {
        Root::Initramfs => {}
        Root::Layers { disk, keep, .. } => {
            if let Some(keep) = keep {
                keep::ready(keep, cancel)?;
            }
            prepared.layers.push(disk.clone());
            prepared.keep.clone_from(keep);
        }
        Root::Folder { dir, access } => {
            let (tag, at) = (initramfs::ROOT_TAG.to_owned(), PathBuf::from("/"));
            prepared.shares.push(SharedFolder { tag, dir: dir.clone(), at, access: *access });
        }
    }
    Ok(prepared)
}

/// Only where nothing but our own initramfs decides what is loaded.
fn early(given: &[PathBuf], modules: Option<&Modules>) -> Option<Early> {
    let tree = &modules.filter(|_| given.is_empty())?.tree;
    Some(Early { disks: tree.is_built_in("virtio_blk"), words: tree.is_built_in("qemu_fw_cfg") })
}

/// The whole of a file that is not larger than `limit` bytes.
fn read(path: &Path, what: &'static str, limit: u64) -> Result<Vec<u8>, BootError> {
    let mut bytes = Vec::new();
    let failed = BootError::io(what, path);
    let file = File::open(path).map_err(&failed)?;
    if file.metadata().map_err(&failed)?.is_dir() {
        return Err(failed(std::io::ErrorKind::IsADirectory.into()));
    }
    file.take(limit).read_to_end(&mut bytes).map_err(&failed)?;
    Ok(bytes)
}

/// The beginning of a file, and the length of the whole.
fn head(path: &Path, what: &'static str) -> Result<(Vec<u8>, u64), BootError> {
    let length = std::fs::metadata(path).map_err(BootError::io(what, path))?.len();
    Ok((read(path, what, HEAD)?, length))
}

fn look_at_initrd(path: &Path) -> Result<(), BootError> {
    let (head, length) = head(path, "read the initial RAM disk")?;
    initrd::check(&head, length).map_err(|found| BootError::NotAnInitrd { path: path.to_owned(), found })
}

/// What the disk of a layered root holds; checks that a root folder is one.
fn disk_of(root: &Root) -> Result<Option<FileSystem>, BootError> {
    match root {
        Root::Initramfs => Ok(None),
        Root::Folder { dir, .. } => {
            let what = "use as the guest's root";
            std::fs::read_dir(dir).map(|_| None).map_err(BootError::io(what, dir))
        }
        Root::Layers { disk, .. } => {
            let (head, length) = head(disk, "read the image")?;
            if let Some(system) = FileSystem::of(&head) {
                return Ok(Some(system));
            }
            // The beginning alone does not tell a file system behind partitions, or one that we do not know by sight.
            if head.get(510..512) == Some(&[0x55, 0xaa]) {
                return Ok(None);
            }
            let advice = if head.starts_with(b"QFI\xfb") {
                "Make it a raw image: qemu-img convert -O raw <image> <raw>"
            } else {
                "Name an ISO of archiso or live-boot, or an image of squashfs, erofs or ext4."
            };
            Err(BootError::NotARoot { path: disk.clone(), found: what_is(&head, length), advice })
        }
    }
}

fn check_modules(
    boot: &DirectBoot,
    needs: &needs::Needs,
    modules: Option<&Modules>,
    release: Option<&str>,
    notices: &mut Vec<String>,
) -> Result<(), BootError> {
    let release = release.unwrap_or("of unknown release");
    let Some(modules) = modules else {
        notices.push(format!(
            "No modules of kernel {release} were found beside {} or in /lib/modules: the guest has only what is built into \
             it, and whether that is enough cannot be checked.",
            boot.kernel.display()
        ));
        return Ok(());
    };
    let missing = needs::missing(&boot.root, needs, &modules.tree);
    if missing.is_empty() {
        return Ok(());
    }
    let (advice, modules) = (needs::advice(&missing), modules.dir.clone());
    Err(BootError::KernelLacks { release: release.to_owned(), missing, modules, advice })
}

/// Where our system is all there is, busybox has to be there; elsewhere it is the shell that a failure ends in.
fn busybox_for(root: &Root, notices: &mut Vec<String>, cancel: &Cancel) -> Result<Option<Busybox>, BootError> {
    match busybox::find(cancel) {
        Ok(busybox) => Ok(Some(busybox)),
        Err(_) if cancel.is_cancelled() => Err(BootError::Cancelled),
        Err(looked) if *root == Root::Initramfs => Err(BootError::NoBusybox { looked }),
        Err(_) => {
            notices.push(
                "There is no static busybox: if the root cannot be found, there will be no shell to look why."
                    .to_owned(),
            );
            Ok(None)
        }
    }
}

/// The ELF kernel inside a bzImage, kept in `into`; the bzImage itself where that cannot be had, with a notice.
fn unpacked(
    boot: &DirectBoot,
    kernel: Kernel,
    image: &[u8],
    into: &Path,
    notices: &mut Vec<String>,
) -> Result<PathBuf, BootError> {
    let Kernel::BzImage { payload, .. } = kernel else { return Ok(boot.kernel.clone()) };
    let hash = blake3::hash(image);
    if let Some(path) = cache::get(into, UNPACKED, &hash) {
        return Ok(path);
    }
    match kernel::unpacked(image, payload) {
        Ok(elf) => cache::put(into, (UNPACKED, &hash), |out| std::io::Write::write_all(out, &elf)),
        Err(why) => {
            notices.push(format!(
                "{} is booted as it is, which takes longer: the kernel inside was not unpacked, {why}.",
                boot.kernel.display()
            ));
            Ok(boot.kernel.clone())
        }
    }
}
