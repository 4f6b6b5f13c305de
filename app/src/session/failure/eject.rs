//! What an eject could not remove, and what to do about it.

use super::exit_code;
use crate::session::event::Failure;
use crate::session::removal::Removal;
use crate::session::state::EjectScope;

/// What could not be done; `None` where all was, or the rest was left because the removal was stopped.
pub(in crate::session) fn of_eject(removal: &Removal, scope: EjectScope, endable: bool) -> Option<Failure> {
    let left = removal.report.untouched.iter().map(|left| format!("{}: {}", left.path.display(), left.reason));
    let problems: Vec<String> = removal.problems.iter().cloned().chain(left).collect();
    if problems.is_empty() {
        return None;
    }
    let everything = if scope == EjectScope::Everything { "--everything " } else { "" };
    Some(Failure {
        title: "Not everything could be removed".into(),
        detail: problems.join("\n"),
        advice: Some("End what holds it, then eject again; nothing else was touched".into()),
        // It names them once more, and ends them.
        command: endable.then(|| format!("cartridge eject {everything}--end-holders")),
        pane: None,
        exit_code: exit_code::EJECT,
    })
}
