//! `cartridge cache`: what the cache holds, and emptying it.

use super::args::CacheArgs;
use super::print::{self, Printer, out, size};
use super::signals::Signals;
use crate::session::failure::exit_code;
use crate::session::sentence::number;
use crate::session::{Command, Event, Model, SessionHandle};

/// Shows or empties the cache and returns the exit code.
pub(super) async fn run(args: &CacheArgs, mut session: SessionHandle) -> u8 {
    let printer = Printer::new(args.json);
    let mut model = Model::default();
    let mut code = exit_code::GOOD;
    let Some(mut signals) = Signals::catch() else { return exit_code::INTERNAL };
    let _ = session.commands.send(if args.clean { Command::CleanCache } else { Command::ViewCache }).await;
    while let Some(told) = signals.next_event(&mut session, &mut code).await {
        model.fold(&told);
        let over = match &told.event {
            Event::CacheViewed { path, view, freed } => {
                if args.json {
                    printer.show(&told, &model);
                } else {
                    for row in &view.rows {
                        let results = number(row.results as u64, "result", "results");
                        out(&format!("{:>10}  {results:>14}  {}", size(row.bytes), row.what));
                    }
                    let freed = freed.map_or_else(String::new, |bytes| format!("; {} freed", size(bytes)));
                    out(&format!(
                        "{:>10}  in all, of at most {} before the oldest go, in {}{freed}; images and unpacked kernels are not \
                         counted here: `cartridge eject --everything -n` does",
                        size(view.bytes),
                        size(view.limit),
                        path.display()
                    ));
                }
                true
            }
            Event::SideFailed { failure, .. } => {
                code = failure.exit_code;
                printer.show(&told, &model);
                true
            }
            _ => {
                if args.json {
                    printer.show(&told, &model);
                }
                false
            }
        };
        if over {
            let _ = session.commands.send(Command::Quit).await;
        }
    }
    if !model.closed {
        print::err("The session stopped unexpectedly; this is a bug");
        code = exit_code::INTERNAL;
    }
    printer.finished(code);
    code
}
