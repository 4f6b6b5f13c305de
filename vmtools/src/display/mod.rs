//! The guest's screen and its input devices.
//!
//! A [`DisplaySource`] publishes frames into a [`Screen`] and takes [`InputEvent`]s. The screen outlives its sources, so
//! that the last picture stays when the guest is gone, but then it is not live. [`RfbSource`] is a VNC client of our own;
//! [`VncSource`] does the same with the `vnc-rs` crate, and proves in tests that both see the same picture.

mod clipboard;
mod cursor;
mod damage;
mod frame;
mod framebuffer;
mod grab;
mod host_layout;
mod input;
mod input_queue;
mod key_names;
mod keymap;
mod layout;
mod locks;
mod pace;
pub mod rfb;
mod screen;
mod sound;
mod tiles;
mod vnc_rs;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

pub use clipboard::{CLIPBOARD_LIMIT, Copied, NotOffered, Offered};
pub use cursor::Cursor;
pub use damage::{Damage, MAX_RECTS, Rect};
pub use frame::{EvidenceError, Frame};
pub use grab::{GrabError, grab};
pub use host_layout::{GuestLayout, HostLayout, HostLayoutName, LayoutError, host_layouts};
pub use input::{InputEvent, Keyboard};
pub(crate) use input_queue::InputQueue;
pub use key_names::scancode;
pub use keymap::{ALT_GR, CTRL_ALT_DEL, NOTHING, SHIFT, Stroke, keys_for_text, keysym, keysym_of, keysyms_for_text};
pub use layout::Layout;
pub use locks::{HostLocks, Locks};
pub use rfb::RfbSource;
pub use screen::{Client, FrameView, Look, Screen, SizeAnswer};
pub use sound::{Played, SOUND_FRAME, SOUND_RATE, Sound};
pub use vnc_rs::VncSource;

/// Shows a picture of one colour on `screen`, as a source does.
#[cfg(test)]
pub(crate) fn test_screen(screen: &Screen, width: usize, height: usize, [r, g, b]: [u8; 3]) {
    let Some(mut buffer) = framebuffer::Framebuffer::new(width, height) else { return };
    buffer.paint(Rect { x: 0, y: 0, width, height }, &[b, g, r, 0].repeat(width * height));
    screen.publish(&mut buffer);
}

/// What a source works with.
#[derive(Debug)]
pub struct DisplayLink {
    /// Where frames go.
    pub screen: Arc<Screen>,
    /// Where the user's input comes from; closed when nobody will send any more.
    pub inputs: mpsc::Receiver<InputEvent>,
    /// Becomes true when the guest has ended.
    pub gone: watch::Receiver<bool>,
}

/// Something that shows a guest's screen and works its keyboard and pointer.
pub trait DisplaySource: Send {
    /// Runs until the guest is gone, reconnecting as needed. On return the screen is not live.
    fn run(self: Box<Self>, link: DisplayLink) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}
