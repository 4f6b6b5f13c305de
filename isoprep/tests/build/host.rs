//! Finding the host's parts on other distributions' paths, and naming what is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use isoprep::{HostSearch, discover, kernels};

use crate::bench::{parts, search};

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn kernel(version: &str) -> Vec<u8> {
    let mut head = vec![0; 0x400];
    head[0x202..0x206].copy_from_slice(b"HdrS");
    head[0x20f] = 1;
    head[0x300..0x300 + version.len()].copy_from_slice(version.as_bytes());
    head
}

#[test]
fn an_empty_machine_misses_every_part_and_says_what_to_install() {
    let dir = tempfile::tempdir().unwrap();
    let search = HostSearch {
        root: dir.path().into(),
        kernel_stores: vec![dir.path().join("store")],
        kernel: None,
        path: vec![dir.path().join("usr/bin")],
    };
    let missing = discover(&search).unwrap_err();
    assert_eq!(missing.0.len(), 7, "{missing}");
    let text = missing.to_string();
    for word in ["busybox-static", "libisoburn", "syslinux", "systemd-boot-efi", "linux-image-amd64", "store/*/vmlinuz"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(missing.0.iter().all(|part| !part.looked.is_empty()), "{text}");
}

#[test]
fn arch_and_fedora_paths_are_known() {
    let busybox = fs::read(parts().busybox).unwrap();
    let arch = [
        "/usr/lib/syslinux/bios/isolinux.bin",
        "/usr/lib/syslinux/bios/isohdpfx.bin",
        "/usr/lib/syslinux/bios/ldlinux.c32",
    ];
    let fedora =
        ["/usr/share/syslinux/isolinux.bin", "/usr/share/syslinux/isohdpfx.bin", "/usr/share/syslinux/ldlinux.c32"];
    for files in [arch, fedora] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        files.iter().for_each(|path| put(root, path, b"x"));
        put(root, "/usr/lib/systemd/boot/efi/systemd-bootx64.efi", b"x");
        put(root, "/usr/bin/xorriso", b"x");
        put(root, "/usr/bin/busybox", &busybox);
        put(root, "/usr/lib/modules/6.12.1-arch1-1/vmlinuz", &kernel("6.12.1-arch1-1 (x) #1"));
        put(root, "/usr/lib/modules/6.12.1-arch1-1/modules.dep", b"");
        let path = vec![root.join("usr/bin")];
        let found = discover(&HostSearch { root: root.into(), kernel_stores: vec![], kernel: None, path }).unwrap();
        assert_eq!(found.kernel.version, "6.12.1-arch1-1");
        assert_eq!(found.kernel.modules, Some(root.join("usr/lib/modules/6.12.1-arch1-1")));
        assert_eq!(found.ldlinux, root.join(files[2].trim_start_matches('/')));
    }
}

#[test]
fn a_dynamic_busybox_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "/bin/busybox", &fs::read(std::env::current_exe().unwrap()).unwrap());
    let search = HostSearch { root: dir.path().into(), path: vec![dir.path().join("bin")], ..search() };
    let missing = discover(&search).unwrap_err();
    let busybox = missing.0.iter().find(|part| part.part.contains("busybox")).unwrap();
    assert!(busybox.looked.iter().any(|place| place.contains("linked dynamically")), "{missing}");
    assert!(busybox.advice.contains("busybox-static"));
}

#[test]
fn kernels_come_best_first_and_broken_ones_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, "/boot/vmlinuz-6.9.1-amd64", &kernel("6.9.1-amd64 #1"));
    put(root, "/boot/vmlinuz-6.1.0-2-amd64", &kernel("6.1.0-2-amd64 #1"));
    put(root, "/lib/modules/6.1.0-2-amd64/modules.dep", b"");
    put(root, "/boot/vmlinuz-broken", b"not a kernel");
    put(root, "/store/cloud/vmlinuz", &kernel("6.8.0-cloud-amd64 #1"));
    put(root, "/store/cloud/modules/modules.dep", b"");
    let search = HostSearch { root: root.into(), kernel_stores: vec![root.join("store")], kernel: None, path: vec![] };
    let found: Vec<_> = kernels(&search).into_iter().map(|kernel| kernel.version).collect();
    assert_eq!(found, ["6.1.0-2-amd64", "6.8.0-cloud-amd64", "6.9.1-amd64"]);
    let asked = HostSearch { kernel: Some(root.join("boot/vmlinuz-broken")), ..search };
    let text = discover(&asked).unwrap_err().to_string();
    assert!(text.contains("image.kernel") && text.contains("not a Linux bzImage"), "{text}");
}
