//! One side of a comparison: what is in an image, from its record or from itself, and the way to its content where that has
//! to be read.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::difference::{Difference, difference, passed_over, undecided};
use super::error::ContentsError;
use super::image::{Depth, ImageReader, TreeName, open_image};
use super::model::{ImageContents, Kind};
use super::record::{BEGINNING, BuildFacts, BuildRecord, RecordError, ZSTD};
use super::tree_path::TreePath;
use super::watch::Watch;

/// One side of a comparison.
pub struct Side {
    /// The file that it came from.
    pub path: PathBuf,
    /// What is in the image.
    pub contents: ImageContents,
    /// How it was made, where a record tells.
    pub facts: Option<BuildFacts>,
    /// Why the record beside the image was not used, if there is one and it was not.
    pub notice: Option<String>,
    reader: Option<ImageReader>,
}

impl Side {
    /// Reads `path`: a record, or an ISO. The record beside an ISO is read instead of it if it is about that very file.
    ///
    /// # Errors
    /// [`RecordError`]: whatever is wrong with the record, if `path` is one, or with the image.
    pub fn load(path: &Path, watch: &Watch<'_>) -> Result<Self, RecordError> {
        let side = |contents, facts, notice, reader| Self { path: path.to_path_buf(), contents, facts, notice, reader };
        if is_record(path) {
            let BuildRecord { facts, contents, .. } = BuildRecord::read(path)?;
            return Ok(side(contents, Some(facts), None, None));
        }
        let beside = BuildRecord::beside(path);
        let notice = match BuildRecord::read(&beside) {
            Ok(record) if record.is_about(path) => {
                return Ok(side(record.contents, Some(record.facts), None, None));
            }
            Ok(_) => Some(format!("{} is about another image: the ISO itself is read", beside.display())),
            Err(RecordError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => Some(format!("{error}\n  The ISO itself is read.")),
        };
        let (contents, reader) = open_image(path, watch)?;
        Ok(side(contents, None, notice, Some(reader)))
    }

    /// Compares two sides. Content is read where nothing else tells whether two files are the same, and only as much of it
    /// as that takes.
    ///
    /// # Errors
    /// [`ContentsError`] of whichever image could not be read.
    pub fn compare(&mut self, other: &mut Self, watch: &Watch<'_>) -> Result<Difference, ContentsError> {
        self.settle(other, watch)?;
        Ok(difference(&self.contents, &other.contents))
    }

    /// Reads the content of files that cannot be told to be the same or not, as far as the images are at hand.
    ///
    /// # Errors
    /// [`ContentsError`] of whichever image could not be read.
    pub fn settle(&mut self, other: &mut Self, watch: &Watch<'_>) -> Result<(), ContentsError> {
        for tree in TreeName::ALL {
            for depth in [Depth::Packed, Depth::Whole] {
                let (from, to) = (&self.contents, &other.contents);
                let mut paths = undecided(from.tree(tree), to.tree(tree), |path| passed_over(from, to, tree, path));
                // What one side can never know is not worth reading on the other.
                paths.retain(|path| self.can_know(tree, path, depth) && other.can_know(tree, path, depth));
                self.know(tree, &paths, depth, watch)?;
                other.know(tree, &paths, depth, watch)?;
            }
        }
        Ok(())
    }

    fn can_know(&self, tree: TreeName, path: &TreePath, depth: Depth) -> bool {
        let known = match self.contents.tree(tree).get(path).map(|entry| &entry.kind) {
            Some(Kind::File { content, .. }) => match depth {
                Depth::Packed => content.packed.is_some() || content.hash.is_some(),
                Depth::Whole => content.hash.is_some(),
            },
            _ => false,
        };
        known || self.reader.is_some()
    }

    fn know(
        &mut self,
        tree: TreeName,
        paths: &[TreePath],
        depth: Depth,
        watch: &Watch<'_>,
    ) -> Result<(), ContentsError> {
        match &self.reader {
            Some(reader) => reader.know(&mut self.contents, tree, paths, depth, watch),
            None => Ok(()),
        }
    }
}

/// Whether a file says of itself that it is a record: by its name, or by its first bytes.
fn is_record(path: &Path) -> bool {
    if path.extension().is_some_and(|ending| ending == "record") {
        return true;
    }
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let Ok(file) = File::options().read(true).custom_flags(flags).open(path) else { return false };
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return false;
    }
    let mut head = Vec::new();
    let read = file.take(20).read_to_end(&mut head).is_ok();
    read && [BEGINNING, &ZSTD].iter().any(|beginning| head.starts_with(beginning))
}
