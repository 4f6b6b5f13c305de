//! `cartridge watch`: what another session does with a cartridge, as that one tells it, until it lets the cartridge go.

use std::path::PathBuf;
use std::time::Duration;

use super::args::WatchArgs;
use super::print::{self, Printer};
use super::signals::Signals;
use crate::paths::Paths;
use crate::session::event::EVENT_VERSION;
use crate::session::failure::exit_code;
use crate::session::onlooker::{WatchEnd, Watcher};
use crate::session::state::{Outcome, Phase};
use crate::session::{Command, Event, Model, SessionHandle, Told};
use crate::start::current_folder;

/// Watches and returns the exit code.
pub(super) async fn run(args: &WatchArgs, paths: &Paths) -> u8 {
    let wrong = |title: &str, detail: &str, code| {
        print::wrong(args.json, title, detail, code);
        if args.json {
            print::finished(code);
        }
        code
    };
    let root = match root(args, paths) {
        Ok(root) => root,
        Err(why) => return wrong("The cartridge could not be opened", &why, exit_code::CARTRIDGE),
    };
    let watcher = Watcher::here(paths.clone());
    let Some(holder) = watcher.holder_of(&root) else {
        let words = format!("nobody works on the cartridge {}: there is nothing to watch", root.display());
        return wrong("There is nothing to watch", &words, exit_code::USAGE);
    };
    let Some(signals) = Signals::catch() else { return exit_code::INTERNAL };
    let session = watcher.watch(holder);
    // Nobody sees the guest's screen here: it is not asked for.
    session.screen.set_visible(false);
    Watch { session, model: Model::default(), printer: Printer::new(args.json), json: args.json }.run(signals).await
}

fn root(args: &WatchArgs, paths: &Paths) -> Result<PathBuf, String> {
    let path = match (&args.path, args.builtin) {
        (_, true) => crate::builtin::unpack(paths).map_err(|e| format!("{}: {e}", paths.data.display()))?,
        (Some(path), false) => current_folder().join(path),
        (None, false) => current_folder(),
    };
    let file = isoprep::open(&path).map_err(|error| error.to_string())?.file;
    Ok(file.parent().map(std::path::Path::to_owned).unwrap_or(path))
}

struct Watch {
    session: SessionHandle,
    model: Model,
    printer: Printer,
    json: bool,
}

impl Watch {
    async fn run(mut self, mut signals: Signals) -> u8 {
        let mut code = exit_code::INTERNAL;
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        let mut heard_at = std::time::Instant::now();
        while !self.model.closed {
            tokio::select! {
                told = self.session.events.recv() => {
                    let Some(told) = told else { break };
                    self.model.fold(&told);
                    heard_at = std::time::Instant::now();
                    self.show(&told);
                    if let Event::WatchEnded { end } = &told.event {
                        code = self.code(end);
                        self.quit().await;
                    }
                }
                () = signals.any() => {
                    code = exit_code::CANCELLED;
                    self.quit().await;
                }
                _ = tick.tick() => {
                    if self.model.state.phase == Phase::Building {
                        let passed = u64::try_from(heard_at.elapsed().as_millis()).unwrap_or(u64::MAX);
                        self.printer.progress(&self.model, self.model.now_ms.saturating_add(passed));
                    }
                }
            }
        }
        self.printer.finished(code);
        code
    }

    fn show(&self, told: &Told) {
        let result = |key: &str, value: &std::path::Path| self.printer.result(key, &value.display().to_string());
        match &told.event {
            Event::Joined { said, missed: 0, .. } => {
                self.printer.show(told, &self.model);
                if !self.json {
                    said.iter().for_each(|line| self.printer.say(line));
                }
                result("logs", &self.model.logs);
                self.model.image.iter().for_each(|image| result("image", &image.iso));
                // Where it stands, for those who have not seen how it came there.
                if self.json || self.model.state.phase == Phase::Building {
                    let event = Event::StateChanged { state: self.model.state };
                    self.printer.show(&Told { v: EVENT_VERSION, at_ms: told.at_ms, event }, &self.model);
                }
                return;
            }
            Event::ImageBuilt { image, .. } => result("image", &image.iso),
            Event::ScreenshotTaken { path, .. } => result("screenshot", path),
            Event::RecordingEnded { files, .. } => files.iter().for_each(|file| result("recording", file)),
            _ => {}
        }
        self.printer.show(told, &self.model);
    }

    /// As that of the one that is watched, as far as what was seen says so.
    fn code(&self, end: &WatchEnd) -> u8 {
        match (end, self.model.state.outcome, &self.model.failure) {
            (WatchEnd::Gone { .. }, ..) => exit_code::INTERNAL,
            (WatchEnd::LetGo, Some(Outcome::Failed), Some(failure)) => failure.exit_code,
            (WatchEnd::LetGo, ..) => exit_code::GOOD,
        }
    }

    async fn quit(&self) {
        let _ = self.session.commands.send(Command::Quit).await;
    }
}
