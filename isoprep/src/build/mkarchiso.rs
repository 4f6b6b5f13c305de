//! An archiso profile becomes an image by the unmodified mkarchiso: the assembled copy carries everything, the repository
//! included, and a block that keeps its modes.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cartridge_treehash::hash_tree;

use super::archiso::Ready;
use super::distribution::Repository;
use super::{BuildError, Stages};
use crate::assembly::{self, Modes};
use crate::cache::atomic;
use crate::engine;
use crate::host::Tools;
use crate::image::Image;
use crate::mkarchiso::{self, CACHE_INSIDE, CONTAINER, MkarchisoError, MkarchisoJob, MkarchisoNews};
use crate::pacman_log::PacmanNews;
use crate::plan::KeyHasher;
use crate::progress::{Reporter, Unit};
use crate::stage::manifest::Entry;
use crate::stage::packages::pacman;
use crate::stage::{hashing, iso, settings};

impl Stages<'_> {
    /// The engine `mkarchiso`.
    pub(super) fn mkarchiso(&self, tools: &Tools) -> Result<Image, BuildError> {
        let target = self.target()?;
        let epoch = self.epoch()?;
        let (ready, repository) = self.timed(engine::ASSEMBLE, |reporter| {
            let repository = self.repository(reporter)?;
            let ready = self.profile(tools, epoch, reporter)?;
            Ok((repository.reused, (ready, repository)))
        })?;
        self.lint(&ready)?;
        let profile = ready.profile.dir.clone();
        let key = self.timed(engine::PACKAGES, |reporter| {
            self.complete(&ready, &repository, reporter)?;
            let tree = hash_tree(&profile)
                .map_err(|e| BuildError::io(reporter.stage, "read", &profile)(std::io::Error::other(e.to_string())))?;
            let mut key = KeyHasher::new(engine::ISO).bytes(b"mkarchiso").hash(&tree.hash).number(epoch);
            key = key.bytes(ready.expanded.as_bytes());
            let key = key.finish();
            if iso::is_current(&self.cache, &target, key) {
                return Ok((true, None));
            }
            let made = self.run_mkarchiso(&ready, epoch, reporter)?;
            Ok((false, Some((key, made))))
        })?;
        let reused = self.timed(engine::ISO, |reporter| match &key {
            None => Ok((true, true)),
            Some((key, made)) => iso::adopt(made, &target, (&self.cache, *key), reporter).map(|()| (false, false)),
        })?;
        Ok(Image {
            bytes: atomic::size(&target).map_err(BuildError::io(engine::ISO, "read", &target))?,
            iso: target,
            // Inside the image alone.
            kernel: PathBuf::new(),
            initrds: Vec::new(),
            cmdline: String::new(),
            kernel_version: String::new(),
            files: repository.files,
            tree_hash: repository.tree.to_string(),
            reused,
        })
    }

    /// Puts into the assembled copy what mkarchiso would not know of: the repository, single files, the environment, all their
    /// modes, and the package cache.
    fn complete(&self, ready: &Ready, repository: &Repository, reporter: &Reporter<'_>) -> Result<(), BuildError> {
        let recipe = &self.request.recipe;
        let profile = &ready.profile;
        let airootfs = profile.dir.join("airootfs");
        let mut copy = Copy { airootfs: &airootfs, modes: ready.modes.clone(), reporter };
        copy.dir(&recipe.source.into, 0o755)?;
        for (path, entry) in repository.manifest.iter() {
            let to = recipe.source.into.join(path);
            match entry {
                Entry::Dir { mode } => copy.dir(&to, *mode)?,
                Entry::File { mode, from, .. } => copy.file(&to, *mode, from)?,
                Entry::Symlink { target } => copy.link(&to, Path::new(target))?,
            }
        }
        for extra in &repository.extras {
            copy.file(&extra.to, extra.mode, &extra.from)?;
        }
        for (path, mode, bytes) in settings::files(recipe) {
            copy.bytes(&path, mode, &bytes)?;
        }
        let modes = copy.modes;
        assembly::append_permissions(&profile.dir, &modes)?;
        let conf = profile.dir.join(&profile.definition.pacman_conf);
        let chosen = profile.dir.join("cartridge-pacman.conf");
        let text = fs::read_to_string(&chosen).map_err(BuildError::io(reporter.stage, "read", &chosen))?;
        fs::write(&conf, with_cache(&text)).map_err(BuildError::write(reporter.stage, &conf, 0))
    }

    fn run_mkarchiso(&self, ready: &Ready, epoch: u64, reporter: &Reporter<'_>) -> Result<PathBuf, BuildError> {
        let stage = reporter.stage;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let facts = mkarchiso::look_around(&path, CONTAINER, self.cancel);
        reporter.go_on()?;
        let chosen = mkarchiso::choose(&facts).map_err(|e| BuildError::missing(stage, e.to_string()))?;
        for line in chosen.sentence().lines() {
            reporter.line(line);
        }
        reporter.way(chosen.clone());
        let fetched = self.cache.packages().map_err(BuildError::write(stage, &self.request.cache, 0))?;
        let local =
            pacman::local_repositories(&ready.expanded).into_iter().map(|(_, dir)| dir).filter(|dir| dir.is_dir());
        let out = self.request.work.join("mkarchiso-out");
        fs::create_dir_all(&out).map_err(BuildError::write(stage, &out, 0))?;
        let job = MkarchisoJob {
            way: chosen.way,
            tool: facts.tool.clone().unwrap_or_default(),
            image: CONTAINER.to_owned(),
            profile: ready.profile.dir.clone(),
            work: self.request.work.clone(),
            cache: fetched.path().to_path_buf(),
            readable: local.collect(),
            out,
            source_date_epoch: epoch,
            boot_files: mkarchiso::boot_files(&ready.profile),
            path,
        };
        let mut tell = |news: MkarchisoNews| match news {
            MkarchisoNews::Line { text, .. } => reporter.line(text),
            MkarchisoNews::Waiting => reporter.line("another build is fetching packages: waiting for it"),
            MkarchisoNews::Percent { stage, percent } => {
                reporter.advanced_on(percent.into(), Some(100), Unit::Percent, Some(&stage.to_string()));
            }
            MkarchisoNews::Pacman { news: PacmanNews::Item { name, number, total, .. } } if total > 0 => {
                reporter.advanced_on(number, Some(total), Unit::Packages, Some(&name));
            }
            MkarchisoNews::Stage { stage } => reporter.advanced_on(0, None, Unit::Percent, Some(&stage.to_string())),
            MkarchisoNews::Pacman { .. } | MkarchisoNews::Found { .. } => {}
        };
        let product = mkarchiso::run(&job, self.cancel, &mut tell).map_err(|error| match error {
            MkarchisoError::Cancelled => BuildError::Cancelled { stage },
            error => BuildError::Mkarchiso { stage, source: Box::new(error) },
        })?;
        for doubt in &product.doubts {
            reporter.line(format!("warning: {doubt}"));
        }
        if let Some(why) = &product.leftover {
            reporter.line(format!("warning: {why}"));
        }
        for shortfall in &product.shortfalls {
            reporter.line(format!("warning: {shortfall}"));
        }
        Ok(product.iso)
    }
}

/// Copies into `airootfs`; notes each mode that mkarchiso would not give by itself.
struct Copy<'a> {
    airootfs: &'a Path,
    modes: Modes,
    reporter: &'a Reporter<'a>,
}

impl Copy<'_> {
    fn place(&self, to: &Path) -> Result<PathBuf, BuildError> {
        self.reporter.go_on()?;
        let place = self.airootfs.join(to.strip_prefix("/").unwrap_or(to));
        // A link of the profile on the way would lead the copy out of the profile.
        for above in place.ancestors().skip(1).take_while(|it| it.starts_with(self.airootfs)) {
            if above.is_symlink() {
                return Err(BuildError::Refused {
                    stage: self.reporter.stage,
                    what: format!(
                        "{} would be written through the link {} of the profile",
                        to.display(),
                        above.display()
                    ),
                    advice: "Choose another place for it, or remove the link with image.remove.".to_owned(),
                });
            }
        }
        if let Some(parent) = place.parent() {
            self.done("make", parent, fs::DirBuilder::new().recursive(true).mode(0o755).create(parent))?;
        }
        if place.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
            self.done("replace", &place, fs::remove_file(&place))?;
        }
        Ok(place)
    }

    fn done<T>(&self, doing: &'static str, path: &Path, result: std::io::Result<T>) -> Result<T, BuildError> {
        result.map_err(BuildError::io(self.reporter.stage, doing, path))
    }

    fn note(&mut self, to: &Path, mode: u32, usual: u32) {
        if mode == usual {
            self.modes.remove(to);
        } else {
            self.modes.insert(to.to_path_buf(), mode);
        }
    }

    fn dir(&mut self, to: &Path, mode: u32) -> Result<(), BuildError> {
        let place = self.place(to)?;
        self.done("make", &place, fs::DirBuilder::new().recursive(true).mode(0o755).create(&place))?;
        self.note(to, mode, 0o755);
        Ok(())
    }

    fn file(&mut self, to: &Path, mode: u32, from: &Path) -> Result<(), BuildError> {
        let place = self.place(to)?;
        let mut source = self.done("read", from, hashing::open(from))?;
        let copied = fs::File::create_new(&place).and_then(|mut file| std::io::copy(&mut source, &mut file));
        copied.map_err(BuildError::write(self.reporter.stage, &place, 0))?;
        self.done("change", &place, fs::set_permissions(&place, fs::Permissions::from_mode(mode | 0o600)))?;
        self.note(to, mode, 0o644);
        Ok(())
    }

    fn bytes(&mut self, to: &Path, mode: u32, bytes: &[u8]) -> Result<(), BuildError> {
        let place = self.place(to)?;
        fs::write(&place, bytes).map_err(BuildError::write(self.reporter.stage, &place, bytes.len() as u64))?;
        self.note(to, mode, 0o644);
        Ok(())
    }

    fn link(&mut self, to: &Path, target: &Path) -> Result<(), BuildError> {
        let place = self.place(to)?;
        self.done("make", &place, symlink(target, &place))
    }
}

/// A configuration with our package cache, in place of any that it names.
fn with_cache(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines().filter(|line| line.split('=').next().is_none_or(|key| key.trim() != "CacheDir")) {
        out.push_str(line);
        out.push('\n');
        if line.trim() == "[options]" {
            out.push_str(&format!("CacheDir = {CACHE_INSIDE}/\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_ours_alone() {
        let conf = with_cache("# x\n[options]\nCacheDir = /a\nArchitecture = auto\n[core]\n");
        assert_eq!(conf, "# x\n[options]\nCacheDir = /run/cartridge/cache/\nArchitecture = auto\n[core]\n");
    }
}
