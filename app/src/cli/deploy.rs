//! `cartridge deploy`: an image to a USB stick or a card, or a look at which there are.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use isoprep::deploy::{Wanted, named};

use super::args::DeployArgs;
use super::print::{self, Printer, out};
use super::signals::Signals;
use crate::session::deploy::{DeployCommand, DeployEvent, DeployImage, DeployWish, DiskView, ImageView};
use crate::session::failure::exit_code;
use crate::session::{Command, Event, Model, SessionHandle};
use crate::start::current_folder;

struct Run {
    args: DeployArgs,
    session: SessionHandle,
    model: Model,
    printer: Printer,
    code: u8,
    /// Whether the disks were seen: what comes later is only told.
    seen: bool,
    quitting: bool,
}

/// Writes, or shows, and returns the exit code.
pub(super) async fn run(args: DeployArgs, session: SessionHandle) -> u8 {
    let printer = Printer::new(args.json);
    let run =
        Run { args, session, model: Model::default(), printer, code: exit_code::GOOD, seen: false, quitting: false };
    run.run().await
}

impl Run {
    async fn run(mut self) -> u8 {
        let Some(mut signals) = Signals::catch() else { return exit_code::INTERNAL };
        let image = self.args.image.as_deref().map(|path| DeployImage::At(current_folder().join(path)));
        self.send(DeployCommand::Watch(image.unwrap_or(DeployImage::None))).await;
        while !self.model.closed {
            tokio::select! {
                told = self.session.events.recv() => {
                    let Some(told) = told else {
                        print::err("The session stopped unexpectedly; this is a bug");
                        self.code = exit_code::INTERNAL;
                        break;
                    };
                    self.model.fold(&told);
                    self.printer.show(&told, &self.model);
                    self.heard(&told.event, &mut signals).await;
                }
                () = signals.any() => self.interrupted().await,
            }
        }
        self.printer.finished(self.code);
        self.code
    }

    async fn heard(&mut self, event: &Event, signals: &mut Signals) {
        match event {
            Event::Deploy(DeployEvent::DisksSeen { image, disks }) if !std::mem::replace(&mut self.seen, true) => {
                self.send(DeployCommand::Unwatch).await;
                self.choose(image.as_ref(), disks, signals).await;
            }
            Event::Deploy(DeployEvent::DisksUnseen { failure }) => self.end(failure.exit_code).await,
            Event::Deploy(DeployEvent::DeployAdvanced { .. }) if !self.args.json => {
                if let Some(run) = self.model.deploy.running() {
                    self.printer.deploy(run);
                }
            }
            Event::Deploy(DeployEvent::DeployEnded { .. }) => self.end(self.code).await,
            Event::Deploy(DeployEvent::DeployFailed { failure, .. }) => {
                let code = if self.code == exit_code::GOOD { failure.exit_code } else { self.code };
                self.end(code).await;
            }
            _ => {}
        }
    }

    /// The disks were seen: one of them is the one, or nothing comes of it.
    async fn choose(&mut self, image: Option<&ImageView>, disks: &[DiskView], signals: &mut Signals) {
        let asks = !self.args.list && self.args.to.is_none();
        if !self.args.json && (self.args.list || asks) {
            table(disks).iter().for_each(|line| out(line));
        }
        let Some(image) = image.filter(|_| !self.args.list) else { return self.end(exit_code::GOOD).await };
        if let Some(warning) = image.warning() {
            self.printer.say(&format!("Warning: {warning}"));
        }
        let Some((disk, typed)) = (match self.args.to.clone() {
            Some(to) => self.named(&to, disks),
            None => self.asked(disks, signals).await,
        }) else {
            return self.end(self.code).await;
        };
        let typed = match typed.or_else(|| self.args.confirm.clone()) {
            Some(typed) => typed,
            None => {
                let words = format!(
                    "All that is on {} ({}) will be lost. Type its name, {}, to write {} to it: ",
                    disk.disk.path().display(),
                    disk.title(),
                    disk.disk.name,
                    image.path.display()
                );
                match self.line(&words, signals).await {
                    Some(typed) => typed,
                    None => return self.end(self.code).await,
                }
            }
        };
        let wish =
            DeployWish { image: image.path.clone(), disk: Wanted::of(&disk.disk), typed, eject: !self.args.no_eject };
        self.send(DeployCommand::Write(wish)).await;
    }

    /// The disk that the command line names.
    fn named(&mut self, to: &str, disks: &[DiskView]) -> Option<(DiskView, Option<String>)> {
        // A link of /dev/disk/by-id is as good.
        let node = std::fs::canonicalize(to).ok().filter(|_| to.starts_with('/'));
        let name = node.as_deref().and_then(|node| node.to_str()).unwrap_or(to);
        let all: Vec<_> = disks.iter().map(|it| it.disk.clone()).collect();
        let (found, refusal) = match named(&all, name) {
            Some(Ok(disk)) => {
                let view = disks.iter().find(|it| it.disk.name == disk.name)?;
                (Some(view.clone()), view.refusal.clone())
            }
            Some(Err(refusal)) => (None, Some(refusal)),
            None => {
                let why = format!(
                    "{to} is no disk that an image can be written to; cartridge deploy --list shows which there are"
                );
                self.wrong("There is no such disk", &why);
                return None;
            }
        };
        if let Some(refusal) = refusal {
            self.wrong("This disk is not written to", &format!("{to}: {refusal}\n  next: {}", refusal.advice()));
            return None;
        }
        found.map(|disk| (disk, None))
    }

    /// The disk that somebody types the name of.
    async fn asked(&mut self, disks: &[DiskView], signals: &mut Signals) -> Option<(DiskView, Option<String>)> {
        let free: Vec<_> = disks.iter().filter(|it| it.refusal.is_none()).collect();
        if free.is_empty() {
            self.wrong(
                "There is no disk to write to",
                "no disk can be written to: plug in a USB stick, or see above why one is refused",
            );
            return None;
        }
        let question = "All that is on the disk will be lost. Type the name of the disk to write to: ";
        let typed = self.line(question, signals).await?;
        let name = typed.trim();
        match free.iter().find(|it| it.disk.name == name.strip_prefix("/dev/").unwrap_or(name)) {
            Some(disk) => Some(((*disk).clone(), Some(typed))),
            None => {
                self.wrong(
                    "Nothing was written",
                    &format!("nothing was written: {name:?} is none of the disks that can be written to"),
                );
                None
            }
        }
    }

    /// A line from the terminal; where there is none, that is said. A signal is none: the thread that reads is left behind then.
    async fn line(&mut self, question: &str, signals: &mut Signals) -> Option<String> {
        if self.args.json || !std::io::stdin().is_terminal() {
            let why = "nothing was written: there is no terminal to ask at; say --to DEVICE --confirm NAME to write without a question";
            self.wrong("Nobody can be asked", why);
            return None;
        }
        let _ = write!(std::io::stderr(), "{question}");
        let _ = std::io::stderr().flush();
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            let _ = tell.send(read.map(|_| line));
        });
        let line = tokio::select! {
            line = told => line.ok().and_then(Result::ok),
            () = signals.any() => {
                print::err("");
                None
            }
        };
        let line = line.filter(|line| !line.trim().is_empty());
        if line.is_none() {
            self.printer.say("Nothing was written");
            self.code = exit_code::CANCELLED;
        }
        line
    }

    fn wrong(&mut self, title: &str, why: &str) {
        self.code = exit_code::USAGE;
        print::wrong(self.args.json, title, why, self.code);
    }

    async fn interrupted(&mut self) {
        if self.code == exit_code::CANCELLED && self.quitting {
            // Asked twice. The disk's head is written last: it is not bootable.
            std::process::exit(i32::from(exit_code::CANCELLED));
        }
        self.code = exit_code::CANCELLED;
        if self.model.deploy.running().is_some() {
            self.printer.say("Cancelling; once more ends at once");
        }
        self.end(exit_code::CANCELLED).await;
    }

    async fn end(&mut self, code: u8) {
        self.code = code;
        if !std::mem::replace(&mut self.quitting, true) {
            let _ = self.session.commands.send(Command::Quit).await;
        }
    }

    async fn send(&self, command: DeployCommand) {
        // A driver that is gone closes the events, which ends the loop.
        let _ = self.session.commands.send(Command::Deploy(command)).await;
    }
}

/// The disks, a line each, and a second one with where it is mounted or why it is refused.
fn table(disks: &[DiskView]) -> Vec<String> {
    if disks.is_empty() {
        return vec!["There is no disk: plug in a USB stick".into()];
    }
    disks
        .iter()
        .map(|it| {
            let free = if it.refusal.is_none() { "ok     " } else { "refused" };
            format!("{free}  {:<10} {:<36} {}", it.disk.name, it.title(), it.words())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use isoprep::deploy::{Bus, DeviceNumber, Disk};

    use super::*;
    use crate::session::deploy::shown;

    #[test]
    fn disks_are_a_line_each() {
        let disk = |name: &str, removable| Disk {
            name: name.into(),
            number: DeviceNumber { major: 8, minor: 0 },
            sequence: None,
            bytes: 15_502_147_584,
            block: 512,
            model: "SanDisk Ultra".into(),
            bus: if removable { Bus::Usb } else { Bus::Other },
            removable,
            read_only: false,
            parts: vec![],
            uses: vec![],
        };
        let lines = table(&shown(vec![disk("sda", false), disk("sdb", true)], 1));
        let expected = [
            "ok       sdb        SanDisk Ultra, 15.5 GB               no partitions",
            "refused  sda        SanDisk Ultra, 15.5 GB               it is built in",
        ];
        assert_eq!(lines, expected);
        assert_eq!(table(&[]).len(), 1);
    }
}
