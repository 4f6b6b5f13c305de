//! What a front end can ask of the session. Imperative; the driver answers by events only.

use std::path::PathBuf;

use isoprep::Holder;
use vmtools::display::{GuestLayout, InputEvent, Rect};

use super::attachment::AttachWish;
use super::deploy::DeployCommand;
use super::direct::DirectWish;
use super::run_field::RunField;
use super::state::{EjectScope, Goal};

/// A request to the driver.
#[derive(Clone, Debug)]
pub enum Command {
    /// Insert a repository folder or a `cartridge.toml`.
    Insert(PathBuf),
    /// Insert the built-in cartridge.
    InsertBuiltin,
    /// Insert a cartridge with fields set for this run alone.
    InsertFor {
        /// The cartridge, as in [`Insert`](Self::Insert); `None` for the built-in one.
        cartridge: Option<PathBuf>,
        /// What is set.
        fields: Vec<RunField>,
    },
    /// Change one field of the inserted cartridge, as a form shows it; empty means its default. Not saved yet.
    SetField {
        /// The field's key, for example `guest.cpus`.
        key: String,
        /// Its new value.
        value: String,
    },
    /// Write the cartridge's changes to its file.
    Save,
    /// Forget the changes that were not saved.
    Revert,
    /// Look at the inserted cartridge as it is now: its lint, and the profile that will be built. Done by itself, a moment
    /// after it was inserted, edited or saved.
    Examine,
    /// Another program may have edited the cartridge or its repository: look at both again, as after an edit.
    Refresh,
    /// Do what mends a finding of the last examination.
    ApplyFix {
        /// [`LintView::id`](super::examination::LintView::id).
        id: String,
        /// The user was asked. Needed where [`LintView::asks`](super::examination::LintView::asks): it changes the
        /// repository itself, not the cartridge.
        asked: bool,
    },
    /// Work towards a goal.
    Ask(Goal),
    /// As [`Command::Ask`], and build in spite of errors of the lint.
    AskAnyway(Goal),
    /// Boot a kernel without a boot loader: that of the last build's image, of an ISO, or of this host.
    BootDirect(Box<DirectWish>),
    /// Attach to a VNC server of somebody else's, in place of one that is attached:
    /// [`Event::Attached`](super::event::Event::Attached) follows. An eject lets go of it.
    Attach(Box<AttachWish>),
    /// See the disks of this host, or write an image to one, beside everything else.
    Deploy(DeployCommand),
    /// Read what an ISO offers to boot. [`Event::MenuRead`](super::event::Event::MenuRead) answers.
    ReadMenu(PathBuf),
    /// Stop what is under way. Of an eject that is the removal, from [`Event::EjectAdvanced`](super::event::Event::EjectAdvanced)
    /// on; what it left the next eject removes.
    Cancel,
    /// End the guest and remove work; [`EjectScope::Everything`] removes caches and images too.
    Eject(EjectScope),
    /// Eject as the last time, and end these processes on the way, which hold what is to be removed. Of them only those are ended
    /// that [`Event::EjectHeld`](super::event::Event::EjectHeld) has named last and that are not spared.
    EjectEnding {
        /// Whom the user has agreed to end.
        agreed: Vec<Holder>,
    },
    /// Find out what [`EjectScope::Everything`] would remove.
    SurveyEverything,
    /// Find out what the cache holds.
    ViewCache,
    /// Empty the cache, unless a build uses it. Images stay.
    CleanCache,
    /// Bring what changed in the repository to the guest, by the quickest way that there is:
    /// [`Event::BroughtIn`](super::event::Event::BroughtIn) follows once the guest has it.
    BringIn,
    /// Bytes typed into the serial console.
    SendSerial(Vec<u8>),
    /// A key or the pointer, for the guest's display.
    Input(InputEvent),
    /// Press keys together, then release them in reverse: XT set-1 scancodes.
    SendCombo(Vec<u16>),
    /// Type text into the guest's display at a human rate.
    TypeText {
        /// What to type; characters that the layout does not have are left out, and told.
        text: String,
        /// The keyboard layout that the guest has.
        layout: GuestLayout,
    },
    /// Type nothing more of it; a test's own typing goes on.
    StopTyping,
    /// Save the guest's screen as PNG: at the path, or in the user's pictures folder.
    Screenshot(Option<PathBuf>),
    /// Read the text that the guest's screen shows within the rectangle of its pixels, or anywhere:
    /// [`Event::TextRead`](super::event::Event::TextRead) follows.
    ReadText(Option<Rect>),
    /// Record the guest's screen as a video: to a new file at the path, or in the user's videos folder. It ends with the guest.
    StartRecording(Option<PathBuf>),
    /// End the recording: [`Event::RecordingEnded`](super::event::Event::RecordingEnded) follows when its file is whole.
    StopRecording,
    /// Find out which slots the inserted cartridge has: [`Event::SlotsChanged`](super::event::Event::SlotsChanged) follows.
    ListSlots,
    /// Save the guest that runs as a slot of that name, in place of one that there is.
    SaveSlot {
        /// Any text.
        name: String,
    },
    /// Stop saving; the guest goes on.
    CancelSlot,
    /// End the guest, if one runs, and start one from the slot.
    RestoreSlot {
        /// The slot's.
        name: String,
        /// Restore it although what it depends on has changed, as long as it can be restored at all.
        anyway: bool,
    },
    /// Remove a slot.
    RemoveSlot {
        /// The slot's.
        name: String,
    },
    /// Pack the repository as it is now and plug it into the guest that runs:
    /// [`Event::LayerPlugged`](super::event::Event::LayerPlugged) follows once the guest has it.
    PlugLayer,
    /// Test the repository as it is: the steps of `[test]`.
    RunTest {
        /// From the slot that `[test]` names, with the repository brought in as a layer; else from a build and a cold boot.
        warm: bool,
    },
    /// Run the warm test now, and again on every save of a file of the repository, until it is switched off.
    SetLive(bool),
    /// Press the guest's reset button.
    ResetGuest,
    /// Press the guest's power button.
    PressPower,
    /// Run the checks of `doctor`.
    Diagnose,
    /// Forget one recent cartridge.
    ForgetRecent(PathBuf),
    /// Write a line of the front end's own into the session's log.
    Note(String),
    /// Eject, then end the session. [`Event::Closed`](super::event::Event::Closed) is the last event. After a
    /// [`Command::QuitUnlessHeld`] that did not end it, what is held is left as it is, and nothing is tried again.
    Quit,
    /// The same, unless somebody holds what was to be removed ([`Event::EjectHeld`](super::event::Event::EjectHeld)): then the session is
    /// idle again, so that the user can be asked.
    QuitUnlessHeld,
}

impl Command {
    /// Whether a front end asks for it by itself, to show something or to let go of it, and nothing is lost where nobody does it.
    #[must_use]
    pub fn is_for_show(&self) -> bool {
        matches!(
            self,
            Self::Note(_)
                | Self::Refresh
                | Self::Examine
                | Self::ListSlots
                | Self::Diagnose
                | Self::ViewCache
                | Self::StopTyping
                | Self::Input(_)
                | Self::Deploy(super::deploy::DeployCommand::Unwatch)
        )
    }
}
