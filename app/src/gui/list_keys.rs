//! Lists for the keyboard: an area that takes the focus, arrows and pages that move a cursor in it or scroll it.

use egui::{Key, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo};

use super::theme::Palette;

/// How far an arrow scrolls, points.
const LINE: f32 = 44.0;

/// Makes `area` a stop of the Tab key, before what is drawn in it. The arrows stay in it while it has the focus.
pub(super) fn stop(ui: &Ui, area: Rect, id: &str, role: Role, name: &str) -> Response {
    let list = ui.interact(area, ui.scope_id().with(id), Sense::click());
    list.widget_info(|| WidgetInfo::labeled(role, true, name));
    if list.clicked() {
        list.request_focus();
    }
    if list.has_focus() {
        let arrows = egui::EventFilter { vertical_arrows: true, horizontal_arrows: true, ..Default::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(list.id, arrows));
    }
    list
}

/// Shows that it has the focus, where no row of it does.
pub(super) fn outline(ui: &Ui, list: &Response) {
    if list.has_focus() {
        let stroke = Stroke::new(1.0, Palette::of(ui).accent);
        ui.painter().rect_stroke(list.rect.shrink(1.0), 4.0, stroke, StrokeKind::Inside);
    }
}

/// Where the cursor goes from `at`, of `count` rows that are `row` points high; `None` if it stays.
pub(super) fn moved(ui: &Ui, list: &Response, at: usize, count: usize, row: f32) -> Option<usize> {
    if !list.has_focus() || count == 0 {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a screenful")]
    let page = ((list.rect.height() / row) as usize).saturating_sub(1).max(1);
    let last = count - 1;
    let keys = [
        (Key::ArrowUp, at.saturating_sub(1)),
        (Key::ArrowDown, (at + 1).min(last)),
        (Key::PageUp, at.saturating_sub(page)),
        (Key::PageDown, (at + page).min(last)),
        (Key::Home, 0),
        (Key::End, last),
    ];
    keys.into_iter().filter(|(key, _)| ui.input(|input| input.key_pressed(*key))).map(|(_, to)| to).next_back()
}

/// How far the keyboard scrolls down, points; to be given to the area that scrolls.
pub(super) fn scrolled(ui: &Ui, list: &Response) -> f32 {
    if !list.has_focus() {
        return 0.0;
    }
    let page = (list.rect.height() - LINE).max(LINE);
    let keys = [
        (Key::ArrowUp, -LINE),
        (Key::ArrowDown, LINE),
        (Key::PageUp, -page),
        (Key::PageDown, page),
        (Key::Home, f32::MIN / 4.0),
        (Key::End, f32::MAX / 4.0),
    ];
    keys.into_iter().filter(|(key, _)| ui.input(|input| input.key_pressed(*key))).map(|(_, by)| by).sum()
}
