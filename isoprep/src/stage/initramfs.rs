//! Second stage: the base initramfs. Init, busybox with its applets, and the kernel's modules, unpacked so that the guest
//! has nothing to decompress. Depends on no repository, so it is made once for a kernel.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use cartridge_initramfs::cpio::Cpio;
use cartridge_initramfs::modules::{ModuleTree, alias_for, unpacked};
use cartridge_initramfs::{busybox, packing, system};
use cartridge_supervise::{CommandLine, run};
use cartridge_treehash::TreeHash;

use crate::build::{BuildError, BuildRequest, room_for};
use crate::cache::{Cache, Entry};
use crate::host::{HostParts, Kernel};
use crate::plan::Key;
use crate::progress::{Meter, Reporter, Unit};
use crate::stage::hashing::Fingerprinter;
use crate::stage::modules_wanted;

/// The archive's name in the cache entry.
pub(crate) const ARCHIVE: &str = "base.cpio";
/// No kernel module is larger, unpacked, bytes.
const LARGEST_MODULE: u64 = 256 << 20;
/// Room to ask for before writing, bytes: seen are 8 to 16 MiB.
const NEEDED: u64 = 64 << 20;

/// The modules that go along with a kernel.
#[derive(Default)]
pub(crate) struct Modules {
    tree: ModuleTree,
    boot: Vec<String>,
    all: Vec<String>,
    alias: String,
    /// One hash over the paths and contents of them all.
    pub(crate) hash: Option<TreeHash>,
}

/// Finds the modules for `kernel`, and their fingerprint.
pub(crate) fn modules(
    kernel: &Kernel,
    prints: &mut Fingerprinter,
    reporter: &Reporter<'_>,
) -> Result<Modules, BuildError> {
    let Some(root) = &kernel.modules else {
        return Ok(Modules::default());
    };
    let stage = reporter.stage;
    let read = |name: &str| std::fs::read_to_string(root.join(name));
    let dep = read("modules.dep").map_err(BuildError::io(stage, "read", &root.join("modules.dep")))?;
    // The other lists are refinements: a kernel without softdeps or built-ins has empty ones.
    let [builtin, softdep, alias] =
        ["modules.builtin", "modules.softdep", "modules.alias"].map(|it| read(it).unwrap_or_default());
    let tree = ModuleTree::parse(&dep, &builtin, &softdep);
    let boot = tree.closure(modules_wanted::AT_BOOT.split_whitespace());
    let wanted = [modules_wanted::AT_BOOT, modules_wanted::AT_HAND];
    let all = tree.closure(wanted.iter().flat_map(|list| list.split_whitespace()));
    let alias = alias_for(&alias, &all);
    let mut hasher = blake3::Hasher::new();
    hasher.update(boot.join("\n").as_bytes()).update(alias.as_bytes()).update(builtin.as_bytes());
    let sizes = all.iter().map(|path| std::fs::metadata(root.join(path)).map_or(0, |meta| meta.len()));
    let meter = Meter::new(reporter, sizes.sum());
    for path in &all {
        reporter.go_on()?;
        let full = root.join(path);
        let read = prints.of(&full, &meter);
        reporter.go_on()?;
        let (hash, _) = read.map_err(BuildError::io(stage, "read the kernel module", &full))?;
        hasher.update(path.as_bytes()).update(&hash.0);
    }
    let hash = Some(TreeHash(*hasher.finalize().as_bytes()));
    Ok(Modules { tree, boot, all, alias, hash })
}

/// Writes the archive.
pub(crate) fn initramfs(
    (request, parts): (&BuildRequest, &HostParts),
    (modules, prints): (&Modules, &Fingerprinter),
    (cache, key): (&Cache, Key),
    reporter: &Reporter<'_>,
) -> Result<Entry, BuildError> {
    let stage = reporter.stage;
    let applets = applets(&parts.busybox, reporter)?;
    let draft = cache.draft(stage, key).map_err(BuildError::write(stage, &request.cache, NEEDED))?;
    let target = draft.file(ARCHIVE);
    room_for(stage, target.parent().unwrap_or(&target), NEEDED)?;
    let failed = |e: io::Error| BuildError::write(stage, &target, NEEDED)(e);
    let program = std::fs::read(&parts.busybox);
    let program = program.map_err(BuildError::io(stage, "read", &parts.busybox))?;
    let file = std::fs::File::create(&target).map_err(failed)?;
    let mut cpio = Cpio::new(BufWriter::new(file));
    system::write(&mut cpio, request.init).map_err(failed)?;
    system::write_busybox(&mut cpio, &program, &applets).map_err(failed)?;
    if let Some(root) = &parts.kernel.modules {
        let version = Path::new("/lib/modules").join(&parts.kernel.version);
        lists(&mut cpio, &version, modules).map_err(failed)?;
        let mut made = std::collections::BTreeSet::new();
        for (done, path) in modules.all.iter().enumerate() {
            reporter.go_on()?;
            reporter.advanced(done as u64, Some(modules.all.len() as u64), Unit::Files);
            let full = root.join(path);
            let bytes = std::fs::read(&full).and_then(|packed| packing::module(packed, LARGEST_MODULE));
            let bytes = bytes.map_err(BuildError::io(stage, "unpack the kernel module", &full))?;
            let to = version.join(unpacked(path));
            let mut above: Vec<&Path> = to.ancestors().skip(1).take_while(|it| *it != version).collect();
            above.reverse();
            for dir in above {
                if made.insert(dir.to_path_buf()) {
                    cpio.dir(dir, 0o755).map_err(failed)?;
                }
            }
            cpio.bytes(&to, 0o644, &bytes).map_err(failed)?;
        }
    } else {
        reporter.line("warning: this kernel comes without modules: the guest has only the drivers built into it");
    }
    cpio.finish().map_err(failed)?;
    let root = parts.kernel.modules.as_deref().unwrap_or(Path::new("/"));
    let read: Vec<PathBuf> = modules.all.iter().map(|path| root.join(path)).collect();
    prints.still(read.iter().chain([&parts.busybox]).map(PathBuf::as_path), reporter)?;
    draft.commit().map_err(failed)
}

fn lists<W: Write>(cpio: &mut Cpio<W>, version: &Path, modules: &Modules) -> io::Result<()> {
    let boot: String = modules.boot.iter().map(|path| format!("{}\n", unpacked(path))).collect();
    cpio.bytes(Path::new("/etc/cartridge/modules.load"), 0o644, boot.as_bytes())?;
    cpio.dir(version, 0o755)?;
    cpio.bytes(&version.join("modules.dep"), 0o644, modules.tree.dep_for(&modules.all).as_bytes())?;
    cpio.bytes(&version.join("modules.alias"), 0o644, modules.alias.as_bytes())
}

/// Asks busybox for its applets: paths such as `bin/ls`, sorted.
fn applets(program: &Path, reporter: &Reporter<'_>) -> Result<Vec<String>, BuildError> {
    let line = CommandLine::new(program).arg("--list-full");
    let output = run(&line, reporter.cancel, |_, _| ()).map_err(BuildError::tool(reporter.stage))?;
    let applets = busybox::listed(&String::from_utf8_lossy(&output.stdout));
    let missing = busybox::missing(&applets);
    if missing.is_empty() {
        return Ok(applets);
    }
    Err(BuildError::Refused {
        stage: reporter.stage,
        what: format!(
            "the busybox {} has no {}, and the guest has nothing else",
            program.display(),
            missing.join(", ")
        ),
        advice: format!("Install another busybox-static; see `{} --list`.", program.display()),
    })
}
