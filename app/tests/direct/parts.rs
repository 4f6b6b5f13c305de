//! What guests of these tests are made of: a kernel of this host, and an initramfs with busybox.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use isoprep::HostSearch;

/// The best kernel of this host, as the product finds it.
pub fn kernel() -> PathBuf {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()));
    let search = HostSearch {
        root: "/".into(),
        kernel_stores: vec![home.join(".local/share/cartridge/kernels")],
        kernel: None,
        path: std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect(),
    };
    isoprep::kernels(&search).remove(0).image
}

fn busybox() -> Vec<u8> {
    let places = ["/bin/busybox", "/usr/bin/busybox", "/usr/lib/initcpio/busybox"];
    let found = places.iter().find(|place| Path::new(place).is_file()).expect("busybox is installed");
    fs::read(found).unwrap()
}

/// An initramfs whose init runs `script` with busybox, with its words on the serial line.
pub fn initramfs(at: &Path, script: &str) {
    let init = format!(
        "#!/busybox sh\n/busybox mkdir -p /dev /proc /sys\n/busybox mount -t devtmpfs none /dev\n/busybox mount -t proc none /proc\n\
         /busybox mount -t sysfs none /sys\nexec </dev/ttyS0 >/dev/ttyS0 2>&1\n{script}\n"
    );
    let mut archive = Vec::new();
    for (name, mode, content) in
        [("busybox", 0o100_755, busybox()), ("init", 0o100_755, init.into_bytes()), ("TRAILER!!!", 0, Vec::new())]
    {
        entry(&mut archive, name, mode, &content);
    }
    fs::write(at, archive).unwrap();
}

/// A root file system with busybox, whose init runs `script` with its words on the serial line.
pub fn root(dir: &Path, script: &str) {
    for name in ["bin", "sbin", "dev", "proc", "sys", "run"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    fs::write(dir.join("bin/busybox"), busybox()).unwrap();
    std::os::unix::fs::symlink("busybox", dir.join("bin/sh")).unwrap();
    let init = format!("#!/bin/sh\nexec </dev/ttyS0 >/dev/ttyS0 2>&1\n{script}\n");
    fs::write(dir.join("sbin/init"), init).unwrap();
    for program in ["bin/busybox", "sbin/init"] {
        fs::set_permissions(dir.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// One entry of a cpio archive (`Documentation/driver-api/early-userspace/buffer-format.rst`, "newc").
fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let size = u32::try_from(content.len()).unwrap();
    let length = u32::try_from(name.len() + 1).unwrap();
    let ino = u32::try_from(archive.len()).unwrap() + 1;
    archive.extend(b"070701");
    for field in [ino, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, length, 0] {
        archive.extend(format!("{field:08x}").bytes());
    }
    archive.extend(name.bytes().chain([0]));
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(4), 0);
}

/// An ISO with these files and this configuration of GRUB.
pub fn iso(dir: &Path, name: &str, files: &[(&str, &Path)], grub: &str) -> PathBuf {
    let tree = dir.join(format!("{name}-tree"));
    fs::create_dir_all(tree.join("boot/grub")).unwrap();
    fs::write(tree.join("boot/grub/grub.cfg"), grub).unwrap();
    for (to, from) in files {
        fs::copy(from, tree.join(to)).unwrap();
    }
    let iso = dir.join(format!("{name}.iso"));
    let status = std::process::Command::new("xorriso")
        .args(["-no_rc", "-as", "mkisofs", "-quiet", "-R", "-volid", "STRANGE", "-o"])
        .args([&iso, &tree])
        .stderr(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success());
    iso
}
