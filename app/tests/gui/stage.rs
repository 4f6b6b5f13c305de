//! A window with a session that a test plays: it tells events and hears commands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cartridge::gui::clock::Clock;
use cartridge::gui::preferences::ThemeChoice;
use cartridge::gui::theme_portal::Desktop;
use cartridge::gui::{App, Insert, KeyTap, Options, theme};
use cartridge::session::event::EVENT_VERSION;
use cartridge::session::logs::LogHub;
use cartridge::session::{Command, Event, SessionHandle, Told, Waker};
use egui_kittest::Harness;
use tokio::sync::mpsc;
use vmtools::display::Screen;

/// The window, and the other ends of its session.
pub struct Stage {
    /// The window.
    pub window: Harness<'static, App>,
    /// Physical keys go in here.
    pub keys: Arc<KeyTap>,
    /// The logs that the window shows.
    pub logs: Arc<LogHub>,
    /// The screen that the window shows.
    pub screen: Arc<Screen>,
    /// Whether the desktop has a file chooser.
    pub chooser: Arc<AtomicBool>,
    events: mpsc::Sender<Told>,
    commands: mpsc::Receiver<Command>,
}

impl Stage {
    /// A dark window of 1100 × 700 points, one pixel a point.
    pub fn new() -> Self {
        Self::with(true, 1.0)
    }

    /// A window of 1100 × 700 points.
    pub fn with(dark: bool, pixels_per_point: f32) -> Self {
        Self::of(dark, pixels_per_point, false)
    }

    /// A dark window that is the one of the guest's screen while there is such a one.
    pub fn apart() -> Self {
        Self::of(true, 1.0, true)
    }

    fn of(dark: bool, pixels_per_point: f32, apart: bool) -> Self {
        let (command_sender, commands) = mpsc::channel(256);
        let (events, event_receiver) = mpsc::channel(1024);
        let logs = LogHub::in_memory();
        let screen = Arc::new(Screen::new());
        let keys = Arc::new(KeyTap::default());
        let session = SessionHandle {
            commands: command_sender,
            events: event_receiver,
            logs: logs.clone(),
            screen: screen.clone(),
            wake: Arc::new(Waker::default()),
            watcher: None,
        };
        let options = Options { insert: Insert::Builtin, ..Options::default() };
        let tap = keys.clone();
        let desktop = Desktop::default();
        let chooser = desktop.file_chooser.clone();
        chooser.store(true, Ordering::Release);
        let make = move || {
            let mut app = App::new(session, tap, desktop, options);
            app.clock = Clock::Fixed(0);
            app.preferences.theme = if dark { ThemeChoice::Dark } else { ThemeChoice::Light };
            app
        };
        let window = Harness::builder()
            .with_size([1100.0, 700.0])
            .with_pixels_per_point(pixels_per_point)
            .with_max_steps(12)
            .with_render_cursor(false)
            .with_context_setup(theme::install);
        let window = match apart {
            false => window.build_eframe(move |_| make()),
            true => window.build_ui_state(
                |ui, app: &mut App| {
                    app.logic(ui.ctx());
                    if app.is_detached() { app.detached_ui(ui) } else { app.ui(ui) }
                },
                make(),
            ),
        };
        Self { window, keys, logs, screen, chooser, events, commands }
    }

    /// Tells an event that happens at this moment of the session.
    pub fn tell(&mut self, at_ms: u64, event: Event) {
        self.events.try_send(Told { v: EVENT_VERSION, at_ms, event }).unwrap();
    }

    /// The window hears everything and settles.
    pub fn settle(&mut self) {
        self.window.run();
    }

    /// What the window has asked for since the last call.
    pub fn asked(&mut self) -> Vec<Command> {
        // Notes for the log are no wishes of the user.
        let all = std::iter::from_fn(|| self.commands.try_recv().ok());
        all.filter(|command| !matches!(command, Command::Note(_))).collect()
    }

    /// Lets the session's end hang up, as a driver that died does.
    pub fn hang_up(self) -> Harness<'static, App> {
        self.window
    }
}
