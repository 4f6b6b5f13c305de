//! Way A: the initramfs is the whole system.

use std::io::Write;
use std::path::Path;

use cartridge_initramfs::cpio::Cpio;
use vmtools::boot::Root;
use vmtools::{Boot, BootStep, GuestEvent, GuestStatus};

use crate::bench::{direct, place, poweroff, prepared, shell, start, step};
use crate::harness::Guest;
use crate::user::{as_user, block_on};

async fn comes_up() {
    let place = place();
    let boot = direct(Root::Initramfs);
    let mut guest = start(&boot, place.path()).await;
    step(&mut guest, "user space", |it| *it == BootStep::Init).await;
    step(&mut guest, "the shell", |it| *it == BootStep::Shell).await;
    let lines =
        shell(&mut guest, "cat /etc/cartridge/boot.json; echo; ls -d /sys/bus/pci/drivers/virtio-pci; id -u").await;
    assert_eq!(lines, "{\"v\":1,\"root\":\"initramfs\"}\n/sys/bus/pci/drivers/virtio-pci\n0");
    assert!(!guest.serial_text().contains("cannot be read"), "{}", guest.serial_text());
    poweroff(guest).await;
    // The second time everything is there, and the kernel is the one that was unpacked.
    let (one, two) = (prepared(&boot, place.path()), prepared(&boot, place.path()));
    assert_eq!(one, two);
    let Boot::Direct { kernel, .. } = &one.boot else { panic!("{:?}", one.boot) };
    assert!(kernel.starts_with(place.path()) && std::fs::read(kernel).unwrap().starts_with(b"\x7fELF"), "{one:?}");
    assert_eq!(one.notices, [""; 0]);
}

#[test]
fn our_own_system_comes_up_without_a_repository() {
    block_on(comes_up());
}

#[test]
fn our_own_system_comes_up_for_an_ordinary_user() {
    as_user("initramfs::our_own_system_comes_up_for_an_ordinary_user", || block_on(comes_up()));
}

/// An initramfs of the test's own, as u-root or anybody makes one; with `init`, a program that speaks and powers off.
fn own(path: &Path, init: bool) {
    let mut cpio = Cpio::new(Vec::new());
    for dir in ["/bin", "/dev", "/proc"] {
        cpio.dir(Path::new(dir), 0o755).unwrap();
    }
    cpio.device(Path::new("/dev/console"), 0o600, 5, 1).unwrap();
    if init {
        let busybox = std::fs::read("/bin/busybox").or_else(|_| std::fs::read("/usr/bin/busybox")).unwrap();
        cpio.bytes(Path::new("/bin/busybox"), 0o755, &busybox).unwrap();
        let script = "#!/bin/busybox sh\necho \"hello from $(/bin/busybox uname -s)\"\n/bin/busybox poweroff -f\n";
        cpio.bytes(Path::new("/init"), 0o755, script.as_bytes()).unwrap();
    }
    let mut gzip = flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
    gzip.write_all(&cpio.finish().unwrap()).unwrap();
    gzip.finish().unwrap();
}

async fn end_of(mut guest: Guest) -> (vmtools::GuestEnd, String) {
    let end = guest.until("the end", |e| if let GuestEvent::Ended(end) = e { Some(end.clone()) } else { None }).await;
    let text = guest.serial_text();
    (end, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_initramfs_is_booted_as_it_is() {
    let place = place();
    let file = place.path().join("initramfs.cpio.gz");
    own(&file, true);
    let mut boot = direct(Root::Initramfs);
    boot.initrds = vec![file.clone()];
    let Boot::Direct { initrds, .. } = prepared(&boot, place.path()).boot else { panic!("not direct") };
    assert_eq!(initrds, [file]);
    let (end, text) = end_of(start(&boot, place.path()).await).await;
    assert!(end.status == GuestStatus::PoweredOff && text.contains("hello from Linux"), "{end:?}\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_that_finds_no_root_panics_with_its_words() {
    let place = place();
    let file = place.path().join("empty.cpio.gz");
    own(&file, false);
    let mut boot = direct(Root::Initramfs);
    boot.initrds = vec![file];
    let mut guest = start(&boot, place.path()).await;
    guest.until_status(&GuestStatus::Panicked).await;
    let end = guest.handle.end(|_, _| ()).await;
    assert!(end.status == GuestStatus::Panicked && end.how.contains("Unable to mount root fs"), "{end:?}");
}
