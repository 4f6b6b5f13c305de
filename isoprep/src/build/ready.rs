//! A profile is made ready to be built: assembled, evaluated, read, with the pacman.conf to use.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::{BuildError, Stages};
use crate::assembly::{self, Assembly};
use crate::cache::atomic;
use crate::host::Tools;
use crate::profile::{self, Profile};
use crate::progress::Reporter;
use crate::recipe::Base;
use crate::stage::hashing;
use crate::stage::packages::{self, pacman};

/// A larger `pacman.conf` is none.
const LARGEST_CONFIGURATION: u64 = 1 << 20;

/// A profile, ready to be built.
pub(super) struct Ready {
    pub(super) profile: Profile,
    pub(super) assembly: Assembly,
    pub(super) modes: BTreeMap<PathBuf, u32>,
    /// What `pacman-conf` printed of its configuration; empty where that cannot be used.
    pub(super) expanded: String,
    /// Why the configuration cannot be used: lint says it with its line, and a build ends with it after lint.
    pub(super) unusable: Option<BuildError>,
}

impl Stages<'_> {
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
            // For nobody else to write, whatever the umask: the helper insists on it.
            let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(&target);
            made.map_err(BuildError::write(stage, &target, 0))?;
            assembly.write(&target, self.cancel, self.progress)?;
            let mut options = profile::ReadOptions::of_this_user(Some(epoch));
            options.stands_for = assembly.definition_layer().map(Path::to_path_buf);
            let profile = profile::read(&target, &options, self.cancel).map_err(|e| BuildError::profile(stage, e))?;
            let listed = profile.packages.file.strip_prefix(&target).unwrap_or(&profile.packages.file).to_path_buf();
            if !again && !image.packages.is_empty() && assembly.package_list.as_ref() != Some(&listed) {
                // The definition names another list than its name suggests: the packages belong there.
                ingredients.package_list = Some(listed);
                fs::remove_dir_all(&target).map_err(BuildError::io(stage, "remove", &target))?;
                continue;
            }
            // Of the pass that counts. What the profile's reader wondered about is for lint to say, once.
            for warning in &assembly.warnings {
                reporter.line(format!("warning: {warning}"));
            }
            let modes = assembly.modes(&profile.definition.file_permissions);
            let mut profile = profile;
            if let Some(chosen) = &assembly.pacman_conf {
                let file = target.join(chosen);
                profile.pacman_conf = profile::read_pacman_conf(&file).map_err(BuildError::io(stage, "read", &file))?;
            }
            let (expanded, unusable) = match self.expanded(&profile, tools, reporter) {
                Ok(expanded) => (expanded, None),
                Err(error) if error.is_cancelled() => return Err(error),
                Err(error) => (String::new(), Some(error)),
            };
            return Ok(Ready { profile, assembly, modes, expanded, unusable });
        }
        Err(BuildError::Refused {
            stage,
            what: "the profile names another package list each time it is evaluated".to_owned(),
            advice: "Let profiledef.sh name one, or none.".to_owned(),
        })
    }

    /// What `pacman-conf` makes of the configuration to use.
    fn expanded(&self, profile: &Profile, tools: &Tools, reporter: &Reporter<'_>) -> Result<String, BuildError> {
        let conf = self.pacman_conf(profile, reporter)?;
        packages::expanded_conf(&conf, &[profile.dir.as_path(), conf.as_path()], tools, reporter)
    }

    /// The configuration to use, with servers where this host has no mirror list. It lies beside the assembled copy: in there
    /// a link of that name could lead anywhere.
    fn pacman_conf(&self, profile: &Profile, reporter: &Reporter<'_>) -> Result<PathBuf, BuildError> {
        let chosen = &profile.pacman_conf;
        let read = |file: fs::File| std::io::read_to_string(file.take(LARGEST_CONFIGURATION));
        let text = hashing::open_part(&chosen.file).and_then(read);
        let text = text.map_err(BuildError::io(reporter.stage, "read", &chosen.file))?;
        let text = pacman::with_servers(&text, chosen, self.request.recipe.image.mirror.as_deref());
        let file = self.chosen_conf();
        atomic::write_new(&file, text.as_bytes()).map_err(BuildError::write(reporter.stage, &file, 0))?;
        Ok(file)
    }

    /// Where the configuration to use lies.
    pub(super) fn chosen_conf(&self) -> PathBuf {
        self.request.work.join("chosen-pacman.conf")
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
}
