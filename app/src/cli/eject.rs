//! `cartridge eject`: remove what dead sessions left, and caches and images when asked. Whoever holds something of it is named, and
//! ended only where the user says so.

use isoprep::{Holder, Survey};

use super::args::EjectArgs;
use super::held;
use super::print::{self, Printer, out, size};
use super::signals::Signals;
use crate::session::failure::exit_code;
use crate::session::sentence::{in_the_way, number};
use crate::session::state::{EjectScope, Phase};
use crate::session::{Command, Event, Model, SessionHandle};

/// How often processes are ended that were agreed to beforehand: others may take their place meanwhile.
const ROUNDS: u32 = 3;

struct Ejector<'a> {
    args: &'a EjectArgs,
    session: SessionHandle,
    printer: Printer,
    model: Model,
    code: u8,
    /// An eject was asked for.
    asked: bool,
    /// How often processes were ended.
    rounds: u32,
    /// A signal came.
    stopping: bool,
    /// The session was asked to stop the removal, or to end.
    told: bool,
}

/// Ejects and returns the exit code.
pub(super) async fn run(args: &EjectArgs, session: SessionHandle) -> u8 {
    let Some(mut signals) = Signals::catch() else { return exit_code::INTERNAL };
    let ejector = Ejector {
        args,
        session,
        printer: Printer::new(args.json),
        model: Model::default(),
        code: exit_code::GOOD,
        asked: false,
        rounds: 0,
        stopping: false,
        told: false,
    };
    ejector.run(&mut signals).await
}

impl Ejector<'_> {
    async fn run(mut self, signals: &mut Signals) -> u8 {
        if self.args.everything || self.args.dry_run {
            self.send(Command::SurveyEverything).await;
        } else {
            self.eject(Command::Eject(EjectScope::Session)).await;
        }
        loop {
            let told = tokio::select! {
                told = self.session.events.recv() => told,
                () = signals.any() => {
                    self.interrupted().await;
                    continue;
                }
            };
            let Some(told) = told else {
                if !self.model.closed {
                    print::err("The session stopped unexpectedly; this is a bug");
                    self.code = exit_code::INTERNAL;
                }
                break;
            };
            self.model.fold(&told);
            self.printer.show(&told, &self.model);
            match &told.event {
                Event::Surveyed { surveys } => self.surveyed(surveys, signals).await,
                Event::Failed { failure } => self.code = failure.exit_code,
                Event::EjectAdvanced { .. } => self.stop().await,
                Event::StateChanged { state } if self.asked && state.phase == Phase::Idle => self.idle(signals).await,
                _ => {}
            }
        }
        self.printer.finished(self.code);
        self.code
    }

    /// What there is was found; it is removed where that was asked for.
    async fn surveyed(&mut self, surveys: &[Survey], signals: &mut Signals) {
        let mut total = 0;
        for survey in surveys {
            total += survey.bytes;
            let (bytes, files) = (size(survey.bytes), number(survey.files, "file", "files"));
            self.say(&format!("{bytes:>10}  {files:>14}  {}", survey.path.display()));
            in_the_way(survey).iter().for_each(|line| self.say(&format!("{:>28}{line}", "")));
        }
        self.say(&format!("{:>10}  in all", size(total)));
        if self.args.dry_run {
            return self.send(Command::Quit).await;
        }
        let answer = held::ask(self.args.yes, "Remove all of this?", signals).await;
        match answer.refused(self.args.json) {
            Some(refused) => {
                self.code = refused;
                self.send(Command::Quit).await;
            }
            None => self.eject(Command::Eject(EjectScope::Everything)).await,
        }
    }

    /// The eject is over, as far as it went.
    async fn idle(&mut self, signals: &mut Signals) {
        let unfinished = self.model.unfinished.as_ref();
        let agreed = unfinished.map(|it| it.endable()).unwrap_or_default();
        if unfinished.is_some_and(|it| !it.left.is_empty()) {
            self.code = exit_code::CANCELLED;
        } else if !agreed.is_empty() && self.may_end(&agreed, signals).await {
            self.rounds += 1;
            self.code = if self.stopping { exit_code::CANCELLED } else { exit_code::GOOD };
            return self.eject(Command::EjectEnding { agreed }).await;
        }
        self.send(Command::Quit).await;
    }

    /// Whether these processes may be ended: said beforehand, or at the terminal.
    async fn may_end(&mut self, holders: &[Holder], signals: &mut Signals) -> bool {
        if self.args.end_holders {
            // Whoever stops it wants nobody else ended by what was said before.
            return self.rounds < ROUNDS && !self.stopping;
        }
        if self.args.json {
            return false;
        }
        held::may_end(holders, signals).await
    }

    async fn interrupted(&mut self) {
        if self.stopping {
            // Asked twice: what is left the next eject removes.
            std::process::exit(i32::from(exit_code::CANCELLED));
        }
        self.stopping = true;
        self.printer.say("Stopping; once more ends at once");
        if self.asked {
            self.stop().await;
        } else {
            self.code = exit_code::CANCELLED;
            self.send(Command::Quit).await;
        }
    }

    /// Stops the removal where that was wished for and it has begun. What runs is ended to its end.
    async fn stop(&mut self) {
        if self.stopping && !self.told && self.model.removing.is_some() {
            self.told = true;
            self.send(Command::Cancel).await;
        }
    }

    async fn eject(&mut self, command: Command) {
        self.asked = true;
        self.send(command).await;
    }

    async fn send(&self, command: Command) {
        // A driver that is gone closes the events, which ends the loop.
        let _ = self.session.commands.send(command).await;
    }

    fn say(&self, line: &str) {
        if !self.args.json {
            out(line);
        }
    }
}
