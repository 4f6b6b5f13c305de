//! Debian's cloud kernel, which has no 9p: it boots a disk, and for a folder it is refused before anything starts, unless
//! something serves it by virtiofs. Wants that kernel, unpacked, with depmod run on it:
//!
//! ```text
//! apt-get download linux-image-<version>-cloud-amd64; dpkg-deb -x linux-image-*.deb cloud; depmod -b cloud <version>-cloud-amd64
//! CARTRIDGE_CLOUD_KERNEL=$PWD/cloud/boot/vmlinuz-<version>-cloud-amd64 cargo nextest run -p vmtools --run-ignored only cloud::
//! ```

use std::path::PathBuf;

use vmtools::boot::{DirectBoot, Root};
use vmtools::share::Access;
use vmtools::{BootStep, GuestError, Machine};

use crate::bench::{busybox_root, direct, folder, layers, place, poweroff, prepared, shell, squashfs, start, step};
use crate::harness::{machine, plan};

fn cloud(root: Root) -> DirectBoot {
    let kernel = std::env::var_os("CARTRIDGE_CLOUD_KERNEL").expect("CARTRIDGE_CLOUD_KERNEL names no kernel");
    DirectBoot { kernel: PathBuf::from(kernel), ..direct(root) }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants Debian's cloud kernel, see above"]
async fn it_boots_its_own_system_and_a_squashfs() {
    let place = place();
    let root = place.path().join("root");
    busybox_root(&root);
    let image = squashfs(&root, &place.path().join("root.squashfs"));
    for root in [Root::Initramfs, layers(&image)] {
        let mut guest = start(&cloud(root), place.path()).await;
        step(&mut guest, "the shell", |it| *it == BootStep::Shell).await;
        assert!(shell(&mut guest, "cat /proc/version").await.contains("cloud"));
        poweroff(guest).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants Debian's cloud kernel, see above"]
async fn a_folder_that_it_cannot_mount_is_refused_before_it_boots() {
    let place = place();
    let root = place.path().join("root");
    busybox_root(&root);
    let prepared = prepared(&cloud(folder(&root, Access::Overlaid)), place.path());
    assert_eq!((prepared.kernel.plan9, prepared.kernel.virtiofs), (Some(false), Some(true)));
    let mut plan = plan(Machine { memory_mib: 512, ..machine() }, prepared.boot);
    plan.plan.sharing.folders = prepared.shares;
    plan.plan.sharing.serving.kernel = prepared.kernel;
    plan.plan.sharing.serving.virtiofsd = Vec::new();
    let Err(error) = plan.start().await else { panic!("it has started") };
    assert!(matches!(&error, GuestError::Share(_)) && error.to_string().contains("9p"), "{error}");
}
