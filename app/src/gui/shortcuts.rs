//! What the keyboard does in the window. Nothing here applies while the guest has the keyboard.

use egui::{Context, Key, KeyboardShortcut, Modifiers};

use super::panels::Panel;
use crate::session::logs::Pane;
use crate::session::state::Goal;

/// What a shortcut asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Work towards a goal.
    Goal(Goal),
    /// Bring what changed in the repository to the guest.
    BringIn,
    /// Run the warm test.
    Test,
    /// Eject this session.
    Eject,
    /// Close what is open, else stop what is under way.
    Escape,
    /// Open a repository.
    Open,
    /// Save the cartridge.
    Save,
    /// Enter or leave full screen.
    FullScreen,
    /// Give the guest's screen a window of its own, or bring it back.
    Detach,
    /// Show the guest's screen in the next way of scaling.
    Scaling,
    /// Put the guest's screen into the clipboard, as a picture.
    CopyScreen,
    /// Choose a part of the guest's screen, and put its text into the clipboard.
    ReadText,
    /// Send keys and pointer to the guest, or only look.
    ViewOnly,
    /// Bring a log to the front.
    Log(Pane),
    /// Bring a panel to the front.
    Panel(Panel),
    /// Search the log in front.
    Search,
    /// Show all shortcuts.
    Help,
    /// Show or hide the settings.
    Settings,
    /// Show or hide the logs.
    Logs,
    /// Give the panes at the bottom most of the window, or what they had before.
    Tall,
}

/// The shortcuts as people read them.
pub const LIST: &[(&str, &str)] = &[
    ("Ctrl+Enter", "Build & Boot"),
    ("Ctrl+B", "Build"),
    ("Ctrl+Shift+B", "Boot"),
    ("Ctrl+Shift+Enter", "Bring what changed to the guest"),
    ("Ctrl+R", "Run the test, warm from its slot"),
    ("Ctrl+E", "Eject"),
    ("Esc", "Close what is open, or cancel what is under way"),
    ("Ctrl+O", "Open a repository"),
    ("Ctrl+S", "Save the cartridge"),
    ("F11", "Full screen"),
    ("Ctrl+Shift+W", "The guest's screen in a window of its own, or back"),
    ("Ctrl+Shift+D", "The guest's screen in the next size"),
    ("Ctrl+Shift+P", "Copy the guest's screen as a picture"),
    ("Ctrl+Shift+T", "Copy text off the guest's screen"),
    ("Ctrl+Shift+O", "View only: no keys and no pointer for the guest"),
    ("Ctrl+1…4", "Build, Serial, QEMU, Session log"),
    ("Ctrl+5…8", "Lint, Files, Changes, Slots"),
    ("Ctrl+F", "Search the log, filter the files or changes"),
    ("Ctrl+Shift+S", "Show or hide the settings"),
    ("Ctrl+Shift+L", "Show or hide the panes below"),
    ("Ctrl+Shift+M", "The panes below: tall, or as before"),
    ("F1", "This list"),
];

const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers { shift: true, ..Modifiers::COMMAND };

/// More specific ones come first: egui lets Ctrl+B match Ctrl+Shift+B too.
const KEYS: [(Modifiers, Key, Shortcut); 28] = [
    (CTRL_SHIFT, Key::B, Shortcut::Goal(Goal::Boot)),
    (CTRL_SHIFT, Key::S, Shortcut::Settings),
    (CTRL_SHIFT, Key::L, Shortcut::Logs),
    (CTRL_SHIFT, Key::M, Shortcut::Tall),
    (CTRL_SHIFT, Key::D, Shortcut::Scaling),
    (CTRL_SHIFT, Key::W, Shortcut::Detach),
    (CTRL_SHIFT, Key::P, Shortcut::CopyScreen),
    (CTRL_SHIFT, Key::T, Shortcut::ReadText),
    (CTRL_SHIFT, Key::O, Shortcut::ViewOnly),
    (CTRL_SHIFT, Key::Enter, Shortcut::BringIn),
    (CTRL, Key::Enter, Shortcut::Goal(Goal::Up)),
    (CTRL, Key::B, Shortcut::Goal(Goal::Build)),
    (CTRL, Key::R, Shortcut::Test),
    (CTRL, Key::E, Shortcut::Eject),
    (CTRL, Key::O, Shortcut::Open),
    (CTRL, Key::S, Shortcut::Save),
    (CTRL, Key::F, Shortcut::Search),
    (CTRL, Key::Num1, Shortcut::Log(Pane::Build)),
    (CTRL, Key::Num2, Shortcut::Log(Pane::Serial)),
    (CTRL, Key::Num3, Shortcut::Log(Pane::Qemu)),
    (CTRL, Key::Num4, Shortcut::Log(Pane::Session)),
    (CTRL, Key::Num5, Shortcut::Panel(Panel::Lint)),
    (CTRL, Key::Num6, Shortcut::Panel(Panel::Files)),
    (CTRL, Key::Num7, Shortcut::Panel(Panel::Changes)),
    (CTRL, Key::Num8, Shortcut::Panel(Panel::Slots)),
    (Modifiers::NONE, Key::F11, Shortcut::FullScreen),
    (Modifiers::NONE, Key::F1, Shortcut::Help),
    (Modifiers::NONE, Key::Escape, Shortcut::Escape),
];

/// What has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyboard {
    /// The window, or a field in it.
    Window,
    /// A terminal: only what no shell knows counts.
    Terminal,
    /// A field of a pop-up: nothing counts that acts on what is behind it.
    PopUp,
    /// The window of the guest's screen: what acts on the main window's panes does not count.
    Screen,
}

/// Whether a shortcut is about the guest or its screen, and so means the same in each window.
fn of_the_screen(shortcut: Shortcut) -> bool {
    use Shortcut as S;
    match shortcut {
        S::Goal(_) | S::BringIn | S::Test | S::Eject | S::Escape | S::FullScreen | S::Detach => true,
        S::Scaling | S::CopyScreen | S::ReadText | S::ViewOnly => true,
        S::Open | S::Save | S::Log(_) | S::Panel(_) | S::Search | S::Help | S::Settings | S::Logs | S::Tall => false,
    }
}

/// Takes the shortcuts that were pressed, so that no widget acts on them too.
#[must_use]
pub fn take(ctx: &Context, keyboard: Keyboard) -> Vec<Shortcut> {
    let counts = |modifiers: Modifiers, key: Key, shortcut: Shortcut| match keyboard {
        Keyboard::Window => true,
        Keyboard::Terminal => modifiers == CTRL_SHIFT || key == Key::F11,
        Keyboard::PopUp => matches!(key, Key::F1 | Key::F11 | Key::Escape),
        Keyboard::Screen => of_the_screen(shortcut),
    };
    ctx.input_mut(|input| {
        KEYS.iter()
            .filter(|(modifiers, key, shortcut)| counts(*modifiers, *key, *shortcut))
            .filter(|(modifiers, key, shortcut)| {
                // Escape is only looked at: text fields and menus close with it first.
                if *shortcut == Shortcut::Escape {
                    input.key_pressed(*key)
                } else {
                    input.consume_shortcut(&KeyboardShortcut::new(*modifiers, *key))
                }
            })
            .map(|(_, _, shortcut)| *shortcut)
            .collect()
    })
}
