//! The small initramfs of a direct boot: our init, busybox, the modules that this kernel and this way need, unpacked, and
//! `/etc/cartridge/boot.json`, which tells the init what to do.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cartridge_initramfs::cpio::Cpio;
use cartridge_initramfs::modules::{alias_for, unpacked};
use cartridge_initramfs::{packing, system};
use cartridge_supervise::Cancel;
use serde::Serialize;

use super::busybox::Busybox;
use super::modules::Modules;
use super::needs::Needs;
use super::{Access, BootError, Root, cache};
use crate::init::INIT;

/// No kernel module is larger, unpacked, bytes.
const LARGEST_MODULE: u64 = 256 << 20;
/// To be raised when something else is written for the same inputs.
const FORMAT: u32 = 1;
/// The kind of these results in the cache.
const KIND: &str = "initramfs";
/// The mount tag of a root folder.
pub(super) const ROOT_TAG: &str = "root";

/// What the init is to do, version 1: `vmtools/guest/src/boot.rs` reads it.
#[derive(Debug, Serialize)]
struct Order<'a> {
    v: u32,
    #[serde(flatten)]
    root: OrderedRoot<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "root", rename_all = "kebab-case")]
enum OrderedRoot<'a> {
    Initramfs,
    Layers { layers: &'a [String], keep: bool },
    Folder { tag: &'static str, access: Access },
}

/// What goes along.
pub(super) struct Parts<'a> {
    pub(super) root: &'a Root,
    pub(super) needs: &'a Needs,
    pub(super) modules: Option<&'a Modules>,
    pub(super) release: Option<&'a str>,
    pub(super) busybox: Option<&'a Busybox>,
}

/// A module: path below the modules' folder, content as it lies there.
type Packed = (String, Vec<u8>);

/// Writes the archive into `dir`, or finds it there.
pub(super) fn initramfs(parts: &Parts<'_>, dir: &Path, cancel: &Cancel) -> Result<PathBuf, BootError> {
    let order = order(parts.root);
    let lists = Lists::of(parts);
    let packed = lists.read(parts.modules, cancel)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&FORMAT.to_le_bytes()).update(system::fingerprint().as_bytes()).update(INIT);
    let mut add = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    };
    add(order.as_bytes());
    for text in [&lists.load, &lists.dep, &lists.alias] {
        add(text.as_bytes());
    }
    add(parts.release.unwrap_or_default().as_bytes());
    add(parts.busybox.map_or(&[], |it| &it.program));
    for (path, content) in &packed {
        add(path.as_bytes());
        add(content);
    }
    let hash = hasher.finalize();
    if let Some(path) = cache::get(dir, KIND, &hash) {
        return Ok(path);
    }
    if cancel.is_cancelled() {
        return Err(BootError::Cancelled);
    }
    let modules = packed.into_iter().map(|(path, content)| {
        let content = packing::module(content, LARGEST_MODULE);
        content.map(|content| (unpacked(&path).to_owned(), content)).map_err(|e| (path, e))
    });
    let dir_of = |path: &str| parts.modules.map_or_else(|| PathBuf::from(path), |it| it.dir.join(path));
    let modules = modules
        .collect::<Result<Vec<_>, _>>()
        .map_err(|(path, e)| BootError::io("unpack the kernel module", &dir_of(&path))(e))?;
    cache::put(dir, (KIND, &hash), |out| write(Cpio::new(out), parts, &order, &lists, &modules))
}

fn order(root: &Root) -> String {
    let root = match root {
        Root::Initramfs => OrderedRoot::Initramfs,
        Root::Layers { layers, keep, .. } => OrderedRoot::Layers { layers, keep: keep.is_some() },
        Root::Folder { access, .. } => OrderedRoot::Folder { tag: ROOT_TAG, access: *access },
    };
    // Words and flags always serialise.
    serde_json::to_string(&Order { v: 1, root }).unwrap_or_default()
}

/// The texts about the modules, and which they are.
#[derive(Default)]
struct Lists {
    all: Vec<String>,
    load: String,
    dep: String,
    alias: String,
}

impl Lists {
    fn of(parts: &Parts<'_>) -> Self {
        let Some(modules) = parts.modules else { return Self::default() };
        let Needs { must, load, at_hand } = parts.needs;
        let boot = modules.tree.closure(must.iter().chain(load).copied());
        let all = modules.tree.closure(must.iter().chain(load).chain(at_hand).copied());
        let load = boot.iter().map(|path| format!("{}\n", unpacked(path))).collect();
        // Only a guest that is ours to the end looks modules up by what they drive.
        let alias = if *parts.root == Root::Initramfs { alias_for(&modules.alias, &all) } else { String::new() };
        Self { load, dep: modules.tree.dep_for(&all), alias, all }
    }

    fn read(&self, modules: Option<&Modules>, cancel: &Cancel) -> Result<Vec<Packed>, BootError> {
        let Some(modules) = modules else { return Ok(Vec::new()) };
        let read = |path: &String| {
            if cancel.is_cancelled() {
                return Err(BootError::Cancelled);
            }
            let full = modules.dir.join(path);
            let content = std::fs::read(&full).map_err(BootError::io("read the kernel module", &full))?;
            Ok((path.clone(), content))
        };
        self.all.iter().map(read).collect()
    }
}

fn write<W: Write>(
    mut cpio: Cpio<W>,
    parts: &Parts<'_>,
    order: &str,
    lists: &Lists,
    modules: &[(String, Vec<u8>)],
) -> io::Result<()> {
    system::write(&mut cpio, INIT)?;
    if let Some(busybox) = parts.busybox {
        system::write_busybox(&mut cpio, &busybox.program, &busybox.applets)?;
    }
    cpio.bytes(Path::new("/etc/cartridge/boot.json"), 0o644, order.as_bytes())?;
    if let (Some(release), Some(_)) = (parts.release, parts.modules) {
        let version = Path::new("/lib/modules").join(release);
        cpio.bytes(Path::new("/etc/cartridge/modules.load"), 0o644, lists.load.as_bytes())?;
        cpio.dir(&version, 0o755)?;
        cpio.bytes(&version.join("modules.dep"), 0o644, lists.dep.as_bytes())?;
        cpio.bytes(&version.join("modules.alias"), 0o644, lists.alias.as_bytes())?;
        let mut made = BTreeSet::new();
        for (path, content) in modules {
            let to = version.join(path);
            let mut above: Vec<&Path> = to.ancestors().skip(1).take_while(|it| *it != version).collect();
            above.reverse();
            for dir in above {
                if made.insert(dir.to_path_buf()) {
                    cpio.dir(dir, 0o755)?;
                }
            }
            cpio.bytes(&to, 0o644, content)?;
        }
    }
    cpio.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_init_is_told_what_to_do() {
        assert_eq!(order(&Root::Initramfs), r#"{"v":1,"root":"initramfs"}"#);
        let layers = Root::Layers { disk: "/d".into(), layers: vec!["a/b.sfs".into()], keep: Some("/k".into()) };
        assert_eq!(order(&layers), r#"{"v":1,"root":"layers","layers":["a/b.sfs"],"keep":true}"#);
        let folder = Root::Folder { dir: "/x".into(), access: Access::ReadOnly };
        assert_eq!(order(&folder), r#"{"v":1,"root":"folder","tag":"root","access":"read-only"}"#);
    }
}
