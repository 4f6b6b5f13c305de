//! `cartridge boot --print-command`: the line that boots the last image, or what is booted directly, by itself in a terminal.

use std::path::{Path, PathBuf};

use super::args::{BootArgs, BuildArgs};
use super::{direct, fields, print};
use crate::paths::Paths;
use crate::session::direct::DirectWish;
use crate::session::failure::exit_code;
use crate::start::current_folder;

/// Prints the line and returns the exit code. What should be known about it goes to standard error.
pub(super) fn print(mut args: BootArgs, paths: &Paths) -> u8 {
    let json = args.goal.build.json;
    let wrong = |title: &str, why: &str, code: u8| {
        print::wrong(json, title, why, code);
        if json {
            print::finished(code);
        }
        code
    };
    let found = direct::wish(&mut args).map_err(|why| usage(&why));
    let found = found.and_then(|wish| Ok((recipe(&args.goal.build, wish.as_ref(), paths)?, wish)));
    let (recipe, wish) = match found {
        Ok(found) => found,
        Err((title, why, code)) => return wrong(title, &why, code),
    };
    match crate::session::standalone(paths, &recipe, wish) {
        Ok((command, notices)) => {
            notices.iter().for_each(|(_, text)| eprintln!("{text}"));
            if json {
                print::object("command", &command);
                print::finished(exit_code::GOOD);
            } else {
                print::out(&command);
            }
            exit_code::GOOD
        }
        Err(failure) => {
            let advice = failure.advice.iter().chain(&failure.command).cloned().collect::<Vec<_>>().join(": ");
            wrong(
                &failure.title,
                format!("{}: {}\n{advice}", failure.title, failure.detail).trim_end(),
                failure.exit_code,
            )
        }
    }
}

/// Why there is no recipe: a title, the reason, the exit code.
type Wrong = (&'static str, String, u8);

fn usage(why: &dyn std::fmt::Display) -> Wrong {
    ("The command line is wrong", why.to_string(), exit_code::USAGE)
}

/// The recipe with the command line's changes; that of no cartridge for what needs none.
fn recipe(args: &BuildArgs, wish: Option<&DirectWish>, paths: &Paths) -> Result<isoprep::Recipe, Wrong> {
    let (mut text, root) = match wish {
        Some(wish) if !wish.needs_image() => (String::new(), PathBuf::from("/")),
        _ => cartridge(args, paths)?,
    };
    let set = fields::parse(&args.set).map_err(|why| usage(&why))?;
    for (key, value) in set.iter().chain(wish.iter().flat_map(|wish| &wish.fields)) {
        text = isoprep::set_field(&text, key, value).map_err(|error| usage(&error))?;
    }
    isoprep::parse(&text, &root).map_err(|error| unread(&error))
}

/// The text of the cartridge and its folder.
fn cartridge(args: &BuildArgs, paths: &Paths) -> Result<(String, PathBuf), Wrong> {
    let path = if args.builtin {
        crate::builtin::unpack(paths).map_err(|error| unread(&error))?
    } else {
        current_folder().join(args.path.as_deref().unwrap_or(Path::new("")))
    };
    let file = isoprep::open(&path).map_err(|error| unread(&error))?;
    let root = file.file.parent().unwrap_or(Path::new("/")).to_owned();
    Ok((file.text, root))
}

fn unread(why: &dyn std::fmt::Display) -> Wrong {
    ("The cartridge could not be read", why.to_string(), exit_code::CARTRIDGE)
}
