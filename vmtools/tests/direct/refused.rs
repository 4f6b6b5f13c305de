//! What cannot work is said before anything starts.

use std::path::{Path, PathBuf};

use vmtools::Cancel;
use vmtools::boot::{BootError, DirectBoot, Root, prepare};
use vmtools::share::Access;

use crate::bench::{direct, folder, layers, place};
use crate::harness::kernel;

fn error(boot: &DirectBoot) -> BootError {
    let place = place();
    let error = prepare(boot, &place.path().join("cache"), &Cancel::new()).unwrap_err();
    assert!(!place.path().join("cache").exists(), "something was made");
    error
}

fn file(place: &Path, name: &str, content: &[u8]) -> PathBuf {
    std::fs::write(place.join(name), content).unwrap();
    place.join(name)
}

#[test]
fn a_kernel_that_is_none_is_called_what_it_is() {
    let place = place();
    let own = std::env::current_exe().unwrap();
    for (kernel, found) in [
        (own, "an ELF"),
        (file(place.path(), "empty", b""), "an empty file"),
        (file(place.path(), "archive", b"\x1f\x8b\x08rest"), "gzip data"),
        (file(place.path(), "text", b"hello\n"), "a text"),
    ] {
        let error = error(&DirectBoot { kernel, ..direct(Root::Initramfs) });
        assert!(matches!(&error, BootError::NotAKernel { .. }) && error.to_string().contains(found), "{error}");
    }
    let absent = error(&DirectBoot { kernel: "/absent/vmlinuz".into(), ..direct(Root::Initramfs) });
    assert!(absent.to_string().contains("/absent/vmlinuz"), "{absent}");
    let folder = error(&DirectBoot { kernel: place.path().to_owned(), ..direct(Root::Initramfs) });
    assert!(folder.to_string().contains("directory"), "{folder}");
}

#[test]
fn an_initrd_that_is_none_is_called_what_it_is() {
    let boot = DirectBoot { initrds: vec![kernel()], ..direct(Root::Initramfs) };
    let error = error(&boot);
    assert!(matches!(&error, BootError::NotAnInitrd { .. }) && error.to_string().contains("EFI or DOS"), "{error}");
}

#[test]
fn roots_that_are_none_are_refused() {
    let place = place();
    let said = |root: Root| error(&direct(root)).to_string();
    assert!(said(folder(Path::new("/absent"), Access::Overlaid)).contains("/absent"));
    assert!(said(layers(&file(place.path(), "t", b"hello\n"))).contains("a text"));
    assert!(said(layers(&file(place.path(), "q", b"QFI\xfb\0\0"))).contains("qemu-img convert"));
    assert!(said(layers(Path::new("/absent.iso"))).contains("/absent.iso"));
}

/// The modules of a kernel whose list has everything but `left_out`.
fn modules_without(place: &Path, left_out: &[&str]) -> PathBuf {
    let kernel = kernel();
    let dir =
        ["modules", "."].iter().map(|it| kernel.parent().unwrap().join(it)).find(|it| it.join("modules.dep").exists());
    let dir = dir.expect("the kernel of these tests has its modules beside it");
    let new = place.join("modules");
    std::fs::create_dir(&new).unwrap();
    let dep = std::fs::read_to_string(dir.join("modules.dep")).unwrap();
    let name =
        |line: &str| line.split(':').next().unwrap().rsplit('/').next().unwrap().split('.').next().unwrap().to_owned();
    let kept: String =
        dep.lines().filter(|line| !left_out.contains(&&*name(line))).map(|line| format!("{line}\n")).collect();
    assert_ne!(kept, dep);
    std::fs::write(new.join("modules.dep"), kept).unwrap();
    std::fs::copy(dir.join("modules.builtin"), new.join("modules.builtin")).unwrap();
    new
}

#[test]
fn a_kernel_that_lacks_what_the_way_needs_is_told_before_it_boots() {
    // What Debian's cloud kernel lacks, and an older one.
    for (left_out, advice) in
        [(&["9p", "9pnet_virtio", "virtiofs"][..], "not the cloud kernel"), (&["virtio_pci"], "CONFIG_VIRTIO_PCI")]
    {
        let place = place();
        let modules = Some(modules_without(place.path(), left_out));
        let root = place.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let error = error(&DirectBoot { modules, ..direct(folder(&root, Access::Overlaid)) });
        assert!(matches!(&error, BootError::KernelLacks { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(left_out[0]) && text.contains(advice), "{text}");
    }
}

#[test]
fn a_cancel_is_obeyed() {
    let place = place();
    let cancel = Cancel::new();
    cancel.cancel();
    let error = prepare(&direct(Root::Initramfs), place.path(), &cancel).unwrap_err();
    assert!(matches!(error, BootError::Cancelled), "{error}");
}
