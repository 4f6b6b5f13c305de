//! Way C: a folder of this host is the root. Unless the guest may write, nothing of it changes, whatever the guest tries.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use vmtools::share::Access;
use vmtools::{BootStep, GuestEvent};

use crate::bench::{busybox_root, direct, folder, place, poweroff, shell, start, start_served, start_with, step};
use crate::user::{as_user, block_on};

/// Everything about a tree that a guest could change: kind and mode, owner, times, link count, content.
type Snapshot = BTreeMap<PathBuf, (u32, u32, u32, i64, i64, u64, Vec<u8>)>;

fn snapshot(root: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_symlink() {
            std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else if meta.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()));
            Vec::new()
        } else {
            std::fs::read(&path).unwrap()
        };
        let about = (meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec(), meta.nlink(), content);
        found.insert(path, about);
    }
    found
}

/// Tries every kind of change at every place of the root.
const VANDAL: &str = "for f in $(find /bin /etc /home /root /usr); do \
    echo x >>$f; touch $f; chmod 777 $f; mv -f $f $f.moved; mv -f $f.moved $f; ln $f $f.link; mkdir $f.d $f/d; \
    echo y >$f/new; rm -f $f.link; done; rm -rf /etc /home; mkdir /own; echo z >/own/file; \
    mount -o remount,rw /; echo z >/top; ls /own";

async fn unharmed(access: Access) {
    let place = place();
    let root = place.path().join("root");
    busybox_root(&root);
    std::fs::write(root.join("home/me/diary"), "dear diary\n").unwrap();
    let before = snapshot(&root);
    let mut guest = start(&direct(folder(&root, access)), place.path()).await;
    step(&mut guest, "the shell", |it| *it == BootStep::Shell).await;
    assert_eq!(shell(&mut guest, "cat /home/me/diary").await, "dear diary");
    let said = shell(&mut guest, VANDAL).await;
    // It has tried, and where it may write to a memory of its own it has seen itself do it.
    assert_eq!(said.ends_with("\nfile") || said == "file", access == Access::Overlaid, "{said}");
    let said = shell(&mut guest, "cat /home/me/diary").await;
    assert_eq!(said.contains("No such file"), access == Access::Overlaid, "{said}");
    poweroff(guest).await;
    assert!(snapshot(&root) == before, "the folder has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlaid_folder_stays_as_it_is() {
    unharmed(Access::Overlaid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_folder_stays_as_it_is() {
    unharmed(Access::ReadOnly).await;
}

#[test]
fn an_overlaid_folder_stays_as_it_is_for_an_ordinary_user() {
    as_user("folder::an_overlaid_folder_stays_as_it_is_for_an_ordinary_user", || block_on(unharmed(Access::Overlaid)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_served_by_the_best_that_there_is() {
    let place = place();
    let root = place.path().join("root");
    busybox_root(&root);
    let before = snapshot(&root);
    let mut guest = start_served(&direct(folder(&root, Access::Overlaid)), place.path()).await;
    let chosen =
        guest.until("the choice", |e| if let GuestEvent::Shared(it) = e { Some(it.clone()) } else { None }).await;
    step(&mut guest, "the shell", |it| *it == BootStep::Shell).await;
    let mounts = shell(&mut guest, "cat /proc/mounts").await;
    let lower = format!("root /run/cartridge/boot/folder {} ro,", chosen.kind.word());
    assert!(mounts.contains(&lower) && mounts.contains("cartridge / overlay rw,"), "{mounts}");
    shell(&mut guest, VANDAL).await;
    poweroff(guest).await;
    assert!(snapshot(&root) == before, "the folder has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writable_folder_is_written() {
    let place = place();
    let root = place.path().join("root");
    busybox_root(&root);
    let mut guest = start(&direct(folder(&root, Access::Writable)), place.path()).await;
    step(&mut guest, "the shell", |it| *it == BootStep::Shell).await;
    assert_eq!(shell(&mut guest, "echo from the guest >/etc/marker; mkdir /own; sync; echo ok").await, "ok");
    assert_eq!(std::fs::read_to_string(root.join("etc/marker")).unwrap(), "from the guest\n");
    assert!(root.join("own").is_dir());
    poweroff(guest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_nobody_lends_is_told_at_once() {
    let place = place();
    let root = place.path().join("root");
    busybox_root(&root);
    let boot = direct(folder(&root, Access::Overlaid));
    let mut guest = start_with(&boot, place.path(), |machine| machine.shares[0].tag = "other".to_owned()).await;
    let failed = step(&mut guest, "the failure", |it| matches!(it, BootStep::Failed { .. })).await;
    let BootStep::Failed { what, there } = failed else { panic!("{failed:?}") };
    assert!(what.contains("\"root\"") && there == ["9p: other"], "{what} {there:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: the system of this machine, with its systemd, in a guest"]
async fn the_system_of_this_machine_comes_up_in_the_guest() {
    let place = place();
    let mut boot = direct(folder(Path::new("/"), Access::Overlaid));
    boot.cmdline = "systemd.unit=multi-user.target".to_owned();
    let mut guest = start_with(&boot, place.path(), |machine| machine.memory_mib = 1024).await;
    let exec = step(&mut guest, "exec", |it| matches!(it, BootStep::Exec { .. })).await;
    assert!(
        matches!(&exec, BootStep::Exec { what } if what.ends_with("init") || what.ends_with("systemd")),
        "{exec:?}"
    );
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(600);
    while !guest.serial_text().contains("login:") {
        let event = tokio::time::timeout_at(end, guest.events.recv()).await;
        let Ok(Some(event)) = event else { panic!("no login: {}", guest.serial_text()) };
        if let GuestEvent::Serial(bytes) = event {
            guest.serial.extend(bytes);
        }
    }
}
