//! `cartridge boot --print-command`: the line that boots the last image by itself in a terminal.

use std::path::Path;

use super::args::BuildArgs;
use super::{fields, print};
use crate::paths::Paths;
use crate::session::failure::exit_code;
use crate::start::current_folder;

/// Prints the line and returns the exit code. What should be known about it goes to standard error.
pub(super) fn print(args: &BuildArgs, paths: &Paths) -> u8 {
    let wrong = |title: &str, why: &str, code: u8| {
        print::wrong(args.json, title, why, code);
        if args.json {
            print::finished(code);
        }
        code
    };
    let recipe = match recipe(args, paths) {
        Ok(recipe) => recipe,
        Err((title, why, code)) => return wrong(title, &why, code),
    };
    match crate::session::standalone(paths, &recipe) {
        Ok((command, notices)) => {
            notices.iter().for_each(|(_, text)| eprintln!("{text}"));
            if args.json {
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

/// The recipe with the command line's changes.
fn recipe(args: &BuildArgs, paths: &Paths) -> Result<isoprep::Recipe, (&'static str, String, u8)> {
    let unread = |why: String| ("The cartridge could not be read", why, exit_code::CARTRIDGE);
    let usage = |why: String| ("The command line is wrong", why, exit_code::USAGE);
    let path = if args.builtin {
        crate::builtin::unpack(paths).map_err(|e| unread(e.to_string()))?
    } else {
        current_folder().join(args.path.as_deref().unwrap_or(Path::new("")))
    };
    let file = isoprep::open(&path).map_err(|e| unread(e.to_string()))?;
    let mut text = file.text;
    for (key, value) in fields::parse(&args.set).map_err(usage)? {
        text = isoprep::set_field(&text, &key, &value).map_err(|e| usage(e.to_string()))?;
    }
    let root = file.file.parent().unwrap_or(Path::new("/"));
    isoprep::parse(&text, root).map_err(|e| unread(e.to_string()))
}
