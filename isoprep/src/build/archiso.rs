//! An archiso profile becomes an image: assembled, read, its packages installed, the repository laid over, a disc written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cartridge_treehash::{TreeHash, hash_content, hash_tree};

use super::distribution::{Discs, RootImage};
use super::{BuildError, Stages};
use crate::assembly::{self, Assembly};
use crate::engine;
use crate::host::Tools;
use crate::image::Image;
use crate::lint::{self, Severity};
use crate::plan::{Key, KeyHasher};
use crate::profile::{self, BootModeKind, Profile};
use crate::progress::Reporter;
use crate::recipe::{Base, BuildKind};
use crate::rootfs::Packing;
use crate::stage::base;
use crate::stage::loaders::{self, DiscNames, archiso, boot_files, carries_microcode, grub};
use crate::stage::packages::{self, Ingredients, pacman};

/// Configurations of boot loaders are small; a larger file is none.
const LARGEST_CONFIGURATION: u64 = 1 << 20;

/// A profile, ready to be built.
pub(super) struct Ready {
    pub(super) profile: Profile,
    pub(super) assembly: Assembly,
    pub(super) modes: BTreeMap<PathBuf, u32>,
    /// What `pacman-conf` printed of its configuration.
    pub(super) expanded: String,
}

impl Stages<'_> {
    /// The native engine.
    pub(super) fn archiso(&self, tools: &Tools) -> Result<Image, BuildError> {
        let recipe = &self.request.recipe;
        let release = recipe.image.build == BuildKind::Release;
        let epoch = self.epoch()?;
        let (ready, repository) = self.timed(engine::ASSEMBLE, |reporter| {
            let repository = self.repository(reporter)?;
            let ready = self.profile(tools, epoch, reporter)?;
            Ok((repository.reused, (ready, repository)))
        })?;
        self.lint(&ready)?;
        let definition = &ready.profile.definition;
        // What the live system of a dev build is told needs a place in its initramfs.
        let layered = !release && has_place_for_hook(&ready.profile)?;
        let key = self.packages_key(&ready, layered, epoch)?;
        let mut kept = None;
        let entry = self.keyed(engine::PACKAGES, key, |reporter| {
            let fetched = self.cache.packages().map_err(BuildError::write(reporter.stage, &self.request.cache, 0))?;
            let databases = packages::databases_room(&self.cache, &ready.expanded);
            let databases = databases.map_err(BuildError::write(reporter.stage, &self.request.cache, 0))?;
            let what = Ingredients {
                profile: &ready.profile,
                modes: &ready.modes,
                tools,
                expanded: &ready.expanded,
                mirror: recipe.image.mirror.as_deref(),
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
        })?;
        let packing = if release {
            let (kind, options) = (definition.image_type.clone(), definition.image_tool_options.clone());
            Packing::Profile { kind, options }
        } else {
            Packing::Quick
        };
        let root = RootImage { entry, key, packing, layered, settings: Vec::new(), epoch, kept };
        let laid = self.lay(tools, &root, &repository)?;
        let root = RootImage { kept: None, ..root };
        let grub = self.grub(tools, &ready.profile, epoch)?;
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
            root_image: (laid.name, laid.image.clone(), laid.checksum.clone()),
            layer: laid.layer.clone(),
            microcode_inside: microcode_is_inside(&boot)?,
            words: &recipe.image.cmdline,
            for_a_guest: !release,
            epoch,
        };
        let disc = archiso::disc(&source);
        let names = DiscNames {
            label: definition.iso_label.clone(),
            publisher: definition.iso_publisher.clone(),
            application: definition.iso_application.clone(),
            epoch,
        };
        let discs = Discs { names, esp_label: *b"ARCHISO_EFI", root: &root, laid: &laid, boot: &boot };
        self.disc(tools, &disc, &discs, &repository)
    }

    /// Says what would fail late or silently, and stops where it would fail, unless the user wants to see that.
    pub(super) fn lint(&self, ready: &Ready) -> Result<(), BuildError> {
        self.timed(engine::LINT, |reporter| {
            let findings = self.findings(ready)?;
            for line in lint::render_text(&findings, false).lines() {
                reporter.line(line);
            }
            let bad = findings.iter().any(|finding| finding.severity == Severity::Error);
            if bad && !self.request.build_anyway {
                return Err(BuildError::Lint { stage: reporter.stage, findings });
            }
            Ok((false, ()))
        })
    }

    /// Assembles the profile in the work directory and reads the result.
    pub(super) fn profile(&self, tools: &Tools, epoch: u64, reporter: &Reporter<'_>) -> Result<Ready, BuildError> {
        let stage = reporter.stage;
        let image = &self.request.recipe.image;
        let target = self.request.work.join("profile");
        let mut ingredients = assembly::Ingredients {
            base: self.base(reporter)?,
            overlays: image.overlays.clone(),
            remove: image.remove.clone(),
            pacman_conf: image.pacman_conf.clone(),
            packages: image.packages.clone(),
            into: self.request.recipe.source.into.clone(),
            ..assembly::Ingredients::default()
        };
        for again in [false, true] {
            let assembly = assembly::prepare(&ingredients, self.cancel, self.progress)?;
            for warning in assembly.warnings.iter().filter(|_| !again) {
                reporter.line(format!("warning: {warning}"));
            }
            fs::create_dir_all(&target).map_err(BuildError::write(stage, &target, 0))?;
            assembly.write(&target, self.cancel, self.progress)?;
            let options = profile::ReadOptions::of_this_user(Some(epoch));
            let profile = profile::read(&target, &options, self.cancel).map_err(|e| BuildError::profile(stage, e))?;
            let listed = profile.packages.file.strip_prefix(&target).unwrap_or(&profile.packages.file).to_path_buf();
            if !again && !image.packages.is_empty() && assembly.package_list.as_ref() != Some(&listed) {
                // The definition names another list than its name suggests: the packages belong there.
                ingredients.package_list = Some(listed);
                fs::remove_dir_all(&target).map_err(BuildError::io(stage, "remove", &target))?;
                continue;
            }
            for warning in &profile.warnings {
                let line = warning.line.map_or_else(String::new, |line| format!(":{line}"));
                reporter.line(format!("warning: {}{line}: {}", warning.file.display(), warning.text));
            }
            let modes = assembly.modes(&profile.definition.file_permissions);
            let mut profile = profile;
            if let Some(chosen) = &assembly.pacman_conf {
                let file = target.join(chosen);
                profile.pacman_conf = profile::read_pacman_conf(&file).map_err(BuildError::io(stage, "read", &file))?;
            }
            let conf = self.pacman_conf(&profile, reporter)?;
            let shown = [target.as_path()];
            let expanded = packages::expanded_conf(&conf, &shown, tools, reporter)?;
            return Ok(Ready { profile, assembly, modes, expanded });
        }
        Err(BuildError::Refused {
            stage,
            what: "the profile names another package list each time it is evaluated".to_owned(),
            advice: "Let profiledef.sh name one, or none.".to_owned(),
        })
    }

    /// The configuration to use, in the work directory, with servers where this host has no mirror list.
    fn pacman_conf(&self, profile: &Profile, reporter: &Reporter<'_>) -> Result<PathBuf, BuildError> {
        let chosen = &profile.pacman_conf;
        let io = |e| BuildError::io(reporter.stage, "read", &chosen.file)(e);
        let text = fs::read_to_string(&chosen.file).map_err(io)?;
        let text = pacman::with_servers(&text, chosen, self.request.recipe.image.mirror.as_deref());
        let file = profile.dir.join("cartridge-pacman.conf");
        fs::write(&file, text).map_err(BuildError::write(reporter.stage, &file, 0))?;
        Ok(file)
    }

    fn base(&self, reporter: &Reporter<'_>) -> Result<PathBuf, BuildError> {
        match &self.request.recipe.image.base {
            Base::Folder(dir) => Ok(dir.clone()),
            Base::Installed(which) => Ok(which.folder()),
            _ => {
                let dir = self.request.work.join("minimal");
                profile::write_minimal(&dir).map_err(|e| BuildError::write(reporter.stage, &e.path, 0)(e.source))?;
                Ok(dir)
            }
        }
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
        key = key
            .bytes(definition.arch.as_bytes())
            .bytes(self.request.recipe.image.mirror.as_deref().unwrap_or("").as_bytes());
        for (path, mode) in &ready.modes {
            key = key.path(path).number(u64::from(*mode));
        }
        for (path, it) in &definition.file_permissions {
            key = key.bytes(path.as_bytes()).number(it.uid.into()).number(it.gid.into()).number(it.mode.into());
        }
        for package in packages::listed(&ready.profile) {
            key = key.bytes(package.as_bytes());
        }
        // A repository of this host is looked at each time; one of the network when its packages are installed again.
        for (name, dir) in pacman::local_repositories(&ready.expanded) {
            let database = dir.join(format!("{name}.db"));
            let hash = fs::File::open(&database).and_then(hash_content).map_or(TreeHash([0; 32]), |it| it.0);
            key = key.bytes(name.as_bytes()).hash(&hash);
        }
        Ok(key.finish())
    }

    /// GRUB, where the profile starts with it: made by the host's program, once for a date.
    fn grub(&self, tools: &Tools, profile: &Profile, epoch: u64) -> Result<BTreeMap<String, PathBuf>, BuildError> {
        let stage = engine::BOOTLOADER;
        if !archiso::modes(&profile.definition).contains(&BootModeKind::UefiGrub) {
            return Ok(BTreeMap::new());
        }
        let program = tools.program("grub-mkstandalone").map_err(|what| BuildError::missing(stage, what))?;
        let text = grub::embedded(&archiso::search_file(epoch));
        let targets: Vec<_> = grub::TARGETS.into_iter().filter(|it| grub::module_folder(*it).is_dir()).collect();
        let reporter = Reporter::new(stage, self.cancel, self.progress);
        if !targets.contains(&grub::TARGETS[0]) {
            let what = format!(
                "{} is missing: install grub-efi-amd64-bin (Debian, Ubuntu) or grub",
                grub::module_folder(grub::TARGETS[0]).display()
            );
            return Err(BuildError::missing(stage, what));
        }
        if targets.len() < grub::TARGETS.len() {
            reporter.line("warning: this host has no GRUB for 32-bit firmware (grub-efi-ia32-bin): the image does not start there");
        }
        let mut key = KeyHasher::new(stage).bytes(b"grub").bytes(text.as_bytes());
        for target in &targets {
            // The modules change with the host's package alone.
            let looks = fs::metadata(grub::module_folder(*target).join("normal.mod"));
            let modified =
                looks.and_then(|it| it.modified()).ok().and_then(|it| it.duration_since(std::time::UNIX_EPOCH).ok());
            key = key.bytes(target.file.as_bytes()).number(modified.map_or(0, |it| it.as_secs()));
        }
        let key = key.finish();
        let entry = match self.cache.find(stage, key) {
            Some(entry) => entry,
            None => {
                let draft =
                    self.cache.draft(stage, key).map_err(BuildError::write(stage, &self.request.cache, 16 << 20))?;
                let embedded = self.request.work.join("grub-embedded.cfg");
                fs::write(&embedded, &text).map_err(BuildError::write(stage, &embedded, 0))?;
                for target in &targets {
                    let line = grub::command(program, *target, &embedded, &draft.file(target.file));
                    let line = line.env("SOURCE_DATE_EPOCH", epoch.to_string()).env("LC_ALL", "C.UTF-8");
                    crate::rootfs::run_in_lines(&line, &reporter).map_err(BuildError::tool(stage))?;
                }
                draft.commit().map_err(BuildError::write(stage, &self.request.cache, 16 << 20))?
            }
        };
        Ok(targets.iter().map(|target| (target.file.to_owned(), entry.file(target.file))).collect())
    }
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
    use std::io::Read;
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
    configurations: BTreeMap<String, String>,
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
                    let bytes = fs::read(&file).map_err(BuildError::io(engine::BOOTLOADER, "read", &file))?;
                    texts.configurations.insert(path, String::from_utf8_lossy(&bytes).into_owned());
                } else {
                    texts.others.insert(path, file);
                }
            }
        }
        Ok(texts)
    }
}
