//! `cartridge attach` without a window: a VNC server of somebody else's, photographed, recorded, or told as JSON.

use std::time::Duration;

use vmtools::attach::{Password, Place, SshHost};

use super::args::AttachArgs;
use super::confirm::{self, Answer};
use super::print::{self, Printer};
use super::secret::{self, Shown};
use super::signals::Signals;
use super::still::Settling;
use crate::session::attachment::{AttachWant, AttachWish};
use crate::session::event::Side;
use crate::session::failure::exit_code;
use crate::session::state::Phase;
use crate::session::{Command, Event, Model, SessionHandle};
use crate::start::current_folder;

/// How often a password is asked for.
const ATTEMPTS: u32 = 3;

/// What the arguments ask to attach to.
///
/// # Errors
/// What is wrong with them, in a sentence.
pub(crate) fn wish(args: &AttachArgs) -> Result<AttachWish, String> {
    let address = args.address.trim();
    // A shell's user may write a path from where they are.
    let beside = address.starts_with("./") || address.starts_with("../");
    let whole = if beside { current_folder().join(address).display().to_string() } else { address.to_owned() };
    let mut place = Place::parse(&whole).map_err(|error| error.to_string())?;
    if let Some(host) = &args.ssh {
        let host = SshHost::parse(host).map_err(|error| format!("--ssh: {error}"))?;
        place = place.through(host).map_err(|error| error.to_string())?;
    }
    let password = args.password_file.as_deref().map(|file| {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|error| format!("the password in {} cannot be read: {error}", file.display()))?;
        Password::first_line(&text)
            .ok_or_else(|| format!("the first line of {} is empty: it is the password", file.display()))
    });
    Ok(AttachWish { password: password.transpose()?, trust: args.trust, ..AttachWish::of(place) })
}

struct Run {
    session: SessionHandle,
    signals: Signals,
    model: Model,
    printer: Printer,
    args: AttachArgs,
    wish: AttachWish,
    asked: u32,
    /// What is about to be asked for at the terminal: that the attempt came to nothing is no news then.
    answering: Option<AttachWant>,
    settling: Option<Settling>,
    photographed: bool,
    code: u8,
    quitting: bool,
}

/// Attaches and returns the exit code.
pub(super) async fn run(args: AttachArgs, wish: AttachWish, session: SessionHandle) -> u8 {
    let Some(signals) = Signals::catch() else { return exit_code::INTERNAL };
    let run = Run {
        session,
        signals,
        model: Model::default(),
        printer: Printer::new(args.json),
        args,
        wish,
        asked: 0,
        answering: None,
        settling: None,
        photographed: false,
        code: exit_code::GOOD,
        quitting: false,
    };
    run.go().await
}

impl Run {
    async fn go(mut self) -> u8 {
        self.attach().await;
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
                    if !self.passed_over(&told.event) {
                        self.printer.show(&told, &self.model);
                    }
                    self.heard(&told.event).await;
                }
                () = self.signals.any() => self.interrupted().await,
                _ = tick.tick() => self.tick().await,
            }
        }
        self.printer.finished(self.code);
        self.code
    }

    /// Whether an event is of an attempt that ends in a question.
    fn passed_over(&self, event: &Event) -> bool {
        let password = matches!(self.answering, Some(AttachWant::Password { .. }));
        match event {
            Event::Failed { .. } => password,
            Event::StateChanged { .. } | Event::Ejected { .. } => self.answering.is_some(),
            _ => false,
        }
    }

    async fn heard(&mut self, event: &Event) {
        match event {
            Event::AttachAsks { want } => self.answering = Some(want.clone()).filter(|want| self.can_answer(want)),
            Event::Opened { logs } => self.printer.result_told("logs", &logs.display().to_string()),
            Event::AttachBegan { .. } => self.printer.wait("connecting"),
            Event::Attached { .. } => {
                if let Some(path) = self.args.record.take() {
                    self.send(Command::StartRecording(Some(current_folder().join(path)))).await;
                }
                if let Some(path) = &self.args.shot {
                    self.settling = Some(Settling::begin(current_folder().join(path), &self.session.screen));
                }
            }
            Event::Failed { failure } if self.code == exit_code::GOOD => self.code = failure.exit_code,
            Event::Refused { .. } => self.end(exit_code::USAGE).await,
            Event::ScreenshotTaken { path, .. } => {
                self.photographed = true;
                self.printer.result_told("screenshot", &path.display().to_string());
                self.end(self.code).await;
            }
            Event::RecordingEnded { files, .. } => {
                files.iter().for_each(|file| self.printer.result_told("recording", &file.display().to_string()));
            }
            Event::SideFailed { side: Side::Screenshot | Side::Recording, failure } => {
                self.end(failure.exit_code).await
            }
            Event::StateChanged { state } if state.phase == Phase::Idle && !self.quitting => {
                match self.model.attach_want.take() {
                    Some(want) => self.answer(want).await,
                    None => self.end(self.code).await,
                }
            }
            _ => {}
        }
    }

    /// Whether somebody can be asked for it.
    fn can_answer(&self, want: &AttachWant) -> bool {
        let askable = matches!(want, AttachWant::Password { .. } | AttachWant::Trust { changed: false, .. });
        askable && secret::can_ask() && !self.args.json && self.asked < ATTEMPTS
    }

    /// Asks what the server wants at the terminal, and attaches anew; where nobody can be asked, says how it is given.
    async fn answer(&mut self, want: AttachWant) {
        let can_ask = self.answering.take().is_some();
        self.asked += 1;
        if can_ask && want == (AttachWant::Password { wrong: true }) {
            self.printer.say("The VNC server did not take the password");
        }
        let answered = match want {
            AttachWant::Password { .. } if can_ask => match self.ask_password().await {
                Some(password) => {
                    self.wish.password = Some(password);
                    true
                }
                None => false,
            },
            AttachWant::Password { .. } => {
                self.printer.say("The first line of a file is the password: --password-file FILE");
                false
            }
            AttachWant::User => {
                self.printer.say("A user of the server is named before its host: vnc://USER@HOST:PORT");
                false
            }
            AttachWant::Trust { fingerprint, changed } => {
                let known = vmtools::display::rfb::Fingerprint::parse(&fingerprint);
                let question = "Is this the server's own certificate, and is it to be trusted from now on?";
                if can_ask && confirm::ask(false, question) == Answer::Yes {
                    self.wish.trust = known;
                    true
                } else {
                    let once = if changed { "If you know why it has another one" } else { "Once you have compared it" };
                    self.printer.say(&format!("{once}: --trust {fingerprint}"));
                    false
                }
            }
        };
        if answered && !self.quitting {
            self.code = exit_code::GOOD;
            self.attach().await;
        } else {
            self.end(self.code).await;
        }
    }

    /// What is typed; nothing where that was interrupted, which ends the run.
    async fn ask_password(&mut self) -> Option<Password> {
        let hidden = Shown::hide();
        let reading = tokio::task::spawn_blocking(|| secret::read("Password of the VNC server"));
        let read = tokio::select! {
            read = reading => Some(read.ok().flatten()),
            () = self.signals.any() => None,
        };
        drop(hidden);
        if read.is_none() {
            self.interrupted().await;
        }
        read.flatten()
    }

    async fn tick(&mut self) {
        let screen = &self.session.screen;
        let due = self.settling.as_mut().and_then(|settling| settling.due(screen));
        let Some(path) = due else { return };
        self.settling = None;
        if screen.snapshot().is_none() {
            self.printer.say("The VNC server has shown nothing on its screen");
            return self.end(exit_code::GUEST).await;
        }
        self.send(Command::Screenshot(Some(path))).await;
    }

    async fn interrupted(&mut self) {
        if self.quitting {
            // Asked twice: our children die with us, and the next start cleans what is left.
            std::process::exit(i32::from(exit_code::CANCELLED));
        }
        // Who attaches until Ctrl-C has what was asked for.
        let meant = self.model.attached().is_some() && self.args.shot.is_none();
        self.end(if meant { self.code } else { exit_code::CANCELLED }).await;
    }

    async fn attach(&self) {
        self.send(Command::Attach(Box::new(self.wish.clone()))).await;
    }

    async fn end(&mut self, code: u8) {
        self.code = code;
        if !self.quitting {
            self.quitting = true;
            self.send(Command::Quit).await;
        }
    }

    async fn send(&self, command: Command) {
        // A driver that is gone closes the events, which ends the loop.
        let _ = self.session.commands.send(command).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_name_a_place_and_its_password() {
        let of = |address: &str, ssh: Option<&str>| {
            wish(&AttachArgs { address: address.into(), ssh: ssh.map(str::to_owned), ..AttachArgs::default() })
        };
        assert_eq!(of(":1", Some("me@box:2222")).unwrap().place, Place::parse("ssh://me@box:2222/:1").unwrap());
        let beside = of("./vnc.sock", None).unwrap().place.to_string();
        assert!(beside.starts_with('/') && beside.ends_with("/vnc.sock"), "{beside}");
        assert!(of("ssh://a/:1", Some("b")).unwrap_err().contains("two ssh hosts"));
        assert!(of(":1", Some("a b")).unwrap_err().starts_with("--ssh: "));
        let file = tempfile::NamedTempFile::new().unwrap();
        let args =
            AttachArgs { address: "box".into(), password_file: Some(file.path().into()), ..AttachArgs::default() };
        assert!(wish(&args).unwrap_err().contains("is empty"));
        std::fs::write(file.path(), "secret\n").unwrap();
        assert_eq!(wish(&args).unwrap().password, Some(Password::new("secret".into())));
    }
}
