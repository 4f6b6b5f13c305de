//! The built-in cartridge: embedded in the binary, unpacked for the user so that it is a repository like any other.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::paths::Paths;

/// Relative path, permission bits, content.
type Entry = (&'static str, u32, &'static [u8]);

macro_rules! entry {
    ($mode:literal, $path:literal) => {
        ($path, $mode, include_bytes!(concat!("../../assets/cartridges/hello/", $path)) as &[u8])
    };
}

const HELLO: &[Entry] = &[
    entry!(0o644, "cartridge.toml"),
    entry!(0o644, "README.md"),
    entry!(0o755, "hello"),
    entry!(0o755, "tour.sh"),
    entry!(0o644, "lib/show.sh"),
    entry!(0o755, "games/guess"),
];
/// Link and target.
const HELLO_LINKS: &[(&str, &str)] = &[("start", "tour.sh")];

/// Unpacks the built-in cartridge where it is missing or differs, and returns its folder.
///
/// # Errors
/// When the data directory cannot be written.
pub fn unpack(paths: &Paths) -> io::Result<PathBuf> {
    let dir = paths.data.join("builtin/hello");
    for (path, mode, content) in HELLO {
        let file = dir.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)?;
        }
        put(&file, *mode, content)?;
    }
    for (path, target) in HELLO_LINKS {
        let link = dir.join(path);
        if std::fs::read_link(&link).ok().as_deref() != Some(Path::new(target)) {
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(target, &link)?;
        }
    }
    Ok(dir)
}

fn put(file: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let same = std::fs::read(file).is_ok_and(|old| old == content)
        && file.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o777 == mode);
    if same {
        return Ok(());
    }
    isoprep::save_atomically(file, content)?;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_in_assets_is_unpacked_with_its_mode_and_mended_when_changed() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths {
            cache: dir.path().join("c"),
            state: dir.path().join("s"),
            data: dir.path().join("d"),
            config: dir.path().join("f"),
            runtime: dir.path().join("r"),
            pictures: dir.path().join("p"),
            videos: dir.path().join("v"),
        };
        let out = unpack(&paths).unwrap();
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/cartridges/hello");
        let unpacked = isoprep_hash(&out);
        assert_eq!(unpacked, isoprep_hash(&assets));
        std::fs::write(out.join("hello"), "changed").unwrap();
        assert_ne!(isoprep_hash(&out), unpacked);
        unpack(&paths).unwrap();
        assert_eq!(isoprep_hash(&out), unpacked);
    }

    /// Names, kinds, modes of files and contents, as one string a file. Directory modes depend on the umask.
    fn isoprep_hash(root: &Path) -> Vec<String> {
        fn walk(root: &Path, dir: &Path, out: &mut Vec<String>) {
            for entry in std::fs::read_dir(dir).unwrap().flatten() {
                let (path, meta) = (entry.path(), entry.metadata().unwrap());
                let name = path.strip_prefix(root).unwrap().display().to_string();
                if meta.is_dir() {
                    walk(root, &path, out);
                } else if meta.is_symlink() {
                    out.push(format!("{name} -> {}", std::fs::read_link(&path).unwrap().display()));
                } else {
                    let mode = meta.permissions().mode() & 0o111;
                    out.push(format!("{name} {mode:o} {}", blake3::hash(&std::fs::read(&path).unwrap())));
                }
            }
        }
        let mut out = Vec::new();
        walk(root, root, &mut out);
        out.sort();
        out
    }
}
