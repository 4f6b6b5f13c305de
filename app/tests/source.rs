//! A repository that is edited while a session has it: what changed is told, and brought to a real guest when that is asked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;

use cartridge::session::event::Since;
use cartridge::session::state::{EjectScope, Goal, Phase};
use cartridge::session::way::Way;
use cartridge::session::{Command, Event, Model};
use isoprep::ChangeKind;
use support::Console;
use support::session::Session;

/// The paths that the last event told, with what happened to them; only those that were told since some guest or build.
fn told(model: &Model) -> Vec<(String, ChangeKind)> {
    let source = model.source.as_ref().unwrap();
    assert_eq!(source.total, source.changes.len());
    source.changes.iter().map(|it| (it.path.to_string_lossy().into_owned(), it.kind)).collect()
}

async fn until_changed(session: &mut Session, want: &[(&str, ChangeKind)]) {
    let want: Vec<_> = want.iter().map(|(path, kind)| ((*path).to_owned(), *kind)).collect();
    let fits = |event: &Event, model: &Model| matches!(event, Event::SourceChanged { .. }) && told(model) == want;
    session.until(&format!("{want:?}"), fits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_since_the_build_are_told_and_what_is_ignored_is_not() {
    let console = Console::new();
    let repo = console.repository("distro");
    fs::create_dir_all(repo.join("deep/er")).unwrap();
    fs::create_dir_all(repo.join("target")).unwrap();
    fs::write(repo.join(".gitignore"), "target/\n*.log\n").unwrap();
    fs::write(repo.join("deep/er/script"), "echo one\n").unwrap();
    let mut session = Session::with(&console, true);
    session.insert(&repo).await;
    session.send(Command::Ask(Goal::Build)).await;
    session.until("the image", |event, _| matches!(event, Event::ImageBuilt { .. })).await;
    session.until_phase(Phase::Idle).await;
    assert_eq!(session.model.source, None, "nothing has changed, and nothing was said");

    fs::write(repo.join("target/out"), "x").unwrap();
    fs::write(repo.join("some.log"), "x").unwrap();
    fs::write(repo.join("deep/er/script"), "echo two\n").unwrap();
    until_changed(&mut session, &[("deep/er/script", ChangeKind::Changed)]).await;
    let source = session.model.source.clone().unwrap();
    assert_eq!((source.since, source.way), (Since::Build, Way::Image));
    assert_eq!(source.words().unwrap(), "1 file changed since the last build");

    // A folder that is new is watched too, and an editor's way to save is no other change.
    fs::create_dir(repo.join("new")).unwrap();
    until_changed(&mut session, &[("deep/er/script", ChangeKind::Changed), ("new", ChangeKind::Added)]).await;
    fs::write(repo.join("new/file.tmp~"), "x").unwrap();
    fs::rename(repo.join("new/file.tmp~"), repo.join("new/file")).unwrap();
    until_changed(&mut session, &[("deep/er/script", ChangeKind::Changed), ("new/file", ChangeKind::Added)]).await;
    fs::write(repo.join("deep/er/script"), "echo one\n").unwrap();
    fs::remove_dir_all(repo.join("new")).unwrap();
    until_changed(&mut session, &[]).await;
    session.quit().await;
    console.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cartridge_has_changes_of_its_own() {
    let console = Console::new();
    let (one, other) = (console.repository("one"), console.repository("other"));
    let mut session = Session::with(&console, true);
    session.insert(&one).await;
    session.send(Command::Ask(Goal::Build)).await;
    session.until_phase(Phase::Building).await;
    session.until_phase(Phase::Idle).await;
    fs::write(one.join("changed"), "x").unwrap();
    until_changed(&mut session, &[("changed", ChangeKind::Added)]).await;
    session.send(Command::Insert(other)).await;
    session.until("the other one", |_, model| model.cartridge.as_ref().is_some_and(|it| it.name == "other")).await;
    assert_eq!(session.model.source, None);
    // The image is remembered with what it was made of.
    session.send(Command::Insert(one)).await;
    until_changed(&mut session, &[("changed", ChangeKind::Added)]).await;
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_sees_the_folder_itself_needs_nothing_brought() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = Session::with(&console, true);
    session.insert(&repo).await;
    session.set("source.live", "overlaid").await;
    session.send(Command::Ask(Goal::Up)).await;
    session.until_phase(Phase::Running).await;
    fs::write(repo.join("installer"), "echo new\n").unwrap();
    until_changed(&mut session, &[("installer", ChangeKind::Added)]).await;
    let source = session.model.source.clone().unwrap();
    assert_eq!((source.since, source.way), (Since::Build, Way::Live));
    let pid = session.model.guest.as_ref().unwrap().pid;
    session.send(Command::BringIn).await;
    session.until("it is there", |event, _| matches!(event, Event::BroughtIn { way: Way::Live, .. })).await;
    assert_eq!((session.model.guest.as_ref().unwrap().pid, session.model.state.phase), (pid, Phase::Running));
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_brought_to_the_guest() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = Session::with(&console, true);
    session.insert(&repo).await;
    session.send(Command::Ask(Goal::Up)).await;
    session.until_phase(Phase::Running).await;
    fs::write(repo.join("installer"), "echo new\n").unwrap();
    until_changed(&mut session, &[("installer", ChangeKind::Added)]).await;
    assert_eq!(session.model.source.as_ref().unwrap().since, Since::Guest);
    let (pid, before) = of_guest(&session.model);

    session.send(Command::BringIn).await;
    session.until("the guest has it", |event, _| matches!(event, Event::BroughtIn { way: Way::Layer, .. })).await;
    let (same, first) = of_guest(&session.model);
    assert!(same == pid && first != before, "{same} {pid}, {first}");
    until_changed(&mut session, &[]).await;
    let source = session.model.source.clone().unwrap();
    assert_eq!((source.words(), source.unchanged()), (None, "The guest has the repository as it is now"));
    // More often than the guest has ports for layers.
    let mut last = first;
    for round in 0..5 {
        fs::write(repo.join("installer"), format!("echo {round}\n")).unwrap();
        until_changed(&mut session, &[("installer", ChangeKind::Changed)]).await;
        session.send(Command::BringIn).await;
        let brought = |event: &Event, _: &Model| {
            assert!(!matches!(event, Event::LayerPlugged { matches: false, .. }), "{event:?}");
            matches!(event, Event::BroughtIn { way: Way::Layer, .. })
        };
        session.until("the guest has that", brought).await;
        let (same, tree) = of_guest(&session.model);
        assert!(same == pid && tree != last, "{same} {pid}, {tree}");
        last = tree;
        until_changed(&mut session, &[]).await;
    }

    // Without a guest it is a new image, and what was plugged in counts no more.
    session.send(Command::Eject(EjectScope::Session)).await;
    session.until_phase(Phase::Idle).await;
    until_changed(&mut session, &[("installer", ChangeKind::Added)]).await;
    assert_eq!(session.model.source.as_ref().unwrap().since, Since::Build);
    // What does not begin keeps nobody from asking again.
    session.set("guest.memory", "4 gigs").await;
    session.send(Command::BringIn).await;
    session.until("that it cannot", |event, _| matches!(event, Event::Failed { .. })).await;
    session.set("guest.memory", "1G").await;
    session.send(Command::BringIn).await;
    session.until("a guest has it", |event, _| matches!(event, Event::BroughtIn { way: Way::Image, .. })).await;
    let (other, third) = of_guest(&session.model);
    assert!(other != pid && third == last, "{other} {pid}, {third} {last}");
    session.quit().await;
    console.assert_clean();
}

/// The guest's process, and the tree that it has told.
fn of_guest(model: &Model) -> (u32, String) {
    let guest = model.guest.clone().unwrap();
    assert_eq!(guest.matches, Some(true));
    (guest.pid, guest.report.unwrap().tree)
}

/// What was said of the cartridge's file.
async fn said(session: &mut Session, words: &str) -> String {
    let text = std::sync::Mutex::new(String::new());
    let says = |event: &Event, _: &Model| match event {
        Event::Noticed { text: told, .. } if told.starts_with("cartridge.toml ") => {
            told.clone_into(&mut text.lock().unwrap());
            told.contains(words)
        }
        _ => false,
    };
    session.until(words, says).await;
    text.into_inner().unwrap()
}

fn memory(model: &Model) -> String {
    let cartridge = model.cartridge.as_ref().unwrap();
    cartridge.fields.iter().find(|field| field.key == "guest.memory").unwrap().value.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_an_editor_writes_are_taken_over_and_broken_ones_are_not() {
    let console = Console::new();
    let repo = console.repository("distro");
    fs::create_dir(repo.join("tree")).unwrap();
    fs::write(repo.join("tree/file"), "content\n").unwrap();
    let file = repo.join("cartridge.toml");
    let write = |memory: &str, path: &str| {
        // Editors write beside, then rename.
        let text =
            format!("[guest]\nmemory = \"{memory}\"\ncpus = 1\naccelerator = \"tcg\"\n[source]\npath = \"{path}\"\n");
        fs::write(repo.join(".cartridge.toml.swp"), text).unwrap();
        fs::rename(repo.join(".cartridge.toml.swp"), &file).unwrap();
    };
    let mut session = Session::with(&console, true);
    session.insert(&repo).await;
    write("768M", ".");
    said(&mut session, "its settings are in use now").await;
    assert_eq!(memory(&session.model), "768M");

    write("lots", ".");
    let text = said(&mut session, "in line 2: guest.memory").await;
    assert!(text.ends_with("The settings of before stay in use"), "{text}");
    let cartridge = session.model.cartridge.clone().unwrap();
    assert_eq!(
        (memory(&session.model), cartridge.findings.len(), session.model.state.inserted),
        ("768M".into(), 0, true)
    );

    // Where the repository is another folder, the file is watched all the same; so is one that was broken.
    write("768M", "tree");
    said(&mut session, "its settings are in use now").await;
    write("512M", "tree");
    said(&mut session, "its settings are in use now").await;
    session.send(Command::Ask(Goal::Up)).await;
    session.until_phase(Phase::Running).await;
    write("640M", "tree");
    said(&mut session, "the guest stays as it is").await;
    assert_eq!((memory(&session.model), session.model.state.phase), ("640M".into(), Phase::Running));

    // What nobody writes to is not waited for, and what is in use stays.
    fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    session.send(Command::Examine).await;
    session.until("the answer", |event, _| matches!(event, Event::NotExamined { .. })).await;
    assert_eq!(memory(&session.model), "640M");

    // What was not saved here is not lost.
    session.set("guest.cpus", "2").await;
    session.until("the edit", |_, model| model.cartridge.as_ref().is_some_and(|it| it.dirty)).await;
    write("700M", "tree");
    said(&mut session, "Revert takes over").await;
    assert_eq!(memory(&session.model), "640M");
    session.quit().await;
    console.assert_clean();
}
