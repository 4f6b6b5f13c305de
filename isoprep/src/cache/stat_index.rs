//! Which content hash a file had when it last looked like this: spares reading an unchanged repository again.
//!
//! Like git's index, and with git's answer to its race: a file that changed within the last two seconds before the index
//! was made could change again without looking different, so it is not remembered.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cartridge_treehash::TreeHash;

use super::atomic;

const MAGIC: &[u8; 8] = b"CSTATIX1";
/// Younger than this, a change may hide behind an equal time stamp: coarse clocks tick in 4 to 10 ms, FAT in 2 s.
const RACY: Duration = Duration::from_secs(2);

/// How a file looks from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Look {
    pub(crate) fn of(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    pub(crate) fn of_stat(stat: &rustix::fs::Stat) -> Self {
        let nanoseconds = |time: u64| i64::try_from(time).unwrap_or(0);
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size.cast_unsigned(),
            modified: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
        }
    }

    /// When its content changed last: seconds and nanoseconds since 1970.
    pub(crate) fn modified(&self) -> (i64, i64) {
        self.modified
    }

    fn words(&self) -> [u64; 7] {
        let [a, b, c, d] = [self.modified.0, self.modified.1, self.changed.0, self.changed.1].map(i64::cast_unsigned);
        [self.device, self.inode, self.size, a, b, c, d]
    }

    fn from_words([device, inode, size, a, b, c, d]: [u64; 7]) -> Self {
        let [a, b, c, d] = [a, b, c, d].map(u64::cast_signed);
        Self { device, inode, size, modified: (a, b), changed: (c, d) }
    }

    fn settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let limit = i64::try_from(now.saturating_sub(RACY).as_secs()).unwrap_or(0);
        self.modified.0 < limit && self.changed.0 < limit
    }
}

/// Paths with their looks and content hashes.
#[derive(Debug, Default)]
pub(crate) struct StatIndex(HashMap<PathBuf, (Look, TreeHash)>);

impl StatIndex {
    /// Reads an index; one that is missing, damaged or of another version is empty.
    pub(crate) fn load(file: &Path) -> Self {
        std::fs::read(file).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default()
    }

    /// The hash of `path`, if it still looks as it did.
    pub(crate) fn get(&self, path: &Path, look: &Look) -> Option<TreeHash> {
        self.0.get(path).filter(|(known, _)| known == look).map(|(_, hash)| *hash)
    }

    /// How many files it knows.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Writes an index of `entries`, hashed no earlier than `began`.
    pub(crate) fn save<'a>(
        file: &Path,
        began: SystemTime,
        entries: impl Iterator<Item = (&'a Path, Look, TreeHash)>,
    ) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        for (path, look, hash) in entries.filter(|(_, look, _)| look.settled(began)) {
            let path = path.as_os_str().as_bytes();
            bytes.extend((path.len() as u64).to_le_bytes());
            bytes.extend(path);
            look.words().iter().for_each(|word| bytes.extend(word.to_le_bytes()));
            bytes.extend(hash.0);
        }
        let sum = blake3::hash(&bytes);
        bytes.extend(sum.as_bytes());
        atomic::write(file, &bytes)
    }
}

fn parse(bytes: &[u8]) -> Option<StatIndex> {
    let (body, sum) = bytes.split_last_chunk::<32>()?;
    let mut rest = body.strip_prefix(MAGIC)?;
    if blake3::hash(body).as_bytes() != sum {
        return None;
    }
    let mut index = HashMap::new();
    while !rest.is_empty() {
        let length = usize::try_from(word(&mut rest)?).ok()?;
        let path = rest.split_off(..length)?;
        let mut words = [0; 7];
        for place in &mut words {
            *place = word(&mut rest)?;
        }
        let hash = rest.split_off(..32)?.try_into().ok()?;
        index.insert(PathBuf::from(OsString::from_vec(path.to_vec())), (Look::from_words(words), TreeHash(hash)));
    }
    Some(StatIndex(index))
}

fn word(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(rest.split_off(..8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(modified: i64) -> Look {
        Look { device: 1, inode: 2, size: 3, modified: (modified, 5), changed: (modified, -1) }
    }

    #[test]
    fn remembers_what_has_settled_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("index");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let (old, young) = (Path::new("a\nb"), Path::new("young"));
        let hash = TreeHash([7; 32]);
        let entries = [(old, look(900), hash), (young, look(999), hash)];
        StatIndex::save(&file, now, entries.into_iter()).unwrap();
        let index = StatIndex::load(&file);
        assert_eq!(index.get(old, &look(900)), Some(hash));
        assert_eq!(index.get(old, &look(901)), None);
        assert_eq!(index.get(young, &look(999)), None);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(StatIndex::load(&file).get(old, &look(900)), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let mut whole = [MAGIC, bytes.as_slice()].concat();
            let sum = blake3::hash(&whole);
            whole.extend(sum.as_bytes());
            let _ = parse(&whole);
        }
    }
}
