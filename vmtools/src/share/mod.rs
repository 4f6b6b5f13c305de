//! Folders of this host in a guest, live: what is saved here is seen there at once, with nothing built and nothing booted.
//!
//! - [`serve`] chooses how each folder gets there (`choose`, pure), refuses what must not be lent (`folder`), and starts a
//!   virtiofsd where one serves (`virtiofsd`), shut in so that it sees that folder alone and, unless the guest may write,
//!   cannot change it.
//! - `told` is what the guest is told: it mounts each folder at its place and says in its report how that went.
//! - [`mount_command`] is for guests that have nothing of ours: the line to type there.
//!
//! virtiofs comes first: it is many times faster on a big tree, and a user's own files are root's in the guest. 9p needs
//! nothing but QEMU; it shows files with the numbers of their owners, and has no shared memory maps, sockets or pipes.
//! Whatever the guest does, the host refuses every change of a folder that is not [`Access::Writable`].

mod by_hand;
mod choose;
mod folder;
mod serve;
mod told;
mod virtiofsd;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use by_hand::mount_command;
pub use folder::Refusal;
pub(crate) use serve::by_virtiofs;
pub use serve::{ShareHandle, Words, serve};

/// What the guest may do with a shared folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Look at it.
    ReadOnly,
    /// Write to a memory of its own, laid over it; the host never changes.
    Overlaid,
    /// Change the host's files.
    Writable,
}

impl Access {
    /// "read-only", "overlaid", "writable".
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Overlaid => "overlaid",
            Self::Writable => "writable",
        }
    }
}

/// A folder that a guest is to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedFolder {
    /// Its mount tag: 1–31 bytes of `[a-z0-9_-]`, different for each folder of a guest.
    pub tag: String,
    /// The folder on this host, an absolute path.
    pub dir: PathBuf,
    /// Where the guest sees it, an absolute path.
    pub at: PathBuf,
    /// What the guest may do with it.
    pub access: Access,
}

/// How a folder gets into a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// 9P2000.L over virtio, served by QEMU.
    #[serde(rename = "9p")]
    Plan9,
    /// virtiofs, served by a virtiofsd.
    #[serde(rename = "virtiofs")]
    Virtiofs,
}

impl Kind {
    /// "9p", "virtiofs": also the type that mount(8) takes.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plan9 => "9p",
            Self::Virtiofs => "virtiofs",
        }
    }
}

/// What is known of the guest's kernel, for example from its list of modules. `None`: nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestKernel {
    /// Whether it can mount 9p over virtio.
    pub plan9: Option<bool>,
    /// Whether it can mount virtiofs.
    pub virtiofs: Option<bool>,
}

/// With what folders are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// The kernel that will mount them.
    pub kernel: GuestKernel,
    /// Where a virtiofsd may be, best first.
    pub virtiofsd: Vec<PathBuf>,
}

impl Default for Serving {
    /// An unknown kernel, and the places where distributions put a virtiofsd.
    fn default() -> Self {
        Self { kernel: GuestKernel::default(), virtiofsd: virtiofsd::places(std::env::var_os("PATH").as_deref()) }
    }
}

/// The folders that a guest is to see, and with what they are served: part of a
/// [`GuestPlan`](crate::guest::GuestPlan). Empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// The folders.
    pub folders: Vec<SharedFolder>,
    /// With what.
    pub serving: Serving,
}

/// What was chosen for a folder, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// The folder's mount tag.
    pub tag: String,
    /// The folder on this host.
    pub dir: PathBuf,
    /// Where the guest is to see it.
    pub at: PathBuf,
    /// What the guest may do with it.
    pub access: Access,
    /// How it gets there.
    pub kind: Kind,
    /// Why so, as the end of a sentence: "there is no virtiofsd on this machine".
    pub why: String,
}

impl Chosen {
    /// The folder as it was asked for, without links in its path.
    #[must_use]
    pub fn folder(&self) -> SharedFolder {
        let Self { tag, dir, at, access, .. } = self.clone();
        SharedFolder { tag, dir, at, access }
    }

    /// For people: "/home/me/demo is seen by the guest at /root/demo, read-only, by 9p: there is no virtiofsd …".
    #[must_use]
    pub fn words(&self) -> String {
        format!(
            "{} is lent to the guest at {}, {}, by {}: {}",
            self.dir.display(),
            self.at.display(),
            self.access.word(),
            self.kind.word(),
            self.why
        )
    }
}

/// A folder cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// It is not there, or it is no folder, or we may not look at it.
    #[error("the folder {} cannot be shared with the guest: {problem}; name a folder that you can read", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// "No such file or directory", "it is not a folder".
        problem: String,
    },
    /// A guest could do too much harm there.
    #[error("the folder {} is not lent to a guest that may write: {why}; share it read-only or overlaid, or name a folder inside it", dir.display())]
    Dangerous {
        /// The folder, without links.
        dir: PathBuf,
        /// Why.
        why: Refusal,
    },
    /// It has a name that no device takes.
    #[error(
        "{tag:?} is no mount tag; it takes 1 to 31 of a–z, 0–9, _ and -, and no two folders of a guest have the same"
    )]
    Tag {
        /// The name.
        tag: String,
    },
    /// The guest's kernel can mount neither.
    #[error(
        "the guest's kernel can mount neither virtiofs nor 9p, so it cannot see {}; boot one that has the module virtiofs, or 9p \
         and 9pnet_virtio (Debian: linux-image-amd64 instead of linux-image-cloud-amd64), or switch the live share off",
        dir.display()
    )]
    NoDriver {
        /// The folder.
        dir: PathBuf,
    },
}
