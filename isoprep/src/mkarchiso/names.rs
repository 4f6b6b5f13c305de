//! The names of all packages that the repositories of a build have, read from the databases that pacman fetched before it
//! gave up: for telling what a misspelt name was meant to be.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The largest database that is unpacked, bytes. Arch's `extra` has some 60 MiB.
const LARGEST: u64 = 512 << 20;
/// More packages than all repositories have.
const MOST: usize = 200_000;

/// The names in every database below mkarchiso's work directory. What cannot be read has none: this only helps to explain.
pub(super) fn known_names(work: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for database in databases(work) {
        // A damaged database is another finding's affair.
        let _ = read(&database, &mut names);
    }
    names
}

/// `work/<architecture>/airootfs/var/lib/pacman/sync/*.db`.
fn databases(work: &Path) -> Vec<PathBuf> {
    let list = |dir: &Path| fs::read_dir(dir).map(|it| it.flatten().map(|it| it.path()).collect()).unwrap_or_default();
    let architectures: Vec<PathBuf> = list(work);
    let databases = architectures.iter().flat_map(|dir| list(&dir.join("airootfs/var/lib/pacman/sync")));
    databases.filter(|path| path.extension().is_some_and(|it| it == "db")).collect()
}

/// A database is a tar archive with a folder `name-version-release` for each package (repo-add(8)), packed or not.
fn read(database: &Path, names: &mut BTreeSet<String>) -> io::Result<()> {
    let mut file = BufReader::new(File::open(database)?);
    let magic = file.fill_buf()?.get(..6).unwrap_or_default().to_vec();
    let unpacked: Box<dyn Read> = match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(file)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(file)?),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Box::new(liblzma::bufread::XzDecoder::new(file)),
        _ => Box::new(file),
    };
    for entry in tar::Archive::new(unpacked.take(LARGEST)).entries()? {
        let entry = entry?;
        let path = entry.path()?;
        let folder = path.iter().next().and_then(|it| it.to_str()).unwrap_or_default();
        let name = folder.rsplitn(3, '-').nth(2).unwrap_or_default();
        if !name.is_empty() && names.len() < MOST {
            names.insert(name.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn archive() -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for name in ["git-2.1-1/desc", "linux-lts-6.1.2-1/desc", "odd", "linux-lts-6.1.2-1/files"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            header.set_cksum();
            archive.append_data(&mut header, name, io::empty()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn names_are_read_however_a_database_is_packed() {
        let dir = tempfile::tempdir().unwrap();
        let sync = dir.path().join("x86_64/airootfs/var/lib/pacman/sync");
        fs::create_dir_all(&sync).unwrap();
        fs::write(sync.join("broken.db"), [0x1f, 0x8b, 1, 2, 3]).unwrap();
        fs::write(sync.join("empty.db"), "").unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&archive()).unwrap();
        let packed = [archive(), gzip.finish().unwrap(), zstd::encode_all(archive().as_slice(), 1).unwrap()];
        for bytes in packed {
            fs::write(sync.join("core.db"), bytes).unwrap();
            assert_eq!(known_names(dir.path()).into_iter().collect::<Vec<_>>(), ["git", "linux-lts"]);
        }
    }
}
