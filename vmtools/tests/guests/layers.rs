//! Layers plugged into running guests, and pulled out of them.

use vmtools::GuestStatus;
use vmtools::slot::{PlugError, plug_layer, unplug};

use crate::linux::{INTO, layer, linux, tree_of};
use crate::slots::{restored, save_as};

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_is_seen_at_the_repositorys_place_and_proven() {
    let plan = linux(false);
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (layer(dir.path(), "new"), layer(dir.path(), "newer"));
    let mut guest = plan.start().await.unwrap();
    let at_first = guest.until_report().await;
    guest.until_shell().await;
    assert_eq!(at_first.tree, tree_of(dir.path(), "of the image"));
    let monitor = guest.handle.monitor();
    let plugged = plug_layer(&monitor, &first).await.unwrap();
    let report = guest.until_report().await;
    assert_eq!((report.generation, report.trouble.as_deref()), (1, None), "{report:?}");
    assert_eq!(report.tree, tree_of(dir.path(), "new"));
    // What it writes goes to memory.
    assert_eq!(guest.run(&format!("cd {INTO} && cat file && echo mine > file && cat file && cd /")).await, "newmine");
    let plugged_second = plug_layer(&monitor, &second).await.unwrap();
    assert_eq!(guest.until_report().await.tree, tree_of(dir.path(), "newer"));
    assert_ne!(plugged.serial, plugged_second.serial);
    unplug(&monitor, &plugged_second.serial).await.unwrap();
    let report = guest.until_report().await;
    assert_eq!(report.generation, 3);
    assert_eq!(guest.run(&format!("cat {INTO}/file")).await, "mine");
    unplug(&monitor, &plugged.serial).await.unwrap();
    // Shells stand in the tree below, which has become what was laid over it last.
    assert_eq!(guest.until_report().await.tree, tree_of(dir.path(), "newer"));
    assert!(monitor.plugged().is_empty());
    assert!(matches!(unplug(&monitor, &plugged.serial).await, Err(PlugError::Absent(_))));
    // More than there are ports: the oldest makes room.
    let wanted = tree_of(dir.path(), "new");
    // After four reports: one for each that comes, and one for each that goes.
    for generation in [5, 6, 7, 8, 10, 12] {
        plug_layer(&monitor, &first).await.unwrap();
        let report = guest.until("the layer", |event| match event {
            vmtools::GuestEvent::Reported(report) if report.generation == generation => Some(report.clone()),
            _ => None,
        });
        let report = report.await;
        assert_eq!((report.tree.as_str(), report.trouble), (wanted.as_str(), None));
    }
    assert_eq!(monitor.plugged().len(), 4);
    // What is no squashfs is told by the guest.
    let broken = dir.path().join("broken.sfs");
    std::fs::write(&broken, vec![7; 1 << 20]).unwrap();
    plug_layer(&monitor, &broken).await.unwrap();
    let trouble = guest
        .until("the trouble", |event| match event {
            vmtools::GuestEvent::Reported(report) => report.trouble.clone(),
            _ => None,
        })
        .await;
    assert!(trouble.contains("was not mounted"), "{trouble}");
    assert_eq!(guest.handle.status(), GuestStatus::Running);
}

/// Nobody waits for the guest's word, and the ports are those that were just emptied.
#[tokio::test(flavor = "multi_thread")]
async fn layers_that_follow_each_other_quickly_are_all_brought_in() {
    let plan = linux(false);
    let dir = tempfile::tempdir().unwrap();
    let mut guest = plan.start().await.unwrap();
    guest.until_report().await;
    guest.until_shell().await;
    let monitor = guest.handle.monitor();
    for round in 0..6 {
        let texts = [format!("first {round}"), format!("second {round}")];
        for text in &texts {
            plug_layer(&monitor, &layer(dir.path(), text)).await.unwrap();
        }
        let wanted = tree_of(dir.path(), &texts[1]);
        let report = guest.until("the second layer", |event| match event {
            vmtools::GuestEvent::Reported(report) if report.tree == wanted => Some(report.clone()),
            _ => None,
        });
        assert_eq!(report.await.trouble, None, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_stands_in_the_repository_sees_each_new_tree() {
    let plan = linux(false);
    let dir = tempfile::tempdir().unwrap();
    let mut guest = plan.start().await.unwrap();
    guest.until_report().await;
    guest.until_shell().await;
    guest.run(&format!("cd {INTO}")).await;
    // More than there are ports: those before are pulled out from below.
    for round in 1..=6 {
        let text = format!("new {round}");
        plug_layer(&guest.handle.monitor(), &layer(dir.path(), &text)).await.unwrap();
        let wanted = tree_of(dir.path(), &text);
        let report = guest.until("the layer", |event| match event {
            vmtools::GuestEvent::Reported(report) if report.tree == wanted => Some(report.clone()),
            _ => None,
        });
        assert_eq!(report.await.trouble, None);
        assert_eq!(guest.run("cat file; cat $PWD/file; pwd").await, format!("{text}{text}{INTO}"));
        // One stands in the image's tree, one in the first layer.
        if round == 1 {
            guest.run(&format!("sleep 1000 >/dev/null 2>&1 </dev/null & cd / && cd {INTO}")).await;
        }
    }
    let first = guest.run("cat /proc/$(pidof sleep)/cwd/file").await;
    assert_eq!(first, "new 6");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_and_a_new_layer_make_a_warm_start() {
    let plan = linux(true);
    let (guest_plan, store) = (plan.plan.clone(), plan.dir.path().join("slots"));
    let dir = tempfile::tempdir().unwrap();
    let mut guest = plan.start().await.unwrap();
    guest.until_report().await;
    guest.until_shell().await;
    let old = layer(dir.path(), "in the slot");
    plug_layer(&guest.handle.monitor(), &old).await.unwrap();
    let in_slot = guest.until_report().await;
    let mut saved = save_as(&guest, "warm", &store).await.unwrap();
    // The slot has a copy of its own of the layer, and remembers the generation.
    std::fs::remove_file(&old).unwrap();
    let path = saved.dir.join("slot.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    json["report"] = serde_json::to_value(&in_slot).unwrap();
    std::fs::write(&path, json.to_string()).unwrap();
    saved.manifest = Ok(serde_json::from_value(json).unwrap());
    guest.handle.end(|_, _| {}).await;
    for round in 1..=5 {
        let text = format!("changed {round}");
        let file = layer(dir.path(), &text);
        let began = std::time::Instant::now();
        let mut again = restored(&saved, &guest_plan, |how| how.tree = Some(in_slot.tree.clone())).await.unwrap();
        plug_layer(&again.handle.monitor(), &file).await.unwrap();
        let report = again.until_report().await;
        println!("round {round}: the guest has the new tree after {:?}", began.elapsed());
        assert_eq!((report.generation, report.trouble), (2, None));
        assert_eq!(report.tree, tree_of(dir.path(), &text));
        assert_eq!(again.run(&format!("cat {INTO}/file")).await, text);
        // Its clock was set when the layer came.
        let clock: i64 = again.run("date +%s").await.parse().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!((i64::try_from(now).unwrap() - clock).abs() < 10, "{clock} {now}");
        assert!(again.run("dmesg").await.contains("crng reseeded due to virtual machine fork"));
        again.handle.end(|_, _| {}).await;
    }
}
