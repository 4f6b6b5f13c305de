//! Debian's cloud kernel, which has no 9p: it boots a disk, and for a folder it is refused before anything starts, unless
//! something serves it by virtiofs. The kernel is fetched once, where there is an apt that knows it, and unpacked; nothing is
//! installed. `CARTRIDGE_CLOUD_KERNEL` names one that is there already.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use vmtools::boot::{DirectBoot, Root};
use vmtools::share::Access;
use vmtools::{BootStep, GuestError, Machine};

use crate::bench::{busybox_root, direct, folder, layers, place, poweroff, prepared, shell, squashfs, start, step};
use crate::harness::{machine, plan};

/// The kernel, or `None`, said, on a host of another family.
fn kernel() -> Option<PathBuf> {
    if let Some(kernel) = std::env::var_os("CARTRIDGE_CLOUD_KERNEL") {
        return Some(PathBuf::from(kernel));
    }
    let depends = Command::new("apt-cache").env("LC_ALL", "C").args(["depends", "linux-image-cloud-amd64"]).output();
    let text = depends.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
    let package = text.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    let Some(version) = package.map(str::to_owned) else {
        println!("skipped: no apt here knows Debian's cloud kernel");
        return None;
    };
    let store = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let lock = File::create(store.join("cloud-kernel.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let there = store.join("cloud-kernel").join(&version);
    if !there.is_dir() {
        let new = tempfile::tempdir_in(store).unwrap();
        let run = |program: &str, args: &[&str]| {
            let out = Command::new(program).args(args).current_dir(new.path()).output().unwrap();
            assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        };
        let image = format!("linux-image-{version}");
        run("apt-get", &["-o", "APT::Sandbox::User=root", "-qq", "download", &image]);
        let found =
            fs::read_dir(new.path()).unwrap().flatten().find(|it| it.path().extension().is_some_and(|e| e == "deb"));
        run("dpkg-deb", &["-x", found.unwrap().path().to_str().unwrap(), "tree"]);
        run("depmod", &["-b", "tree", &version]);
        fs::create_dir_all(there.parent().unwrap()).unwrap();
        fs::rename(new.path().join("tree"), &there).unwrap();
    }
    Some(there.join("boot").join(format!("vmlinuz-{version}")))
}

fn cloud(kernel: &Path, root: Root) -> DirectBoot {
    DirectBoot { kernel: kernel.to_owned(), ..direct(root) }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_boots_its_own_system_and_a_squashfs() {
    let Some(kernel) = kernel() else { return };
    let place = place();
    let root = place.path().join("root");
    busybox_root(&root);
    let image = squashfs(&root, &place.path().join("root.squashfs"));
    for root in [Root::Initramfs, layers(&image)] {
        let mut guest = start(&cloud(&kernel, root), place.path()).await;
        step(&mut guest, "the shell", |it| *it == BootStep::Shell).await;
        assert!(shell(&mut guest, "cat /proc/version").await.contains("cloud"));
        poweroff(guest).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_it_cannot_mount_is_refused_before_it_boots() {
    let Some(kernel) = kernel() else { return };
    let place = place();
    let root = place.path().join("root");
    busybox_root(&root);
    let prepared = prepared(&cloud(&kernel, folder(&root, Access::Overlaid)), place.path());
    assert_eq!((prepared.kernel.plan9, prepared.kernel.virtiofs), (Some(false), Some(true)));
    let mut plan = plan(Machine { memory_mib: 512, ..machine() }, prepared.boot);
    plan.plan.sharing.folders = prepared.shares;
    plan.plan.sharing.serving.kernel = prepared.kernel;
    plan.plan.sharing.serving.virtiofsd = Vec::new();
    let Err(error) = plan.start().await else { panic!("it has started") };
    assert!(matches!(&error, GuestError::Share(_)) && error.to_string().contains("9p"), "{error}");
}
