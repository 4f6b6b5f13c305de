//! Rules about package lists: what mkarchiso hands to pacman is not always what the file seems to say.
//!
//! mkarchiso reads a list with `sed '/^[[:blank:]]*#.*/d;s/#.*//;/^[[:blank:]]*$/d'`, a line a package. Comments go,
//! but blanks and carriage returns stay in the name, and pacman compares names letter by letter.

use std::collections::BTreeMap;

use super::edit::Edit;
use super::finding::{LintFinding, Place};
use super::known::Known;
use super::rule::Rule;
use crate::profile::{ListedPackage, PackageList};

pub(super) const RULES: &[Rule] = &[
    Rule::new("package-list-missing", "a list of packages that is not there or empty", missing),
    Rule::new("package-line-blanks", "blanks around a package's name, with or without a comment behind it", blanks),
    Rule::new("package-line-several", "several names on one line", several),
    Rule::new("package-list-carriage-returns", "Windows line ends in a list of packages", carriage_returns),
    Rule::new("package-twice", "a package that is listed twice", twice),
    Rule::new("package-not-found", "a package that no repository of pacman.conf has", not_found),
];

const NOT_FOUND: &str =
    "mkarchiso takes the blanks as part of the name, and pacstrap stops the build with \"target not found\".";

const TRIMS: &str = "Cartridge's own engine takes the name without them.";

/// The lists that the profile's build modes use.
fn lists<'a>(known: &Known<'a>) -> impl Iterator<Item = &'a PackageList> {
    let profile = known.profile();
    let bootstrap = profile.bootstrap_packages.as_ref().filter(|_| has_mode(known, "bootstrap"));
    std::iter::once(&profile.packages).filter(|_| makes_an_image(known)).chain(bootstrap)
}

fn has_mode(known: &Known<'_>, mode: &str) -> bool {
    known.profile().definition.build_modes.iter().any(|it| it == mode)
}

/// Whether a live system is made: mkarchiso's default is `iso`.
pub(super) fn makes_an_image(known: &Known<'_>) -> bool {
    known.profile().definition.build_modes.is_empty() || has_mode(known, "iso") || has_mode(known, "netboot")
}

fn missing(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    let profile = known.profile();
    let consequence = "mkarchiso stops before it begins.";
    for list in lists(known) {
        let place = known.at_file(&list.file, None);
        if !known.is_there(&list.file) {
            let arch = &profile.definition.arch;
            let what = format!("There is no list of packages: packages.{arch}, or packages.");
            found.push(LintFinding::error(place, what, consequence));
        } else if list.packages.is_empty() {
            found.push(LintFinding::error(place, "The list of packages names no package.", consequence));
        }
    }
    if has_mode(known, "bootstrap") && profile.bootstrap_packages.is_none() {
        let what = format!(
            "buildmodes has bootstrap, and there is neither bootstrap_packages.{} nor bootstrap_packages.",
            profile.definition.arch
        );
        let finding = LintFinding::error(known.at_variable("buildmodes"), what, consequence);
        found.push(finding.by_mkarchiso_alone(known.subject.engine, "Cartridge's own engine makes the ISO alone."));
    }
    found
}

/// What pacman gets, without the carriage return, which has a rule of its own.
fn raw(package: &ListedPackage) -> &str {
    package.raw.trim_end_matches('\r')
}

fn each<'a>(
    known: &Known<'a>,
    mut look: impl FnMut(&'a ListedPackage, Place) -> Option<LintFinding>,
) -> Vec<LintFinding> {
    let lines = lists(known).flat_map(|list| list.packages.iter().map(move |package| (list, package)));
    let lines = lines.filter(|(list, package)| !is_added(known, list, package));
    lines.filter_map(|(list, package)| look(package, known.at_file(&list.file, Some(package.line)))).collect()
}

/// Whether assembly put a package behind the user's list: it is the cartridge's, and its line is none of the user's.
pub(super) fn is_added(known: &Known<'_>, list: &PackageList, package: &ListedPackage) -> bool {
    let own = known.subject.packages.contains(&package.name);
    own && known.line(&known.at_file(&list.file, Some(package.line))).is_none_or(|line| !line.contains(&package.name))
}

fn blanks(known: &Known<'_>) -> Vec<LintFinding> {
    each(known, |package, place| {
        let (raw, name) = (raw(package), raw(package).trim());
        if raw == name {
            return None;
        }
        let what = if package.has_comment {
            format!("A comment follows {name} on its line: mkarchiso cuts it off and leaves {raw:?}, blanks included.")
        } else {
            format!("There are blanks around {name}: {raw:?}.")
        };
        let edit = known.replace(&place, |old| {
            let comment = old.find('#').map(|at| old[at..].to_owned());
            Some(comment.map_or(name.to_owned(), |comment| format!("{comment}\n{name}")))
        });
        let says = if package.has_comment { "Put the comment on a line of its own" } else { "Remove the blanks" };
        let finding = LintFinding::error(place, what, NOT_FOUND).by_mkarchiso_alone(known.subject.engine, TRIMS);
        Some(finding.fixed_by(says, edit))
    })
}

fn several(known: &Known<'_>) -> Vec<LintFinding> {
    each(known, |package, place| {
        let names: Vec<&str> = raw(package).split_whitespace().collect();
        if names.len() < 2 {
            return None;
        }
        let what = format!("There are {} names on one line: {}.", names.len(), names.join(" "));
        let consequence =
            "mkarchiso takes the line as one name, and pacstrap stops the build with \"target not found\".";
        let edit = known.replace(&place, |old| (!old.contains('#')).then(|| names.join("\n")));
        Some(LintFinding::error(place, what, consequence).fixed_by("Give each name a line", edit))
    })
}

fn carriage_returns(known: &Known<'_>) -> Vec<LintFinding> {
    lists(known)
        .filter(|list| list.has_carriage_returns)
        .map(|list| {
            let text = known.text_of(&list.file).unwrap_or_default();
            // A carriage return behind a comment goes with it.
            let bad = |line: &&str| line.ends_with('\r') && !line.contains('#');
            let lines: Vec<usize> =
                (1..).zip(text.split('\n')).filter(|(_, line)| bad(line)).map(|(at, _)| at).collect();
            let place = known.at_file(&list.file, lines.first().copied());
            let edit = known.editable(&place).map(|file| Edit::UnixLineEnds { file });
            let what = "The list of packages has Windows line ends (CR LF).";
            let consequence = "mkarchiso takes the CR as part of each name, an empty line as the name CR, and \
                pacstrap stops \
                               the build with \"target not found\".";
            let finding = if lines.is_empty() {
                LintFinding::note(place, what, "Only comments have them, which are cut off: nothing happens.")
            } else {
                LintFinding::error(place, what, consequence).by_mkarchiso_alone(known.subject.engine, TRIMS)
            };
            finding.fixed_by("Turn the line ends of the file into LF", edit)
        })
        .collect()
}

fn twice(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for list in lists(known) {
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for package in list.packages.iter().filter(|package| !package.name.is_empty()) {
            match first.get(package.name.as_str()) {
                None => _ = first.insert(&package.name, package.line),
                Some(line) => {
                    let place = known.at_file(&list.file, Some(package.line));
                    let edit = known.remove_line(&place);
                    let what = format!("{} is listed on line {line} already.", package.name);
                    let also = known.at_file(&list.file, Some(*line));
                    found.push(
                        LintFinding::note(place, what, "pacman takes it once: nothing happens.")
                            .fixed_by("Remove the line", edit)
                            .seen_at([also]),
                    );
                }
            }
        }
    }
    found
}

fn not_found(known: &Known<'_>) -> Vec<LintFinding> {
    let Some(index) = &known.packages.index else { return Vec::new() };
    let lacks = |name: &str| !name.is_empty() && !name.contains(char::is_whitespace) && index.find(name).is_empty();
    let say = |name: &str, place: Place| {
        let near = index.nearest(name);
        let meant = if near.is_empty() { String::new() } else { format!(" Meant may be {}.", near.join(", ")) };
        let what = format!("No repository of pacman.conf has a package, group or provided name {name}.{meant}");
        let finding = LintFinding::error(place, what, "pacstrap stops the build with \"target not found\".");
        (finding, near.first().map(|near| (*near).to_owned()))
    };
    let mut found = each(known, |package, place| {
        let name = package.name.as_str();
        if !lacks(name) {
            return None;
        }
        let (finding, near) = say(name, place.clone());
        let Some(near) = near else {
            return Some(finding.fixed_by("Remove the line", known.remove_line(&place)));
        };
        let edit = known.replace(&place, |old| Some(old.replacen(name, &near, 1)));
        Some(finding.fixed_by(format!("Write {near}"), edit))
    });
    for name in known.subject.packages.iter().filter(|name| lacks(name)) {
        let edit = Edit::RemoveFromCartridgeList { key: "image.packages".to_owned(), value: name.clone() };
        let (finding, _) = say(name, known.at_field("image.packages"));
        found.push(finding.fixed_by(format!("Take {name} out of image.packages"), Some(edit)));
    }
    found
}
