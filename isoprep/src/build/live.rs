//! The engines whose root is not an archiso profile's: a Debian made here, and a root that is there already. Only their
//! first stage differs; both are started by the loaders of this host.

use std::fs;
use std::path::{Path, PathBuf};

use cartridge_treehash::TreeHash;

use super::distribution::{Discs, Repository, RootImage};
use super::{BuildError, Stages};
use crate::cache::{Entry, atomic};
use crate::engine;
use crate::host::Tools;
use crate::image::Image;
use crate::plan::{Key, KeyHasher};
use crate::profile::ImageType;
use crate::progress::{Meter, Reporter};
use crate::recipe::{Base, BuildKind};
use crate::rootfs::Packing;
use crate::stage::debian::sources::{HostFacts, Source};
use crate::stage::hashing::Fingerprinter;
use crate::stage::layer::Setting;
use crate::stage::live_hook::{self, Finder};
use crate::stage::loaders::{DiscNames, boot_files, live};
use crate::stage::{base, debian, tree};

/// Changes whenever the first stage of an engine makes something else of the same ingredients.
const DEBIAN: &[u8] = b"debian 1";
const TREE: &[u8] = b"tree 1";
/// Files of sources are small; a larger one is none.
const LARGEST_SOURCES: u64 = 1 << 20;
/// Lets root in without a password, on the screen and on the serial line (agetty(8)): dev builds only.
const AUTOLOGIN: [(&str, &str); 2] = [
    ("/etc/systemd/system/getty@tty1.service.d/cartridge.conf", "--noclear %I $TERM"),
    ("/etc/systemd/system/serial-getty@ttyS0.service.d/cartridge.conf", "--keep-baud 115200,57600,38400,9600 %I $TERM"),
];

impl Stages<'_> {
    /// A Debian, made by mmdebstrap.
    pub(super) fn debian(&self, tools: &Tools) -> Result<Image, BuildError> {
        let image = &self.request.recipe.image;
        let epoch = self.epoch()?;
        let ((suite, sources), repository) = self.timed(engine::ASSEMBLE, |reporter| {
            let repository = self.repository(reporter)?;
            self.look_for_secrets((&repository.tree, &repository.extras), reporter)?;
            let host = host_facts();
            let suite = if let Base::Suite(suite) = &image.base { suite.clone() } else { host.suite() };
            let sources = host.sources(&suite, image.mirror.as_deref(), Path::is_file);
            Ok((repository.reused, ((suite, sources), repository)))
        })?;
        let packages = debian::packages(&image.packages);
        let mut key = KeyHasher::new(engine::PACKAGES).bytes(DEBIAN).bytes(suite.as_bytes()).number(epoch);
        for word in sources.iter().map(Source::line).chain(packages.iter().cloned()) {
            key = key.bytes(word.as_bytes());
        }
        let key = key.finish();
        let entry = self.keyed(engine::PACKAGES, key, |reporter| {
            let fetched = self.cache.packages().map_err(BuildError::write(reporter.stage, &self.request.cache, 0))?;
            let what = debian::Ingredients {
                suite: &suite,
                sources: &sources,
                packages: &packages,
                tools,
                epoch,
                work: &self.request.work,
                fetched: &fetched,
            };
            debian::debian(&what, (&self.cache, key), reporter)
        })?;
        let settings = settings(&self.request.recipe.name, image.build);
        self.live(tools, (entry, key, epoch), settings, &repository)
    }

    /// A root that is there already.
    pub(super) fn tree(&self, tools: &Tools) -> Result<Image, BuildError> {
        let epoch = self.epoch()?;
        let origin = match &self.request.recipe.image.base {
            Base::Tarball(file) => tree::Origin::Tarball(file),
            Base::Folder(dir) => tree::Origin::Folder(dir),
            other => {
                return Err(BuildError::Refused {
                    stage: engine::ASSEMBLE,
                    what: format!("{other:?} is no root file system"),
                    advice: "Name a folder or a tarball as image.base.".to_owned(),
                });
            }
        };
        let (content, repository) = self.timed(engine::ASSEMBLE, |reporter| {
            let request = self.request;
            tree::check(origin, &[&request.work, &request.cache, &request.images], reporter)?;
            let repository = self.repository(reporter)?;
            self.look_for_secrets((&repository.tree, &repository.extras), reporter)?;
            let content = match origin {
                tree::Origin::Folder(dir) => tree::looks(dir, reporter)?,
                tree::Origin::Tarball(file) => self.content(file, reporter)?,
            };
            Ok((repository.reused, (content, repository)))
        })?;
        let looked = matches!(origin, tree::Origin::Folder(_)).then_some(content);
        let key = KeyHasher::new(engine::PACKAGES).bytes(TREE).hash(&content).number(epoch).finish();
        let entry = self.keyed(engine::PACKAGES, key, |reporter| {
            let what = tree::Ingredients { origin, tools, epoch, work: &self.request.work, looked };
            tree::tree(&what, (&self.cache, key), reporter)
        })?;
        self.live(tools, (entry, key, epoch), Vec::new(), &repository)
    }

    /// The hash of a file's content, remembered between builds.
    fn content(&self, file: &Path, reporter: &Reporter<'_>) -> Result<TreeHash, BuildError> {
        let in_cache = BuildError::io(reporter.stage, "open the index in", &self.request.cache);
        let mut prints = Fingerprinter::open(&self.cache, "tree").map_err(in_cache)?;
        let meter = Meter::new(reporter, atomic::size(file).unwrap_or(0));
        let read = prints.of(file, &meter);
        reporter.go_on()?;
        let hash = read.map_err(BuildError::io(reporter.stage, "read", file))?.0;
        // Losing it costs a moment next time, no more.
        if let Err(e) = prints.save() {
            reporter.line(format!("warning: the cache cannot remember what was read: {e}"));
        }
        Ok(hash)
    }

    /// Everything after the first stage.
    fn live(
        &self,
        tools: &Tools,
        (entry, key, epoch): (Entry, Key, u64),
        settings: Vec<Setting>,
        repository: &Repository,
    ) -> Result<Image, BuildError> {
        let recipe = &self.request.recipe;
        let stage = engine::BOOTLOADER;
        let release = recipe.image.build == BuildKind::Release;
        let dir = entry.file(base::BOOT);
        let boot = boot_files(&dir).map_err(BuildError::io(stage, "read", &dir))?;
        let finder = live_hook::finds_the_root(&boot, stage)?;
        let packing = if release {
            let options = ["-comp", "xz", "-b", "1M"].map(str::to_owned).to_vec();
            Packing::Profile { kind: ImageType::Squashfs, options }
        } else {
            Packing::Quick
        };
        // Only live-boot lays one image over another.
        let layered = !release && finder == Finder::LiveBoot;
        let root = RootImage { entry, key, packing, layered, settings, epoch, kept: None };
        let laid = self.lay(tools, &root, repository)?;
        let Some(loaders) = &tools.loaders else {
            return Err(BuildError::missing(stage, "the boot loaders of this host were not looked for".to_owned()));
        };
        let source = live::Source {
            title: &recipe.name,
            loaders,
            boot: &boot,
            finder,
            root_image: laid.image.clone(),
            checksum: laid.checksum.clone(),
            layer: laid.layer.clone(),
            words: &recipe.image.cmdline,
            for_a_guest: !release,
            epoch,
        };
        let Some(disc) = live::disc(&source) else { return Err(live_hook::no_kernel(&boot, stage)) };
        let names = DiscNames {
            label: label(&recipe.name),
            publisher: "Cartridge".to_owned(),
            application: recipe.name.clone(),
            epoch,
        };
        let discs = Discs { names, esp_label: *b"CARTRIDGE  ", esp: None, root: &root, laid: &laid, boot: &boot };
        self.disc(tools, &disc, &discs, repository)
    }
}

/// What the engine debian adds to the repository's layer.
fn settings(name: &str, build: BuildKind) -> Vec<Setting> {
    let host = host_name(name);
    let hosts = format!("127.0.0.1 localhost\n127.0.1.1 {host}\n::1 localhost ip6-localhost ip6-loopback\n");
    let mut settings: Vec<Setting> = vec![
        ("/etc/hostname".into(), 0o644, format!("{host}\n").into_bytes()),
        ("/etc/hosts".into(), 0o644, hosts.into_bytes()),
    ];
    if build == BuildKind::Dev {
        for (path, rest) in AUTOLOGIN {
            let unit = format!("[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root {rest}\n");
            settings.push((path.into(), 0o644, unit.into_bytes()));
        }
    }
    settings
}

/// A host name made of the cartridge's: letters, digits and dashes, at most 63 (RFC 1123).
fn host_name(name: &str) -> String {
    let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let host: String = letters.take(63).collect();
    let host = host.trim_matches('-');
    if host.is_empty() { "cartridge".to_owned() } else { host.to_owned() }
}

/// A volume's label: up to 32 capitals, digits and underscores (ECMA-119, 7.4.1, 8.4.7).
fn label(name: &str) -> String {
    let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    letters.take(32).collect()
}

/// What this host says of itself and of its sources. What cannot be read is not there.
fn host_facts() -> HostFacts {
    let text = |file: &Path| {
        let small = fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.len() <= LARGEST_SOURCES);
        small.then(|| fs::read(file).ok()).flatten().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let mut files: Vec<PathBuf> = vec!["/etc/apt/sources.list".into()];
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|it| it.path());
    let mut parts: Vec<PathBuf> =
        parts.filter(|it| it.extension().is_some_and(|it| it == "list" || it == "sources")).collect();
    parts.sort();
    files.extend(parts);
    HostFacts {
        os_release: text(Path::new("/etc/os-release")).unwrap_or_default(),
        sources: files.into_iter().filter_map(|file| Some((file.clone(), text(&file)?))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_gives_a_host_name_and_a_label() {
        assert_eq!((host_name("My.Repo_2"), label("My.Repo-2")), ("my-repo-2".into(), "MY_REPO_2".into()));
        assert_eq!((host_name("..."), label(&"x".repeat(63)).len()), ("cartridge".into(), 32));
    }

    #[test]
    fn only_a_dev_build_lets_root_in() {
        let text = |build| format!("{:?}", settings("demo", build).iter().map(|it| &it.0).collect::<Vec<_>>());
        assert!(text(BuildKind::Dev).contains("getty@tty1") && text(BuildKind::Dev).contains("ttyS0"));
        assert!(!text(BuildKind::Release).contains("getty"));
    }
}
