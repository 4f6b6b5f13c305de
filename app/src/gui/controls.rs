//! The widgets that all panels share. Each has a clean accessible name: an icon's glyph must not leak into it.

use egui::{
    Align2, Button, Color32, CornerRadius, Frame, Margin, Response, RichText, Role, Sense, Stroke, Ui, Vec2,
    WidgetInfo, WidgetText, vec2,
};
use lucide_icons::Icon;

use super::theme::{self, Palette};

/// An icon as text, `size` points.
#[must_use]
pub fn icon(icon: Icon, size: f32) -> RichText {
    RichText::new(char::from(icon).to_string()).family(theme::icons()).size(size)
}

/// What shows that a field opens a list.
pub fn chevron(ui: &Ui, rect: egui::Rect, _: &egui::style::WidgetVisuals, _: bool) {
    let (font, glyph) = (egui::FontId::new(14.0, theme::icons()), char::from(Icon::ChevronDown));
    ui.painter().text(rect.center(), Align2::CENTER_CENTER, glyph, font, Palette::of(ui).dim);
}

/// A button with an icon and a word. Its accessible name is the word.
pub fn button(ui: &mut Ui, enabled: bool, glyph: Icon, name: &str, hint: &str) -> Response {
    let response = ui.add_enabled(enabled, Button::new((icon(glyph, 15.0), name)));
    named(response, name, hint)
}

/// The one button that stands out.
pub fn accent_button(ui: &mut Ui, enabled: bool, glyph: Icon, name: &str, hint: &str) -> Response {
    let palette = Palette::of(ui);
    ui.scope(|ui| {
        let widgets = &mut ui.visuals_mut().widgets;
        for (state, fill) in [
            (&mut widgets.inactive, palette.accent_fill),
            (&mut widgets.hovered, palette.accent_hover),
            (&mut widgets.active, palette.accent_hover),
        ] {
            state.weak_bg_fill = fill;
            state.fg_stroke.color = palette.on_accent;
        }
        widgets.active.bg_stroke = Stroke::new(1.5, palette.strong);
        let text = RichText::new(name).family(theme::semibold());
        let response = ui.add_enabled(enabled, Button::new((icon(glyph, 15.0), text)));
        named(response, name, hint)
    })
    .inner
}

/// A button that is only an icon, without a frame at rest.
pub fn icon_button(ui: &mut Ui, enabled: bool, glyph: Icon, name: &str, hint: &str) -> Response {
    toggle_icon(ui, enabled, false, glyph, name, hint)
}

/// A button that is only an icon and can be on.
pub fn toggle_icon(ui: &mut Ui, enabled: bool, on: bool, glyph: Icon, name: &str, hint: &str) -> Response {
    let palette = Palette::of(ui);
    let colour = if on { palette.accent } else { palette.dim };
    let mut text = icon(glyph, 15.0);
    // At rest the icon is dim; under the pointer or the focus it takes the widget's own colour.
    let hovered = ui.ctx().read_response(ui.next_auto_id()).is_some_and(|r| r.hovered() || r.has_focus());
    if !hovered || on {
        text = text.color(colour);
    }
    let size = vec2(28.0, 28.0);
    let response = ui
        .scope(|ui| {
            ui.spacing_mut().button_padding = vec2(6.0, 4.0);
            ui.spacing_mut().interact_size = size;
            ui.add_enabled(enabled, Button::new(text).min_size(size).frame(true).frame_when_inactive(on))
        })
        .inner;
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::Button, enabled, name);
        if on {
            info.selected = Some(true);
        }
        info
    });
    with_hint(response, name, hint)
}

/// A line of a menu: icon, word, shortcut.
pub fn menu_item(ui: &mut Ui, enabled: bool, glyph: Option<Icon>, name: &str, shortcut: &str) -> Response {
    let palette = Palette::of(ui);
    let glyph = glyph.map_or_else(|| RichText::new("     ").size(14.0), |g| icon(g, 14.0).color(palette.dim));
    let mut line = Button::new((glyph, name)).frame(true).frame_when_inactive(false);
    if !shortcut.is_empty() {
        line = line.shortcut_text(RichText::new(shortcut).small().color(palette.dim));
    }
    let response = ui.add_enabled(enabled, line);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled, name));
    response
}

fn named(response: Response, name: &str, hint: &str) -> Response {
    let enabled = response.enabled();
    response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled, name));
    if hint.is_empty() { response } else { with_hint(response, "", hint) }
}

fn with_hint(response: Response, name: &str, hint: &str) -> Response {
    let text = match (name.is_empty(), hint.is_empty()) {
        (true, _) => hint.to_owned(),
        (false, true) => name.to_owned(),
        (false, false) => format!("{name}\n{hint}"),
    };
    response.on_hover_text(&text).on_disabled_hover_text(text)
}

/// A coloured dot and a word in a rounded frame; `name` is what assistive tools read.
pub fn pill(ui: &mut Ui, colour: Color32, word: &str, name: &str) -> Response {
    let palette = Palette::of(ui);
    let galley = WidgetText::from(RichText::new(word).size(13.0).color(palette.strong)).into_galley(
        ui,
        Some(egui::TextWrapMode::Extend),
        f32::INFINITY,
        egui::TextStyle::Body,
    );
    let size = vec2(galley.size().x + 32.0, 26.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let painter = ui.painter();
    painter.rect_filled(rect, 13.0, palette.raised);
    painter.circle_filled(rect.left_center() + vec2(14.0, 0.0), 4.0, colour);
    painter.galley(rect.left_center() + vec2(23.0, -galley.size().y / 2.0), galley, palette.strong);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, name));
    response
}

/// The colour of a tab's words.
#[must_use]
pub fn tab_colour(on: bool, palette: &Palette) -> Color32 {
    if on { palette.strong } else { palette.dim }
}

/// A tab: words, and a count beside them where that is not 0. The one in front is underlined.
pub fn tab(ui: &mut Ui, on: bool, words: RichText, count: u64, colour: Color32, name: &str) -> Response {
    let palette = Palette::of(ui);
    let shown = match count {
        0..=99 => count.to_string(),
        _ => "99+".to_owned(),
    };
    let response = ui
        .scope(|ui| {
            ui.spacing_mut().button_padding = vec2(8.0, 4.0);
            ui.spacing_mut().icon_spacing = 5.0;
            let button = match count {
                0 => Button::new(words),
                _ => Button::new((words, RichText::new(shown).size(11.0).color(colour))),
            };
            ui.add(button.fill(Color32::TRANSPARENT).stroke(Stroke::NONE))
        })
        .inner;
    if on {
        let line = egui::Rect::from_min_max(
            egui::pos2(response.rect.min.x + 8.0, response.rect.max.y + 1.0),
            egui::pos2(response.rect.max.x - 8.0, response.rect.max.y + 3.0),
        );
        ui.painter().rect_filled(line, 1.0, palette.accent);
    }
    response.widget_info(|| WidgetInfo::selected(Role::Tab, true, on, name));
    response
}

/// A field whose text leaves only what holds it, as wide as there is room for; none where there is hardly any.
pub fn filter_field(
    ui: &mut Ui,
    text: &mut String,
    id: impl std::hash::Hash + std::fmt::Debug,
    hint: &str,
) -> Option<Response> {
    let palette = Palette::of(ui);
    let room = ui.available_width() - 12.0;
    if room < 56.0 {
        return None;
    }
    ui.add_space(4.0);
    let response = ui
        .scope(|ui| {
            ui.spacing_mut().button_padding = vec2(8.0, 4.0);
            ui.spacing_mut().interact_size.y = 28.0;
            let mut edit = egui::TextEdit::singleline(text)
                .id_salt(id)
                .hint_text(RichText::new("Filter").size(13.0).color(palette.dim))
                .font(egui::FontId::proportional(13.0))
                .align(Align2::LEFT_CENTER)
                .desired_width(room.min(130.0));
            if room > 100.0 {
                edit = edit.prefix(icon(Icon::ListFilter, 13.0).color(palette.dim));
            }
            ui.add(edit)
        })
        .inner;
    Some(response.accessible_name("Filter").on_hover_text(hint))
}

/// Small keys, drawn: `["Ctrl", "Enter"]`.
pub fn keycaps(ui: &mut Ui, keys: &[&str]) {
    let palette = Palette::of(ui);
    ui.spacing_mut().item_spacing.x = 4.0;
    for key in keys {
        let galley = ui.painter().layout_no_wrap((*key).to_owned(), egui::FontId::proportional(12.0), palette.text);
        let (rect, response) = ui.allocate_exact_size(vec2((galley.size().x + 14.0).max(22.0), 22.0), Sense::hover());
        let edge = Stroke::new(1.0, palette.line);
        ui.painter().rect(rect, 5.0, palette.raised, edge, egui::StrokeKind::Inside);
        ui.painter().galley(rect.center() - galley.size() / 2.0, galley, palette.text);
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, *key));
    }
}

/// A progress bar 4 points high; `None` where the total is not known: a full, dim bar.
pub fn thin_bar(ui: &mut Ui, width: f32, fraction: Option<f32>, name: &str) -> Response {
    let palette = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(width, 4.0), Sense::hover());
    let painter = ui.painter();
    painter.rect_filled(rect, 2.0, palette.hover);
    let part = fraction.unwrap_or(1.0).clamp(0.0, 1.0);
    let mut done = rect;
    done.set_width(rect.width() * part);
    let colour = if fraction.is_some() { palette.accent } else { palette.accent.gamma_multiply(0.35) };
    painter.rect_filled(done, 2.0, colour);
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::ProgressIndicator, true, name);
        info.value = fraction.map(|f| f64::from(f) * 100.0);
        info
    });
    response
}

/// One choice out of few, side by side. Returns the one that was clicked.
pub fn segments(ui: &mut Ui, group: &str, options: &[&str], chosen: Option<usize>) -> Option<usize> {
    let palette = Palette::of(ui);
    let mut clicked = None;
    let whole = (ui.available_width() - 4.0).max(60.0);
    // One option alone is no choice: it must not look like a field.
    let width = if options.len() == 1 { whole.min(90.0) } else { whole };
    Frame::new().fill(palette.raised).corner_radius(6).inner_margin(2).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            ui.spacing_mut().button_padding = vec2(4.0, 3.0);
            ui.spacing_mut().interact_size.y = 26.0;
            #[allow(clippy::cast_precision_loss, reason = "a handful of segments")]
            let each = (width - 2.0 * (options.len().saturating_sub(1)) as f32) / options.len().max(1) as f32;
            for (at, option) in options.iter().enumerate() {
                let on = chosen == Some(at);
                let text = RichText::new(*option).size(13.0).color(if on { palette.strong } else { palette.dim });
                let fill = if on { palette.panel } else { Color32::TRANSPARENT };
                let response = ui.add(
                    Button::new(text).min_size(Vec2::new(each, 26.0)).fill(fill).corner_radius(CornerRadius::same(5)),
                );
                response
                    .widget_info(|| WidgetInfo::selected(Role::RadioButton, true, on, format!("{group}: {option}")));
                if response.clicked() && !on {
                    clicked = Some(at);
                }
            }
        });
    });
    clicked
}

/// What a pane says that has nothing to show: an icon, a title and a sentence, in the middle of its upper half.
pub fn empty(ui: &mut Ui, glyph: Icon, colour: Color32, title: &str, words: &str) {
    let palette = Palette::of(ui);
    ui.add_space(((ui.available_height() - 120.0) / 3.0).max(6.0));
    ui.vertical_centered(|ui| {
        ui.spacing_mut().item_spacing.y = 4.0;
        badge(ui, glyph, colour);
        ui.add_space(2.0);
        ui.label(RichText::new(title).text_style(theme::title()).color(palette.strong));
        ui.scope(|ui| {
            ui.set_max_width(460.0);
            ui.add(egui::Label::new(RichText::new(words).color(palette.dim)).wrap());
        });
        ui.add_space(6.0);
    });
}

/// A card in the middle of a surface.
pub fn card<R>(ui: &mut Ui, width: f32, add: impl FnOnce(&mut Ui) -> R) -> R {
    let palette = Palette::of(ui);
    Frame::new()
        .fill(palette.panel)
        .stroke(Stroke::new(1.0, palette.line))
        .corner_radius(10)
        .inner_margin(Margin::symmetric(20, 18))
        .show(ui, |ui| {
            ui.set_width((width - 40.0).max(120.0));
            add(ui)
        })
        .inner
}

/// A round mark with an icon in it, as cards begin with.
pub fn badge(ui: &mut Ui, glyph: Icon, colour: Color32) {
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(40.0), Sense::hover());
    ui.painter().circle_filled(rect.center(), 20.0, colour.gamma_multiply(0.16));
    ui.painter().text(
        rect.center(),
        Align2::CENTER_CENTER,
        char::from(glyph),
        egui::FontId::new(19.0, theme::icons()),
        colour,
    );
}

/// Text of a person's or a machine's words that can be selected, on a deep surface, scrolled when it is long.
pub fn quote(ui: &mut Ui, id: &str, text: &str, max_height: f32) {
    let palette = Palette::of(ui);
    Frame::new().fill(palette.sunken).corner_radius(6).inner_margin(Margin::symmetric(10, 8)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        egui::ScrollArea::vertical().id_salt(id).max_height(max_height).show(ui, |ui| {
            ui.add(
                egui::Label::new(RichText::new(text).monospace().size(12.0).color(palette.text))
                    .wrap()
                    .selectable(true),
            );
        });
    });
}
