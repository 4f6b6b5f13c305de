//! `cartridge slots`: which guests of a cartridge were saved, and removing one.

use super::args::SlotsArgs;
use super::print::{self, Printer, out, size};
use super::signals::Signals;
use crate::session::event::SlotView;
use crate::session::failure::exit_code;
use crate::session::{Command, Event, Model, SessionHandle};
use crate::start::current_folder;

/// Shows or removes slots and returns the exit code.
pub(super) async fn run(args: SlotsArgs, mut session: SessionHandle) -> u8 {
    let printer = Printer::new(args.json);
    let mut model = Model::default();
    let mut code = exit_code::GOOD;
    let Some(mut signals) = Signals::catch() else { return exit_code::INTERNAL };
    let insert = match (&args.path, args.builtin) {
        (_, true) => Command::InsertBuiltin,
        (Some(path), false) => Command::Insert(current_folder().join(path)),
        (None, false) => Command::Insert(current_folder()),
    };
    let _ = session.commands.send(insert).await;
    let mut asked = false;
    while let Some(told) = signals.next_event(&mut session, &mut code).await {
        model.fold(&told);
        let over = match &told.event {
            Event::CartridgeChanged { cartridge } if cartridge.findings.is_empty() && !asked => {
                asked = true;
                let command = match &args.remove {
                    Some(name) => Command::RemoveSlot { name: name.to_string() },
                    None => Command::ListSlots,
                };
                let _ = session.commands.send(command).await;
                false
            }
            Event::SlotsChanged { slots } => {
                if args.json {
                    printer.show(&told, &model);
                } else {
                    let removed =
                        args.remove.as_ref().filter(|name| slots.iter().all(|slot| slot.name != name.to_string()));
                    if let Some(name) = removed {
                        print::err(&format!("The slot {name} was removed"));
                    }
                    slots.iter().flat_map(lines).for_each(|line| out(&line));
                    if slots.is_empty() && removed.is_none() {
                        print::err(
                            "No slots: `cartridge up --save-slot NAME` saves a guest; `cartridge slots --all` shows those of \
                             other cartridges, also of one that was moved",
                        );
                    }
                }
                true
            }
            Event::Failed { failure } | Event::SideFailed { failure, .. } => {
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

/// A slot in a line: when, how much, what it is called, and what it depends on; below it, what is another now.
fn lines(slot: &SlotView) -> Vec<String> {
    let rest =
        slot.problem.as_ref().map_or_else(|| slot.depends.clone(), |problem| format!("cannot be used: {problem}"));
    let first = format!("{:<16}  {:>10}  {}  ({rest})", moment(slot.made), size(slot.bytes), slot.name);
    let differs = slot.differs.iter().flatten().map(|it| {
        let what = if it.fatal { "cannot be restored now" } else { "differs" };
        format!("{:>28}  {what}: {}", "", it.says)
    });
    std::iter::once(first).chain(differs).collect()
}

/// When a slot was saved, in the time of here.
pub(super) fn moment(made: u64) -> String {
    let at = i64::try_from(made).ok().and_then(|made| jiff::Timestamp::from_second(made).ok()).filter(|_| made > 0);
    let here = |at: jiff::Timestamp| at.to_zoned(jiff::tz::TimeZone::system());
    at.map_or_else(|| "?".to_owned(), |at| here(at).strftime("%Y-%m-%d %H:%M").to_string())
}

#[cfg(test)]
mod tests {
    use vmtools::slot::Mismatch;

    use super::*;

    #[test]
    fn a_slot_is_a_line_and_one_for_each_thing_that_is_another_now() {
        let slot = SlotView {
            name: "before Submit".into(),
            dir: "/s".into(),
            made: 0,
            bytes: 3 << 20,
            depends: "QEMU 7.2.22 (tcg, max)".into(),
            ..SlotView::default()
        };
        let said = lines(&slot);
        assert!(said.len() == 1 && said[0].ends_with("3.0 MiB  before Submit  (QEMU 7.2.22 (tcg, max))"), "{said:?}");
        let broken = SlotView { problem: Some("x".into()), ..slot.clone() };
        assert!(lines(&broken)[0].contains("cannot be used: x"));
        let differs = |fatal| Mismatch { what: "QEMU".into(), says: "QEMU was 7, and is 8 now".into(), fatal };
        let other = lines(&SlotView { differs: Some(vec![differs(false), differs(true)]), ..slot });
        assert!(other[1].ends_with("  differs: QEMU was 7, and is 8 now"), "{other:?}");
        assert!(other[2].ends_with("  cannot be restored now: QEMU was 7, and is 8 now"), "{other:?}");
    }
}
