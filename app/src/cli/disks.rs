//! `cartridge disks`: the disks of guests that outlive the eject, shown, and removed where they are named.

use std::path::{Path, PathBuf};

use super::args::DisksArgs;
use super::confirm;
use super::print::{self, out, size};
use crate::paths::Paths;
use crate::session::failure::exit_code;
use crate::session::kept_disks::{self, KeptDisk, RemoveError};
use crate::start::current_folder;

/// Shows or removes, and returns the exit code.
pub(super) fn run(args: &DisksArgs, paths: &Paths) -> u8 {
    let code = match root(args) {
        Ok(root) if args.remove.is_empty() => show(args, paths, root.as_deref()),
        Ok(root) => remove(args, paths, &root.unwrap_or_else(current_folder)),
        Err(why) => {
            print::wrong(args.json, "The cartridge could not be read", &why, exit_code::CARTRIDGE);
            exit_code::CARTRIDGE
        }
    };
    if args.json {
        print::finished(code);
    }
    code
}

/// The cartridge that is meant, if a particular one is.
fn root(args: &DisksArgs) -> Result<Option<PathBuf>, String> {
    let path = match &args.path {
        Some(path) => current_folder().join(path),
        None if args.remove.is_empty() => return Ok(None),
        None => current_folder(),
    };
    let file = isoprep::open(&path).map_err(|e| e.to_string())?;
    Ok(file.file.parent().map(Path::to_owned))
}

fn show(args: &DisksArgs, paths: &Paths, root: Option<&Path>) -> u8 {
    let disks: Vec<_> =
        kept_disks::list(paths).into_iter().filter(|it| root.is_none_or(|root| it.cartridge == root)).collect();
    for disk in &disks {
        if args.json {
            print::object("disk", disk);
        } else {
            out(&line(disk));
        }
    }
    if disks.is_empty() && !args.json {
        out("No disk is kept");
    }
    exit_code::GOOD
}

fn line(disk: &KeptDisk) -> String {
    let (taken, whole) = (size(disk.taken), size(disk.size));
    format!("{:<20} {taken:>10} of {whole:>10}  {}  {}", disk.name, disk.cartridge.display(), disk.path.display())
}

fn remove(args: &DisksArgs, paths: &Paths, root: &Path) -> u8 {
    // What is not there is said before anything is asked or removed.
    if let Some(error) = args.remove.iter().find_map(|name| kept_disks::find(paths, root, name).err()) {
        return not_removed(args, &error);
    }
    let question = format!("Remove {} and what is on it?", args.remove.join(", "));
    if let Some(code) = confirm::ask(args.yes, &question).refused(args.json) {
        return code;
    }
    let mut code = exit_code::GOOD;
    for name in &args.remove {
        match kept_disks::remove(paths, root, name) {
            Ok(removed) if !args.json => removed.iter().for_each(|it| out(&format!("Removed {}", it.path.display()))),
            Ok(removed) => removed.iter().for_each(|it| print::object("removed", it)),
            Err(error) => code = not_removed(args, &error),
        }
    }
    code
}

fn not_removed(args: &DisksArgs, error: &RemoveError) -> u8 {
    let code = match error {
        RemoveError::Absent { .. } => exit_code::USAGE,
        RemoveError::InUse(_) | RemoveError::Io { .. } => exit_code::EJECT,
    };
    print::wrong(args.json, "The disk could not be removed", &error.to_string(), code);
    code
}
