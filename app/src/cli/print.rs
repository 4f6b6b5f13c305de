//! How events look in a terminal: sentences, a progress bar while a build runs, or JSON lines.

use std::cell::Cell;
use std::io::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::doctor::{Check, Status};
use crate::session::event::EVENT_VERSION;
use crate::session::model::StageStatus;
use crate::session::{Event, Model, Told};

/// Prints events as they come.
pub(super) struct Printer {
    json: bool,
    bar: ProgressBar,
    /// Whether what is proposed for a repository without a file was shown.
    proposed: Cell<bool>,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        let target = if json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(1000), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:28} {percent:>3}%  {elapsed}  {wide_msg}") {
            bar.set_style(style.progress_chars("━━╌"));
        }
        Self { json, bar, proposed: Cell::new(false) }
    }

    /// Shows one event. Results go to standard output, everything else to standard error.
    pub(super) fn show(&self, told: &Told, model: &Model) {
        if self.json {
            if let Ok(line) = serde_json::to_string(told) {
                out(&line);
            }
            return;
        }
        match &told.event {
            Event::BuildProgressed { .. } => self.progress(model),
            Event::StateChanged { state } if state.phase == crate::session::state::Phase::Building => {
                self.bar.reset();
                self.bar.enable_steady_tick(Duration::from_millis(250));
            }
            Event::ImageBuilt { .. } | Event::Failed { .. } | Event::Ejected { .. } => {
                self.bar.disable_steady_tick();
                self.bar.finish_and_clear();
            }
            Event::CartridgeChanged { cartridge } if !cartridge.proposed.is_empty() && !self.proposed.replace(true) => {
                eprintln!("{} is not there. Proposed, and not written:", cartridge.file.display());
                isoprep::proposal_lines(&cartridge.proposed).iter().for_each(|line| eprintln!("{line}"));
            }
            _ => {}
        }
        if let Some(sentence) = told.event.sentence() {
            self.bar.suspend(|| eprintln!("{sentence}"));
        }
    }

    /// A result that a script may want: `image: /path`.
    pub(super) fn result(&self, key: &str, value: &str) {
        if !self.json {
            out(&format!("{key}: {value}"));
        }
    }

    /// The last line of the JSON form.
    pub(super) fn finished(&self, code: u8) {
        if self.json {
            finished(code);
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 1000")]
    fn progress(&self, model: &Model) {
        self.bar.set_position((model.build_fraction() * 1000.0) as u64);
        if let Some(stage) = model.running_stage() {
            let detail = match &stage.status {
                StageStatus::Running { done, total: Some(total), .. } => format!(" {done} of {total}"),
                _ => String::new(),
            };
            self.bar.set_message(format!("{}{detail}", stage.name));
        }
    }
}

/// The last line of the JSON form.
pub(super) fn finished(code: u8) {
    out(&serde_json::json!({ "v": EVENT_VERSION, "event": "finished", "exit_code": code }).to_string());
}

/// One event outside a session, in its JSON form.
pub(super) fn event(event: Event) {
    if let Ok(line) = serde_json::to_string(&Told { v: EVENT_VERSION, at_ms: 0, event }) {
        out(&line);
    }
}

/// The checks of `doctor`.
pub(super) fn checks(checks: Vec<Check>, json: bool) {
    if json {
        return event(Event::Diagnosed { checks });
    }
    for check in checks {
        let mark = match check.status {
            Status::Good => "ok     ",
            Status::Warning => "warning",
            Status::Missing => "MISSING",
        };
        out(&format!("{mark}  {}: {}", check.name, check.found));
        if check.status != Status::Good {
            out(&format!("         needed: {}", check.why));
            if let Some(fix) = &check.fix {
                out(&format!("         fix:    {fix}"));
            }
        }
    }
}

/// A line on standard output. A reader that has gone (`| head`) is no reason to stop cleaning up.
pub(super) fn out(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
