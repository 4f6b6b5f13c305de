//! Failures of boots without a boot loader.

use std::path::Path;

use isoprep::contents::ChoiceError;
use vmtools::boot::BootError;

use super::exit_code;
use crate::session::event::Failure;

const TITLE: &str = "The guest cannot be booted without a boot loader";

fn failure(title: &str, text: &str, exit_code: u8) -> Failure {
    // What to do next stands on a line of its own.
    let (detail, advice) = match text.split_once("\n  ") {
        Some((detail, advice)) if !advice.contains('\n') => (detail, Some(advice.trim().to_owned())),
        _ => (text, None),
    };
    Failure { title: title.into(), detail: detail.to_owned(), advice, command: None, pane: None, exit_code }
}

/// An ISO that offers nothing to boot so.
pub(in crate::session) fn of_choice(error: &ChoiceError) -> Failure {
    if error.is_cancelled() {
        return failure("Cancelled", "the guest was not started", exit_code::CANCELLED);
    }
    // An ISO that can be read, and was; or one that has to be another.
    let named = !matches!(error, ChoiceError::Write { .. } | ChoiceError::Changed { .. });
    failure(TITLE, &error.to_string(), if named { exit_code::USAGE } else { exit_code::GUEST })
}

/// What cannot be booted directly, said before anything was started.
pub(in crate::session) fn of_boot(error: &BootError) -> Failure {
    match error {
        BootError::Cancelled => failure("Cancelled", "the guest was not started", exit_code::CANCELLED),
        BootError::CommandLine { .. } => of_cmdline(&error.to_string()),
        BootError::NoBusybox { .. } => failure(TITLE, &error.to_string(), exit_code::HOST),
        // A file that was named is not what it has to be.
        BootError::NotAKernel { .. }
        | BootError::NotAnInitrd { .. }
        | BootError::NoModules { .. }
        | BootError::NotARoot { .. } => failure(TITLE, &error.to_string(), exit_code::USAGE),
        _ => failure(TITLE, &error.to_string(), exit_code::GUEST),
    }
}

/// Something that was named and cannot be looked at.
pub(in crate::session) fn of_named(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let title = match error.kind() {
        std::io::ErrorKind::NotFound => format!("The {what} is not there"),
        _ => format!("The {what} cannot be looked at"),
    };
    let detail = format!("{}: {error}", path.display());
    let advice = Some("Name one that is there and that you can read".into());
    Failure { title, detail, advice, command: None, pane: None, exit_code: exit_code::USAGE }
}

/// A folder where a file is wanted, or the other way round.
pub(in crate::session) fn of_folder(what: &str, path: &Path, is_folder: bool) -> Failure {
    let (is, wanted) = if is_folder { ("a folder", "file") } else { ("a file", "folder") };
    let (title, advice) = (format!("The {what} is {is}"), format!("Name the {wanted} itself"));
    let detail = format!("{}: it has to be a {wanted}", path.display());
    Failure { title, detail, advice: Some(advice), command: None, pane: None, exit_code: exit_code::USAGE }
}

/// A folder as the root that has nothing in it.
pub(in crate::session) fn of_empty_root(dir: &Path) -> Failure {
    let detail = format!("{}: a guest finds no program there", dir.display());
    let advice =
        Some("Name the folder of a root file system, or boot without one: then the initramfs is the system".into());
    let title = "The root folder is empty".into();
    Failure { title, detail, advice, command: None, pane: None, exit_code: exit_code::USAGE }
}

/// An ISO as a disk whose layers are to be the root, without any.
pub(in crate::session) fn of_no_layers(iso: &Path) -> Failure {
    let detail = format!(
        "{}: it has neither the layers of archiso (*/x86_64/airootfs.sfs) nor those of live-boot (live/*.squashfs) or their kin",
        iso.display()
    );
    let advice = "Name the ISO of a live system, or an image of squashfs, EROFS or ext4. As a CD beside another root it is \
                  guest.extra_iso";
    let title = "The ISO has no layers that can be a root".into();
    Failure { title, detail, advice: Some(advice.into()), command: None, pane: None, exit_code: exit_code::USAGE }
}

/// An entry that an ISO does not have.
pub(in crate::session) fn of_entry(iso: &Path, why: &str) -> Failure {
    let detail = format!("{}: {why}", iso.display());
    let advice = Some("Name one by its number or its title; `cartridge boot --iso FILE --list` lists them".into());
    let title = "The ISO has no such entry".into();
    Failure { title, detail, advice, command: None, pane: None, exit_code: exit_code::USAGE }
}

/// A command line that no kernel takes.
pub(in crate::session) fn of_cmdline(why: &str) -> Failure {
    let advice = Some("Shorten or correct it".into());
    let title = "The kernel's command line cannot be used".into();
    Failure { title, detail: why.to_owned(), advice, command: None, pane: None, exit_code: exit_code::USAGE }
}

/// A part of an image that is not where its build left it.
pub(in crate::session) fn of_gone_part(file: &Path, error: &std::io::Error) -> Failure {
    let detail = format!("{}: {error}", file.display());
    let advice = Some("Build again: parts that are in the cache are made again in no time".into());
    let title = "A part of the image is not there any more".into();
    Failure { title, detail, advice, command: None, pane: None, exit_code: exit_code::GUEST }
}

/// No build has left an image.
pub(in crate::session) fn no_image() -> Failure {
    Failure {
        title: "There is no image yet".into(),
        detail: "this way to boot takes what a build has left, and no build of this cartridge has left anything".into(),
        advice: Some("Build first".into()),
        command: None,
        pane: None,
        exit_code: exit_code::CARTRIDGE,
    }
}

/// What is booted directly, where no line starts it alone.
pub(in crate::session) fn no_line() -> Failure {
    Failure {
        title: "No command boots this by itself".into(),
        detail: "its kernel has no 9p, and a folder by virtiofs is served by a program beside QEMU".into(),
        advice: Some("Boot it by Cartridge, or name a kernel with 9p".into()),
        command: None,
        pane: None,
        exit_code: exit_code::GUEST,
    }
}

/// No kernel was found on this host.
pub(in crate::session) fn no_kernel() -> Failure {
    Failure {
        title: "There is no kernel to boot".into(),
        detail: "none that can be read was found on this machine".into(),
        advice: Some("Name one, or install one; the checks say where they are looked for".into()),
        command: Some("cartridge doctor".into()),
        pane: None,
        exit_code: exit_code::HOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iso_without_layers_is_told_in_whole_sentences() {
        let advice = of_no_layers(Path::new("/x.iso")).advice.unwrap();
        let whole = "Name the ISO of a live system, or an image of squashfs, EROFS or ext4. As a CD beside another root it is \
                     guest.extra_iso";
        assert_eq!(advice, whole);
    }
}
