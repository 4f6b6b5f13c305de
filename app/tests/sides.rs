//! What a session does beside its goals: looks at its cartridge, comparisons, checks of the host, the cache.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::time::Duration;

use cartridge::session::examination::Unexamined;
use cartridge::session::state::{EjectScope, Goal, Phase};
use cartridge::session::{Command, Event, Model};
use support::Console;
use support::session::{Session, paths};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_goes_with_the_cartridge_and_what_was_not_looked_at_is_not_well() {
    let console = Console::new();
    let repo = console.repository("distro");
    fs::write(repo.join("cartridge.toml"), "[image]\nengine = \"archiso\"\nbase = \"minimal\"\n").unwrap();
    let mut session = Session::with(&console, true);
    session.insert(&repo).await;
    let examined = |event: &Event, _: &Model| matches!(event, Event::Examined { .. });
    session.until("a look", examined).await;
    let profile = |event: &Event| matches!(event, Event::NotExamined { why: Unexamined::NoProfile { .. } });
    let invalid = |event: &Event, _: &Model| matches!(event, Event::NotExamined { why: Unexamined::Invalid });
    // It has no base, and it takes no profile.
    session.set("image.engine", "micro").await;
    session.until("the end of what was seen", invalid).await;
    session.set("image.base", "").await;
    session.until("the reason", |event, _| profile(event)).await;
    assert_eq!(session.model.examination, None);
    session.send(Command::Examine).await;
    session
        .until("an answer", |event, _| {
            assert!(!matches!(event, Event::Examined { .. }), "nothing was looked at");
            profile(event)
        })
        .await;
    // But secrets are looked for whatever the engine.
    fs::write(repo.join(".netrc"), "machine box.net login ann password hunter2\n").unwrap();
    session.send(Command::Examine).await;
    session
        .until("a secret", |event, _| match event {
            Event::Examined { lint, failure, .. } => {
                failure.is_none() && matches!(lint.as_slice(), [one] if one.finding.rule.0 == "secret-credentials")
            }
            _ => false,
        })
        .await;
    fs::remove_file(repo.join(".netrc")).unwrap();

    session.set("image.engine", "archiso").await;
    session.set("image.base", "minimal").await;
    session.until("another look", examined).await;
    session.set("guest.memory", "4 gigs").await;
    session.until("the end of that", invalid).await;
    assert!(session.model.examination.is_none() && !session.model.examining);
    // Cancelled in the middle: the answer of what was begun is not "nothing was found".
    session.set("guest.memory", "2G").await;
    session.until("a look that begins", |event, _| matches!(event, Event::Examining)).await;
    session.set("guest.memory", "4 gigs").await;
    session
        .until("its end", |event, model| {
            assert!(!matches!(event, Event::Examined { failure: None, .. }) || model.state.inserted);
            invalid(event, model)
        })
        .await;
    session.quit().await;
    console.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checks_of_the_host_follow_what_the_cartridge_needs() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    session.send(Command::Diagnose).await;
    let of_mkarchiso = |model: &Model| model.checks.iter().flatten().any(|check| check.name == "mkarchiso");
    session.until("the checks", |event, _| matches!(event, Event::Diagnosed { .. })).await;
    assert!(!of_mkarchiso(&session.model), "nobody wants it");
    session.set("image.engine", "mkarchiso").await;
    session.set("image.base", "minimal").await;
    session.until("other checks", |_, model| of_mkarchiso(model)).await;
    session.set("image.base", "").await;
    session.set("image.engine", "micro").await;
    session.until("the first ones", |_, model| !of_mkarchiso(model)).await;
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_other_programs_are_noticed_when_the_window_is_looked_at_again() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = Session::with(&console, true);
    session.insert(&repo).await;
    fs::write(repo.join("cartridge.toml"), "[guest]\ncpus = 3\n").unwrap();
    session.send(Command::Refresh).await;
    session.until("the edit", |_, model| model.cartridge.as_ref().is_some_and(|c| c.text.contains("cpus = 3"))).await;
    assert!(!session.model.cartridge.as_ref().unwrap().dirty);
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_build_is_a_build_in_which_nothing_differs() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    let compared = |event: &Event, _: &Model| matches!(event, Event::BuildCompared { .. });
    let idle = |event: &Event, _: &Model| matches!(event, Event::StateChanged { state } if state.phase == Phase::Idle);
    session.send(Command::Ask(Goal::Build)).await;
    session.until("the first comparison", compared).await;
    assert_eq!(session.model.comparison.as_ref().unwrap().difference, None, "there is nothing before it");
    session.send(Command::Eject(EjectScope::Session)).await;
    session.until("the end", idle).await;
    session.send(Command::Ask(Goal::Build)).await;
    session.until("the second", compared).await;
    assert!(session.model.image.as_ref().unwrap().reused);
    let comparison = session.model.comparison.as_ref().unwrap();
    assert!(comparison.difference.as_ref().is_some_and(|it| it.is_empty()), "{comparison:?}");
    assert_eq!(comparison.summary, "nothing changed");
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_is_answered_and_told_of_no_other_cartridge() {
    let console = Console::new();
    let (repo, other) = (console.repository("distro"), console.repository("other"));
    // Enough to be compared for a while.
    for n in 0..3000_u32 {
        let bytes: Vec<u8> =
            (0..4096_u32).map(|at| (n.wrapping_mul(2_654_435_761) ^ at.wrapping_mul(40_503)) as u8).collect();
        fs::write(repo.join(n.to_string()), bytes).unwrap();
    }
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    session.send(Command::Ask(Goal::Build)).await;
    session.until("the comparison", |event, _| matches!(event, Event::Comparing)).await;
    let open = std::cell::Cell::new(1);
    let idle = |event: &Event| matches!(event, Event::StateChanged { state } if state.phase == Phase::Idle);
    let answered = |event: &Event| matches!(event, Event::BuildCompared { .. } | Event::NotCompared { .. });
    session
        .until("the end of the build", |event, _| {
            open.set(open.get() - i32::from(answered(event)));
            idle(event)
        })
        .await;
    session.send(Command::Insert(other.clone())).await;
    session
        .until("the other cartridge", |event, model| {
            open.set(open.get() - i32::from(answered(event)));
            model.cartridge.as_ref().is_some_and(|it| it.root.ends_with("other"))
        })
        .await;
    assert_eq!(open.get(), 0, "answered, and before the other cartridge is there");
    assert!(!session.model.comparing && session.model.comparison.is_none());
    let late = tokio::time::timeout(Duration::from_millis(1500), async {
        while let Some(told) = session.handle.events.recv().await {
            assert!(!answered(&told.event), "{told:?}");
        }
    });
    assert!(late.await.is_err(), "the session goes on");
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_in_use_is_said_where_it_was_asked_for_and_touches_no_goal() {
    let console = Console::new();
    let mut session = Session::begin(&console);
    let stages = paths(&console).stages();
    fs::create_dir_all(&stages).unwrap();
    let lock = fs::File::create(stages.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared).unwrap();
    session.send(Command::CleanCache).await;
    session.until("the refusal", |_, model| model.cache_failure.is_some()).await;
    assert_eq!(session.model.failure, None);
    drop(lock);
    session.send(Command::CleanCache).await;
    session.until("the cleaning", |event, _| matches!(event, Event::CacheViewed { freed: Some(_), .. })).await;
    assert_eq!(session.model.cache_failure, None);
    session.quit().await;
}
