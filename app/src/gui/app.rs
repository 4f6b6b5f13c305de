//! The window as a whole: drains events, lays out the panels, fulfils what they wish. It owns no truth of the session;
//! that is the model's.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use egui::{Context, Frame, Margin, Ui, ViewportCommand, ViewportId};
use tokio::sync::mpsc::error::TryRecvError;
use vmtools::display::InputEvent;

use super::app_close::Warned;
use super::app_seen::Painted;
use super::app_watch::Own;
use super::attach::AttachForm;
use super::boot_form::BootForms;
use super::clock::Clock;
use super::deploy::DeployForm;
use super::detached::Detached;
use super::dialogs;
use super::guest_sound::{GuestSound, Heard};
use super::headline::ticking;
use super::keyboard::KeyTap;
use super::logs::LogsPanel;
use super::panels::{Panel, Panels, Shown};
use super::picker::{self, Picker};
use super::preferences::{Preferences, ThemeChoice};
use super::preferences_saver::PreferencesSaver;
use super::screen::{Around, ScreenPanel};
use super::screen_picture::Uploads;
use super::settings::SettingsPanel;
use super::theme::{self, Palette};
use super::theme_portal::Desktop;
use super::toasts::Toasts;
use super::topbar::{self, WindowState};
use super::wish::{Dialog, PickFor, Wish, Wishes};
use super::{Insert, Options, overlays, screen, settings_values, status, watching};
use crate::session::attachment::AttachWish;
use crate::session::event::{Level, Side};
use crate::session::logs::Pane;
use crate::session::state::{Goal, Phase};
use crate::session::{Command, Event, Model, SessionHandle};

/// Events folded in one frame at most; the rest waits for the next one.
const EVENTS_A_FRAME: usize = 2000;
/// The window's state.
pub struct App {
    pub(super) session: SessionHandle,
    /// The window's own session, while `session` is another one that is watched.
    pub(super) own: Option<Own>,
    pub(super) uploads: Arc<Uploads>,
    /// What to insert once the session is open.
    pub(super) insert: Option<Insert>,
    /// What to attach to then.
    attach: Option<AttachWish>,
    /// Everything that was told, folded.
    pub model: Model,
    /// The session's time.
    pub clock: Clock,
    /// What is remembered between runs.
    pub preferences: Preferences,
    /// `None` remembers nothing.
    pub(super) saver: Option<Arc<PreferencesSaver>>,
    pub(super) desktop: Desktop,
    pub(super) keys: Arc<KeyTap>,
    pub(super) settings: SettingsPanel,
    pub(super) screen: ScreenPanel,
    sound: GuestSound,
    /// The logs at the bottom.
    pub logs: LogsPanel,
    /// The panels beside them.
    pub panels: Panels,
    pub(super) toasts: Toasts,
    pub(super) picker: Picker,
    pub(super) dialog: Option<Dialog>,
    /// What is typed into the dialogs that boot without a boot loader.
    pub(super) boot_forms: BootForms,
    /// What is typed into the one that attaches.
    pub(super) attach_form: AttachForm,
    /// What is chosen and typed in the one that writes to a disk.
    pub(super) deploy_form: DeployForm,
    pub(super) copies: (mpsc::Sender<String>, mpsc::Receiver<String>),
    pub(super) full_screen: bool,
    /// The guest's screen is in a window of its own.
    pub(super) detached: Option<Detached>,
    /// That window is being painted, not the main one.
    pub(super) apart: bool,
    /// Nothing of keys and pointer goes to the guest.
    pub(super) view_only: bool,
    pub(super) closing: Option<Instant>,
    /// The window was to be closed, and it is asked about what somebody holds.
    pub(super) leaving: bool,
    /// Of what the user was warned when the window was to be closed.
    pub(super) warned: Warned,
    /// The cartridge whose slots were asked for.
    pub(super) slots_of: Option<PathBuf>,
    pub(super) painted: Painted,
    first_frame_drawn: bool,
    first_frame_told: bool,
    pub(super) driver_gone: bool,
    /// A release of all keys did not fit into the queue: it must not be forgotten.
    pub(super) release_owed: bool,
    pub(super) had_focus: bool,
    /// Whether the desktop's focus was on the window; `None` until it was seen.
    window_focus: Option<bool>,
    pub(super) title: String,
}

impl App {
    /// A window of this session. `keys` is filled by whoever sees physical keys.
    #[must_use]
    pub fn new(session: SessionHandle, keys: Arc<KeyTap>, desktop: Desktop, options: Options) -> Self {
        let Options { insert, preferences: preferences_file, attach, uploads } = options;
        let (attach, view_only) = attach.map_or((None, false), |(wish, only)| (Some(wish), only));
        let preferences = preferences_file.as_deref().map(Preferences::load).unwrap_or_default();
        let mut screen = ScreenPanel::new(keys.clone(), uploads.clone());
        screen.choose_layout(preferences.host_layout.clone());
        Self {
            session,
            own: None,
            uploads,
            insert: Some(insert),
            attach,
            model: Model::default(),
            clock: Clock::default(),
            preferences,
            saver: preferences_file.map(|file| Arc::new(PreferencesSaver::begin(file))),
            picker: Picker::new(desktop.file_chooser.clone()),
            desktop,
            screen,
            sound: GuestSound::default(),
            keys,
            settings: SettingsPanel::default(),
            logs: LogsPanel::default(),
            panels: Panels::default(),
            toasts: Toasts::default(),
            dialog: None,
            boot_forms: BootForms::default(),
            attach_form: AttachForm::default(),
            deploy_form: DeployForm::default(),
            copies: mpsc::channel(),
            full_screen: false,
            detached: None,
            apart: false,
            view_only,
            closing: None,
            leaving: false,
            warned: Warned::default(),
            slots_of: None,
            painted: Painted::default(),
            first_frame_drawn: false,
            first_frame_told: false,
            driver_gone: false,
            release_owed: false,
            had_focus: false,
            window_focus: None,
            title: String::new(),
        }
    }

    /// Sets fonts and themes, and lets the session and the screen wake the window.
    pub fn attach(&self, ctx: &Context) {
        theme::install(ctx);
        self.ring_by(ctx);
    }

    /// Lets what is shown wake the window.
    pub(super) fn ring_by(&self, ctx: &Context) {
        // Asking for a repaint "after" paints once and merges with others that are already asked for.
        let wake = |ctx: &Context, after: u64| {
            let ctx = ctx.clone();
            move || ctx.request_repaint_after_for(Duration::from_millis(after), ViewportId::ROOT)
        };
        self.session.wake.set(Box::new(wake(ctx, 30)));
        let (keys, screen) = (Arc::clone(&self.keys), ctx.clone());
        self.session.screen.set_waker(Box::new(move || keys.place.wake(&screen, Duration::from_millis(4))));
        self.desktop.follow(wake(ctx, 1));
    }

    /// Before each frame, and also while the window is hidden: takes what the session told.
    pub fn logic(&mut self, ctx: &Context) {
        if self.first_frame_drawn && !self.first_frame_told {
            self.first_frame_told = true;
            self.send(Command::Note(format!("The window had drawn its first frame after {} ms", crate::running_ms())));
        }
        self.drain_own(ctx);
        self.drain(ctx);
        // Also where nothing is painted.
        if std::mem::take(&mut self.release_owed) {
            self.send(Command::Input(InputEvent::ReleaseAll));
        }
        self.toasts.follow(&self.model.notices);
        // Also of a window that nobody sees.
        let heard =
            Heard::of(&self.model, &self.session.screen, self.preferences.muted || self.model.watched.is_some());
        self.screen.say_silent(self.sound.follow(ctx, &self.session.screen, heard));
        let dark = match self.preferences.theme {
            ThemeChoice::System => self.desktop.dark(),
            ThemeChoice::Dark => true,
            ThemeChoice::Light => false,
        };
        let wanted = if dark { egui::ThemePreference::Dark } else { egui::ThemePreference::Light };
        if ctx.options(|options| options.theme_preference) != wanted {
            ctx.set_theme(wanted);
        }
        self.detach_again(ctx);
        if self.detached_closes(ctx) {
            self.detach(ctx, false);
        }
        let unseen = self.unseen(ctx);
        self.session.screen.set_visible(!unseen);
        self.session.screen.set_view_only(self.view_only || self.model.watched.is_some());
        let mut wishes = Wishes::default();
        self.screen.follow_focus(ctx, &mut wishes);
        for wish in wishes.0 {
            self.fulfil(ctx, wish);
        }
        // Whoever comes back may have edited something elsewhere, or installed what is missing.
        let focus = ctx.input(|input| input.focused);
        if self.window_focus.replace(focus) == Some(false) && focus {
            self.send(Command::Refresh);
            if self.model.checks.iter().flatten().any(|check| check.status == crate::doctor::Status::Missing) {
                self.send(Command::Diagnose);
            }
        }
        let cartridge = self.model.cartridge.as_ref().map(|cartridge| &cartridge.name);
        let of = self.model.attached().map(|view| &view.name).or(cartridge);
        let title = of.map_or("Cartridge".to_owned(), |name| format!("{name} – Cartridge"));
        if title != self.title {
            ctx.send_viewport_cmd(ViewportCommand::Title(title.clone()));
            self.title = title;
        }
        self.close(ctx);
    }

    fn drain(&mut self, ctx: &Context) {
        for taken in 0.. {
            if taken == EVENTS_A_FRAME {
                ctx.request_repaint_after(Duration::from_millis(1));
                return;
            }
            match self.session.events.try_recv() {
                Ok(told) => {
                    if self.detached.is_some() {
                        self.keys.place.wake(ctx, Duration::from_millis(1));
                    }
                    let before = self.model.state.phase;
                    self.clock.hear(told.at_ms);
                    self.model.fold(&told);
                    self.front_log(before, &told.event);
                    self.refresh(&told.event);
                    self.list_slots(&told.event);
                    self.follow_attach(&told.event);
                    self.follow_boot(&told.event);
                    self.follow_deploy(&told.event);
                    self.follow_held(&told.event);
                    self.follow_watch(&told.event);
                    self.copy_text(ctx, &told.event);
                    if matches!(told.event, Event::RecentChanged { .. }) {
                        self.first_insert();
                    }
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    if !self.driver_gone && !self.model.closed {
                        self.toasts.add(Level::Warning, "The session has ended. Close the window and start again.");
                    }
                    self.driver_gone = true;
                    return;
                }
            }
        }
    }

    /// The window opens on something that works: what it was asked for, else the last cartridge, else the built-in one.
    fn first_insert(&mut self) {
        let Some(insert) = self.insert.take() else { return };
        let command = match insert {
            Insert::Path(path) => Command::Insert(path),
            Insert::Builtin => Command::InsertBuiltin,
            Insert::Last => match self.model.recent.iter().find(|recent| recent.exists) {
                Some(recent) => Command::Insert(recent.path.clone()),
                None => Command::InsertBuiltin,
            },
        };
        self.send(command);
        self.send(Command::Diagnose);
        if let Some(wish) = self.attach.take() {
            self.send(Command::Attach(Box::new(wish)));
        }
    }

    /// The log that tells most about what begins now comes to the front; where the lint stopped a build, its findings.
    fn front_log(&mut self, before: Phase, event: &Event) {
        let after = self.model.state.phase;
        match (event, after) {
            (Event::StoppedByLint { .. }, _) => self.panels.front = Some(Panel::Lint),
            (Event::Failed { failure }, _) => {
                let Some(pane) = failure.pane else { return };
                self.logs.pane = pane;
                if !self.model.stopped_by_lint() {
                    self.panels.front = None;
                }
            }
            // Who restores from the list of slots goes on there.
            (_, Phase::Booting) if self.model.state.goal == Some(Goal::Restore) && self.shows(Panel::Slots) => {}
            // It has no log but the session's.
            (_, Phase::Booting) if self.model.attaches() => {}
            (_, Phase::Building | Phase::Booting) if before != after => {
                self.logs.pane = if after == Phase::Building { Pane::Build } else { Pane::Serial };
                self.panels.front = None;
            }
            _ => {}
        }
    }

    /// What panels made of what is another now is made anew.
    fn refresh(&mut self, event: &Event) {
        let model = &self.model;
        if let Some(goal) = model.state.goal {
            self.panels.lint.asked = Some(goal);
        }
        match event {
            Event::CartridgeChanged { .. }
            | Event::Examined { .. }
            | Event::NotExamined { .. }
            | Event::StoppedByLint { .. } => {
                self.settings.refresh();
                self.panels.lint.refresh(model.examination.as_ref());
                self.panels.files.refresh();
            }
            // A dialog that waits for it says it.
            Event::Failed { failure } | Event::SideFailed { side: Side::Boot, failure }
                if self.boot_forms.failed(failure) || self.attach_form.failed(failure) => {}
            // Its dialog says it.
            Event::Failed { .. } if model.unfinished.as_ref().is_some_and(|it| !it.held.is_empty()) => {}
            Event::Failed { failure } if model.state.phase == Phase::Idle => self.toasts.failed(model, failure),
            // It is said in the dialog that asked for it.
            Event::SideFailed { side: Side::Cache, .. } if self.dialog == Some(Dialog::Cache) => {}
            Event::SideFailed { side: Side::Slot | Side::Removal | Side::Restore, .. } if self.shows(Panel::Slots) => {}
            Event::SideFailed { failure, .. } => self.toasts.side_failed(failure),
            _ => {}
        }
        if matches!(
            event,
            Event::BuildCompared { .. }
                | Event::NotCompared { .. }
                | Event::Comparing
                | Event::CartridgeChanged { .. }
                | Event::StateChanged { .. }
        ) {
            let difference = model.comparison.as_ref().and_then(|it| it.difference.as_deref());
            self.panels.changes.refresh(difference);
        }
    }

    /// One frame.
    pub fn ui(&mut self, ui: &mut Ui) {
        let ctx = ui.ctx().clone();
        if !self.first_frame_drawn {
            self.first_frame_drawn = true;
            // One more turn, in which the first frame is known to be on the screen.
            ctx.request_repaint();
        }
        let mut wishes = Wishes::default();
        self.pressed(&ctx, &mut wishes);
        let now_ms = self.clock.now_ms();
        if self.full_screen && self.detached.is_none() {
            self.centre(ui, now_ms, &mut wishes);
        } else {
            self.panels(ui, now_ms, &mut wishes);
        }
        let picker = self.picker.available();
        let forms = (&mut self.boot_forms, &mut self.attach_form, &mut self.deploy_form);
        let closing = self.leaving;
        dialogs::show(&ctx, self.dialog.as_ref(), &self.model, (picker, closing), forms, &mut wishes);
        if self.closing.is_some() {
            dialogs::closing(&ctx, &self.model);
        }
        self.toasts.show(&ctx, 44.0);
        self.had_focus = ctx.memory(|memory| memory.focused().is_some());
        for (what, path) in self.picker.take() {
            match what {
                PickFor::Boot(file) => self.boot_forms.picked(file, path, &mut wishes),
                what => wishes.0.extend(self.picked(what, path).map(Wish::Session)),
            }
        }
        for text in self.copies.1.try_iter().collect::<Vec<_>>() {
            wishes.add(Wish::Copy(text));
        }
        for wish in wishes.0 {
            self.fulfil(&ctx, wish);
        }
        self.remember_size(&ctx);
        if ticking(&self.model)
            && let Some(after) = self.clock.tick(Duration::from_millis(250))
        {
            ctx.request_repaint_after(after);
        }
    }

    /// What is asked for once something was picked.
    fn picked(&self, what: PickFor, path: PathBuf) -> Option<Command> {
        let cartridge = self.model.cartridge.as_ref();
        match what {
            PickFor::Repository => Some(Command::Insert(path)),
            PickFor::Field { key, .. } => {
                let value = picker::value(cartridge?, &key, &path);
                Some(Command::SetField { key, value })
            }
            PickFor::Recording => Some(Command::StartRecording(Some(dialogs::video(path)))),
            PickFor::Boot(_) => None,
            PickFor::Item { key, .. } => {
                let view = cartridge?.fields.iter().find(|field| field.key == key)?;
                let doc = isoprep::FIELDS.iter().find(|doc| doc.key == key)?;
                let value = settings_values::with(doc, view, picker::value(cartridge?, &key, &path))?;
                Some(Command::SetField { key, value })
            }
        }
    }

    fn panels(&mut self, ui: &mut Ui, now_ms: u64, wishes: &mut Wishes) {
        let palette = Palette::of(ui);
        let plain = |fill| Frame::new().fill(fill);
        let window = WindowState {
            theme: self.preferences.theme,
            settings_open: self.preferences.settings_open,
            logs_open: self.preferences.logs_open,
            lint: self.panels.lint.counts(),
        };
        egui::Panel::top("top")
            .exact_size(56.0)
            .frame(plain(palette.panel).inner_margin(Margin::symmetric(12, 0)))
            .show(ui, |ui| topbar::show(ui, &self.model, now_ms, window, wishes));
        if let Some(watched) = &self.model.watched {
            egui::Panel::top("watching")
                .exact_size(watching::BAR)
                .frame(plain(palette.panel.lerp_to_gamma(palette.accent, 0.12)).inner_margin(Margin::symmetric(14, 0)))
                .show(ui, |ui| watching::bar(ui, watched, wishes));
        }
        egui::Panel::bottom("status")
            .exact_size(28.0)
            .frame(plain(palette.panel).inner_margin(Margin::symmetric(14, 0)))
            .show(ui, |ui| status::show(ui, &self.model, window.logs_open, wishes));
        if window.settings_open {
            egui::Panel::left("settings")
                .default_size(296.0)
                .size_range(250.0..=460.0)
                .frame(plain(palette.panel).inner_margin(Margin { left: 16, right: 10, top: 8, bottom: 8 }))
                .show(ui, |ui| {
                    // Seen as they are there; the bar above says why nothing of it can be changed.
                    ui.add_enabled_ui(self.model.watched.is_none(), |ui| {
                        self.settings.show(ui, &self.model, self.picker.available(), wishes);
                    });
                });
        }
        if window.logs_open {
            // A guest's screen stays large enough to be watched; else a line that says how things are is enough.
            let above = if self.model.takes_keys() { 220.0 } else { screen::TOOLBAR + overlays::LINE };
            let most = (ui.available_height() - above).max(140.0);
            let tall = self.preferences.tall;
            let bottom = match tall {
                true => egui::Panel::bottom("tall panes").resizable(false).exact_size(most),
                false => egui::Panel::bottom("logs").resizable(true).default_size(212.0).size_range(110.0..=most),
            };
            let (panels, logs) = (&mut self.panels, &mut self.logs);
            let shown = Shown { hub: &self.session.logs, model: &self.model, clock: self.clock, tall };
            let shown = bottom.frame(plain(palette.window)).show(ui, |ui| panels.show(ui, logs, &shown, wishes));
            if let Some(copy) = shown.inner {
                self.copy_lines(ui.ctx(), self.logs.pane, copy);
            }
        }
        self.centre(ui, now_ms, wishes);
    }

    /// The guest's screen; in the main window, while that is in its own, what is the case.
    pub(super) fn centre(&mut self, ui: &mut Ui, now_ms: u64, wishes: &mut Wishes) {
        let heard = Heard::of(&self.model, &self.session.screen, self.preferences.muted);
        let around = Around {
            covered: self.dialog.is_some() && !self.apart
                || self.closing.is_some()
                || egui::Popup::is_any_open(ui.ctx()),
            full_screen: self.detached.as_ref().map_or(self.full_screen, |own| own.full_screen),
            detached: self.detached.is_some(),
            goal: self.panels.lint.asked,
            scaling: self.preferences.scaling,
            release: self.preferences.release,
            layout: self.preferences.layout,
            copy_by_itself: self.preferences.copy_by_itself,
            heard,
            view_only: self.view_only || self.model.watched.is_some(),
            watched: self.model.watched.is_some(),
        };
        egui::CentralPanel::no_frame().show(ui, |ui| {
            if around.detached && !self.apart {
                return self.screen.elsewhere(ui, &self.model, now_ms, around, wishes);
            }
            self.paints_screen(ui.ctx());
            self.screen.show(ui, &self.model, &self.session.screen, now_ms, around, wishes);
        });
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &Context, _: &mut eframe::Frame) {
        Self::logic(self, ctx);
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        Self::ui(self, ui);
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }

    fn on_exit(&mut self, _: Option<&eframe::glow::Context>) {
        self.say_what_is_left();
        // Whoever has opened the window waits for it, once that is gone.
        self.save_preferences();
    }
}
