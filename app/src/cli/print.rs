//! How events look in a terminal: sentences, a progress bar while a build runs, or JSON lines.

use std::cell::Cell;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use isoprep::Unit;
pub(super) use isoprep::contents::show::size;
use isoprep::deploy::{DeployStage, label_size};

use crate::doctor::{Check, Status};
use crate::session::deploy::{DeployEvent, stage_words};
use crate::session::event::{EVENT_VERSION, Failure};
use crate::session::model::{DeployRun, Removing, StageStatus, StageView};
use crate::session::{Event, Model, Told, redact};

/// A line of what is under way: of how much there is, or without that.
const SHARED: &str = "{bar:28} {percent:>3}%  {elapsed}  {wide_msg}";
const UNSHARED: &str = "{spinner}  {elapsed}  {wide_msg}";

/// Prints events as they come.
pub(super) struct Printer {
    json: bool,
    bar: ProgressBar,
    /// Whether what is proposed for a repository without a file was shown.
    proposed: Cell<bool>,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        // Seen once it has begun: whoever writes beside it would draw it before.
        let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::hidden());
        Self { json, bar, proposed: Cell::new(false) }
    }

    /// Shows one event. Results go to standard output, everything else to standard error.
    pub(super) fn show(&self, told: &Told, model: &Model) {
        if self.json {
            return json(told);
        }
        match &told.event {
            Event::BuildProgressed { .. } => self.progress(model, model.now_ms),
            Event::StateChanged { state } if state.phase == crate::session::state::Phase::Building => {
                self.begin(SHARED);
            }
            Event::EjectAdvanced { .. } => {
                if let Some(removing) = &model.removing {
                    self.removing(removing);
                }
            }
            // What is no build has no share that is done.
            Event::StateChanged { .. } => self.no_bar(),
            Event::Deploy(DeployEvent::DeployEnded { .. } | DeployEvent::DeployFailed { .. }) => self.no_bar(),
            Event::ImageBuilt { .. } | Event::Failed { .. } | Event::SideFailed { .. } | Event::Ejected { .. } => {
                self.no_bar();
            }
            Event::CartridgeChanged { cartridge } if !cartridge.proposed.is_empty() && !self.proposed.replace(true) => {
                err(&format!("{} is not there. Proposed, and not written:", cartridge.file.display()));
                isoprep::proposal_lines(&cartridge.proposed).iter().for_each(|line| err(line));
            }
            _ => {}
        }
        if let Some(sentence) = told.event.sentence() {
            self.bar.suspend(|| err(&sentence));
        }
    }

    /// Shows that something is waited for, and since when, until the state changes.
    pub(super) fn wait(&self, what: &'static str) {
        if !self.json {
            self.begin(UNSHARED);
            self.bar.set_message(what);
        }
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("━━╌"));
        }
    }

    fn begin(&self, template: &str) {
        self.style(template);
        self.bar.set_message("");
        self.bar.reset();
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
        self.bar.enable_steady_tick(Duration::from_millis(250));
    }

    fn no_bar(&self) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// Says something that is no event, beside whatever runs on the line.
    pub(super) fn say(&self, text: &str) {
        self.bar.suspend(|| err(text));
    }

    /// A result that a script may want: `image: /path`.
    pub(super) fn result(&self, key: &str, value: &str) {
        if !self.json {
            self.bar.suspend(|| out(&format!("{key}: {value}")));
        }
    }

    /// The same for what a sentence has told: not once more where both are seen at one terminal.
    pub(super) fn result_told(&self, key: &str, value: &str) {
        if !(std::io::stdout().is_terminal() && std::io::stderr().is_terminal()) {
            self.result(key, value);
        }
    }

    /// The last line of the JSON form.
    pub(super) fn finished(&self, code: u8) {
        if self.json {
            finished(code);
        }
    }

    /// Shows how far a removal is: with a share once it is known of how much.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 1000")]
    fn removing(&self, removing: &Removing) {
        if self.bar.is_hidden() {
            self.begin(UNSHARED);
        }
        match removing.share() {
            Some(share) => {
                self.style(SHARED);
                self.bar.set_position((share * 1000.0) as u64);
            }
            None => self.style(UNSHARED),
        }
        self.bar.set_message(format!("{} {}", removing.words(), removing.path.display()));
    }

    /// Shows how far a build is at `now_ms`, milliseconds since the session began.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 1000")]
    pub(super) fn progress(&self, model: &Model, now_ms: u64) {
        self.bar.set_position((model.build_fraction() * 1000.0) as u64);
        if let Some(stage) = model.running_stage() {
            self.bar.set_message(message(stage, model.stage_left_ms(now_ms)));
        }
    }
}

impl Printer {
    /// Shows how far a write to a disk is.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of 1000"
    )]
    pub(super) fn deploy(&self, run: &DeployRun) {
        let Some(step) = run.step else { return };
        if self.bar.is_hidden() {
            self.begin(SHARED);
        }
        let share = if step.total == 0 { 0.0 } else { step.done as f64 / step.total as f64 };
        self.bar.set_position((share * 1000.0) as u64);
        self.bar.set_message(deploy_message(run));
    }
}

/// A write under way in a line: "Writing (about 40 s left), 1.2 GB of 4.0 GB, 35.0 MB/s".
fn deploy_message(run: &DeployRun) -> String {
    let Some(step) = run.step else { return String::new() };
    let mut text = stage_words(step.stage).to_owned();
    if step.stage == DeployStage::Opening {
        text.push_str(" (you may be asked for a password)");
    }
    match run.pace.and_then(|pace| pace.left_ms).map(|ms| ms.div_ceil(1000)) {
        None | Some(..=2) => {}
        Some(seconds @ ..=99) => text.push_str(&format!(" (about {seconds} s left)")),
        Some(seconds) => text.push_str(&format!(" (about {} min left)", seconds.div_ceil(60))),
    }
    if step.total > 0 {
        text.push_str(&format!(", {} of {}", label_size(step.done), label_size(step.total)));
    }
    if let Some(rate) = run.pace.and_then(|pace| pace.per_second) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
        let rate = rate.round() as u64;
        text.push_str(&format!(", {}/s", label_size(rate)));
    }
    text
}

/// A stage under way in a line: "packages (about 40 s left): installing linux, 12 of 140 packages, 3/s".
fn message(stage: &StageView, left_ms: Option<u64>) -> String {
    let mut text = stage.name.clone();
    // Early in the line: terminals are narrow.
    match left_ms.map(|ms| ms.div_ceil(1000)) {
        None | Some(..=2) => {}
        Some(seconds @ ..=99) => text.push_str(&format!(" (about {seconds} s left)")),
        Some(seconds) => text.push_str(&format!(" (about {} min left)", seconds.div_ceil(60))),
    }
    let StageStatus::Running { done, total, unit, what, pace, .. } = &stage.status else { return text };
    if let Some(what) = what {
        text.push_str(&format!(": {what}"));
    }
    let count = |n: u64| if *unit == Unit::Bytes { size(n) } else { n.to_string() };
    let noun = match unit {
        Unit::Files => " files",
        Unit::Packages => " packages",
        Unit::Percent => " %",
        Unit::Bytes => "",
    };
    match total {
        Some(_) if *unit == Unit::Percent => text.push_str(&format!(", {done} %")),
        Some(total) => text.push_str(&format!(", {} of {}{noun}", count(*done), count(*total))),
        None if *done > 0 => text.push_str(&format!(", {}{noun}", count(*done))),
        None => {}
    }
    if let Some(rate) = pace.and_then(|pace| pace.per_second).filter(|rate| *rate >= 1.0 && *unit != Unit::Percent) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
        let rate = rate.round() as u64;
        text.push_str(&format!(", {}/s", count(rate)));
    }
    text
}

/// The last line of the JSON form.
pub(super) fn finished(code: u8) {
    json(&serde_json::json!({ "v": EVENT_VERSION, "event": "finished", "exit_code": code }));
}

/// A line of JSON with what is no event of a session.
pub(super) fn object(name: &str, value: &impl serde::Serialize) {
    json(&serde_json::json!({ "v": EVENT_VERSION, "event": name, name: value }));
}

/// A line of JSON, without the secrets in it.
pub(super) fn json(told: &impl serde::Serialize) {
    if let Some(line) = redact::json(told) {
        as_it_is(&line);
    }
}

/// One event outside a session, in its JSON form.
pub(super) fn event(event: Event) {
    json(&Told { v: EVENT_VERSION, at_ms: 0, event });
}

/// A command that did not begin: words for people, a failure for machines.
pub(super) fn wrong(json: bool, title: &str, detail: &str, exit_code: u8) {
    if !json {
        return err(&format!("cartridge: {detail}"));
    }
    let (title, detail) = (title.to_owned(), detail.to_owned());
    event(Event::Failed { failure: Failure { title, detail, advice: None, command: None, pane: None, exit_code } });
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

/// A line on standard output, without the secrets in it.
pub(super) fn out(line: &str) {
    as_it_is(&isoprep::redacted(line));
}

/// A line on standard output that is run, or was hidden already. A reader that has gone (`| head`) is no reason to stop cleaning up.
pub(super) fn as_it_is(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on standard error, without the secrets in it. A reader that has gone is no reason to stop cleaning up: `eprintln!` would
/// panic.
pub(crate) fn err(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", isoprep::redacted(line));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::pace::Pace;

    #[test]
    fn a_stage_says_what_how_far_how_quickly_and_how_long_still() {
        let show = |done, total, unit, what: Option<&str>, per_second, left| {
            let pace = Some(Pace { per_second, left_ms: left });
            let what = what.map(str::to_owned);
            let status = StageStatus::Running { since_ms: 0, done, total, unit, what, pace, told_ms: 0 };
            message(&StageView { name: "packages".into(), status }, left)
        };
        assert_eq!(show(0, None, Unit::Files, None, None, None), "packages");
        assert_eq!(
            show(12, Some(140), Unit::Packages, Some("installing linux"), Some(2.6), Some(39_500)),
            "packages (about 40 s left): installing linux, 12 of 140 packages, 3/s"
        );
        assert_eq!(
            show(1_500_000, Some(30_000_000), Unit::Bytes, Some("fetching packages"), Some(1e6), Some(600_000)),
            "packages (about 10 min left): fetching packages, 1.4 MiB of 28.6 MiB, 976.6 KiB/s"
        );
        assert_eq!(show(40, Some(100), Unit::Percent, None, Some(9.0), None), "packages, 40 %");
    }
}
