//! What every file system in an image can do for us: list its entries, and give the content of some of them.

use std::collections::BTreeMap;
use std::io::Read;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use cartridge_treehash::TreeHash;

use super::error::Fault;
use super::model::{Content, Entry};
use super::tree_path::{TreePath, is_name};
use super::watch::{Counter, Watch};

/// The most entries of one file system: a distribution of 20 GB has about 800,000.
const MOST_ENTRIES: usize = 4_000_000;
/// The most that all paths of one file system may have, bytes.
const MOST_PATH_BYTES: usize = 512 << 20;
/// The most content that the files of one file system may have: so many bytes, and so many times the size of what they
/// are packed in. Holes weigh nothing there, and hashing them takes time.
const MOST_BYTES: u64 = 64 << 30;
const MOST_TIMES: u64 = 64;
/// More threads than this only make a disk seek.
const THREADS: usize = 8;

/// A file system in an image.
pub(super) trait Volume {
    /// All entries.
    fn list(&self, watch: &Watch<'_>) -> Result<Listing, Fault>;

    /// The whole content of a small file.
    fn read(&self, node: Node, limit: u64) -> Result<Vec<u8>, Fault>;

    /// The content hashes of files, in their order.
    fn hash(&self, files: &[Wanted], counter: &Counter<'_>) -> Result<Vec<TreeHash>, Fault>;

    /// What can be told of contents without unpacking everything.
    fn fingerprint(&self, files: &[Wanted], counter: &Counter<'_>) -> Result<Vec<Content>, Fault> {
        let hashed = self.hash(files, counter)?;
        Ok(hashed.into_iter().map(|hash| Content { hash: Some(hash), packed: None }).collect())
    }
}

/// Where a volume finds an entry again; its own affair.
pub(super) type Node = u64;

/// A file whose content is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) node: Node,
    /// Its size, bytes.
    pub(super) size: u64,
}

/// Entries of a file system as they are found, within bounds.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) entries: BTreeMap<TreePath, (Entry, Node)>,
    path_bytes: usize,
    /// The content of all files, bytes, and how much it may be.
    bytes: u64,
    most: u64,
}

impl Listing {
    /// The entries of a file system that lies in `packed` bytes.
    pub(super) fn of(packed: u64) -> Self {
        Self { most: packed.saturating_mul(MOST_TIMES).saturating_add(MOST_BYTES), ..Self::default() }
    }

    /// The path of `name` in `dir`, if it can be one.
    pub(super) fn path(dir: &TreePath, name: &[u8]) -> Result<TreePath, Fault> {
        if !is_name(name) {
            return Err(Fault::damaged(format!("the directory \"{dir}\" has an entry without a possible name")));
        }
        let path = dir.join(name);
        if path.is_sound() { Ok(path) } else { Err(Fault::damaged("its directories lie too deep in one another")) }
    }

    /// Adds an entry.
    pub(super) fn add(&mut self, path: TreePath, entry: Entry, node: Node) -> Result<(), Fault> {
        self.path_bytes += path.as_bytes().len();
        self.bytes = self.bytes.saturating_add(entry.size());
        if self.entries.len() >= MOST_ENTRIES {
            return Err(Fault::TooMuch { what: "entries", limit: MOST_ENTRIES as u64 });
        }
        if self.path_bytes > MOST_PATH_BYTES {
            return Err(Fault::TooMuch { what: "bytes of paths", limit: MOST_PATH_BYTES as u64 });
        }
        if self.bytes > self.most {
            return Err(Fault::TooMuch { what: "bytes of content", limit: self.most });
        }
        match self.entries.insert(path.clone(), (entry, node)) {
            None => Ok(()),
            Some(_) => Err(Fault::damaged(format!("\"{path}\" is there twice"))),
        }
    }
}

/// Does `work` for every index below `count` on several threads, and returns what it gave, in order. The first fault ends
/// all of it.
pub(super) fn in_parallel<T: Send>(
    count: usize,
    work: impl Fn(usize) -> Result<T, Fault> + Sync,
) -> Result<Vec<T>, Fault> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new((Vec::with_capacity(count), None));
    let worker = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return;
            }
            let done = work(at);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            match done {
                Ok(done) => found.0.push((at, done)),
                Err(fault) => {
                    next.store(count, Ordering::Relaxed);
                    found.1.get_or_insert(fault);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS).min(count);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(worker);
        }
        worker();
    });
    let (mut done, fault) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(fault) = fault {
        return Err(fault);
    }
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, done)| done).collect())
}

/// Hashes what `reader` gives, which must be `size` bytes.
pub(super) fn hash_reader(mut reader: impl Read, size: u64, counter: &Counter<'_>) -> Result<TreeHash, Fault> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; 128 * 1024];
    loop {
        // Filled before it is hashed: some readers give a block at a time, and small updates are slow ones.
        let mut filled = 0;
        while filled < chunk.len() {
            match reader.read(&mut chunk[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(super::region::fault(e)),
            }
        }
        hasher.update(&chunk[..filled]);
        counter.add(filled as u64)?;
        if filled < chunk.len() || hasher.count() > size {
            break;
        }
    }
    if hasher.count() != size {
        return Err(Fault::damaged("a file does not have the size that its entry tells"));
    }
    Ok(TreeHash(*hasher.finalize().as_bytes()))
}

/// Runs a reader of somebody else's over an image that nobody vouches for: should it panic, the image is damaged.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    // What the closure borrows is dropped or never looked at again after a fault.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Fault::damaged("its reader gave up on it")))
}

#[cfg(test)]
mod tests {
    use cartridge_supervise::Cancel;

    use super::*;
    use crate::contents::model::Kind;
    use crate::contents::watch::Reading;

    #[test]
    fn results_come_in_order_and_the_first_fault_ends_it() {
        let squares = in_parallel(1000, |at| Ok(at * at)).unwrap();
        assert!(squares.iter().enumerate().all(|(at, square)| at * at == *square));
        assert_eq!(in_parallel(0, Ok).unwrap(), [] as [usize; 0]);
        let done = AtomicUsize::new(0);
        let fault = in_parallel(100_000, |at| {
            done.fetch_add(1, Ordering::Relaxed);
            if at == 5 { Err(Fault::damaged("five")) } else { Ok(()) }
        });
        assert!(matches!(fault, Err(Fault::Damaged(why)) if why == "five"));
        assert!(done.load(Ordering::Relaxed) < 100_000);
    }

    #[test]
    fn a_listing_refuses_what_no_file_system_can_hold() {
        let mut listing = Listing::of(1);
        let file = |size| Entry::new(Kind::file(size), 0o644);
        listing.add("a".into(), file(1), 0).unwrap();
        assert!(matches!(listing.add("a".into(), file(1), 0), Err(Fault::Damaged(_))));
        listing.add("sparse".into(), file(32 << 30), 0).unwrap();
        assert!(matches!(listing.add("b".into(), file(33 << 30), 0), Err(Fault::TooMuch { .. })));
        assert!(matches!(listing.add("c".into(), file(u64::MAX), 0), Err(Fault::TooMuch { .. })));
        for name in [&b""[..], b".", b"..", b"a/b", b"a\0"] {
            assert!(Listing::path(&TreePath::default(), name).is_err());
        }
        let deep = TreePath::from("ab/".repeat(1360).trim_end_matches('/'));
        assert!(deep.is_sound() && Listing::path(&deep, &[b'x'; 200]).is_err());
    }

    #[test]
    fn a_size_that_lies_is_told() {
        let (cancel, tell) = (Cancel::new(), |_| ());
        let counter = Watch { cancel: &cancel, tell: &tell }.counter(Reading::Hashing, None);
        assert_eq!(hash_reader(&b"abc"[..], 3, &counter).unwrap().0, *blake3::hash(b"abc").as_bytes());
        assert!(hash_reader(&b"abc"[..], 2, &counter).is_err() && hash_reader(&b"abc"[..], 4, &counter).is_err());
        cancel.cancel();
        assert!(matches!(hash_reader(&b"abc"[..], 3, &counter), Err(Fault::Cancelled)));
    }
}
