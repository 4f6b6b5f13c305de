//! `cartridge slots --all`: the slots of every cartridge, also of those whose folder is not there any more, and removing one. No
//! session is begun for it: nothing is compared.

use std::path::{Component, Path, PathBuf};

use vmtools::slot::{SlotName, existing};

use super::args::SlotsArgs;
use super::print::{self, out, size};
use super::slots::moment;
use crate::paths::Paths;
use crate::session::failure::exit_code;
use crate::session::sentence::number;
use crate::session::slot_stores::{self, StoredSlot, TakeError};
use crate::start::current_folder;

/// Which slots are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    All,
    /// Those of a cartridge whose folder was here.
    Gone(PathBuf),
}

/// Where `path` is, or was when it was there: links and `..` are resolved as far as there is something, as they are for a cartridge
/// that is inserted.
pub(super) fn place(path: &Path) -> PathBuf {
    let mut place = PathBuf::new();
    for component in current_folder().join(path).components() {
        match component {
            // What is there has no links any more: its parent is the folder above it.
            Component::ParentDir => drop(place.pop()),
            Component::CurDir => {}
            other => {
                place.push(other);
                place = place.canonicalize().unwrap_or(place);
            }
        }
    }
    place
}

/// Which slots are meant, where they are not those of a cartridge that can be inserted. `path` is a [`place`].
pub(super) fn whose(all: bool, path: Option<&Path>, paths: &Paths) -> Option<Whose> {
    if all {
        return Some(Whose::All);
    }
    let path = path.filter(|path| path.symlink_metadata().is_err())?;
    let known = slot_stores::all(paths).iter().any(|it| it.cartridge.as_deref() == Some(path));
    known.then(|| Whose::Gone(path.to_owned()))
}

/// Shows them or removes one, and returns the exit code.
pub(super) fn run(args: &SlotsArgs, whose: &Whose, paths: &Paths) -> u8 {
    let mut found = slot_stores::all(paths);
    if let Whose::Gone(path) = whose {
        found.retain(|it| it.cartridge.as_ref() == Some(path));
    }
    let code = match &args.remove {
        Some(name) => remove(args, name, &found),
        None => show(args, &found, paths),
    };
    if args.json {
        print::finished(code);
    }
    code
}

fn show(args: &SlotsArgs, found: &[StoredSlot], paths: &Paths) -> u8 {
    for slot in found {
        if args.json {
            print::object("slot", slot);
        } else {
            out(&line(slot));
        }
    }
    if !args.json {
        let bytes = found.iter().map(|it| it.slot.bytes).fold(0, u64::saturating_add);
        let sum = format!("{} in all, in {}", number(found.len() as u64, "slot", "slots"), paths.slots().display());
        out(&format!("{:<16}  {:>10}  {sum}", "", size(bytes)));
        if !found.is_empty() {
            print::err(
                "`cartridge slots FOLDER --remove NAME` removes one, also where that folder is not there any more",
            );
        }
        if found.iter().any(|it| it.gone) {
            print::err("`cartridge slots NEW-FOLDER --take-from FOLDER` gives them to a cartridge that was moved");
        }
    }
    exit_code::GOOD
}

/// Takes over the slots of a cartridge that was moved from `from`, and returns the exit code.
pub(super) fn take(args: &SlotsArgs, from: &Path, paths: &Paths) -> u8 {
    let code = match taken(args, from, paths) {
        Ok(names) => {
            for name in names {
                if args.json {
                    print::object("taken", &name);
                } else {
                    out(&format!("Taken over: {name}"));
                }
            }
            exit_code::GOOD
        }
        Err((why, code)) => {
            print::wrong(args.json, "The slots could not be taken over", &why, code);
            code
        }
    };
    if args.json {
        print::finished(code);
    }
    code
}

fn taken(args: &SlotsArgs, from: &Path, paths: &Paths) -> Result<Vec<String>, (String, u8)> {
    let path = current_folder().join(args.path.as_deref().unwrap_or(Path::new("")));
    let unread = |why: &dyn std::fmt::Display| (why.to_string(), exit_code::CARTRIDGE);
    let file = isoprep::open(&path).map_err(|error| unread(&error))?;
    let root = file.file.parent().unwrap_or(Path::new("/"));
    let recipe = isoprep::parse(&file.text, root).map_err(|error| unread(&error))?;
    slot_stores::take(paths, &place(from), &recipe.name, root).map_err(|error| {
        let code = match error {
            TakeError::Io { .. } => exit_code::INTERNAL,
            TakeError::InUse(_) => exit_code::IN_USE,
            TakeError::There(_) | TakeError::Unknown(_) | TakeError::Taken { .. } => exit_code::USAGE,
        };
        (error.to_string(), code)
    })
}

/// A slot in a line: when, how much, what it is called, whose it is, and where it lies.
fn line(it: &StoredSlot) -> String {
    let whose = match (&it.cartridge, it.gone) {
        (None, _) => "of a cartridge that is not known".to_owned(),
        (Some(root), false) => format!("of {}", root.display()),
        (Some(root), true) => format!("of {}, which is not there any more", root.display()),
    };
    let (made, taken) = (moment(it.slot.made), size(it.slot.bytes));
    format!("{made:<16}  {taken:>10}  {}  {whose}  ({})", it.slot.name, it.slot.dir.display())
}

fn remove(args: &SlotsArgs, name: &SlotName, found: &[StoredSlot]) -> u8 {
    const TITLE: &str = "The slot could not be removed";
    let wrong = |why: &str, code: u8| {
        print::wrong(args.json, TITLE, why, code);
        code
    };
    let meant: Vec<_> = found.iter().filter(|it| it.slot.name == name.as_str()).collect();
    match meant.as_slice() {
        [] => {
            let others: Vec<_> = found.iter().map(|it| it.slot.name.clone()).collect();
            wrong(&format!("there is no slot {:?}. {}", name.as_str(), existing(&others)), exit_code::USAGE)
        }
        [one] => match slot_stores::remove(&one.store, name) {
            Ok(()) if args.json => {
                print::object("removed", one);
                exit_code::GOOD
            }
            Ok(()) => {
                out(&format!("Removed {}", line(one)));
                exit_code::GOOD
            }
            Err(failure) => wrong(&format!("{}: {}", failure.title, failure.detail), failure.exit_code),
        },
        several => {
            let lines: String = several.iter().map(|it| format!("\n  {}", line(it))).collect();
            let text = format!(
                "several cartridges have a slot {:?}; name the folder of the one that is meant: `cartridge slots FOLDER --remove \
                 NAME`{lines}",
                name.as_str()
            );
            wrong(&text, exit_code::USAGE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_what_was_there_has_no_links_and_no_dots() {
        let top = tempfile::tempdir().unwrap();
        let real = top.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("a/b")).unwrap();
        std::os::unix::fs::symlink("a/b", real.join("link")).unwrap();
        for (path, place_of_it) in [
            ("link/../old", "a/old"),
            ("link/old", "a/b/old"),
            ("a/b/../../old/./deeper", "old/deeper"),
            ("gone/../old", "old"),
            ("link", "a/b"),
        ] {
            assert_eq!(place(&real.join(path)), real.join(place_of_it), "{path}");
        }
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(place(Path::new("../never was")), here.parent().unwrap().join("never was"));
    }
}
