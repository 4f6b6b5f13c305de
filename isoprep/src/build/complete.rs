//! The assembled copy of a profile is completed for mkarchiso: it carries everything, the repository included, a block that keeps
//! its modes, and the values that the profile has where it lies.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::distribution::Repository;
use super::ready::Ready;
use super::{BuildError, Stages};
use crate::assembly::{self, Modes};
use crate::mkarchiso::{CACHE_INSIDE, PROFILE_INSIDE};
use crate::profile::{self, Profile, ReadOptions};
use crate::progress::Reporter;
use crate::stage::manifest::Entry;
use crate::stage::{hashing, settings};

impl Stages<'_> {
    /// Puts into the assembled copy what mkarchiso would not know of: the repository, single files, the environment, all their
    /// modes, and the package cache.
    pub(super) fn complete(
        &self,
        ready: &Ready,
        repository: &Repository,
        reporter: &Reporter<'_>,
    ) -> Result<(), BuildError> {
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
        let chosen = self.chosen_conf();
        let text = fs::read_to_string(&chosen).map_err(BuildError::io(reporter.stage, "read", &chosen))?;
        let conf = self.own_conf(&profile.dir, &with_cache(&text), reporter)?;
        self.define(profile, &modes, &conf, reporter)
    }

    /// Writes the configuration for mkarchiso into the copy under a name that is free there: what the profile names may be a
    /// link, or lie outside of it.
    fn own_conf(&self, profile: &Path, text: &str, reporter: &Reporter<'_>) -> Result<PathBuf, BuildError> {
        let names = (0_u32..).map(|number| match number {
            0 => PathBuf::from("cartridge-pacman.conf"),
            more => PathBuf::from(format!("cartridge-pacman-{more}.conf")),
        });
        for name in names {
            let file = profile.join(&name);
            match fs::File::create_new(&file).and_then(|mut file| file.write_all(text.as_bytes())) {
                Ok(()) => return Ok(name),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(BuildError::write(reporter.stage, &file, 0)(e)),
            }
        }
        Err(BuildError::missing(reporter.stage, "no name is free for a pacman.conf".to_owned()))
    }

    /// Gives the copy of `profiledef.sh` what it says where it lies, and looks whether mkarchiso will read it so.
    fn define(&self, profile: &Profile, modes: &Modes, conf: &Path, reporter: &Reporter<'_>) -> Result<(), BuildError> {
        let block = assembly::values_block(profile, modes, conf);
        assembly::extend_definition(&profile.dir, &block, true)?;
        let mut options = ReadOptions::of_this_user(Some(self.epoch()?));
        options.stands_for = Some(PROFILE_INSIDE.into());
        let read = profile::read(&profile.dir, &options, self.cancel);
        reporter.go_on()?;
        if read.is_ok_and(|copy| assembly::has_values(&copy, profile, modes, conf)) {
            return Ok(());
        }
        reporter.line(
            "warning: profiledef.sh does not work in a copy without its repository, or ends early: mkarchiso gets its values, and \
             none of the functions that it may define",
        );
        assembly::extend_definition(&profile.dir, &block, false)
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
        let made = fs::File::create_new(&place).and_then(|mut file| file.write_all(bytes));
        made.map_err(BuildError::write(self.reporter.stage, &place, bytes.len() as u64))?;
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
