//! A base, overlays and a target in a temporary folder.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cartridge_treehash::{TreeHash, hash_tree};
use isoprep::assembly::{Assembly, Ingredients, prepare};
use isoprep::{BuildError, Cancel};

pub struct Bench {
    pub dir: tempfile::TempDir,
    pub ingredients: Ingredients,
}

impl Bench {
    /// A small profile as base, and nothing else.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Whatever the umask of whoever runs this.
        let ingredients =
            Ingredients { base: dir.path().join("base"), into: "/root/demo".into(), ..Ingredients::default() };
        let bench = Self { dir, ingredients };
        bench.write("base/profiledef.sh", "iso_name=demo\n");
        bench.write("base/packages.x86_64", "base\nlinux\n");
        bench.write("base/pacman.conf", "[options]\n");
        bench.write("base/airootfs/etc/motd", "hello\n");
        bench
    }

    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Writes a file of mode 644 with the folders above it.
    pub fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let file = self.at(path);
        self.folder(file.parent().unwrap());
        fs::write(&file, text).unwrap();
        self.chmod(&file, 0o644);
        file
    }

    /// Makes a folder of mode 755 with those above it.
    pub fn folder(&self, path: impl AsRef<Path>) -> PathBuf {
        let folder = self.at(path);
        for missing in folder.ancestors().take_while(|it| !it.exists()).collect::<Vec<_>>().into_iter().rev() {
            fs::create_dir(missing).unwrap();
            self.chmod(missing, 0o755);
        }
        folder
    }

    pub fn link(&self, path: impl AsRef<Path>, target: impl AsRef<OsStr>) {
        let link = self.at(path);
        self.folder(link.parent().unwrap());
        symlink(target.as_ref(), link).unwrap();
    }

    pub fn chmod(&self, path: impl AsRef<Path>, mode: u32) {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Adds an overlay folder and gives its name back.
    pub fn overlay(&mut self, name: &str) -> String {
        let folder = self.folder(name);
        self.ingredients.overlays.push(folder);
        name.to_owned()
    }

    pub fn prepare(&self) -> Assembly {
        prepare(&self.ingredients, &Cancel::new(), &|_| ()).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn hash(&self, assembly: &Assembly) -> TreeHash {
        assembly.hash(&self.at("cache"), &Cancel::new(), &|_| ()).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn try_write(&self, assembly: &Assembly, target: &Path) -> Result<(), BuildError> {
        assembly.write(target, &Cancel::new(), &|_| ())
    }

    /// Assembles into a new folder, and makes sure that it is what the hash said and that nothing else was touched.
    pub fn assemble(&self) -> (Assembly, PathBuf) {
        let target = self.folder(format!("target{}", fs::read_dir(self.dir.path()).unwrap().count()));
        let sources = || -> Vec<_> {
            let layers = std::iter::once(&self.ingredients.base).chain(&self.ingredients.overlays);
            layers.map(|dir| (hash_tree(dir).unwrap(), times(dir))).collect()
        };
        let before = sources();
        let assembly = self.prepare();
        let hash = self.hash(&assembly);
        self.try_write(&assembly, &target).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(hash_tree(&target).unwrap().hash, hash, "what was written is not what was planned");
        assert_eq!(sources(), before, "a source folder was changed");
        (assembly, target)
    }
}

/// Modification and change times of everything below `dir`.
fn times(dir: &Path) -> Vec<(PathBuf, i64, i64, i64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let (entry, path) = entry.map(|entry| (entry.metadata().unwrap(), entry.path())).unwrap();
        found.push((path.clone(), entry.mtime_nsec(), entry.ctime(), entry.ctime_nsec()));
        if entry.is_dir() {
            found.extend(times(&path));
        }
    }
    found.sort();
    found
}

/// Mode bits of a path, not followed.
pub fn mode(path: impl AsRef<Path>) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

pub fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}
