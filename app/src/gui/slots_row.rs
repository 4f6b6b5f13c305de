//! A slot as a card: its picture, its name, how old and large it is, how it fits, and what can be done with it.

use egui::{Align2, Color32, FontId, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, pos2, vec2};
use lucide_icons::Icon;

use super::controls;
use super::slots_words::{self, Fit};
use super::theme::{self, Palette, semibold};
use super::thumbnails::{Key, Thumbnails};
use super::words;
use crate::session::event::SlotView;

/// Height of a row with the gap below its card, points.
pub const ROW: f32 = 74.0;
/// The gap.
const GAP: f32 = 6.0;
/// The picture's place.
const PICTURE: egui::Vec2 = vec2(92.0, 58.0);

/// What a card is shown with.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Seconds since 1970.
    pub now: u64,
    /// The keyboard is at it.
    pub marked: bool,
    /// The guest on the screen came from it.
    pub on_screen: bool,
    /// Tests start from it.
    pub tested: bool,
    /// Why no slot can be restored now.
    pub denied: Option<&'a str>,
}

/// What was asked of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The pointer chose it.
    Marked,
    /// A guest from it.
    Restore,
    /// Whether tests are to start from it.
    Test(bool),
    /// Its end.
    Remove,
}

/// Draws the card at the top of `rect`.
pub fn show(
    ui: &mut Ui,
    rect: Rect,
    slot: &SlotView,
    around: Around<'_>,
    thumbnails: &mut Thumbnails,
) -> Option<Asked> {
    let palette = Palette::of(ui);
    let card = Rect::from_min_max(rect.min, pos2(rect.max.x, rect.max.y - GAP));
    let response = ui.interact(card, ui.scope_id().with(("slot", &slot.name)), Sense::CLICK);
    let (fill, edge) = match (around.marked, response.hovered()) {
        (true, _) => (palette.raised, Stroke::new(1.5, palette.accent)),
        (false, true) => (palette.panel, Stroke::new(1.0, palette.line)),
        (false, false) => (palette.panel, Stroke::NONE),
    };
    ui.painter().rect(card, 8.0, fill, edge, StrokeKind::Inside);
    let (fit, fits) = slots_words::fit(slot);
    let facts = format!("{} · {}", slots_words::ago(slot.made, around.now), words::bytes(slot.bytes));
    response.widget_info(|| {
        let name = format!("Slot {}, {facts}. {fits}", slot.name);
        egui::WidgetInfo::selected(Role::ListItem, true, around.marked, name)
    });
    let picture = Rect::from_min_size(card.min + vec2(5.0, 5.0), PICTURE);
    self::picture(ui, picture, slot, thumbnails);
    let mut asked = response.clicked().then_some(Asked::Marked);
    let buttons = buttons(ui, card, slot, (fit, &fits), around, &mut asked);
    let text = Rect::from_min_max(pos2(picture.max.x + 12.0, card.min.y), pos2(buttons - 10.0, card.max.y));
    words_of(ui, text, slot, (&facts, fit, &fits), around);
    response.on_hover_text_at_pointer(hint(slot));
    asked
}

/// All that is known of it.
fn hint(slot: &SlotView) -> String {
    let mut lines = vec![slot.name.clone()];
    lines.extend(slot.problem.iter().map(|it| words::sentence(&format!("{it}."))));
    lines.extend(slot.differs.iter().flatten().map(|it| words::sentence(&format!("{}.", it.says))));
    if !slot.depends.is_empty() {
        lines.push(format!("It depends on {}.", slot.depends));
    }
    lines.join("\n")
}

fn picture(ui: &mut Ui, rect: Rect, slot: &SlotView, thumbnails: &mut Thumbnails) {
    let palette = Palette::of(ui);
    let key = slot.picture.clone().map(|file| Key { file, version: slot.made ^ slot.bytes });
    let texture = key.and_then(|key| thumbnails.get(ui.ctx(), &key));
    let painter = ui.painter();
    let there = texture.is_some();
    painter.rect_filled(rect, 5.0, if there { Color32::BLACK } else { palette.sunken });
    if let Some(texture) = &texture {
        let size = texture.size_vec2();
        let scale = (rect.width() / size.x).min(rect.height() / size.y);
        let place = Rect::from_center_size(rect.center(), size * scale);
        let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
        egui::Image::new(texture).corner_radius(4).uv(whole).paint_at(ui, place);
    } else {
        let font = FontId::new(18.0, theme::icons());
        let glyph = char::from(Icon::Monitor);
        painter.text(rect.center(), Align2::CENTER_CENTER, glyph, font, palette.dim.gamma_multiply(0.7));
    }
    ui.painter().rect_stroke(rect, 5.0, Stroke::new(1.0, palette.line), StrokeKind::Inside);
    let response = ui.interact(rect, ui.scope_id().with(("picture", &slot.name)), Sense::hover());
    let name = if there { format!("Picture of {}", slot.name) } else { format!("No picture of {}", slot.name) };
    response.widget_info(|| egui::WidgetInfo::labeled(Role::Image, true, name.as_str()));
}

/// Name, facts and fit, each in a line that is cut where the buttons begin.
fn words_of(ui: &Ui, rect: Rect, slot: &SlotView, (facts, fit, fits): (&str, Fit, &str), around: Around<'_>) {
    let palette = Palette::of(ui);
    let painter = ui.painter().with_clip_rect(ui.clip_rect().intersect(rect));
    let line = |text: &str, font: FontId, colour: Color32, left: f32| {
        let mut job = egui::text::LayoutJob::simple_singleline(text.to_owned(), font, colour);
        job.wrap = egui::text::TextWrapping::truncate_at_width((rect.right() - left).max(0.0));
        ui.fonts_mut(|fonts| fonts.layout_job(job))
    };
    let name = line(&slot.name, FontId::new(14.0, semibold()), palette.strong, rect.left());
    let top = rect.center().y - 29.0;
    let end = rect.left() + name.size().x;
    painter.galley(pos2(rect.left(), top + 2.0), name, palette.strong);
    let mut left = end;
    let marks = [(around.on_screen, "on the screen", palette.success), (around.tested, "for tests", palette.accent)];
    for (_, words, colour) in marks.into_iter().filter(|(on, ..)| *on) {
        let dot = pos2(left + 13.0, top + 11.0);
        painter.circle_filled(dot, 3.0, colour);
        let mark = line(words, FontId::proportional(12.0), colour, dot.x + 8.0);
        left = dot.x + 8.0 + mark.size().x;
        painter.galley(pos2(dot.x + 8.0, top + 4.0), mark, colour);
    }
    let facts = line(facts, FontId::proportional(12.0), palette.dim, rect.left());
    painter.galley(pos2(rect.left(), top + 22.0), facts, palette.dim);
    let (glyph, colour) = match fit {
        Fit::Same => (Icon::CircleCheck, palette.success),
        Fit::Changed => (Icon::TriangleAlert, palette.warning),
        Fit::Not => (Icon::CircleX, palette.error),
        Fit::Unknown => (Icon::CircleHelp, palette.dim),
    };
    let y = top + 48.0;
    let icon = FontId::new(13.0, theme::icons());
    painter.text(pos2(rect.left(), y), Align2::LEFT_CENTER, char::from(glyph), icon, colour);
    let text = if fit == Fit::Same { palette.dim } else { colour };
    let fits = line(fits, FontId::proportional(12.0), text, rect.left() + 18.0);
    painter.galley(pos2(rect.left() + 18.0, y - fits.size().y / 2.0), fits, text);
}

/// The buttons at the right end. Returns where they begin.
fn buttons(
    ui: &mut Ui,
    card: Rect,
    slot: &SlotView,
    (fit, fits): (Fit, &str),
    around: Around<'_>,
    asked: &mut Option<Asked>,
) -> f32 {
    let layout = egui::Layout::right_to_left(egui::Align::Center);
    let place = card.shrink2(vec2(10.0, 0.0));
    let salt = ("buttons", &slot.name);
    let mut ui = ui.new_child(egui::UiBuilder::new().id_salt(salt).max_rect(place).layout(layout));
    ui.spacing_mut().item_spacing.x = 6.0;
    let remove = controls::icon_button(&mut ui, true, Icon::Trash2, &format!("Remove {}", slot.name), "Asks first.");
    if remove.clicked() {
        *asked = Some(Asked::Remove);
    }
    let (name, hint) = if around.tested {
        ("Do not use", "Tests start from here.")
    } else {
        ("Use", "Tests start from here then. It is not saved until you save the cartridge.")
    };
    let name = format!("{name} {} for tests", slot.name);
    if controls::toggle_icon(&mut ui, true, around.tested, Icon::FlaskConical, &name, hint).clicked() {
        *asked = Some(Asked::Test(!around.tested));
    }
    let why = match (fit, around.denied) {
        (Fit::Not, _) => Some(fits),
        (_, denied) => denied,
    };
    let (word, hint) = match (why, fit) {
        (Some(why), _) => ("Restore", why),
        (None, Fit::Changed) => ("Restore…", "Says first what has changed since."),
        (None, _) => ("Restore", "Ends the guest that runs, if one does, and goes on from this moment. Enter"),
    };
    if restore(&mut ui, why.is_none(), word, &slot.name, hint).clicked() {
        *asked = Some(Asked::Restore);
    }
    ui.min_rect().left()
}

fn restore(ui: &mut Ui, enabled: bool, word: &str, name: &str, hint: &str) -> Response {
    // On a card a button at rest needs more than its usual fill to be seen.
    let palette = Palette::of(ui);
    ui.visuals_mut().widgets.inactive.weak_bg_fill = palette.hover;
    ui.spacing_mut().button_padding = vec2(10.0, 3.0);
    ui.spacing_mut().interact_size.y = 28.0;
    let button = egui::Button::new((controls::icon(Icon::RotateCcw, 13.0), egui::RichText::new(word).size(13.0)));
    let response = ui.add_enabled(enabled, button);
    response.widget_info(|| egui::WidgetInfo::labeled(Role::Button, enabled, format!("Restore {name}")));
    response.on_hover_text(hint).on_disabled_hover_text(hint)
}
