//! What goes wrong costs a template, and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use vmtools::boot::{DirectBoot, Root};
use vmtools::share::Access;
use vmtools::template::{self, TemplateError};
use vmtools::{BootStep, Cancel, Screen};

use crate::bench::{busybox_root, direct, folder, poweroff, shell, step};
use crate::harness::{alive, script};
use crate::stage::{Stage, content, count};

#[tokio::test(flavor = "multi_thread")]
async fn another_command_line_memory_or_qemu_has_no_template() {
    let stage = Stage::new();
    let boot = direct(Root::Initramfs);
    let template = stage.make(&boot).await;
    assert_eq!(stage.find(&boot), Some(template));
    assert_eq!(stage.find(&DirectBoot { cmdline: "quiet".into(), ..boot.clone() }), None);
    assert_eq!(stage.find(&direct(folder(Path::new("/usr"), Access::Overlaid))), None);
    let (mut plan, early) = stage.plan(&boot);
    plan.plan.machine.memory_mib = 320;
    assert_eq!(template::find(&stage.store(), &stage.key(&plan, early)), None);
    let (mut plan, early) = stage.plan(&boot);
    plan.plan.qemu = script(stage.place.path(), "exec qemu-system-x86_64 \"$@\"");
    assert_eq!(template::find(&stage.store(), &stage.key(&plan, early)), None);
    assert_eq!(count(&stage.store()), 1, "those were others' templates, and this one is still of use");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_is_not_whole_is_none_and_goes() {
    let stage = Stage::new();
    let boot = direct(Root::Initramfs);
    let template = stage.make(&boot).await;
    let memory = content(&template).into_keys().find(|it| it.ends_with("memory")).unwrap();
    std::fs::File::options().write(true).open(memory).unwrap().set_len(1 << 20).unwrap();
    // Process ids end at 4,194,304: this one was killed long ago.
    let dead = stage.store().join(".draft-5000000-x/making");
    std::fs::create_dir_all(&dead).unwrap();
    assert_eq!(stage.find(&boot), None);
    assert_eq!(count(&stage.store()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_qemu_does_not_take_leaves_the_guest_to_be_booted() {
    let stage = Stage::new();
    let boot = direct(Root::Initramfs);
    let template = stage.make(&boot).await;
    let devices = content(&template).into_keys().find(|it| it.ends_with("devices")).unwrap();
    let length = std::fs::metadata(&devices).unwrap().len();
    std::fs::write(&devices, vec![b'x'; usize::try_from(length).unwrap()]).unwrap();
    let (plan, early) = stage.plan(&boot);
    let key = stage.key(&plan, early);
    let found = template::find(&stage.store(), &key).unwrap();
    let (sender, mut events) = mpsc::channel(64);
    let error = template::resume(&found, &key, plan.plan.clone(), sender, Arc::new(Screen::new())).await.unwrap_err();
    assert!(error.to_string().contains("Not a migration stream"), "{error}");
    assert_eq!(events.recv().await, None, "the guest that was none has told something");
    // The same plan, in the same directory.
    let mut guest = plan.start().await.unwrap();
    step(&mut guest, "the shell", |it| *it == BootStep::Shell).await;
    assert_eq!(shell(&mut guest, "id -u").await, "0");
    poweroff(guest).await;
}

/// The process id of the guest that is to be a template, once it runs.
async fn making(stage: &Stage) -> u32 {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let dirs = std::fs::read_dir(stage.at("run")).into_iter().flatten().flatten();
        let pids = dirs.filter_map(|it| std::fs::read_to_string(it.path().join("qemu.pid")).ok()?.trim().parse().ok());
        if let Some(pid) = pids.into_iter().next() {
            return pid;
        }
        assert!(Instant::now() < until, "no guest is to be a template");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_making_that_is_cancelled_or_killed_leaves_nothing() {
    let stage = Arc::new(Stage::new());
    for killed in [true, false] {
        let cancel = Cancel::new();
        let task = {
            let (stage, cancel) = (Arc::clone(&stage), cancel.clone());
            tokio::spawn(async move { stage.try_make(&direct(Root::Initramfs), &cancel).await })
        };
        let pid = making(&stage).await;
        if killed {
            let status = Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
            assert!(status.success());
        } else {
            cancel.cancel();
        }
        let error = task.await.unwrap().unwrap_err();
        assert_eq!(matches!(error, TemplateError::Cancelled), !killed, "{error}");
        assert_eq!((count(&stage.store()), count(&stage.at("run"))), (0, 0), "{error}");
        let until = Instant::now() + Duration::from_secs(20);
        while alive(pid) {
            assert!(Instant::now() < until, "QEMU lives on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    stage.make(&direct(Root::Initramfs)).await;
}

/// Unmounts when the test ends in any way.
struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_or_becomes_full_leaves_nothing() {
    for (size, what) in [("size=100m", "are free"), ("size=520m", "did not get ready")] {
        let stage = Arc::new(Stage::new());
        std::fs::create_dir(stage.store()).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(stage.store()).status();
        if !mounted.is_ok_and(|it| it.success()) {
            eprintln!("not root here: a small file system cannot be mounted");
            return;
        }
        let _unmount = Unmount(stage.store());
        let task = {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move { stage.try_make(&direct(Root::Initramfs), &Cancel::new()).await })
        };
        let filler = stage.store().join("filler");
        if what != "are free" {
            making(&stage).await;
            let filled = std::fs::File::create(&filler)
                .and_then(|mut file| std::io::copy(&mut std::io::Read::take(std::io::repeat(1), 1 << 30), &mut file));
            assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        }
        let error = task.await.unwrap().unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        let _ = std::fs::remove_file(filler);
        assert_eq!((count(&stage.store()), count(&stage.at("run"))), (0, 0), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtiofsd_that_dies_when_it_is_wanted_leaves_the_guest_to_be_booted_by_9p() {
    let stage = Stage::new();
    let root = stage.at("root");
    busybox_root(&root);
    let fake =
        script(stage.place.path(), "case $1 in --help) echo --shared-dir;; *) echo no such luck >&2; exit 3;; esac");
    let served = |virtiofsd: &[PathBuf]| {
        let (mut plan, early) = stage.plan(&direct(folder(&root, Access::Overlaid)));
        plan.plan.sharing.serving.virtiofsd = virtiofsd.to_vec();
        let key = stage.key(&plan, early);
        (plan, key)
    };
    let (plan, key) = served(std::slice::from_ref(&fake));
    if cartridge_supervise::isolation_support().is_ok() {
        assert_ne!(key, served(&[]).1, "a template has its folders, or gets them when it is resumed");
    }
    let template = template::make(&plan.plan, &key, &stage.store(), &stage.at("run"), &Cancel::new()).await.unwrap();
    let (sender, mut events) = mpsc::channel(64);
    let resumed = template::resume(&template, &key, plan.plan.clone(), sender, Arc::new(Screen::new())).await;
    match resumed {
        Err(error) => {
            assert!(error.to_string().contains("9p serves the folder") && !error.is_the_templates(), "{error}");
            assert_eq!(events.recv().await, None);
        }
        // Where a virtiofsd cannot be shut in, 9p serves from the start.
        Ok(guest) => {
            assert!(cartridge_supervise::isolation_support().is_err());
            guest.end(|_, _| ()).await;
        }
    }
    let mut guest = plan.start().await.unwrap();
    step(&mut guest, "the shell", |it| *it == BootStep::Shell).await;
    poweroff(guest).await;
}
