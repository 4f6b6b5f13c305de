//! An archiso profile becomes an image: made ready, its packages installed, the repository laid over, a disc written.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use cartridge_supervise::IdMap;
use cartridge_treehash::{TreeHash, hash_tree};

use super::distribution::{Discs, RootImage};
use super::ready::Ready;
use super::{BuildError, BuildWarning, Stages};
use crate::cache::atomic;
use crate::engine;
use crate::host::Tools;
use crate::image::Image;
use crate::lint::{self, Severity};
use crate::plan::{Key, KeyHasher};
use crate::profile::{BootModeKind, Profile};
use crate::progress::Reporter;
use crate::recipe::BuildKind;
use crate::rootfs::Packing;
use crate::stage::loaders::{self, DiscNames, archiso, boot_files, carries_microcode, grub};
use crate::stage::packages::{self, Ingredients, pacman};
use crate::stage::{base, hashing};

/// Configurations of boot loaders are small; a larger file is none.
const LARGEST_CONFIGURATION: u64 = 1 << 20;

impl Stages<'_> {
    /// The native engine.
    pub(super) fn archiso(&self, tools: &Tools) -> Result<Image, BuildError> {
        let recipe = &self.request.recipe;
        let release = recipe.image.build == BuildKind::Release;
        let epoch = self.epoch()?;
        let (mut ready, repository) = self.timed(engine::ASSEMBLE, |reporter| {
            let repository = self.repository(reporter)?;
            let ready = self.profile(tools, epoch, reporter)?;
            Ok((repository.reused, (ready, repository)))
        })?;
        self.lint(&mut ready)?;
        let definition = &ready.profile.definition;
        // What the live system of a dev build is told needs a place in its initramfs.
        let layered = !release && has_place_for_hook(&ready.profile)?;
        if let IdMap::Single { why } = IdMap::of_this_user() {
            let warning = BuildWarning::Owners { why };
            Reporter::new(engine::PACKAGES, self.cancel, self.progress).line(format!("warning: {warning}"));
        }
        let key = self.packages_key(&ready, layered, epoch)?;
        let grub = self.grub(tools, &ready.profile, epoch)?;
        let mut kept = None;
        let install = |reporter: &Reporter<'_>| {
            let fetched = self.cache.packages().map_err(BuildError::write(reporter.stage, &self.request.cache, 0))?;
            let databases = packages::databases_room(&self.cache, &ready.expanded);
            let databases = databases.map_err(BuildError::write(reporter.stage, &self.request.cache, 0))?;
            let what = Ingredients {
                profile: &ready.profile,
                modes: &ready.modes,
                tools,
                expanded: &ready.expanded,
                layered,
                epoch,
                work: &self.request.work,
                fetched: &fetched,
                databases: &databases,
                lenient: self.request.build_anyway,
            };
            let (entry, root) = packages::packages(&what, (&self.cache, key), reporter)?;
            // An image without layers is packed from it; any other has no use for it.
            kept = Some(root).filter(|_| !layered);
            Ok(entry)
        };
        // pacman uses one processor at a time: GRUB is made beside it.
        let (entry, grub) = std::thread::scope(|scope| {
            let grub = scope.spawn(|| self.make_grub(&grub, epoch));
            let entry = self.keyed(engine::PACKAGES, key, install);
            (entry, grub.join())
        });
        let (entry, grub) = (entry?, grub.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        let packing = if release {
            let (kind, options) = (definition.image_type.clone(), definition.image_tool_options.clone());
            Packing::Profile { kind, options }
        } else {
            Packing::Quick
        };
        let mut root = RootImage { entry, key, packing, layered, settings: Vec::new(), epoch, kept };
        let boot = boot_files(&root.entry.file(base::BOOT)).map_err(BuildError::io(
            engine::BOOTLOADER,
            "read",
            &root.entry.file(base::BOOT),
        ))?;
        let texts = Texts::read(&ready.profile.dir)?;
        let source = archiso::Source {
            definition,
            configurations: &texts.configurations,
            others: &texts.others,
            boot: &boot,
            grub: &grub,
            package_list: root.entry.file(base::PACKAGE_LIST),
            microcode_inside: microcode_is_inside(&boot)?,
            words: &recipe.image.cmdline,
            for_a_guest: !release,
            epoch,
        };
        // What UEFI starts does not depend on the root as it is packed, and is written beside that.
        let esp_label = *b"ARCHISO_EFI";
        let (laid, disc) = std::thread::scope(|scope| {
            let disc = scope.spawn(|| {
                let disc = archiso::disc(&source);
                self.esp_ahead(&disc, esp_label).map(|esp| (disc, esp))
            });
            (self.lay(tools, &root, &repository), disc.join())
        });
        let (laid, disc) = (laid?, disc.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        root.kept = None;
        let (mut disc, esp) = disc?;
        let image = (laid.name, laid.image.as_path(), laid.checksum.as_str());
        archiso::add_root(&mut disc, definition, image, laid.layer.as_deref());
        let names = DiscNames {
            label: definition.iso_label.clone(),
            publisher: definition.iso_publisher.clone(),
            application: definition.iso_application.clone(),
            epoch,
        };
        let discs = Discs { names, esp_label, esp: Some(esp), root: &root, laid: &laid, boot: &boot };
        self.disc(tools, &disc, &discs, &repository)
    }

    /// Says what would fail late or silently, and stops where it would fail, unless the user wants to see that.
    pub(super) fn lint(&self, ready: &mut Ready) -> Result<(), BuildError> {
        self.timed(engine::LINT, |reporter| {
            let findings = self.findings(ready)?;
            for line in lint::render_text(&findings, false).lines() {
                reporter.line(line);
            }
            super::secrets::warn(&super::secrets::places(&findings), reporter);
            let bad = findings.iter().any(|finding| finding.severity == Severity::Error);
            if bad && !self.request.build_anyway {
                return Err(BuildError::Lint { stage: reporter.stage, findings });
            }
            ready.unusable.take().map_or(Ok((false, ())), Err)
        })
    }

    /// Everything that the packed root depends on.
    fn packages_key(&self, ready: &Ready, layered: bool, epoch: u64) -> Result<Key, BuildError> {
        let stage = engine::PACKAGES;
        let definition = &ready.profile.definition;
        let airootfs = ready.profile.dir.join("airootfs");
        let tree = match hash_tree(&airootfs) {
            Ok(summary) => summary.hash,
            Err(_) if !airootfs.exists() => TreeHash([0; 32]),
            Err(e) => return Err(BuildError::io(stage, "read", &airootfs)(std::io::Error::other(e.to_string()))),
        };
        let mut key = KeyHasher::new(stage).hash(&tree).bytes(ready.expanded.as_bytes()).number(epoch);
        key = key.number(layered.into()).bytes(definition.iso_name.as_bytes()).bytes(definition.iso_version.as_bytes());
        key = key.bytes(definition.arch.as_bytes());
        for (path, mode) in &ready.modes {
            key = key.path(path).number(u64::from(*mode));
        }
        for (path, it) in &definition.file_permissions {
            key = key.bytes(path.as_bytes()).number(it.uid.into()).number(it.gid.into()).number(it.mode.into());
        }
        for package in packages::listed(&ready.profile) {
            key = key.bytes(package.as_bytes());
        }
        // Where there is no other user, every file is root's: not the image of a machine that knows more of them.
        key = key.number(matches!(IdMap::of_this_user(), IdMap::Single { .. }).into());
        let key = pacman::with_local_databases(key, &ready.expanded);
        let (strict, lenient) = (key.clone().finish(), key.bytes(b"anyway").finish());
        // What a build made although something failed is never taken for a good one; a good one does for both.
        let anyway = self.request.build_anyway && self.cache.find(stage, strict).is_none();
        Ok(if anyway { lenient } else { strict })
    }

    /// How GRUB is made, where the profile starts with it.
    fn grub(&self, tools: &Tools, profile: &Profile, epoch: u64) -> Result<Option<GrubPlan>, BuildError> {
        let stage = engine::BOOTLOADER;
        if !archiso::modes(&profile.definition).contains(&BootModeKind::UefiGrub) {
            return Ok(None);
        }
        let program = tools.program("grub-mkstandalone").map_err(|what| BuildError::missing(stage, what))?;
        let targets: Vec<_> = grub::TARGETS.into_iter().filter(|it| grub::module_folder(*it).is_dir()).collect();
        if !targets.contains(&grub::TARGETS[0]) {
            let what = format!(
                "{} is missing: install grub-efi-amd64-bin (Debian, Ubuntu) or grub",
                grub::module_folder(grub::TARGETS[0]).display()
            );
            return Err(BuildError::missing(stage, what));
        }
        if targets.len() < grub::TARGETS.len() {
            let reporter = Reporter::new(stage, self.cancel, self.progress);
            reporter.line("warning: this host has no GRUB for 32-bit firmware (grub-efi-ia32-bin): the image does not start there");
        }
        let embedded = grub::embedded(&archiso::search_file(epoch));
        Ok(Some(GrubPlan { program: program.to_path_buf(), targets, embedded }))
    }

    /// Makes GRUB by the host's program, once for a date.
    fn make_grub(&self, plan: &Option<GrubPlan>, epoch: u64) -> Result<BTreeMap<String, PathBuf>, BuildError> {
        let stage = engine::BOOTLOADER;
        let Some(GrubPlan { program, targets, embedded: text }) = plan else { return Ok(BTreeMap::new()) };
        let mut key = KeyHasher::new(stage).bytes(b"grub").bytes(text.as_bytes());
        for target in targets {
            // The modules change with the host's package alone.
            let looks = fs::metadata(grub::module_folder(*target).join("normal.mod"));
            let modified =
                looks.and_then(|it| it.modified()).ok().and_then(|it| it.duration_since(std::time::UNIX_EPOCH).ok());
            key = key.bytes(target.file.as_bytes()).number(modified.map_or(0, |it| it.as_secs()));
        }
        let key = key.finish();
        let entry = match self.cache.find(engine::GRUB, key) {
            Some(entry) => entry,
            None => {
                let in_cache = || BuildError::write(stage, &self.request.cache, 16 << 20);
                let draft = self.cache.draft(engine::GRUB, key).map_err(in_cache())?;
                let embedded = self.request.work.join("grub-embedded.cfg");
                atomic::write_new(&embedded, text.as_bytes()).map_err(BuildError::write(stage, &embedded, 0))?;
                let reporter = Reporter::new(stage, self.cancel, self.progress);
                for target in targets {
                    let line = grub::command(program, *target, &embedded, &draft.file(target.file));
                    let line = line.env("SOURCE_DATE_EPOCH", epoch.to_string()).env("LC_ALL", "C.UTF-8");
                    crate::rootfs::run_in_lines(&line, &reporter).map_err(BuildError::tool(stage))?;
                }
                draft.commit().map_err(in_cache())?
            }
        };
        Ok(targets.iter().map(|target| (target.file.to_owned(), entry.file(target.file))).collect())
    }
}

/// How GRUB is made for an image.
struct GrubPlan {
    program: PathBuf,
    targets: Vec<grub::EfiTarget>,
    /// The configuration inside it.
    embedded: String,
}

/// Whether our hook would find its place in a mkinitcpio configuration of the profile.
fn has_place_for_hook(profile: &Profile) -> Result<bool, BuildError> {
    for config in &profile.initcpio_configs {
        let file = profile.dir.join(&config.file);
        let text = fs::read_to_string(&file).map_err(BuildError::io(engine::ASSEMBLE, "read", &file))?;
        if packages::layer_hook::with_hook(&text).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether every initramfs has microcode in it; without one there is nothing to have it.
fn microcode_is_inside(boot: &loaders::BootFiles) -> Result<bool, BuildError> {
    /// Microcode of all processors is a few MiB, and it comes first.
    const FIRST: u64 = 64 << 20;
    let images = boot.iter().filter(|(path, _)| path.starts_with("boot/initramfs-") && path.ends_with(".img"));
    for (_, file) in images {
        let mut head = Vec::new();
        let read = fs::File::open(file).and_then(|it| it.take(FIRST).read_to_end(&mut head));
        read.map_err(BuildError::io(engine::BOOTLOADER, "read", file))?;
        if !carries_microcode(&head) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What of an assembled profile lands on the disc.
struct Texts {
    configurations: BTreeMap<String, Vec<u8>>,
    others: BTreeMap<String, PathBuf>,
}

impl Texts {
    fn read(profile: &Path) -> Result<Self, BuildError> {
        let mut texts = Self { configurations: BTreeMap::new(), others: BTreeMap::new() };
        for folder in ["syslinux", "grub", "efiboot"] {
            let dir = profile.join(folder);
            for (name, file) in boot_files(&dir).map_err(BuildError::io(engine::BOOTLOADER, "read", &dir))? {
                let path = format!("{folder}/{name}");
                let small = fs::metadata(&file).is_ok_and(|meta| meta.len() <= LARGEST_CONFIGURATION);
                let is_text = (name.ends_with(".cfg") || name.ends_with(".conf")) && small;
                if is_text {
                    let open = hashing::open_part(&file).map(|it| it.take(LARGEST_CONFIGURATION));
                    let mut bytes = Vec::new();
                    let read = open.and_then(|mut it| it.read_to_end(&mut bytes));
                    read.map_err(BuildError::io(engine::BOOTLOADER, "read", &file))?;
                    texts.configurations.insert(path, bytes);
                } else {
                    texts.others.insert(path, file);
                }
            }
        }
        Ok(texts)
    }
}
