//! One goal from the command line to its end: insert, ask, watch, photograph, eject.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use vmtools::GuestStatus;
use vmtools::slot::SlotName;

use super::args::GoalArgs;
use super::attach::Attached;
use super::fields;
use super::held;
use super::print::{self, Printer};
use super::signals::Signals;
use super::still::Settling;
use crate::session::direct::{DirectSource, DirectWish};
use crate::session::event::{Level, Side};
use crate::session::failure::exit_code;
use crate::session::logs::Pane;
use crate::session::model::SourceView;
use crate::session::sign::Sign;
use crate::session::state::{Goal, Outcome, Phase};
use crate::session::way::Way;
use crate::session::{Command, Event, Model, SessionHandle};
use crate::start::{at_a_terminal, current_folder};

struct Drive {
    session: SessionHandle,
    model: Model,
    printer: Printer,
    code: u8,
    asked: bool,
    /// Whether the goal is being worked towards, or was.
    working: bool,
    goal: Goal,
    /// What is booted without a boot loader, where the command line says it.
    direct: Option<DirectWish>,
    args: GoalArgs,
    stay: bool,
    attached: Option<Attached>,
    shot: Shot,
    quitting: bool,
    /// It was the user who ended it.
    by_user: bool,
    /// The user has agreed that processes are ended, and the eject that ends them was asked for.
    agreed: bool,
    /// What somebody holds is left.
    leaves: bool,
    /// All is done but the comparison with the build before.
    comparing: bool,
    /// When the newest event came.
    heard_at: Instant,
    /// What is done with a guest that is up, until it is done.
    steps: Option<Steps>,
}

/// What was asked for once the guest is up.
struct Steps {
    plug: bool,
    save: Option<SlotName>,
}

enum Shot {
    None,
    Wanted(PathBuf),
    /// Waiting for a still screen.
    Settling(Settling),
    Asked,
    Done,
}

/// Works towards `goal` and returns the exit code.
pub(super) async fn to(goal: Goal, args: GoalArgs, session: SessionHandle) -> u8 {
    Drive::new(goal, None, args, session).run().await
}

/// Boots, as the cartridge says or as it is wished, and returns the exit code.
pub(super) async fn boot(direct: Option<DirectWish>, args: GoalArgs, session: SessionHandle) -> u8 {
    Drive::new(Goal::Boot, direct, args, session).run().await
}

impl Drive {
    fn new(goal: Goal, direct: Option<DirectWish>, args: GoalArgs, session: SessionHandle) -> Self {
        let live = args.test.is_some_and(|test| test.live);
        let stay = args.stay
            || args.watch
            || live
            || (!args.until_report && !args.build.json && args.shot.is_none() && at_a_terminal());
        Self {
            session,
            model: Model::default(),
            printer: Printer::new(args.build.json),
            code: exit_code::GOOD,
            asked: false,
            working: false,
            goal,
            direct,
            stay,
            attached: None,
            shot: args.shot.as_deref().map_or(Shot::None, |path| Shot::Wanted(absolute(path))),
            quitting: false,
            by_user: false,
            agreed: false,
            leaves: false,
            comparing: false,
            heard_at: Instant::now(),
            // What is done with the guest of a test is the session's.
            steps: args.test.is_none().then(|| Steps { plug: args.plug, save: args.save_slot.clone() }),
            args,
        }
    }
}

fn absolute(path: &std::path::Path) -> PathBuf {
    current_folder().join(path)
}

impl Drive {
    async fn run(&mut self) -> u8 {
        let cartridge = match (&self.args.build.path, self.args.build.builtin) {
            (_, true) => None,
            (Some(path), false) => Some(absolute(path)),
            (None, false) => Some(current_folder()),
        };
        let insert = match fields::parse(&self.args.build.set) {
            Ok(fields) => Command::InsertFor { cartridge, fields },
            Err(why) => {
                print::wrong(self.args.build.json, "The command line is wrong", &why, exit_code::USAGE);
                self.code = exit_code::USAGE;
                self.quitting = true;
                Command::Quit
            }
        };
        match self.direct.clone().filter(|wish| !wish.needs_image()) {
            Some(wish) => {
                self.asked = true;
                self.send(Command::BootDirect(Box::new(wish))).await;
            }
            None => self.send(insert).await,
        }
        let Some(mut signals) = Signals::catch() else { return exit_code::INTERNAL };
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while !self.model.closed {
            tokio::select! {
                told = self.session.events.recv() => {
                    let Some(told) = told else {
                        print::err("The session stopped unexpectedly; this is a bug");
                        self.code = exit_code::INTERNAL;
                        break;
                    };
                    self.model.fold(&told);
                    self.heard_at = Instant::now();
                    // Who types at the guest is not interrupted by what is only good to know; session.log has it.
                    let aside = matches!(told.event, Event::Noticed { level: Level::Info, .. });
                    if self.attached.is_none() || !aside {
                        self.printer.show(&told, &self.model);
                    }
                    let ending = self.quitting;
                    self.heard(&told.event).await;
                    if ending && self.asks() {
                        self.follow_held(&told.event, &mut signals).await;
                    }
                }
                () = signals.any() => self.interrupted().await,
                _ = tick.tick() => self.tick().await,
            }
        }
        drop(self.attached.take());
        self.printer.finished(self.code);
        self.code
    }

    async fn heard(&mut self, event: &Event) {
        if matches!(event, Event::GuestStarted { .. })
            && let Some(path) = self.args.record.take()
        {
            self.send(Command::StartRecording(Some(absolute(&path)))).await;
        }
        match event {
            Event::Opened { logs } => self.printer.result_told("logs", &logs.display().to_string()),
            // One with errors fails by itself.
            Event::CartridgeChanged { cartridge } if !self.asked && cartridge.findings.is_empty() => self.ask().await,
            // What runs on every save goes on, whatever became of one save.
            Event::Refused { .. } | Event::Failed { .. } | Event::SideFailed { .. }
                if self.live() && self.model.test.is_some() => {}
            Event::Refused { .. } => self.end(self.code.max(exit_code::CARTRIDGE)).await,
            Event::ImageBuilt { image, .. } => self.printer.result_told("image", &image.iso.display().to_string()),
            // JSON stays JSON: the serial line is in its log then.
            Event::GuestStarted { .. }
                if self.stay && !self.args.watch && self.args.test.is_none() && !self.args.build.json =>
            {
                self.attached = Attached::begin(&self.model.logs, self.session.commands.clone());
            }
            Event::GuestStarted { .. } => self.printer.wait("waiting for the guest"),
            Event::GuestChanged { status: GuestStatus::Panicked } if !self.stay => {
                self.printer.say("The guest's kernel panicked; its last words are in the serial log");
                self.end(exit_code::GUEST).await;
            }
            Event::TestEnded { passed, .. } => self.tested(*passed).await,
            Event::SideFailed { side: Side::Test, .. } => self.end(exit_code::CARTRIDGE).await,
            Event::SourceChanged { .. } if self.args.watch => self.bring_in().await,
            Event::GuestReported { report, matches } if report.generation == 0 => self.up(*matches).await,
            Event::SlotRestored { .. } => self.up(None).await,
            Event::LayerPlugged { matches, .. } => self.up(Some(*matches)).await,
            Event::SlotSaved { .. } => self.up(None).await,
            Event::SideFailed { side: Side::Slot | Side::Restore | Side::Layer, failure } if self.steps.is_some() => {
                self.steps = None;
                if self.code == exit_code::GOOD {
                    self.code = failure.exit_code;
                }
                self.end(self.code).await;
            }
            Event::ScreenshotTaken { path, uniform } => {
                self.shot = Shot::Done;
                self.printer.result_told("screenshot", &path.display().to_string());
                if *uniform {
                    self.printer.say("Warning: every pixel of the screenshot has the same colour");
                }
                if !self.stay {
                    self.end(self.code).await;
                }
            }
            Event::RecordingEnded { files, .. } => {
                files.iter().for_each(|file| self.printer.result_told("recording", &file.display().to_string()));
            }
            // It was asked for, and the rest goes on.
            Event::SideFailed { side: Side::Recording, failure } if self.code == exit_code::GOOD => {
                self.code = failure.exit_code;
            }
            Event::Failed { failure } => {
                if self.code == exit_code::GOOD {
                    self.code = failure.exit_code;
                }
                // A failure of the goal leaves through Ejecting, which ends the run; any other ends it here.
                if !self.working || matches!(self.model.state.phase, Phase::Idle) {
                    self.end(self.code).await;
                }
            }
            // A picture that was asked for is a part of the job.
            Event::SideFailed { side: Side::Screenshot, failure } if matches!(self.shot, Shot::Asked) => {
                if self.code == exit_code::GOOD {
                    self.code = failure.exit_code;
                }
                self.end(self.code).await;
            }
            Event::StateChanged { state } if state.phase == Phase::Preparing => self.working = true,
            Event::BuildCompared { .. } | Event::NotCompared { .. } if self.comparing => self.end(self.code).await,
            Event::StateChanged { state } if state.phase == Phase::Idle && self.working => {
                if self.live() && !self.quitting {
                    return;
                }
                if state.outcome == Some(Outcome::GuestEnded) && !self.came_up() && !self.ended_well() {
                    self.printer.say("The guest ended before it had reported");
                    self.code = self.code.max(exit_code::REPORT);
                }
                if matches!(self.shot, Shot::Wanted(_) | Shot::Settling(..)) && self.code == exit_code::GOOD {
                    self.printer.say("The guest ended before its screen could be photographed");
                    self.code = exit_code::REPORT;
                }
                if state.outcome == Some(Outcome::Cancelled) && self.code == exit_code::GOOD {
                    self.code = exit_code::CANCELLED;
                }
                // What the build changed is told before the end.
                self.comparing = self.model.comparing && !self.quitting;
                if !self.comparing {
                    self.end(self.code).await;
                }
            }
            Event::StateChanged { state } if state.phase == Phase::Running && self.args.watch => self.bring_in().await,
            // The deadline passed: it runs, but nobody has heard from it.
            Event::StateChanged { state }
                if state.phase == Phase::Running
                    && !self.stay
                    && self.args.test.is_none()
                    && state.goal != Some(Goal::Restore)
                    && self.model.guest.as_ref().is_none_or(|guest| guest.report.is_none()) =>
            {
                if !self.came_up() {
                    self.code = exit_code::REPORT;
                }
                self.photograph();
                if matches!(self.shot, Shot::None) {
                    self.end(self.code).await;
                }
            }
            _ => {}
        }
    }

    /// Whether the guest has reported, or, where its image cannot, has shown that it is up.
    fn came_up(&self) -> bool {
        let shows = |sign| matches!(sign, Sign::Login | Sign::Shell | Sign::Target | Sign::HandedOver);
        // A restored guest was up when it was saved.
        self.steps.is_none()
            || self
                .model
                .guest
                .as_ref()
                .is_some_and(|guest| guest.report.is_some() || (guest.mute.is_some() && guest.sign.is_some_and(shows)))
    }

    /// Whether a kernel of this host has done what it was started for: there is nothing in it that reports.
    fn ended_well(&self) -> bool {
        let kernel = self.direct.as_ref().is_some_and(|wish| matches!(wish.source, DirectSource::Kernel(_)));
        kernel && self.model.guest.as_ref().is_some_and(|guest| guest.status == GuestStatus::PoweredOff)
    }

    async fn ask(&mut self) {
        self.asked = true;
        let command = match (self.direct.clone(), self.args.slot.take()) {
            _ if let Some(test) = self.args.test => {
                if test.live {
                    Command::SetLive(true)
                } else {
                    Command::RunTest { warm: test.warm }
                }
            }
            (Some(wish), _) => Command::BootDirect(Box::new(wish)),
            (None, Some(name)) => {
                Command::RestoreSlot { name: name.to_string(), anyway: self.args.anyway || self.args.plug }
            }
            (None, None) => Command::Ask(self.goal),
        };
        self.send(command).await;
    }

    /// The guest is up, or has what was done to it last: the next thing that was asked for is done.
    async fn up(&mut self, matches: Option<bool>) {
        if matches == Some(false) {
            self.code = exit_code::REPORT;
        }
        let Some(steps) = &mut self.steps else { return };
        if std::mem::take(&mut steps.plug) {
            return self.send(Command::PlugLayer).await;
        }
        if let Some(name) = steps.save.take() {
            return self.send(Command::SaveSlot { name: name.to_string() }).await;
        }
        self.steps = None;
        self.reported(matches).await;
    }

    /// Whether a test is run on every save, until Ctrl-C.
    fn live(&self) -> bool {
        self.args.test.is_some_and(|test| test.live)
    }

    /// A test is over: so is the run, unless it goes on with every save or the guest is wanted.
    async fn tested(&mut self, passed: bool) {
        match (passed, self.code) {
            _ if self.quitting => {}
            (true, _) => self.code = exit_code::GOOD,
            // What failed has told its own.
            (false, exit_code::GOOD) => self.code = exit_code::TEST,
            (false, _) => {}
        }
        if self.model.state.phase != Phase::Running {
            return;
        }
        if !passed {
            // What the guest has said before its last line is what one needs now.
            let log = self.model.logs.join(Pane::Serial.file_name());
            self.printer.result("serial log", &log.display().to_string());
        }
        if self.live() {
            return;
        }
        self.photograph();
        if self.stay && !self.args.build.json {
            self.attached = Attached::begin(&self.model.logs, self.session.commands.clone());
        } else if matches!(self.shot, Shot::None) {
            self.end(self.code).await;
        }
    }

    async fn reported(&mut self, matches: Option<bool>) {
        if matches == Some(false) {
            self.printer.say("The guest found another tree than the one that was injected");
        }
        self.photograph();
        if matches!(self.shot, Shot::None) && !self.stay {
            self.end(self.code).await;
        }
    }

    /// Brings what has changed to a guest that is up; one that still boots gets it afterwards.
    async fn bring_in(&mut self) {
        let changed = |source: &SourceView| source.total > 0 && source.way != Way::Live;
        if self.model.state.phase == Phase::Running && !self.quitting && self.model.source.as_ref().is_some_and(changed)
        {
            self.send(Command::BringIn).await;
        }
    }

    fn photograph(&mut self) {
        if let Shot::Wanted(path) = std::mem::replace(&mut self.shot, Shot::None) {
            self.shot = Shot::Settling(Settling::begin(path, &self.session.screen));
        }
    }

    async fn tick(&mut self) {
        if self.model.state.phase == Phase::Building && !self.args.build.json {
            let passed = u64::try_from(self.heard_at.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.printer.progress(&self.model, self.model.now_ms.saturating_add(passed));
        }
        if let Some(attached) = &mut self.attached
            && attached.pump()
        {
            self.by_user = true;
            self.end(self.code).await;
        }
        if let Shot::Settling(settling) = &mut self.shot
            && let Some(path) = settling.due(&self.session.screen)
        {
            self.shot = Shot::Asked;
            if self.session.screen.snapshot().is_none() {
                self.printer.say("The guest has shown nothing on its screen");
                return self.end(exit_code::GUEST).await;
            }
            self.send(Command::Screenshot(Some(path))).await;
        }
    }

    async fn interrupted(&mut self) {
        if self.quitting && self.code == exit_code::CANCELLED {
            // Asked twice: our children die with us, and the next start cleans what is left.
            drop(self.attached.take());
            std::process::exit(i32::from(exit_code::CANCELLED));
        }
        self.printer.say("Cancelling; once more ends at once");
        self.by_user = true;
        self.code = exit_code::CANCELLED;
        self.end(exit_code::CANCELLED).await;
    }

    async fn end(&mut self, code: u8) {
        self.code = code;
        // The terminal is the user's again, also for a Ctrl-C while the eject goes on.
        drop(self.attached.take());
        if !self.quitting {
            self.quitting = true;
            self.send(if self.asks() { Command::QuitUnlessHeld } else { Command::Quit }).await;
        }
    }

    /// Whether somebody is there to be asked: who has just ended it, at a terminal that is ours. Who reads from another one's is
    /// stopped by the kernel (termios(3), SIGTTIN); nobody may be there when a run ends by itself.
    fn asks(&self) -> bool {
        let stdin = std::io::stdin();
        self.by_user
            && !self.args.build.json
            && stdin.is_terminal()
            && rustix::termios::tcgetpgrp(&stdin).is_ok_and(|group| group == rustix::process::getpgrp())
    }

    /// The session would have ended, but for what somebody holds: it is asked whether they are to be ended, and else left.
    async fn follow_held(&mut self, event: &Event, signals: &mut Signals) {
        if self.leaves || !matches!(event, Event::StateChanged { state } if state.phase == Phase::Idle) {
            return;
        }
        let Some(unfinished) = self.model.unfinished.as_ref().filter(|it| !it.held.is_empty()) else {
            // It ends by itself, but for an eject that was agreed to here.
            if self.agreed {
                self.send(Command::Quit).await;
            }
            return;
        };
        let agreed = unfinished.endable();
        if agreed.is_empty() || !held::may_end(&agreed, signals).await {
            self.leaves = true;
            return self.send(Command::Quit).await;
        }
        if self.code == exit_code::EJECT {
            // It was good before.
            self.code = exit_code::GOOD;
        }
        self.agreed = true;
        self.send(Command::EjectEnding { agreed }).await;
    }

    async fn send(&self, command: Command) {
        // A driver that is gone closes the events, which ends the loop.
        let _ = self.session.commands.send(command).await;
    }
}
