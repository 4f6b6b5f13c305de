//! A session without a front end: commands in, events folded.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cartridge::paths::Paths;
use cartridge::session::state::Phase;
use cartridge::session::{Command, Event, Model, SessionConfig, SessionHandle, begin};

use super::Console;
use super::told::Events;

pub struct Session {
    pub handle: SessionHandle,
    pub model: Model,
    told: Events,
}

impl Session {
    pub fn begin(console: &Console) -> Self {
        Self::with(console, false)
    }

    /// One that looks at its cartridge by itself, as that of a window does, or not.
    pub fn with(console: &Console, examines: bool) -> Self {
        Self::of(config(console, examines))
    }

    pub fn of(config: SessionConfig) -> Self {
        Self { handle: begin(config).unwrap(), model: Model::default(), told: Events::default() }
    }

    pub async fn set(&self, key: &str, value: &str) {
        self.send(Command::SetField { key: key.into(), value: value.into() }).await;
    }

    pub async fn send(&self, command: Command) {
        self.handle.commands.send(command).await.unwrap();
    }

    /// Folds events until one fits; the limit is for a loaded machine.
    pub async fn until(&mut self, what: &str, fits: impl Fn(&Event, &Model) -> bool) {
        let wait = async {
            loop {
                let told = self.handle.events.recv().await.expect("the session is open");
                self.model.fold(&told);
                self.told.0.push(serde_json::to_value(&told).unwrap());
                if fits(&told.event, &self.model) {
                    return;
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(240), wait).await;
        assert!(waited.is_ok(), "waited for {what}: {:?}", self.told);
    }

    pub async fn until_phase(&mut self, phase: Phase) {
        self.until(
            &format!("{phase:?}"),
            |event, _| matches!(event, Event::StateChanged { state } if state.phase == phase),
        )
        .await;
    }

    pub async fn insert(&mut self, repo: &Path) {
        self.send(Command::Insert(repo.to_owned())).await;
        self.until("the cartridge", |_, model| model.cartridge.is_some() && model.state.inserted).await;
    }

    pub async fn quit(mut self) {
        self.send(Command::Quit).await;
        self.until("the end", |event, _| matches!(event, Event::Closed)).await;
    }
}

pub fn paths(console: &Console) -> Paths {
    let at = |name: &str| -> PathBuf { console.home.path().join(name) };
    Paths {
        cache: at("cache/cartridge"),
        state: at("state/cartridge"),
        data: at("data/cartridge"),
        config: at("config/cartridge"),
        runtime: at("run/cartridge"),
        pictures: at("pictures"),
        videos: at("videos"),
    }
}

/// A session's, that looks at its cartridge by itself or not.
pub fn config(console: &Console, examines: bool) -> SessionConfig {
    SessionConfig {
        paths: paths(console),
        who: "a test".into(),
        fresh: false,
        lint: true,
        examines,
        watches: examines,
        patience: None,
        blank_after: None,
    }
}
