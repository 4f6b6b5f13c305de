//! What is said over the guest's screen, or instead of it: what to do next, what is being done, what happened.

use egui::{Align2, Rect, RichText, Ui, vec2};
use lucide_icons::Icon;
use vmtools::GuestStatus;

use super::controls;
use super::headline::{self, Tone, headline};
use super::overlay_blank;
use super::overlay_built;
use super::overlay_cards;
use super::progress;
use super::proposal;
use super::theme::{self, Palette};
use super::watching;
use super::wish::{Wish, Wishes};
use super::words;
use crate::session::Model;
use crate::session::model::Removing;
use crate::session::state::{Goal, Outcome, Phase};

/// What is known besides the model.
#[derive(Clone, Copy, Debug)]
pub struct Over {
    /// Milliseconds since the session began.
    pub now_ms: u64,
    /// The picture is of this moment.
    pub live: bool,
    /// A picture is under it.
    pub picture: bool,
    /// Why none can be shown, if that is known.
    pub trouble: Option<&'static str>,
    /// What was asked for last.
    pub goal: Option<Goal>,
}

/// The height of an area that has room for a line only, points.
pub(super) const LINE: f32 = 64.0;

/// Draws what belongs over the screen now.
pub fn show(ui: &mut Ui, model: &Model, over: Over, wishes: &mut Wishes) {
    let now_ms = over.now_ms;
    if ui.max_rect().height() < LINE * 1.5 {
        return line(ui, model);
    }
    if let Some((title, words)) = model.watched.as_ref().and_then(|watched| watching::unseen(model, watched)) {
        return notice(ui, Icon::EyeOff, Tone::Warning, title, &words);
    }
    if model.attaches() {
        return attached(ui, model, over);
    }
    match model.state.phase {
        Phase::Preparing => progress::card(ui, "Preparing", "Looking at the cartridge and this host", model, now_ms),
        Phase::Building => {
            let name = model.cartridge.as_ref().map_or("the image", |cartridge| cartridge.name.as_str());
            progress::card(ui, "Building", name, model, now_ms);
        }
        Phase::Booting | Phase::Running => guest(ui, model, over, wishes),
        Phase::Ejecting => {
            let mut step = headline::ejecting(model);
            if model.removing.is_some() {
                let took = words::took(model.phase_elapsed_ms(now_ms));
                step = format!("{step}, after {took}. Esc stops it; another eject goes on.");
            }
            let share = model.removing.as_ref().and_then(Removing::share);
            notice_with(ui, (Icon::CircleArrowOutUpRight, Tone::Busy), "Ejecting", &step, |ui| {
                if let Some(share) = share {
                    controls::thin_bar(ui, ui.available_width(), Some(share), "Progress of the removal");
                }
            });
        }
        Phase::Idle if model.unfinished.is_some() => overlay_cards::unfinished(ui, model, wishes),
        Phase::Idle => match model.state.outcome {
            Some(Outcome::Failed) => overlay_cards::failed(ui, model, over.goal, wishes),
            Some(Outcome::GuestEnded) => overlay_cards::ended(ui, model, wishes),
            Some(Outcome::Ejected) => overlay_cards::ejected(ui, model),
            Some(Outcome::Built) => overlay_built::built(ui, model, wishes),
            Some(Outcome::Cancelled) => {
                let words = "What was under way was stopped and cleaned up.";
                invite(ui, Icon::CircleSlash, "Cancelled", words, &[(&["Ctrl", "Enter"], "build and boot")]);
            }
            None => waiting(ui, model, wishes),
        },
    }
}

/// Says that the guest's screen is in a window of its own.
pub fn elsewhere(ui: &mut Ui, wishes: &mut Wishes) {
    let area = ui.max_rect();
    let palette = Palette::of(ui);
    middle(ui, 440.0, 190.0_f32.min(area.height()), |ui| {
        ui.vertical_centered(|ui| {
            controls::badge(ui, Icon::PictureInPicture2, palette.accent);
            ui.add_space(4.0);
            ui.label(RichText::new("In a window of its own").heading().color(palette.strong));
            let words =
                "The guest's screen is in another window, and is typed into there. Closing that window brings it back.";
            ui.add(egui::Label::new(RichText::new(words).color(palette.dim)).wrap());
        });
        ui.add_space(8.0);
        centred_row(ui, "ways back", |ui| {
            let hint = "Shows the guest's screen here again.\nCtrl+Shift+W";
            if controls::button(ui, true, Icon::Undo2, "Bring back", hint).clicked() {
                wishes.add(Wish::Detach(false));
            }
            if controls::button(ui, true, Icon::AppWindow, "Show it", "Brings that window to the front.").clicked() {
                wishes.add(Wish::RaiseDetached);
            }
        });
    });
}

/// Said in the window of the guest's screen while there is no guest.
pub fn no_guest(ui: &mut Ui) {
    invite(ui, Icon::Monitor, "No guest", "The screen of the next guest appears here.", &[]);
}

/// How things are, where there is room for a line only.
fn line(ui: &mut Ui, model: &Model) {
    let palette = Palette::of(ui);
    let (word, tone) = headline(model);
    let cartridge = model.cartridge.as_ref().map(|cartridge| cartridge.name.as_str());
    let name = model.attached().map(|view| view.name.as_str()).or(cartridge).unwrap_or("Cartridge");
    let busy = super::topbar::doing(model).0;
    let words = match (&model.failure, model.state.outcome) {
        (Some(failure), Some(Outcome::Failed)) if !model.mended() => failure.title.clone(),
        _ if !busy.is_empty() => busy,
        _ => format!("{name}: {}", word.to_lowercase()),
    };
    let painter = ui.painter();
    let galley = painter.layout_no_wrap(words.clone(), egui::FontId::proportional(14.0), palette.strong);
    let rect = Align2::CENTER_CENTER.align_size_within_rect(galley.size() + vec2(18.0, 0.0), ui.max_rect());
    painter.circle_filled(rect.left_center() + vec2(4.0, 0.0), 4.0, tone.colour(palette));
    painter.galley(rect.min + vec2(18.0, 0.0), galley, palette.strong);
    let response = ui.interact(rect, ui.scope_id().with("line"), egui::Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, words.as_str()));
}

fn guest(ui: &mut Ui, model: &Model, Over { live, picture, trouble, .. }: Over, wishes: &mut Wishes) {
    let status = model.guest.as_ref().map(|guest| &guest.status);
    let area = ui.max_rect();
    match status {
        Some(GuestStatus::Running) if let Some(why) = trouble => {
            notice(ui, Icon::MonitorX, Tone::Bad, "No picture", why);
        }
        Some(GuestStatus::Rebooting) => chip(ui, area, "Rebooting…"),
        Some(GuestStatus::Paused) => chip(ui, area, "Paused"),
        Some(GuestStatus::Unresponsive) => chip(ui, area, "QEMU does not answer"),
        _ if live => overlay_blank::show(ui, model, wishes),
        Some(GuestStatus::PoweredOff) => {
            notice(ui, Icon::PowerOff, Tone::Calm, "Powered off", "The guest has switched itself off.")
        }
        Some(GuestStatus::Panicked) => notice(
            ui,
            Icon::Skull,
            Tone::Bad,
            "Panicked",
            "The guest's kernel has stopped. The Serial log has its words.",
        ),
        Some(GuestStatus::Crashed { how }) => notice(ui, Icon::Bug, Tone::Bad, "Crashed", how),
        _ if picture => chip(ui, area, "No signal: this is the last picture"),
        _ => notice(ui, Icon::Monitor, Tone::Busy, "Booting", "Waiting for the guest's first picture"),
    }
}

/// The same of a VNC server of somebody else's.
fn attached(ui: &mut Ui, model: &Model, Over { live, picture, trouble, .. }: Over) {
    let area = ui.max_rect();
    let Some(attach) = &model.attach else { return };
    let words = super::topbar::doing(model).0;
    match model.state.phase {
        Phase::Running if attach.lost.is_some() => {
            chip(ui, area, "Connection lost, trying again: this is the last picture")
        }
        Phase::Running if let Some(why) = trouble => notice(ui, Icon::MonitorX, Tone::Bad, "No picture", why),
        Phase::Running if live => {}
        Phase::Running if picture => chip(ui, area, "No signal: this is the last picture"),
        Phase::Running => {
            notice(ui, Icon::ScreenShare, Tone::Busy, "Attached", "Waiting for the server's first picture")
        }
        Phase::Ejecting => notice(ui, Icon::CircleArrowOutUpRight, Tone::Busy, "Disconnecting", &words),
        _ => notice(ui, Icon::ScreenShare, Tone::Busy, "Connecting", &words),
    }
}

fn waiting(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    match &model.cartridge {
        None => invite(
            ui,
            Icon::Gamepad2,
            "Insert a cartridge",
            "A cartridge is a repository that becomes a bootable image. Open one, or begin with the built-in one on the left.",
            &[(&["Ctrl", "O"], "open a repository")],
        ),
        Some(cartridge) if proposal::waits(cartridge) => proposal::show(ui, cartridge, wishes),
        Some(cartridge) if !model.state.inserted => {
            let n = cartridge.findings.len();
            let words = cartridge.findings.first().map_or_else(String::new, |finding| {
                let advice = super::words::sentence(&finding.advice);
                format!("{}: {}. {advice}", finding.key, finding.message.trim_end_matches('.'))
            });
            let title = if n == 1 { "One thing to correct".to_owned() } else { format!("{n} things to correct") };
            invite(ui, Icon::TriangleAlert, &title, &words, &[]);
        }
        Some(cartridge) => invite(
            ui,
            Icon::Zap,
            &format!("{} is inserted", cartridge.name),
            "Build & Boot makes an image of it and starts a guest from that. The guest's screen appears here.",
            &[(&["Ctrl", "Enter"], "build and boot"), (&["Ctrl", "B"], "build only")],
        ),
    }
}

/// A title, a sentence and keys to press, in the middle.
fn invite(ui: &mut Ui, glyph: Icon, title: &str, words: &str, keys: &[(&[&str], &str)]) {
    let palette = Palette::of(ui);
    let lines = if keys.is_empty() { 0.0 } else { 46.0 };
    middle(ui, 440.0, 150.0 + lines, |ui| {
        ui.vertical_centered(|ui| {
            controls::badge(ui, glyph, palette.accent);
            ui.add_space(4.0);
            ui.label(RichText::new(title).heading().color(palette.strong));
            ui.add(egui::Label::new(RichText::new(words).color(palette.dim)).wrap());
        });
        if keys.is_empty() {
            return;
        }
        ui.add_space(8.0);
        centred_row(ui, "keys", |ui| {
            for (at, (keys, what)) in keys.iter().enumerate() {
                if at > 0 {
                    ui.add_space(14.0);
                }
                controls::keycaps(ui, keys);
                ui.label(RichText::new(*what).small().color(palette.dim));
            }
        });
    });
}

/// A row in the middle, centred by hand: egui centres a row only once it knows its width.
fn centred_row(ui: &mut Ui, name: &str, add: impl FnOnce(&mut Ui)) {
    let id = ui.scope_id().with(name);
    let width: f32 = ui.data(|data| data.get_temp(id)).unwrap_or(0.0);
    let row = ui
        .horizontal(|ui| {
            ui.add_space(((ui.available_width() - width) / 2.0).max(0.0));
            let start = ui.cursor().min.x;
            add(ui);
            ui.min_rect().max.x - start
        })
        .inner;
    if (row - width).abs() > 0.5 {
        ui.data_mut(|data| data.insert_temp(id, row));
        ui.ctx().request_discard("a row has a new width");
    }
}

/// A short state in the middle.
fn notice(ui: &mut Ui, glyph: Icon, tone: Tone, title: &str, words: &str) {
    notice_with(ui, (glyph, tone), title, words, |_| {});
}

/// The same with something below its words.
fn notice_with(ui: &mut Ui, (glyph, tone): (Icon, Tone), title: &str, words: &str, add: impl FnOnce(&mut Ui)) {
    let palette = Palette::of(ui);
    middle(ui, 420.0, 130.0, |ui| {
        controls::card(ui, 420.0, |ui| {
            ui.horizontal(|ui| {
                controls::badge(ui, glyph, tone.colour(palette));
                ui.add_space(4.0);
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.y = 2.0;
                    ui.label(RichText::new(title).text_style(theme::title()).color(palette.strong));
                    ui.add(egui::Label::new(RichText::new(words).color(palette.dim)).wrap().selectable(true));
                });
            });
            add(ui);
        });
    });
}

/// Gives `add` a place of about this size in the middle of the area; more is scrolled.
pub fn middle(ui: &mut Ui, width: f32, height: f32, add: impl FnOnce(&mut Ui)) {
    let area = ui.max_rect().shrink(12.0);
    let id = ui.scope_id().with("middle");
    let known: f32 = ui.data(|data| data.get_temp(id)).unwrap_or(height);
    let size = vec2(width.min(area.width()), known.min(area.height()));
    let rect = Rect::from_center_size(area.center(), size);
    let mut inner = ui.new_child(egui::UiBuilder::new().id_salt("middle").max_rect(rect));
    let shown = egui::ScrollArea::vertical().id_salt("over").auto_shrink([false, true]).show(&mut inner, |ui| {
        ui.set_width(size.x);
        add(ui);
        ui.min_rect().height()
    });
    if (shown.inner - known).abs() > 0.5 {
        ui.data_mut(|data| data.insert_temp(id, shown.inner));
        ui.ctx().request_discard("the height in the middle is new");
    }
}

/// A line at the top of the picture that says what it is.
pub fn chip(ui: &Ui, area: Rect, words: &str) {
    let palette = Palette::of(ui);
    let painter = ui.painter();
    let galley = painter.layout_no_wrap(words.to_owned(), egui::FontId::proportional(13.0), palette.strong);
    let rect = Align2::CENTER_TOP.align_size_within_rect(galley.size() + vec2(28.0, 12.0), area.shrink(14.0));
    painter.rect(rect, 15.0, palette.panel, egui::Stroke::new(1.0, palette.line), egui::StrokeKind::Inside);
    painter.galley(rect.center() - galley.size() / 2.0, galley, palette.strong);
    let response = ui.interact(rect, ui.scope_id().with(("chip", words)), egui::Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, words));
}

/// A word that stays, in the upper right corner of `area`.
pub fn corner(ui: &Ui, area: Rect, words: &str) {
    let palette = Palette::of(ui);
    let painter = ui.painter();
    let galley = painter.layout_no_wrap(words.to_owned(), egui::FontId::proportional(12.0), palette.warning);
    let rect = Align2::RIGHT_TOP.align_size_within_rect(galley.size() + vec2(20.0, 8.0), area.shrink(10.0));
    painter.rect(rect, 12.0, palette.panel, egui::Stroke::new(1.0, palette.warning), egui::StrokeKind::Inside);
    painter.galley(rect.center() - galley.size() / 2.0, galley, palette.warning);
    let response = ui.interact(rect, ui.scope_id().with(("corner", words)), egui::Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, words));
}
