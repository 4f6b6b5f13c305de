//! Slots and layers through a session, with real guests of the engine micro.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;

use cartridge::session::event::Side;
use cartridge::session::state::{EjectScope, Goal, Phase};
use cartridge::session::{Command, Event};
use support::Console;
use support::session::Session;

fn save(name: &str) -> Command {
    Command::SaveSlot { name: name.into() }
}

fn restore(name: &str, anyway: bool) -> Command {
    Command::RestoreSlot { name: name.into(), anyway }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_saved_restored_and_given_the_repository_as_it_is_now() {
    let console = Console::new();
    let repo = console.repository("distro");
    fs::write(repo.join("script"), "echo one\n").unwrap();
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    session.send(Command::Ask(Goal::Up)).await;
    session.until("the report", |event, _| matches!(event, Event::GuestReported { matches: Some(true), .. })).await;
    let first = session.model.guest.clone().unwrap();
    session.send(save("before Submit")).await;
    session.until("the slot", |event, _| matches!(event, Event::SlotSaved { .. })).await;
    session.until("the slots", |event, _| matches!(event, Event::SlotsChanged { .. })).await;
    let slots = session.model.slots.clone().unwrap();
    assert_eq!((slots.len(), slots[0].name.as_str(), slots[0].problem.clone()), (1, "before Submit", None));
    assert!(slots[0].picture.as_ref().unwrap().is_file() && slots[0].depends.contains("distro.iso"));
    assert_eq!((slots[0].differs.as_deref(), slots[0].same_tree), (Some(&[][..]), Some(true)));

    // Restoring ends the guest that runs.
    session.send(restore("before Submit", false)).await;
    session.until("the guest", |event, _| matches!(event, Event::SlotRestored { .. })).await;
    session.until_phase(Phase::Running).await;
    let second = session.model.guest.clone().unwrap();
    assert_ne!(first.pid, second.pid);

    // What was changed meanwhile comes as a layer, proven by the guest.
    fs::write(repo.join("script"), "echo two\n").unwrap();
    session.send(Command::PlugLayer).await;
    session.until("the layer", |event, _| matches!(event, Event::LayerPlugged { matches: true, .. })).await;
    // Two at once: the second follows the first, with what is there then. What is packed must not change meanwhile.
    let log = session.model.logs.join("session.log");
    let packed = || fs::read_to_string(&log).unwrap().matches("was packed in").count();
    let before = packed();
    for content in ["echo three\n", "echo four\n"] {
        fs::write(repo.join("script"), content).unwrap();
        session.send(Command::PlugLayer).await;
        for _ in 0..300 {
            if packed() > before {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    let trees = std::sync::Mutex::new(Vec::new());
    let both = |event: &Event| {
        let mut trees = trees.lock().unwrap();
        match event {
            Event::LayerPlugged { matches, tree, trouble, .. } => {
                assert!(*matches && trouble.is_none(), "{event:?}");
                trees.push(tree.clone());
            }
            Event::SideFailed { failure, .. } => panic!("{failure:?}"),
            _ => {}
        }
        trees.len() == 2
    };
    session.until("both layers", |event, _| both(event)).await;
    let report = session.model.guest.as_ref().unwrap().report.clone().unwrap();
    assert_eq!((report.generation, Some(&report.tree)), (3, trees.into_inner().unwrap().last()));
    // The layers that the guest has are not in the way of whoever empties the cache, and stay.
    session.send(Command::CleanCache).await;
    session.until("an empty cache", |event, _| matches!(event, Event::CacheViewed { freed: Some(_), .. })).await;
    session.send(save("with the change")).await;
    session.until("the second slot", |event, _| matches!(event, Event::SlotSaved { .. })).await;
    session.until("the slots", |event, _| matches!(event, Event::SlotsChanged { .. })).await;
    let of = |name: &str| session.model.slots.iter().flatten().find(|slot| slot.name == name).unwrap();
    assert!(of("with the change").layered && !of("before Submit").layered);
    assert!(of("with the change").depends.contains("a layer that was plugged in"), "{:?}", of("with the change"));
    assert_eq!([of("with the change").same_tree, of("before Submit").same_tree], [Some(true), Some(false)]);
    session.send(restore("with the change", false)).await;
    session.until("the guest with a layer", |event, _| matches!(event, Event::SlotRestored { .. })).await;
    session.until_phase(Phase::Running).await;

    // No guest is ended for a name that there is not; those that there are are named.
    let third = session.model.guest.clone().unwrap();
    session.send(restore("absent", false)).await;
    session.until("no", |event, _| matches!(event, Event::SideFailed { side: Side::Restore, .. })).await;
    let failure = session.model.slot_failure.clone().unwrap();
    assert!(failure.detail.contains("there is no slot \"absent\""), "{failure:?}");
    assert_eq!(failure.advice.as_deref(), Some("There are \"with the change\" and \"before Submit\""));
    assert_eq!((session.model.state.phase, session.model.guest.clone().unwrap().pid), (Phase::Running, third.pid));
    session.send(Command::Eject(EjectScope::Session)).await;
    session.until_phase(Phase::Idle).await;
    session.send(save("nothing runs")).await;
    session.until("no", |event, _| matches!(event, Event::SideFailed { side: Side::Slot, .. })).await;
    // Slots are the user's: ejecting everything leaves them.
    session.send(Command::Eject(EjectScope::Everything)).await;
    session.until_phase(Phase::Idle).await;
    session.send(Command::ListSlots).await;
    session.until("the slots", |event, _| matches!(event, Event::SlotsChanged { slots } if slots.len() == 2)).await;
    // The image is gone, and the slot has its own.
    session.send(restore("before Submit", true)).await;
    session.until("the guest", |event, _| matches!(event, Event::SlotRestored { .. })).await;
    session.until_phase(Phase::Running).await;
    session.send(Command::RemoveSlot { name: "with the change".into() }).await;
    session.until("one slot", |event, _| matches!(event, Event::SlotsChanged { slots } if slots.len() == 1)).await;
    session.quit().await;
}

/// What looks at the repository beside everything else remembers it in the cache.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_removed_while_slots_are_listed_does_not_come_again_without_its_marker() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    session.send(Command::Ask(Goal::Up)).await;
    session.until("the report", |event, _| matches!(event, Event::GuestReported { matches: Some(true), .. })).await;
    session.send(save("one")).await;
    session.until("the slot", |event, _| matches!(event, Event::SlotSaved { .. })).await;
    let stages = support::session::paths(&console).stages();
    for _ in 0..20 {
        for command in [Command::ListSlots, Command::Eject(EjectScope::Everything)] {
            session.send(command).await;
        }
        session.until_phase(Phase::Ejecting).await;
        session.until("the end", |event, _| matches!(event, Event::Ejected { .. })).await;
        assert_eq!(session.model.failure, None);
        // What was begun before has ended with it.
        assert!(!stages.exists(), "{stages:?} came again");
    }
    session.send(Command::Ask(Goal::Build)).await;
    session.until("the image", |event, _| matches!(event, Event::ImageBuilt { .. })).await;
    session.quit().await;
}

/// A session whose guest sees no new disk.
async fn blind(console: &Console, repo: &std::path::Path) -> Session {
    let mut session = Session::begin(console);
    session.insert(repo).await;
    session.send(Command::Ask(Goal::Up)).await;
    session.until("the report", |event, _| matches!(event, Event::GuestReported { matches: Some(true), .. })).await;
    // In halves, so that the echo is no answer.
    let line = "echo 0 >/sys/bus/virtio/drivers_autoprobe; echo bli''nd\n";
    session.send(Command::SendSerial(line.into())).await;
    let log = session.model.logs.join("serial.log");
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !fs::read_to_string(&log).unwrap_or_default().contains("blind\r") {
        assert!(std::time::Instant::now() < end, "the shell does not answer");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_tells_of_another_tree_than_that_of_its_layer_is_told_of() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = blind(&console, &repo).await;
    fs::write(repo.join("script"), "echo two\n").unwrap();
    session.send(Command::PlugLayer).await;
    let forged = r#"{"v":1,"name":"distro","kernel":"6","firmware":"bios","accelerator":"tcg","files":1,"tree":"ab","path":"/root/distro","generation":1}"#;
    let forging = format!("while :; do printf '%s%s %s\\n' CARTRIDGE -REPORT '{forged}'; sleep 1; done &\n");
    session.send(Command::SendSerial(forging.into())).await;
    session.until("what it tells", |event, _| matches!(event, Event::LayerPlugged { matches: false, .. })).await;
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_waits_for_one_that_is_never_told_of_comes_all_the_same() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = blind(&console, &repo).await;
    for _ in 0..2 {
        session.send(Command::PlugLayer).await;
    }
    let waits =
        |event: &Event| matches!(event, Event::Noticed { text, .. } if text.contains("has told nothing of the layer"));
    session.until("the second", |event, _| waits(event)).await;
    let packed =
        || fs::read_to_string(session.model.logs.join("session.log")).unwrap().matches("was packed in").count();
    for _ in 0..300 {
        if packed() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(packed(), 2);
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_are_refused_in_words() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    session.send(Command::Ask(Goal::Up)).await;
    session.until("the report", |event, _| matches!(event, Event::GuestReported { .. })).await;
    session.send(save("a")).await;
    session.until("the slot", |event, _| matches!(event, Event::SlotSaved { .. })).await;
    session.set("guest.memory", "777M").await;
    session.send(Command::ListSlots).await;
    let differs = |event: &Event| match event {
        Event::SlotsChanged { slots } => slots[0].obstacle().is_some_and(|why| why.contains("is 777 MiB now")),
        _ => false,
    };
    session.until("the obstacle", |event, _| differs(event)).await;
    session.send(restore("a", true)).await;
    session.until("the refusal", |event, _| matches!(event, Event::Failed { .. })).await;
    let failure = session.model.failure.clone().unwrap();
    assert!(failure.detail.contains("and is 777 MiB now (guest.memory)"), "{failure:?}");
    assert!(failure.advice.unwrap().contains("change the settings back"));
    session.until_phase(Phase::Idle).await;
    session.quit().await;
}

#[test]
fn the_terminal_restores_what_is_old_only_if_asked_and_plugs_in_what_is_new() {
    let console = Console::new();
    let repo = console.repository("distro");
    let path = repo.to_str().unwrap();
    let run = |args: &[&str]| {
        let run = console.run(&[args, &["--json", path]].concat());
        console.assert_clean();
        run
    };
    assert_eq!(run(&["up", "--save-slot", "s"]).code, 0);
    let same = run(&["boot", "--slot", "s"]);
    assert_eq!(same.code, 0, "{:#?}\n{}", same.events, same.stderr);

    // Changed, and not built since.
    fs::write(repo.join("hello.txt"), "changed since\n").unwrap();
    let old = run(&["boot", "--slot", "s"]);
    let failure = old.failure();
    assert!(
        old.code != 0 && failure["detail"].as_str().unwrap().contains("the repository has changed since"),
        "{failure}"
    );
    let advice = failure["advice"].as_str().unwrap();
    assert!(advice.contains("--anyway") && advice.contains("--plug"), "{failure}");
    assert_eq!(run(&["boot", "--slot", "s", "--anyway"]).code, 0);
    // Built since as well: what is plugged in is what is there now.
    assert_eq!(run(&["build"]).code, 0);
    let plugged = run(&["boot", "--slot", "s", "--plug"]);
    assert_eq!((plugged.code, &plugged.event("layer_plugged")["matches"]), (0, &true.into()), "{:#?}", plugged.events);
}

#[test]
fn slots_are_named_rightly_or_nothing_is_begun() {
    let console = Console::new();
    let repo = console.repository("distro");
    let path = repo.to_str().unwrap();
    // Said with the command line, before anything is read.
    for args in [
        &["test", "--slot", " "][..],
        &["boot", "--slot", "a\nb"],
        &["up", "--save-slot", ""],
        &["slots", "--remove", ""],
    ] {
        let run = console.run(&[args, &[path]].concat());
        assert!(run.code == 2 && run.stderr.contains(args[1]), "{args:?}: {} {}", run.code, run.stderr);
        assert_eq!(fs::read_dir(console.home.path().join("state")).unwrap().count(), 0, "{args:?}: no session began");
    }
    for args in [&["boot", "--slot", "nosuch"][..], &["slots", "--remove", "nosuch"]] {
        let run = console.run(&[args, &["--json", path]].concat());
        let failure = &run.event("side_failed")["failure"];
        assert_eq!((run.code, failure["exit_code"].as_i64()), (2, Some(2)), "{args:?}: {:#?}", run.events);
        assert!(failure["advice"].as_str().unwrap().starts_with("There are no slots yet"), "{failure}");
        assert!(!run.phases().contains(&"preparing"), "{args:?}: {:#?}", run.events);
    }
    console.assert_clean();
}

#[test]
fn slots_outlive_another_name_and_another_place_of_their_cartridge() {
    let console = Console::new();
    let repo = console.repository("distro");
    let path = repo.to_str().unwrap().to_owned();
    assert_eq!(console.run(&["up", "--save-slot", "a b", "--json", &path]).code, 0);
    // Called otherwise it has its slot still.
    let toml = repo.join("cartridge.toml");
    fs::write(&toml, format!("name = \"other\"\n{}", fs::read_to_string(&toml).unwrap())).unwrap();
    let slots = |args: &[&str]| console.run(&[&["slots", "--json"][..], args].concat());
    let listed = slots(&[&path]).event("slots_changed")["slots"].clone();
    assert_eq!(listed[0]["name"], "a b", "{listed}");

    let moved = console.home.path().join("moved");
    fs::rename(&repo, &moved).unwrap();
    assert_eq!(slots(&[moved.to_str().unwrap()]).event("slots_changed")["slots"], serde_json::json!([]));
    for args in [&["--all"][..], &[&path]] {
        let run = slots(args);
        let slot = &run.event("slot")["slot"];
        assert_eq!((slot["cartridge"].as_str(), slot["gone"].as_bool()), (Some(path.as_str()), Some(true)), "{args:?}");
        assert!(slot["slot"]["bytes"].as_u64().unwrap() > 1 << 20, "{slot}");
    }
    let shown = console.run(&["slots", "--all"]).stdout;
    assert!(shown.contains(&format!("a b  of {path}, which is not there any more")), "{shown}");
    assert!(shown.lines().last().unwrap().contains("1 slot in all"), "{shown}");

    // The moved cartridge takes it over, and it is restored there.
    let there = console.run(&["slots", moved.to_str().unwrap(), "--take-from", moved.to_str().unwrap()]);
    assert!(there.code == 2 && there.stderr.contains("its slots are its own"), "{} {}", there.code, there.stderr);
    let taken = console.run(&["slots", moved.to_str().unwrap(), "--take-from", &path]);
    assert_eq!((taken.code, taken.stdout.as_str()), (0, "Taken over: a b\n"), "{}", taken.stderr);
    let restored = console.run(&["boot", "--slot", "a b", "--anyway", "--json", moved.to_str().unwrap()]);
    assert_eq!(restored.code, 0, "{:#?}\n{}", restored.events, restored.stderr);
    let path = moved.to_str().unwrap().to_owned();
    fs::rename(&moved, console.home.path().join("moved again")).unwrap();

    let absent = console.run(&["slots", "--all", "--remove", "nosuch"]);
    assert!(absent.code == 2 && absent.stderr.contains("There is \"a b\""), "{} {}", absent.code, absent.stderr);
    // One of that name of another cartridge: which one is meant has to be said.
    let store = fs::read_dir(console.home.path().join("data/cartridge/slots")).unwrap().next().unwrap().unwrap().path();
    let twin = store.with_file_name("twin-00000000");
    fs::create_dir_all(twin.join("a%20b")).unwrap();
    let several = console.run(&["slots", "--all", "--remove", "a b"]);
    assert!(several.code == 2 && several.stderr.contains("several cartridges have a slot"), "{}", several.stderr);
    assert_eq!(console.run(&["slots", &path, "--remove", "a b"]).code, 0);
    assert!(!store.exists() && twin.exists());
    assert_eq!(console.run(&["slots", "--all", "--remove", "a b"]).code, 0);
    assert!(!twin.exists());
    console.assert_clean();
}
