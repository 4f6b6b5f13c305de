//! `cartridge boot` without a boot loader: what its options ask for, and the list of what an ISO offers.

use std::path::{Path, PathBuf};

use isoprep::contents::{BootMenu, Watch, boot_menu};
use isoprep::{BootAccess, Cancel};

use super::args::{AccessName, BootArgs, DirectArgs};
use super::fields;
use super::print::{self, out, size};
use crate::session::direct::{DirectKernel, DirectRoot, DirectSource, DirectWish, EntryWish, MenuView};
use crate::session::failure::exit_code;
use crate::session::{Event, RunField};
use crate::start::current_folder;

/// What the options ask for; `None` for a boot as the cartridge says it.
///
/// # Errors
/// A sentence for a `--set` that cannot be.
pub(super) fn wish(args: &mut BootArgs) -> Result<Option<DirectWish>, String> {
    let direct = &args.direct;
    let source = match (&direct.kernel, &direct.iso) {
        (Some(kernel), _) => DirectSource::Kernel(of_kernel(direct, kernel)),
        (_, Some(iso)) => {
            let entry = direct.entry.as_deref().map_or(EntryWish::Best, EntryWish::parse);
            DirectSource::Iso { iso: absolute(iso), entry }
        }
        (None, None) if direct.direct => DirectSource::Image,
        (None, None) => return Ok(None),
    };
    let memory = direct
        .memory
        .iter()
        .map(|memory| RunField { by: format!("--memory {memory}"), ..RunField::set("guest.memory", memory) });
    let mut wish = DirectWish {
        cmdline: direct.cmdline.clone(),
        append: direct.append.join(" "),
        fields: memory.collect(),
        ..DirectWish::of(source)
    };
    // With a cartridge they are set in it, as always.
    if !wish.needs_image() {
        wish.fields.extend(fields::parse(&std::mem::take(&mut args.goal.build.set))?);
    }
    Ok(Some(wish))
}

fn of_kernel(direct: &DirectArgs, kernel: &Path) -> DirectKernel {
    let root = match (&direct.root, &direct.disk) {
        (Some(dir), _) => DirectRoot::Folder(absolute(dir), access(direct.access)),
        (None, Some(disk)) => DirectRoot::Layers(absolute(disk)),
        (None, None) => DirectRoot::Initramfs,
    };
    DirectKernel {
        kernel: Some(absolute(kernel)),
        modules: direct.modules.as_deref().map(absolute),
        initrds: direct.initrd.iter().map(|file| absolute(file)).collect(),
        root,
        keep: direct.keep.as_deref().map(absolute),
    }
}

fn access(name: Option<AccessName>) -> BootAccess {
    match name {
        None | Some(AccessName::Overlaid) => BootAccess::Overlaid,
        Some(AccessName::ReadOnly) => BootAccess::ReadOnly,
        Some(AccessName::Writable) => BootAccess::Writable,
    }
}

fn absolute(path: &Path) -> PathBuf {
    current_folder().join(path)
}

/// Prints what an ISO offers to boot, and returns the exit code.
pub(super) async fn list(iso: &Path, json: bool) -> u8 {
    let iso = absolute(iso);
    let file = iso.clone();
    let read = move || boot_menu(&file, &Watch { cancel: &Cancel::new(), tell: &|_| () });
    let code = match tokio::task::spawn_blocking(read).await {
        Ok(Ok(menu)) => {
            if json {
                print::event(Event::MenuRead { view: MenuView { iso: iso.clone(), menu: Some(menu), error: None } });
            } else {
                lines(&menu).iter().for_each(|line| out(line));
            }
            exit_code::GOOD
        }
        Ok(Err(error)) => {
            // No guest was to be started: another file has to be named.
            wrong(json, &error.to_string(), exit_code::USAGE)
        }
        Err(error) => wrong(json, &error.to_string(), exit_code::INTERNAL),
    };
    if json {
        print::finished(code);
    }
    code
}

fn wrong(json: bool, why: &str, code: u8) -> u8 {
    print::wrong(json, "The ISO's boot entries could not be listed", why, code);
    code
}

/// A menu as text: each entry with what `--entry` takes.
fn lines(menu: &BootMenu) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, choice) in menu.choices.iter().enumerate() {
        let default = if choice.is_default { ", its default" } else { "" };
        lines.push(format!("{:>3}  {}  ({}{default})", at + 1, choice.title, choice.loader.word()));
        lines.push(format!("       kernel     {} ({})", choice.kernel.path, size(choice.kernel.bytes)));
        for file in &choice.initrds {
            lines.push(format!("       initramfs  {} ({})", file.path, size(file.bytes)));
        }
        lines.push(format!("       words      {}", choice.cmdline));
        lines.extend(choice.left_out.iter().map(|word| format!("       left out   {word}")));
    }
    for passed in &menu.passed_over {
        lines.push(format!("  –  {}: {}", passed.title, passed.why));
    }
    lines
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Verb};

    fn parsed(words: &str) -> Result<BootArgs, clap::Error> {
        let cli = Cli::try_parse_from(["cartridge", "boot"].into_iter().chain(words.split_whitespace()))?;
        match cli.verb() {
            Some(Verb::Boot(args)) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    fn wished(words: &str) -> DirectWish {
        wish(&mut parsed(words).unwrap()).unwrap().unwrap()
    }

    #[test]
    fn options_are_what_is_wished_for() {
        assert_eq!(wish(&mut parsed("").unwrap()).unwrap(), None);
        assert_eq!(wished("--direct . --append quiet --append x=1").append, "quiet x=1");
        let kernel = wished("--kernel /k --initrd /a --initrd /b --memory 512M --set guest.cpus=1 --cmdline ro");
        assert_eq!(kernel.cmdline.as_deref(), Some("ro"));
        let by: Vec<_> = kernel.fields.iter().map(|it| (it.key.as_str(), it.by.as_str())).collect();
        assert_eq!(by, [("guest.memory", "--memory 512M"), ("guest.cpus", "--set guest.cpus=1")]);
        let DirectSource::Kernel(kernel) = kernel.source else { panic!() };
        assert_eq!((kernel.initrds.len(), kernel.root), (2, DirectRoot::Initramfs));
        let DirectSource::Kernel(folder) = wished("--kernel /k --root /r --access read-only").source else { panic!() };
        assert_eq!(folder.root, DirectRoot::Folder("/r".into(), BootAccess::ReadOnly));
        let DirectSource::Kernel(disk) = wished("--kernel /k --disk /d.sfs --modules /m").source else { panic!() };
        assert!(disk.root == DirectRoot::Layers("/d.sfs".into()) && disk.modules.is_some());
        let DirectSource::Iso { entry, .. } = wished("--iso /x.iso --entry 2").source else { panic!() };
        assert_eq!(entry, EntryWish::Number(2));
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        for words in [
            "--kernel /k --iso /i",
            "--kernel /k --direct",
            "--kernel /k /repo",
            "--iso /i --builtin",
            "--initrd /a",
            "--kernel /k --root /r --disk /d",
            "--kernel /k --root /r --initrd /a",
            "--kernel /k --access writable",
            "--append x",
            "--list",
            "--entry 1",
            "--iso /i --list --entry 1",
        ] {
            assert!(parsed(words).is_err(), "{words}");
        }
    }
}
