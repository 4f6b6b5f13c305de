//! The expensive first stage of an archiso image: packages installed into a root of their own, hooks run, initramfs made, the
//! root packed. Its result is kept for as long as the package list, the profile's `airootfs` and the databases stay as they
//! are; the repository is no part of it.

pub(crate) mod layer_hook;
pub(crate) mod pacman;
mod scripts;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cartridge_supervise::{CommandLine, Isolation, RunError};

use crate::build::{BuildError, room_for};
use crate::cache::{Cache, Entry, atomic, packages::PackageCache};
use crate::host::Tools;
use crate::lint::SyncDatabases;
use crate::pacman_log::{FaultKind, LogFinding, PacmanLog, PacmanNews, PacmanStep, nearest_names};
use crate::plan::Key;
use crate::profile::Profile;
use crate::progress::{Reporter, Unit, ticking};
use crate::rootfs::{KeptRoot, Packing, RootTree, Script, relay};
use crate::stage::base::{self, InstalledPackage};
use pacman::{Pacman, Wanted};

/// Room to ask for before anything is fetched, bytes: the smallest Arch root is larger.
const NEEDED: u64 = 128 << 20;

/// How often we look how much was fetched.
const BEAT: Duration = Duration::from_millis(100);

/// What the stage works on.
pub(crate) struct Ingredients<'a> {
    /// The assembled profile, read.
    pub(crate) profile: &'a Profile,
    /// The modes of files of `airootfs` that are programs, by path in the image.
    pub(crate) modes: &'a BTreeMap<PathBuf, u32>,
    pub(crate) tools: &'a Tools,
    /// What `pacman-conf` printed of the profile's configuration.
    pub(crate) expanded: &'a str,
    /// Whether the live system finds the repository in a layer of its own.
    pub(crate) layered: bool,
    pub(crate) epoch: u64,
    pub(crate) work: &'a Path,
    /// Where fetched packages are kept.
    pub(crate) fetched: &'a PackageCache,
    /// Whether to go on after a hook or a scriptlet that failed, as pacman does.
    pub(crate) lenient: bool,
    /// Where fetched databases are remembered.
    pub(crate) databases: &'a Path,
}

/// Prints the profile's pacman configuration with everything included and expanded.
pub(crate) fn expanded_conf(
    conf: &Path,
    shown: &[&Path],
    tools: &Tools,
    reporter: &Reporter<'_>,
) -> Result<String, BuildError> {
    let program = tools.program("pacman-conf").map_err(|what| BuildError::missing(reporter.stage, what))?;
    let isolation = shown.iter().fold(Isolation::new().unprivileged(), |it, dir| it.shown(*dir, *dir));
    let line = CommandLine::new(program).arg("--config").arg(conf).isolated(isolation);
    let output =
        cartridge_supervise::run(&line, reporter.cancel, |_, _| ()).map_err(BuildError::tool(reporter.stage))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes the root and packs it.
pub(crate) fn packages(
    what: &Ingredients<'_>,
    at: (&Cache, Key),
    reporter: &Reporter<'_>,
) -> Result<(Entry, KeptRoot), BuildError> {
    base::base((what.work, what.epoch, NEEDED), at, reporter, |tree, entry| make(what, tree, entry, reporter))
}

fn make(
    what: &Ingredients<'_>,
    tree: &mut RootTree<'_>,
    entry: &Path,
    reporter: &Reporter<'_>,
) -> Result<Vec<InstalledPackage>, BuildError> {
    let profile = what.profile;
    tree.also_shown(&profile.dir);
    let root = tree.path().to_path_buf();
    let airootfs = profile.dir.join("airootfs");
    let mut layout = scripts::layout(&root, &airootfs, what.modes, &profile.definition.file_permissions);
    if what.layered {
        add_hook(what, &root, &mut layout, reporter)?;
    }
    let program = what.tools.program("pacman").map_err(|what| BuildError::missing(reporter.stage, what))?;
    let (laid, modern) = std::thread::scope(|scope| {
        let modern = scope.spawn(|| pacman_is_modern(program, reporter));
        (tree.script("layout", &layout), modern.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    laid?;
    let wanted = install(what, tree, (program, modern?), reporter)?;
    let passwd = Some(airootfs.join("etc/passwd")).filter(|it| it.is_file());
    let mut finish = scripts::finish(&root, &profile.definition, passwd.as_deref(), what.epoch);
    let told = tree.script("finish", finish.then(&scripts::tell_own(&root)))?.stdout;
    if String::from_utf8_lossy(&told).lines().next_back() == Some(scripts::OWN_IS_THERE) {
        customize(tree, &root, reporter)?;
    }
    let list = entry.join(base::PACKAGE_LIST);
    // Alone what takes out of the root may write beside it: the others go by paths that packages have made.
    tree.script_into(entry, "collect", scripts::list(&root, &list).then(&base::collect(&root, entry)))?;
    tree.script("cleanup", &scripts::cleanup(&root, what.epoch, &layer_hook::PLACES))?;
    // A layered root is the image's; another one is packed again with the repository in it.
    let packing = if what.layered { Packing::Quick } else { Packing::Passing };
    base::pack(what.tools, tree, (&root, entry, what.epoch), &packing, &[])?;
    let repository = |name: &str| wanted.iter().find(|it| it.name == name).map(|it| it.repository.clone());
    base::listed(entry, repository).map_err(BuildError::io(reporter.stage, "read", &list))
}

/// Puts our mkinitcpio hook into the root, and its name into the configuration that makes the live initramfs.
fn add_hook(
    what: &Ingredients<'_>,
    root: &Path,
    script: &mut Script,
    reporter: &Reporter<'_>,
) -> Result<(), BuildError> {
    let dir = what.work.join("layer-hook");
    let stage = reporter.stage;
    let write = |name: &str, text: &str| {
        let file = dir.join(name);
        fs::create_dir_all(&dir)
            .and_then(|()| atomic::write_new(&file, text.as_bytes()))
            .map_err(BuildError::write(stage, &file, 0))?;
        Ok::<PathBuf, BuildError>(file)
    };
    for (place, text) in layer_hook::PLACES.into_iter().zip([layer_hook::INSTALL, layer_hook::RUN]) {
        let file = write(if place.contains("hooks") { "hook" } else { "install" }, text)?;
        script.run([
            "install".as_ref(),
            "-D".as_ref(),
            "-m".as_ref(),
            "755".as_ref(),
            file.as_os_str(),
            root.join(place).as_os_str(),
        ]);
    }
    for (index, config) in what.profile.initcpio_configs.iter().enumerate() {
        let from = what.profile.dir.join(&config.file);
        let text = fs::read_to_string(&from).map_err(BuildError::io(stage, "read", &from))?;
        let Some(text) = layer_hook::with_hook(&text) else { continue };
        let file = write(&format!("config-{index}"), &text)?;
        let to = root.join(config.file.strip_prefix("airootfs").unwrap_or(&config.file));
        script.run(["cp".as_ref(), "--".as_ref(), file.as_os_str(), to.as_os_str()]);
    }
    Ok(())
}

/// Fetches and installs the packages.
fn install(
    what: &Ingredients<'_>,
    tree: &mut RootTree<'_>,
    (program, modern): (&Path, bool),
    reporter: &Reporter<'_>,
) -> Result<Vec<Wanted>, BuildError> {
    let stage = reporter.stage;
    let conf = what.work.join("pacman.conf");
    atomic::write_new(&conf, pacman::private_conf(what.expanded, modern).as_bytes())
        .map_err(BuildError::write(stage, &conf, 0))?;
    for (_, repository) in pacman::local_repositories(what.expanded) {
        if repository.is_dir() {
            tree.also_shown(&repository);
        }
    }
    tree.also_writable(what.fetched.path());
    let keys = what.work.join("keys");
    keyring(what, tree, &keys, reporter)?;
    let root = tree.path().to_path_buf();
    // Not the host's own cache: a stale package in it could be neither used nor, read-only, be removed.
    let pacman = Pacman { program, conf: &conf, root: &root, cache: what.fetched.path(), keys: &keys };
    let packages = listed(what.profile);
    if packages.is_empty() {
        return Err(BuildError::Refused {
            stage,
            what: format!("{} lists no package", what.profile.packages.file.display()),
            advice: "List at least base and a kernel there, or add them as image.packages.".to_owned(),
        });
    }
    let online = || tree.isolation().network();
    let run = |line: CommandLine, isolation: Isolation, step: &(dyn Fn(PacmanStep) + Sync)| {
        run_pacman(tree, line, isolation, (what.lenient, step), reporter)
    };
    run(pacman.refresh(), online(), &|_| ())?;
    let databases = root.join("var/lib/pacman/sync");
    if let Err(e) = remember(&databases, what.databases) {
        reporter.line(format!("warning: the package databases are not remembered for the next look: {e}"));
    }
    let listed = run(pacman.list(&packages), online(), &|_| ()).map_err(|error| with_nearest(error, &databases))?;
    let wanted = pacman::wanted(&listed);
    let bytes: u64 = wanted.iter().map(|it| it.bytes).sum();
    room_for(stage, what.fetched.path(), bytes.saturating_sub(what.fetched.arrived(&wanted)))?;
    // Two builds that fetch at once would write into the same unfinished files.
    let alone = what.fetched.fetch_alone(reporter)?;
    what.fetched.sweep(&alone, &wanted);
    let alone = Mutex::new(Some(alone));
    let fetching = || alone.lock().unwrap_or_else(PoisonError::into_inner);
    let step = |step: PacmanStep| {
        // What was fetched is whole and checked.
        if step > PacmanStep::Checking {
            fetching().take();
        }
    };
    let tick = || {
        if fetching().is_some() {
            what.fetched.tell_arrived(&wanted, reporter);
        }
    };
    ticking(BEAT, tick, || {
        let install = || run(pacman.install(&packages), online().prepared(&root), &step);
        let installed = install();
        let corrupt = |error: &BuildError| matches!(error, BuildError::Packages { finding, .. } if finding.kind == FaultKind::CorruptPackage);
        if installed.as_ref().is_err_and(corrupt) && fetching().is_some() {
            // A package that was built again under its old version: pacman has removed the old one, and installed nothing.
            reporter.line("fetched packages were stale; once more");
            return install();
        }
        installed
    })?;
    Ok(wanted)
}

/// Where the databases of a configuration are remembered.
pub(crate) fn databases_room(cache: &Cache, expanded: &str) -> io::Result<PathBuf> {
    cache.room(&format!("index/databases-{}", blake3::hash(expanded.as_bytes()).to_hex()))
}

fn remember(databases: &Path, room: &Path) -> io::Result<()> {
    for entry in fs::read_dir(databases)? {
        let from = entry?.path();
        if from.extension().is_some_and(|end| end == "db")
            && let Some(name) = from.file_name()
        {
            atomic::write(&room.join(name), &fs::read(&from)?)?;
        }
    }
    Ok(())
}

/// Says which names come nearest to that of a package that there is not.
fn with_nearest(mut error: BuildError, databases: &Path) -> BuildError {
    if let BuildError::Packages { finding, .. } = &mut error
        && finding.kind == FaultKind::PackageNotFound
        && let Some(name) = finding.subject.clone()
    {
        let (known, _) = SyncDatabases::load(databases);
        finding.suggest(&nearest_names(&name, known.names()));
    }
    error
}

/// What is installed: the packages that `profiledef.sh` names itself, then those of the list.
pub(crate) fn listed(profile: &Profile) -> Vec<String> {
    let own = profile.definition.pkg_list.iter().cloned();
    own.chain(profile.packages.packages.iter().map(|it| it.name.clone())).collect()
}

/// Runs pacman; tells how far it is, and `step` each step that begins. Its exit code is not trusted alone: it is 0 after a hook that failed, and what that was
/// for will be missed later.
fn run_pacman(
    tree: &RootTree<'_>,
    line: CommandLine,
    isolation: Isolation,
    (lenient, step): (bool, &(dyn Fn(PacmanStep) + Sync)),
    reporter: &Reporter<'_>,
) -> Result<String, BuildError> {
    // What it says is understood by the order of its lines.
    let line = tree.prepared(line, isolation).one_pipe();
    let mut log = PacmanLog::new();
    let tell = |news: Vec<PacmanNews>| {
        for news in news {
            match news {
                PacmanNews::Line { text, .. } => reporter.line(text),
                PacmanNews::Step { step: begun } => step(begun),
                PacmanNews::Item { name, number, total, .. } if total > 0 => {
                    reporter.advanced_on(number, Some(total), Unit::Packages, Some(&name));
                }
                _ => {}
            }
        }
    };
    let result = relay(&line, reporter, |channel, bytes| tell(log.feed(channel, bytes)));
    tell(log.finish(result.is_ok()));
    let stage = reporter.stage;
    let failed = |it: &&LogFinding| matches!(it.kind, FaultKind::PacmanHook | FaultKind::Scriptlet) && !lenient;
    let first = log.findings().first_error(result.is_ok()).or_else(|| log.findings().iter().find(failed));
    match (first, result) {
        (_, Err(error @ RunError::Cancelled { .. })) => Err(BuildError::tool(stage)(error)),
        (Some(finding), result) => {
            // pacman has many words for a full disk, and says another thing first.
            if let Err(full @ BuildError::DiskFull { .. }) = result.map_err(|error| tree.failed(error)) {
                return Err(full);
            }
            let (finding, command) = (Box::new(finding.clone()), line.to_string());
            Err(BuildError::Packages { stage, finding, command })
        }
        (None, Err(error)) => Err(tree.failed(error)),
        (None, Ok(output)) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
    }
}

fn pacman_is_modern(program: &Path, reporter: &Reporter<'_>) -> Result<bool, BuildError> {
    let line = CommandLine::new(program).arg("--version");
    let output =
        cartridge_supervise::run(&line, reporter.cancel, |_, _| ()).map_err(BuildError::tool(reporter.stage))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let major = text.split("Pacman v").nth(1).and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    Ok(major.is_none_or(|major| major >= 7))
}

/// Keys to check packages with: the host's public ones, copied because gpg writes beside them; or, where the host has none,
/// new ones from the keyrings that are installed.
fn keyring(
    what: &Ingredients<'_>,
    tree: &mut RootTree<'_>,
    keys: &Path,
    reporter: &Reporter<'_>,
) -> Result<(), BuildError> {
    let stage = reporter.stage;
    let mut script = Script::new();
    // A folder of its own that may be written: gpg locks and remembers there.
    fs::create_dir_all(keys).map_err(BuildError::write(stage, keys, 0))?;
    tree.also_writable(keys);
    let checked = pacman::checks_signatures(what.expanded);
    if !checked && fs::read_dir(keys).is_ok_and(|mut found| found.next().is_none()) {
        return Ok(());
    }
    script.set("keys", keys).text("find \"$keys\" -mindepth 1 -delete; chmod 755 -- \"$keys\"");
    if checked {
        let tool = what.tools.program("pacman-key").map_err(|what| BuildError::missing(stage, what))?;
        what.tools.program("gpg").map_err(|what| BuildError::missing(stage, what))?;
        script.set("pacman_key", tool).text(KEYRING);
    }
    tree.script("keyring", &script).map(drop)
}

/// Arch's tools look for keyrings in `/usr/share/pacman/keyrings`; Debian's pacman-key and archlinux-keyring use
/// `/usr/share/keyrings`, where other programs have theirs too: a keyring of pacman has a list of trusted keys beside it.
const KEYRING: &str = r#"host=/etc/pacman.d/gnupg
if [ -r "$host/pubring.gpg" ] || [ -r "$host/pubring.kbx" ]; then
    for file in pubring.gpg pubring.kbx trustdb.gpg tofu.db gpg.conf; do
        if [ -r "$host/$file" ]; then cp -- "$host/$file" "$keys/$file"; fi
    done
else
    found=()
    for trusted in /usr/share/pacman/keyrings/*-trusted /usr/share/keyrings/*-trusted /usr/share/keyrings/*-trusted.gpg; do
        name=${trusted##*/}; name=${name%.gpg}; name=${name%-trusted}
        if [ -e "${trusted%/*}/$name.gpg" ]; then found+=("$name"); fi
    done
    "$pacman_key" --gpgdir "$keys" --init
    if [ ${#found[@]} -gt 0 ]; then
        "$pacman_key" --gpgdir "$keys" --populate "${found[@]}"
    else
        echo "warning: this host has no pacman keyring (package archlinux-keyring): signed packages will not be trusted"
    fi
    gpgconf --homedir "$keys" --kill all || true
fi"#;

/// Runs the profile's own script inside the root, as mkarchiso does, and removes it.
fn customize(tree: &mut RootTree<'_>, root: &Path, reporter: &Reporter<'_>) -> Result<(), BuildError> {
    reporter.line("warning: customize_airootfs.sh is deprecated in archiso; it is run all the same");
    let mut script = Script::new();
    script.set("root", root).set("place", Path::new("/").join(scripts::OWN)).set("kept", "/tmp/resolv.conf");
    let isolation = tree.isolation().network().prepared(root);
    tree.script_in("customize", script.text(scripts::CUSTOMIZE), isolation)?;
    let mut gone = Script::new();
    gone.run(["rm".as_ref(), "--".as_ref(), root.join(scripts::OWN).as_os_str()]);
    tree.script("customized", &gone).map(drop)
}
