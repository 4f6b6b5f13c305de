//! What `remove` takes away from the base, and what it probably meant where it takes nothing: pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::model::{Piece, plain};
use super::problem::{Problem, Warning};

/// How much alike two names must be to be taken for one another, 0 to 1.
const ALIKE: f64 = 0.6;
/// The longest name that is compared, bytes: that of a file (`NAME_MAX`).
const NAME: usize = 255;

/// Moves what `wishes` name, and all below it, from `pieces` to the result.
pub(super) fn remove(
    pieces: &mut BTreeMap<PathBuf, Piece>,
    wishes: &[PathBuf],
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Warning>,
) -> BTreeMap<PathBuf, Piece> {
    let mut removed = BTreeMap::new();
    for wish in wishes {
        let Some(path) = plain(wish) else {
            let why = "has to be a path inside the profile, like \"airootfs/etc/motd\"";
            problems.push(Problem::BadPath { key: "image.remove".to_owned(), path: wish.clone(), why });
            continue;
        };
        // A folder's pieces follow it: the map is in the order of components.
        let matched: Vec<PathBuf> =
            pieces.range(path.clone()..).map(|it| it.0).take_while(|it| it.starts_with(&path)).cloned().collect();
        if matched.is_empty() && !removed.contains_key(&path) {
            let nearest = nearest(&path, pieces);
            warnings.push(Warning::NothingRemoved { path, nearest, overlay: None });
        }
        removed.extend(matched.into_iter().filter_map(|path| pieces.remove_entry(&path)));
    }
    removed
}

/// The piece that `path` probably meant: one of the same name elsewhere, else one of a like name in the same folder.
fn nearest(path: &Path, pieces: &BTreeMap<PathBuf, Piece>) -> Option<PathBuf> {
    let name = path.file_name()?;
    // Of several with the same name, the one that shares most of the path's end, then of its beginning.
    let common = |other: &Path| {
        let end = path.components().rev().zip(other.components().rev()).take_while(|(a, b)| a == b).count();
        let start = path.components().zip(other.components()).take_while(|(a, b)| a == b).count();
        (end, start)
    };
    let same = pieces.keys().filter(|other| other.file_name() == Some(name));
    if let Some(found) = same.max_by_key(|other| common(other)) {
        return Some(found.clone());
    }
    let (folder, name) = (path.parent()?, name.to_str().filter(|name| name.len() <= NAME)?);
    let siblings = pieces.keys().filter(|other| other.parent() == Some(folder));
    let scored = siblings
        .filter_map(|other| Some((strsim::normalized_damerau_levenshtein(name, other.file_name()?.to_str()?), other)));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= ALIKE).then(|| best.1.clone())
}
