//! `cartridge eject`: remove what dead sessions left, and caches and images when asked.

use super::args::EjectArgs;
use super::confirm;
use super::print::{self, Printer, out, size};
use crate::session::failure::exit_code;
use crate::session::sentence::number;
use crate::session::state::{EjectScope, Phase};
use crate::session::{Command, Event, Model, SessionHandle};

/// Ejects and returns the exit code.
pub(super) async fn run(args: &EjectArgs, mut session: SessionHandle) -> u8 {
    let printer = Printer::new(args.json);
    let mut model = Model::default();
    let mut code = exit_code::GOOD;
    let mut asked = false;
    let first = if args.everything || args.dry_run {
        Command::SurveyEverything
    } else {
        asked = true;
        Command::Eject(EjectScope::Session)
    };
    let _ = session.commands.send(first).await;
    loop {
        let Some(told) = session.events.recv().await else {
            if !model.closed {
                print::err("The session stopped unexpectedly; this is a bug");
                code = exit_code::INTERNAL;
            }
            break;
        };
        model.fold(&told);
        printer.show(&told, &model);
        let next = match &told.event {
            Event::Surveyed { surveys } => {
                let mut total = 0;
                for survey in surveys {
                    total += survey.bytes;
                    say(
                        args,
                        &format!(
                            "{:>10}  {:>14}  {}",
                            size(survey.bytes),
                            number(survey.files, "file", "files"),
                            survey.path.display()
                        ),
                    );
                }
                say(args, &format!("{:>10}  in all", size(total)));
                if args.dry_run {
                    Some(Command::Quit)
                } else if let Some(refused) = confirm::ask(args.yes, "Remove all of this?").refused(args.json) {
                    code = refused;
                    Some(Command::Quit)
                } else {
                    asked = true;
                    Some(Command::Eject(EjectScope::Everything))
                }
            }
            Event::Failed { failure } => {
                code = failure.exit_code;
                None
            }
            Event::StateChanged { state } if asked && state.phase == Phase::Idle => Some(Command::Quit),
            _ => None,
        };
        if let Some(next) = next {
            let _ = session.commands.send(next).await;
        }
    }
    printer.finished(code);
    code
}

fn say(args: &EjectArgs, line: &str) {
    if !args.json {
        out(line);
    }
}
