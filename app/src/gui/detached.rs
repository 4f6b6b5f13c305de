//! The guest's screen in a window of its own. It is painted by itself: what the guest draws there repaints nothing of the
//! main window, which only says where the screen is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use egui::{Context, Ui, ViewportBuilder, ViewportCommand, ViewportId};

use super::APP_ID;
use super::app::App;
use super::place::detached_viewport;
use super::wish::{Wish, Wishes};
use crate::session::Command;

/// The smallest such window, points.
const SMALLEST: [f32; 2] = [480.0, 320.0];

/// The window of its own, while there is one.
#[derive(Clone, Debug)]
pub struct Detached {
    /// As it was made: what the user does to it afterwards is not undone.
    made: ViewportBuilder,
    /// It fills the display and shows the screen alone.
    pub full_screen: bool,
    /// Height of what the desktop puts above its contents, points.
    bar: f32,
}

/// The app as eframe has it: shared with the window of the guest's screen, which is painted between the main window's
/// frames. Both are painted on the main thread, so nobody ever waits for the lock.
pub struct Shell(Arc<Mutex<App>>);

impl Shell {
    /// An app that can have two windows.
    #[must_use]
    pub fn new(app: App) -> Self {
        Self(Arc::new(Mutex::new(app)))
    }

    fn app(&self) -> MutexGuard<'_, App> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl eframe::App for Shell {
    fn logic(&mut self, ctx: &Context, _: &mut eframe::Frame) {
        self.app().logic(ctx);
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        self.app().ui(ui);
        let Some(builder) = self.app().detached_builder() else { return };
        // Weak: egui keeps the callback, and an app that is kept by it would never end its session.
        let app: Weak<Mutex<App>> = Arc::downgrade(&self.0);
        ui.ctx().show_viewport_deferred(detached_viewport(), builder, move |ui, _| {
            if let Some(app) = app.upgrade() {
                app.lock().unwrap_or_else(PoisonError::into_inner).detached_ui(ui);
            }
        });
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        eframe::App::clear_color(&*self.app(), visuals)
    }

    fn on_exit(&mut self, gl: Option<&eframe::glow::Context>) {
        eframe::App::on_exit(&mut *self.app(), gl);
    }
}

impl App {
    /// Gives the guest's screen a window of its own, or brings it back.
    pub(super) fn detach(&mut self, ctx: &Context, on: bool) {
        if self.detached.is_some() == on {
            return;
        }
        // The window that has the keyboard goes, or is another one's now.
        let mut wishes = Wishes::default();
        self.screen.let_go(ctx, &mut wishes);
        for wish in wishes.0 {
            self.fulfil(ctx, wish);
        }
        self.preferences.screen_window.detached = on;
        if on {
            if self.full_screen {
                self.fulfil(ctx, Wish::FullScreen(false));
            }
            self.open_detached(ctx);
        } else {
            self.detached = None;
            self.keys.place.set_detached(false);
        }
        self.save_preferences();
        ctx.request_repaint_of(ViewportId::ROOT);
    }

    /// Whether the guest's screen is in a window of its own.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.detached.is_some()
    }

    /// The window comes again when there is something to show in it, if it was there when the last run ended.
    pub(super) fn detach_again(&mut self, ctx: &Context) {
        if self.preferences.screen_window.detached && self.detached.is_none() && self.model.takes_keys() {
            self.open_detached(ctx);
            ctx.request_repaint_of(ViewportId::ROOT);
        }
    }

    fn open_detached(&mut self, ctx: &Context) {
        let kept = &self.preferences.screen_window;
        let mut made = ViewportBuilder::default()
            .with_app_id(APP_ID)
            .with_inner_size([kept.width, kept.height])
            .with_min_inner_size(SMALLEST)
            .with_maximized(kept.maximized)
            .with_fullscreen(kept.full_screen);
        let scale = ctx.pixels_per_point();
        if let Some(corner) = kept.corner.filter(|corner| self.keys.place.reachable(corner.map(|it| it * scale))) {
            made = made.with_position(corner);
        }
        self.detached = Some(Detached { made, full_screen: kept.full_screen, bar: 0.0 });
        self.keys.place.set_detached(true);
    }

    /// The window of its own as it is to be, if there is to be one.
    pub(super) fn detached_builder(&self) -> Option<ViewportBuilder> {
        let made = self.detached.as_ref()?.made.clone();
        Some(made.with_title(self.detached_title()))
    }

    /// What is written over it.
    pub(super) fn detached_title(&self) -> String {
        let cartridge = self.model.cartridge.as_ref().map(|cartridge| cartridge.name.as_str());
        let name = self.model.attached().map(|view| view.name.as_str()).or(cartridge);
        format!("{} – guest screen", name.unwrap_or("Cartridge"))
    }

    /// Whether somebody has closed it, seen from either window.
    pub(super) fn detached_closes(&self, ctx: &Context) -> bool {
        self.detached.is_some()
            && ctx.input(|input| {
                input.raw.viewports.get(&detached_viewport()).is_some_and(egui::ViewportInfo::close_requested)
            })
    }

    /// One frame of the window of its own.
    pub fn detached_ui(&mut self, ui: &mut Ui) {
        let ctx = ui.ctx().clone();
        if self.detached_closes(&ctx) {
            return self.detach(&ctx, false);
        }
        self.apart = true;
        self.paint_detached(ui, &ctx);
        self.apart = false;
    }

    fn paint_detached(&mut self, ui: &mut Ui, ctx: &Context) {
        let mut wishes = Wishes::default();
        self.pressed(ctx, &mut wishes);
        let now_ms = self.clock.now_ms();
        self.centre(ui, now_ms, &mut wishes);
        self.toasts.show(ctx, 16.0);
        if self.release_owed {
            ctx.request_repaint_after_for(Duration::from_millis(1), ViewportId::ROOT);
        }
        for wish in wishes.0 {
            // Most of what is wished here is keys and pointers, and no matter of the main window.
            if !matches!(wish, Wish::Session(Command::Input(_))) {
                ctx.request_repaint_after_for(Duration::from_millis(1), ViewportId::ROOT);
            }
            self.fulfil(ctx, wish);
        }
        self.remember_detached(ctx);
    }

    fn remember_detached(&mut self, ctx: &Context) {
        let Some(detached) = &mut self.detached else { return };
        let kept = &mut self.preferences.screen_window;
        kept.full_screen = detached.full_screen;
        ctx.input(|input| {
            let viewport = input.viewport();
            kept.maximized = viewport.maximized == Some(true);
            if kept.maximized || detached.full_screen || viewport.fullscreen == Some(true) {
                return;
            }
            let inner = viewport.inner_rect.filter(|rect| rect.is_positive());
            if let Some(rect) = inner {
                (kept.width, kept.height) = (rect.width(), rect.height());
            }
            if let Some(outer) = viewport.outer_rect {
                let bar = inner.map_or(0.0, |inner| inner.min.y - outer.min.y);
                // A window that comes out of the full screen is where it was some frames before its bar is known again.
                if bar * 2.0 >= detached.bar {
                    detached.bar = bar;
                    kept.corner = Some([outer.min.x, outer.min.y]);
                }
            }
        });
    }

    /// Brings the window of its own to the front.
    pub(super) fn raise_detached(ctx: &Context) {
        for command in [ViewportCommand::Minimized(false), ViewportCommand::Focus] {
            ctx.send_viewport_cmd_to(detached_viewport(), command);
        }
    }
}
