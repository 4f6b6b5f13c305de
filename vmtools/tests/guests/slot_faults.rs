//! Saving a guest when something goes wrong in the middle: the guest goes on, and the slot that was there stays.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use vmtools::slot::{self, Saving, SlotError, SlotName};
use vmtools::{Cancel, GuestStatus};

use crate::harness::Guest;
use crate::linux::linux;
use crate::slots::{restored, save_as};

async fn up() -> (Guest, vmtools::GuestPlan, PathBuf) {
    let plan = linux(true);
    let (guest_plan, store) = (plan.plan.clone(), plan.dir.path().join("slots"));
    let mut guest = plan.start().await.unwrap();
    guest.until_report().await;
    guest.until_shell().await;
    (guest, guest_plan, store)
}

/// Memory that cannot be packed small, so that saving takes its time.
async fn fill(guest: &mut Guest, mib: u32) {
    guest.run(&format!("dd if=/dev/urandom of=/tmp/noise bs=1048576 count={mib}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_save_leaves_everything_as_it_was() {
    let (mut guest, plan, store) = up().await;
    guest.run("echo old > /tmp/memory").await;
    let before = save_as(&guest, "a", &store).await.unwrap();
    guest.run("echo new > /tmp/memory").await;
    fill(&mut guest, 60).await;
    let (cancel, monitor) = (Cancel::new(), guest.handle.monitor());
    let stopping = cancel.clone();
    let mut stopped: Option<Instant> = None;
    let result = slot::save(&monitor, &SlotName::new("a").unwrap(), Saving::default(), &store, &cancel, &mut |_, _| {
        stopped.get_or_insert_with(Instant::now);
        stopping.cancel();
    })
    .await;
    assert!(matches!(result, Err(SlotError::Cancelled)), "{result:?}");
    let took = stopped.unwrap().elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(guest.handle.status(), GuestStatus::Running);
    assert_eq!(guest.run("cat /tmp/memory").await, "new");
    assert_eq!(std::fs::read_dir(&store).unwrap().count(), 1, "a draft was left");
    let mut again = restored(&before, &plan, |_| ()).await.unwrap();
    assert_eq!(again.run("cat /tmp/memory").await, "old");
    // It can be saved as if nothing had been.
    save_as(&guest, "a", &store).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_keeps_the_old_slot() {
    let (mut guest, plan, _) = up().await;
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=130m", "tmpfs"]).arg(&small).status();
    if !mounted.is_ok_and(|it| it.success()) {
        eprintln!("not root here: a small file system cannot be mounted");
        return;
    }
    let _unmount = Unmount(small.clone());
    guest.run("echo old > /tmp/memory").await;
    let before = save_as(&guest, "a", &small).await.unwrap();
    guest.run("echo new > /tmp/memory").await;
    fill(&mut guest, 60).await;
    let error = save_as(&guest, "a", &small).await.unwrap_err();
    assert!(error.is_full(), "{error}");
    assert!(error.to_string().contains("remove other slots"), "{error}");
    assert_eq!(guest.handle.status(), GuestStatus::Running);
    assert_eq!(guest.run("cat /tmp/memory").await, "new");
    assert_eq!(std::fs::read_dir(&small).unwrap().count(), 1, "a draft was left");
    let mut again = restored(&before, &plan, |_| ()).await.unwrap();
    assert_eq!(again.run("cat /tmp/memory").await, "old");
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Run again by the test below, in a process of its own that is killed.
#[tokio::test(flavor = "multi_thread")]
async fn saves_until_it_is_killed() {
    let Some(store) = std::env::var_os("SLOT_TEST_STORE") else { return };
    let store = Path::new(&store);
    let (mut guest, _, _) = up().await;
    guest.run("echo old > /tmp/memory").await;
    save_as(&guest, "a", store).await.unwrap();
    fill(&mut guest, 60).await;
    std::fs::write(store.with_extension("ready"), guest.handle.pid().to_string()).unwrap();
    loop {
        save_as(&guest, "b", store).await.unwrap();
        slot::remove(store, &SlotName::new("b").unwrap()).unwrap();
        save_as(&guest, "a", store).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_leaves_whole_slots_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("slots");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "slot_faults::saves_until_it_is_killed", "--nocapture"])
        .env("SLOT_TEST_STORE", &store)
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(120);
    while !store.with_extension("ready").exists() {
        assert!(Instant::now() < until && child.try_wait().unwrap().is_none(), "it did not come so far");
        std::thread::sleep(Duration::from_millis(50));
    }
    // In the middle of the writing of a memory.
    let writing = || {
        let drafts = std::fs::read_dir(&store).into_iter().flatten().flatten();
        drafts.filter(|it| it.file_name().to_string_lossy().starts_with(".draft")).any(|it| {
            it.path().join("memory").metadata().is_ok_and(|meta| meta.len() > 1 << 20)
                && !it.path().join("slot.json").exists()
        })
    };
    while !writing() {
        assert!(Instant::now() < until, "nothing is being written");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let slots = slot::list(&store);
    assert!(slots.iter().any(|slot| slot.name.as_str() == "a"), "{slots:?}");
    assert!(slots.iter().all(|slot| slot.manifest.is_ok()), "{slots:?}");
    let hidden =
        std::fs::read_dir(&store).unwrap().flatten().filter(|it| it.file_name().to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0, "what the dead process left is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_mounted_is_said_before_anything_is_tried() {
    let mut plan = linux(false);
    let shared = plan.dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let transport = vmtools::machine::Transport::Plan9 { dir: shared, read_only: true };
    plan.plan.machine.shares = vec![vmtools::machine::Share { tag: "demo".into(), transport }];
    let store = plan.dir.path().join("slots");
    let mut guest = plan.start().await.unwrap();
    guest.until_report().await;
    guest.until_shell().await;
    save_as(&guest, "unmounted", &store).await.unwrap();
    let mounted = guest.run("mount -t 9p -o trans=virtio demo /mnt && echo mounted").await;
    if !mounted.contains("mounted") {
        panic!("this kernel has no 9p: {mounted}");
    }
    let error = save_as(&guest, "mounted", &store).await.unwrap_err();
    assert!(matches!(error, SlotError::Blocked { .. }), "{error}");
    assert!(error.to_string().contains("unmount it in the guest"), "{error}");
    assert_eq!(guest.handle.status(), GuestStatus::Running);
    guest.run("umount /mnt").await;
    save_as(&guest, "unmounted again", &store).await.unwrap();
}
