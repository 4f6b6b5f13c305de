//! Running guests saved and restored under a real QEMU.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;
use vmtools::slot::{self, Restoring, Saving, Slot, SlotError, SlotName};
use vmtools::{Cancel, GuestPlan, GuestStatus, Machine, RuntimeDir, Screen};

use crate::harness::{Guest, kernel};
use crate::linux::linux;

fn name(text: &str) -> SlotName {
    SlotName::new(text).unwrap()
}

fn what(guest: &Guest) -> Saving {
    Saving { cartridge: "demo".into(), tree: Some("aa".into()), report: None, picture: guest.screen.snapshot() }
}

pub async fn save_as(guest: &Guest, slot_name: &str, store: &Path) -> Result<Slot, SlotError> {
    let monitor = guest.handle.monitor();
    slot::save(&monitor, &name(slot_name), what(guest), store, &Cancel::new(), &mut |_, _| {}).await
}

fn how(disks: PathBuf) -> Restoring {
    Restoring { cartridge: "demo".into(), tree: Some("aa".into()), force: false, disks, cancel: Cancel::new() }
}

/// A guest of the same machine as `plan`, from the slot.
pub async fn restored(slot: &Slot, plan: &GuestPlan, change: impl FnOnce(&mut Restoring)) -> Result<Guest, SlotError> {
    let dir = tempfile::Builder::new().prefix("vm").tempdir_in("/tmp").unwrap();
    let runtime = RuntimeDir::create_in(&dir.path().join("run"), "restored").unwrap().path().to_owned();
    let plan = GuestPlan { runtime: runtime.clone(), ..plan.clone() };
    let (sender, events) = mpsc::channel(64);
    let screen = Arc::new(Screen::new());
    let mut restoring = how(dir.path().to_owned());
    change(&mut restoring);
    let handle = slot::restore(slot, plan, restoring, sender, Arc::clone(&screen)).await?;
    Ok(Guest::new(handle, events, screen, runtime, dir))
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_disk_come_back_together_and_again() {
    let plan = linux(true);
    let (guest_plan, store) = (plan.plan.clone(), plan.dir.path().join("slots"));
    let mut guest = plan.start().await.unwrap();
    let report = guest.until_report().await;
    assert_eq!((report.generation, report.files), (0, 1));
    guest.until_shell().await;
    guest.wait("a picture", |g| g.screen.live()).await;
    guest.run("echo before > /tmp/memory").await;
    guest.run("echo before | dd of=/dev/vda bs=512 conv=sync; sync").await;
    let began = Instant::now();
    let saved = save_as(&guest, "before Submit", &store).await.unwrap();
    println!("saved in {:?}: {} MiB", began.elapsed(), saved.bytes >> 20);
    guest.until_status(&GuestStatus::Paused).await;
    guest.until_status(&GuestStatus::Running).await;
    // The guest goes on, and the slot does not see it.
    guest.run("echo after > /tmp/memory").await;
    guest.run("echo after | dd of=/dev/vda bs=512 conv=sync; sync").await;
    let picture = saved.picture().unwrap();
    assert!(picture.metadata().unwrap().len() > 100);
    for _ in 0..2 {
        let began = Instant::now();
        let mut again = restored(&saved, &guest_plan, |_| ()).await.unwrap();
        println!("restored in {:?}", began.elapsed());
        assert_eq!(again.run("cat /tmp/memory").await, "before");
        assert_eq!(again.run("head -c 6 /dev/vda").await, "before");
        again.wait("a picture", |g| g.screen.live()).await;
        again.run("echo more > /tmp/memory; echo more | dd of=/dev/vda bs=512 conv=sync; sync").await;
        // A restored guest can be saved as well.
        let second = save_as(&again, "second", &store).await.unwrap();
        assert_eq!(again.handle.end(|_, _| {}).await.status, GuestStatus::Ended);
        let mut third = restored(&second, &guest_plan, |_| ()).await.unwrap();
        assert_eq!(third.run("cat /tmp/memory; head -c 4 /dev/vda").await, "more\nmore");
    }
    assert_eq!(guest.run("cat /tmp/memory; head -c 5 /dev/vda").await, "after\nafter");
    let names: Vec<String> = slot::list(&store).into_iter().map(|slot| slot.name.to_string()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    slot::remove(&store, &name("second")).unwrap();
    assert_eq!(slot::list(&store).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_restores_in_a_row() {
    let plan = linux(true);
    let (guest_plan, store) = (plan.plan.clone(), plan.dir.path().join("slots"));
    let mut guest = plan.start().await.unwrap();
    guest.until_report().await;
    guest.until_shell().await;
    guest.run("echo kept > /tmp/memory").await;
    let saved = save_as(&guest, "fifty", &store).await.unwrap();
    guest.handle.end(|_, _| {}).await;
    let before: Vec<u64> = ["memory", "disk0.qcow2"].iter().map(|it| hash_of(&saved.dir.join(it))).collect();
    let mut times = Vec::new();
    for round in 1..=50 {
        let began = Instant::now();
        let mut again = restored(&saved, &guest_plan, |_| ()).await.unwrap_or_else(|e| panic!("round {round}: {e}"));
        let up = began.elapsed();
        assert_eq!(again.run("cat /tmp/memory").await, "kept", "round {round}");
        println!("round {round}: restored in {up:?}, answered in {:?}, {:?}", began.elapsed(), again.handle.status());
        times.push(began.elapsed());
        again.run("echo changed > /tmp/memory; echo x > /dev/vda; sync").await;
        again.handle.end(|_, _| {}).await;
    }
    times.sort();
    println!("median until the guest answers: {:?}", times[25]);
    let after: Vec<u64> = ["memory", "disk0.qcow2"].iter().map(|it| hash_of(&saved.dir.join(it))).collect();
    assert_eq!(before, after, "a slot has changed");
}

fn hash_of(path: &Path) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(&std::fs::read(path).unwrap());
    hasher.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_in_words() {
    let plan = linux(false);
    let (guest_plan, store) = (plan.plan.clone(), plan.dir.path().join("slots"));
    let mut guest = plan.start().await.unwrap();
    guest.until_report().await;
    let saved = save_as(&guest, "a", &store).await.unwrap();
    let refused = |plan: GuestPlan, force: bool| {
        let saved = saved.clone();
        async move {
            let Err(error) = restored(&saved, &plan, |how| how.force = force).await else { panic!("it was restored") };
            error.to_string()
        }
    };
    let larger =
        GuestPlan { machine: Machine { memory_mib: 512, cpus: 2, ..guest_plan.machine.clone() }, ..guest_plan.clone() };
    let words = refused(larger, true).await;
    for part in [
        "the memory was 256 MiB, and is 512 MiB now (guest.memory)",
        "number of processors",
        "change the settings back",
    ] {
        assert!(words.contains(part), "{part} is not in: {words}");
    }
    // An image that was made anew is said, and then it is restored if that is asked for.
    let mut newer = guest_plan.clone();
    if let vmtools::Boot::Direct { initrds, .. } = &mut newer.boot {
        let other = store.join("other");
        std::fs::write(&other, "not even an initramfs").unwrap();
        initrds[0] = other;
    }
    let words = refused(newer.clone(), false).await;
    assert!(words.contains("the initramfs 1 was") && words.contains("all the same"), "{words}");
    let mut forced = restored(&saved, &newer, |how| how.force = true).await.unwrap();
    forced.until_shell().await;
    let words = {
        let Err(error) = restored(&saved, &guest_plan, |how| how.tree = Some("bb".into())).await else { panic!() };
        error.to_string()
    };
    assert!(words.contains("the repository has changed since"), "{words}");
    // Saved by another QEMU.
    let path = saved.dir.join("slot.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["inputs"]["qemu"] = "6.0.1".into();
    std::fs::write(&path, json.to_string()).unwrap();
    let old = Slot::find(&store, &name("a")).unwrap();
    let Err(error) = restored(&old, &guest_plan, |how| how.force = true).await else { panic!("it was restored") };
    assert!(error.to_string().contains("QEMU was 6.0.1, and is "), "{error}");
    std::fs::write(&path, &text).unwrap();
    // Cut short.
    std::fs::OpenOptions::new().write(true).open(saved.dir.join("memory")).unwrap().set_len(1000).unwrap();
    let Err(error) = restored(&saved, &guest_plan, |_| ()).await else { panic!("it was restored") };
    assert!(matches!(&error, SlotError::Damaged { .. }) && error.to_string().contains("save it again"), "{error}");
    assert!(kernel().metadata().unwrap().nlink() >= 1);
}
