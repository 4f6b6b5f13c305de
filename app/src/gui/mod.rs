//! The window: it shows a session and sends it commands. Panels are functions of the model that return wishes; nothing
//! here waits, and nothing here is repainted that has not changed.

pub mod ansi;
mod ansi_colours;
pub mod app;
mod app_acts;
mod app_close;
mod app_seen;
mod app_watch;
mod asked;
mod attach;
mod bell;
mod boot_form;
mod boot_iso;
mod boot_kernel;
mod boot_menu;
mod cache;
pub mod changes;
mod changes_rows;
mod changes_words;
pub mod clock;
mod controls;
mod deploy;
mod detached;
mod detached_access;
mod dialogs;
mod doctor;
pub mod files;
mod files_rows;
mod guest_sound;
pub mod headline;
mod held;
pub mod keyboard;
mod keyboard_chord;
mod keyboard_grab;
mod keyboard_inhibit;
mod keyboard_layout;
mod keyboard_learn;
mod keyboard_scancodes;
mod keysyms;
pub mod lint;
mod lint_badge;
mod lint_finding;
mod lint_mend;
mod lint_rows;
mod list_keys;
pub mod log_copy;
mod log_paint;
pub mod log_search;
mod log_tools;
pub mod log_view;
pub mod logs;
mod overlay_blank;
mod overlay_built;
mod overlay_cards;
mod overlays;
pub mod panels;
mod picker;
pub mod place;
pub mod pointer;
pub mod pointer_lock;
pub mod preferences;
mod preferences_saver;
mod progress;
mod proposal;
pub mod release_key;
pub mod scaling;
mod screen;
mod screen_clipboard;
mod screen_follow;
mod screen_full;
mod screen_keys;
mod screen_layout;
mod screen_pan;
mod screen_picture;
mod screen_select;
mod screen_toolbar;
mod settings;
mod settings_engine;
mod settings_field;
mod settings_items;
mod settings_sections;
mod settings_values;
pub mod shortcuts;
pub mod slots;
mod slots_ask;
mod slots_row;
mod slots_test;
pub mod slots_words;
mod source;
mod status;
mod terminal;
mod terminal_keys;
pub mod theme;
mod theme_fonts;
pub mod theme_portal;
pub mod thumbnails;
mod toasts;
mod topbar;
mod varied_rows;
mod watching;
mod wheel;
mod window;
mod wish;
mod words;

use std::path::PathBuf;
use std::sync::Arc;

pub use app::App;
pub use keyboard::KeyTap;
pub use screen_picture::Uploads;

use crate::paths::Paths;
use crate::session::SessionHandle;
use crate::session::attachment::AttachWish;

/// The window's id: the name of its `.desktop` file, so that docks find its icon.
pub const APP_ID: &str = "io.github.cartridge_console.Cartridge";

/// What the window begins with, besides a session.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The cartridge to insert.
    pub insert: Insert,
    /// Where size, theme and panes are remembered; `None` remembers nothing.
    pub preferences: Option<PathBuf>,
    /// The VNC server to attach to, and whether it is only looked at.
    pub attach: Option<(AttachWish, bool)>,
    /// How the guest's pictures are uploaded.
    pub uploads: Arc<Uploads>,
}

/// The cartridge that a window begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Insert {
    /// The one that was used last, if it is still there; else the built-in one.
    #[default]
    Last,
    /// The built-in one.
    Builtin,
    /// This folder or `cartridge.toml`.
    Path(PathBuf),
}

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
pub enum GuiError {
    /// Neither Wayland nor X11 can be reached.
    #[error("no display: {0}. Set DISPLAY or WAYLAND_DISPLAY, or use the same job without a window: `cartridge up`")]
    NoDisplay(#[source] winit::error::EventLoopError),
    /// The window system went away.
    #[error("the window system ended the window: {0}")]
    EventLoop(#[source] winit::error::EventLoopError),
    /// A window with OpenGL cannot be made.
    #[error(
        "no window with OpenGL 2.1 or OpenGL ES 2.0 could be made. Install the GL libraries (Debian: libgl1 libegl1 \
         libgl1-mesa-dri), or use the same job without a window: `cartridge up`"
    )]
    NoWindow,
}

impl GuiError {
    fn no_display(error: winit::error::EventLoopError) -> Self {
        Self::NoDisplay(error)
    }

    fn event_loop(error: winit::error::EventLoopError) -> Self {
        Self::EventLoop(error)
    }
}

/// Shows the session in a window until it is closed, beginning with the cartridge at `path`, with the built-in one, or
/// with the last one, and with the VNC server of `attach`, which is only looked at if that says so. To be called from the
/// main thread. Closing the window sends [`Command::Quit`](crate::session::Command::Quit) and waits, with the window open,
/// for the session's end.
///
/// # Errors
/// When there is no display or no window can be made; the session has then not been told to end.
pub fn run(
    session: SessionHandle,
    path: Option<PathBuf>,
    builtin: bool,
    attach: Option<(AttachWish, bool)>,
) -> Result<(), GuiError> {
    let insert = match path {
        Some(path) => Insert::Path(path),
        None if builtin => Insert::Builtin,
        None => Insert::Last,
    };
    // Without a home nothing is remembered; the session has already said what is wrong then.
    let preferences = Paths::from_env().ok().map(|paths| paths.config.join("window.toml"));
    run_with(session, Options { insert, preferences, attach, uploads: Arc::default() })
}

/// The same with all that a window can begin with.
///
/// # Errors
/// As [`run`].
pub fn run_with(session: SessionHandle, options: Options) -> Result<(), GuiError> {
    window::open(session, options)
}
