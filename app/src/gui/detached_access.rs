//! The window of the guest's screen for assistive technology. eframe 0.37 makes only its main window accessible; egui makes the tree
//! of every window, so that of this one is handed to AT-SPI here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use accesskit_unix::Adapter;
use egui::accesskit::{ActionHandler, ActionRequest, ActivationHandler, DeactivationHandler, Rect, TreeUpdate};
use egui::{Context, Event, FullOutput, Plugin, RawInput, Ui, ViewportId};

use super::place::detached_viewport;

/// How many actions wait to be done at most.
const WAITING: usize = 64;

/// Makes the second window accessible while it is there.
#[derive(Default)]
pub struct DetachedAccess {
    adapter: Option<Adapter>,
    asked: Arc<Mutex<Vec<ActionRequest>>>,
    /// The viewport whose pass ends.
    ending: ViewportId,
}

/// Called on AT-SPI's own thread.
struct Handler {
    ctx: Context,
    asked: Arc<Mutex<Vec<ActionRequest>>>,
}

fn lock(asked: &Mutex<Vec<ActionRequest>>) -> MutexGuard<'_, Vec<ActionRequest>> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ActivationHandler for Handler {
    fn request_initial_tree(&mut self) -> Option<TreeUpdate> {
        self.ctx.enable_accesskit();
        self.ctx.request_repaint_of(detached_viewport());
        None
    }
}

impl ActionHandler for Handler {
    fn do_action(&mut self, request: ActionRequest) {
        let mut asked = lock(&self.asked);
        if asked.len() < WAITING {
            asked.push(request);
        }
        drop(asked);
        self.ctx.request_repaint_of(detached_viewport());
    }
}

impl DeactivationHandler for Handler {
    // The main window's adapter says so for both.
    fn deactivate_accessibility(&mut self) {}
}

impl Plugin for DetachedAccess {
    fn debug_name(&self) -> &'static str {
        "accessibility of the detached window"
    }

    fn on_exit(&mut self, _: &Context) {
        self.adapter = None;
    }

    fn on_end_pass(&mut self, ui: &mut Ui) {
        self.ending = ui.ctx().viewport_id();
    }

    fn input_hook(&mut self, _: &Context, input: &mut RawInput) {
        if input.viewport_id == detached_viewport() {
            input.events.extend(lock(&self.asked).drain(..).map(Event::AccessKitActionRequest));
        } else if self.adapter.is_some() && !input.viewports.contains_key(&detached_viewport()) {
            // The window has gone.
            self.adapter = None;
            lock(&self.asked).clear();
        }
    }

    fn output_hook(&mut self, ctx: &Context, output: &mut FullOutput) {
        if self.ending != detached_viewport() {
            return;
        }
        let update = output.platform_output.accesskit_update.take();
        let adapter = self.adapter.get_or_insert_with(|| {
            let handler = || Handler { ctx: ctx.clone(), asked: Arc::clone(&self.asked) };
            Adapter::new(handler(), handler(), handler())
        });
        let (scale, window) = ctx.input_for(detached_viewport(), |input| {
            let info = input.viewport();
            (f64::from(input.pixels_per_point), (info.outer_rect, info.inner_rect, info.focused))
        });
        if let (Some(outer), Some(inner), _) = window {
            let rect = |it: egui::Rect| Rect {
                x0: f64::from(it.min.x) * scale,
                y0: f64::from(it.min.y) * scale,
                x1: f64::from(it.max.x) * scale,
                y1: f64::from(it.max.y) * scale,
            };
            adapter.set_root_window_bounds(rect(outer), rect(inner));
        }
        adapter.update_window_focus_state(window.2 == Some(true));
        if let Some(update) = update {
            adapter.update_if_active(|| update);
        }
    }
}
