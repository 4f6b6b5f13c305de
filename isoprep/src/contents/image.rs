//! Reads a finished ISO: everything that [`ImageContents`] has, without root, without mounting, and without writing
//! anything. Content is read when it is asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::boot;
use super::error::{ContentsError, Fault};
use super::esp::Esp;
use super::iso::Iso;
use super::layers::{self, Layer, Stacked};
use super::model::{BootEntry, Content, ImageContents, Kind, Loader, RootImage, Tree};
use super::packages::{self, Installed};
use super::region::Region;
use super::tree_path::TreePath;
use super::volume::{Listing, Node, Volume, Wanted};
use super::watch::{Reading, Watch};

/// One of the file systems of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TreeName {
    /// The root file system of the live system.
    Root,
    /// The ISO 9660 file system.
    Iso,
    /// The EFI system partition.
    Efi,
}

impl TreeName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Root, Self::Iso, Self::Efi];
}

impl ImageContents {
    /// One of the trees.
    #[must_use]
    pub fn tree(&self, name: TreeName) -> &Tree {
        match name {
            TreeName::Root => &self.files,
            TreeName::Iso => &self.iso_files,
            TreeName::Efi => &self.efi_files,
        }
    }

    fn tree_mut(&mut self, name: TreeName) -> &mut Tree {
        match name {
            TreeName::Root => &mut self.files,
            TreeName::Iso => &mut self.iso_files,
            TreeName::Efi => &mut self.efi_files,
        }
    }

    /// Whether the file at `path` of the ISO is a part of the root image: what is in it is compared, not the file.
    #[must_use]
    pub fn is_root_part(&self, path: &TreePath) -> bool {
        self.root.as_ref().is_some_and(|root| root.parts.contains(path))
    }
}

/// How much is to be known of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What can be had without unpacking everything.
    Packed,
    /// The hash.
    Whole,
}

/// An open image, for reading content.
pub struct ImageReader {
    path: PathBuf,
    /// The file systems, each with its name in errors.
    volumes: Vec<(Option<String>, Box<dyn Volume>)>,
    /// Where the files of each tree are: volume and node.
    places: [BTreeMap<TreePath, (usize, Node)>; 3],
}

/// The volumes that every image has a place for.
const ISO: usize = 0;
const EFI: usize = 1;
/// What the EFI system partition is called in errors.
pub(super) const EFI_NAME: &str = "the EFI partition";

/// Opens an image and lists what is in it. No content is hashed yet: see [`ImageReader::know`].
///
/// # Errors
/// [`ContentsError`] where it is no ISO image, is cut or damaged, or claims what cannot be; a part in a format that is not
/// read is no error, but told in [`ImageContents::unread`].
pub fn open_image(path: &Path, watch: &Watch<'_>) -> Result<(ImageContents, ImageReader), ContentsError> {
    let whole = ContentsError::of(path, None);
    let (iso, listing) = open_iso(path, watch)?;
    let mut contents = ImageContents {
        label: iso.label.clone(),
        uuid: iso.uuid.clone(),
        bytes: iso.bytes(),
        ..ImageContents::default()
    };

    let efi = Efi::open(&iso, watch).map_err(ContentsError::of(path, Some(EFI_NAME)))?;
    contents.boot_entries = boot_entries(&iso, &listing, &efi).map_err(&whole)?;

    let mut layers: Vec<Layer> = Vec::new();
    for image in layers::images(&iso, &listing).map_err(&whole)? {
        match layers::open(&iso, image, watch) {
            Ok(layer) => layers.push(layer),
            Err((part, Fault::Unsupported(why))) => contents.unread.push(format!("{part}: {why}")),
            Err((part, fault)) => return Err(ContentsError::of(path, Some(&part.to_string()))(fault)),
        }
    }
    if layers.is_empty() {
        layers = layers::initramfs(&iso, &listing, &contents.boot_entries, watch)
            .map_err(|(part, fault)| ContentsError::of(path, Some(&part.to_string()))(fault))?;
    }
    contents.root = layers.first().map(|lowest| RootImage {
        parts: layers.iter().map(|layer| layer.path.clone()).collect(),
        format: lowest.format,
        compression: lowest.compression.clone(),
        bytes: layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.bytes)),
    });

    let mut reader = ImageReader {
        path: path.to_path_buf(),
        volumes: vec![(None, Box::new(iso)), (Some(EFI_NAME.to_owned()), efi.volume)],
        places: Default::default(),
    };
    let mut root = Stacked::new();
    for layer in layers {
        layers::stack(&mut root, layer.listing, reader.volumes.len(), layer.format);
        reader.volumes.push((Some(layer.path.to_string()), layer.volume));
    }
    let single = |listing: Listing, volume: usize| {
        let entries = listing.entries.into_iter();
        entries.map(|(path, (entry, node))| (path, (entry, volume, node))).collect::<Stacked>()
    };
    let stacks = [root, single(listing, ISO), single(efi.listing, EFI)];
    for ((name, stack), places) in TreeName::ALL.into_iter().zip(stacks).zip(&mut reader.places) {
        let tree = contents.tree_mut(name);
        for (path, (entry, volume, node)) in stack {
            if let Kind::File { .. } = entry.kind {
                places.insert(path.clone(), (volume, node));
            }
            tree.insert(path, entry);
        }
    }
    reader.read_packages(&mut contents)?;
    Ok((contents, reader))
}

/// Opens an ISO and lists it.
pub(super) fn open_iso(path: &Path, watch: &Watch<'_>) -> Result<(Iso, Listing), ContentsError> {
    let whole = ContentsError::of(path, None);
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
    let file = file.map_err(Fault::from).map_err(&whole)?;
    if !file.metadata().map_err(Fault::from).map_err(&whole)?.is_file() {
        let why = "it is no regular file".into();
        return Err(whole(Fault::Foreign { expected: "an ISO 9660 image", why }));
    }
    let region = Region::whole(file, watch.cancel).map_err(Fault::from).map_err(&whole)?;
    let iso = Iso::open(region).map_err(&whole)?;
    let listing = iso.list(watch).map_err(&whole)?;
    Ok((iso, listing))
}

/// Opens the EFI partition of an ISO, if it has one, and lists it.
pub(super) fn open_esp(iso: &Iso, watch: &Watch<'_>) -> Result<Option<(Esp, Listing)>, Fault> {
    let Some(region) = iso.efi_image()? else { return Ok(None) };
    let esp = Esp::open(&region)?;
    let listing = esp.list(watch)?;
    Ok(Some((esp, listing)))
}

/// The EFI partition, or nothing in its place.
struct Efi {
    volume: Box<dyn Volume>,
    listing: Listing,
}

impl Efi {
    fn open(iso: &Iso, watch: &Watch<'_>) -> Result<Self, Fault> {
        Ok(match open_esp(iso, watch)? {
            Some((esp, listing)) => Self { volume: Box::new(esp), listing },
            None => Self { volume: Box::new(Nothing), listing: Listing::default() },
        })
    }
}

/// A file system without files.
struct Nothing;

impl Volume for Nothing {
    fn list(&self, _: &Watch<'_>) -> Result<Listing, Fault> {
        Ok(Listing::default())
    }

    fn read(&self, _: Node, _: u64) -> Result<Vec<u8>, Fault> {
        Err(Fault::damaged("no such file"))
    }

    fn hash(&self, _: &[Wanted], _: &super::watch::Counter<'_>) -> Result<Vec<cartridge_treehash::TreeHash>, Fault> {
        Ok(Vec::new())
    }
}

/// The entries of every boot loader. systemd-boot reads the EFI partition only; a copy of its entries on the ISO is one.
fn boot_entries(iso: &Iso, listing: &Listing, efi: &Efi) -> Result<Vec<BootEntry>, Fault> {
    let mut found = Vec::new();
    let mut files = 0;
    for (volume, listing) in [(&*efi.volume, &efi.listing), (iso as &dyn Volume, listing)] {
        let on_efi = found.iter().any(|entry: &BootEntry| entry.loader == Loader::SystemdBoot);
        for (loader, path, text) in boot::files(volume, listing, files)? {
            files += 1;
            if loader != Loader::SystemdBoot || !on_efi {
                found.extend(boot::entries(loader, &path, &text));
            }
        }
    }
    found.sort_by_key(|entry| (entry.loader, entry.file.clone()));
    Ok(found)
}

impl ImageReader {
    /// Reads as much of the content of `paths` as `depth` asks for, unless `contents` has it already. What is no file of
    /// the tree is passed over.
    ///
    /// # Errors
    /// [`ContentsError`]; what was known before stays so.
    pub fn know(
        &self,
        contents: &mut ImageContents,
        tree: TreeName,
        paths: &[TreePath],
        depth: Depth,
        watch: &Watch<'_>,
    ) -> Result<(), ContentsError> {
        let places = &self.places[tree as usize];
        let mut wanted: BTreeMap<usize, Vec<(&TreePath, Wanted)>> = BTreeMap::new();
        for path in paths {
            let Some(Kind::File { size, content }) = contents.tree(tree).get(path).map(|entry| &entry.kind) else {
                continue;
            };
            let known = content.hash.is_some() || (depth == Depth::Packed && content.packed.is_some());
            let Some((volume, node)) = places.get(path).filter(|_| !known) else { continue };
            wanted.entry(*volume).or_default().push((path, Wanted { node: *node, size: *size }));
        }
        let total = wanted.values().flatten().fold(0_u64, |sum, (_, file)| sum.saturating_add(file.size));
        let doing = if depth == Depth::Whole { Reading::Hashing } else { Reading::Comparing };
        let counter = watch.counter(doing, Some(total));
        for (volume, wanted) in wanted {
            let (name, volume) = &self.volumes[volume];
            let files: Vec<Wanted> = wanted.iter().map(|(_, file)| *file).collect();
            let found: Result<Vec<Content>, Fault> = match depth {
                Depth::Packed => volume.fingerprint(&files, &counter),
                Depth::Whole => volume
                    .hash(&files, &counter)
                    .map(|hashes| hashes.into_iter().map(|hash| Content { hash: Some(hash), packed: None }).collect()),
            };
            let found = found.map_err(ContentsError::of(&self.path, name.as_deref()))?;
            for ((path, _), found) in wanted.into_iter().zip(found) {
                let entry = contents.tree_mut(tree).get_mut(path);
                if let Some(Kind::File { content, .. }) = entry.map(|entry| &mut entry.kind) {
                    content.hash = content.hash.or(found.hash);
                    content.packed = content.packed.or(found.packed);
                }
            }
        }
        Ok(())
    }

    /// Hashes everything that is not a part of the root image, as a record wants it.
    ///
    /// # Errors
    /// [`ContentsError`]
    pub fn know_all(&self, contents: &mut ImageContents, watch: &Watch<'_>) -> Result<(), ContentsError> {
        for tree in TreeName::ALL {
            let wanted = |path: &&TreePath| tree != TreeName::Iso || !contents.is_root_part(path);
            let paths: Vec<TreePath> = self.places[tree as usize].keys().filter(wanted).cloned().collect();
            for depth in [Depth::Packed, Depth::Whole] {
                self.know(contents, tree, &paths, depth, watch)?;
            }
        }
        Ok(())
    }

    fn read(&self, tree: TreeName, path: &TreePath, limit: u64) -> Result<Vec<u8>, Fault> {
        let place = self.places[tree as usize].get(path);
        let (volume, node) = place.ok_or_else(|| Fault::damaged(format!("\"{path}\" is no file")))?;
        self.volumes[*volume].1.read(*node, limit)
    }

    fn read_packages(&self, contents: &mut ImageContents) -> Result<(), ContentsError> {
        let failed = ContentsError::of(&self.path, Some("the list of packages"));
        let limit = packages::LARGEST;
        let found = packages::installed(&contents.files, |path| self.read(TreeName::Root, path, limit));
        let Installed { manager, packages, owners } = found.map_err(&failed)?;
        (contents.package_manager, contents.packages) = (manager, packages);
        for (path, owner) in owners {
            if let Some(entry) = contents.files.get_mut(&path) {
                entry.package = Some(owner);
            }
        }
        if contents.packages.is_empty() {
            let lists = contents.iso_files.iter().map(|(path, _)| path);
            let list = lists.filter_map(|path| Some((path.clone(), packages::list_beside(path)?))).next();
            if let Some((path, manager)) = list {
                let text = self.read(TreeName::Iso, &path, limit).map_err(&failed)?;
                contents.packages = packages::names_and_versions(&String::from_utf8_lossy(&text));
                contents.package_manager = Some(manager);
            }
        }
        Ok(())
    }
}
