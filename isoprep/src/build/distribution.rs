//! What the engines of distributions have in common: a packed root, the repository laid over it or baked into it, a disc.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use cartridge_supervise::CommandLine;
use cartridge_treehash::{TreeHash, hash_content};
use sha2::{Digest, Sha512};

use super::{BuildError, Stages};
use crate::cache::{Entry, atomic};
use crate::engine;
use crate::host::{Tools, release_of};
use crate::image::Image;
use crate::plan::{Key, KeyHasher};
use crate::progress::{Meter, Progress, Reporter};
use crate::recipe::BuildKind;
use crate::rootfs::{KeptRoot, Packing, RootTree, pack_command, packed_name};
use crate::stage::assemble::{Assembled, assemble};
use crate::stage::hashing::{self, Fingerprinter};
use crate::stage::inject::{self, Extra};
use crate::stage::layer::{self, Additions, Setting};
use crate::stage::loaders::{BootFiles, Disc, DiscNames};
use crate::stage::manifest::Manifest;
use crate::stage::{base, disc, iso};

/// What a checksum file of the root image is called in its entry.
const CHECKSUM: &str = "checksum";

/// The repository, looked at and hashed.
pub(super) struct Repository {
    pub(super) manifest: Manifest,
    pub(super) extras: Vec<Extra>,
    pub(super) files: u64,
    pub(super) tree: TreeHash,
    /// Whether nothing had to be read.
    pub(super) reused: bool,
}

/// A packed root file system: what the first stage of an engine leaves.
pub(super) struct RootImage {
    pub(super) entry: Entry,
    pub(super) key: Key,
    pub(super) packing: Packing,
    /// Whether the live system finds the repository in a layer; else it is baked in.
    pub(super) layered: bool,
    /// Small files that the engine adds to the repository's layer, unless the recipe has them.
    pub(super) settings: Vec<Setting>,
    pub(super) epoch: u64,
    /// The root itself, where this build has made it.
    pub(super) kept: Option<KeptRoot>,
}

/// The root image and the repository, as they go onto the disc.
pub(super) struct Laid {
    /// The name of the image.
    pub(super) name: &'static str,
    pub(super) image: PathBuf,
    /// What `sha512sum` would print of it.
    pub(super) checksum: String,
    /// The repository's layer, unless it is baked in.
    pub(super) layer: Option<PathBuf>,
    pub(super) keys: Vec<Key>,
}

/// An EFI system partition, if the disc has one.
#[derive(Clone, Debug)]
pub(super) struct Esp {
    entry: Option<Entry>,
    /// Whether it was there already.
    reused: bool,
}

/// What a disc is called and made from.
pub(super) struct Discs<'a> {
    pub(super) names: DiscNames,
    pub(super) esp_label: [u8; 11],
    /// What [`Stages::esp_ahead`] has made.
    pub(super) esp: Option<Esp>,
    pub(super) root: &'a RootImage,
    pub(super) laid: &'a Laid,
    pub(super) boot: &'a BootFiles,
}

impl Stages<'_> {
    /// The time of everything in the image, seconds since 1970. Asked for, it is that; a release build is of now; a dev
    /// build keeps the time of the first, so that what did not change need not be made again.
    pub(super) fn epoch(&self) -> Result<u64, BuildError> {
        if let Some(epoch) = self.request.epoch {
            return Ok(epoch);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
        if self.request.recipe.image.build == BuildKind::Release {
            return Ok(now);
        }
        let io = BuildError::write(engine::ASSEMBLE, &self.request.cache, 0);
        let name = blake3::hash(self.request.recipe.root.as_os_str().as_encoded_bytes()).to_hex();
        let file = match self.cache.room("index") {
            Ok(room) => room.join(format!("epoch-{}", name.as_str())),
            Err(e) => return Err(io(e)),
        };
        let known = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        if let Some(epoch) = known {
            return Ok(epoch);
        }
        atomic::write(&file, now.to_string().as_bytes()).map_err(io)?;
        Ok(now)
    }

    /// Looks at the repository.
    pub(super) fn repository(&self, reporter: &Reporter<'_>) -> Result<Repository, BuildError> {
        let Assembled { mut manifest, wanted, reused } = assemble(self.request, &self.cache, reporter)?;
        let in_cache = BuildError::io(reporter.stage, "open the index in", &self.request.cache);
        let mut prints = Fingerprinter::open(&self.cache, "files").map_err(in_cache)?;
        let extras = inject::extras(&self.request.recipe.source.into, wanted, &mut manifest, &mut prints, reporter)?;
        // Losing it costs a moment next time, no more.
        if let Err(e) = prints.save() {
            reporter.line(format!("warning: the cache cannot remember what was read: {e}"));
        }
        let (files, tree) = manifest.summary();
        Ok(Repository { manifest, extras, files, tree, reused })
    }

    /// Packs the repository's layer, and, for an image without layers, bakes it into the root.
    pub(super) fn lay(&self, tools: &Tools, root: &RootImage, repository: &Repository) -> Result<Laid, BuildError> {
        let recipe = &self.request.recipe;
        let reports = recipe.image.build == BuildKind::Dev;
        let mut key = KeyHasher::new(engine::INJECT).bytes(b"layer").hash(&root.key.0).bytes(recipe.name.as_bytes());
        key = key.path(&recipe.source.into).hash(&repository.tree).number(root.epoch).number(reports.into());
        for extra in &repository.extras {
            key = key.path(&extra.to).number(u64::from(extra.mode)).hash(&extra.content);
        }
        for (name, value) in &recipe.image.env {
            key = key.bytes(name.as_bytes()).bytes(value.as_bytes());
        }
        for (path, mode, bytes) in &root.settings {
            key = key.path(path).number(u64::from(*mode)).bytes(bytes);
        }
        if reports && let Ok((hash, _)) = hash_content(self.request.init) {
            key = key.hash(&hash);
        }
        let layer_key = key.finish();
        let made = self.keyed(engine::INJECT, layer_key, |reporter| {
            let entry = root.entry.file("");
            let folders =
                base::folders(&root.entry).map_err(BuildError::io(reporter.stage, "read the folders of", &entry))?;
            let what = Additions {
                extras: &repository.extras,
                reporter: reports.then_some(self.request.init),
                folders: &folders,
                settings: &root.settings,
                epoch: root.epoch,
            };
            layer::layer(recipe, &repository.manifest, &what, (&self.cache, layer_key), reporter)
        })?;
        let layer = made.file(layer::LAYER);
        let mut key = KeyHasher::new(engine::SQUASH).hash(&root.key.0).bytes(format!("{:?}", root.packing).as_bytes());
        if !root.layered {
            key = key.hash(&layer_key.0);
        }
        let key = key.finish();
        let squashed = self.keyed(engine::SQUASH, key, |reporter| self.squash(tools, root, &layer, key, reporter))?;
        let as_it_is = root.layered && root.packing == Packing::Quick;
        let name = packed_name(&root.packing);
        let image = if as_it_is { root.entry.file(base::ROOT) } else { squashed.file(name) };
        let sum = fs::read_to_string(squashed.file(CHECKSUM)).map_err(BuildError::io(
            engine::SQUASH,
            "read",
            &squashed.file(CHECKSUM),
        ))?;
        Ok(Laid {
            name,
            image,
            checksum: format!("{sum}  {name}\n"),
            layer: root.layered.then_some(layer),
            keys: vec![root.key, layer_key, key],
        })
    }

    /// Packs the root as the image wants it, and sums it up. A root that is packed already is only summed.
    fn squash(
        &self,
        tools: &Tools,
        root: &RootImage,
        layer: &std::path::Path,
        key: Key,
        reporter: &Reporter<'_>,
    ) -> Result<Entry, BuildError> {
        let stage = reporter.stage;
        let packed = root.entry.file(base::ROOT);
        let size = atomic::size(&packed).map_err(BuildError::io(stage, "read", &packed))?;
        let draft = self.cache.draft(stage, key).map_err(BuildError::write(stage, &self.request.cache, size))?;
        let mut gone = None;
        let image = if root.layered && root.packing == Packing::Quick {
            packed
        } else {
            let target = draft.file(packed_name(&root.packing));
            let mut tree = match &root.kept {
                Some(kept) => kept.tree(root.epoch, reporter),
                None => RootTree::create(&self.request.work, root.epoch, reporter)?,
            };
            let kept = KeptRoot::new(&tree);
            tree.also_shown(&packed);
            tree.also_shown(layer);
            tree.also_writable(&draft.file(""));
            repack(tools, root, &mut tree, (&packed, layer), &target, reporter)?;
            gone = Some(kept);
            target
        };
        let file = hashing::open_part(&image).map_err(BuildError::io(stage, "read", &image))?;
        let meter = Meter::new(reporter, atomic::size(&image).unwrap_or(0));
        let summed = std::thread::scope(|scope| {
            // The root is taken away by another process, and the sum is made by one thread.
            scope.spawn(|| drop(gone));
            sum(meter.watch(file))
        });
        reporter.go_on()?;
        let sum = summed.map_err(BuildError::io(stage, "read", &image))?;
        let place = draft.file(CHECKSUM);
        atomic::write_new(&place, sum.as_bytes()).map_err(BuildError::write(stage, &place, 128))?;
        draft.commit().map_err(BuildError::write(stage, &self.request.cache, size))
    }

    /// Makes the EFI system partition of a disc, beside another stage: what is told of is not how far it is.
    pub(super) fn esp_ahead(&self, layout: &Disc, label: [u8; 11]) -> Result<Esp, BuildError> {
        let tell = |news: Progress| {
            if !matches!(news, Progress::Advanced { .. }) {
                (self.progress)(news);
            }
        };
        self.esp(layout, label, &Reporter::new(engine::BOOTLOADER, self.cancel, &tell))
    }

    /// Makes the EFI system partition of a disc, unless it is there.
    fn esp(&self, layout: &Disc, label: [u8; 11], reporter: &Reporter<'_>) -> Result<Esp, BuildError> {
        if layout.efi.is_empty() {
            return Ok(Esp { entry: None, reused: true });
        }
        let described = self.described_efi(layout, reporter)?;
        let key = KeyHasher::new(reporter.stage).bytes(b"esp").bytes(&label).bytes(&described).finish();
        if let Some(entry) = self.cache.find(engine::ESP, key) {
            return Ok(Esp { entry: Some(entry), reused: true });
        }
        let entry = disc::esp(layout, label, (&self.cache, key), reporter)?;
        Ok(Esp { entry: Some(entry), reused: false })
    }

    /// Makes the boot loaders' part and writes the disc.
    pub(super) fn disc(
        &self,
        tools: &Tools,
        layout: &Disc,
        what: &Discs<'_>,
        repository: &Repository,
    ) -> Result<Image, BuildError> {
        let target = self.target()?;
        let (description, contents) = self.described(layout)?;
        let mut key = KeyHasher::new(engine::BOOTLOADER).hash(&what.root.key.0).bytes(&what.esp_label);
        key = key.bytes(&description);
        let key = key.finish();
        let (made, esp) = self.timed(engine::BOOTLOADER, |reporter| {
            let ahead = what.esp.clone().map(Ok);
            let esp = ahead.unwrap_or_else(|| self.esp(layout, what.esp_label, reporter))?;
            if let Some(made) = self.cache.find(reporter.stage, key) {
                return Ok((esp.reused, (made, esp.entry)));
            }
            for warning in &layout.warnings {
                reporter.line(format!("warning: {warning}"));
            }
            Ok((false, (disc::made(layout, (&self.cache, key), reporter)?, esp.entry)))
        })?;
        let esp = esp.map(|it| it.file(disc::ESP));
        let names = &what.names;
        let mut iso_key = KeyHasher::new(engine::ISO).hash(&key.0).number(names.epoch);
        for word in [&names.label, &names.publisher, &names.application] {
            iso_key = iso_key.bytes(word.as_bytes());
        }
        for key in &what.laid.keys {
            iso_key = iso_key.hash(&key.0);
        }
        for content in &contents {
            iso_key = iso_key.hash(content);
        }
        let iso_key = iso_key.finish();
        let reused = self.timed(engine::ISO, |reporter| {
            if iso::is_current(&self.cache, &target, iso_key) {
                return Ok((true, true));
            }
            let xorriso = tools.program("xorriso").map_err(|what| BuildError::missing(reporter.stage, what))?;
            let places = disc::places(layout, &made);
            let mut needed = 0;
            for (_, file) in &places {
                needed += atomic::size(file).map_err(BuildError::io(reporter.stage, "read", file))?;
            }
            needed += esp.as_ref().and_then(|it| atomic::size(it).ok()).unwrap_or(0);
            let line = |out: &std::path::Path| disc::command(xorriso, layout, names, &places, esp.as_deref(), out);
            iso::put(&line, needed, &|| Ok(()), &target, (&self.cache, iso_key), reporter)?;
            Ok((false, false))
        })?;
        self.keep_source(&repository.manifest, &target);
        let kernel = what.boot.iter().find(|(path, _)| path.starts_with("boot/vmlinuz"));
        let kernel = kernel.map(|(_, file)| file.clone()).unwrap_or_default();
        let initrds = what.boot.iter().filter(|(path, _)| {
            let name = path.strip_prefix("boot/").unwrap_or("");
            name.starts_with("init") && !name.contains("fallback")
        });
        Ok(Image {
            bytes: atomic::size(&target).map_err(BuildError::io(engine::ISO, "read", &target))?,
            iso: target,
            kernel_version: release_of(&kernel).unwrap_or_default(),
            kernel,
            initrds: initrds.map(|(_, file)| file.clone()).collect(),
            cmdline: self.request.recipe.image.cmdline.clone(),
            files: repository.files,
            tree_hash: repository.tree.to_string(),
            reused,
        })
    }
}

/// The SHA-512 of a stream, as hex digits.
fn sum(mut content: impl Read) -> std::io::Result<String> {
    let (mut hasher, mut chunk) = (Sha512::new(), vec![0; 1 << 20]);
    loop {
        match content.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => hasher.update(&chunk[..read]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Unpacks the root, unless it is there, lays the repository over it, and packs it again.
fn repack(
    tools: &Tools,
    root: &RootImage,
    tree: &mut RootTree<'_>,
    (packed, layer): (&std::path::Path, &std::path::Path),
    target: &std::path::Path,
    reporter: &Reporter<'_>,
) -> Result<(), BuildError> {
    let stage = reporter.stage;
    let missing = |what| BuildError::missing(stage, what);
    let unsquash = tools.program("unsquashfs").map_err(missing)?;
    let packed = Some(packed).filter(|_| root.kept.is_none());
    let layer = Some(layer).filter(|_| !root.layered);
    for image in packed.into_iter().chain(layer) {
        let line = CommandLine::new(unsquash).args(["-no-progress", "-force", "-dest"]).arg(tree.path()).arg(image);
        tree.run(line, tree.isolation())?;
    }
    match &root.packing {
        Packing::Profile { kind: crate::profile::ImageType::Ext4Squashfs, options } => {
            let (mkfs, squash) =
                (tools.program("mkfs.ext4").map_err(missing)?, tools.program("mksquashfs").map_err(missing)?);
            // The name that the hook of mkinitcpio-archiso looks for in the squashfs.
            let inner = target.with_file_name("airootfs.img");
            tree.script("clamp", &crate::rootfs::clamp_times(tree.path(), root.epoch))?;
            tree.run(crate::rootfs::ext4_command(mkfs, tree.path(), &inner, root.epoch), tree.isolation())?;
            tree.script("times", &crate::rootfs::ext4_times(&inner, root.epoch))?;
            let packing = Packing::Profile { kind: crate::profile::ImageType::Squashfs, options: options.clone() };
            let packed = tree.run(pack_command(squash, &packing, &inner, target, root.epoch), tree.isolation());
            fs::remove_file(&inner).map_err(BuildError::io(stage, "remove", &inner))?;
            packed.map(drop)
        }
        Packing::Profile { kind: crate::profile::ImageType::Erofs, .. } => {
            let tool = tools.program("mkfs.erofs").map_err(missing)?;
            tree.run(pack_command(tool, &root.packing, tree.path(), target, root.epoch), tree.isolation()).map(drop)
        }
        Packing::Profile { kind: crate::profile::ImageType::Unknown(word), .. } => Err(BuildError::Refused {
            stage,
            what: format!("airootfs_image_type is {word:?}, which archiso does not know"),
            advice: "Use squashfs, erofs or ext4+squashfs in profiledef.sh.".to_owned(),
        }),
        packing => {
            let tool = tools.program("mksquashfs").map_err(missing)?;
            tree.run(pack_command(tool, packing, tree.path(), target, root.epoch), tree.isolation()).map(drop)
        }
    }
}
