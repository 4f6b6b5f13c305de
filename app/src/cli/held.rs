//! Who holds what an eject has left, asked about at the terminal.

use isoprep::Holder;

use super::confirm::{self, Answer};
use super::print;
use super::signals::Signals;

/// Whether these processes may be ended.
pub(super) async fn may_end(holders: &[Holder], signals: &mut Signals) -> bool {
    let whom = match holders {
        [one] => format!("process {} ({})", one.pid, one.command),
        several => {
            for holder in several {
                print::err(&format!("  {holder}"));
            }
            format!("these {} processes", several.len())
        }
    };
    ask(false, &format!("End {whom} and eject again?"), signals).await == Answer::Yes
}

/// Asks at the terminal; a signal is a no. The thread that reads the answer is left behind then: reading cannot be called off.
pub(super) async fn ask(yes: bool, question: &str, signals: &mut Signals) -> Answer {
    let (tell, told) = tokio::sync::oneshot::channel();
    let question = question.to_owned();
    std::thread::spawn(move || {
        let _ = tell.send(confirm::ask(yes, &question));
    });
    tokio::select! {
        answer = told => answer.unwrap_or(Answer::Nobody),
        () = signals.any() => {
            print::err("");
            Answer::No
        }
    }
}
