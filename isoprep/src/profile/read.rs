//! Reads a profile folder: evaluates its definition, then reads every file that says what the image will be.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use cartridge_supervise::Cancel;

use super::boot_entries::parse_boot_file;
use super::checkout::CheckoutPlace;
use super::definition::{Defined, complaints, define};
use super::error::ProfileError;
use super::evaluate::{EvaluationLimits, Request, evaluate};
use super::initcpio::{parse_initcpio_config, parse_initcpio_preset};
use super::model::{BootEntry, BootModeKind, Definition, PackageList, PacmanConf, Profile, ProfileWarning};
use super::packages::parse_package_list;
use super::pacman_conf::parse_pacman_conf;
use super::pattern::included;
use super::text_file::{self, LARGEST, files_in};

/// Warnings beyond this many are counted and not kept.
const MOST_WARNINGS: usize = 500;

/// How a profile is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// The build's date, seconds since 1970: `SOURCE_DATE_EPOCH` for the profile's code.
    pub source_date_epoch: u64,
    /// What `arch` is when the profile does not set it: this machine's name for itself (`uname -m`).
    pub machine: String,
    /// The home folder, which the profile's code sees empty.
    pub home: Option<PathBuf>,
    /// Existing folders that its code sees although they are in the home folder or in `/tmp`, absolute. The outermost checkout
    /// that the profile lies in is always seen.
    pub seen: Vec<PathBuf>,
    /// The folder whose assembled copy is read: the definition's code believes to be there. It finds that folder's own checkout
    /// and neighbours, which the copy has not, and in the folder itself the copy, so that what an overlay replaces wins. Absolute;
    /// one that is not there has nothing beside it.
    pub stands_for: Option<PathBuf>,
    /// Folders in which bash is looked for.
    pub search: Vec<PathBuf>,
    /// Bounds on what its code may use.
    pub limits: EvaluationLimits,
}

impl ReadOptions {
    /// Options for this process's user, from `HOME` and `PATH`, and for a build whose date is `source_date_epoch`, seconds since
    /// 1970; `None` means now, as for mkarchiso.
    #[must_use]
    pub fn of_this_user(source_date_epoch: Option<u64>) -> Self {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let search = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        Self {
            source_date_epoch: source_date_epoch.unwrap_or_else(now),
            machine: rustix::system::uname().machine().to_string_lossy().into_owned(),
            home: std::env::var_os("HOME").map(PathBuf::from).and_then(|home| home.canonicalize().ok()),
            seen: Vec::new(),
            stands_for: None,
            search: std::env::split_paths(&search).filter(|dir| dir.is_absolute()).collect(),
            limits: EvaluationLimits::default(),
        }
    }
}

/// Reads the profile in the folder `dir`. Its code is run, shut in; nothing is written.
///
/// What is missing or not understood besides `profiledef.sh` is a warning in the profile.
///
/// # Errors
/// [`ProfileError`]: there is no `profiledef.sh`, it cannot be evaluated, or `cancel` was cancelled.
pub fn read(dir: &Path, options: &ReadOptions, cancel: &Cancel) -> Result<Profile, ProfileError> {
    let canonical = dir.canonicalize().ok().filter(|it| it.is_dir());
    let dir = canonical.ok_or_else(|| ProfileError::NotAFolder { dir: dir.to_path_buf() })?;
    let target = definition_file(&dir)?;
    let file = dir.join("profiledef.sh");
    let source = text_file::read(&file).map_err(|source| ProfileError::Unreadable { path: file, source })?;
    let place = options.stands_for.as_ref().map(|it| it.canonicalize().unwrap_or_else(|_| it.clone()));
    let place = place.filter(|it| *it != dir);
    let _checkout = place.as_deref().map(|place| CheckoutPlace::make(&dir, place));
    let place = place.unwrap_or_else(|| dir.clone());
    let request = Request {
        dir: &place,
        copy: (place != dir).then_some(dir.as_path()),
        target: if place == dir { &target } else { &place },
        source: &source.text,
        source_date_epoch: options.source_date_epoch,
        seen: &options.seen,
        home: options.home.as_deref(),
        search: &options.search,
        limits: &options.limits,
    };
    let (answer, said) = evaluate(&request, cancel)?;
    let Defined { definition, folder, packages, bootstrap_packages, warnings } =
        define(&answer, &source.text, &options.machine);
    // What the code names of the place that it believes to be in is meant of the copy.
    let here = |path: PathBuf| path.strip_prefix(&place).map_or_else(|_| path.clone(), |inside| dir.join(inside));
    let here_text = |path: String| here(path.into()).to_string_lossy().into_owned();
    let definition = Definition { pacman_conf: here(definition.pacman_conf), ..definition };
    let (packages, bootstrap_packages) = (here_text(packages), here_text(bootstrap_packages));
    let mut files = Files { dir: &dir, folder: dir.join(here(folder)), warnings };
    files.warnings.extend(complaints(&said, &place));
    let packages = files.packages(&packages, "packages", &definition.arch);
    let packages = packages.unwrap_or_else(|path| {
        files.warn(&path, None, "is not there: mkarchiso ends without a package list".to_owned());
        PackageList { file: path, ..PackageList::default() }
    });
    let bootstrap_packages = files.packages(&bootstrap_packages, "bootstrap_packages", &definition.arch).ok();
    let pacman_conf = files.pacman_conf(&definition.pacman_conf);
    let boot_entries = files.boot_entries();
    let etc = dir.join("airootfs/etc");
    let configs = [vec![etc.join("mkinitcpio.conf")], files_in(&etc.join("mkinitcpio.conf.d"), ".conf")].concat();
    let initcpio_configs = files.each(configs, parse_initcpio_config);
    let initcpio_presets = files.each(files_in(&etc.join("mkinitcpio.d"), ".preset"), parse_initcpio_preset);
    let customizes = fs::symlink_metadata(dir.join("airootfs/root/customize_airootfs.sh")).is_ok();
    let mut warnings = files.warnings;
    let over = warnings.len().saturating_sub(MOST_WARNINGS);
    if over > 0 {
        warnings.truncate(MOST_WARNINGS);
        warnings.push(ProfileWarning { file: PathBuf::new(), line: None, text: format!("and {over} more warnings") });
    }
    if cancel.is_cancelled() {
        return Err(ProfileError::Cancelled { dir });
    }
    Ok(Profile {
        definition,
        packages,
        bootstrap_packages,
        pacman_conf,
        boot_entries,
        initcpio_configs,
        initcpio_presets,
        customizes,
        warnings,
        dir,
    })
}

/// Where `profiledef.sh` really is; an error if it is no file that can be evaluated.
fn definition_file(dir: &Path) -> Result<PathBuf, ProfileError> {
    let file = dir.join("profiledef.sh");
    let unreadable = |source| ProfileError::Unreadable { path: file.clone(), source };
    let meta = match fs::metadata(&file) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(match fs::read_link(&file) {
                Ok(target) => ProfileError::BrokenLink { file, target },
                Err(_) => ProfileError::NoDefinition { dir: dir.to_path_buf() },
            });
        }
        Err(source) => return Err(unreadable(source)),
    };
    let kind = meta.file_type();
    let kind = match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("a folder"),
        () if kind.is_fifo() => Some("a pipe"),
        () if kind.is_socket() => Some("a socket"),
        () => Some("a device"),
    };
    if let Some(kind) = kind {
        return Err(ProfileError::NotAFile { file, kind });
    }
    if meta.len() > LARGEST {
        return Err(ProfileError::TooLarge { file, bytes: meta.len(), limit: LARGEST });
    }
    file.canonicalize().map_err(unreadable)
}

/// The path without `..`, where that is sure: what comes before may be a link.
fn without_parents(path: PathBuf) -> PathBuf {
    let has_parents = path.components().any(|it| it == Component::ParentDir);
    let above = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    has_parents.then(above).flatten().unwrap_or(path)
}

struct Files<'a> {
    dir: &'a Path,
    /// Where the shell was when the profile ended, to which its paths are relative.
    folder: PathBuf,
    warnings: Vec<ProfileWarning>,
}

impl Files<'_> {
    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.dir).unwrap_or(path).to_path_buf()
    }

    fn warn(&mut self, path: &Path, line: Option<usize>, text: String) {
        self.warnings.push(ProfileWarning { file: self.relative(path), line, text });
    }

    /// The text of a file that is there; an empty one with a warning if it cannot be read.
    fn text(&mut self, path: &Path, read: fn(&Path) -> io::Result<text_file::Text>) -> String {
        match read(path) {
            Ok(found) => {
                if let Some(wrong) = found.wrong {
                    self.warn(path, None, wrong.to_owned());
                }
                found.text
            }
            Err(e) => {
                self.warn(path, None, format!("cannot be read: {e}"));
                String::new()
            }
        }
    }

    /// The list that mkarchiso would take: what the variable names, else `stem.$arch`, else `stem`. The path that is missing as
    /// the error.
    fn packages(&mut self, variable: &str, stem: &str, arch: &str) -> Result<PackageList, PathBuf> {
        let of_arch = self.dir.join(format!("{stem}.{arch}"));
        let path = match (variable, self.dir.join(stem)) {
            ("", plain) if !of_arch.exists() && plain.exists() => plain,
            ("", _) => of_arch,
            (variable, _) => without_parents(self.folder.join(variable)),
        };
        if !path.exists() {
            return Err(path);
        }
        let text = self.text(&path, text_file::read);
        Ok(parse_package_list(&path, &text))
    }

    fn pacman_conf(&mut self, named: &Path) -> PacmanConf {
        let path = without_parents(self.folder.join(named));
        if !path.exists() {
            self.warn(&path, None, "is not there: mkarchiso ends without a pacman.conf".to_owned());
            return PacmanConf { file: path, ..PacmanConf::default() };
        }
        let text = self.text(&path, text_file::read);
        let (conf, warnings) = parse_pacman_conf(&path, &text, &mut included);
        for it in warnings {
            self.warn(&it.file, it.line, it.text);
        }
        for missing in &conf.missing_includes {
            let pattern = Path::new(&missing.value);
            if !missing.value.is_empty() && !pattern.is_absolute() {
                let text = format!(
                    "Include = {} is relative to wherever pacman is started; write an absolute path",
                    missing.value
                );
                self.warn(&missing.file, Some(missing.line), text);
            }
        }
        conf
    }

    fn boot_entries(&mut self) -> Vec<BootEntry> {
        let mut entries = Vec::new();
        for (loader, folder, suffix) in [
            (BootModeKind::BiosSyslinux, "syslinux", ".cfg"),
            (BootModeKind::UefiGrub, "grub", ".cfg"),
            (BootModeKind::UefiSystemdBoot, "efiboot/loader/entries", ".conf"),
        ] {
            let paths = files_in(&self.dir.join(folder), suffix);
            for path in &paths {
                let text = self.text(path, text_file::read);
                let found = parse_boot_file(loader, &self.relative(path), &text);
                entries.extend(found.entries);
                self.warnings.extend(found.warnings);
                for (name, line) in found.loads {
                    // Only names without a folder are sure to be meant relative to the file itself.
                    let is_own = loader == BootModeKind::BiosSyslinux && !name.contains(['/', ':', '$']);
                    if is_own && !self.dir.join(folder).join(&name).exists() {
                        self.warn(path, Some(line), format!("loads {name}, which is not in {folder}/"));
                    }
                }
            }
        }
        entries
    }

    /// Files of the image, so links are not followed: they lead somewhere else here.
    fn each<T>(&mut self, paths: Vec<PathBuf>, parse: impl Fn(&Path, &str) -> (T, Vec<ProfileWarning>)) -> Vec<T> {
        let mut all = Vec::new();
        for path in paths {
            match fs::symlink_metadata(&path) {
                Err(_) => continue,
                Ok(meta) if meta.is_symlink() => {
                    self.warn(&path, None, "is a link; what it leads to is known in the image only".to_owned());
                }
                Ok(_) => {
                    let text = self.text(&path, text_file::read_no_link);
                    let (parsed, warnings) = parse(&self.relative(&path), &text);
                    self.warnings.extend(warnings);
                    all.push(parsed);
                }
            }
        }
        all
    }
}
