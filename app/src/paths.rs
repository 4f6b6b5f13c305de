//! Where everything lives, after the XDG Base Directory Specification: what may be lost (cache), what is kept (state),
//! what the user owns (data), and what is gone with the login (runtime).

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

/// The directories of this user's Cartridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Results that can be made again: `$XDG_CACHE_HOME/cartridge`.
    pub cache: PathBuf,
    /// Logs and records of sessions, recent cartridges: `$XDG_STATE_HOME/cartridge`.
    pub state: PathBuf,
    /// Unpacked kernels and the built-in cartridge: `$XDG_DATA_HOME/cartridge`.
    pub data: PathBuf,
    /// Settings of the window: `$XDG_CONFIG_HOME/cartridge`.
    pub config: PathBuf,
    /// Sockets: `$XDG_RUNTIME_DIR/cartridge`, else `/tmp/cartridge-<uid>`.
    pub runtime: PathBuf,
    /// Where screenshots go.
    pub pictures: PathBuf,
    /// Where recordings go.
    pub videos: PathBuf,
}

/// The user has no home directory.
#[derive(Debug, thiserror::Error)]
#[error("no home directory is known, so there is no place for caches and logs: set HOME to a directory that you own")]
pub struct NoHome;

impl Paths {
    /// The directories that the environment asks for.
    ///
    /// # Errors
    /// [`NoHome`] without `HOME` and without a passwd entry.
    pub fn from_env() -> Result<Self, NoHome> {
        let xdg = etcetera::base_strategy::Xdg::new().map_err(|_| NoHome)?;
        let home = xdg.home_dir().to_owned();
        let uid = rustix::process::getuid().as_raw();
        let runtime = xdg
            .runtime_dir()
            .filter(|dir| dir.is_dir())
            .map_or_else(|| PathBuf::from(format!("/tmp/cartridge-{uid}")), |dir| dir.join("cartridge"));
        let (pictures, videos) = (home.join("Pictures"), home.join("Videos"));
        Ok(Self {
            cache: xdg.cache_dir().join("cartridge"),
            state: xdg.state_dir().unwrap_or_else(|| home.join(".local/state")).join("cartridge"),
            data: xdg.data_dir().join("cartridge"),
            config: xdg.config_dir().join("cartridge"),
            runtime,
            videos: if videos.is_dir() { videos } else { home.clone() },
            pictures: if pictures.is_dir() { pictures } else { home },
        })
    }

    /// Results of stages.
    #[must_use]
    pub fn stages(&self) -> PathBuf {
        self.cache.join("stages")
    }

    /// What direct boots are made from: files taken out of ISOs, initramfs archives.
    #[must_use]
    pub fn direct(&self) -> PathBuf {
        self.cache.join("direct")
    }

    /// Template guests, which direct boots are resumed from.
    #[must_use]
    pub fn templates(&self) -> PathBuf {
        self.direct().join("templates")
    }

    /// Images, one directory a cartridge.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.cache.join("images")
    }

    /// The image directory of one cartridge: its name for people, and a hash of its place so that two do not meet.
    #[must_use]
    pub fn images_of(&self, name: &str, root: &Path) -> PathBuf {
        use std::os::unix::ffi::OsStrExt as _;
        let hash = blake3::hash(root.as_os_str().as_bytes()).to_hex();
        self.images().join(format!("{name}-{}", &hash[..8]))
    }

    /// Slots of guests, one directory a cartridge: the user's own, which no cleaning removes.
    #[must_use]
    pub fn slots(&self) -> PathBuf {
        self.data.join("slots")
    }

    /// Where slots of one cartridge's guests are kept from its first one on.
    #[must_use]
    pub fn slots_of(&self, name: &str, root: &Path) -> PathBuf {
        let images = self.images_of(name, root);
        self.slots().join(images.file_name().unwrap_or_default())
    }

    /// Work directories, one a session.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.cache.join("work")
    }

    /// Logs and records, one directory a session.
    #[must_use]
    pub fn sessions(&self) -> PathBuf {
        self.state.join("sessions")
    }

    /// All directories that are ours: they are never part of a repository, wherever they lie.
    #[must_use]
    pub fn ours(&self) -> Vec<PathBuf> {
        [&self.cache, &self.state, &self.data, &self.config, &self.runtime].map(Clone::clone).to_vec()
    }

    /// The directories that must not lie inside a repository, nor a repository inside them, by what they are called.
    #[must_use]
    pub fn apart(&self) -> [(&'static str, &Path); 3] {
        [("cache", &self.cache), ("state", &self.state), ("runtime", &self.runtime)]
    }

    /// Certificates of VNC servers that the user trusts.
    #[must_use]
    pub fn known_servers(&self) -> PathBuf {
        self.state.join("vnc-servers")
    }

    /// Locks of cartridges in use.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.state.join("locks")
    }

    /// Kernels unpacked for this user, where the host's own cannot be read.
    #[must_use]
    pub fn kernels(&self) -> PathBuf {
        self.data.join("kernels")
    }

    /// Disks of guests that outlive the eject, one directory a cartridge.
    #[must_use]
    pub fn disks(&self) -> PathBuf {
        self.data.join("disks")
    }

    /// The disk directory of one cartridge. What it is called in its file may change, and its disks stay its own.
    #[must_use]
    pub fn disks_of(&self, root: &Path) -> PathBuf {
        let name = isoprep::recipe::safe_name(&root.file_name().unwrap_or_default().to_string_lossy());
        self.disks().join(self.images_of(&name, root).file_name().unwrap_or_default())
    }

    /// The test key for Secure Boot, and firmware variables that know it.
    #[must_use]
    pub fn secure_boot(&self) -> PathBuf {
        self.data.join("secure-boot")
    }

    /// The answer of the accelerator probe.
    #[must_use]
    pub fn accelerator(&self) -> PathBuf {
        self.cache.join("accelerator.json")
    }
}

#[cfg(test)]
impl Paths {
    /// Places of a test that touches none of them.
    pub(crate) fn nowhere() -> Self {
        Self {
            cache: "/c".into(),
            state: "/s".into(),
            data: "/d".into(),
            config: "/f".into(),
            runtime: "/r".into(),
            pictures: "/p".into(),
            videos: "/v".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cartridges_of_one_name_have_images_apart() {
        let paths = Paths::nowhere();
        let one = paths.images_of("x", Path::new("/a/x"));
        assert!(one.to_string_lossy().starts_with("/c/images/x-"));
        assert!(paths.slots_of("x", Path::new("/a/x")).to_string_lossy().starts_with("/d/slots/x-"));
        assert_ne!(one, paths.images_of("x", Path::new("/b/x")));
        assert_eq!(one, paths.images_of("x", Path::new("/a/x")));
    }
}
