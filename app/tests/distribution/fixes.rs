//! The session looks at a cartridge by itself, and mends what it finds: the cartridge at once, the repository when asked.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use cartridge::paths::Paths;
use cartridge::session::examination::LintView;
use cartridge::session::state::{Denied, Goal, Phase};
use cartridge::session::{Command, Event, Model, SessionConfig, SessionHandle, begin};

use crate::arch::{Fault, Repository};
use crate::bench::{Bench, profile};

struct Session {
    handle: SessionHandle,
    model: Model,
}

impl Session {
    fn begin(bench: &Bench) -> Self {
        let at = |name: &str| -> PathBuf { bench.console.home.path().join(name) };
        let paths = Paths {
            cache: at("cache/cartridge"),
            state: at("state/cartridge"),
            data: at("data/cartridge"),
            config: at("config/cartridge"),
            runtime: at("run/cartridge"),
            pictures: at("pictures"),
            videos: at("videos"),
        };
        let config = SessionConfig {
            paths,
            who: "a test".into(),
            fresh: false,
            lint: true,
            examines: true,
            watches: false,
            patience: None,
            blank_after: None,
        };
        Self { handle: begin(config).unwrap(), model: Model::default() }
    }

    async fn send(&self, command: Command) {
        self.handle.commands.send(command).await.unwrap();
    }

    /// Folds events until one fits; the limit is for a loaded machine.
    async fn until(&mut self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        let wait = async {
            loop {
                let told = self.handle.events.recv().await.expect("the session is open");
                self.model.fold(&told);
                if fits(&told.event) {
                    return told.event;
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(120), wait).await;
        waited.unwrap_or_else(|_| panic!("waited for {what}: {:#?}", self.model))
    }

    async fn examined(&mut self) {
        self.until("an examination", |event| matches!(event, Event::Examined { .. })).await;
        let examination = self.model.examination.as_ref().unwrap();
        assert_eq!(examination.failure, None);
        assert!(!examination.tree.is_empty() && !self.model.examining);
    }

    fn finding(&self, rule: &str) -> Option<LintView> {
        let lint = &self.model.examination.as_ref().unwrap().lint;
        lint.iter().find(|it| it.finding.rule.0 == rule && it.finding.fix.is_some()).cloned()
    }

    fn text(&self) -> &str {
        &self.model.cartridge.as_ref().unwrap().text
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_is_mended_in_the_cartridge_at_once_and_in_the_repository_after_asking() {
    let repository = Repository::get();
    let broken = profile().broken(repository, Fault::HookWithoutPackage).broken(repository, Fault::PackageTwice);
    let bench = Bench::new(broken, "");
    let list = bench.repo.join("iso/packages.x86_64");
    let before = fs::read_to_string(&list).unwrap();
    let mut session = Session::begin(&bench);
    session.send(Command::Insert(bench.repo.clone())).await;
    // Nobody has asked for it.
    session.examined().await;

    let all = session.model.examination.clone().unwrap().lint;
    let of_cartridge =
        all.iter().find(|it| it.finding.what.contains("plymouth") && !it.asks && it.finding.fix.is_some());
    let of_cartridge = of_cartridge.unwrap_or_else(|| panic!("{all:#?}")).clone();
    session.send(Command::ApplyFix { id: of_cartridge.id.clone(), asked: false }).await;
    session.until("the fix", |event| matches!(event, Event::FixApplied { file: None, .. })).await;
    assert!(session.text().contains("plymouth"), "{}", session.text());
    assert!(!fs::read_to_string(bench.repo.join("cartridge.toml")).unwrap().contains("plymouth"), "not saved yet");
    session.examined().await;
    let lint = &session.model.examination.as_ref().unwrap().lint;
    assert!(!lint.iter().any(|it| it.id == of_cartridge.id), "{lint:#?}");

    let twice =
        session.finding("package-twice").unwrap_or_else(|| panic!("{lint:#?}", lint = session.model.examination));
    assert!(twice.asks);
    session.send(Command::ApplyFix { id: twice.id.clone(), asked: false }).await;
    let refused = session.until("the refusal", |event| matches!(event, Event::Refused { .. })).await;
    assert!(matches!(refused, Event::Refused { denied: Denied::NotAsked, .. }), "{refused:?}");
    assert_eq!(fs::read_to_string(&list).unwrap(), before);
    // A build reads the repository: it is not changed under its hands.
    session.send(Command::Ask(Goal::Build)).await;
    session.send(Command::ApplyFix { id: twice.id.clone(), asked: true }).await;
    session.send(Command::Cancel).await;
    let refused = session.until("the refusal", |event| matches!(event, Event::Refused { .. })).await;
    assert!(matches!(refused, Event::Refused { denied: Denied::BeingBuilt, .. }), "{refused:?}");
    assert_eq!(fs::read_to_string(&list).unwrap(), before);
    let idle = |event: &Event| matches!(event, Event::StateChanged { state } if state.phase == Phase::Idle);
    session.until("the end of the build", idle).await;
    session.send(Command::ApplyFix { id: twice.id.clone(), asked: true }).await;
    session.until("the fix", |event| matches!(event, Event::FixApplied { file: Some(_), .. })).await;
    assert_eq!(fs::read_to_string(&list).unwrap().lines().count() + 1, before.lines().count());
    session.examined().await;
    assert!(session.finding("package-twice").is_none());
    session.send(Command::ApplyFix { id: twice.id, asked: true }).await;
    let refused = session.until("the refusal", |event| matches!(event, Event::Refused { .. })).await;
    assert!(matches!(refused, Event::Refused { denied: Denied::NoFix, .. }), "{refused:?}");

    session.send(Command::Quit).await;
    session.until("the end", |event| matches!(event, Event::Closed)).await;
    bench.console.assert_clean();
}
