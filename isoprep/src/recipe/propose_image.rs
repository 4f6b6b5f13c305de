//! Decides what the image of a repository with archiso in it is made from: base, overlays, what is removed, pacman.conf,
//! packages. Pure.

use std::path::{Path, PathBuf};

use super::base::MINIMAL;
use super::model::{EngineKind, INSTALLED_PROFILES};
use super::package_values;
use super::proposal::{Proposed, ProposedKind, shown};
use super::values;
use crate::discover::{Discovered, FoundConf, FoundOverlay, FoundProfile, Reach, Said, Submodule};

/// A proposed setting.
pub(super) fn set(kind: ProposedKind, key: &str, value: impl Into<String>, why: String, from: &[&Path]) -> Proposed {
    let from = from.iter().map(|path| (*path).to_owned()).collect();
    Proposed { key: key.to_owned(), item: None, value: value.into(), why, from, command: None, kind }
}

/// Something to know about a field, or about no field.
pub(super) fn warn(key: &str, why: String, from: &[&Path]) -> Proposed {
    set(ProposedKind::Warning, key, "", why, from)
}

/// A path as `cartridge.toml` can name it.
pub(super) fn nameable(path: &Path) -> Option<String> {
    let text = if path.as_os_str().is_empty() { "." } else { path.to_str()? };
    // The words that name other bases are folders with a dot before them.
    let word = !text.contains('/') && text != ".";
    let text =
        if word && [MINIMAL, "releng", "baseline"].contains(&text) { format!("./{text}") } else { text.to_owned() };
    values::inside(&text, Path::new("/repository")).is_ok().then_some(text)
}

/// All settings of `[image]` that are about the profile, and the warnings that go with them.
pub(super) fn settings(found: &Discovered) -> Vec<Proposed> {
    let base = choose(&found.profiles);
    let overlays = overlays(found, base);
    let mut settings = vec![engine(found, base, &overlays)];
    settings.extend(bases(found, base));
    settings.extend(overlay_settings(&overlays, base));
    settings.extend(removed(found, base));
    settings.extend(conf(found, base, &overlays));
    settings.extend(packages(found));
    settings
}

fn engine(found: &Discovered, base: Option<&FoundProfile>, overlays: &[&FoundOverlay]) -> Proposed {
    let (what, from) = match (base, overlays.first()) {
        (Some(profile), _) => ("is an archiso profile", profile.dir.as_path()),
        (None, Some(overlay)) => ("is laid out as an archiso profile", overlay.dir.as_path()),
        (None, None) => {
            let archiso = found.submodules.iter().find(|submodule| submodule.holds_archiso);
            ("is archiso", archiso.map_or(Path::new(""), |submodule| submodule.path.as_path()))
        }
    };
    let who = if from.as_os_str().is_empty() { "the repository itself".to_owned() } else { shown(from) };
    let why = format!("{who} {what}");
    set(ProposedKind::Found, "image.engine", EngineKind::Archiso.word(), why, &[from])
}

/// The profile to build: one's own before archiso's, releng before its others, none of a test before any other.
fn choose(profiles: &[FoundProfile]) -> Option<&FoundProfile> {
    let nameable = profiles.iter().filter(|profile| nameable(&profile.dir).is_some());
    nameable.min_by_key(|profile| {
        let depth = profile.dir.components().count();
        (profile.sample, profile.upstream, !profile.dir.ends_with("releng"), depth, &profile.dir)
    })
}

fn bases(found: &Discovered, base: Option<&FoundProfile>) -> Vec<Proposed> {
    const KEY: &str = "image.base";
    let mut settings = Vec::new();
    let missing: Vec<_> = found.submodules.iter().filter(|submodule| !submodule.fetched).collect();
    let unfetched = missing.iter().find(|submodule| submodule.holds_archiso);
    let until =
        unfetched.map(|it| format!(", and the submodule {} was not fetched", shown(&it.path))).unwrap_or_default();
    match (base, &found.installed) {
        (Some(profile), _) => settings.extend(found_base(&found.profiles, profile)),
        (None, Some(installed)) => {
            let word = installed.profile.word();
            let why = format!(
                "no whole profile is here{until}; the package archiso has this one: {INSTALLED_PROFILES}/{word}"
            );
            settings.push(set(ProposedKind::Assumed, KEY, word, why, &[]));
        }
        (None, None) => {
            let why =
                format!("no whole profile is here{until}, and archiso is not installed: this one comes with Cartridge");
            settings.push(set(ProposedKind::Assumed, KEY, MINIMAL, why, &[]));
        }
    }
    settings.extend(missing.iter().map(|submodule| unfetched_submodule(submodule, found.has_git, base.is_none())));
    for profile in found.profiles.iter().filter(|profile| nameable(&profile.dir).is_none()) {
        settings.push(unnameable("profile", &profile.dir));
    }
    settings
}

fn found_base(profiles: &[FoundProfile], base: &FoundProfile) -> Vec<Proposed> {
    const KEY: &str = "image.base";
    let Some(value) = nameable(&base.dir) else { return Vec::new() };
    let list = base.packages.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let why = match base.upstream {
        true => format!("archiso's own profile, in a copy of archiso: it has profiledef.sh and {list}"),
        false => format!("a whole profile: it has profiledef.sh and {list}"),
    };
    let rivals: Vec<_> = profiles
        .iter()
        .filter(|other| other.dir != base.dir && (other.upstream, other.sample) == (base.upstream, base.sample))
        .filter(|other| !other.upstream && nameable(&other.dir).is_some())
        .collect();
    let kind = if rivals.is_empty() && !base.sample { ProposedKind::Found } else { ProposedKind::Assumed };
    let mut settings = vec![set(kind, KEY, value, why, &[&base.dir])];
    if !base.others.is_empty() {
        let names: Vec<_> = base.others.iter().map(|other| shown(other)).collect();
        let why = format!(
            "archiso looks for a list of packages called packages.{}, and here is {}, which a script of the repository \
             copies there: do so before a build, or write packages={list:?} into profiledef.sh",
            base.packages.extension().unwrap_or_default().to_string_lossy(),
            names.join(", ")
        );
        let from: Vec<_> = base.others.iter().map(PathBuf::as_path).collect();
        settings.push(warn(KEY, why, &from));
    }
    if !rivals.is_empty() {
        let names: Vec<_> = rivals.iter().map(|other| shown(&other.dir)).collect();
        let why = format!("there are other whole profiles: {}; image.base names the one to build", names.join(", "));
        let from: Vec<_> = rivals.iter().map(|other| other.dir.as_path()).collect();
        settings.push(warn(KEY, why, &from));
    }
    settings
}

fn unfetched_submodule(submodule: &Submodule, has_git: bool, wanted: bool) -> Proposed {
    let (path, command) = (shown(&submodule.path), submodule.command(has_git));
    let then = match submodule.holds_archiso && wanted {
        true => format!("; then base = {:?} is there", format!("{path}/configs/releng")),
        false => String::new(),
    };
    let why = format!("{path} is a submodule that was not fetched; in the repository run: {command}{then}");
    let key = if submodule.holds_archiso { "image.base" } else { "" };
    Proposed { command: Some(command), ..warn(key, why, &[&submodule.path]) }
}

fn unnameable(what: &str, path: &Path) -> Proposed {
    let why =
        format!("the {what} {} cannot be named in cartridge.toml: its name is not plain text; rename it", shown(path));
    warn("", why, &[path])
}

/// The overlays that count: none of a test unless there are no others, none inside a profile that is not the base.
fn overlays<'a>(found: &'a Discovered, base: Option<&FoundProfile>) -> Vec<&'a FoundOverlay> {
    let elsewhere = |dir: &Path| {
        let others = found.profiles.iter().filter(|profile| base.is_none_or(|base| base.dir != profile.dir));
        others.into_iter().any(|profile| dir.starts_with(&profile.dir) && !profile.dir.as_os_str().is_empty())
    };
    found.overlays.iter().filter(|overlay| !overlay.sample && !elsewhere(&overlay.dir)).collect()
}

fn overlay_settings(overlays: &[&FoundOverlay], base: Option<&FoundProfile>) -> Vec<Proposed> {
    let alone = overlays.len() == 1 && base.is_none_or(|base| base.upstream);
    let kind = if alone { ProposedKind::Found } else { ProposedKind::Assumed };
    let mut settings = Vec::new();
    for overlay in overlays {
        let Some(value) = nameable(&overlay.dir) else {
            settings.push(unnameable("overlay", &overlay.dir));
            continue;
        };
        let order = if overlays.len() > 1 { "; overlays are laid in the order of this list" } else { "" };
        let why =
            format!("laid out as a profile without being a whole one: it has {}{order}", overlay.signs.join(", "));
        settings.push(set(kind, "image.overlays", value, why, &[&overlay.dir]));
    }
    settings
}

fn removed(found: &Discovered, base: Option<&FoundProfile>) -> Vec<Proposed> {
    let removable = match (base, &found.installed) {
        (Some(base), _) => base.removable.as_slice(),
        (None, Some(installed)) => installed.removable.as_slice(),
        (None, None) => &[],
    };
    let said = |path: &PathBuf| found.scripts.removed.iter().find(|said| Path::new(&said.what) == path);
    let setting = |path: &PathBuf| {
        let (said, value) = (said(path)?, nameable(path)?);
        let why = format!("{} removes it from the profile", place(said));
        Some(set(ProposedKind::Found, "image.remove", value, why, &[&said.file]))
    };
    removable.iter().filter_map(setting).collect()
}

/// Where a script says something.
pub(super) fn place(said: &Said) -> String {
    format!("{}:{}", shown(&said.file), said.line)
}

/// The pacman.conf to build with, where it is not the one that the profile names anyway.
fn conf(found: &Discovered, base: Option<&FoundProfile>, overlays: &[&FoundOverlay]) -> Vec<Proposed> {
    const KEY: &str = "image.pacman_conf";
    let near = |conf: &FoundConf| {
        let dir = conf.file.parent().unwrap_or(Path::new(""));
        overlays.iter().any(|overlay| overlay.dir == dir) || base.is_some_and(|base| base.dir == dir)
    };
    let candidates = found.pacman_confs.iter().filter(|conf| nameable(&conf.file).is_some());
    let mut confs: Vec<_> = candidates.filter(|conf| near(conf) || conf.is_called_online()).collect();
    confs.sort_by_key(|conf| (conf.preference(), !near(conf), conf.file.components().count(), &conf.file));
    let own = own_conf(found, base, overlays);
    let Some((best, others)) = confs.split_first() else { return Vec::new() };
    if best.reach == Reach::Offline {
        // Where the profile has its own for a network, an offline one beside it is for the installed system.
        let offline = own.filter(|own| own.reach == Reach::Offline).map(|own| {
            let why =
                format!("{} takes packages from this machine alone (file://): it must have them", shown(&own.file));
            warn(KEY, why, &[&own.file])
        });
        return offline.into_iter().collect();
    }
    let why = match own {
        Some(own) if own.file == best.file => return Vec::new(),
        Some(own) if own.reach == Reach::Offline => {
            format!("the one for a network; {} takes packages from this machine alone (file://)", shown(&own.file))
        }
        _ if best.is_called_online() => "the one for a network, by its name".to_owned(),
        _ => return Vec::new(),
    };
    let rivals: Vec<_> = others.iter().filter(|conf| conf.is_called_online()).map(|conf| shown(&conf.file)).collect();
    let (kind, why) = match rivals.is_empty() {
        true => (ProposedKind::Found, why),
        false => (ProposedKind::Assumed, format!("{why}; there are also {}", rivals.join(", "))),
    };
    let why = format!("{why}; its repositories: {}", best.repositories.join(", "));
    nameable(&best.file).map(|value| set(kind, KEY, value, why, &[&best.file])).into_iter().collect()
}

/// The pacman.conf that the assembled profile names, if it is in the repository.
fn own_conf<'a>(
    found: &'a Discovered,
    base: Option<&FoundProfile>,
    overlays: &[&FoundOverlay],
) -> Option<&'a FoundConf> {
    let named = overlays.iter().rev().find_map(|overlay| overlay.pacman_conf.as_deref());
    let named = named.or(base.and_then(|base| base.pacman_conf.as_deref())).unwrap_or("pacman.conf");
    let dirs = overlays.iter().rev().map(|overlay| overlay.dir.as_path()).chain(base.map(|base| base.dir.as_path()));
    dirs.into_iter().find_map(|dir| found.pacman_confs.iter().find(|conf| conf.file == dir.join(named)))
}

fn packages(found: &Discovered) -> Vec<Proposed> {
    const KEY: &str = "image.packages";
    let setting = |said: &Said| {
        let value = package_values::package(&said.what, EngineKind::Archiso).ok()?;
        let why = format!("{} adds to the list of packages", shown(&said.file));
        Some(set(ProposedKind::Found, KEY, value, why, &[&said.file]))
    };
    let mut settings: Vec<_> = found.scripts.packages.iter().filter_map(setting).collect();
    for said in &found.scripts.computed_packages {
        let why = format!(
            "{} also adds {}, which only the script knows: add it by hand",
            place(said),
            shown(Path::new(&said.what))
        );
        settings.push(warn(KEY, why, &[&said.file]));
    }
    settings
}
