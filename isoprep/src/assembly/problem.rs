//! Everything that can be wrong with an assembly, in words that say what to do next.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::model::{Kind, Origin};
use crate::build::NAMED;

/// Why there is no assembled profile, besides what every stage can suffer from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssemblyError {
    /// Entries of the base, of an overlay or of `files` cannot be read.
    #[error(
        "{} of the profile cannot be read:{}\n  Change the permissions, or take it out of the folder.",
        counted(entries.len()),
        listed(entries)
    )]
    Unreadable {
        /// All of them, with what the system said, sorted.
        entries: Vec<(PathBuf, String)>,
    },
    /// A folder that is too big to be a profile.
    #[error(
        "{} is no archiso profile: it has {what}\n  Name the folder that holds profiledef.sh, airootfs and their like.",
        shown(root)
    )]
    TooBig {
        /// The base or the overlay.
        root: PathBuf,
        /// More than what.
        what: String,
    },
    /// The ingredients do not fit together.
    #[error("the profile cannot be assembled:{}", points(problems))]
    Problems {
        /// All of them.
        problems: Vec<Problem>,
    },
    /// Where the profile was to be written, there is something.
    #[error(
        "{} is not empty: a profile is assembled in an empty folder\n  Empty it, or choose another one.",
        shown(target)
    )]
    NotEmpty {
        /// The folder.
        target: PathBuf,
    },
    /// Nothing can be appended to this.
    #[error("{} cannot be extended: it {why}\n  Assemble the profile again.", shown(file))]
    NotExtended {
        /// The `profiledef.sh`.
        file: PathBuf,
        /// What it is.
        why: &'static str,
    },
}

/// Something about the ingredients that has to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// What the recipe names is not there, or is something else.
    #[error("{key}: {} {why}. {advice}", shown(path))]
    Absent {
        /// The recipe's field.
        key: &'static str,
        /// What it names, on the host.
        path: PathBuf,
        /// "is missing", "is no folder", ….
        why: String,
        /// What to do.
        advice: &'static str,
    },
    /// A path that cannot be one in a profile.
    #[error("{key}: {} {why}", shown(path))]
    BadPath {
        /// The recipe's field, or the folder it was found in.
        key: String,
        /// The path.
        path: PathBuf,
        /// What is wrong and what would be right.
        why: &'static str,
    },
    /// One has a folder where another has a file or a link.
    #[error(
        "{} is a {} and a {}. {}",
        shown(path),
        belonging(kept),
        belonging(refused),
        resolution(path, kept.0, refused.0)
    )]
    Conflict {
        /// Where, relative to the profile.
        path: PathBuf,
        /// What came first and stays in the plan.
        kept: (Origin, Kind),
        /// What cannot take its place.
        refused: (Origin, Kind),
    },
    /// The repository cannot be put where it belongs.
    #[error(
        "source.into: {} is a {} of {}, and the repository needs a folder there. Choose another place for it",
        shown(path),
        kind.word(),
        whose(*origin)
    )]
    Blocked {
        /// What is in the way, in the live system.
        path: PathBuf,
        /// What it is.
        kind: Kind,
        /// Whose it is.
        origin: Origin,
    },
    /// There is no `profiledef.sh`.
    #[error(
        "image.base: {} has no profiledef.sh, and no overlay brings one. Name a complete profile as the base: releng, \
         baseline, or a folder with profiledef.sh",
        shown(base)
    )]
    NotAProfile {
        /// The base.
        base: PathBuf,
    },
    /// A file that has to be changed is a link to something that is not in the profile.
    #[error(
        "{} is a link to {}, which is not in the assembled profile. Put the file itself there",
        shown(path),
        shown(Path::new(target))
    )]
    Elsewhere {
        /// The link, relative to the profile.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// The package list cannot be extended.
    #[error("image.packages: {} {why}", shown(path))]
    BadList {
        /// The list, relative to the profile.
        path: PathBuf,
        /// What is wrong with it and what to do.
        why: &'static str,
    },
    /// No package can be called that.
    #[error("image.packages: {name:?} is no package's name. Write one name, without blanks, # or a leading -")]
    BadPackage {
        /// The name.
        name: String,
    },
    /// No environment variable can be called that, or have that value.
    #[error(
        "image.env: {name:?} cannot be an environment variable. Use letters, digits and _ for the name, and no NUL in \
         the value"
    )]
    BadVariable {
        /// The name.
        name: String,
    },
}

/// Something about the ingredients that is probably not what was meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// `remove` names something that the base does not have.
    #[error("image.remove: the base has no {}{}", shown(path), hint(nearest.as_deref(), overlay.as_ref()))]
    NothingRemoved {
        /// What was to be removed.
        path: PathBuf,
        /// What the base has that is called alike.
        nearest: Option<PathBuf>,
        /// The overlay that has it.
        overlay: Option<Origin>,
    },
    /// A layer is an empty folder.
    #[error("{key}: {} is empty. If it is a submodule, it was not fetched: git submodule update --init", shown(path))]
    Empty {
        /// The recipe's field.
        key: &'static str,
        /// The folder.
        path: PathBuf,
    },
    /// Something was left out because it is no file, folder or link.
    #[error("{} was left out: it is {what}", shown(path))]
    LeftOut {
        /// Where it is, on the host.
        path: PathBuf,
        /// "a socket", "a pipe", "a device", "a work folder of ours".
        what: &'static str,
    },
    /// A link beside `airootfs` that breaks because the profile is assembled elsewhere.
    #[error(
        "{} is a link to {}, outside of the profile, and leads nowhere once the profile is assembled. Put the file \
         itself there",
        shown(path),
        shown(Path::new(target))
    )]
    LeadsOut {
        /// The link, relative to the profile.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// setuid, setgid and sticky bits of a layer's file do not come along: everything belongs to root in the image.
    #[error(
        "{} loses its {mode:o}: setuid and setgid would be root's in the image. If it has to have them, say so in \
         file_permissions",
        shown(path)
    )]
    SpecialBits {
        /// The file, relative to the profile.
        path: PathBuf,
        /// Its permission bits on the host.
        mode: u32,
    },
    /// Two things that the cartridge itself asks for want the same place.
    #[error("{} is written for {} and then for {}: the latter stays", shown(path), whose(*lost), whose(*won))]
    Twice {
        /// Where, relative to the profile.
        path: PathBuf,
        /// What is replaced.
        lost: Origin,
        /// What replaces it.
        won: Origin,
    },
    /// The profile has no package list of its own.
    #[error("the profile has no package list: {} is made of image.packages alone", shown(path))]
    NewList {
        /// The list, relative to the profile.
        path: PathBuf,
    },
}

/// A path for people: on one line, and readable whatever bytes it has.
pub(super) fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() { line.extend(letter.escape_default()) } else { line.push(letter) }
    }
    line
}

fn whose(origin: Origin) -> String {
    match origin {
        Origin::Base => "the base".to_owned(),
        Origin::Overlay(_) => origin.to_string(),
        other => format!("image.{other}"),
    }
}

fn belonging((origin, kind): &(Origin, Kind)) -> String {
    format!("{} of {}", kind.word(), whose(*origin))
}

fn resolution(path: &Path, kept: Origin, refused: Origin) -> String {
    match (kept, refused) {
        (Origin::Base, _) => format!("Add {:?} to image.remove if the base's is not wanted", shown(path)),
        (_, Origin::Overlay(_)) => "Take it out of one of them".to_owned(),
        _ => "Choose another place for one of them".to_owned(),
    }
}

fn hint(nearest: Option<&Path>, overlay: Option<&Origin>) -> String {
    match (overlay, nearest) {
        (Some(overlay), _) => {
            format!(". {overlay} has it, and is laid over the base afterwards: take it out of that folder")
        }
        (None, Some(near)) => format!("; did you mean {}?", shown(near)),
        (None, None) => String::new(),
    }
}

fn counted(total: usize) -> String {
    if total == 1 { "an entry".to_owned() } else { format!("{total} entries") }
}

fn listed(entries: &[(PathBuf, String)]) -> String {
    let mut text = String::new();
    for (path, why) in entries.iter().take(NAMED) {
        let _ = write!(text, "\n  {}: {why}", shown(path));
    }
    if entries.len() > NAMED {
        let _ = write!(text, "\n  … and {} more", entries.len() - NAMED);
    }
    text
}

fn points(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems.iter().take(NAMED) {
        let _ = write!(text, "\n  {problem}.");
    }
    if problems.len() > NAMED {
        let _ = write!(text, "\n  … and {} more", problems.len() - NAMED);
    }
    text
}
