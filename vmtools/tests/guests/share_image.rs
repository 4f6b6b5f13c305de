//! A small system for guests that are lent folders: our init, busybox, and the modules of a generic kernel, in an archive
//! that is written here: cpio(5), "New ASCII Format".

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::kernel;

/// Where a test that runs as somebody else finds what it cannot get at in its maker's home.
pub const IMAGE: &str = "CARTRIDGE_TEST_SHARE_IMAGE";

/// A kernel and an initramfs.
#[derive(Clone)]
pub struct Image {
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
}

/// The modules that mount 9p, virtiofs and overlays; the rest of an image's is always there.
pub const ALL: &[&str] = &["9p", "9pnet_virtio", "virtiofs", "overlay"];
const ALWAYS: &[&str] = &["virtio_pci", "qemu_fw_cfg"];

/// Makes an image with these modules in `dir`, loaded at boot.
pub fn image(dir: &Path, modules: &[&str]) -> Image {
    if let Some(made) = std::env::var_os(IMAGE).map(PathBuf::from) {
        return Image { kernel: made.join("vmlinuz"), initramfs: made.join("initramfs") };
    }
    let kernel = kernel();
    let tree = kernel.with_file_name("modules");
    let tree = if tree.is_dir() { tree } else { kernel.parent().unwrap().to_path_buf() };
    let dep = fs::read_to_string(tree.join("modules.dep")).unwrap_or_else(|e| {
        panic!("this test needs the modules of {}: {}: {e}", kernel.display(), tree.join("modules.dep").display())
    });
    let release = fs::read_to_string(tree.join("modules.dep")).map(|_| release(&kernel)).unwrap();
    let mut cpio = Vec::new();
    for (name, mode) in
        [("dev", 0o755), ("proc", 0o755), ("sys", 0o755), ("bin", 0o755), ("root", 0o700), ("tmp", 0o1777)]
    {
        entry(&mut cpio, name, 0o040_000 | mode, (0, 0), b"");
    }
    entry(&mut cpio, "root/demo", 0o040_755, (0, 0), b"");
    entry(&mut cpio, "root/demo/injected", 0o100_644, (0, 0), b"old\n");
    // Programs that start without open files want a /dev/null, and the kernel wants a console.
    entry(&mut cpio, "dev/null", 0o020_666, (1, 3), b"");
    entry(&mut cpio, "dev/console", 0o020_600, (5, 1), b"");
    entry(&mut cpio, "init", 0o100_755, (0, 0), vmtools::INIT);
    entry(&mut cpio, "bin/busybox", 0o100_755, (0, 0), &busybox());
    let mut above = String::new();
    for part in ["lib", "modules", &release] {
        above = format!("{above}{}{part}", if above.is_empty() { "" } else { "/" });
        entry(&mut cpio, &above, 0o040_755, (0, 0), b"");
    }
    let order = closure(&dep, modules);
    let names: Vec<String> = order.iter().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect();
    for (path, name) in order.iter().zip(&names) {
        entry(&mut cpio, &format!("{above}/{name}"), 0o100_644, (0, 0), &fs::read(tree.join(path)).unwrap());
    }
    entry(&mut cpio, "etc", 0o040_755, (0, 0), b"");
    entry(&mut cpio, "etc/cartridge", 0o040_755, (0, 0), b"");
    entry(&mut cpio, "etc/cartridge/modules.load", 0o100_644, (0, 0), names.join("\n").as_bytes());
    let guest = br#"{"name":"demo","into":"/root/demo","env":{}}"#;
    entry(&mut cpio, "etc/cartridge/guest.json", 0o100_644, (0, 0), guest);
    entry(&mut cpio, "TRAILER!!!", 0, (0, 0), b"");
    let made = Image { kernel: dir.join("vmlinuz"), initramfs: dir.join("initramfs") };
    fs::write(&made.initramfs, cpio).unwrap();
    fs::copy(kernel, &made.kernel).unwrap();
    made
}

/// The release of a kernel whose folder is called so, as in a store or in `/lib/modules`.
fn release(kernel: &Path) -> String {
    kernel.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

fn busybox() -> Vec<u8> {
    ["/bin/busybox", "/usr/bin/busybox", "/usr/lib/initcpio/busybox"]
        .iter()
        .find_map(|path| fs::read(path).ok())
        .expect("this test needs a static busybox (package busybox-static)")
}

/// The paths of the modules and of all that they need, in the order in which they are loaded. `modules.dep` names every
/// need of a module, the nearest first (modules.dep(5)); compressed modules are not for this test.
fn closure(dep: &str, wanted: &[&str]) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    for name in ALWAYS.iter().chain(wanted) {
        let ends = format!("/{name}.ko");
        // What a kernel has built in is not in the list.
        let Some(line) = dep.lines().find(|line| line.split(':').next().is_some_and(|path| path.ends_with(&ends)))
        else {
            continue;
        };
        let (path, needs) = line.split_once(':').unwrap();
        for path in needs.split_whitespace().rev().chain([path]) {
            if !order.iter().any(|known| known == path) {
                order.push(path.to_owned());
            }
        }
    }
    order
}

fn entry(cpio: &mut Vec<u8>, name: &str, mode: u32, device: (u32, u32), bytes: &[u8]) {
    let fields = [1, mode, 0, 0, 1, 0, bytes.len() as u32, 0, 0, device.0, device.1, name.len() as u32 + 1, 0]
        .map(|it| format!("{it:08x}"));
    cpio.extend_from_slice(format!("070701{}{name}\0", fields.concat()).as_bytes());
    cpio.resize(cpio.len().next_multiple_of(4), 0);
    cpio.extend_from_slice(bytes);
    cpio.resize(cpio.len().next_multiple_of(4), 0);
}
