//! `cartridge lint` and `cartridge tree`: a look at a cartridge before it is built.

use std::io::IsTerminal as _;
use std::path::Path;

use isoprep::lint::{LintFinding, Severity, render_text};

use super::args::LookArgs;
use super::fields;
use super::print::{self, Printer, out};
use super::signals::Signals;
use crate::doctor::Purpose;
use crate::session::examination::Examination;
use crate::session::failure::exit_code;
use crate::session::{Command, Event, Model, SessionHandle};
use crate::start::current_folder;

/// Shows the findings and returns the exit code.
pub(super) async fn lint(args: LookArgs, session: SessionHandle) -> u8 {
    look(args, session, |examination| {
        let findings: Vec<LintFinding> = examination.lint.iter().map(|it| it.finding.clone()).collect();
        out(render_text(&findings, std::io::stdout().is_terminal()).trim_end());
        examination.warnings.iter().for_each(|warning| out(&format!("warning: {warning}")));
    })
    .await
}

/// Shows the assembled profile and returns the exit code.
pub(super) async fn tree(args: LookArgs, session: SessionHandle) -> u8 {
    look(args, session, |examination| {
        out(isoprep::assembly::lines(&examination.tree).trim_end());
        examination.warnings.iter().for_each(|warning| print::err(&format!("warning: {warning}")));
    })
    .await
}

async fn look(args: LookArgs, mut session: SessionHandle, show: impl Fn(&Examination)) -> u8 {
    let printer = Printer::new(args.json);
    let (mut model, mut code) = (Model::default(), exit_code::GOOD);
    let path = current_folder().join(args.path.as_deref().unwrap_or(Path::new("")));
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
    let mut asked = false;
    while let Some(told) = signals.next_event(&mut session, &mut code).await {
        model.fold(&told);
        if args.json || matches!(told.event, Event::Failed { .. } | Event::Refused { .. }) {
            printer.show(&told, &model);
        }
        match &told.event {
            Event::CartridgeChanged { cartridge } if !asked && cartridge.findings.is_empty() => {
                asked = true;
                let _ = session.commands.send(Command::Examine).await;
            }
            Event::Examined { lint, failure, .. } => {
                // What could not be looked at to its end is not well for that.
                if let (Some(examination), None, false) = (&model.examination, failure, args.json) {
                    show(examination);
                }
                if let Some(failure) = failure {
                    code = failure.exit_code;
                    if !args.json {
                        let text = Event::Failed { failure: failure.clone() }.sentence().unwrap_or_default();
                        print::err(&text);
                    }
                } else if lint.iter().any(|it| it.finding.severity == Severity::Error) {
                    code = exit_code::CARTRIDGE;
                }
                let _ = session.commands.send(Command::Quit).await;
            }
            Event::NotExamined { why } => {
                if !args.json {
                    out(&Event::NotExamined { why: *why }
                        .sentence()
                        .unwrap_or_else(|| format!("Not looked at: {why}")));
                }
                let _ = session.commands.send(Command::Quit).await;
            }
            Event::Failed { failure } => {
                code = failure.exit_code;
                if !asked {
                    let _ = session.commands.send(Command::Quit).await;
                }
            }
            _ => {}
        }
    }
    if !model.closed {
        print::err("The session stopped unexpectedly; this is a bug");
        code = exit_code::INTERNAL;
    }
    printer.finished(code);
    code
}

/// What the cartridge at `path` needs of this host.
///
/// # Errors
/// Why it cannot be opened, or what is wrong with it.
pub(super) fn purpose(path: &Path) -> Result<Purpose, String> {
    let file = isoprep::open(&current_folder().join(path)).map_err(|e| e.to_string())?;
    let root = file.file.parent().unwrap_or(Path::new("/"));
    let recipe = isoprep::parse(&file.text, root).map_err(|e| e.to_string())?;
    Ok(Purpose::of(&recipe))
}
