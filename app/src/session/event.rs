//! What the driver tells: past tense, few, never dropped. Front ends fold them with the [`Model`];
//! `--json` prints them, one a line, as [`Told`].

use std::path::PathBuf;

use isoprep::assembly::Node;
use isoprep::contents::Difference;
use isoprep::{CacheView, EjectReport, Image, Progress, Remaining, Removed, SourceChange, Survey};
use serde::{Deserialize, Serialize};
use vmtools::{GuestReport, GuestStatus};

use super::attachment::{AttachWant, AttachedView};
use super::blank::BlankCure;
use super::deploy::DeployEvent;
use super::direct::{DirectView, MenuView};
use super::examination::{LintView, Unexamined};
use super::holder::Holder;
use super::logs::Pane;
use super::model::Model;
use super::onlooker::WatchEnd;
use super::pace::Pace;
use super::sign::Sign;
pub use super::slot_view::SlotView;
use super::state::{Denied, EjectScope, State};
use super::way::Way;
use crate::doctor::Check;

/// The version of the JSON form of [`Told`]. It grows when a field changes its meaning or goes away.
pub const EVENT_VERSION: u32 = 1;

/// An event with the moment it happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// [`EVENT_VERSION`].
    pub v: u32,
    /// Milliseconds since the session began.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that happened in the session.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "events are few and short-lived")]
pub enum Event {
    /// The session is open; its logs are kept in `logs`.
    Opened {
        /// Directory of this session's logs.
        logs: PathBuf,
    },
    /// The state machine moved.
    StateChanged {
        /// The new state.
        state: State,
    },
    /// A command was refused; nothing changed.
    Refused {
        /// Why, typed.
        denied: Denied,
        /// Why, in words.
        reason: String,
    },
    /// A cartridge was inserted, edited, saved or reverted.
    CartridgeChanged {
        /// Everything to show of it.
        cartridge: CartridgeView,
    },
    /// The list of recent cartridges changed.
    RecentChanged {
        /// Newest first.
        recent: Vec<RecentView>,
    },
    /// The cartridge is being looked at; [`Event::Examined`] or [`Event::NotExamined`] follows.
    Examining,
    /// The cartridge was looked at as it will be built.
    Examined {
        /// What would fail late or silently, the worst first.
        lint: Vec<LintView>,
        /// The assembled profile, with where each file came from, in the order of a tree that is all open.
        tree: Vec<Node>,
        /// What is strange about it, a sentence each.
        warnings: Vec<String>,
        /// Why it could not be looked at to the end.
        failure: Option<Failure>,
    },
    /// Nothing is known of the cartridge as it is now: what an earlier look has found is of something else.
    NotExamined {
        /// Why, typed.
        why: Unexamined,
    },
    /// What mends a finding was done. A new examination follows.
    FixApplied {
        /// The finding's.
        id: String,
        /// What was done, as an order: "Add plymouth to image.packages".
        says: String,
        /// The file of the repository that was changed; `None` for a change of the cartridge, which is not saved yet.
        file: Option<PathBuf>,
    },
    /// A build stopped before its packages, because of errors of the lint. [`Event::Failed`] follows.
    StoppedByLint {
        /// All findings, the worst first.
        lint: Vec<LintView>,
    },
    /// The accelerator was chosen.
    AcceleratorChosen {
        /// `kvm` or `tcg`.
        accelerator: String,
        /// Why, in a sentence.
        reason: String,
    },
    /// A build moved.
    BuildProgressed {
        /// How.
        progress: Progress,
        /// How quickly, and how long its stage still takes; told with what begins or advances, where it can be known.
        pace: Option<Pace>,
    },
    /// An image is there.
    ImageBuilt {
        /// The image.
        image: Image,
        /// Milliseconds that the whole build took.
        took_ms: u64,
    },
    /// What is in the new image is being written down and compared; [`Event::BuildCompared`] or [`Event::NotCompared`]
    /// follows, unless the session ends before.
    Comparing,
    /// In what the new image differs from the one that the build before left.
    BuildCompared {
        /// In one sentence: "2 packages newer, 14 files changed, +3.1 MiB"; for a first build, what is in it.
        summary: String,
        /// In all, where there was a build before.
        #[serde(skip_deserializing)]
        difference: Option<Box<Difference>>,
    },
    /// The new image was not compared.
    NotCompared {
        /// What went wrong; `None` if nobody waits for it any more: another cartridge was inserted, or it is built again.
        error: Option<String>,
    },
    /// What the cache holds.
    CacheViewed {
        /// Where it is.
        path: PathBuf,
        /// Its content.
        view: CacheView,
        /// Bytes that cleaning has just freed; `None` if it was only looked at.
        freed: Option<u64>,
    },
    /// What an ISO offers to boot was read.
    #[serde(skip_deserializing)]
    MenuRead {
        /// The ISO, and what it offers or why nothing.
        view: MenuView,
    },
    /// What was asked for while a guest runs is looked at before that guest is ended for it; [`Event::BootChecked`] follows.
    BootChecking,
    /// That look is over. What was found wrong is told next.
    BootChecked {
        /// Whether nothing comes of it: it was cancelled, or the guest went meanwhile.
        dropped: bool,
    },
    /// A guest is about to be booted without a boot loader.
    DirectChosen {
        /// From what.
        view: DirectView,
    },
    /// QEMU was started.
    GuestStarted {
        /// Its process id.
        pid: u32,
        /// The whole command, to be copied.
        command: String,
        /// Why its image has nothing in it that reports, if that is so: a [`Sign`] is what can be waited for.
        mute: Option<String>,
    },
    /// A VNC server of somebody else's is being connected to; [`Event::Attached`] or [`Event::Failed`] follows.
    AttachBegan {
        /// Where it is.
        address: String,
        /// The host that ssh reaches it from, if it does.
        ssh: Option<String>,
    },
    /// It is attached, and its screen is shown in place of a guest's.
    Attached {
        /// Which one.
        view: AttachedView,
    },
    /// The server wants something that the user could give. [`Event::Failed`] follows.
    AttachAsks {
        /// What.
        want: AttachWant,
    },
    /// The list of servers that were attached to changed.
    AttachRecentChanged {
        /// Their addresses, newest first.
        addresses: Vec<String>,
    },
    /// The connection to it is lost, and tried again for a while.
    AttachLost {
        /// Why.
        why: String,
    },
    /// The connection is there again.
    AttachBack,
    /// The guest showed on its serial line how far it has come.
    GuestShowed {
        /// By what.
        sign: Sign,
    },
    /// The guest's state changed.
    GuestChanged {
        /// The new state.
        status: GuestStatus,
    },
    /// The guest is up, and its screen has shown one colour for long.
    ScreenBlank {
        /// For how long, seconds.
        seconds: u64,
        /// What can be done.
        cure: BlankCure,
    },
    /// After [`Event::ScreenBlank`] something is shown again.
    ScreenDrawn,
    /// The guest reported itself on the serial line.
    GuestReported {
        /// What it said.
        report: GuestReport,
        /// Whether its tree hash is that of the image; `None` when it was not booted from an image that is known.
        matches: Option<bool>,
    },
    /// In what the repository differs from what the guest, or the last image, has of it; told when that changes.
    SourceChanged {
        /// Since when.
        since: Since,
        /// What differs, by path: the first 200.
        changes: Vec<SourceChange>,
        /// How many entries differ in all.
        total: usize,
        /// How [`Command::BringIn`](super::command::Command::BringIn) would bring it to the guest.
        way: Way,
    },
    /// It is not known in what the repository differs from the image: there is none, or it was made by an older version.
    SourceUnknown,
    /// What had changed is in the guest.
    BroughtIn {
        /// How it came there.
        way: Way,
        /// Milliseconds from the request until the guest had it and said so.
        took_ms: u64,
    },
    /// The guest that runs is being saved.
    SlotSaving {
        /// The slot's name.
        name: String,
    },
    /// More of it was written; told a few times a second.
    SlotAdvanced {
        /// Bytes of its memory written.
        done: u64,
        /// In all, as far as is known now.
        total: u64,
    },
    /// It was saved, and goes on.
    SlotSaved {
        /// The slot's name.
        name: String,
        /// What it takes on the disk.
        bytes: u64,
        /// Milliseconds.
        took_ms: u64,
    },
    /// A guest was started from a slot, and runs.
    SlotRestored {
        /// The slot's name.
        name: String,
        /// Milliseconds from the start of QEMU's preparation until it ran.
        took_ms: u64,
    },
    /// The cartridge's slots, the newest first.
    SlotsChanged {
        /// All of them.
        slots: Vec<SlotView>,
    },
    /// The repository as it is now was plugged into the guest, and the guest has told what it sees.
    LayerPlugged {
        /// Milliseconds from the request until the guest had told it.
        took_ms: u64,
        /// The hash of the tree that the guest sees.
        tree: String,
        /// Whether it is that of the repository.
        matches: bool,
        /// Why it is not, in the guest's words.
        trouble: Option<String>,
    },
    /// A test began; [`Event::TestEnded`] follows.
    TestBegan {
        /// It starts from a slot; else it boots cold.
        warm: bool,
        /// The slot that it starts from, or that it saves on the way.
        slot: Option<String>,
    },
    /// A step of the test is being done.
    TestStepped {
        /// Which one, from 1.
        number: usize,
        /// How many there are.
        total: usize,
        /// As it is written in the cartridge.
        step: String,
    },
    /// The test is over.
    TestEnded {
        /// It started from a slot; a cold one proves more.
        warm: bool,
        /// Whether all its steps were done, with all that they expected.
        passed: bool,
        /// Milliseconds from the request until the guest had the repository and the first step began.
        ready_ms: Option<u64>,
        /// Milliseconds in all.
        took_ms: u64,
        /// Why it has not passed.
        why: Option<String>,
    },
    /// Whether the warm test runs on every save.
    LiveChanged {
        /// It does.
        live: bool,
    },
    /// A guest port is reachable on this host's loopback.
    PortForwarded {
        /// The name in the cartridge, for example `ssh`.
        name: String,
        /// In the guest.
        guest_port: u16,
        /// On 127.0.0.1.
        host_port: u16,
    },
    /// A screenshot was saved.
    ScreenshotTaken {
        /// Where.
        path: PathBuf,
        /// Whether all its pixels are alike.
        uniform: bool,
    },
    /// Text was read off the guest's screen.
    TextRead {
        /// Lines, each with a line break; empty if there is no text.
        text: String,
    },
    /// Text that was asked for is being typed into the guest, or no longer is.
    TypingChanged {
        /// It is.
        typing: bool,
    },
    /// How long what is being typed still takes: each second, where it takes more than a moment.
    TypingAdvanced {
        /// Milliseconds that are left.
        left_ms: u64,
    },
    /// The guest's screen is being recorded.
    RecordingStarted {
        /// The file.
        path: PathBuf,
    },
    /// A recording is whole.
    RecordingEnded {
        /// Its files: more than one where the guest's screen grew.
        files: Vec<PathBuf>,
        /// Pictures in them.
        frames: u64,
        /// From the first picture to the end, milliseconds.
        length_ms: u64,
    },
    /// What is being ended or removed right now.
    EjectProgressed {
        /// A sentence: "Asked QEMU to quit: 0.2 s".
        step: String,
    },
    /// Files are being removed; told once that takes a while, and then a few times a second.
    /// [`Command::Cancel`](super::command::Command::Cancel) stops it from here on.
    EjectAdvanced {
        /// The directory that is being removed.
        path: PathBuf,
        /// What is gone so far, of everything.
        removed: Removed,
        /// How many entries there are in all, those that are gone included; `null` where that is not known, or not yet.
        #[serde(default)]
        total: Option<u64>,
    },
    /// An eject is done.
    Ejected {
        /// What was removed and what was not touched.
        report: EjectReport,
        /// How long it took.
        took_ms: u64,
        /// How much it was to remove.
        scope: EjectScope,
        /// What is left because the removal was stopped; another eject goes on with it.
        left: Vec<PathBuf>,
    },
    /// An eject has left something because somebody uses it. [`Event::Failed`] follows.
    EjectHeld {
        /// How much it was to remove.
        scope: EjectScope,
        /// What is held, and by whom: [`Command::EjectEnding`](super::command::Command::EjectEnding) ends them.
        held: Vec<Remaining>,
    },
    /// What ejecting everything would remove.
    Surveyed {
        /// One entry a directory.
        surveys: Vec<Survey>,
    },
    /// Something that an earlier, dead session left was found and cleaned.
    Recovered {
        /// What, in sentences.
        what: Vec<String>,
    },
    /// The checks of `doctor` are done.
    Diagnosed {
        /// One a need.
        checks: Vec<Check>,
    },
    /// Worth knowing, nothing failed.
    Noticed {
        /// How loudly.
        level: Level,
        /// A sentence.
        text: String,
    },
    /// Something failed that was worked towards, or a cartridge that was to be inserted.
    Failed {
        /// What and why.
        failure: Failure,
    },
    /// Something failed at the side: what is worked towards is not touched by it.
    SideFailed {
        /// What was tried.
        side: Side,
        /// What and why.
        failure: Failure,
    },
    /// Another session holds the cartridge. [`Event::Failed`] follows.
    InUse {
        /// Which one.
        holder: Holder,
    },
    /// What another session does is seen from here on. Told again where it was not followed quickly enough.
    Joined {
        /// Whose it is.
        holder: Holder,
        /// How many of its events were not followed.
        missed: u64,
        /// The newest sentences of its log.
        said: Vec<String>,
        /// All that is so.
        #[serde(skip)]
        model: Box<Model>,
    },
    /// The process of the session that is watched was stopped, or goes on.
    HolderStopped {
        /// It was stopped.
        stopped: bool,
    },
    /// Nothing more of it is to be seen.
    WatchEnded {
        /// Why.
        end: WatchEnd,
    },
    /// The session is over; nothing follows.
    Closed,
    /// Something of disks and of writing an image to one: an event with a name of its own.
    #[serde(untagged, skip_deserializing)]
    Deploy(DeployEvent),
}

/// Since when a repository has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// Since the guest that runs has seen it.
    Guest,
    /// Since the last build.
    Build,
}

/// How loudly a notice is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    Info,
    /// Something went well that was asked for.
    Success,
    /// Probably not what was meant.
    Warning,
}

/// Work at the side of the goals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Looking at the cache, or emptying it.
    Cache,
    /// Saving the cartridge's settings.
    Save,
    /// Saving the guest's screen.
    Screenshot,
    /// Reading text off the guest's screen.
    Text,
    /// Recording the guest's screen.
    Recording,
    /// Saving a guest as a slot.
    Slot,
    /// Removing a slot.
    Removal,
    /// Finding the slot that is to be restored.
    Restore,
    /// Plugging the repository into a guest.
    Layer,
    /// Beginning a test.
    Test,
    /// Booting something without a boot loader in place of a guest, which stays.
    Boot,
}

/// What failed, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A short sentence: "The build stopped in stage iso".
    pub title: String,
    /// What was tried and what happened.
    pub detail: String,
    /// What to do next, if that is known.
    pub advice: Option<String>,
    /// The command that failed, to be copied and run again.
    pub command: Option<String>,
    /// The log that says more.
    pub pane: Option<Pane>,
    /// The exit code of the headless front end for this failure; see `cartridge help`.
    pub exit_code: u8,
}

impl Failure {
    /// All of it, as the session's log and the terminal say it.
    pub(super) fn sentence(&self) -> String {
        let mut text = format!("FAILED: {}\n{}", self.title, self.detail);
        if let Some(advice) = &self.advice {
            text.push_str(&format!("\n  next: {advice}"));
        }
        if let Some(command) = &self.command {
            text.push_str(&format!("\n  command: {command}"));
        }
        text
    }
}

/// A cartridge as front ends show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartridgeView {
    /// Its file, which need not exist yet.
    pub file: PathBuf,
    /// Its name.
    pub name: String,
    /// The repository's folder.
    pub root: PathBuf,
    /// Where it will be in the guest.
    pub into: String,
    /// Whether the file exists; false for a proposal.
    pub exists: bool,
    /// What was found for a proposal, with the reasons, to be shown before it is written; empty for a file that exists.
    pub proposed: Vec<isoprep::Proposed>,
    /// Whether there are changes that are not in the file.
    pub dirty: bool,
    /// Whether it is the built-in one, which cannot be saved.
    pub builtin: bool,
    /// The file's text with the changes.
    pub text: String,
    /// Every field, in the order of the documentation.
    pub fields: Vec<FieldView>,
    /// What is wrong with it; empty when it can be built.
    pub findings: Vec<FindingView>,
}

/// One field of a cartridge as a form shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldView {
    /// For example `guest.cpus`: look its documentation up in [`isoprep::FIELDS`].
    pub key: String,
    /// As written, or the default.
    pub value: String,
    /// Whether the file does not set it.
    pub is_default: bool,
    /// What is wrong with it.
    pub error: Option<String>,
}

/// One thing that is wrong with a cartridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingView {
    /// The line in the file, from 1.
    pub line: Option<usize>,
    /// The field.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub advice: String,
}

/// A cartridge that was inserted before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentView {
    /// Its folder.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Whether the folder is still there.
    pub exists: bool,
}
