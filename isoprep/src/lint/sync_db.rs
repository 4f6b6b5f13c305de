//! Reads pacman's sync databases, so that a package's name can be judged before anything is downloaded: which exist,
//! what they provide, which groups there are, what they depend on, how large they are.
//!
//! A database is a tar archive, packed with gzip, zstd, xz or not at all, with a file `NAME-VERSION/desc` a package;
//! its fields are a line `%NAME%`, the values a line each, and an empty line (repo-add(8), libalpm's `be_sync.c`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// The most that is unpacked of a database, bytes. Arch's largest has about 50 MB.
const LARGEST: u64 = 1 << 30;
/// The most that is read of one `desc`, bytes.
const LARGEST_DESC: u64 = 1 << 20;
/// The most packages of a database.
const MOST_PACKAGES: usize = 500_000;

/// A package of a database, as far as rules ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SyncPackage {
    /// Its name.
    pub name: String,
    /// What it stands in for besides its name, without versions.
    pub provides: Vec<String>,
    /// The groups that it is in.
    pub groups: Vec<String>,
    /// What it needs, without versions.
    pub depends: Vec<String>,
    /// Installed size, bytes.
    pub installed_bytes: u64,
    /// Size of the package file, bytes.
    pub packed_bytes: u64,
}

/// A database cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the package database {}: {source}; pacman -Sy makes it anew", file.display())]
pub struct SyncDbError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong.
    pub source: io::Error,
}

/// Databases by the name of their repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncDatabases {
    repositories: BTreeMap<String, Vec<SyncPackage>>,
}

impl SyncDatabases {
    /// Reads every `NAME.db` of a folder such as `/var/lib/pacman/sync`. A folder that is not there holds none.
    ///
    /// # Errors
    /// [`SyncDbError`] beside what could be read.
    pub fn load(folder: &Path) -> (Self, Vec<SyncDbError>) {
        let (mut databases, mut errors) = (Self::default(), Vec::new());
        let Ok(entries) = folder.read_dir() else { return (databases, errors) };
        for file in
            entries.flatten().map(|entry| entry.path()).filter(|file| file.extension().is_some_and(|e| e == "db"))
        {
            let Some(name) = file.file_stem().and_then(|name| name.to_str()) else { continue };
            match File::open(&file).and_then(|file| parse(BufReader::new(file))) {
                Ok(packages) => databases.insert(name, packages),
                Err(source) => errors.push(SyncDbError { file: file.clone(), source }),
            }
        }
        (databases, errors)
    }

    /// Adds the database of a repository from its file.
    ///
    /// # Errors
    /// It is not there, or no database.
    pub fn add(&mut self, repository: &str, file: &Path) -> io::Result<()> {
        let packages = parse(BufReader::new(File::open(file)?))?;
        self.insert(repository, packages);
        Ok(())
    }

    /// The names of all packages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.repositories.values().flatten().map(|package| package.name.as_str())
    }

    /// Adds the database of a repository.
    pub fn insert(&mut self, repository: &str, packages: Vec<SyncPackage>) {
        self.repositories.insert(repository.to_owned(), packages);
    }

    /// The packages of a repository; none if it is not at hand.
    #[must_use]
    pub fn packages_of(&self, repository: &str) -> &[SyncPackage] {
        self.repositories.get(repository).map_or(&[], Vec::as_slice)
    }

    /// Whether all of these repositories are known, and there is one: only then is a missing name really missing.
    pub(super) fn cover<'n>(&self, mut repositories: impl Iterator<Item = &'n str>) -> bool {
        let mut any = false;
        let all = repositories.all(|name| {
            any = true;
            self.repositories.contains_key(name)
        });
        any && all
    }

    fn packages<'a>(&'a self, of: &'a BTreeSet<&str>) -> impl Iterator<Item = &'a SyncPackage> {
        self.repositories.iter().filter(|(name, _)| of.contains(name.as_str())).flat_map(|(_, packages)| packages)
    }

    /// What pacman can be asked for, of these repositories.
    pub(super) fn index<'a>(&'a self, of: &'a BTreeSet<&'a str>) -> Index<'a> {
        let mut index = Index::default();
        for package in self.packages(of) {
            // The first repository that has a name wins; here any will do.
            index.names.entry(&package.name).or_insert(package);
            for provided in &package.provides {
                index.provided.entry(provided).or_default().push(package);
            }
            for group in &package.groups {
                index.groups.entry(group).or_default().push(package);
            }
        }
        index
    }
}

/// Names, provided names and groups.
#[derive(Debug, Default)]
pub(super) struct Index<'a> {
    names: BTreeMap<&'a str, &'a SyncPackage>,
    provided: BTreeMap<&'a str, Vec<&'a SyncPackage>>,
    groups: BTreeMap<&'a str, Vec<&'a SyncPackage>>,
}

impl<'a> Index<'a> {
    /// Everything that may be meant by a target: `name`, `repository/name`, `name>=1`, a provided name, a group.
    pub(super) fn find(&self, target: &str) -> Vec<&'a SyncPackage> {
        let name = unversioned(target.rsplit_once('/').map_or(target, |(_, name)| name));
        if let Some(package) = self.names.get(name) {
            return vec![package];
        }
        let several = self.provided.get(name).or_else(|| self.groups.get(name));
        several.cloned().unwrap_or_default()
    }

    /// The names that a mistyped one was probably meant to be, at most three, best first.
    pub(super) fn nearest(&self, target: &str) -> Vec<&'a str> {
        let mut scored: Vec<_> = (self.names.keys().chain(self.groups.keys()))
            .map(|name| (strsim::normalized_damerau_levenshtein(target, name), *name))
            .filter(|(score, _)| *score >= 0.6)
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        scored.into_iter().take(3).map(|(_, name)| name).collect()
    }

    /// Everything that may be installed with these: each dependency by every package that could stand in for it.
    pub(super) fn closure<'t>(&self, targets: impl Iterator<Item = &'t str>) -> BTreeMap<&'a str, &'a SyncPackage> {
        let mut seen = BTreeMap::new();
        let mut waiting: Vec<&SyncPackage> = targets.flat_map(|target| self.find(target)).collect();
        while let Some(package) = waiting.pop() {
            if seen.insert(package.name.as_str(), package).is_none() {
                waiting.extend(package.depends.iter().flat_map(|name| self.find(name)));
            }
        }
        seen
    }
}

/// A dependency's name without the version that is asked for.
fn unversioned(dependency: &str) -> &str {
    dependency.split(['<', '>', '=']).next().unwrap_or(dependency)
}

/// Reads one database, packed or not.
///
/// # Errors
/// What reading, unpacking or the archive's form fail with.
pub fn parse(mut packed: impl Read + 'static) -> io::Result<Vec<SyncPackage>> {
    let mut magic = Vec::new();
    packed.by_ref().take(6).read_to_end(&mut magic)?;
    let whole = io::Cursor::new(magic.clone()).chain(packed);
    let unpacked: Box<dyn Read> = match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::new(whole)?),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Box::new(liblzma::read::XzDecoder::new(whole)),
        [b'B', b'Z', b'h', ..] => return Err(io::Error::other("it is packed with bzip2, which is not read here")),
        _ => Box::new(whole),
    };
    let mut packages = Vec::new();
    for entry in tar::Archive::new(unpacked.take(LARGEST)).entries()? {
        let entry = entry?;
        let is_desc = entry.path()?.file_name().is_some_and(|name| name == "desc");
        if !is_desc || !entry.header().entry_type().is_file() {
            continue;
        }
        let mut desc = Vec::new();
        entry.take(LARGEST_DESC).read_to_end(&mut desc)?;
        packages.extend(package(&String::from_utf8_lossy(&desc)));
        if packages.len() > MOST_PACKAGES {
            return Err(io::Error::other(format!("it has more than {MOST_PACKAGES} packages")));
        }
    }
    Ok(packages)
}

/// One `desc`; `None` without a name.
fn package(desc: &str) -> Option<SyncPackage> {
    let (mut package, mut field) = (SyncPackage::default(), "");
    for line in desc.lines().map(str::trim) {
        match line {
            "" => field = "",
            _ if line.len() > 2 && line.starts_with('%') && line.ends_with('%') => field = line,
            _ => match field {
                "%NAME%" => line.clone_into(&mut package.name),
                "%PROVIDES%" => package.provides.push(unversioned(line).to_owned()),
                "%GROUPS%" => package.groups.push(line.to_owned()),
                "%DEPENDS%" => package.depends.push(unversioned(line).to_owned()),
                "%ISIZE%" => package.installed_bytes = line.parse().unwrap_or(0),
                "%CSIZE%" => package.packed_bytes = line.parse().unwrap_or(0),
                _ => {}
            },
        }
    }
    (!package.name.is_empty()).then_some(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tarball(packages: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, desc) in packages {
            let mut header = tar::Header::new_gnu();
            header.set_size(desc.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("{name}-1-1/desc"), desc.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    const LINUX: &str = "%NAME%\nlinux\n\n%ISIZE%\n150\n\n%CSIZE%\n140\n\n%PROVIDES%\n\
                         KSMBD-MODULE\nWIREGUARD-MODULE=1\n\n\
                         %DEPENDS%\ncoreutils\ninitramfs\nkmod>=3\n\n";
    const MKINITCPIO: &str = "%NAME%\nmkinitcpio\n\n%PROVIDES%\ninitramfs\n\n%DEPENDS%\nlinux\n";
    const GNOME: &str = "%NAME%\ngnome-shell\n\n%GROUPS%\ngnome\n";

    #[test]
    fn databases_are_read_however_they_are_packed() {
        let plain = tarball(&[("linux", LINUX), ("mkinitcpio", MKINITCPIO)]);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut gz, &plain).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
        io::Write::write_all(&mut xz, &plain).unwrap();
        let zst = zstd::encode_all(plain.as_slice(), 1).unwrap();
        for packed in [plain, gz.finish().unwrap(), xz.finish().unwrap(), zst] {
            let packages = parse(io::Cursor::new(packed)).unwrap();
            assert_eq!(packages.len(), 2);
            assert_eq!(packages[0].provides, ["KSMBD-MODULE", "WIREGUARD-MODULE"]);
            assert_eq!(packages[0].depends, ["coreutils", "initramfs", "kmod"]);
            assert_eq!((packages[0].installed_bytes, packages[0].packed_bytes), (150, 140));
        }
    }

    #[test]
    fn rubbish_is_an_error_and_never_a_panic() {
        for rubbish in [&b"\x1f\x8bnonsense"[..], b"\x28\xb5\x2f\xfdno", b"\xfd7zXZ\0no", b"BZh9", &[b'x'; 2000]] {
            assert!(parse(io::Cursor::new(rubbish.to_vec())).is_err(), "{rubbish:?}");
        }
        assert_eq!(parse(io::Cursor::new(Vec::new())).unwrap(), []);
    }

    #[test]
    fn names_provided_names_and_groups_are_found_and_dependencies_followed_round_in_circles() {
        let mut databases = SyncDatabases::default();
        let read = |packages: &[(&str, &str)]| parse(io::Cursor::new(tarball(packages))).unwrap();
        databases.insert("core", read(&[("linux", LINUX), ("mkinitcpio", MKINITCPIO)]));
        databases.insert("extra", read(&[("gnome-shell", GNOME)]));
        assert!(databases.cover(["core", "extra"].into_iter()));
        assert!(!databases.cover(["core", "omarchy"].into_iter()) && !databases.cover([].into_iter()));
        let of = BTreeSet::from(["core", "extra"]);
        let index = databases.index(&of);
        for target in ["linux", "core/linux", "linux>=6", "initramfs", "gnome"] {
            assert!(!index.find(target).is_empty(), "{target}");
        }
        assert!(index.find("plymouth").is_empty());
        assert_eq!(index.nearest("linx"), ["linux"]);
        assert_eq!(index.closure(["linux"].into_iter()).into_keys().collect::<Vec<_>>(), ["linux", "mkinitcpio"]);
        let only = BTreeSet::from(["extra"]);
        assert!(databases.index(&only).find("linux").is_empty());
    }
}
