//! Rules about `pacman.conf`. mkarchiso hands it to `pacman-conf` in a pipe and does not look whether that failed: the
//! build then runs with an empty configuration.

use std::path::{Path, PathBuf};

use super::edit::Edit;
use super::finding::LintFinding;
use super::known::Known;
use super::repositories::{other_conf, with_conf};
use super::rule::Rule;
use crate::profile::{Directive, PacmanConf, Repository};
use crate::stage::packages::pacman::decoded;

pub(super) const RULES: &[Rule] = &[
    Rule::new("include-missing", "an Include that matches no file", include_missing),
    Rule::new("repository-missing", "a file:// repository that is not there", repository_missing),
    Rule::new("repository-without-server", "a repository without a server", without_server),
    Rule::new("repositories-none", "a pacman.conf without a repository", none),
    Rule::new("pacman-option-ignored", "an option of pacman.conf that mkarchiso does not use", ignored),
];

fn include_missing(known: &Known<'_>) -> Vec<LintFinding> {
    let conf = &known.profile().pacman_conf;
    let supplied = |value: &str| known.subject.supplied.iter().any(|file| file == Path::new(value));
    let mut found = Vec::new();
    for include in conf.missing_includes.iter().filter(|include| !supplied(&include.value)) {
        let place = known.at_file(&include.file, Some(include.line));
        let what = format!("Include = {} matches no file on the machine that builds.", include.value);
        let consequence = "pacman-conf ends with \"could not be read\"; mkarchiso does not notice, and pacstrap \
            stops with \"no \
                           usable package repositories configured\".";
        let finding = LintFinding::error(place.clone(), what, consequence);
        // A mirror list is what the cartridge can give; anything else is left out.
        found.push(if include.value.ends_with("/mirrorlist") {
            let mirror = "https://geo.mirror.pkgbuild.com/$repo/os/$arch";
            let edit = Edit::SetCartridgeField { key: "image.mirror".to_owned(), value: mirror.to_owned() };
            finding.fixed_by(format!("Take packages from {mirror}"), Some(edit))
        } else if serves(conf, include) {
            finding
        } else {
            finding.fixed_by("Remove the line", known.remove_line(&place))
        });
    }
    found
}

/// Whether a repository has no other servers than those that an `Include` would bring.
fn serves(conf: &PacmanConf, include: &Directive) -> bool {
    let before = conf.repositories.iter().filter(|it| it.file == include.file && it.line < include.line);
    before.max_by_key(|it| it.line).is_some_and(|repository| repository.servers.is_empty())
}

/// The folder of a `file://` server, if only the host can know it.
fn folder(known: &Known<'_>, repository: &Repository, server: &Directive) -> Option<PathBuf> {
    let path = decoded(server.value.strip_prefix("file://")?);
    Some(PathBuf::from(path.replace("$repo", &repository.name).replace("$arch", &known.profile().definition.arch)))
}

fn repository_missing(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for repository in &known.profile().pacman_conf.repositories {
        let folders: Vec<Option<PathBuf>> =
            repository.servers.iter().map(|server| folder(known, repository, server)).collect();
        let database = |folder: &PathBuf| known.subject.host.exists(&folder.join(format!("{}.db", repository.name)));
        // pacman takes the first server that answers.
        let Some((server, Some(folder))) = repository.servers.first().zip(folders.first()) else { continue };
        if folders.iter().any(|folder| folder.as_ref().is_none_or(database)) {
            continue;
        }
        let there = known.subject.host.exists(folder);
        let missing = if there {
            format!("no {}.db in {}", repository.name, folder.display())
        } else {
            format!("no folder {}", folder.display())
        };
        let place = known.at_file(&server.file, Some(server.line));
        let what = format!("The repository [{}] is {}, and there is {missing}.", repository.name, server.value);
        let consequence = if there {
            "pacstrap stops the build with \"failed retrieving file\"; repo-add makes the database."
        } else {
            "pacstrap stops the build with \"failed retrieving file … from disk\"."
        };
        let finding = LintFinding::error(place, what, consequence);
        found.push(match other_conf(known, |_| true) {
            Some(file) => with_conf(finding, &file),
            None => finding,
        });
    }
    found
}

fn without_server(known: &Known<'_>) -> Vec<LintFinding> {
    let conf = &known.profile().pacman_conf;
    let mut found = Vec::new();
    for repository in conf.repositories.iter().filter(|it| it.servers.is_empty()) {
        // An Include that matches nothing is said already, and one of the engine's own brings servers.
        let next = conf
            .repositories
            .iter()
            .filter(|it| it.file == repository.file && it.line > repository.line)
            .map(|it| it.line)
            .min();
        let inside = |include: &&Directive| {
            include.file == repository.file
                && include.line > repository.line
                && next.is_none_or(|next| include.line < next)
        };
        if conf.missing_includes.iter().any(|include| inside(&include)) {
            continue;
        }
        let what = format!("The repository [{}] has no Server.", repository.name);
        let consequence = "pacstrap stops the build with \"no servers configured for repository\".";
        found.push(LintFinding::error(known.at_file(&repository.file, Some(repository.line)), what, consequence));
    }
    found
}

fn none(known: &Known<'_>) -> Vec<LintFinding> {
    let conf = &known.profile().pacman_conf;
    if !conf.repositories.is_empty() || !conf.missing_includes.is_empty() || !known.is_there(&conf.file) {
        return Vec::new();
    }
    let what = "pacman.conf has no repository.";
    let consequence = "pacstrap stops the build with \"no usable package repositories configured\".";
    vec![LintFinding::error(known.at_file(&conf.file, None), what, consequence)]
}

fn ignored(known: &Known<'_>) -> Vec<LintFinding> {
    const IGNORED: [&str; 4] = ["DBPath", "HookDir", "LogFile", "RootDir"];
    let options = known.profile().pacman_conf.options.iter().filter(|option| IGNORED.contains(&option.key.as_str()));
    let note = |option: &Directive| {
        let place = known.at_file(&option.file, Some(option.line));
        let what = format!("{} is set.", option.key);
        let consequence = if option.key == "HookDir" {
            "mkarchiso takes it out: hooks are read from airootfs/etc/pacman.d/hooks and from what packages bring."
        } else {
            "mkarchiso takes it out, since it would mean the machine that builds."
        };
        LintFinding::note(place.clone(), what, consequence).fixed_by("Remove the line", known.remove_line(&place))
    };
    options.map(note).collect()
}
