//! From bash's variables to a definition, with the defaults of mkarchiso 88 and what its documentation says of each.

mod lines;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::lines::lines;
use super::answer::{Answer, Variables};
use super::declare::{BashValue, BashVariable};
use super::model::{BootMode, BootModeKind, Definition, FilePermission, ImageType, ProfileWarning};

/// The variables that archiso documents (`docs/README.profile.rst`).
const DOCUMENTED: [&str; 16] = [
    "airootfs_image_tool_options",
    "airootfs_image_type",
    "arch",
    "bootmodes",
    "bootstrap_packages",
    "bootstrap_tarball_compression",
    "buildmodes",
    "file_permissions",
    "install_dir",
    "iso_application",
    "iso_label",
    "iso_name",
    "iso_publisher",
    "iso_version",
    "packages",
    "pacman_conf",
];
/// Variables that mkarchiso assigns after the profile was sourced, whatever the profile set.
const ASSIGNED_LATER: [&str; 5] = ["bootstrap_packages", "out_dir", "packages", "pacman_conf", "work_dir"];
/// Bash's variables that change by themselves, or by being used as they should be.
const VOLATILE: [&str; 39] = [
    "BASHOPTS",
    "BASHPID",
    "BASH_ALIASES",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_ARGV0",
    "BASH_CMDS",
    "BASH_COMMAND",
    "BASH_EXECUTION_STRING",
    "BASH_LINENO",
    "BASH_MONOSECONDS",
    "BASH_REMATCH",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_TRAPSIG",
    "COLUMNS",
    "COMP_WORDBREAKS",
    "COPROC",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "LINENO",
    "LINES",
    "MAPFILE",
    "OLDPWD",
    "OPTARG",
    "OPTIND",
    "PIPESTATUS",
    "POSIXLY_CORRECT",
    "RANDOM",
    "REPLY",
    "SECONDS",
    "SHELLOPTS",
    "SRANDOM",
    "PPID",
    "_",
];
/// The file that all of it is about.
const FILE: &str = "profiledef.sh";

/// A definition, and what else the variables say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Defined {
    pub(super) definition: Definition,
    /// The folder that the shell was in at the end, to which mkarchiso resolves paths; empty if it is not known.
    pub(super) folder: PathBuf,
    /// The value of `packages`; empty if it is not set.
    pub(super) packages: String,
    /// The value of `bootstrap_packages`; empty if it is not set.
    pub(super) bootstrap_packages: String,
    pub(super) warnings: Vec<ProfileWarning>,
}

/// `source` is the text of `profiledef.sh`, for the lines; `machine` is what `arch` is when it is not set (`uname -m`).
pub(super) fn define(answer: &Answer, source: &str, machine: &str) -> Defined {
    let mut reader = Reader { variables: &answer.after, lines: lines(source), warnings: Vec::new() };
    let (file_permissions, misread) = reader.file_permissions();
    let mut unknown = reader.unknown(answer);
    unknown.extend(misread);
    let internal = reader.internal(answer);
    reader.lost(answer);
    reader.read_only();
    if reader.text("pacman_conf").is_empty() {
        let text = "pacman_conf is not set: mkarchiso 88 ends at that (realpath of an empty path), although its documentation \
                    promises /etc/pacman.conf";
        reader.warn("pacman_conf", text.to_owned());
    }
    let or = |value: String, default: &str| if value.is_empty() { default.to_owned() } else { value };
    let list_or = |value: Vec<String>, default: &str| if value.is_empty() { vec![default.to_owned()] } else { value };
    let mut compression = reader.list("bootstrap_tarball_compression");
    compression.retain(|word| !word.is_empty());
    let definition = Definition {
        iso_name: or(reader.text("iso_name"), "mkarchiso"),
        iso_label: or(reader.text("iso_label"), "MKARCHISO"),
        iso_publisher: or(reader.text("iso_publisher"), "mkarchiso"),
        iso_application: or(reader.text("iso_application"), "mkarchiso iso"),
        iso_version: reader.text("iso_version"),
        install_dir: or(reader.text("install_dir"), "mkarchiso"),
        build_modes: list_or(reader.list("buildmodes"), "iso"),
        boot_modes: reader
            .list("bootmodes")
            .into_iter()
            .map(|word| BootMode { kind: boot_mode(&word), word })
            .collect(),
        arch: or(reader.text("arch"), machine),
        pacman_conf: PathBuf::from(or(reader.text("pacman_conf"), "/etc/pacman.conf")),
        image_type: image_type(&or(reader.text("airootfs_image_type"), "squashfs")),
        image_tool_options: reader.list("airootfs_image_tool_options"),
        bootstrap_compression: list_or(compression, "cat"),
        file_permissions,
        pkg_list: reader.list("pkg_list"),
        bootstrap_pkg_list: reader.list("bootstrap_pkg_list"),
        internal,
        unknown,
        lines: std::mem::take(&mut reader.lines),
    };
    let (packages, bootstrap_packages) = (reader.text("packages"), reader.text("bootstrap_packages"));
    let folder = PathBuf::from(reader.text("PWD"));
    Defined { definition, folder, packages, bootstrap_packages, warnings: reader.warnings }
}

/// The mode that a word of `bootmodes` means; mkarchiso replaces the older words by these since version 86.
fn boot_mode(word: &str) -> Option<BootModeKind> {
    match word {
        "bios.syslinux" | "bios.syslinux.mbr" | "bios.syslinux.eltorito" => Some(BootModeKind::BiosSyslinux),
        "uefi.grub"
        | "uefi-x64.grub.esp"
        | "uefi-x64.grub.eltorito"
        | "uefi-ia32.grub.esp"
        | "uefi-ia32.grub.eltorito" => Some(BootModeKind::UefiGrub),
        "uefi.systemd-boot"
        | "uefi-x64.systemd-boot.esp"
        | "uefi-x64.systemd-boot.eltorito"
        | "uefi-ia32.systemd-boot.esp"
        | "uefi-ia32.systemd-boot.eltorito" => Some(BootModeKind::UefiSystemdBoot),
        _ => None,
    }
}

fn image_type(word: &str) -> ImageType {
    match word {
        "squashfs" => ImageType::Squashfs,
        "erofs" => ImageType::Erofs,
        "ext4+squashfs" => ImageType::Ext4Squashfs,
        other => ImageType::Unknown(other.to_owned()),
    }
}

struct Reader<'a> {
    variables: &'a Variables,
    lines: BTreeMap<String, usize>,
    warnings: Vec<ProfileWarning>,
}

impl Reader<'_> {
    fn warn(&mut self, name: &str, text: String) {
        let line = self.lines.get(name).copied();
        self.warnings.push(ProfileWarning { file: PathBuf::from(FILE), line, text });
    }

    fn get(&self, name: &str) -> Option<&BashVariable> {
        let mut found = self.variables.get(name)?;
        // A reference (`declare -n`) names another variable; a chain of them ends soon or never.
        for _ in 0..8 {
            if !found.attributes.contains('n') {
                break;
            }
            found = self.variables.get(found.value.scalar())?;
        }
        Some(found)
    }

    fn text(&self, name: &str) -> String {
        self.get(name).map(|it| it.value.scalar().to_owned()).unwrap_or_default()
    }

    fn list(&self, name: &str) -> Vec<String> {
        self.get(name).map(|it| it.value.list()).unwrap_or_default()
    }

    /// The permissions, and the entries that are none, by the name under which they are kept.
    fn file_permissions(&mut self) -> (BTreeMap<String, FilePermission>, BTreeMap<String, String>) {
        let (mut good, mut bad) = (BTreeMap::new(), BTreeMap::new());
        let entries = match self.get("file_permissions").map(|it| it.value.clone()) {
            Some(BashValue::Associative(entries)) => entries,
            None | Some(BashValue::Unset) => BTreeMap::new(),
            Some(other) => {
                let text = format!(
                    "file_permissions is no associative array any more but {}; mkarchiso takes the keys for paths",
                    other.shown()
                );
                self.warn("file_permissions", text);
                bad.insert("file_permissions".to_owned(), other.shown());
                BTreeMap::new()
            }
        };
        for (path, value) in entries {
            match permission(&value) {
                Ok(permission) => {
                    good.insert(path, permission);
                }
                Err(why) => {
                    let name = format!("file_permissions[{path}]");
                    self.warn(&name, format!("\"{value}\" for {path} is not owner:group:mode: {why}"));
                    bad.insert(name, value);
                }
            }
        }
        (good, bad)
    }

    fn unknown(&mut self, answer: &Answer) -> BTreeMap<String, String> {
        let is_unknown =
            |name: &str| !answer.before.contains_key(name) && !VOLATILE.contains(&name) && !DOCUMENTED.contains(&name);
        let unknown: BTreeMap<String, String> = (self.variables.iter())
            .filter(|(name, _)| is_unknown(name))
            .map(|(name, it)| (name.clone(), it.value.shown()))
            .collect();
        for name in unknown.keys() {
            let unset = |known: &&&str| self.list(known).iter().all(String::is_empty);
            let near = |known: &&&str| name.len() > 4 && strsim::damerau_levenshtein(name, known) <= 2;
            if let Some(known) = DOCUMENTED.iter().filter(unset).find(near) {
                self.warn(name, format!("archiso knows no {name}; {known} is not set, did you mean that?"));
            }
        }
        unknown
    }

    fn internal(&mut self, answer: &Answer) -> BTreeMap<String, String> {
        let mut changed = BTreeMap::new();
        for (name, before) in &answer.before {
            if VOLATILE.contains(&name.as_str()) || DOCUMENTED.contains(&name.as_str()) {
                continue;
            }
            let now = self.variables.get(name);
            if now.map(|it| &it.value) == Some(&before.value) {
                continue;
            }
            let value = now.map(|it| it.value.shown()).unwrap_or_default();
            if name == "pkg_list" || name == "bootstrap_pkg_list" {
                self.warn(name, format!("{name} is set here; mkarchiso installs that too, but does not document it"));
            } else {
                self.warn(name, format!("changes {name}, which mkarchiso or bash itself uses, to \"{value}\""));
                changed.insert(name.clone(), value);
            }
        }
        changed
    }

    /// `declare` and `local` inside a function make variables that end with it; mkarchiso sources the profile in one.
    fn lost(&mut self, answer: &Answer) {
        for name in DOCUMENTED {
            let (inside, after) = (answer.inside.get(name), answer.after.get(name));
            if inside.map(|it| &it.value) != after.map(|it| &it.value) {
                let text = format!(
                    "{name} is declared here (declare, typeset or local) and mkarchiso, which sources this file in a function, never sees \
                     it; write {name}=… alone"
                );
                self.warn(name, text);
            }
        }
    }

    fn read_only(&mut self) {
        for name in ASSIGNED_LATER {
            if self.variables.get(name).is_some_and(|it| it.attributes.contains('r')) {
                self.warn(name, format!("{name} is read-only, and mkarchiso ends when it assigns it"));
            }
        }
    }
}

/// `owner:group:mode`. chown(1) takes names, which only the building host could resolve; `root` is root everywhere.
fn permission(value: &str) -> Result<FilePermission, &'static str> {
    let mut parts = value.split(':');
    let mut id = |missing, wrong| {
        let part = parts.next().ok_or(missing)?;
        if part == "root" { Ok(0) } else { part.parse::<u32>().map_err(|_| wrong) }
    };
    let uid = id("the owner is missing", "the owner must be a number")?;
    let gid = id("the group is missing", "the group must be a number")?;
    let mode = parts.next().ok_or("the mode is missing, and mkarchiso ends at that")?;
    let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777);
    Ok(FilePermission { uid, gid, mode: mode.ok_or("the mode must be octal, at most 7777")? })
}

/// What bash complained about while it went on: each with its place.
pub(super) fn complaints(said: &super::complaint::Said, dir: &Path) -> Vec<ProfileWarning> {
    let relative = |file: &Path| file.strip_prefix(dir).unwrap_or(file).to_path_buf();
    let of = |it: &super::complaint::Complaint| ProfileWarning {
        file: relative(&it.file),
        line: Some(it.line),
        text: format!("bash says: {}", it.words.replace('\n', " ")),
    };
    said.complaints.iter().filter(|it| !it.is_ours()).map(of).collect()
}

#[cfg(test)]
mod tests;
