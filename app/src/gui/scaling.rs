//! How the guest's picture lies in its panel: which size it gets, how it is filtered, and which of its pixels a place of
//! the window is. Pure, and in device pixels: a point of the window can be one and a half of them.

use egui::{Pos2, Rect, Vec2, pos2, vec2};
use serde::{Deserialize, Serialize};

/// How large the guest's picture is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// As large as there is room for, in its own shape.
    #[default]
    Fit,
    /// A pixel of the guest is one of the device; what has no room is scrolled to.
    Natural,
    /// The largest whole factor that there is room for, or the nearest half, third …
    Whole,
    /// All of the panel, whatever the shape.
    Stretch,
    /// As [`Scaling::Fit`], and the guest is asked for a screen of the panel's size.
    Follow,
}

impl Scaling {
    /// All of them, in the order of the menu.
    pub const ALL: [Self; 5] = [Self::Fit, Self::Natural, Self::Whole, Self::Stretch, Self::Follow];

    /// Its name in the menu.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Fit => "Fit",
            Self::Natural => "1:1",
            Self::Whole => "Whole factors",
            Self::Stretch => "Stretch",
            Self::Follow => "Guest follows the window",
        }
    }

    /// What it does.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Fit => "As large as there is room for.",
            Self::Natural => "One pixel of the guest is one of this display; scroll to the rest.",
            Self::Whole => "The largest whole multiple that there is room for: sharp.",
            Self::Stretch => "All of the room, whatever the shape.",
            Self::Follow => "The guest is asked for a screen of this size.",
        }
    }

    /// The next one of the menu, after the last the first.
    #[must_use]
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|it| *it == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

/// How pixels between those of the guest are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// As the nearest one: at whole factors nothing is blurred.
    Nearest,
    /// From the four around.
    Linear,
    /// From smaller copies: four pixels are too few where many become one.
    Smaller,
}

/// Below this zoom smaller copies of the picture are needed: of a text, whole strokes would vanish.
const SMALL: f32 = 0.75;
/// By how much more than a whole factor a picture may have room and still gets the whole one.
const NEAR: f32 = 1.06;

/// Where the picture is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// In points; it can be larger than its area.
    pub rect: Rect,
    /// How it is filtered.
    pub filter: Filter,
    /// By how many points it is wider and higher than its area.
    pub over: Vec2,
    size: [usize; 2],
    pixels_per_point: f32,
}

/// Where a picture of `size` pixels goes in `area` (points). `pan` says how far it is scrolled, in points, and counts only
/// where it is larger than its area.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "screens have less than 2^24 pixels a side")]
pub fn place(area: Rect, size: [usize; 2], pixels_per_point: f32, scaling: Scaling, pan: Vec2) -> Placement {
    let guest = vec2(size[0].max(1) as f32, size[1].max(1) as f32);
    let room = (area.size() * pixels_per_point).floor().max(Vec2::splat(1.0));
    let most = (room.x / guest.x).min(room.y / guest.y);
    let zoom = match scaling {
        // A whole factor is sharp: it is taken where it costs little of the size.
        Scaling::Fit | Scaling::Follow if most >= 1.0 && most / most.floor() <= NEAR => Vec2::splat(most.floor()),
        Scaling::Fit | Scaling::Follow => Vec2::splat(most),
        Scaling::Natural => Vec2::splat(1.0),
        Scaling::Whole if most >= 1.0 => Vec2::splat(most.floor()),
        Scaling::Whole => Vec2::splat(1.0 / (1.0 / most).ceil()),
        Scaling::Stretch => room / guest,
    };
    let mut wanted = (guest * zoom).round().max(Vec2::splat(1.0));
    if scaling != Scaling::Natural {
        wanted = wanted.min(room);
    }
    let over = (wanted - room).max(Vec2::ZERO);
    let start = (area.min.to_vec2() * pixels_per_point).ceil();
    let pan = (pan * pixels_per_point).round().clamp(Vec2::ZERO, over);
    let corner = start + ((room - wanted) / 2.0).floor().max(Vec2::ZERO) - pan;
    let whole = |zoom: f32| zoom >= 1.0 && (zoom - zoom.round()).abs() < 1e-4;
    Placement {
        rect: Rect::from_min_size((corner / pixels_per_point).to_pos2(), wanted / pixels_per_point),
        filter: if whole(zoom.x) && whole(zoom.y) {
            Filter::Nearest
        } else if zoom.min_elem() < SMALL {
            Filter::Smaller
        } else {
            Filter::Linear
        },
        over: over / pixels_per_point,
        size,
        pixels_per_point,
    }
}

impl Placement {
    /// The guest's pixel at `pos` (points), the nearest one where that is outside. The first and the last one can be
    /// reached at every size: things happen in corners.
    #[must_use]
    pub fn pixel(&self, pos: Pos2) -> (u16, u16) {
        let scale = self.pixels_per_point;
        (
            along(pos.x * scale, self.rect.min.x * scale, self.rect.width() * scale, self.size[0]),
            along(pos.y * scale, self.rect.min.y * scale, self.rect.height() * scale, self.size[1]),
        )
    }

    /// Points that a pixel of the guest has, across and down.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "screens have less than 2^24 pixels a side")]
    pub fn zoom(&self) -> Vec2 {
        self.rect.size() / vec2(self.size[0].max(1) as f32, self.size[1].max(1) as f32)
    }

    /// The whole of its texture.
    pub(super) const UV: Rect = Rect { min: pos2(0.0, 0.0), max: pos2(1.0, 1.0) };
}

/// All in device pixels but for `pixels`, the guest's.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "clamped")]
fn along(pos: f32, min: f32, length: f32, pixels: usize) -> u16 {
    let last = (pixels.clamp(1, 65_536) - 1) as f32;
    // What was a whole pixel before it became points is one again.
    let at = (pos + 0.01).floor() - min.round();
    let length = length.round().max(1.0);
    let guest = if length > last + 1.0 {
        ((at + 0.5) * (last + 1.0) / length).floor()
    } else {
        (at * last / (length - 1.0).max(1.0)).round()
    };
    guest.clamp(0.0, last) as u16
}

#[cfg(test)]
#[path = "scaling_tests.rs"]
mod tests;
