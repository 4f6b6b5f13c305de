//! Rules about `airootfs/etc/passwd`: mkarchiso fills the homes of its users once all packages are installed, and a
//! line that it cannot follow ends the build there.
//!
//! mkarchiso reads the file with `while IFS=':' read -a passwd -r` under `set -e -u`, and takes users with an id of
//! 1000 to
//! 59999. A home has to be inside the root, and `realpath` wants the folder above it to exist.

use std::path::{Component, Path};

use super::finding::{LintFinding, Place};
use super::known::{Known, Origin, Presence, plain};
use super::packages::makes_an_image;
use super::permissions::mode_of;
use super::rule::Rule;
use super::subject::EntryKind;

pub(super) const RULES: &[Rule] = &[
    Rule::new("user-home-outside", "a user whose home mkarchiso cannot make", home),
    Rule::new("user-line-broken", "a line of passwd that mkarchiso cannot read", broken),
    Rule::new("user-shell-missing", "a user whose shell no listed package brings", shell),
    Rule::new("shadow-readable", "password hashes that everybody can read", shadow),
];

const PASSWD: &str = "airootfs/etc/passwd";
/// Folders that the package `filesystem` makes, and below which homes are put.
const PARENTS: [&str; 8] = ["/", "/home", "/mnt", "/opt", "/srv", "/var", "/var/lib", "/run"];
/// Shells that are not in the packages of `base`, each with the packages that bring it.
const SHELLS: [(&str, &[&str]); 9] = [
    ("dash", &["dash"]),
    ("elvish", &["elvish"]),
    ("fish", &["fish"]),
    ("ksh", &["ksh"]),
    ("mksh", &["mksh"]),
    ("nu", &["nushell"]),
    ("tcsh", &["tcsh"]),
    ("xonsh", &["xonsh"]),
    (
        "zsh",
        &[
            "grml-zsh-config",
            "oh-my-zsh-git",
            "zsh",
            "zsh-autosuggestions",
            "zsh-completions",
            "zsh-syntax-highlighting",
        ],
    ),
];

/// A line of `passwd`.
struct Line {
    place: Place,
    text: String,
    /// Whether a line feed ends it: what follows the last one is not read by mkarchiso.
    ended: bool,
}

fn lines(known: &Known<'_>) -> Vec<Line> {
    let Some(entry) = known.entry(PASSWD).filter(|_| makes_an_image(known)) else { return Vec::new() };
    let text = known.text(entry).unwrap_or_default();
    let lines = (1..).zip(text.split_inclusive('\n'));
    lines
        .map(|(at, line)| Line {
            place: known.at(entry, Some(at)),
            text: line.trim_end_matches('\n').to_owned(),
            ended: line.ends_with('\n'),
        })
        .collect()
}

/// The user's name and home, if mkarchiso looks at the line.
fn home_of(line: &Line) -> Option<(&str, &str)> {
    let fields: Vec<&str> = line.text.split(':').collect();
    let id: u64 = fields.get(2)?.parse().ok()?;
    let home = fields.get(5)?.trim_end_matches('\r');
    ((1000..60000).contains(&id) && home != "/" && !home.is_empty()).then_some((fields[0], home))
}

fn home(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for line in lines(known) {
        let Some((user, home)) = home_of(&line) else { continue };
        let path = Path::new(home);
        let stops = "All packages are installed, then mkarchiso ends with \"Failed to set permissions … Outside of \
            valid path\".";
        if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
            let what = format!("The home of {user} is {home:?}: no path inside the image.");
            let edit = known.replace(&line.place, |old| Some(old.replacen(home, &format!("/home/{user}"), 1)));
            found.push(
                LintFinding::error(line.place.clone(), what, stops).fixed_by(format!("Write /home/{user}"), edit),
            );
            continue;
        }
        let escapes = path
            .ancestors()
            .filter_map(|above| known.item(above))
            .any(|item| matches!(&item.entry.kind, EntryKind::Link(target) if target.is_absolute()));
        let parent = plain(path.parent().unwrap_or(path));
        let there = PARENTS.iter().any(|it| parent == Path::new(it)) || known.presence(&parent) == Presence::There;
        if escapes {
            let what = format!("The home of {user}, {home}, is behind a link of airootfs with an absolute target.");
            let consequence = format!("mkarchiso follows it to the machine that builds, outside of the image. {stops}");
            found.push(LintFinding::error(line.place.clone(), what, consequence));
        } else if !there {
            let what = format!(
                "The home of {user} is {home}, and there is no folder {} when mkarchiso makes it.",
                parent.display()
            );
            // A package may make the folder.
            let finding = LintFinding::warning(line.place.clone(), what, stops);
            found.push(finding.by_mkarchiso_alone(known.subject.engine, "Cartridge's own engine makes the folder."));
        }
    }
    found
}

fn broken(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for line in lines(known) {
        let fields: Vec<&str> = line.text.split(':').collect();
        let name = fields[0];
        let id = fields.get(2).copied().unwrap_or_default();
        let number = id.is_empty() || id.bytes().all(|byte| byte.is_ascii_digit());
        let user = id.parse::<u64>().is_ok_and(|id| (1000..60000).contains(&id));
        let stops = "All packages are installed, then mkarchiso ends with \"unbound variable\".";
        let (what, consequence) = if !number {
            (format!("The id of {name} is {id:?}, which is no number."), stops)
        } else if user && fields.len() < 6 {
            (format!("The line of {name} has {} fields instead of 7.", fields.len()), stops)
        } else if !line.ended && user {
            let consequence = "mkarchiso does not read it: the home is not made from /etc/skel, and root owns what \
                airootfs has of it.";
            (format!("No line feed ends the line of {name}, the last one of the file."), consequence)
        } else {
            continue;
        };
        let edit = if !line.ended && user && fields.len() >= 6 {
            known.replace(&line.place, |old| Some(format!("{old}\n")))
        } else {
            None
        };
        let finding = LintFinding::error(line.place.clone(), what, consequence).fixed_by("End the line", edit);
        let natively = "Cartridge's own engine reads what there is of it.";
        found.push(finding.by_mkarchiso_alone(known.subject.engine, natively));
    }
    found
}

fn shell(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for line in lines(known) {
        let fields: Vec<&str> = line.text.split(':').collect();
        let Some(shell) = fields.get(6).map(|shell| shell.trim_end_matches('\r')) else { continue };
        let name = shell.rsplit('/').next().unwrap_or(shell);
        let Some((_, packages)) = SHELLS.iter().find(|(it, _)| *it == name) else { continue };
        if known.item(Path::new(shell)).is_some() {
            continue;
        }
        let Some(severity) = known.packages.lacks(packages) else { continue };
        let package = if name == "nu" { "nushell" } else { name };
        let what = format!("The shell of {} is {shell}, and the package {package} is not listed.", fields[0]);
        let edit = known.add_to("image.packages", package);
        found.push(
            LintFinding::error(line.place.clone(), what, "Logging in ends at once: login cannot run the shell.")
                .graded(severity)
                .fixed_by(format!("Add {package} to image.packages"), edit),
        );
    }
    found
}

fn shadow(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for name in ["shadow", "gshadow"] {
        let path = format!("/etc/{name}");
        let ours = known.item(Path::new(&path)).filter(|item| item.origin == Origin::Airootfs && item.entry.is_file());
        let Some(item) = ours else { continue };
        let (entry, mode) = (item.entry, mode_of(known, Path::new(&path), item));
        if mode & 0o044 == 0 {
            continue;
        }
        let what =
            format!("airootfs has {path}, and file_permissions does not close it: it will have mode {mode:03o}.");
        let finding =
            LintFinding::warning(known.at(entry, None), what, "Every user and service of the live system can read it.");
        let edit = super::permissions::add_permission(known, &path, "0:0:400");
        found.push(finding.fixed_by(format!("Add {path} with 0:0:400 to file_permissions"), edit));
    }
    found
}
