//! The expensive first stage of a Debian image. apt says what it would install and fetches it into the cache that all
//! cartridges share; mmdebstrap makes the root from that, as the root of a user namespace; the initramfs is made once,
//! at the end. What would differ from run to run is taken out again.

mod apt;
mod log;
pub(crate) mod sources;

use std::fs;
use std::path::Path;
use std::time::Duration;

use cartridge_supervise::{CommandLine, IdMap, Isolation, RunError};

pub(crate) use apt::packages;

use crate::build::{BuildError, room_for};
use crate::cache::{Cache, Entry, atomic, packages::PackageCache};
use crate::host::Tools;
use crate::pacman_log::{FaultKind, nearest_names};
use crate::plan::Key;
use crate::progress::{Reporter, Unit, ticking};
use crate::rootfs::{Packing, RootTree, Script, relay};
use crate::stage::base::{self, InstalledPackage};
use crate::stage::packages::pacman::Wanted;
use log::{AptLog, News};
use sources::Source;

/// Room to ask for before anything is fetched, bytes: the smallest Debian with a kernel is larger.
const NEEDED: u64 = 768 << 20;
/// How often we look how much was fetched.
const BEAT: Duration = Duration::from_millis(100);

/// What the stage works on.
pub(crate) struct Ingredients<'a> {
    pub(crate) suite: &'a str,
    pub(crate) sources: &'a [Source],
    /// All that is installed besides the required.
    pub(crate) packages: &'a [String],
    pub(crate) tools: &'a Tools,
    pub(crate) epoch: u64,
    pub(crate) work: &'a Path,
    /// Where fetched packages are kept.
    pub(crate) fetched: &'a PackageCache,
}

/// Makes the root and packs it.
pub(crate) fn debian(what: &Ingredients<'_>, at: (&Cache, Key), reporter: &Reporter<'_>) -> Result<Entry, BuildError> {
    if let IdMap::Single { why } = IdMap::of_this_user() {
        return Err(BuildError::Refused {
            stage: reporter.stage,
            what: "Debian's files belong to several users, and here they could only belong to root".to_owned(),
            advice: why,
        });
    }
    for file in what.sources.iter().flat_map(|it| &it.keys) {
        if !file.is_file() {
            let brings = if file == Path::new(sources::KEYRING) {
                "install debian-archive-keyring (Debian, Ubuntu, Arch) or debian-keyring (Fedora)"
            } else {
                "the sources of this host name it: reinstall the package that has it, or set image.mirror"
            };
            return Err(BuildError::missing(reporter.stage, format!("{} is missing: {brings}", file.display())));
        }
    }
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
    let root = tree.path().to_path_buf();
    tree.also_writable(what.fetched.path());
    for folder in what.sources.iter().filter_map(Source::folder) {
        if folder.is_dir() {
            tree.also_shown(folder);
        }
    }
    write_configuration(what, reporter)?;
    tree.also_writable(&what.work.join(apt::DIR));
    let wanted = fetch(what, tree, reporter)?;
    install(what, tree, &wanted, reporter)?;
    let initramfs = CommandLine::new("/bin/sh").args(["-c", INITRAMFS]);
    tree.run(initramfs, tree.isolation().root(&root))?;
    tree.script_into(entry, "finish", &finish(what, &root, entry))?;
    tree.script_into(entry, "collect", &base::collect(&root, entry))?;
    base::pack(what.tools, tree, (&root, entry, what.epoch), &Packing::Quick, &[])?;
    let repository = |name: &str| wanted.iter().find(|it| it.name == name).map(|it| it.repository.clone());
    let list = entry.join(base::PACKAGE_LIST);
    base::listed(entry, repository).map_err(BuildError::io(reporter.stage, "read", &list))
}

/// Makes the initramfs of every kernel: once, after everything that has a hand in it.
const INITRAMFS: &str = "exec update-initramfs -c -k all";

/// Writes what apt and mmdebstrap read, in the work directory.
fn write_configuration(what: &Ingredients<'_>, reporter: &Reporter<'_>) -> Result<(), BuildError> {
    let stage = reporter.stage;
    let tool = what.tools.program("apt-get").map_err(|what| BuildError::missing(stage, what))?;
    // How the host reaches its mirrors: apt's own answer, wherever it is written.
    let line = CommandLine::new(tool.with_file_name("apt-config")).args(["dump", "Acquire"]).env("LC_ALL", "C.UTF-8");
    let host = cartridge_supervise::run(&line, reporter.cancel, |_, _| ()).map_err(BuildError::tool(stage))?;
    let host = String::from_utf8_lossy(&host.stdout).into_owned();
    let dir = what.work.join(apt::DIR);
    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(BuildError::io(stage, "remove", &dir))?;
    }
    fs::create_dir_all(&dir).map_err(BuildError::write(stage, &dir, 0))?;
    let lines: String = what.sources.iter().map(|it| it.line() + "\n").collect();
    for (name, text) in [
        ("apt.conf", apt::configuration(&host)),
        ("sources.list", lines),
        ("image.list", sources::inside(what.sources, what.suite)),
    ] {
        let file = dir.join(name);
        atomic::write_new(&file, text.as_bytes()).map_err(BuildError::write(stage, &file, 0))?;
    }
    Ok(())
}

/// Finds out what will be installed, and fetches what is not there yet.
fn fetch(what: &Ingredients<'_>, tree: &mut RootTree<'_>, reporter: &Reporter<'_>) -> Result<Vec<Wanted>, BuildError> {
    let fetched = what.fetched.path();
    let online = tree.isolation().network();
    let quiet = &mut |_: &News| ();
    let line = tree.scripted("refresh", &apt::refresh(what.work, fetched))?;
    run(tree, line, online.clone(), reporter, quiet)?;
    let line = tree.scripted("list", &apt::list(what.work, fetched, what.packages))?;
    let listed = match run(tree, line, tree.isolation(), reporter, quiet) {
        Err(error) => return Err(with_names(what, tree, error, reporter)),
        Ok(listed) => listed,
    };
    let wanted = apt::wanted(&listed);
    let bytes: u64 = wanted.iter().map(|it| it.bytes).sum();
    // Debian's packages are compressed by about four, and the packed root is as large as they are.
    room_for(reporter.stage, what.work, bytes.saturating_mul(5))?;
    room_for(reporter.stage, fetched, bytes.saturating_sub(what.fetched.arrived(&wanted)))?;
    // Two builds that fetch at once would write into the same unfinished files.
    let _alone = what.fetched.fetch_alone(reporter)?;
    let line = tree.scripted("fetch", &apt::fetch(what.work, fetched, what.packages))?;
    let tick = || what.fetched.tell_arrived(&wanted, reporter);
    ticking(BEAT, tick, || run(tree, line, online, reporter, &mut |_| ()))?;
    Ok(wanted)
}

/// Adds the names that may have been meant to the error of a package that was not found.
fn with_names(
    what: &Ingredients<'_>,
    tree: &mut RootTree<'_>,
    mut error: BuildError,
    reporter: &Reporter<'_>,
) -> BuildError {
    if let BuildError::Packages { finding, .. } = &mut error
        && finding.kind == FaultKind::PackageNotFound
        && let Some(name) = finding.subject.clone()
    {
        let isolation = tree.isolation();
        let names = tree.scripted("names", &apt::names(what.work, what.fetched.path())).map(|line| {
            // Not for the log: there are sixty thousand.
            cartridge_supervise::run(&tree.prepared(line, isolation), reporter.cancel, |_, _| ())
        });
        if let Ok(Ok(output)) = names {
            let known = String::from_utf8_lossy(&output.stdout).into_owned();
            finding.suggest(&nearest_names(&name, known.lines()));
        }
    }
    error
}

/// Runs mmdebstrap.
fn install(
    what: &Ingredients<'_>,
    tree: &mut RootTree<'_>,
    wanted: &[Wanted],
    reporter: &Reporter<'_>,
) -> Result<(), BuildError> {
    let program = what.tools.program("mmdebstrap").map_err(|what| BuildError::missing(reporter.stage, what))?;
    let files: String = wanted.iter().map(|it| format!("{}\n", it.file)).collect();
    let list = what.work.join(apt::DIR).join("files");
    atomic::write_new(&list, files.as_bytes()).map_err(BuildError::write(reporter.stage, &list, 0))?;
    let mut script = Script::new();
    script.set("work", what.work).set("fetched", what.fetched.path()).set("suite", what.suite);
    script.set("program", program).set("include", what.packages.join(","));
    script.set("place", apt::WORK).set("archives", apt::FETCHED).text(INSTALL);
    let line = tree.scripted("mmdebstrap", &script)?;
    // What was chosen step by step may differ from what was chosen at once: the rest is fetched by the way.
    let isolation = tree.isolation().network();
    let total = 2 * wanted.len() as u64;
    let mut done = 0;
    run(tree, line, isolation, reporter, &mut |news| {
        let (doing, package) = match news {
            News::Unpacking(package) => ("unpacking", package),
            News::SettingUp(package) => ("setting up", package),
            News::Line(_) => return,
        };
        done = (done + 1).min(total);
        reporter.advanced_on(done, Some(total), Unit::Packages, Some(&format!("{doing} {package}")));
    })
    .map(drop)
}

/// The mode "root" is right in a namespace of our own, where we are root and may mount. The host's own configuration of
/// dpkg and apt is not read by mmdebstrap. Written to disk at once, a killed build would be no better off:
/// `force-unsafe-io` (dpkg(1)).
const INSTALL: &str = r#"mkdir -- "$place" "$archives"
mount --rbind -- "$work" "$place"
mount --bind -- "$fetched" "$archives"
cat >"$place/apt/setup" <<'END'
set -e
mkdir -p "$1/var/cache/apt/archives/partial" "$1/var/lib/apt/lists"
cp -r /tmp/work/apt/lists/. "$1/var/lib/apt/lists/"
while read -r file; do
    if [ -f "/tmp/fetched/$file" ]; then cp --reflink=auto -- "/tmp/fetched/$file" "$1/var/cache/apt/archives/$file"; fi
done </tmp/work/apt/files
END
cd "$place"
# The kernel's own initramfs would be made before everything that belongs in it is there.
export INITRD=No
unset TMPDIR
exec "$program" --verbose --mode=root --variant=required --format=directory \
    --skip=update,download/empty,check/signed-by,check/qemu --dpkgopt=force-unsafe-io '--aptopt=APT::Sandbox::User "root"' \
    '--setup-hook=sh /tmp/work/apt/setup "$1"' --include="$include" "$suite" "$place/root" "$place/apt/sources.list""#;

/// Says what is installed, and takes away what an image must not carry, and what would differ from build to build:
/// traces of this host and of mmdebstrap, logs, indexes, backups of databases.
fn finish(what: &Ingredients<'_>, root: &Path, entry: &Path) -> Script {
    let mut script = Script::new();
    script.set("root", root).set("identity", "").set("pkglist", entry.join(base::PACKAGE_LIST));
    script.set("sources", what.work.join(apt::DIR).join("image.list"));
    script.text(base::PACKAGE_LISTS).text("dpkg_packages >\"$pkglist\"").text(base::TIDY).text(FINISH);
    script
}

const FINISH: &str = r#"rm -f -- "$root"/etc/{dpkg/dpkg.cfg.d,apt/apt.conf.d}/99mmdebstrap "$root"/etc/apt/sources.list.d/0000* \
    "$root/etc/hostname" "$root/var/lib/dbus/machine-id" "$root"/var/lib/dpkg/*-old "$root"/var/cache/debconf/*-old
if [ ! -L "$root/etc/resolv.conf" ]; then rm -f -- "$root/etc/resolv.conf"; fi
cp -- "$sources" "$root/etc/apt/sources.list"
chmod 644 -- "$root/etc/apt/sources.list"
clean "$root/var/lib/apt/lists" -mindepth 1
clean "$root/var/cache/apt" -type f
find "$root/var/log" -type f -exec truncate -s 0 -- {} +
rm -rf -- "$root"/var/log/apt/*
for dir in run tmp; do clean "$root/$dir" -mindepth 1; done"#;

/// Runs a tool; `told` hears what it does. Its own words for what went wrong are looked for.
fn run(
    tree: &RootTree<'_>,
    line: CommandLine,
    isolation: Isolation,
    reporter: &Reporter<'_>,
    told: &mut (dyn FnMut(&News) + Send),
) -> Result<String, BuildError> {
    let line = tree.prepared(line, isolation);
    let mut log = AptLog::new();
    let mut tell = |news: Vec<News>| {
        for news in news {
            if let News::Line(text) = &news {
                reporter.line(text.as_str());
            } else {
                told(&news);
            }
        }
    };
    let result = relay(&line, reporter, |channel, bytes| tell(log.feed(channel, bytes)));
    tell(log.finish());
    let stage = reporter.stage;
    match (log.first_error(result.is_ok()), result) {
        (_, Err(error @ RunError::Cancelled { .. })) => Err(BuildError::tool(stage)(error)),
        (Some(finding), Err(error)) if finding.kind == FaultKind::DiskFull => Err(tree.failed(error)),
        (Some(finding), Err(_)) => {
            let (finding, command) = (Box::new(finding.clone()), line.to_string());
            Err(BuildError::Packages { stage, finding, command })
        }
        (None, Err(error)) => Err(tree.failed(error)),
        (_, Ok(output)) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_is_bash() {
        let mut install = Script::new();
        install.text(INSTALL);
        let mut finish = Script::new();
        finish.text(FINISH);
        for script in [install, finish] {
            let line = CommandLine::new("bash").arg("-n").stdin(script.bytes());
            cartridge_supervise::run(&line, &crate::Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
        }
        assert!(INSTALL.contains(apt::WORK) && INSTALL.contains(apt::FETCHED));
    }
}
