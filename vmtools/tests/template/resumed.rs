//! Guests that are resumed are guests like any other: with their own root, their own time and their own random numbers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use vmtools::boot::{DirectBoot, Root};
use vmtools::share::{Access, SharedFolder};
use vmtools::slot::{self, Restoring, Saving, SlotName};
use vmtools::{Boot, BootStep, Cancel, Screen};

use crate::bench::{busybox_root, direct, folder, layers, poweroff, shell, squashfs, step};
use crate::harness::Guest;
use crate::stage::{Stage, content, count};

fn tree(stage: &Stage, name: &str) -> PathBuf {
    let root = stage.at(name);
    busybox_root(&root);
    std::fs::write(root.join("etc/marker"), name).unwrap();
    root
}

/// The initramfs of a guest with this folder as its root.
fn initramfs(stage: &Stage, root: &Path) -> PathBuf {
    match stage.plan(&direct(folder(root, Access::Overlaid))).0.plan.boot {
        Boot::Direct { mut initrds, .. } => initrds.remove(0),
        other => panic!("{other:?}"),
    }
}

fn hash(root: &Path) -> Vec<(PathBuf, u64, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()));
        }
        let content = if meta.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        found.push((path, u64::from(meta.mode()) << 32 | u64::from(meta.mtime() as u32), content));
    }
    found.sort();
    found
}

/// How far the guest's clock is from this host's, seconds.
async fn clock_off(guest: &mut Guest) -> u64 {
    let said = shell(guest, "/bin/busybox date +%s").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    said.parse::<u64>().unwrap_or_else(|e| panic!("{said}: {e}")).abs_diff(now)
}

/// Waits until the memory of the initramfs is given back. Its files are pages that are never written out: of its file system,
/// and of the guest's other ones, which are nearly empty (Linux, Documentation/filesystems/proc.rst, meminfo).
async fn initramfs_is_gone(guest: &mut Guest, image: &Path) {
    let packed = std::fs::metadata(image).unwrap().len() / 1024;
    let mut left = u64::MAX;
    for _ in 0..100 {
        let said =
            shell(guest, "/bin/busybox awk '/^(Shmem|Unevictable):/ {k += $2} END {print k}' /proc/meminfo").await;
        left = said.parse().unwrap_or_else(|e| panic!("{said}: {e}"));
        // What runs is ours, and stays.
        if left < packed / 2 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("of an initramfs of {packed} kB {left} kB are still there");
}

const RANDOM: &str = "/bin/busybox head -c 32 /dev/urandom | /bin/busybox hexdump -v -e '/1 \"%02x\"'; \
    /bin/busybox cat /proc/sys/kernel/random/boot_id";

#[tokio::test(flavor = "multi_thread")]
async fn each_guest_has_the_folder_that_it_was_given_its_own_time_and_its_own_random_numbers() {
    let stage = Stage::new();
    let (one, two) = (tree(&stage, "one"), tree(&stage, "two"));
    let before = hash(&two);
    let template = stage.make(&direct(folder(&one, Access::Overlaid))).await;
    assert_eq!((count(&stage.store()), count(&stage.at("run"))), (1, 0));
    let kept = content(&template);
    // The clock of a guest that only went on would be late by this.
    tokio::time::sleep(std::time::Duration::from_secs(12)).await;
    let mut random = Vec::new();
    for (dir, name) in [(&one, "one"), (&two, "two"), (&two, "two")] {
        let mut guest = stage.resume(&direct(folder(dir, Access::Overlaid))).await;
        step(&mut guest, "user space", |it| *it == BootStep::Init).await;
        step(&mut guest, "the shell", |it| *it == BootStep::Shell).await;
        assert_eq!(shell(&mut guest, "cat /etc/marker").await, name);
        initramfs_is_gone(&mut guest, &initramfs(&stage, dir)).await;
        let off = clock_off(&mut guest).await;
        assert!(off < 8, "the guest's clock is off by {off} s");
        random.push(shell(&mut guest, RANDOM).await);
        assert_eq!(shell(&mut guest, "rm -rf /home; echo x >/etc/marker; cat /etc/marker").await, "x");
        assert!(!guest.handle.command().contains("incoming") && !guest.handle.command().contains("templates"));
        poweroff(guest).await;
        assert!(content(&template) == kept, "the template has changed");
    }
    assert!(hash(&two) == before, "the folder has changed");
    for (number, one) in random.iter().enumerate() {
        assert!(one.len() > 64 + 32, "{one}");
        assert!(random.iter().skip(number + 1).all(|other| other[..64] != one[..64] && other[64..] != one[64..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_a_virtiofsd_serves_come_with_the_guest_that_is_resumed() {
    let Some(stage) = Stage::with_virtiofs() else {
        eprintln!("SKIPPED: this machine has no virtiofsd (package virtiofsd, or QEMU's own up to 7.2)");
        return;
    };
    let (one, two) = (tree(&stage, "one"), tree(&stage, "two"));
    let before = hash(&two);
    let template = stage.make(&direct(folder(&one, Access::Overlaid))).await;
    let kept = content(&template);
    for (dir, name) in [(&one, "one"), (&two, "two")] {
        let mut guest = stage.resume(&direct(folder(dir, Access::Overlaid))).await;
        step(&mut guest, "the shell", |it| *it == BootStep::Shell).await;
        assert_eq!(shell(&mut guest, "cat /etc/marker").await, name);
        let mounts = shell(&mut guest, "/bin/busybox cat /proc/mounts").await;
        assert!(mounts.contains(" virtiofs ") && !mounts.contains(" 9p "), "{mounts}");
        assert_eq!(shell(&mut guest, "rm -rf /home; echo x >/etc/marker; cat /etc/marker").await, "x");
        let command = guest.handle.command();
        assert!(command.contains("memory-backend-memfd") && !command.contains("/proc/"), "{command}");
        // The firmware and the kernel find everything in its place when they look anew.
        guest.handle.reset();
        step(&mut guest, "user space again", |it| *it == BootStep::Init).await;
        step(&mut guest, "the shell again", |it| *it == BootStep::Shell).await;
        assert_eq!(shell(&mut guest, "cat /etc/marker").await, name);
        poweroff(guest).await;
        assert!(content(&template) == kept, "the template has changed");
    }
    assert!(hash(&two) == before, "the folder has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_folders_that_come_with_it_find_their_places_also_after_a_reset() {
    let Some(stage) = Stage::with_virtiofs() else {
        eprintln!("SKIPPED: this machine has no virtiofsd (package virtiofsd, or QEMU's own up to 7.2)");
        return;
    };
    let (root, lent) = (tree(&stage, "root"), stage.at("lent"));
    std::fs::create_dir(&lent).unwrap();
    let boot = direct(folder(&root, Access::Overlaid));
    let lending = || {
        let (mut plan, early) = stage.plan(&boot);
        let (dir, at) = (lent.clone(), "/root/lent".into());
        plan.plan.sharing.folders.push(SharedFolder { tag: "lent".into(), dir, at, access: Access::ReadOnly });
        (plan, early)
    };
    let (plan, early) = lending();
    let key = stage.key(&plan, early);
    vmtools::template::make(&plan.plan, &key, &stage.store(), &stage.at("run"), &Cancel::new()).await.unwrap();
    let (plan, early) = lending();
    let mut guest = stage.resume_plan(plan, early).await;
    for word in ["first", "after a reset"] {
        step(&mut guest, "the shell", |it| *it == BootStep::Shell).await;
        std::fs::write(lent.join("word"), word).unwrap();
        assert_eq!(shell(&mut guest, "cat /etc/marker").await, "root");
        assert_eq!(shell(&mut guest, "cat /root/lent/word").await, word);
        assert!(shell(&mut guest, "touch /root/lent/mine").await.contains("Read-only"));
        guest.handle.reset();
    }
    step(&mut guest, "the last shell", |it| *it == BootStep::Shell).await;
    poweroff(guest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_lent_beside_the_root_comes_too_and_is_live() {
    let Some(stage) = Stage::with_virtiofs() else {
        eprintln!("SKIPPED: this machine has no virtiofsd (package virtiofsd, or QEMU's own up to 7.2)");
        return;
    };
    let root = tree(&stage, "root");
    let lent = stage.at("lent");
    std::fs::create_dir(&lent).unwrap();
    let boot = direct(layers(&squashfs(&root, &stage.at("root.sfs"))));
    let lending = || {
        let (mut plan, early) = stage.plan(&boot);
        let (dir, at) = (lent.clone(), "/root/lent".into());
        plan.plan.sharing.folders.push(SharedFolder { tag: "lent".into(), dir, at, access: Access::Overlaid });
        (plan, early)
    };
    let (plan, early) = lending();
    let key = stage.key(&plan, early);
    vmtools::template::make(&plan.plan, &key, &stage.store(), &stage.at("run"), &Cancel::new()).await.unwrap();
    assert_eq!(stage.find(&boot), None, "a guest without the folder has another template");
    let (plan, early) = lending();
    let mut guest = stage.resume_plan(plan, early).await;
    step(&mut guest, "the shell", |it| *it == BootStep::Shell).await;
    std::fs::write(lent.join("word"), "written since").unwrap();
    assert_eq!(shell(&mut guest, "cat /root/lent/word").await, "written since");
    poweroff(guest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_has_the_disk_that_it_was_given() {
    let stage = Stage::new();
    let (one, two) = (tree(&stage, "one"), tree(&stage, "two"));
    std::fs::write(two.join("etc/more"), vec![7; 3 << 20]).unwrap();
    let images = [squashfs(&one, &stage.at("one.sfs")), squashfs(&two, &stage.at("two.sfs"))];
    stage.make(&direct(layers(&images[0]))).await;
    for (image, name) in images.iter().zip(["one", "two"]) {
        let mut guest = stage.resume(&direct(layers(image))).await;
        step(&mut guest, "the shell", |it| *it == BootStep::Shell).await;
        assert_eq!(shell(&mut guest, "cat /etc/marker").await, name);
        let size = std::fs::metadata(image).unwrap().len() / 512;
        let said = shell(&mut guest, "cat /sys/block/vda/size").await;
        assert!(said.parse::<u64>().unwrap().abs_diff(size) <= 8, "{said} of {size}");
        poweroff(guest).await;
    }
}

/// A guest restored from a slot of `guest`, in a machine that knows nothing of a template.
async fn of_a_slot(stage: &Stage, guest: &Guest, boot: &DirectBoot) -> Guest {
    let (monitor, name, store) = (guest.handle.monitor(), SlotName::new("one").unwrap(), stage.at("slots"));
    let slot = slot::save(&monitor, &name, Saving::default(), &store, &Cancel::new(), &mut |_, _| {}).await.unwrap();
    let (plan, _) = stage.plan(boot);
    let (runtime, disks) = (plan.plan.runtime.clone(), plan.dir.path().to_owned());
    let how = Restoring { cartridge: String::new(), tree: None, force: false, disks, cancel: Cancel::new() };
    let (sender, events) = mpsc::channel(64);
    let screen = Arc::new(Screen::new());
    let handle =
        slot::restore(&slot, plan.plan, how, sender, Arc::clone(&screen)).await.unwrap_or_else(|e| panic!("{e}"));
    Guest::new(handle, events, screen, runtime, plan.dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_system_is_resumed_and_boots_anew_when_it_is_reset() {
    let stage = Stage::new();
    let boot = direct(Root::Initramfs);
    stage.make(&boot).await;
    let mut guest = stage.resume(&boot).await;
    step(&mut guest, "the shell", |it| *it == BootStep::Shell).await;
    assert_eq!(shell(&mut guest, "id -u; ls /etc/cartridge/template").await, "0\n/etc/cartridge/template");
    shell(&mut guest, "echo kept >/tmp/word").await;
    let mut again = of_a_slot(&stage, &guest, &boot).await;
    assert_eq!(shell(&mut again, "cat /tmp/word").await, "kept");
    poweroff(again).await;
    guest.handle.reset();
    step(&mut guest, "user space again", |it| *it == BootStep::Init).await;
    step(&mut guest, "the shell again", |it| *it == BootStep::Shell).await;
    assert!(shell(&mut guest, "ls /etc/cartridge/template").await.contains("No such file"));
    poweroff(guest).await;
}
