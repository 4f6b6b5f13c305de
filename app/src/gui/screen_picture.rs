//! The guest's picture as a texture: only what changed is uploaded, and where it is drawn is decided in device pixels.

use egui::{Color32, ColorImage, Context, Pos2, Rect, TextureFilter, TextureHandle, TextureOptions, Vec2, pos2, vec2};
use vmtools::display::{Cursor, FrameView, Screen};

/// Above this share of changed pixels one upload of everything is cheaper than many of parts.
const WHOLE_ABOVE: f32 = 0.6;
/// Below this zoom smaller copies of the picture are kept on the graphics card.
const SMALL: f32 = 0.75;

/// The texture of the guest's screen and of its cursor.
#[derive(Default)]
pub struct Picture {
    texture: Option<TextureHandle>,
    size: [usize; 2],
    /// How the texture was uploaded, and how it should be for the size that it is shown in.
    uploaded: TextureOptions,
    wanted: TextureOptions,
    cursor: Option<(Cursor, TextureHandle)>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Picture").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Picture {
    /// Takes what is new from the screen. To be called inside the frame only: uploads queue up otherwise.
    pub fn refresh(&mut self, ctx: &Context, screen: &Screen) {
        let limit = ctx.input(|input| input.max_texture_side);
        if self.wanted != self.uploaded
            && let Some(texture) = &mut self.texture
            && let Some(frame) = screen.snapshot()
            && [frame.width as usize, frame.height as usize] == self.size
        {
            // Rare: the window was resized past a step. What is still needs a new upload too.
            texture.set(ColorImage::from_rgba_premultiplied(self.size, &frame.rgba), self.wanted);
            self.uploaded = self.wanted;
        }
        screen.try_take(&mut |frame| self.upload(ctx, &frame, limit));
    }

    /// Size of the guest's screen in its pixels; `None` before the first frame.
    #[must_use]
    pub fn size(&self) -> Option<[usize; 2]> {
        self.texture.is_some().then_some(self.size)
    }

    /// Forgets the picture: a new guest begins.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn upload(&mut self, ctx: &Context, frame: &FrameView<'_>, limit: usize) {
        let (width, height) = (frame.width, frame.height);
        let whole = width.checked_mul(height).and_then(|n| n.checked_mul(4));
        if width == 0 || height == 0 || width > limit || height > limit || whole != Some(frame.pixels.len()) {
            return;
        }
        let options = self.uploaded;
        let image = |part: &[u8], size: [usize; 2]| ColorImage::from_rgba_premultiplied(size, part);
        match &mut self.texture {
            Some(texture) if !frame.resized && self.size == [width, height] => {
                #[allow(clippy::cast_precision_loss, reason = "a share")]
                let dirty =
                    frame.damage.iter().map(|r| r.width * r.height).sum::<usize>() as f32 / (width * height) as f32;
                if dirty > WHOLE_ABOVE {
                    texture.set_partial([0, 0], image(frame.pixels, [width, height]), options);
                    return;
                }
                for part in frame.damage {
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

    /// Draws the picture into `area`, `dimmed` if it is not live. Returns where it is.
    pub fn paint(&mut self, ui: &egui::Ui, area: Rect, dimmed: bool) -> Option<Rect> {
        let texture = self.texture.as_ref()?;
        let scale = ui.ctx().pixels_per_point();
        let (rect, sharp) = fit(area, self.size, scale);
        #[allow(clippy::cast_precision_loss, reason = "screens have less than 2^24 pixels a side")]
        let zoom = rect.width() * scale / self.size[0].max(1) as f32;
        self.wanted = if sharp {
            TextureOptions::NEAREST
        } else if zoom < SMALL {
            // Bilinear looks at four pixels only: of a text that is shown at less than that, whole strokes vanish.
            TextureOptions { mipmap_mode: Some(TextureFilter::Linear), ..TextureOptions::LINEAR }
        } else {
            TextureOptions::LINEAR
        };
        if self.wanted != self.uploaded {
            ui.ctx().request_repaint_after(std::time::Duration::from_millis(1));
        }
        let tint = if dimmed { Color32::from_gray(70) } else { Color32::WHITE };
        ui.painter().image(texture.id(), rect, Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0)), tint);
        Some(rect)
    }

    /// Draws the guest's own cursor with its hot spot at `at`, if the guest gives one.
    pub fn paint_cursor(&mut self, ui: &egui::Ui, screen: &Screen, picture: Rect, at: Pos2) -> bool {
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
        if self.cursor.as_ref().is_none_or(|(old, _)| *old != cursor) {
            let image = ColorImage::from_rgba_unmultiplied(size, &cursor.rgba);
            let texture = ui.ctx().load_texture("guest-cursor", image, TextureOptions::LINEAR);
            self.cursor = Some((cursor.clone(), texture));
        }
        let Some((_, texture)) = &self.cursor else { return false };
        #[allow(clippy::cast_precision_loss, reason = "cursors are small")]
        let (size, hot, wide) = (
            vec2(cursor.width as f32, cursor.height as f32),
            vec2(cursor.hot_x as f32, cursor.hot_y as f32),
            self.size[0].max(1) as f32,
        );
        let zoom = picture.width() / wide;
        let rect = Rect::from_min_size(at - hot * zoom, size * zoom);
        let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
        ui.painter().with_clip_rect(picture).image(texture.id(), rect, uv, Color32::WHITE);
        true
    }
}

/// Where a picture of `size` pixels goes in `area` (points) so that it is as large as possible, keeps its shape and
/// lies on device pixels; and whether one guest pixel is a whole number of device pixels.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "screens have less than 2^24 pixels a side")]
pub fn fit(area: Rect, size: [usize; 2], pixels_per_point: f32) -> (Rect, bool) {
    let guest = vec2(size[0].max(1) as f32, size[1].max(1) as f32);
    let room = (area.size() * pixels_per_point).floor().max(Vec2::splat(1.0));
    let mut zoom = (room.x / guest.x).min(room.y / guest.y);
    // A whole factor is sharp: take it when it costs little of the size.
    let sharp = zoom >= 1.0 && zoom / zoom.floor() <= 1.06;
    if sharp {
        zoom = zoom.floor();
    }
    let wanted = (guest * zoom).round().max(Vec2::splat(1.0)).min(room);
    let corner = (area.min.to_vec2() * pixels_per_point).ceil() + ((room - wanted) / 2.0).floor();
    (Rect::from_min_size((corner / pixels_per_point).to_pos2(), wanted / pixels_per_point), sharp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(width: f32, height: f32) -> Rect {
        Rect::from_min_size(pos2(10.0, 20.0), vec2(width, height))
    }

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
    fn the_shape_is_kept_and_the_picture_is_centred() {
        let (rect, sharp) = fit(area(800.0, 370.0), [1280, 800], 1.0);
        assert!(!sharp);
        assert_eq!(rect.size(), vec2(592.0, 370.0));
        assert_eq!(rect.min, pos2(10.0 + 104.0, 20.0));
    }

    #[test]
    fn a_whole_factor_is_taken_when_it_is_near() {
        let (rect, sharp) = fit(area(660.0, 500.0), [640, 480], 1.0);
        assert!(sharp);
        assert_eq!(rect.size(), vec2(640.0, 480.0));
        let (rect, sharp) = fit(area(650.0, 490.0), [640, 480], 2.0);
        assert!(sharp);
        assert_eq!(rect.size(), vec2(640.0, 480.0));
    }

    #[test]
    fn it_lies_on_device_pixels_at_any_scale() {
        for scale in [1.0, 1.25, 1.5, 2.0, 3.0] {
            let (rect, _) = fit(area(811.3, 377.7), [1024, 768], scale);
            for edge in [rect.min.x, rect.min.y, rect.max.x, rect.max.y] {
                let pixels = edge * scale;
                assert!((pixels - pixels.round()).abs() < 0.01, "{edge} at {scale}");
            }
        }
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        let (rect, _) = fit(Rect::from_min_size(pos2(0.0, 0.0), Vec2::ZERO), [0, 0], 1.0);
        assert!(rect.is_finite());
    }
}
