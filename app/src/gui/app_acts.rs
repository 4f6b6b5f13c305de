//! What the window does with keys and wishes: the one place that sends, copies, opens and saves.

use std::time::Duration;

use egui::{Context, ViewportCommand, ViewportId};
use isoprep::contents::{Change, MOST_LISTED, show};
use tokio::sync::mpsc::error::TrySendError;
use vmtools::display::InputEvent;

use super::app::App;
use super::log_copy::CopyRequest;
use super::panels::Panel;
use super::screen_picture;
use super::shortcuts::{self, Keyboard, Shortcut};
use super::source;
use super::wish::{Dialog, PickFor, Wish, Wishes};
use super::words;
use crate::session::deploy::{DeployCommand, DeployEvent};
use crate::session::event::{Level, Side};
use crate::session::logs::Pane;
use crate::session::state::{EjectScope, Outcome, Phase};
use crate::session::{Command, Event};

/// Bytes put on the clipboard at most.
const CLIPBOARD: usize = 64 * 1024 * 1024;

impl App {
    /// What the keyboard's shortcuts ask for.
    pub(super) fn pressed(&mut self, ctx: &Context, wishes: &mut Wishes) {
        if self.keys.captured() || self.closing.is_some() {
            return;
        }
        // What is typed into a pop-up is nothing that begins or ends a guest.
        let popup = egui::Popup::is_any_open(ctx) && ctx.memory(|memory| memory.focused().is_some());
        let apart = self.apart;
        let keyboard = match (popup, self.logs.typing()) {
            (true, _) => Keyboard::PopUp,
            _ if apart => Keyboard::Screen,
            (false, true) => Keyboard::Terminal,
            (false, false) => Keyboard::Window,
        };
        for shortcut in shortcuts::take(ctx, keyboard) {
            match shortcut {
                Shortcut::Escape => self.escape(ctx, wishes),
                Shortcut::FullScreen => wishes.add(Wish::FullScreen(!self.fills_display())),
                Shortcut::Help => wishes.add(Wish::Open(Dialog::Shortcuts)),
                // With a dialog open the rest would act on what cannot be seen.
                _ if self.dialog.is_some() && !apart => {}
                Shortcut::Detach => wishes.add(Wish::Detach(self.detached.is_none())),
                Shortcut::Scaling => wishes.add(Wish::Scale(self.preferences.scaling.next())),
                Shortcut::CopyScreen => wishes.add(Wish::CopyScreen),
                Shortcut::ReadText => self.screen.read_text(),
                Shortcut::ViewOnly => wishes.add(Wish::ViewOnly(!self.view_only)),
                Shortcut::Goal(goal) => wishes.send(Command::Ask(goal)),
                Shortcut::BringIn if source::waiting(&self.model) => wishes.send(Command::BringIn),
                Shortcut::BringIn => {}
                // What is missing for it the session says.
                Shortcut::Test => wishes.send(Command::RunTest { warm: true }),
                Shortcut::Eject => wishes.send(Command::Eject(EjectScope::Session)),
                Shortcut::Open => wishes.add(Wish::Open(Dialog::OpenRepository)),
                Shortcut::Save => wishes.send(Command::Save),
                Shortcut::Log(pane) => wishes.add(Wish::ShowLog(pane)),
                Shortcut::Panel(panel) => wishes.add(Wish::ShowPanel(panel)),
                Shortcut::Tall => wishes.add(Wish::ToggleTall),
                Shortcut::Search => {
                    self.preferences.logs_open = true;
                    self.panels.search(&mut self.logs);
                }
                Shortcut::Settings => wishes.add(Wish::ToggleSettings),
                Shortcut::Logs => wishes.add(Wish::ToggleLogs),
            }
        }
    }

    /// Whether the window that a frame is of fills the display.
    fn fills_display(&self) -> bool {
        match &self.detached {
            Some(detached) if self.apart => detached.full_screen,
            _ => self.full_screen,
        }
    }

    fn escape(&mut self, ctx: &Context, wishes: &mut Wishes) {
        // Dialogs, menus and fields close by themselves; only what is left means "stop".
        let apart = self.apart;
        let mut closes = || self.dialog.is_some() || self.logs.close_search() || self.had_focus;
        if egui::Popup::is_any_open(ctx) || !apart && closes() {
            return;
        }
        if self.model.can_cancel() {
            wishes.send(Command::Cancel);
        } else if self.fills_display() {
            wishes.add(Wish::FullScreen(false));
        }
    }

    /// Whether a panel is in front, and to be seen.
    pub(super) fn shows(&self, panel: Panel) -> bool {
        self.preferences.logs_open && self.panels.front == Some(panel)
    }

    /// What slots are, and how they fit, is looked at again where it may be another now.
    pub(super) fn list_slots(&mut self, event: &Event) {
        let again = match event {
            Event::CartridgeChanged { cartridge } if cartridge.findings.is_empty() => {
                let new = self.slots_of.as_ref() != Some(&cartridge.file);
                self.slots_of = Some(cartridge.file.clone());
                new || self.shows(Panel::Slots)
            }
            Event::ImageBuilt { .. } => true,
            _ => false,
        };
        if again {
            self.send(Command::ListSlots);
        }
    }

    /// The dialog that asked for a boot goes once its guest has started, or nothing is booted any more.
    pub(super) fn follow_boot(&mut self, event: &Event) {
        let over = match event {
            Event::GuestStarted { .. } => true,
            Event::StateChanged { state } => state.phase == Phase::Idle && state.outcome == Some(Outcome::Cancelled),
            _ => false,
        };
        if over && self.boot_forms.over() && matches!(self.dialog, Some(Dialog::BootIso | Dialog::BootKernel)) {
            self.dialog = None;
        }
        if matches!(event, Event::Refused { .. }) {
            // It is said as a notice.
            self.boot_forms.open();
        }
    }

    /// The dialog that attaches goes once the server is there, and comes when one wants something.
    pub(super) fn follow_attach(&mut self, event: &Event) {
        match event {
            Event::Attached { .. } => {
                if self.attach_form.over() && self.dialog == Some(Dialog::Attach) {
                    self.dialog = None;
                }
                self.attach_form.open();
            }
            Event::AttachAsks { want } => {
                let address = self.model.attach.as_ref().map_or("", |attach| attach.address.as_str());
                if self.attach_form.wanted(want, address, self.view_only) {
                    self.dialog = Some(Dialog::Attach);
                }
            }
            Event::StateChanged { state } if state.outcome == Some(Outcome::Cancelled) => {
                let _ = self.attach_form.over();
            }
            Event::Refused { .. } => {
                let _ = self.attach_form.over();
            }
            _ => {}
        }
    }

    /// What becomes of a disk is said in its dialog, or, where that was closed, as a toast.
    pub(super) fn follow_deploy(&mut self, event: &Event) {
        let Event::Deploy(event) = event else { return };
        if matches!(event, DeployEvent::DeployBegan { .. }) {
            self.deploy_form.began();
        }
        if self.dialog == Some(Dialog::Deploy) {
            return;
        }
        match event {
            DeployEvent::DeployEnded { .. } => self.toasts.add(Level::Success, event.sentence().unwrap_or_default()),
            DeployEvent::DeployFailed { failure, .. } => self.toasts.side_failed(failure),
            _ => {}
        }
    }

    /// Nobody sees the list of disks any more.
    fn unwatch_disks(&mut self) {
        if self.dialog == Some(Dialog::Deploy) {
            self.send(Command::Deploy(DeployCommand::Unwatch));
        }
    }

    /// Text that was read off the guest's screen goes into the clipboard.
    pub(super) fn copy_text(&mut self, ctx: &Context, event: &Event) {
        if matches!(event, Event::TextRead { .. } | Event::SideFailed { side: Side::Text, .. }) {
            self.screen.text_is_read();
        }
        match event {
            Event::TextRead { text } if text.is_empty() => {
                self.toasts.add(Level::Warning, "No text was found there");
            }
            Event::TextRead { text } => self.fulfil(ctx, Wish::Copy(text.trim_end().to_owned())),
            _ => {}
        }
    }

    pub(super) fn fulfil(&mut self, ctx: &Context, wish: Wish) {
        match wish {
            Wish::Session(command) => self.send(command),
            Wish::ShowLog(pane) => {
                self.logs.pane = pane;
                self.panels.front = None;
                self.preferences.logs_open = true;
            }
            Wish::ShowPanel(panel) => {
                self.panels.front = Some(panel);
                self.preferences.logs_open = true;
            }
            Wish::Open(dialog) if self.refuses(&dialog) => {}
            Wish::Open(dialog) => {
                self.boot_forms.open();
                let last = self.model.attach.as_ref().map(|attach| attach.address.as_str());
                self.attach_form.begin(last, self.view_only);
                if dialog == Dialog::Deploy {
                    self.deploy_form.begin(self.model.deploy.running().is_some());
                } else {
                    self.unwatch_disks();
                }
                self.dialog = Some(dialog);
            }
            Wish::CloseDialog => {
                self.boot_forms.open();
                self.attach_form.open();
                self.unwatch_disks();
                if self.dialog.take() == Some(Dialog::Held) {
                    // Who is asked while the window closes, and answers nothing, stays.
                    self.leaving = false;
                }
            }
            Wish::GoOnClosing => self.leaving = true,
            Wish::LeaveHeld => self.leave_held(),
            Wish::RecordTo if self.picker.available() => self.fulfil(ctx, Wish::Pick(PickFor::Recording)),
            Wish::RecordTo => {
                self.fulfil(ctx, Wish::Open(Dialog::RecordTo));
                if self.apart {
                    ctx.send_viewport_cmd_to(ViewportId::ROOT, ViewportCommand::Focus);
                }
            }
            Wish::Pick(what) => {
                let waker = ctx.clone();
                if let Err(error) = self.picker.pick(what, move || waker.request_repaint_of(ViewportId::ROOT)) {
                    self.toasts.add(Level::Warning, format!("The file chooser could not be opened: {error}"));
                }
            }
            Wish::Copy(text) => {
                let lines = text.lines().count();
                let what = if lines > 1 {
                    format!("Copied {} lines", words::count(lines as u64))
                } else {
                    "Copied".to_owned()
                };
                ctx.copy_text(text);
                self.toasts.add(Level::Success, what);
            }
            Wish::CopyLog(pane) => self.copy_lines(ctx, pane, CopyRequest::all()),
            Wish::CopyChanges => self.copy_changes(ctx),
            Wish::FullScreen(on) => {
                match &mut self.detached {
                    Some(detached) if self.apart => detached.full_screen = on,
                    _ => self.full_screen = on,
                }
                ctx.send_viewport_cmd(ViewportCommand::Fullscreen(on));
            }
            Wish::Detach(on) => self.detach(ctx, on),
            Wish::RaiseDetached => Self::raise_detached(ctx),
            Wish::Scale(scaling) => {
                self.preferences.scaling = scaling;
                self.save_preferences();
            }
            Wish::Release(keys) => {
                self.preferences.release = keys;
                self.save_preferences();
            }
            Wish::Layout(layout) => {
                (self.preferences.layout, self.preferences.host_layout) = (layout, None);
                self.save_preferences();
            }
            Wish::HostLayout(layout) => {
                self.preferences.host_layout = Some(layout);
                self.save_preferences();
            }
            Wish::CopyByItself(on) => self.preferences.copy_by_itself = on,
            Wish::Mute(muted) => {
                self.preferences.muted = muted;
                self.save_preferences();
            }
            Wish::ViewOnly(on) => {
                self.view_only = on;
                if on && self.model.typing {
                    self.send(Command::StopTyping);
                }
            }
            Wish::CopyScreen => {
                let (level, words) = match screen_picture::copy(ctx, &self.session.screen) {
                    true => (Level::Success, "The guest's screen is in the clipboard, as a picture"),
                    false => (Level::Warning, "There is no picture of a guest to copy"),
                };
                self.toasts.add(level, words);
            }
            Wish::Theme(choice) => {
                self.preferences.theme = choice;
                self.save_preferences();
            }
            Wish::ToggleSettings => self.preferences.settings_open ^= true,
            Wish::ToggleLogs => self.preferences.logs_open ^= true,
            Wish::ToggleTall => {
                self.preferences.tall ^= true;
                self.preferences.logs_open = true;
            }
            Wish::Watch(on) => self.watch(ctx, on),
            Wish::CloseWindow => ctx.send_viewport_cmd(ViewportCommand::Close),
        }
        // What was wished is seen in the next frame, which nothing else might ask for.
        ctx.request_repaint_after(Duration::from_millis(1));
    }

    pub(super) fn send(&mut self, command: Command) {
        let moved = matches!(command, Command::Input(InputEvent::Pointer { .. }));
        match self.session.commands.try_send(command) {
            Ok(()) => {}
            // A lost position does not matter, a lost release would leave a key down.
            Err(TrySendError::Full(_)) if moved => {}
            Err(TrySendError::Full(Command::Input(_))) => self.release_owed = true,
            Err(TrySendError::Full(Command::Quit | Command::QuitUnlessHeld)) => self.closing = None,
            Err(TrySendError::Full(_)) => {
                self.toasts.add(Level::Warning, "The session is too busy to listen. Try again in a moment.");
            }
            Err(TrySendError::Closed(_)) => self.driver_gone = true,
        }
    }

    /// A log can be 192 MB: its text is collected on a thread, and comes back through `copies`.
    pub(super) fn copy_lines(&mut self, ctx: &Context, pane: Pane, request: CopyRequest) {
        let (logs, done, ctx) = (self.session.logs.clone(), self.copies.0.clone(), ctx.clone());
        let started = std::thread::Builder::new().name("copy".to_owned()).spawn(move || {
            // The window may have closed meanwhile; then nobody wants the text any more.
            let _ = done.send(request.collect(logs.pane(pane), CLIPBOARD));
            ctx.request_repaint_of(ViewportId::ROOT);
        });
        if let Err(error) = started {
            self.toasts.add(Level::Warning, format!("The log could not be copied: {error}"));
        }
    }

    /// Ten thousands of lines: they are written on a thread too.
    fn copy_changes(&mut self, ctx: &Context) {
        let Some(difference) = self.model.comparison.as_ref().and_then(|it| it.difference.clone()) else { return };
        let (done, ctx) = (self.copies.0.clone(), ctx.clone());
        let started = std::thread::Builder::new().name("copy".to_owned()).spawn(move || {
            let style = show::Style { colour: false, most: MOST_LISTED };
            let _ = done.send(show::text(&difference, &Change { from: "before", to: "now" }, style));
            ctx.request_repaint();
        });
        if let Err(error) = started {
            self.toasts.add(Level::Warning, format!("The changes could not be copied: {error}"));
        }
    }

    pub(super) fn remember_size(&mut self, ctx: &Context) {
        let (rect, maximized, full) = ctx.input(|input| {
            let viewport = input.viewport();
            (viewport.inner_rect, viewport.maximized == Some(true), viewport.fullscreen == Some(true))
        });
        self.preferences.maximized = maximized;
        if let Some(rect) = rect.filter(|rect| !maximized && !full && !self.full_screen && rect.is_positive()) {
            (self.preferences.width, self.preferences.height) = (rect.width(), rect.height());
        }
    }

    /// Has the preferences written.
    pub(super) fn save_preferences(&self) {
        if let Some(saver) = &self.saver {
            saver.save(self.preferences.clone());
        }
    }
}
