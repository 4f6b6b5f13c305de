//! Each event as a sentence: what the session's log and the terminal say.

use isoprep::contents::show::size;
use isoprep::{Progress, Remaining, Survey};
use vmtools::GuestStatus;

use super::event::{Event, Level};
use super::examination::{LintView, Unexamined};
use super::model::SourceView;
use super::onlooker::WatchEnd;
use super::sign::Sign;
use super::state::{Goal, Outcome, Phase};

/// How many changes of a repository a sentence names.
const NAMED: usize = 3;

impl Event {
    /// The event in words; `None` for what is better shown as a bar or a list.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        Some(match self {
            Self::Opened { logs } => format!("Logs of this session: {}", logs.display()),
            // Attaching tells its own.
            Self::StateChanged { state } if state.goal == Some(Goal::Attach) && state.phase != Phase::Ejecting => {
                return None;
            }
            Self::StateChanged { state } => match (state.phase, state.goal, state.outcome) {
                (Phase::Preparing, Some(goal), _) => format!("Preparing to {}", goal_words(goal)),
                (Phase::Building, ..) => "Building".into(),
                (Phase::Booting, ..) => "Booting".into(),
                (Phase::Running, ..) => "The guest is running".into(),
                (Phase::Ejecting, _, Some(outcome)) => format!("Ejecting: {}", outcome_words(outcome)),
                _ => return None,
            },
            Self::Refused { reason, .. } => format!("Refused: {reason}"),
            Self::AcceleratorChosen { accelerator, reason } => format!("Accelerator {accelerator}: {reason}"),
            Self::Examined { lint, failure, .. } => match failure {
                Some(failure) => format!("The cartridge could not be looked at: {}\n{}", failure.title, failure.detail),
                None => format!("Looked at the cartridge: {}", counted(lint)),
            },
            // The other reasons pass by themselves, and are told then.
            Self::NotExamined { why: why @ Unexamined::NoProfile { .. } } => format!("Looked at for secrets alone: {why}"),
            Self::NotCompared { error: Some(error) } => {
                format!("Warning: the image could not be compared with the one before: {error}")
            }
            Self::FixApplied { says, file, .. } => match file {
                Some(file) => format!("Done: {says} ({})", file.display()),
                None => format!("Done: {says} (in the cartridge, not saved yet)"),
            },
            Self::StoppedByLint { lint } => format!("The build stopped before its packages: {}", counted(lint)),
            Self::BuildProgressed { progress: Progress::Finished { stage, reused, took }, .. } => {
                let how = if *reused { "unchanged" } else { "done" };
                format!("Stage {} {how}, {:.2} s", stage.0, took.as_secs_f64())
            }
            Self::BuildProgressed { progress: Progress::Way { chosen, .. }, .. } => chosen.sentence(),
            Self::ImageBuilt { image, took_ms } => format!(
                "Image {} ({}, {} of the repository, tree {}) in {:.2} s",
                image.iso.display(),
                size(image.bytes),
                number(image.files, "file", "files"),
                image.tree_hash,
                secs(*took_ms)
            ),
            Self::BuildCompared { summary, difference: Some(_) } => format!("Against the build before: {summary}"),
            Self::BuildCompared { summary, difference: None } => format!("In the image: {summary}"),
            Self::CacheViewed { path, view, freed } => {
                let freed = freed.map_or_else(String::new, |bytes| format!(", {} freed", size(bytes)));
                format!("The cache {} holds {}{freed}", path.display(), size(view.bytes))
            }
            Self::DirectChosen { view } => view.sentence(),
            Self::GuestStarted { pid, command, .. } => {
                format!("QEMU runs as process {pid}. Without Cartridge, in a terminal, it is: {command}")
            }
            Self::AttachBegan { address, .. } => format!("Attaching to the VNC server at {address}"),
            Self::Attached { view } => {
                format!("Attached to {:?} at {}. {}", view.name, view.address, view.secrecy())
            }
            Self::AttachLost { why } => format!("Warning: the VNC server is lost, and tried again: {why}"),
            Self::AttachBack => "The VNC server is there again".into(),
            Self::GuestShowed { sign } => match sign {
                Sign::Login => "The guest asks for a login on its serial line: it is up".into(),
                Sign::Shell => "The guest shows a shell's prompt on its serial line: it is up".into(),
                Sign::Target => "The guest's systemd has reached its target: it is up".into(),
                Sign::Emergency => "The guest's initramfs has given up and shows a shell of its own".into(),
                Sign::HandedOver => {
                    "Nothing in the guest reports, and it has said nothing for a while: it is taken to run; its \
                                     screen and its serial line say how far it is"
                        .into()
                }
            },
            Self::GuestChanged { status } => status_words(status),
            Self::ScreenBlank { seconds, cure } => {
                format!("The guest's screen has shown one colour for {seconds} s. {}", cure.advice())
            }
            Self::ScreenDrawn => "The guest's screen shows something again".into(),
            Self::GuestReported { report, .. } if let Some(live) = report.live() => {
                let system = report.system_words().map_or(String::new(), |words| format!("; {words}"));
                format!(
                    "The guest reports: {} on Linux {}, firmware {}, accelerator {}; what lies at {} is live, {}, by {}{system}",
                    report.name,
                    report.kernel,
                    report.firmware,
                    report.accelerator,
                    report.path,
                    live.access,
                    live.kind
                )
            }
            Self::GuestReported { report, matches } => {
                let verdict = match matches {
                    Some(true) => "the very tree that was injected",
                    Some(false) => "NOT the tree that was injected",
                    None => "no build to compare it with",
                };
                let system = report.system_words().map_or(String::new(), |words| format!("; {words}"));
                format!(
                    "The guest reports: {} on Linux {}, firmware {}, accelerator {}, {} at {}, tree {}: {verdict}{system}",
                    report.name,
                    report.kernel,
                    report.firmware,
                    report.accelerator,
                    number(report.files, "file", "files"),
                    report.path,
                    report.tree
                )
            }
            Self::SourceChanged { since, changes, total, way } => {
                let view = SourceView { since: *since, changes: changes.clone(), total: *total, way: *way };
                let Some(words) = view.words() else { return Some(view.unchanged().into()) };
                let named: Vec<_> = changes.iter().take(NAMED).map(|it| it.path.display().to_string()).collect();
                let more = if *total > named.len() { ", …" } else { "" };
                format!("{words}: {}{more}", named.join(", "))
            }
            Self::BroughtIn { way, took_ms } => {
                format!("The guest has the changes after {:.2} s: {}", secs(*took_ms), way.words())
            }
            Self::SlotSaving { name } => format!("Saving the guest as {name:?}"),
            Self::SlotSaved { name, bytes, took_ms } => {
                format!("Saved the guest as {name:?} ({}) in {:.2} s", size(*bytes), secs(*took_ms))
            }
            Self::SlotRestored { name, took_ms } => {
                format!("Restored {name:?} in {:.2} s: the guest goes on from there", secs(*took_ms))
            }
            Self::LayerPlugged { took_ms, matches: true, trouble, .. } => {
                let but = trouble.as_ref().map_or_else(String::new, |why| format!(". Warning: {why}"));
                format!("The guest has the repository as it is now, after {:.2} s{but}", secs(*took_ms))
            }
            Self::LayerPlugged { tree, trouble, .. } => {
                let why = trouble.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
                format!("Warning: the guest sees the tree {tree}, which is NOT the one that was plugged in{why}")
            }
            Self::TestBegan { warm: true, slot } => {
                format!("A warm test begins, from the slot {:?}", slot.as_deref().unwrap_or_default())
            }
            Self::TestBegan { warm: false, slot } => {
                let saves = slot.as_ref().map_or_else(String::new, |name| format!(", which saves the slot {name:?}"));
                format!("A cold test begins{saves}")
            }
            Self::TestStepped { number, total, step } => format!("Test, step {number} of {total}: {step}"),
            Self::TestEnded { warm, passed, ready_ms, took_ms, why } => {
                test_words(*warm, *passed, (*ready_ms, *took_ms), why.as_deref())
            }
            Self::LiveChanged { live: true } => "Live: the warm test runs on every save".into(),
            Self::LiveChanged { live: false } => "Live is off".into(),
            Self::PortForwarded { name, guest_port, host_port } => {
                format!("Forwarded {name}: 127.0.0.1:{host_port} reaches port {guest_port} of the guest")
            }
            Self::ScreenshotTaken { path, .. } => format!("Screenshot: {}", path.display()),
            Self::TextRead { text } => {
                format!("Read {} off the guest's screen", number(text.lines().count() as u64, "line", "lines"))
            }
            Self::TypingChanged { typing: true } => "Typing text into the guest".into(),
            Self::TypingChanged { typing: false } => "Nothing more is typed into the guest".into(),
            Self::RecordingStarted { path } => format!("Recording the guest's screen: {}", path.display()),
            Self::RecordingEnded { files, frames, length_ms } => format!(
                "Recorded {} in {:.1} s: {}",
                number(*frames, "picture", "pictures"),
                *length_ms as f64 / 1000.0,
                files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
            ),
            Self::EjectProgressed { step } => step.clone(),
            Self::Ejected { report, took_ms, left, .. } => {
                if report.removed == 0 && report.untouched.is_empty() && left.is_empty() {
                    return Some("Ejected: there was nothing to remove".into());
                }
                let mut text = format!(
                    "{}: {} ({}) removed in {:.2} s",
                    if left.is_empty() { "Ejected" } else { "The eject was stopped" },
                    number(report.removed, "entry", "entries"),
                    size(report.bytes),
                    secs(*took_ms)
                );
                for left in &report.untouched {
                    text.push_str(&format!("\n  left alone: {} ({})", left.path.display(), left.reason));
                }
                for path in left {
                    text.push_str(&format!("\n  still there: {}; eject again to go on", path.display()));
                }
                text
            }
            Self::Joined { holder, missed: 0, .. } => format!("Watching {holder}"),
            Self::Joined { missed, .. } => {
                format!("Warning: {} not followed quickly enough", number(*missed, "event was", "events were"))
            }
            Self::HolderStopped { stopped: true } => "Warning: the process that is watched was stopped (SIGSTOP)".into(),
            Self::HolderStopped { stopped: false } => "The process that is watched goes on".into(),
            Self::WatchEnded { end: WatchEnd::LetGo } => "The cartridge was let go of: it can be taken now".into(),
            Self::WatchEnded { end: WatchEnd::Gone { why } } => format!("Warning: nothing more can be watched: {why}"),
            Self::Recovered { what } => what.join("\n"),
            Self::Noticed { level, text } => match level {
                Level::Warning => format!("Warning: {text}"),
                Level::Info | Level::Success => text.clone(),
            },
            Self::Failed { failure } | Self::SideFailed { failure, .. } => failure.sentence(),
            Self::Deploy(event) => return event.sentence(),
            Self::CartridgeChanged { .. }
            | Self::Examining
            | Self::NotExamined { .. }
            | Self::NotCompared { error: None }
            | Self::Comparing
            | Self::BootChecking
            | Self::BootChecked { .. }
            | Self::SourceUnknown
            | Self::AttachAsks { .. }
            | Self::AttachRecentChanged { .. }
            | Self::RecentChanged { .. }
            | Self::SlotsChanged { .. }
            | Self::SlotAdvanced { .. }
            | Self::BuildProgressed { .. }
            | Self::MenuRead { .. }
            | Self::Surveyed { .. }
            | Self::Diagnosed { .. }
            // A failure with the same words follows.
            | Self::EjectHeld { .. }
            | Self::InUse { .. }
            | Self::EjectAdvanced { .. }
            | Self::TypingAdvanced { .. }
            | Self::Closed => return None,
        })
    }
}

/// "Test passed, warm: the guest was ready after 1.20 s, all after 3.05 s".
pub(super) fn test_words(warm: bool, passed: bool, (ready, took): (Option<u64>, u64), why: Option<&str>) -> String {
    let kind = if warm { "warm" } else { "cold" };
    let ready = ready.map_or_else(String::new, |ms| format!("the guest was ready after {:.2} s, ", secs(ms)));
    match why {
        None if passed => format!("Test passed, {kind}: {ready}all after {:.2} s", secs(took)),
        why => format!("Test FAILED, {kind}, after {:.2} s: {}", secs(took), why.unwrap_or("it did not end well")),
    }
}

/// "2 errors, 1 warning"; "nothing to say".
fn counted(lint: &[LintView]) -> String {
    use isoprep::lint::Severity::{Error, Note, Warning};
    let count = |severity, one: &str| {
        let count = lint.iter().filter(|it| it.finding.severity == severity).count();
        (count > 0).then(|| number(count as u64, one, &format!("{one}s")))
    };
    let parts: Vec<_> =
        [count(Error, "error"), count(Warning, "warning"), count(Note, "note")].into_iter().flatten().collect();
    if parts.is_empty() { "nothing to say".into() } else { parts.join(", ") }
}

/// What would be unmounted before a directory is removed, and what stands in the way of that: a line each.
pub(crate) fn in_the_way(survey: &Survey) -> Vec<String> {
    let mut lines = Vec::new();
    let holders = |lines: &mut Vec<String>, held: &Remaining| {
        lines.extend(held.holders.iter().map(|holder| format!("held by {holder}")));
        lines.extend(held.advice.iter().filter(|_| held.holders.is_empty()).map(|it| format!("try: {it}")));
    };
    for mount in &survey.mounts {
        lines.push(format!("is unmounted first: {}", mount.display()));
        survey.held.iter().filter(|held| held.path == *mount).for_each(|held| holders(&mut lines, held));
    }
    for held in survey.held.iter().filter(|held| !survey.mounts.contains(&held.path)) {
        lines.push(format!("in the way: {}, {}: {}", held.path.display(), held.what, held.why));
        holders(&mut lines, held);
    }
    lines
}

/// "1 file", "2 files".
pub(crate) fn number(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn status_words(status: &GuestStatus) -> String {
    match status {
        GuestStatus::Starting => "The guest starts".into(),
        GuestStatus::Running => "The guest's processor runs".into(),
        GuestStatus::Paused => "The guest is paused".into(),
        GuestStatus::Rebooting => "The guest reboots".into(),
        GuestStatus::PoweredOff => "The guest has powered off".into(),
        GuestStatus::Panicked => "The guest's kernel has panicked".into(),
        GuestStatus::Unresponsive => "QEMU does not answer; its picture is not live".into(),
        GuestStatus::Ended => "QEMU has ended".into(),
        GuestStatus::Crashed { how } => format!("QEMU has crashed: {how}"),
    }
}

fn goal_words(goal: Goal) -> &'static str {
    match goal {
        Goal::Build => "build",
        Goal::Boot => "boot",
        Goal::Up => "build and boot",
        Goal::Restore => "restore a slot",
        Goal::Direct => "boot directly",
        Goal::Attach => "attach to a VNC server",
    }
}

fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Built => "built",
        Outcome::Ejected => "asked for",
        Outcome::Cancelled => "cancelled",
        Outcome::Failed => "something failed",
        Outcome::GuestEnded => "the guest has ended",
    }
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn secs(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
