//! The hash of an assembled profile before it is written, reading no file that looks as it did the last time.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use cartridge_treehash::{TreeHash, TreeHasher, hash_content};

use super::model::{Assembly, Kind};
use super::problem::AssemblyError;
use crate::build::BuildError;
use crate::cache::Cache;
use crate::cache::stat_index::StatIndex;
use crate::progress::Reporter;
use crate::stage::hashing::{Todo, hash_all};

/// The hash of what `assembly` will be. `cache` is open; `place` is where it lies.
pub(super) fn hash(
    assembly: &Assembly,
    (cache, place): (&Cache, &Path),
    reporter: &Reporter<'_>,
) -> Result<TreeHash, BuildError> {
    let stage = reporter.stage;
    let began = SystemTime::now();
    let copies = assembly.pieces.values().filter(|piece| piece.text.is_none());
    let todo: Vec<Todo> = copies
        .filter_map(|piece| {
            let Kind::File { size } = piece.kind else { return None };
            Some(Todo { full: piece.from.clone()?, look: piece.look, size, mode: piece.mode })
        })
        .collect();
    let room = cache.room("index").map_err(BuildError::io(stage, "open the cache", place))?;
    let file = room.join(name(assembly));
    let index = StatIndex::load(&file);
    let hashed = hash_all(&todo, &index, reporter)?;
    if !hashed.unreadable.is_empty() {
        let mut entries = hashed.unreadable;
        entries.sort();
        entries.dedup();
        return Err(BuildError::assembly(stage)(AssemblyError::Unreadable { entries }));
    }
    let different: HashSet<&Path> = todo.iter().map(|it| it.full.as_path()).collect();
    if hashed.read > 0 || index.len() != different.len() {
        let looks = todo.iter().zip(&hashed.hashes).map(|(it, hash)| (it.full.as_path(), it.look, *hash));
        // Losing it costs reading everything again next time, no more.
        if let Err(e) = StatIndex::save(&file, began, looks) {
            reporter.line(format!("warning: the cache cannot remember what was read: {e}"));
        }
    }
    summed(assembly, hashed.hashes).map_err(BuildError::io(stage, "hash", place))
}

/// Which index remembers the files of these layers.
fn name(assembly: &Assembly) -> String {
    let mut hasher = blake3::Hasher::new();
    for layer in &assembly.layers {
        hasher.update(layer.as_os_str().as_bytes());
        hasher.update(&[0]);
    }
    format!("profile-{}", hasher.finalize().to_hex())
}

/// `contents` are those of the files without a text, in order.
fn summed(assembly: &Assembly, contents: Vec<TreeHash>) -> std::io::Result<TreeHash> {
    let mut contents = contents.into_iter();
    let mut entries = Vec::with_capacity(assembly.pieces.len());
    for (path, piece) in &assembly.pieces {
        let content = match (&piece.kind, &piece.text) {
            (Kind::File { .. }, Some(text)) => Some(hash_content(text.as_slice())?.0),
            (Kind::File { .. }, None) => contents.next(),
            _ => None,
        };
        entries.push((path, piece, content));
    }
    // The map is in the order of components, the hash in that of bytes.
    entries.sort_by_key(|it| it.0.as_os_str().as_bytes());
    let mut hasher = TreeHasher::new();
    for (path, piece, content) in entries {
        match (&piece.kind, content) {
            (Kind::Dir, _) => hasher.dir(path, piece.mode),
            (Kind::Link { target }, _) => hasher.symlink(path, target),
            (Kind::File { .. }, Some(content)) => hasher.file(path, piece.mode, &content),
            (Kind::File { .. }, None) => {}
        }
    }
    Ok(hasher.finish())
}
