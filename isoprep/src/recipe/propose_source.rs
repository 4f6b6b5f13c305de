//! Decides what of a repository goes where in the live system: where it is put, what is left out, its environment file, and
//! the disk that an installer needs. Pure.

use std::path::{Path, PathBuf};

use super::model::EngineKind;
use super::proposal::{Proposed, ProposedKind, shown};
use super::propose_image::{nameable, place, set, warn};
use super::values;
use crate::discover::{self, Discovered, Environment, OutputKind, Said, SaidPath};

/// The disk that is proposed for an installer: what Arch with a desktop needs, with room.
const DISK: &str = "40G";

/// All settings of `[source]`, the files and the environment of `[image]`, and the disk of `[guest]`.
pub(super) fn settings(dir_name: &str, found: &Discovered) -> Vec<Proposed> {
    let (environment, mut settings) = environment(found);
    let (into, about_into) = into(dir_name, found, environment);
    settings.extend(about_into);
    settings.extend(environment.into_iter().flat_map(|it| of_environment(it, found, &into)));
    settings.extend(excluded(found));
    if let Some(said) = &found.scripts.installer {
        let why = format!("{} installs with {}: it needs a disk to install to", place(said), said.what);
        settings.push(set(ProposedKind::Assumed, "guest.disk", DISK, why, &[&said.file]));
    }
    if !found.unreadable.is_empty() {
        let (count, first) =
            (found.unreadable.len(), found.unreadable.first().map(|path| shown(path)).unwrap_or_default());
        let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        let from: Vec<_> = found.unreadable.iter().map(PathBuf::as_path).take(10).collect();
        settings.push(warn("", format!("{first}{more} could not be read: what is in there is not known"), &from));
    }
    if found.cut {
        let why = "the repository is so large that only a part of it was looked at; what lies deep may be missing here";
        settings.push(warn("", why.to_owned(), &[]));
    }
    settings
}

/// The environment file that is about the live system, and what to know about others.
fn environment(found: &Discovered) -> (Option<&Environment>, Vec<Proposed>) {
    let mentioned = |it: &Environment| mention(it, found).is_some();
    let mut all: Vec<_> = found.environments.iter().filter(|it| nameable(&it.file).is_some()).collect();
    all.sort_by_key(|it| (!it.about_the_guest, !mentioned(it), it.file.components().count(), &it.file));
    let (taken, others) = match all.split_first() {
        Some((first, others)) if first.about_the_guest || mentioned(first) => (Some(*first), others),
        _ => (None, all.as_slice()),
    };
    let other = |it: &&Environment| {
        let why = format!("{} only sets variables too; it was not taken as the live system's", shown(&it.file));
        warn("image.env", why, &[&it.file])
    };
    (taken, others.iter().map(other).collect())
}

/// Where the scripts expect a copy of an environment file in the live system.
fn mention<'a>(environment: &Environment, found: &'a Discovered) -> Option<&'a Said> {
    let name = environment.file.file_name()?;
    found.scripts.mentions.iter().find(|said| Path::new(&said.what).file_name() == Some(name))
}

/// Where the repository is put, and why.
fn into(dir_name: &str, found: &Discovered, environment: Option<&Environment>) -> (PathBuf, Vec<Proposed>) {
    const KEY: &str = "source.into";
    let name = values::safe_name(dir_name);
    let usual = Path::new("/root").join(&name);
    let usable = |path: &str| values::guest_folder(path, EngineKind::Archiso).ok();
    let is_place = |variable: &str| ["_PATH", "_DIR", "_ROOT", "_HOME"].iter().any(|end| variable.ends_with(end));
    if let Some(environment) = environment {
        let places = environment.variables.iter().filter(|it| is_place(&it.name));
        let mut places: Vec<_> = places.filter_map(|it| Some((it, usable(discover::place(&it.value)?)?))).collect();
        // The one that is called like the repository, else the one that holds the others.
        places.sort_by_key(|(_, path)| (path.file_name() != usual.file_name(), path.components().count()));
        if let Some((variable, path)) = places.first() {
            let file = shown(&environment.file);
            let why = format!("{file}:{} sets {} to it", variable.line, variable.name);
            let mut settings =
                vec![set(ProposedKind::Found, KEY, path.display().to_string(), why, &[&environment.file])];
            settings.extend(contradictions(found, &variable.name, path));
            return (path.clone(), settings);
        }
    }
    let said = found.scripts.paths.iter().map(|it| &it.said).chain(&found.scripts.mentions);
    let said: Vec<_> = said.filter_map(|it| Some((it, usable(&it.what)?))).collect();
    let called_so = |path: &&Path| path.file_name() == usual.file_name();
    // Also of a file below it: the place is the part that ends with the name.
    let places = said.iter().flat_map(|(said, path)| path.ancestors().filter(called_so).map(move |path| (said, path)));
    if let Some((said, path)) = places.min_by_key(|(said, path)| (*path != usual, &said.file, said.line)) {
        let why = format!("{} expects the repository there", place(said));
        let setting = set(ProposedKind::Found, KEY, path.display().to_string(), why, &[&said.file]);
        return (path.to_owned(), vec![setting]);
    }
    // What lies below /usr comes from a package as a rule.
    let elsewhere = found.scripts.paths.iter().filter(|it| it.live && !it.said.what.starts_with("/usr/"));
    let mut warnings: Vec<_> = elsewhere.map(|it| expects(it, &usual)).collect();
    warnings.truncate(3);
    (usual, warnings)
}

/// Scripts of the live system that look for the repository elsewhere, whatever the environment says.
fn contradictions(found: &Discovered, variable: &str, into: &Path) -> Vec<Proposed> {
    let live = found.scripts.paths.iter().filter(|it| it.live && !it.fallback && it.variable == variable);
    live.filter(|it| !Path::new(&it.said.what).starts_with(into)).map(|it| expects(it, into)).collect()
}

fn expects(it: &SaidPath, into: &Path) -> Proposed {
    let (place, variable, there) = (place(&it.said), &it.variable, shown(Path::new(&it.said.what)));
    let why = format!(
        "{place} of the live system sets {variable} to {there}, but the repository is put in {}",
        into.display()
    );
    warn("source.into", why, &[&it.said.file])
}

/// The variables of an environment file, and the file itself where a script wants it.
fn of_environment(environment: &Environment, found: &Discovered, into: &Path) -> Vec<Proposed> {
    let file = shown(&environment.file);
    let mut settings = Vec::new();
    if let (Some(said), Some(value)) = (mention(environment, found), nameable(&environment.file)) {
        let to = values::guest_file(&said.what, into, EngineKind::Archiso).ok();
        if let Some(to) = to.filter(|to| !to.starts_with(into)) {
            let why = format!("{} expects it there", place(said));
            let setting = set(ProposedKind::Found, "image.files", value, why, &[&environment.file, &said.file]);
            settings.push(Proposed { item: Some(to.display().to_string()), ..setting });
        }
    }
    for variable in environment.variables.iter().filter(|it| values::variable(&it.name).is_ok()) {
        let why = format!("{file} sets it");
        let setting = set(ProposedKind::Found, "image.env", &variable.value, why, &[&environment.file]);
        settings.push(Proposed { item: Some(variable.name.clone()), ..setting });
    }
    let mut unread = |names: &[String], what: &str| {
        if !names.is_empty() {
            let why = format!("{file} also sets {}, {what}", names.join(", "));
            settings.push(warn("image.env", why, &[&environment.file]));
        }
    };
    unread(&environment.computed, "whose value only a shell knows: add it by hand");
    unread(&environment.secret, "which looks like a secret and was not copied");
    settings
}

/// What other builders left, as patterns.
fn excluded(found: &Discovered) -> Vec<Proposed> {
    let mut settings: Vec<Proposed> = Vec::new();
    for output in &found.outputs {
        let (kind, why) = match output.kind {
            OutputKind::Work => (ProposedKind::Found, "mkarchiso worked in it"),
            OutputKind::Images => (ProposedKind::Found, "a builder left images in it"),
            OutputKind::Empty => (ProposedKind::Assumed, "it is called as builders call their folders, and empty"),
            OutputKind::Image => (ProposedKind::Found, "an image is no part of another"),
            OutputKind::Machine => (ProposedKind::Found, "it belongs to a virtual machine and changes when that runs"),
        };
        let pattern = match (output.kind, output.path.extension().and_then(|end| end.to_str())) {
            (OutputKind::Image, Some(end)) => Some(format!("*.{end}")),
            _ => nameable(&output.path).map(|path| format!("/{}", escaped(&path))),
        };
        let Some(pattern) = pattern.filter(|pattern| values::pattern(pattern).is_ok()) else { continue };
        match settings.iter_mut().find(|other| other.value == pattern) {
            Some(other) => other.from.push(output.path.clone()),
            None => settings.push(set(kind, "source.exclude", pattern, why.to_owned(), &[&output.path])),
        }
    }
    settings
}

/// A path in which no character is a pattern (gitignore(5)).
fn escaped(path: &str) -> String {
    let special = |c: char| "*?[]{}\\!# ".contains(c);
    path.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}
