//! Way B: layers on a disk, found and stacked.

use std::path::Path;

use cartridge_supervise::CommandLine;
use vmtools::boot::{KEEP_LABEL, Root};
use vmtools::{BootStep, Machine};

use crate::bench::{
    busybox_root, direct, iso, layers, place, poweroff, prepared, shell, squashfs, start, start_with, step, tool,
};
use crate::harness::Guest;
use crate::user::{as_user, block_on};

async fn at_the_shell(guest: &mut Guest) {
    step(guest, "the shell", |it| *it == BootStep::Shell).await;
}

/// A layer that changes the marker and adds a file.
fn second_layer(place: &Path, image: &Path) {
    let root = place.join("second");
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/marker"), "the highest layer\n").unwrap();
    std::fs::write(root.join("etc/second"), "").unwrap();
    squashfs(&root, image);
}

async fn a_bare_squashfs() {
    let place = place();
    let root = place.path().join("root");
    busybox_root(&root);
    let image = squashfs(&root, &place.path().join("root.squashfs"));
    let before = std::fs::read(&image).unwrap();
    let mut guest = start(&direct(layers(&image)), place.path()).await;
    at_the_shell(&mut guest).await;
    let said = shell(&mut guest, "cat /etc/marker; echo new >/etc/marker; cat /etc/marker; ls /lib /init").await;
    assert!(said.starts_with("the lowest layer\nnew\n"), "{said}");
    assert!(said.matches("No such file").count() == 2, "the initramfs is still there: {said}");
    poweroff(guest).await;
    assert!(std::fs::read(&image).unwrap() == before);
}

#[test]
fn a_squashfs_is_a_root() {
    block_on(a_bare_squashfs());
}

#[test]
fn a_squashfs_is_a_root_for_an_ordinary_user() {
    as_user("layers::a_squashfs_is_a_root_for_an_ordinary_user", || block_on(a_bare_squashfs()));
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_of_archiso_are_found_on_an_iso_and_its_init_takes_over() {
    let place = place();
    let (root, disc) = (place.path().join("root"), place.path().join("disc"));
    busybox_root(&root);
    std::fs::create_dir_all(root.join("sbin")).unwrap();
    let init = root.join("sbin/init");
    std::fs::write(
        &init,
        "#!/bin/sh\necho \"init of the root: $(cat /etc/marker) $* $$\"\nexec /bin/sh </dev/ttyS0 >/dev/ttyS0 2>&1\n",
    )
    .unwrap();
    tool(CommandLine::new("chmod").arg("755").arg(&init));
    squashfs(&root, &disc.join("arch/x86_64/airootfs.sfs"));
    second_layer(place.path(), &disc.join("arch/x86_64/cartridge.sfs"));
    let image = iso(&disc, &place.path().join("arch.iso"));
    let mut boot = direct(layers(&image));
    boot.cmdline = "-- single".to_owned();
    let mut guest = start(&boot, place.path()).await;
    let exec = step(&mut guest, "exec", |it| matches!(it, BootStep::Exec { .. })).await;
    assert_eq!(exec, BootStep::Exec { what: "/sbin/init".to_owned() });
    let said = shell(&mut guest, "cat /etc/marker; ls /etc/second /run/archiso/bootmnt; cat /proc/1/comm").await;
    assert!(said.starts_with("the highest layer\n") && said.contains("/etc/second") && said.contains("arch"), "{said}");
    let text = guest.serial_text();
    assert!(text.contains("init of the root: the highest layer single 1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_of_live_boot_are_stacked_and_a_further_disk_lies_over_them() {
    let place = place();
    let (root, disc) = (place.path().join("root"), place.path().join("disc"));
    busybox_root(&root);
    squashfs(&root, &disc.join("live/filesystem.squashfs"));
    second_layer(place.path(), &disc.join("live/zz-second.squashfs"));
    let third = place.path().join("third");
    std::fs::create_dir_all(third.join("etc")).unwrap();
    std::fs::write(third.join("etc/third"), "from a disk of its own\n").unwrap();
    let extra = squashfs(&third, &place.path().join("third.squashfs"));
    let image = iso(&disc, &place.path().join("live.iso"));
    let mut guest = start_with(&direct(layers(&image)), place.path(), |it| it.layers.push(extra)).await;
    at_the_shell(&mut guest).await;
    let said = shell(&mut guest, "cat /etc/marker /etc/third").await;
    assert_eq!(said, "the highest layer\nfrom a disk of its own");
    poweroff(guest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erofs_and_an_ext4_image_inside_a_squashfs_are_roots() {
    let place = place();
    let (root, disc) = (place.path().join("root"), place.path().join("disc"));
    busybox_root(&root);
    let erofs = place.path().join("root.erofs");
    tool(CommandLine::new("mkfs.erofs").args(["-zlz4", "--quiet"]).arg(&erofs).arg(&root));
    let inside = place.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    let ext4 = CommandLine::new("mkfs.ext4").args(["-q", "-F", "-d"]).arg(&root);
    tool(ext4.arg(inside.join("airootfs.img")).arg("16M"));
    squashfs(&inside, &disc.join("arch/x86_64/airootfs.sfs"));
    let image = iso(&disc, &place.path().join("arch.iso"));
    for (disk, kind) in [(erofs, "erofs"), (image, "ext4")] {
        let mut guest = start(&direct(layers(&disk)), place.path()).await;
        at_the_shell(&mut guest).await;
        let said = shell(&mut guest, "cat /etc/marker /proc/mounts").await;
        assert!(said.starts_with("the lowest layer\n") && said.contains(&format!(" {kind} ro,")), "{said}");
        poweroff(guest).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_keeps_what_is_written() {
    let place = place();
    let root = place.path().join("root");
    busybox_root(&root);
    let disk = squashfs(&root, &place.path().join("root.squashfs"));
    let keep = place.path().join("keep.img");
    let boot = direct(Root::Layers { disk, layers: vec![], keep: Some(keep.clone()) });
    assert_eq!(prepared(&boot, place.path()).keep.as_deref(), Some(keep.as_path()));
    // The same disk in the form that a machine takes it in.
    let qcow2 = place.path().join("keep.qcow2");
    tool(CommandLine::new("qemu-img").args(["convert", "-q", "-f", "raw", "-O", "qcow2"]).arg(&keep).arg(&qcow2));
    for (round, found) in ["the lowest layer", "kept"].iter().enumerate() {
        let disk = |it: &mut Machine| it.disks = vec![vmtools::Disk::at("disk", qcow2.clone())];
        let mut guest = start_with(&boot, place.path(), disk).await;
        at_the_shell(&mut guest).await;
        let said = shell(&mut guest, "cat /etc/marker; echo kept >/etc/marker; sync").await;
        assert_eq!(said, *found, "round {round} on {KEEP_LABEL}");
        poweroff(guest).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medium_without_layers_says_what_it_has() {
    let place = place();
    let disc = place.path().join("disc");
    std::fs::create_dir_all(disc.join("setup")).unwrap();
    std::fs::write(disc.join("setup/readme"), "").unwrap();
    let image = iso(&disc, &place.path().join("other.iso"));
    let mut guest = start(&direct(layers(&image)), place.path()).await;
    let failed = step(&mut guest, "the failure", |it| matches!(it, BootStep::Failed { .. })).await;
    let BootStep::Failed { what, there } = failed else { panic!("{failed:?}") };
    assert!(what.contains("no layers") && there.iter().any(|it| it.contains("setup/readme")), "{what} {there:?}");
    // The shell that follows is for looking around.
    let said = shell(&mut guest, "ls /run/cartridge/boot/medium").await;
    assert_eq!(said, "setup");
    let wanted = guest.serial_text();
    assert!(wanted.contains("The root could not be put together"), "{wanted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_not_there_is_told_with_those_that_are() {
    let place = place();
    let root = place.path().join("root");
    busybox_root(&root);
    let image = squashfs(&root, &place.path().join("root.squashfs"));
    let mut boot = direct(layers(&image));
    boot.cmdline = "root=LABEL=absent".to_owned();
    let mut guest = start(&boot, place.path()).await;
    let failed = step(&mut guest, "the failure", |it| matches!(it, BootStep::Failed { .. })).await;
    let BootStep::Failed { what, there } = failed else { panic!("{failed:?}") };
    assert!(
        what.contains("absent") && there.iter().any(|it| it.contains("serial layer0, squashfs")),
        "{what} {there:?}"
    );
}
