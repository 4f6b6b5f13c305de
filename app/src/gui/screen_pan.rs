//! The bars that scroll a guest's picture that is larger than its panel. Its wheel is the guest's, so they are dragged.

use egui::{Pos2, Rect, Role, Sense, Ui, Vec2, WidgetInfo, pos2, vec2};

use super::theme::Palette;

/// Width of a bar, and of what can be grabbed, points.
const BAR: f32 = 6.0;
const GRAB: f32 = 14.0;
/// The shortest handle, points.
const SHORTEST: f32 = 28.0;

/// The room of the bar along the lower edge (axis 0) or the right one (axis 1).
fn track(area: Rect, axis: usize) -> Rect {
    if axis == 0 {
        Rect::from_min_max(pos2(area.min.x, area.max.y - GRAB), pos2(area.max.x - GRAB, area.max.y))
    } else {
        Rect::from_min_max(pos2(area.max.x - GRAB, area.min.y), pos2(area.max.x, area.max.y - GRAB))
    }
}

/// Whether a bar, not the picture, is at `pos`.
#[must_use]
pub fn covers(area: Rect, over: Vec2, pos: Pos2) -> bool {
    (0..2).any(|axis| over[axis] > 0.0 && track(area, axis).contains(pos))
}

/// Draws the bars along the right and the lower edge of `area` where the picture is `over` points larger than it; returns
/// how far it is scrolled now, points.
pub fn show(ui: &Ui, area: Rect, over: Vec2, pan: Vec2) -> Vec2 {
    let mut pan = pan.clamp(Vec2::ZERO, over);
    for (axis, name) in [(0, "Scroll the screen across"), (1, "Scroll the screen down")] {
        if over[axis] <= 0.0 {
            continue;
        }
        let track = track(area, axis);
        let length = track.size()[axis].max(1.0);
        let handle =
            (length * area.size()[axis] / (area.size()[axis] + over[axis])).clamp(SHORTEST.min(length), length);
        let way = (length - handle).max(1.0);
        let response = ui.interact(track, ui.scope_id().with(name), Sense::click_and_drag());
        if response.dragged() {
            pan[axis] += response.drag_delta()[axis] * over[axis] / way;
        } else if response.clicked()
            && let Some(at) = response.interact_pointer_pos()
        {
            pan[axis] = (at[axis] - track.min[axis] - handle / 2.0) * over[axis] / way;
        }
        pan = pan.clamp(Vec2::ZERO, over);
        let start = pan[axis] / over[axis] * way;
        let palette = Palette::of(ui);
        let shown = if axis == 0 {
            Rect::from_min_size(track.min + vec2(start, GRAB - BAR - 2.0), vec2(handle, BAR))
        } else {
            Rect::from_min_size(track.min + vec2(GRAB - BAR - 2.0, start), vec2(BAR, handle))
        };
        let hot = response.hovered() || response.dragged();
        ui.painter().rect_filled(shown, BAR / 2.0, if hot { palette.accent } else { palette.dim });
        response.widget_info(|| {
            let mut info = WidgetInfo::labeled(Role::ScrollBar, true, name);
            info.value = Some(f64::from(pan[axis] / over[axis] * 100.0));
            info
        });
    }
    pan
}
