//! The first stage of an image whose root is there already: a folder, which is read where it lies and never written, or
//! a tarball, which is unpacked by its own owners and modes. It must have a kernel whose initramfs finds the root of a
//! live system.

use std::fs;
use std::io;
use std::path::Path;

use cartridge_supervise::{CommandLine, IdMap, Isolation, RunError};
use cartridge_treehash::TreeHash;

use crate::build::BuildError;
use crate::cache::{Cache, Entry};
use crate::host::Tools;
use crate::plan::Key;
use crate::progress::Reporter;
use crate::rootfs::{Packing, RootTree, Script, relay};
use crate::stage::base::{self, InstalledPackage};
use crate::stage::live_hook;
use crate::stage::loaders::boot_files;

/// Room to ask for before anything is done, bytes.
const NEEDED: u64 = 64 << 20;
/// Folders that a running system mounts over: what a tree has in them is no part of it.
const MOUNTED: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];

/// Where the root is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin<'a> {
    Folder(&'a Path),
    Tarball(&'a Path),
}

impl Origin<'_> {
    fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Tarball(path) => path,
        }
    }
}

/// What the stage works on.
pub(crate) struct Ingredients<'a> {
    pub(crate) origin: Origin<'a>,
    pub(crate) tools: &'a Tools,
    pub(crate) epoch: u64,
    pub(crate) work: &'a Path,
    /// How a folder looked when the build began.
    pub(crate) looked: Option<TreeHash>,
}

/// Packs the root.
pub(crate) fn tree(what: &Ingredients<'_>, at: (&Cache, Key), reporter: &Reporter<'_>) -> Result<Entry, BuildError> {
    let made =
        base::base((what.work, what.epoch, NEEDED), at, reporter, |tree, entry| make(what, tree, entry, reporter));
    made.map(|(entry, _)| entry)
}

fn make(
    what: &Ingredients<'_>,
    tree: &mut RootTree<'_>,
    entry: &Path,
    reporter: &Reporter<'_>,
) -> Result<Vec<InstalledPackage>, BuildError> {
    let origin =
        what.origin.path().canonicalize().map_err(BuildError::io(reporter.stage, "find", what.origin.path()))?;
    tree.also_shown(&origin);
    let root = match what.origin {
        Origin::Folder(_) => origin,
        Origin::Tarball(_) => {
            unpack(what, tree, &origin, reporter)?;
            tree.path().to_path_buf()
        }
    };
    look(what, tree, &root, reporter)?;
    tree.script_into(entry, "collect", &base::collect(&root, entry))?;
    let boot = entry.join(base::BOOT);
    let boot = boot_files(&boot).map_err(BuildError::io(reporter.stage, "read", &boot))?;
    live_hook::finds_the_root(&boot, reporter.stage)?;
    let list = entry.join(base::PACKAGE_LIST);
    let mut packages = Script::new();
    packages.set("root", &root).set("list", &list).text(base::PACKAGE_LISTS).text(LIST);
    tree.script_into(entry, "packages", &packages)?;
    let skipped = MOUNTED.map(|name| format!("{name}/*"));
    // A file that cannot be read would be packed empty.
    let more: Vec<&str> =
        ["-exit-on-error", "-wildcards", "-e"].into_iter().chain(skipped.iter().map(String::as_str)).collect();
    base::pack(what.tools, tree, (&root, entry, what.epoch), &Packing::Quick, &more)?;
    if let Some(looked) = what.looked
        && looks(&root, reporter)? != looked
    {
        return Err(BuildError::Changed { stage: reporter.stage, path: root });
    }
    base::listed(entry, |_| None).map_err(BuildError::io(reporter.stage, "read", &list))
}

const LIST: &str = r#": >"$list"
if [ -f "$root/var/lib/dpkg/status" ]; then dpkg_packages >"$list"; fi
if [ -d "$root/var/lib/pacman/local" ]; then pacman_packages >>"$list"; fi"#;

/// Unpacks a tarball as root of the namespace. tar itself refuses names that lead out of the folder, and makes links
/// that do last of all (tar, "Security"); nothing outside of the work directory could be written anyway. Devices cannot
/// be made here, and a running system makes its own.
fn unpack(what: &Ingredients<'_>, tree: &RootTree<'_>, file: &Path, reporter: &Reporter<'_>) -> Result<(), BuildError> {
    let stage = reporter.stage;
    let tar = what.tools.program("tar").map_err(|what| BuildError::missing(stage, what))?;
    reporter.line(format!("unpacking {}", file.display()));
    let line = CommandLine::new(tar).args(["--extract", "--numeric-owner", "--same-owner", "--preserve-permissions"]);
    let line = line.args(["--xattrs", "--xattrs-include=security.capability", "--xattrs-include=user.*"]);
    let line = line.args(["--delay-directory-restore", "--anchored", "--wildcards"]);
    let skipped = MOUNTED.iter().flat_map(|name| [format!("--exclude={name}/*"), format!("--exclude=./{name}/*")]);
    let line = line.args(skipped).arg("--directory").arg(tree.path()).arg("--file").arg(file);
    let line = tree.prepared(line, tree.isolation());
    let Err(error) = crate::rootfs::run_in_lines(&line, reporter) else { return Ok(()) };
    let RunError::Failed { evidence, .. } = &error else { return Err(BuildError::tool(stage)(error)) };
    if evidence.contains("No space left on device") {
        return Err(tree.failed(error));
    }
    let said = evidence.lines().next().unwrap_or("tar said nothing").to_owned();
    let advice = match IdMap::of_this_user() {
        IdMap::Single { why } if evidence.contains("Cannot change ownership") => {
            format!("Its files belong to several users, and here they could only belong to root: {why}")
        }
        _ => format!("See what is wrong with it: tar --list --file {}", file.display()),
    };
    Err(BuildError::Refused { stage, what: format!("{} cannot be unpacked: {said}", file.display()), advice })
}

/// Refuses what is no root, and a folder whose files belong to users that do not exist in here.
fn look(
    what: &Ingredients<'_>,
    tree: &mut RootTree<'_>,
    root: &Path,
    reporter: &Reporter<'_>,
) -> Result<(), BuildError> {
    let mut script = Script::new();
    script.set("root", root).text(LOOK);
    let foreign = matches!(what.origin, Origin::Folder(_)) && IdMap::of_this_user() != IdMap::Same;
    if foreign {
        script.text(FOREIGN);
    }
    let output = tree.script("look", &script)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let refused =
        |what, advice: &str| Err(BuildError::Refused { stage: reporter.stage, what, advice: advice.to_owned() });
    let shown = what.origin.path().display();
    if let Some(has) = said.lines().find_map(|line| line.strip_prefix("no root: ")) {
        return refused(
            format!("{shown} holds no root file system: there is neither usr nor bin at its top, but {has}"),
            "Name the folder that has usr, etc and boot in it, or a tarball that was made inside of it.",
        );
    }
    if let Some(path) = said.lines().find_map(|line| line.strip_prefix("foreign: ")) {
        return refused(
            format!("files in {shown} belong to users that do not exist in a build of this user: {path} is one"),
            "Build from a tarball of it, which keeps its owners, or build as root.",
        );
    }
    Ok(())
}

const LOOK: &str = r#"if [ ! -d "$root/usr" ] && [ ! -d "$root/bin" ]; then
    there=$(ls -A -- "$root" | head -n 5 | tr '\n' ' ')
    echo "no root: ${there:-nothing at all}"
    exit 0
fi"#;

/// Ids that are not mapped are seen as the kernel's overflow ids (user_namespaces(7)).
const FOREIGN: &str = r#"path=$(find "$root" -xdev \( -uid 65534 -o -gid 65534 \) -print -quit)
if [ -n "$path" ]; then echo "foreign: $path"; fi"#;

/// How a folder looks: a hash of names, modes, owners, sizes, dates and inodes of everything in it. It is made from
/// inside a namespace, where what belongs to lent users can be read.
pub(crate) fn looks(dir: &Path, reporter: &Reporter<'_>) -> Result<TreeHash, BuildError> {
    let mut line = CommandLine::new("find").args([".", "-xdev"]).cwd(dir);
    for name in MOUNTED {
        line = line.args(["-path".to_owned(), format!("./{name}/*"), "-prune".to_owned(), "-o".to_owned()]);
    }
    line = line.args(["-printf", r"%y %m %U %G %s %T@ %C@ %i %n %p\0%l\0"]);
    let line = line.env("LC_ALL", "C").isolated(Isolation::new().shown(dir, dir));
    let mut hasher = blake3::Hasher::new();
    relay(&line, reporter, |channel, bytes| {
        if channel == cartridge_supervise::Channel::Stdout {
            hasher.update(bytes);
        }
    })
    .map_err(BuildError::tool(reporter.stage))?;
    Ok(TreeHash(*hasher.finalize().as_bytes()))
}

/// Refuses a root that is not there, or that the build would write into.
pub(crate) fn check(origin: Origin<'_>, ours: &[&Path], reporter: &Reporter<'_>) -> Result<(), BuildError> {
    let (stage, path) = (reporter.stage, origin.path());
    let refused = |what, advice: &str| Err(BuildError::Refused { stage, what, advice: advice.to_owned() });
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return refused(format!("image.base: there is no {}", path.display()), "Correct the path.");
        }
        Err(e) => return Err(BuildError::io(stage, "look at", path)(e)),
    };
    match origin {
        Origin::Folder(_) if !meta.is_dir() => refused(
            format!("image.base: {} is not a folder", path.display()),
            "Name a folder, or a tarball whose name ends with .tar, .tar.gz, .tar.xz or .tar.zst.",
        ),
        Origin::Tarball(_) if !meta.is_file() => {
            refused(format!("image.base: {} is not a file", path.display()), "Name a tarball, or rename the folder.")
        }
        Origin::Folder(_) => {
            let real = path.canonicalize().map_err(BuildError::io(stage, "find", path))?;
            let inside = |dir: &&Path| dir.canonicalize().is_ok_and(|dir| dir.starts_with(&real));
            match ours.iter().find(|dir| inside(dir)) {
                Some(dir) => refused(
                    format!("image.base: {} holds {}, where this build writes", path.display(), dir.display()),
                    "Name a folder that holds nothing but the root.",
                ),
                None => Ok(()),
            }
        }
        Origin::Tarball(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_is_bash() {
        let mut script = Script::new();
        script.set("root", "/r").set("list", "/l").text(base::PACKAGE_LISTS).text(LIST).text(LOOK).text(FOREIGN);
        let line = CommandLine::new("bash").arg("-n").stdin(script.bytes());
        cartridge_supervise::run(&line, &crate::Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    }
}
