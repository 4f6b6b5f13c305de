//! What a panel wants: a command for the session, or something of the window itself. Panels only wish; the app acts.

use std::path::PathBuf;

use vmtools::display::{HostLayoutName, Layout};

use crate::session::Command;
use crate::session::logs::Pane;

use super::panels::Panel;
use super::preferences::ThemeChoice;
use super::release_key::ReleaseKey;
use super::scaling::Scaling;

/// One wish of a panel.
#[derive(Clone, Debug)]
pub enum Wish {
    /// For the session.
    Session(Command),
    /// Bring a log to the front.
    ShowLog(Pane),
    /// Bring a panel to the front.
    ShowPanel(Panel),
    /// Open a dialog, in place of the one that is open.
    Open(Dialog),
    /// Close the dialog.
    CloseDialog,
    /// Let the user say which file the guest's screen is recorded to.
    RecordTo,
    /// Let the user pick a file or a folder.
    Pick(PickFor),
    /// Put text on the clipboard and say so.
    Copy(String),
    /// Put all of a log on the clipboard, from a thread.
    CopyLog(Pane),
    /// Put all differences between the last two images on the clipboard, from a thread.
    CopyChanges,
    /// Enter or leave full screen.
    FullScreen(bool),
    /// Give the guest's screen a window of its own, or bring it back.
    Detach(bool),
    /// Bring that window to the front.
    RaiseDetached,
    /// Show the guest's screen this large.
    Scale(Scaling),
    /// Let these keys give the keyboard back.
    Release(ReleaseKey),
    /// Type text on this layout from now on.
    Layout(Layout),
    /// The layout that text is typed on is that one of this host's.
    HostLayout(HostLayoutName),
    /// Take what the guest copies by itself, or only at a press.
    CopyByItself(bool),
    /// Hear nothing of the guest, or what it plays.
    Mute(bool),
    /// Send keys and pointer to the guest, or only look.
    ViewOnly(bool),
    /// Put the guest's screen into the clipboard, as a picture.
    CopyScreen,
    /// Dark, light, or as the desktop does.
    Theme(ThemeChoice),
    /// Show or hide the settings.
    ToggleSettings,
    /// Show or hide the logs.
    ToggleLogs,
    /// Give the panes at the bottom most of the window, or what they had before.
    ToggleTall,
    /// Show what is done by whoever holds the cartridge, or the window's own session again.
    Watch(bool),
    /// Close the window once an eject that was asked for meanwhile is over.
    GoOnClosing,
    /// Close the window, and leave what somebody holds.
    LeaveHeld,
    /// Close the window.
    CloseWindow,
}

/// The dialogs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialog {
    /// The path of a repository, typed or picked.
    OpenRepository,
    /// What ejecting everything would remove.
    EjectEverything,
    /// Who holds what an eject has left, and whether they are to be ended.
    Held,
    /// What the cache holds.
    Cache,
    /// Whether the cache is to be emptied.
    CleanCache,
    /// Whether an edit may change the repository.
    Mend {
        /// The finding's, as [`LintView::id`](crate::session::examination::LintView::id).
        id: String,
    },
    /// Whether a slot is to be restored although something has changed since.
    RestoreSlot {
        /// The slot's.
        name: String,
    },
    /// Whether a slot is to be removed.
    RemoveSlot {
        /// The slot's.
        name: String,
    },
    /// An ISO whose entry is booted without its boot loader.
    BootIso,
    /// A kernel that is booted without a boot loader.
    BootKernel,
    /// A VNC server that is attached to.
    Attach,
    /// The disks that the image of the last build can be written to.
    Deploy,
    /// The file that the guest's screen is recorded to, where no chooser can be opened.
    RecordTo,
    /// The host's checks.
    Doctor,
    /// All shortcuts.
    Shortcuts,
}

/// What a picked path is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PickFor {
    /// Insert this repository.
    Repository,
    /// Set this field.
    Field {
        /// The field's key.
        key: String,
        /// A folder, not a file.
        folder: bool,
        /// Where the dialog begins.
        start: Option<PathBuf>,
    },
    /// Record the guest's screen to this new file.
    Recording,
    /// For the dialogs that boot without a boot loader.
    Boot(BootFile),
    /// Append to this field, a list of folders.
    Item {
        /// The field's key.
        key: String,
        /// Where the dialog begins.
        start: Option<PathBuf>,
    },
}

/// A file of a boot without a boot loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootFile {
    /// An ISO.
    Iso,
    /// A kernel.
    Kernel,
    /// The folder with its modules.
    Modules,
    /// One more initramfs.
    Initrd,
    /// An image with layers.
    Disk,
    /// What keeps what is written over them, which may be new.
    Keep,
    /// A folder that is the root.
    Folder,
}

/// The wishes of one frame.
#[derive(Debug, Default)]
pub struct Wishes(pub Vec<Wish>);

impl Wishes {
    /// Wishes for something.
    pub fn add(&mut self, wish: Wish) {
        self.0.push(wish);
    }

    /// Wishes for a command of the session.
    pub fn send(&mut self, command: Command) {
        self.0.push(Wish::Session(command));
    }
}
