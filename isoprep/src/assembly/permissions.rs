//! Which modes of `airootfs` have to be set in the live system: pure.
//!
//! mkarchiso makes every file 644 and every folder 755, but for what `file_permissions` names. So an executable would
//! lose its bits, and they are kept here as git keeps them: a file that may be executed becomes 755, however the umask
//! of whoever checked it out looked. A mode that no umask explains, because it closes to others what the layer's own
//! `airootfs` folder leaves open, or is sticky, is somebody's will and stays as it is. A single file of the cartridge
//! has the mode that it has on the host. Links have no mode: naming one would change what it leads to.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::model::{AIROOTFS, Assembly, Kind};
use crate::profile::FilePermission;

/// Permission bits by absolute path in the live system.
pub type Modes = BTreeMap<PathBuf, u32>;

/// What mkarchiso gives files and folders.
const FILE: u32 = 0o644;
const FOLDER: u32 = 0o755;
/// Any right to execute.
const EXECUTE: u32 = 0o111;
/// What tells a will from a umask in comparison with the layer's `airootfs`: who else may read and enter, who may write
/// besides owner and group, the sticky bit. Owner and group may write or not as the umask says.
const TELLING: u32 = 0o1057;
/// setuid and setgid.
const SPECIAL: u32 = 0o6000;

impl Assembly {
    /// The modes to set in the live system besides those that the profile's `file_permissions` name, which `named`
    /// holds. All of these belong to root.
    #[must_use]
    pub fn modes(&self, named: &BTreeMap<String, FilePermission>) -> Modes {
        let covered = |path: &Path| {
            named.keys().any(|key| Path::new(key) == path || (key.ends_with('/') && path.starts_with(key)))
        };
        let wished = self.pieces.iter().filter_map(|(path, piece)| {
            let path = Path::new("/").join(path.strip_prefix(AIROOTFS).ok()?);
            Some((path, piece.wished?))
        });
        wished.filter(|(path, _)| !covered(path)).collect()
    }
}

/// The mode that a layer's entry has to have in the live system, where it is not the usual one. `usual` is the mode of
/// the layer's `airootfs` folder.
pub(super) fn wished(kind: &Kind, mode: u32, usual: u32) -> Option<u32> {
    let differs = |bits: u32| (mode ^ usual) & bits != 0;
    let (wish, default) = match kind {
        Kind::Dir if differs(TELLING) => (mode, FOLDER),
        Kind::File { .. } if mode & EXECUTE == 0 => return None,
        // A group of the host has no meaning in the image: it may not write there.
        Kind::File { .. } if differs(TELLING & 0o777) => (mode & 0o755, FILE),
        Kind::File { .. } => (0o755, FILE),
        Kind::Dir | Kind::Link { .. } => return None,
    };
    (wish != default).then_some(wish)
}

/// The mode of a single file in the live system, where it is not the usual one.
pub(super) fn wished_single(mode: u32) -> Option<u32> {
    (mode != FILE).then_some(mode)
}

/// Whether a layer's file has bits that do not come along.
pub(super) fn is_special(kind: &Kind, mode: u32) -> bool {
    matches!(kind, Kind::File { .. }) && mode & SPECIAL != 0
}

/// Lines of bash that add `modes` to `file_permissions`, to be put behind a `profiledef.sh`. mkarchiso sources the file
/// within a function, hence `-g`.
#[must_use]
pub fn permissions_block(modes: &Modes) -> Vec<u8> {
    if modes.is_empty() {
        return Vec::new();
    }
    let mut block =
        b"\n# The modes of airootfs, added by Cartridge to this copy: mkarchiso does not keep them.\n".to_vec();
    block.extend(b"declare -gA file_permissions\nfile_permissions+=(\n");
    for (path, mode) in modes {
        block.extend(b"  [");
        quote(path, &mut block);
        let mut rest = String::new();
        let _ = writeln!(rest, "]='0:0:{mode:o}'");
        block.extend(rest.bytes());
    }
    block.extend(b")\n");
    block
}

/// One word of bash, whatever bytes it has.
pub(super) fn quote(path: &Path, block: &mut Vec<u8>) {
    block.push(b'\'');
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\'' => block.extend(br"'\''"),
            other => block.push(*other),
        }
    }
    block.push(b'\'');
}
