//! The guest's picture as a texture: only what changed is uploaded, with the filter that its size wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use egui::{Color32, ColorImage, Context, Pos2, Rect, TextureFilter, TextureHandle, TextureOptions, vec2};
use vmtools::display::{Cursor, FrameView, Rect as Damaged, Screen};

use super::scaling::{Filter, Placement};

/// Said of a picture that has no room in a texture.
const TOO_LARGE: &str =
    "The guest's screen is larger than what this desktop's graphics can show. Choose a smaller one in the guest.";

/// Above this share of changed pixels one upload of everything is cheaper than many of parts.
const WHOLE_ABOVE: f32 = 0.6;

/// How the guest's pictures are uploaded, and how many were: what a bench sets and reads.
#[derive(Debug, Default)]
pub struct Uploads {
    whole: bool,
    taken: AtomicU64,
}

impl Uploads {
    /// Each picture as a whole, whatever has changed: what uploading only that is compared with.
    #[must_use]
    pub fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// How many pictures were taken from the screen since the window was made.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

/// The texture of the guest's screen and of its cursor.
#[derive(Default)]
pub struct Picture {
    texture: Option<TextureHandle>,
    size: [usize; 2],
    /// How the texture was uploaded, and how it should be for the size that it is shown in.
    uploaded: TextureOptions,
    wanted: TextureOptions,
    cursor: Option<(Arc<Cursor>, TextureHandle)>,
    /// The guest's picture is larger than a texture may be.
    too_large: bool,
    uploads: Arc<Uploads>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Picture").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Picture {
    /// One that is uploaded that way.
    #[must_use]
    pub fn new(uploads: Arc<Uploads>) -> Self {
        Self { uploads, ..Self::default() }
    }

    /// Takes what is new from the screen. To be called inside the frame only: uploads queue up otherwise.
    pub fn refresh(&mut self, ctx: &Context, screen: &Screen) {
        let limit = ctx.input(|input| input.max_texture_side);
        // The window was resized past a step: what is still needs a new upload too.
        let anew = self.wanted != self.uploaded && self.texture.is_some();
        let mut upload = |frame: FrameView<'_>| self.upload(ctx, &frame, limit);
        if if anew { screen.try_take_whole(&mut upload) } else { screen.try_take(&mut upload) } {
            self.uploads.taken.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Size of the guest's screen in its pixels; `None` before the first frame.
    #[must_use]
    pub fn size(&self) -> Option<[usize; 2]> {
        self.texture.is_some().then_some(self.size)
    }

    /// Why the guest's picture cannot be shown, if it cannot.
    #[must_use]
    pub fn trouble(&self) -> Option<&'static str> {
        self.too_large.then_some(TOO_LARGE)
    }

    /// Forgets the picture: a new guest begins.
    pub fn clear(&mut self) {
        *self = Self::new(Arc::clone(&self.uploads));
    }

    fn upload(&mut self, ctx: &Context, frame: &FrameView<'_>, limit: usize) {
        let (width, height) = (frame.width, frame.height);
        let whole = width.checked_mul(height).and_then(|n| n.checked_mul(4));
        self.too_large = width > limit || height > limit;
        if width == 0 || height == 0 || self.too_large || whole != Some(frame.pixels.len()) {
            // What was shown before is not what the guest shows.
            self.texture = None;
            return;
        }
        let options = self.uploaded;
        let image = |part: &[u8], size: [usize; 2]| ColorImage::from_rgba_premultiplied(size, part);
        match &mut self.texture {
            Some(texture) if !frame.resized && self.size == [width, height] && self.wanted == self.uploaded => {
                #[allow(clippy::cast_precision_loss, reason = "a share")]
                let dirty =
                    frame.damage.iter().map(|r| r.width * r.height).sum::<usize>() as f32 / (width * height) as f32;
                if self.uploads.whole || dirty > WHOLE_ABOVE {
                    texture.set_partial([0, 0], image(frame.pixels, [width, height]), options);
                    return;
                }
                // Each upload makes all smaller copies of the picture anew, where it has them.
                let around = options.mipmap_mode.and_then(|_| around(frame.damage));
                for part in around.as_ref().map_or(frame.damage, std::slice::from_ref) {
                    let (right, bottom) = ((part.x + part.width).min(width), (part.y + part.height).min(height));
                    if part.x >= right || part.y >= bottom {
                        continue;
                    }
                    let size = [right - part.x, bottom - part.y];
                    let mut bytes = Vec::with_capacity(size[0] * size[1] * 4);
                    for row in part.y..bottom {
                        let start = (row * width + part.x) * 4;
                        bytes.extend_from_slice(&frame.pixels[start..start + size[0] * 4]);
                    }
                    texture.set_partial([part.x, part.y], image(&bytes, size), options);
                }
            }
            Some(texture) => {
                texture.set(image(frame.pixels, [width, height]), self.wanted);
                self.uploaded = self.wanted;
            }
            None => {
                self.texture = Some(ctx.load_texture("guest", image(frame.pixels, [width, height]), self.wanted));
                self.uploaded = self.wanted;
            }
        }
        self.size = [width, height];
    }

    /// Draws the picture where it is placed, as much of it as is in `area`, `dimmed` if it is not live.
    pub fn paint(&mut self, ui: &egui::Ui, area: Rect, placed: &Placement, dimmed: bool) {
        let Some(texture) = &self.texture else { return };
        self.wanted = match placed.filter {
            Filter::Nearest => TextureOptions::NEAREST,
            Filter::Linear => TextureOptions::LINEAR,
            Filter::Smaller => TextureOptions { mipmap_mode: Some(TextureFilter::Linear), ..TextureOptions::LINEAR },
        };
        if self.wanted != self.uploaded {
            ui.ctx().request_repaint_after(std::time::Duration::from_millis(1));
        }
        let tint = if dimmed { Color32::from_gray(70) } else { Color32::WHITE };
        ui.painter().with_clip_rect(area).image(texture.id(), placed.rect, Placement::UV, tint);
    }

    /// Draws the guest's own cursor with its hot spot at `at`, if the guest gives one.
    pub fn paint_cursor(&mut self, ui: &egui::Ui, screen: &Screen, area: Rect, placed: &Placement, at: Pos2) -> bool {
        let Some(cursor) = screen.cursor() else {
            self.cursor = None;
            return false;
        };
        let size = [cursor.width as usize, cursor.height as usize];
        if size.contains(&0) {
            // The guest hides its pointer.
            return true;
        }
        if cursor.rgba.len() != size[0] * size[1] * 4 {
            return false;
        }
        if self.cursor.as_ref().is_none_or(|(old, _)| !Arc::ptr_eq(old, &cursor) && *old != cursor) {
            let image = ColorImage::from_rgba_unmultiplied(size, &cursor.rgba);
            let texture = ui.ctx().load_texture("guest-cursor", image, TextureOptions::LINEAR);
            self.cursor = Some((Arc::clone(&cursor), texture));
        }
        let Some((_, texture)) = &self.cursor else { return false };
        #[allow(clippy::cast_precision_loss, reason = "cursors are small")]
        let (size, hot) =
            (vec2(cursor.width as f32, cursor.height as f32), vec2(cursor.hot_x as f32, cursor.hot_y as f32));
        let zoom = placed.zoom();
        let rect = Rect::from_min_size(at - hot * zoom, size * zoom);
        let clip = area.intersect(placed.rect);
        ui.painter().with_clip_rect(clip).image(texture.id(), rect, Placement::UV, Color32::WHITE);
        true
    }
}

/// The smallest rectangle around all.
fn around(damage: &[Damaged]) -> Option<Damaged> {
    damage.iter().copied().reduce(|all, part| {
        let (x, y) = (all.x.min(part.x), all.y.min(part.y));
        let (right, bottom) =
            ((all.x + all.width).max(part.x + part.width), (all.y + all.height).max(part.y + part.height));
        Damaged { x, y, width: right - x, height: bottom - y }
    })
}

/// Puts the picture of `screen` into the clipboard; false where there is none.
#[must_use]
pub fn copy(ctx: &Context, screen: &Screen) -> bool {
    let Some(frame) = screen.snapshot() else { return false };
    let size = [frame.width as usize, frame.height as usize];
    // Opaque: no alpha is multiplied.
    ctx.copy_image(ColorImage::from_rgba_premultiplied(size, &frame.rgba));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_uploaded_and_everything_once_when_most_has() {
        let ctx = Context::default();
        let mut picture = Picture::default();
        let pixels = vec![255; 100 * 50 * 4];
        let mut upload = |damage: &[vmtools::display::Rect], resized| -> Vec<(Option<[usize; 2]>, [usize; 2])> {
            let view = FrameView { width: 100, height: 50, pixels: &pixels, damage, resized };
            let mut output = ctx.run_ui(egui::RawInput::default(), |ui| picture.upload(ui.ctx(), &view, 4096));
            let guest = output.textures_delta.set.iter().find(|(id, _)| **id != egui::TextureId::default());
            let parts = guest.map(|(_, deltas)| deltas.iter().map(|part| (part.pos, part.image.size())).collect());
            output.textures_delta.clear();
            parts.unwrap_or_default()
        };
        let rect = |x, y, width, height| vmtools::display::Rect { x, y, width, height };
        assert_eq!(upload(&[rect(0, 0, 100, 50)], true), [(None, [100, 50])]);
        let parts = upload(&[rect(3, 4, 10, 5), rect(90, 45, 50, 50)], false);
        assert_eq!(parts, [(Some([3, 4]), [10, 5]), (Some([90, 45]), [10, 5])], "and never outside");
        assert_eq!(upload(&[rect(0, 0, 100, 40)], false), [(Some([0, 0]), [100, 50])]);
        assert_eq!(upload(&[], false), []);
    }

    #[test]
    fn a_picture_without_room_takes_the_one_before_it_away_and_is_told() {
        let ctx = Context::default();
        let mut picture = Picture::default();
        let pixels = vec![255; 100 * 50 * 4];
        let damage = [vmtools::display::Rect { x: 0, y: 0, width: 100, height: 50 }];
        let mut upload = |limit| {
            let view = FrameView { width: 100, height: 50, pixels: &pixels, damage: &damage, resized: true };
            let mut output = ctx.run_ui(egui::RawInput::default(), |ui| picture.upload(ui.ctx(), &view, limit));
            output.textures_delta.clear();
            (picture.size(), picture.trouble().is_some())
        };
        assert_eq!(upload(100), (Some([100, 50]), false));
        assert_eq!(upload(99), (None, true));
        assert_eq!(upload(100), (Some([100, 50]), false));
    }
}
