//! Small pictures from PNG files: read and decoded on a thread of their own, so that a frame never waits for them, and kept
//! as textures, a bounded number of them.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

use egui::{ColorImage, Context, TextureHandle, TextureOptions};
use image::{ImageReader, Limits};

/// How many are kept: more than fit a tall window.
const KEPT: usize = 64;
/// The largest that one becomes, pixels: sharp on screens of two pixels a point.
const LARGEST: (u32, u32) = (256, 160);
/// The largest picture that is decoded, pixels a side: QEMU's own limit is below it.
const SIDE: u32 = 16_384;
/// Memory that decoding one may take, bytes.
const MEMORY: u64 = 512 << 20;

/// What a thumbnail is of: a file, and what tells two versions of it apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The PNG file.
    pub file: PathBuf,
    /// Another number, another picture.
    pub version: u64,
}

/// What is known of a picture.
#[derive(Clone)]
enum Known {
    Coming,
    There(TextureHandle),
    Unreadable,
}

struct Entry {
    key: Key,
    known: Known,
    /// The frame that last wanted it.
    wanted: u64,
}

/// A picture that was decoded; `None` if it cannot be.
type Decoded = (Key, Option<ColorImage>);

/// Thumbnails, as they are asked for.
#[derive(Default)]
pub struct Thumbnails {
    entries: Vec<Entry>,
    thread: Option<(Sender<Key>, Receiver<Decoded>)>,
}

impl std::fmt::Debug for Thumbnails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thumbnails").field("kept", &self.entries.len()).finish_non_exhaustive()
    }
}

impl Thumbnails {
    /// The picture; `None` while it is coming, and where it cannot be read.
    pub fn get(&mut self, ctx: &Context, key: &Key) -> Option<TextureHandle> {
        self.take(ctx);
        let wanted = ctx.cumulative_frame_nr();
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == *key) {
            entry.wanted = wanted;
            return match &entry.known {
                Known::There(texture) => Some(texture.clone()),
                Known::Coming | Known::Unreadable => None,
            };
        }
        if self.entries.len() >= KEPT {
            let oldest = self.entries.iter().enumerate().min_by_key(|(_, entry)| entry.wanted).map(|(at, _)| at);
            self.entries.swap_remove(oldest.unwrap_or_default());
        }
        let (thread, _) = self.thread.get_or_insert_with(|| start(ctx.clone()));
        let known = if thread.send(key.clone()).is_ok() { Known::Coming } else { Known::Unreadable };
        self.entries.push(Entry { key: key.clone(), known, wanted });
        None
    }

    /// How many are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.entries.len()
    }

    fn take(&mut self, ctx: &Context) {
        let Some((_, done)) = &self.thread else { return };
        for (key, image) in done.try_iter() {
            // One that was given up meanwhile is not wanted any more.
            let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == key) else { continue };
            entry.known = match image {
                Some(image) => Known::There(ctx.load_texture("thumbnail", image, TextureOptions::LINEAR)),
                None => Known::Unreadable,
            };
        }
    }
}

/// A thread that decodes what it is sent, and ends when nobody can send any more. Without one nothing is ever there.
fn start(ctx: Context) -> (Sender<Key>, Receiver<Decoded>) {
    let (send, keys) = channel::<Key>();
    let (answer, answers) = channel();
    let work = move || {
        for key in keys {
            let image = decode(&key.file);
            if answer.send((key, image)).is_err() {
                return;
            }
            ctx.request_repaint();
        }
    };
    // The sender finds out by itself where there is no thread.
    let _ = std::thread::Builder::new().name("thumbnails".to_owned()).spawn(work);
    (send, answers)
}

/// The file's picture, small. Pictures are written by us, and read as if they were not.
fn decode(file: &std::path::Path) -> Option<ColorImage> {
    let mut reader = ImageReader::open(file).ok()?.with_guessed_format().ok()?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) = (Some(SIDE), Some(SIDE), Some(MEMORY));
    reader.limits(limits);
    let picture = reader.decode().ok()?;
    let small = picture.thumbnail(LARGEST.0, LARGEST.1).to_rgba8();
    let size = [usize::try_from(small.width()).ok()?, usize::try_from(small.height()).ok()?];
    Some(ColorImage::from_rgba_unmultiplied(size, &small))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_become_small_and_what_is_none_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("picture.png");
        image::RgbImage::new(1920, 1080).save(&file).unwrap();
        assert_eq!(decode(&file).unwrap().size, [256, 144]);
        std::fs::write(&file, "no picture").unwrap();
        assert!(decode(&file).is_none() && decode(&dir.path().join("absent")).is_none());
    }

    #[test]
    fn a_bounded_number_is_kept_and_those_not_wanted_go_first() {
        let (ctx, mut thumbnails) = (Context::default(), Thumbnails::default());
        let key = |version| Key { file: "/absent".into(), version };
        for version in 0..1000 {
            assert!(thumbnails.get(&ctx, &key(version)).is_none());
        }
        assert_eq!(thumbnails.kept(), KEPT);
    }
}
