//! `cartridge boot --print-command`: the line that boots the last image, or what is booted directly, by itself in a terminal. It is
//! the one thing that is told with the secrets in it.

use std::path::{Path, PathBuf};

use super::args::{BootArgs, BuildArgs};
use super::{direct, fields, print};
use crate::paths::Paths;
use crate::session::RunField;
use crate::session::direct::DirectWish;
use crate::session::event::{EVENT_VERSION, Failure};
use crate::session::failure::exit_code;
use crate::start::current_folder;

/// Prints the line and returns the exit code. What should be known about it goes to standard error.
pub(super) fn print(mut args: BootArgs, paths: &Paths) -> u8 {
    let json = args.goal.build.json;
    let found = direct::wish(&mut args).map_err(|why| usage(&why));
    let found = found.and_then(|wish| Ok((recipe(&args.goal.build, wish.as_ref(), paths)?, wish)));
    match found.and_then(|((recipe, fields), wish)| crate::session::standalone(paths, (&recipe, &fields), wish)) {
        Ok((command, notices)) => {
            notices.iter().for_each(|(_, text)| print::err(text));
            // It was asked for to be run: what `***` stands in would not.
            if json {
                let told = serde_json::json!({ "v": EVENT_VERSION, "event": "command", "command": command });
                print::as_it_is(&told.to_string());
                print::finished(exit_code::GOOD);
            } else {
                print::as_it_is(&command);
            }
            exit_code::GOOD
        }
        Err(failure) => {
            let advice = failure.advice.iter().chain(&failure.command).cloned().collect::<Vec<_>>().join(": ");
            let text = format!("{}: {}\n{advice}", failure.title, failure.detail);
            print::wrong(json, &failure.title, text.trim_end(), failure.exit_code);
            if json {
                print::finished(failure.exit_code);
            }
            failure.exit_code
        }
    }
}

/// A recipe, and the fields that were set in it for this run.
type Changed = (isoprep::Recipe, Vec<RunField>);

/// What is wrong with what was asked for.
fn usage(why: &str) -> Failure {
    wrong("The command line is wrong", why, exit_code::USAGE)
}

/// The recipe with the command line's changes, and these; that of no cartridge for what needs none.
fn recipe(args: &BuildArgs, wish: Option<&DirectWish>, paths: &Paths) -> Result<Changed, Failure> {
    let (text, root) = match wish {
        Some(wish) if !wish.needs_image() => (String::new(), PathBuf::from("/")),
        _ => cartridge(args, paths)?,
    };
    let mut fields = fields::parse(&args.set).map_err(|why| usage(&why))?;
    fields.extend(wish.iter().flat_map(|wish| wish.fields.clone()));
    crate::session::recipe(&text, &root, &fields).map(|(recipe, _)| (recipe, fields))
}

/// The text of the cartridge and its folder.
fn cartridge(args: &BuildArgs, paths: &Paths) -> Result<(String, PathBuf), Failure> {
    let path = if args.builtin {
        crate::builtin::unpack(paths).map_err(|error| unread(&error))?
    } else {
        current_folder().join(args.path.as_deref().unwrap_or(Path::new("")))
    };
    let file = isoprep::open(&path).map_err(|error| unread(&error))?;
    let root = file.file.parent().unwrap_or(Path::new("/")).to_owned();
    Ok((file.text, root))
}

fn unread(why: &dyn std::fmt::Display) -> Failure {
    wrong("The cartridge could not be read", &why.to_string(), exit_code::CARTRIDGE)
}

fn wrong(title: &str, detail: &str, exit_code: u8) -> Failure {
    Failure { title: title.into(), detail: detail.into(), advice: None, command: None, pane: None, exit_code }
}
