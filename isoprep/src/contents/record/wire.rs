//! A record's JSON: short keys, since there is one object a file, and everything checked that can be.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cartridge_treehash::TreeHash;
use serde::{Deserialize, Serialize};

use super::{BuildFacts, BuildRecord, RECORD_VERSION, RecordError, Stamp};
use crate::contents::model::{
    BootEntry, Content, Entry, ImageContents, Kind, PackageEntry, PackageManager, RootImage, Tree,
};
use crate::contents::tree_path::{LONGEST_PATH, TreePath};

/// The largest size that a file can have, bytes: beyond it sums would not be safe, and no file system has it.
const LARGEST_SIZE: u64 = 1 << 53;

/// What is wrong with the bytes of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misread {
    Foreign,
    Later(u32),
    Damaged(String),
    TooLarge,
}

impl Misread {
    pub(super) fn at(self, path: &Path) -> RecordError {
        let path = path.to_path_buf();
        match self {
            Self::Foreign => RecordError::Foreign { path },
            Self::Later(version) => RecordError::Later { path, version },
            Self::Damaged(why) => RecordError::Damaged { path, why },
            Self::TooLarge => RecordError::TooLarge { path },
        }
    }
}

/// What every record begins with, so that other JSON is told from it.
pub(in crate::contents) const BEGINNING: &[u8] = b"{\"cartridge_record\":";

/// Its first field.
#[derive(Deserialize)]
struct Version {
    cartridge_record: u32,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    cartridge_record: u32,
    iso: Stamp,
    build: BuildFacts,
    label: String,
    uuid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root_image: Option<RootImage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    package_manager: Option<PackageManager>,
    packages: BTreeMap<String, PackageEntry>,
    boot: Vec<BootEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unread: Vec<String>,
    root: Vec<File>,
    iso_files: Vec<File>,
    efi_files: Vec<File>,
}

/// One entry of a tree.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Path.
    p: TreePath,
    /// Kind: d, f, l, c, b, p or s.
    k: char,
    /// Permission bits.
    m: u32,
    /// Owner.
    #[serde(default, skip_serializing_if = "is_zero")]
    u: u32,
    /// Group.
    #[serde(default, skip_serializing_if = "is_zero")]
    g: u32,
    /// Size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s: Option<u64>,
    /// Content hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    h: Option<String>,
    /// Hash of the packed content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    q: Option<String>,
    /// Link target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<TreePath>,
    /// Device numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<(u32, u32)>,
    /// Extended attributes; absent where they are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<BTreeMap<String, String>>,
    /// Package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    o: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Record {
    pub(super) fn of(record: &BuildRecord) -> Self {
        let contents = &record.contents;
        let files = |tree: &Tree| tree.iter().map(|(path, entry)| File::of(path, entry)).collect();
        Self {
            cartridge_record: RECORD_VERSION,
            iso: record.stamp,
            build: record.facts.clone(),
            label: contents.label.clone(),
            uuid: contents.uuid.clone(),
            root_image: contents.root.clone(),
            package_manager: contents.package_manager,
            packages: contents.packages.clone(),
            boot: contents.boot_entries.clone(),
            unread: contents.unread.clone(),
            root: files(&contents.files),
            iso_files: files(&contents.iso_files),
            efi_files: files(&contents.efi_files),
        }
    }
}

impl File {
    fn of(path: &TreePath, entry: &Entry) -> Self {
        let mut file = Self {
            p: path.clone(),
            k: 'd',
            m: entry.mode,
            u: entry.uid,
            g: entry.gid,
            s: None,
            h: None,
            q: None,
            t: None,
            n: None,
            x: entry.attributes.clone(),
            o: entry.package.as_deref().map(str::to_owned),
        };
        match &entry.kind {
            Kind::Directory => {}
            Kind::File { size, content } => {
                (file.k, file.s) = ('f', Some(*size));
                file.h = content.hash.map(|hash| hash.to_string());
                file.q = content.packed.map(|hash| hash.to_string());
            }
            Kind::Symlink { target } => (file.k, file.t) = ('l', Some(target.clone())),
            Kind::Character(numbers) => (file.k, file.n) = ('c', *numbers),
            Kind::Block(numbers) => (file.k, file.n) = ('b', *numbers),
            Kind::Fifo => file.k = 'p',
            Kind::Socket => file.k = 's',
        }
        file
    }

    fn entry(self, names: &mut BTreeMap<String, Arc<str>>) -> Result<Entry, String> {
        let path = &self.p;
        let hash = |digits: Option<String>| match digits {
            Some(digits) => hash(&digits).map(Some).ok_or_else(|| format!("\"{path}\" has no possible hash")),
            None => Ok(None),
        };
        let kind = match self.k {
            'd' => Kind::Directory,
            'f' => {
                let size = self.s.filter(|size| *size <= LARGEST_SIZE);
                let size = size.ok_or_else(|| format!("\"{path}\" has no possible size"))?;
                Kind::File { size, content: Content { hash: hash(self.h)?, packed: hash(self.q)? } }
            }
            'l' => {
                let target = self.t.filter(|target| target.as_bytes().len() <= LONGEST_PATH);
                Kind::Symlink { target: target.ok_or_else(|| format!("\"{path}\" has no possible target"))? }
            }
            'c' => Kind::Character(self.n),
            'b' => Kind::Block(self.n),
            'p' => Kind::Fifo,
            's' => Kind::Socket,
            other => return Err(format!("\"{path}\" is of kind {other:?}, which there is not")),
        };
        if self.m > 0o7777 {
            return Err(format!("\"{path}\" has the mode {:o}", self.m));
        }
        let package = self.o.map(|name| Arc::clone(names.entry(name).or_insert_with_key(|name| name.as_str().into())));
        Ok(Entry { kind, mode: self.m, uid: self.u, gid: self.g, attributes: self.x, package })
    }
}

pub(super) fn parse(json: &[u8]) -> Result<BuildRecord, Misread> {
    if !json.starts_with(BEGINNING) {
        return Err(Misread::Foreign);
    }
    let damaged = |e: serde_json::Error| Misread::Damaged(e.to_string());
    let version: Version = serde_json::from_slice(json).map_err(damaged)?;
    if version.cartridge_record != RECORD_VERSION {
        return Err(Misread::Later(version.cartridge_record));
    }
    let record: Record = serde_json::from_slice(json).map_err(damaged)?;
    let mut names = BTreeMap::new();
    let mut tree = |files: Vec<File>| {
        let mut tree = Tree::default();
        let mut last: Option<TreePath> = None;
        for file in files {
            let path = file.p.clone();
            let is_root = path.as_bytes().is_empty();
            if !is_root && !path.is_sound() {
                return Err(Misread::Damaged(format!("\"{path}\" can be no path")));
            }
            if last.as_ref().is_some_and(|last| *last >= path) {
                return Err(Misread::Damaged(format!("\"{path}\" is out of order, or there twice")));
            }
            tree.insert(path.clone(), file.entry(&mut names).map_err(Misread::Damaged)?);
            last = Some(path);
        }
        Ok(tree)
    };
    let (files, iso_files, efi_files) = (tree(record.root)?, tree(record.iso_files)?, tree(record.efi_files)?);
    let contents = ImageContents {
        label: record.label,
        uuid: record.uuid,
        bytes: record.iso.bytes,
        root: record.root_image,
        package_manager: record.package_manager,
        packages: record.packages,
        files,
        iso_files,
        efi_files,
        boot_entries: record.boot,
        unread: record.unread,
    };
    Ok(BuildRecord { stamp: record.iso, facts: record.build, contents })
}

/// A hash out of its 64 hex digits.
fn hash(digits: &str) -> Option<TreeHash> {
    blake3::Hash::from_hex(digits).ok().map(|hash| TreeHash(*hash.as_bytes()))
}
