//! Builds an image: runs the engine's stages in order, each only if its result is not there already.

mod archiso;
mod complete;
mod described;
mod distribution;
mod error;
mod examine;
mod live;
mod mkarchiso;
mod plugged;
mod ready;
mod secrets;
mod warning;

use std::path::{Path, PathBuf};
use std::time::Instant;

use cartridge_treehash::hash_content;

pub use error::BuildError;
pub(crate) use error::{NAMED, mebibytes, room_for};
pub use examine::{Examination, examine};
pub use plugged::{RepositoryLayer, repository_layer};
pub use secrets::secrets;
pub use warning::BuildWarning;

use crate::Cancel;
use crate::cache::{Cache, Entry, atomic};
use crate::engine;
use crate::host::{Host, HostParts};
use crate::image::Image;
use crate::plan::{self, Fingerprints, Key, Planned};
use crate::progress::{Meter, Progress, Reporter, StageName};
use crate::recipe::{EngineKind, Recipe};
use crate::source::SourceTree;
use crate::stage::assemble::{Assembled, assemble};
use crate::stage::bootloader::{self, Payload};
use crate::stage::hashing::Fingerprinter;
use crate::stage::initramfs::Modules;
use crate::stage::manifest::Manifest;
use crate::stage::{initramfs, inject, iso};

/// Everything that a build needs.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// What to build.
    pub recipe: Recipe,
    /// What the host contributes.
    pub host: Host,
    /// The static init for the initramfs: an ELF program.
    pub init: &'static [u8],
    /// Where results are kept between builds; created when missing.
    pub cache: PathBuf,
    /// This session's work directory.
    pub work: PathBuf,
    /// Where `<name>.iso` goes; created when missing.
    pub images: PathBuf,
    /// The memory that the guest will really get, MiB, where it is known: less than the recipe's on a small machine.
    pub guest_memory_mib: Option<u64>,
    /// The time of everything in the image, seconds since 1970, if it was asked for (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<u64>,
    /// Whether to build although lint says that it will fail.
    pub build_anyway: bool,
    /// The text of `cartridge.toml`, where it has changes that are not in its file: for the lines of findings.
    pub cartridge: Option<String>,
    /// More directories of ours: should they lie inside the repository, they are never injected.
    pub apart: Vec<PathBuf>,
}

/// Builds the image. Blocks; `progress` is called from several threads and must be quick.
///
/// # Errors
/// [`BuildError`]. The previous image and the cache are intact after each of them; after
/// [`BuildError::Cancelled`], which comes within two seconds of `cancel`, nothing is left running.
pub fn build(
    request: &BuildRequest,
    cancel: &Cancel,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Image, BuildError> {
    progress(Progress::Planned { stages: engine::stages(request.recipe.image.engine).to_vec() });
    let first = engine::ASSEMBLE;
    let images = &request.images;
    std::fs::create_dir_all(images).map_err(BuildError::io(first, "create", images))?;
    let cache = Cache::open(&request.cache).map_err(BuildError::write(first, &request.cache, 0))?;
    let stages = Stages { request, cancel, progress, cache };
    let image = match (&request.host, request.recipe.image.engine) {
        (Host::Micro(parts), EngineKind::Micro) => stages.micro(parts)?,
        (Host::Distribution(tools), EngineKind::Archiso) => stages.archiso(tools)?,
        (Host::Distribution(tools), EngineKind::Mkarchiso) => stages.mkarchiso(tools)?,
        (Host::Distribution(tools), EngineKind::Debian) => stages.debian(tools)?,
        (Host::Distribution(tools), EngineKind::Tree) => stages.tree(tools)?,
        _ => {
            return Err(BuildError::missing(
                first,
                "what was looked for on this host is for another engine".to_owned(),
            ));
        }
    };
    stages.cache.prune(&engine::ALL);
    Ok(image)
}

struct Stages<'a> {
    request: &'a BuildRequest,
    cancel: &'a Cancel,
    progress: &'a (dyn Fn(Progress) + Sync),
    cache: Cache,
}

impl Stages<'_> {
    /// Kernel, busybox and the repository in an initramfs.
    fn micro(&self, parts: &HostParts) -> Result<Image, BuildError> {
        let recipe = &self.request.recipe;
        let target = self.target()?;
        let read =
            self.timed(engine::ASSEMBLE, |reporter| self.read(parts, reporter).map(|read| (read.reused, read)))?;
        let (files, tree) = read.manifest.summary();
        let planned = plan::plan(recipe, &read.fingerprints, &tree, &read.extras);
        let key = |stage: StageName| planned.iter().find(|it| it.stage == stage).map_or(NO_KEY, |it| it.key);

        let base = self.cached(engine::INITRAMFS, &planned, |key, reporter| {
            initramfs::initramfs((self.request, parts), (&read.modules, &read.prints), (&self.cache, key), reporter)
        })?;
        let base = base.file(initramfs::ARCHIVE);
        let repository = self.cached(engine::INJECT, &planned, |key, reporter| {
            inject::inject(recipe, &read.manifest, &read.extras, (&self.cache, key), reporter)
        })?;
        let repository = repository.file(inject::ARCHIVE);
        let cmdline = plan::cmdline(recipe);
        let payload = Payload { title: &recipe.name, cmdline: &cmdline, base: &base, inject: &repository };
        let loader = self.cached(engine::BOOTLOADER, &planned, |key, reporter| {
            bootloader::bootloader((parts, &read.prints), &payload, (&self.cache, key), reporter)
        })?;
        let reused = self.timed(engine::ISO, |reporter| {
            let key = key(engine::ISO);
            if iso::is_current(&self.cache, &target, key) {
                return Ok((true, true));
            }
            let (esp, cfg) = (loader.file(bootloader::ESP), loader.file(bootloader::ISOLINUX));
            let contents = iso::Contents { parts, base: &base, inject: &repository, esp: &esp, isolinux_cfg: &cfg };
            iso::iso((&contents, &read.prints), &target, (&self.cache, key), reporter).map(|()| (false, false))
        })?;
        self.keep_source(&read.manifest, &target);
        Ok(Image {
            bytes: atomic::size(&target).map_err(BuildError::io(engine::ISO, "read", &target))?,
            iso: target,
            kernel: parts.kernel.image.clone(),
            initrds: vec![base, repository],
            cmdline,
            kernel_version: parts.kernel.version.clone(),
            files,
            tree_hash: tree.to_string(),
            reused,
        })
    }

    /// Looks at everything that goes into the image.
    fn read(&self, parts: &HostParts, reporter: &Reporter<'_>) -> Result<Read, BuildError> {
        let Assembled { mut manifest, wanted, reused } = assemble(self.request, &self.cache, reporter)?;
        let in_cache = BuildError::io(reporter.stage, "open the index in", &self.request.cache);
        let mut prints = Fingerprinter::open(&self.cache, "parts").map_err(in_cache)?;
        let extras = inject::extras(&self.request.recipe.source.into, wanted, &mut manifest, &mut prints, reporter)?;
        let modules = initramfs::modules(&parts.kernel, &mut prints, reporter)?;
        let fingerprints = self.fingerprints(parts, (&modules, &mut prints), reporter)?;
        let (_, tree) = manifest.summary();
        self.look_for_secrets((&tree, &extras), reporter)?;
        // Losing it costs a second next time, no more.
        if let Err(e) = prints.save() {
            reporter.line(format!("warning: the cache cannot remember what was read: {e}"));
        }
        Ok(Read { manifest, extras, modules, prints, fingerprints, reused })
    }

    fn fingerprints(
        &self,
        parts: &HostParts,
        (modules, prints): (&Modules, &mut Fingerprinter),
        reporter: &Reporter<'_>,
    ) -> Result<Fingerprints, BuildError> {
        let total = |path: &PathBuf| atomic::size(path).unwrap_or(0);
        let meter = Meter::new(reporter, total(&parts.kernel.image) + total(&parts.busybox));
        let mut of = |path: &PathBuf| {
            let read = prints.of(path, &meter);
            reporter.go_on()?;
            read.map(|it| it.0).map_err(BuildError::io(reporter.stage, "read", path))
        };
        let none = NO_KEY.0;
        Ok(Fingerprints {
            kernel: of(&parts.kernel.image)?,
            kernel_version: parts.kernel.version.clone(),
            modules: modules.hash.unwrap_or(none),
            init: hash_content(self.request.init).map_or(none, |it| it.0),
            busybox: of(&parts.busybox)?,
            bios: [of(&parts.isolinux)?, of(&parts.ldlinux)?, of(&parts.isohdpfx)?],
            systemd_boot: of(&parts.systemd_boot)?,
        })
    }

    /// Leaves beside the image what of the repository is in it. Without it nobody can say later what has changed since.
    fn keep_source(&self, manifest: &Manifest, iso: &Path) {
        if let Err(e) = SourceTree::of(manifest).keep(iso) {
            let reporter = Reporter::new(engine::ISO, self.cancel, self.progress);
            reporter.line(format!("warning: what is in the image is not remembered for the next look: {e}"));
        }
    }

    fn target(&self) -> Result<PathBuf, BuildError> {
        let name = &self.request.recipe.name;
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) || name.len() > 200 {
            return Err(BuildError::Refused {
                stage: engine::ASSEMBLE,
                what: format!("the name {name:?} cannot be a file's name"),
                advice: "Choose a name without \"/\" that does not begin with a dot.".to_owned(),
            });
        }
        Ok(self.request.images.join(format!("{name}.iso")))
    }

    /// Runs a stage unless its result is in the cache.
    fn cached(
        &self,
        stage: StageName,
        planned: &[Planned],
        make: impl FnOnce(Key, &Reporter<'_>) -> Result<Entry, BuildError>,
    ) -> Result<Entry, BuildError> {
        let key = planned.iter().find(|it| it.stage == stage).map_or(NO_KEY, |it| it.key);
        self.keyed(stage, key, |reporter| make(key, reporter))
    }

    /// As [`cached`](Self::cached), for a stage whose key is known.
    fn keyed(
        &self,
        stage: StageName,
        key: Key,
        make: impl FnOnce(&Reporter<'_>) -> Result<Entry, BuildError>,
    ) -> Result<Entry, BuildError> {
        self.timed(stage, |reporter| match self.cache.find(stage, key) {
            Some(entry) => Ok((true, entry)),
            None => make(reporter).map(|entry| (false, entry)),
        })
    }

    /// Tells that a stage begins and ends. `work` returns whether its result was there already, and the result.
    fn timed<T>(
        &self,
        stage: StageName,
        work: impl FnOnce(&Reporter<'_>) -> Result<(bool, T), BuildError>,
    ) -> Result<T, BuildError> {
        let reporter = Reporter::new(stage, self.cancel, self.progress);
        reporter.go_on()?;
        (self.progress)(Progress::Started { stage });
        let started = Instant::now();
        let (reused, result) = work(&reporter)?;
        (self.progress)(Progress::Finished { stage, reused, took: started.elapsed() });
        Ok(result)
    }
}

/// What `assemble` leaves for the stages after it.
struct Read {
    manifest: Manifest,
    extras: Vec<inject::Extra>,
    modules: Modules,
    prints: Fingerprinter,
    fingerprints: Fingerprints,
    reused: bool,
}

/// Stands for "nothing": no modules, or a stage that the plan does not have.
const NO_KEY: Key = Key(cartridge_treehash::TreeHash([0; 32]));
