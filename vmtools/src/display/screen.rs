//! The shared picture: a source publishes, the window takes. Latest wins, damage adds up, nobody waits long.

mod looks;
mod sizes;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

pub use looks::Look;
pub use sizes::SizeAnswer;

use crate::display::clipboard::Clipboard;
use crate::display::framebuffer::Framebuffer;
use crate::display::sound::Sound;
use crate::display::tiles::Tiles;
use crate::display::{Cursor, Frame, Locks, Rect};

/// The picture as [`Screen::try_take`] shows it.
#[derive(Debug)]
pub struct FrameView<'a> {
    /// Width, pixels.
    pub width: usize,
    /// Height, pixels.
    pub height: usize,
    /// `width * height * 4` bytes, red first, opaque.
    pub pixels: &'a [u8],
    /// What changed since the last take, at most [`MAX_RECTS`](crate::display::MAX_RECTS) rectangles.
    pub damage: &'a [Rect],
    /// The size differs from the last take's, or this is the first: damage is everything.
    pub resized: bool,
}

#[derive(Default)]
struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    damage: Tiles,
    resized: bool,
    cursor: Option<Arc<Cursor>>,
    /// Where the pointer was told to be, if the guest takes places.
    pointer: Option<(u16, u16)>,
    /// Pictures published so far, with and without another pointer.
    number: u64,
}

/// A VNC client that paints screens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Client {
    /// Our own, [`RfbSource`](super::RfbSource).
    #[default]
    Own,
    /// The `vnc-rs` crate's, [`VncSource`](super::VncSource).
    VncRs,
}

type Waker = Box<dyn Fn() + Send + Sync>;

/// A guest's screen, shared for a whole session by the source that paints it and whoever shows it.
#[derive(Default)]
pub struct Screen {
    picture: Mutex<Picture>,
    /// That of the picture, for whoever must not wait for all of it to be copied.
    cursor: Mutex<Option<Arc<Cursor>>>,
    waker: Mutex<Option<Waker>>,
    live: AtomicBool,
    /// Since when somebody sees an old picture, because the display has changed its size since.
    behind: Mutex<Option<Instant>>,
    /// How often a source was lost.
    losses: AtomicU64,
    unanswered: AtomicBool,
    trouble: Mutex<Option<&'static str>>,
    generation: AtomicU64,
    hidden: AtomicBool,
    view_only: AtomicBool,
    /// How many look beside whoever shows it: recordings, tests that wait for stillness.
    lookers: AtomicUsize,
    /// Pictures of now that were wished for so far, and the newest of these wishes that was answered.
    fresh: AtomicU64,
    answered: AtomicU64,
    freshened: Notify,
    client: Mutex<Client>,
    /// Somebody wanted the picture while it was copied, and is to be called again.
    missed: AtomicBool,
    relative: AtomicBool,
    takes_keysyms: AtomicBool,
    wished_size: Mutex<Option<(u16, u16)>>,
    size_answer: Mutex<Option<SizeAnswer>>,
    pub(super) wishes: Notify,
    pub(super) clipboard: Mutex<Clipboard>,
    bells: AtomicU64,
    sound: Sound,
    locks: Mutex<Option<Locks>>,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("live", &self.live()).field("generation", &self.generation()).finish()
    }
}

impl Screen {
    /// A screen that has shown nothing yet, visible.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what is called after each change, from the source's thread: it must be quick and must not call back in.
    pub fn set_waker(&self, waker: Box<dyn Fn() + Send + Sync>) {
        *lock(&self.waker) = Some(waker);
    }

    /// Whether the picture shows what the guest shows now. False before the first picture, and from the moment the guest
    /// or the connection to it is gone, and as long as QEMU does not answer.
    #[must_use]
    pub fn live(&self) -> bool {
        self.live.load(Ordering::Acquire) && !self.unanswered.load(Ordering::Acquire)
    }

    /// How often a connection to a guest has ended: no key and no button that was down before is down after it.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    /// Grows with every change of the picture, of the cursor, and of [`Screen::live`].
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Shows the picture to `f` if it changed since the last take. False when there is nothing new or the picture is
    /// being written just now: the waker will be called again.
    pub fn try_take(&self, f: &mut dyn FnMut(FrameView<'_>)) -> bool {
        self.take(false, f)
    }

    /// The same of all of the picture, whether it changed or not. False before the first.
    pub fn try_take_whole(&self, f: &mut dyn FnMut(FrameView<'_>)) -> bool {
        self.take(true, f)
    }

    fn take(&self, whole: bool, f: &mut dyn FnMut(FrameView<'_>)) -> bool {
        let attempt = || match self.picture.try_lock() {
            Ok(picture) => Some(picture),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let picture = attempt().or_else(|| {
            // Whoever only copies it may be done just now, or will see this when it is.
            self.missed.store(true, Ordering::SeqCst);
            attempt()
        });
        let Some(mut picture) = picture else { return false };
        if picture.damage.is_empty() && !(whole && picture.width > 0) {
            return false;
        }
        let Picture { width, height, ref pixels, ref damage, resized, .. } = *picture;
        let (damage, all) = (damage.damage(), [Rect { x: 0, y: 0, width, height }]);
        let damage = if whole { &all[..] } else { damage.rects() };
        f(FrameView { width, height, pixels, damage, resized });
        picture.damage.clear();
        picture.resized = false;
        true
    }

    /// For how long somebody has looked at a picture of before the guest's display changed its size, because the first one since
    /// is not whole yet; `None` where that is not so, and with the client vnc-rs, which does not tell. Over a slow line it takes a
    /// while.
    #[must_use]
    pub fn behind(&self) -> Option<Duration> {
        lock(&self.behind).map(|since| since.elapsed())
    }

    /// A copy of the picture, live or not; `None` before the first.
    #[must_use]
    pub fn snapshot(&self) -> Option<Frame> {
        let picture = lock(&self.picture);
        let (width, height) = (u32::try_from(picture.width).ok()?, u32::try_from(picture.height).ok()?);
        let frame = (width > 0).then(|| Frame { width, height, rgba: picture.pixels.clone() });
        drop(picture);
        self.call_missed();
        frame
    }

    /// Whether every pixel of the picture, live or not, has the same colour; `None` before the first.
    #[must_use]
    pub fn uniform(&self) -> Option<bool> {
        let picture = lock(&self.picture);
        // All are alike if each is as the one before it.
        let uniform = picture.pixels.get(4..).map(|rest| picture.pixels.starts_with(rest));
        drop(picture);
        self.call_missed();
        uniform
    }

    /// Copies the picture to `pixels`, as in [`Frame::rgba`], with the pointer that the guest leaves to whoever shows it, if
    /// another one was published after the one of the number `seen`, which is 0 at first, or the pointer is another one.
    /// Returns width, height and number.
    pub(crate) fn copy_newer(&self, seen: u64, pixels: &mut Vec<u8>) -> Option<(usize, usize, u64)> {
        let picture = lock(&self.picture);
        let newer = (picture.number > seen && picture.width > 0).then(|| {
            pixels.clone_from(&picture.pixels);
            if let (Some(cursor), Some(at)) = (&picture.cursor, picture.pointer) {
                cursor.draw(pixels, picture.width, at);
            }
            (picture.width, picture.height, picture.number)
        });
        drop(picture);
        self.call_missed();
        newer
    }

    fn call_missed(&self) {
        if self.missed.swap(false, Ordering::SeqCst)
            && let Some(waker) = &*lock(&self.waker)
        {
            waker();
        }
    }

    /// The pointer's picture, if the guest has set one.
    #[must_use]
    pub fn cursor(&self) -> Option<Arc<Cursor>> {
        lock(&self.cursor).clone()
    }

    /// Whether the guest takes movements of the pointer, not places: it has no tablet, or no driver for it (yet).
    #[must_use]
    pub fn relative(&self) -> bool {
        self.relative.load(Ordering::Acquire)
    }

    pub(crate) fn set_relative(&self, relative: bool) {
        if self.relative.swap(relative, Ordering::AcqRel) != relative {
            self.changed();
        }
    }

    /// Whether keys are told to the server by what they yield, not by their scan codes: text is typed as its characters then,
    /// [`keysyms_for_text`](crate::display::keysyms_for_text), whatever the layout on the other side.
    #[must_use]
    pub fn takes_keysyms(&self) -> bool {
        self.takes_keysyms.load(Ordering::Acquire)
    }

    pub(crate) fn set_takes_keysyms(&self, takes: bool) {
        self.takes_keysyms.store(takes, Ordering::Release);
    }

    /// Waits until [`Screen::set_visible`], [`Screen::look`], [`Screen::fresh`], [`Screen::wish_size`] or [`Screen::want_sound`]
    /// changes something.
    pub(crate) async fn wish_changed(&self) {
        self.wishes.notified().await;
    }

    /// Takes over what `buffer` has changed; the screen is live from now on.
    pub(crate) fn publish(&self, buffer: &mut Framebuffer) {
        let (width, height) = buffer.size();
        let mut picture = lock(&self.picture);
        if (picture.width, picture.height) == (width, height) {
            for rect in buffer.damage().rects() {
                buffer.copy_as_rgba(&mut picture.pixels, rect);
            }
            picture.damage.add(buffer.damage());
        } else {
            (picture.width, picture.height, picture.resized) = (width, height, true);
            picture.pixels.clear();
            picture.pixels.resize(width * height * 4, 0);
            buffer.copy_as_rgba(&mut picture.pixels, Rect { x: 0, y: 0, width, height });
            picture.damage = Tiles::new(width, height);
            picture.damage.mark_all();
        }
        picture.number += 1;
        *lock(&self.behind) = None;
        drop(picture);
        buffer.clear_damage();
        self.forget_trouble();
        self.live.store(true, Ordering::Release);
        self.changed();
    }

    /// The display has another size now, and nothing whole was painted at it.
    pub(crate) fn falls_behind(&self) {
        lock(&self.behind).get_or_insert_with(Instant::now);
        self.changed();
    }

    pub(crate) fn set_cursor(&self, cursor: Cursor) {
        let cursor = Arc::new(cursor);
        *lock(&self.cursor) = Some(Arc::clone(&cursor));
        let mut picture = lock(&self.picture);
        picture.cursor = Some(cursor);
        picture.number += 1;
        drop(picture);
        self.changed();
    }

    /// The pointer was told to be there; `None`: it was moved, and nobody but the guest knows where it is. Who shows the
    /// picture knows where its own pointer is, and is not called.
    pub(crate) fn set_pointer(&self, at: Option<(u16, u16)>) {
        let mut picture = lock(&self.picture);
        if picture.pointer != at {
            picture.pointer = at;
            picture.number += u64::from(picture.cursor.is_some());
        }
        drop(picture);
        self.call_missed();
    }

    /// The source or the guest is gone: the picture stays, but it is no longer live, and pointer, lock keys, clipboard and what was
    /// wished of it are forgotten.
    pub(crate) fn lost(&self) {
        let was_live = self.live.swap(false, Ordering::AcqRel);
        self.losses.fetch_add(1, Ordering::AcqRel);
        *lock(&self.cursor) = None;
        *lock(&self.locks) = None;
        *lock(&self.behind) = None;
        self.relative.store(false, Ordering::Release);
        self.takes_keysyms.store(false, Ordering::Release);
        *lock(&self.wished_size) = None;
        *lock(&self.size_answer) = None;
        self.freshened.notify_waiters();
        lock(&self.clipboard).forget();
        self.sound.offer(false);
        let mut picture = lock(&self.picture);
        picture.pointer = None;
        let cursor = picture.cursor.take();
        drop(picture);
        if cursor.is_some() || was_live {
            self.changed();
        }
    }

    /// Another guest is about to begin: what the one before showed is none of its pictures.
    pub fn forget(&self) {
        self.forget_trouble();
        *lock(&self.behind) = None;
        *lock(&self.cursor) = None;
        let mut picture = lock(&self.picture);
        let number = picture.number + 1;
        let had = std::mem::replace(&mut *picture, Picture { number, ..Picture::default() }).width > 0;
        drop(picture);
        if had {
            self.changed();
        }
    }

    /// How often the guest has rung its bell.
    #[must_use]
    pub fn bells(&self) -> u64 {
        self.bells.load(Ordering::Acquire)
    }

    /// The guest rings its bell.
    pub(crate) fn ring(&self) {
        self.bells.fetch_add(1, Ordering::AcqRel);
        self.changed();
    }

    /// Which client paints the next guest's screen.
    #[must_use]
    pub fn client(&self) -> Client {
        *lock(&self.client)
    }

    /// Says which client paints guests' screens, from the next one on.
    pub fn set_client(&self, client: Client) {
        *lock(&self.client) = client;
    }

    /// What the guest plays.
    #[must_use]
    pub fn sound(&self) -> &Sound {
        &self.sound
    }

    /// Says whether anybody wants to hear the guest.
    pub fn want_sound(&self, wanted: bool) {
        if self.sound.want(wanted) {
            self.wishes.notify_one();
        }
    }

    /// Says whether the guest's display passes its sound on.
    pub(crate) fn offer_sound(&self, offered: bool) {
        if self.sound.offer(offered) {
            self.changed();
        }
    }

    /// Which lock keys are on in the guest, if its display tells.
    #[must_use]
    pub fn locks(&self) -> Option<Locks> {
        *lock(&self.locks)
    }

    /// The guest's display tells which lock keys are on.
    pub(crate) fn set_locks(&self, locks: Locks) {
        if lock(&self.locks).replace(locks) != Some(locks) {
            self.changed();
        }
    }

    /// Why there is no picture, in a sentence or two for people, if it is known and will stay so.
    #[must_use]
    pub fn trouble(&self) -> Option<&'static str> {
        *lock(&self.trouble)
    }

    /// Says why there is no picture; the next picture ends it, and so does the guest's end.
    pub(crate) fn set_trouble(&self, why: &'static str) {
        if lock(&self.trouble).replace(why).is_none() {
            self.changed();
        }
    }

    pub(crate) fn forget_trouble(&self) {
        *lock(&self.trouble) = None;
    }

    /// Says whether whoever shows the guest answers: if not, the picture is not live, until it does again.
    pub(crate) fn set_answering(&self, answering: bool) {
        if self.unanswered.swap(!answering, Ordering::AcqRel) == answering {
            self.changed();
        }
    }

    pub(super) fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        if let Some(waker) = &*lock(&self.waker) {
            waker();
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
