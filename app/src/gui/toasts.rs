//! Notices that come and go in the corner. Still while they are shown: an animation would repaint the whole window.

use std::time::Duration;

use egui::{Align2, Area, Context, Frame, Id, Margin, Order, RichText, Stroke, Vec2};
use lucide_icons::Icon;

use super::controls;
use super::theme::Palette;
use crate::session::event::Level;

/// How long a notice is shown.
const SHOWN: f64 = 6.0;
/// How many are shown at once; older ones give way.
const AT_ONCE: usize = 4;

#[derive(Debug)]
struct Toast {
    level: Level,
    text: String,
    /// When it goes, in egui's seconds; set in the frame that first shows it.
    until: Option<f64>,
    serial: u64,
}

/// The notices in the corner.
#[derive(Debug, Default)]
pub struct Toasts {
    shown: Vec<Toast>,
    serial: u64,
    /// How many of the model's notices were taken, and when the newest of them was told.
    seen: Option<(u64, usize)>,
}

impl Toasts {
    /// Shows a notice.
    pub fn add(&mut self, level: Level, text: impl Into<String>) {
        let text: String = text.into();
        let text = super::words::sentence(&text);
        // The same words again only stay longer: a refused key that repeats must not fill the corner.
        self.shown.retain(|toast| toast.text != text);
        self.serial += 1;
        self.shown.push(Toast { level, text, until: None, serial: self.serial });
        let excess = self.shown.len().saturating_sub(AT_ONCE);
        self.shown.drain(..excess);
    }

    /// Something failed beside the goals: there is no card for it, so that it is said here.
    pub fn failed(&mut self, model: &crate::session::Model, failure: &crate::session::event::Failure) {
        let said = model.state.outcome == Some(crate::session::state::Outcome::Failed)
            || model.cartridge.as_ref().is_some_and(|cartridge| !cartridge.findings.is_empty());
        if !said {
            self.side_failed(failure);
        }
    }

    /// Something failed at the side of what is worked towards.
    pub fn side_failed(&mut self, failure: &crate::session::event::Failure) {
        let first = failure.detail.lines().next().unwrap_or_default();
        let words = if first.is_empty() { failure.title.clone() } else { format!("{}: {first}", failure.title) };
        self.add(Level::Warning, words);
    }

    /// Shows none of these, which were told before; those that follow are shown.
    pub fn pass_over(&mut self, notices: &[crate::session::model::Notice]) {
        let newest = notices.last().map_or(0, |notice| notice.at_ms);
        self.seen = Some((newest, notices.iter().filter(|notice| notice.at_ms == newest).count()));
    }

    /// Takes the model's notices that are new since the last call.
    pub fn follow(&mut self, notices: &[crate::session::model::Notice]) {
        let Some(newest) = notices.last().map(|notice| notice.at_ms) else { return };
        let fresh: Vec<_> = match self.seen {
            None => notices.iter().collect(),
            Some((at, count)) => {
                let same = notices.iter().filter(|notice| notice.at_ms == at).skip(count);
                same.chain(notices.iter().filter(|notice| notice.at_ms > at)).collect()
            }
        };
        for notice in fresh {
            self.add(notice.level, notice.text.clone());
        }
        self.seen = Some((newest, notices.iter().filter(|notice| notice.at_ms == newest).count()));
    }

    /// Draws them, newest at the bottom, `lift` points above the window's lower edge.
    pub fn show(&mut self, ctx: &Context, lift: f32) {
        if self.shown.is_empty() {
            return;
        }
        let now = ctx.input(|input| input.time);
        for toast in &mut self.shown {
            toast.until.get_or_insert(now + SHOWN);
        }
        self.shown.retain(|toast| toast.until.is_some_and(|until| until > now));
        if let Some(next) = self.shown.iter().filter_map(|toast| toast.until).reduce(f64::min) {
            ctx.request_repaint_after(Duration::from_secs_f64((next - now).max(0.05)));
        }
        let mut closed = None;
        Area::new(Id::unique("toasts"))
            .anchor(Align2::RIGHT_BOTTOM, Vec2::new(-16.0, -lift))
            .order(Order::Foreground)
            .interactable(true)
            .show(ctx, |ui| {
                ui.spacing_mut().item_spacing.y = 6.0;
                for toast in &self.shown {
                    if one(ui, toast) {
                        closed = Some(toast.serial);
                    }
                }
            });
        self.shown.retain(|toast| Some(toast.serial) != closed);
    }
}

fn one(ui: &mut egui::Ui, toast: &Toast) -> bool {
    let palette = Palette::of(ui);
    let (glyph, colour) = match toast.level {
        Level::Info => (Icon::Info, palette.accent),
        Level::Success => (Icon::CircleCheck, palette.success),
        Level::Warning => (Icon::TriangleAlert, palette.warning),
    };
    Frame::new()
        .fill(palette.panel)
        .stroke(Stroke::new(1.0, palette.line))
        .shadow(ui.visuals().popup_shadow)
        .corner_radius(8)
        .inner_margin(Margin { left: 14, right: 6, top: 6, bottom: 6 })
        .show(ui, |ui| {
            ui.set_width(340.0);
            ui.horizontal(|ui| {
                ui.label(controls::icon(glyph, 16.0).color(colour));
                ui.allocate_ui_with_layout(
                    Vec2::new(268.0, 18.0),
                    egui::Layout::left_to_right(egui::Align::Center).with_main_wrap(true),
                    |ui| {
                        ui.set_width(268.0);
                        ui.add(egui::Label::new(RichText::new(&toast.text).size(13.0)).wrap());
                    },
                );
                controls::icon_button(ui, true, Icon::X, "Close this notice", "").clicked()
            })
            .inner
        })
        .inner
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::model::Notice;

    #[test]
    fn only_new_notices_are_shown_and_repeated_ones_once() {
        let notice = |at_ms, text: &str| Notice { at_ms, level: Level::Info, text: text.to_owned() };
        let mut toasts = Toasts::default();
        let mut notices = vec![notice(1, "is a"), notice(1, "is b")];
        toasts.follow(&notices);
        toasts.follow(&notices);
        assert_eq!(toasts.serial, 2);
        notices.push(notice(1, "is c"));
        notices.push(notice(2, "is a"));
        toasts.follow(&notices);
        assert_eq!(toasts.shown.iter().map(|t| t.text.as_str()).collect::<Vec<_>>(), ["Is b", "Is c", "Is a"]);
        for n in 0..20 {
            toasts.add(Level::Info, n.to_string());
        }
        assert_eq!(toasts.shown.len(), AT_ONCE);
    }
}
