//! The window while it watches: another session in place of its own, which stays beside it until that is over.

use egui::Context;

use super::app::App;
use super::clock::Clock;
use super::panels::Panels;
use super::screen::ScreenPanel;
use super::wish::{Dialog, Wishes};
use super::words;
use crate::session::event::Level;
use crate::session::logs::Pane;
use crate::session::onlooker::WatchedView;
use crate::session::state::Phase;
use crate::session::{Command, Event, Model, SessionHandle};

/// The window's own session, while another one is shown.
pub(super) struct Own {
    session: SessionHandle,
    model: Model,
    clock: Clock,
}

impl App {
    /// Shows what is done by whoever holds the cartridge, or the own session again.
    pub(super) fn watch(&mut self, ctx: &Context, on: bool) {
        if !on {
            return self.stop_watching(ctx);
        }
        let (Some(watcher), Some(holder)) = (&self.session.watcher, self.model.in_use.clone()) else { return };
        let session = watcher.watch(holder.clone());
        let model = Model { watched: Some(WatchedView { holder, stopped: false, ended: None }), ..Model::default() };
        self.let_go_of_guest(ctx);
        let session = std::mem::replace(&mut self.session, session);
        let model = std::mem::replace(&mut self.model, model);
        self.own = Some(Own { session, model, clock: std::mem::take(&mut self.clock) });
        self.show_another(ctx);
    }

    fn stop_watching(&mut self, ctx: &Context) {
        let Some(own) = self.own.take() else { return };
        let ended = self.model.watched.take().is_some_and(|watched| watched.ended.is_some());
        self.let_go_of_guest(ctx);
        // The one that watched ends with its handle.
        (self.session, self.model, self.clock) = (own.session, own.model, own.clock);
        self.show_another(ctx);
        let cartridge = self.model.cartridge.as_ref().filter(|it| !it.dirty);
        if let Some(cartridge) = cartridge.filter(|_| ended && self.model.in_use.is_some()) {
            // What was said of it is over: it is looked at as if it were new.
            let command = match cartridge.builtin {
                true => Command::InsertBuiltin,
                false => Command::Insert(cartridge.root.clone()),
            };
            self.send(command);
        }
    }

    /// Takes what the own session tells while another one is shown.
    pub(super) fn drain_own(&mut self, ctx: &Context) {
        let Some(own) = &mut self.own else { return };
        while let Ok(told) = own.session.events.try_recv() {
            own.clock.hear(told.at_ms);
            own.model.fold(&told);
        }
        // Who closes the window, or ends the program, means the own session.
        if own.model.closed || ctx.input(|input| input.viewport().close_requested()) {
            self.stop_watching(ctx);
        }
    }

    /// What another session is seen from its beginning: the log that tells most of it comes to the front.
    pub(super) fn follow_watch(&mut self, event: &Event) {
        if !matches!(event, Event::Joined { .. }) {
            return;
        }
        self.settings.refresh();
        self.panels.lint.refresh(self.model.examination.as_ref());
        self.panels.files.refresh();
        let failed = self.model.failure.as_ref().and_then(|failure| failure.pane);
        self.logs.pane = match self.model.state.phase {
            Phase::Idle if failed.is_some() => failed.unwrap_or(Pane::Session),
            Phase::Building => Pane::Build,
            Phase::Booting | Phase::Running => Pane::Serial,
            Phase::Idle | Phase::Preparing | Phase::Ejecting => Pane::Session,
        };
    }

    /// Whether a dialog would change something in a session that is only watched; says so then.
    pub(super) fn refuses(&mut self, dialog: &Dialog) -> bool {
        let Some(watched) = &self.model.watched else { return false };
        if matches!(dialog, Dialog::Shortcuts | Dialog::Doctor) {
            return false;
        }
        let why = words::sentence(&format!("{}.", watched.why_not()));
        self.toasts.add(Level::Warning, why);
        true
    }

    fn let_go_of_guest(&mut self, ctx: &Context) {
        let mut wishes = Wishes::default();
        self.screen.let_go(ctx, &mut wishes);
        for wish in wishes.0 {
            self.fulfil(ctx, wish);
        }
        self.dialog = None;
    }

    /// Nothing of what was shown of the other session stays.
    fn show_another(&mut self, ctx: &Context) {
        self.screen = ScreenPanel::new(self.keys.clone(), self.uploads.clone());
        self.screen.choose_layout(self.preferences.host_layout.clone());
        let pane = std::mem::take(&mut self.logs).pane;
        self.logs.pane = pane;
        self.panels = Panels::default();
        self.panels.lint.refresh(self.model.examination.as_ref());
        self.settings.refresh();
        self.toasts.pass_over(&self.model.notices);
        self.ring_by(ctx);
        ctx.request_repaint();
    }
}
