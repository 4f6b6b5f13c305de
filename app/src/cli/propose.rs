//! `cartridge propose`: what would be in a repository's cartridge.toml, and writing it.

use std::path::Path;

use super::args::ProposeArgs;
use super::fields;
use super::print::{self, Printer, out};
use super::signals::Signals;
use crate::session::event::{CartridgeView, Level};
use crate::session::failure::exit_code;
use crate::session::{Command, Event, Model, SessionHandle};
use crate::start::current_folder;

/// Shows the proposal, writes it if that is asked for, and returns the exit code.
pub(super) async fn run(args: ProposeArgs, mut session: SessionHandle) -> u8 {
    let printer = Printer::new(args.json);
    let (mut model, mut code) = (Model::default(), exit_code::GOOD);
    let path = current_folder().join(args.path.as_deref().unwrap_or(Path::new("")));
    // What was set is in the text that is shown and written.
    let first = match fields::parse(&args.set) {
        Ok(fields) => Command::InsertFor { cartridge: Some(path), fields },
        Err(why) => {
            print::wrong(args.json, "The command line is wrong", &why, exit_code::USAGE);
            code = exit_code::USAGE;
            Command::Quit
        }
    };
    let Some(mut signals) = Signals::catch() else { return exit_code::INTERNAL };
    let _ = session.commands.send(first).await;
    let mut shown = false;
    while let Some(told) = signals.next_event(&mut session, &mut code).await {
        model.fold(&told);
        if args.json {
            printer.show(&told, &model);
        }
        let next = match &told.event {
            Event::CartridgeChanged { cartridge } if !shown => {
                shown = true;
                Some(proposed(cartridge, &args, &mut code))
            }
            // What is wrong with the proposal alone is told with it.
            Event::Failed { .. } if model.cartridge.is_some() && args.set.is_empty() => None,
            Event::Failed { failure } if model.cartridge.is_some() => {
                code = failure.exit_code;
                if !args.json {
                    printer.show(&told, &model);
                }
                None
            }
            Event::Failed { failure } | Event::SideFailed { failure, .. } => {
                code = failure.exit_code;
                if !args.json {
                    printer.show(&told, &model);
                }
                Some(Command::Quit)
            }
            Event::Noticed { level: Level::Warning, text } => {
                code = if args.set.is_empty() { exit_code::CARTRIDGE } else { exit_code::USAGE };
                print::wrong(args.json, "The proposal is not what was asked for", text, code);
                Some(Command::Quit)
            }
            Event::Noticed { level: Level::Success, text } => {
                say(&args, text);
                Some(Command::Quit)
            }
            _ => None,
        };
        if let Some(next) = next {
            let _ = session.commands.send(next).await;
        }
    }
    if !model.closed {
        print::err("The session stopped unexpectedly; this is a bug");
        code = exit_code::INTERNAL;
    }
    printer.finished(code);
    code
}

/// Shows it, and says what is to be done next.
fn proposed(cartridge: &CartridgeView, args: &ProposeArgs, code: &mut u8) -> Command {
    let file = cartridge.file.display();
    if cartridge.exists {
        if args.write {
            *code = exit_code::CARTRIDGE;
            let words = format!("{file} is there already: nothing was written");
            print::wrong(args.json, "There is a cartridge.toml already", &words, *code);
        } else {
            say(args, &format!("{file} is there: nothing is proposed"));
        }
        return Command::Quit;
    }
    if cartridge.proposed.is_empty() {
        say(args, "Nothing was found that needs a setting: defaults are proposed");
    }
    isoprep::proposal_lines(&cartridge.proposed).iter().for_each(|line| say(args, line));
    // Where something was set, a failure follows that tells of what with its option.
    for finding in cartridge.findings.iter().filter(|_| args.set.is_empty()) {
        *code = exit_code::CARTRIDGE;
        let words = format!("{}: {}; {}", finding.key, finding.message, finding.advice);
        print::wrong(args.json, "The cartridge cannot be built as it is proposed", &words, *code);
    }
    if args.write {
        return Command::Save;
    }
    say(args, &format!("Not written. To write {file}, say --write"));
    Command::Quit
}

fn say(args: &ProposeArgs, line: &str) {
    if !args.json {
        out(line);
    }
}
