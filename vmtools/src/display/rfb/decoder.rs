//! What a server sends after the handshake, decoded into one picture (RFC 6143, 7.6 to 7.8, and rfbproto).

use std::io::{Read, Write};

use super::clipboard::{self, Clip};
use super::handshake::shake;
use super::outgoing::{
    AUDIO, COPY_RECT, CURSOR, CURSOR_WITH_ALPHA, DESKTOP_SIZE, EXTENDED_DESKTOP_SIZE, EXTENDED_KEY,
    EXTENDED_MOUSE_BUTTONS, HEXTILE, LAST_RECT, LED_STATE, POINTER_MOTION, RAW, TIGHT, VMWARE_LED_STATE, ZRLE,
};
use super::tight::Tight;
use super::wire::{DIRECT, Wire};
use super::zrle::Zrle;
use super::{RfbError, audio, cursor, hextile};
use crate::display::framebuffer::Framebuffer;
use crate::display::{Cursor, Locks, Played, Rect};

/// The widest answer to one pixel that was asked for: QEMU marks what is dirty in blocks of 16 (`VNC_DIRTY_PIXELS_PER_BIT`).
const ANSWER: usize = 16;

/// An update may paint its screen so often over, or a screen of a megapixel: honest servers do it once or twice, and what a
/// hostile one can keep us busy with has an end.
const OVER_AND_OVER: usize = 16;

/// One message of the server, done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// An update of the picture is complete.
    Updated(Update),
    /// The guest's bell.
    Bell,
    /// Something about the clipboard.
    Clipboard(Clip),
    /// Something that the guest plays.
    Sound(Played),
    /// Something that means nothing to us.
    Nothing,
}

/// What came with an update, besides pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// The picture has another size, and is black until it is painted anew.
    pub resized: bool,
    /// The guest's pointer looks like this now.
    pub cursor: Option<Cursor>,
    /// The guest takes movements of the pointer, not places; or no longer.
    pub relative: Option<bool>,
    /// The server knows keys by their scan codes.
    pub extended_keys: bool,
    /// The lights of the guest's keyboard.
    pub locks: Option<Locks>,
    /// The server takes the mouse buttons back and forward.
    pub extended_buttons: bool,
    /// The server passes the guest's sound on where that is asked for.
    pub audio: bool,
    /// The server can be asked for another size; the id and flags of its first monitor.
    pub monitor: Option<(u32, u32)>,
    /// What became of the last wish for a size: 0 done, 1 prohibited, 2 no resources, 3 not such a size, 4 passed on.
    pub size_status: Option<u16>,
    /// How many pixels came with it.
    pub pixels: u64,
}

/// Decodes a server's messages, one after the other.
#[derive(Debug)]
pub struct Decoder<R> {
    wire: Wire<R>,
    buffer: Framebuffer,
    zrle: Zrle,
    tight: Tight,
    /// QEMU sends cursors with alpha blue first; rfbproto says red first.
    is_qemu: bool,
    painted: u64,
}

impl<R: Read> Decoder<R> {
    /// Decodes what follows the handshake with a server whose screen has that size, in pixels, and that name.
    ///
    /// # Errors
    /// [`RfbError::TooLarge`].
    pub fn new(reader: R, width: usize, height: usize, name: &str) -> Result<Self, RfbError> {
        Self::with_wire(Wire::new(reader), width, height, name)
    }

    /// Shakes hands with a server, answering to `out`, to decode what follows.
    ///
    /// # Errors
    /// [`RfbError`] where the server cannot be understood or does not want us.
    pub fn meet<W: Write>(reader: R, out: &mut W, password: Option<&str>) -> Result<Self, RfbError> {
        let mut wire = Wire::new(reader);
        let server = shake(&mut wire, out, password)?;
        Self::with_wire(wire, server.width, server.height, &server.name)
    }

    pub(super) fn with_wire(wire: Wire<R>, width: usize, height: usize, name: &str) -> Result<Self, RfbError> {
        let buffer = sized(width, height)?;
        let is_qemu = name.starts_with("QEMU");
        Ok(Self { wire, buffer, zrle: Zrle::default(), tight: Tight::default(), is_qemu, painted: 0 })
    }

    /// Width and height of the picture, pixels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.buffer.size()
    }

    /// The picture as `width * height * 4` bytes, red first, opaque.
    #[must_use]
    pub fn rgba(&self) -> Vec<u8> {
        let (width, height) = self.buffer.size();
        let mut rgba = vec![0; width * height * 4];
        self.buffer.copy_as_rgba(&mut rgba, Rect { x: 0, y: 0, width, height });
        rgba
    }

    /// Bytes of the server that are decoded.
    #[must_use]
    pub fn consumed(&self) -> u64 {
        self.wire.consumed()
    }

    /// Pixels that were decoded so far.
    #[must_use]
    pub fn painted(&self) -> u64 {
        self.painted
    }

    /// Whether every pixel was painted since the size was set.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.buffer.is_whole()
    }

    /// Publishes what has changed, if every pixel was painted; says whether it did.
    pub fn publish(&mut self, screen: &crate::display::Screen) -> bool {
        let shown = self.buffer.is_whole() && self.buffer.is_damaged();
        if shown {
            screen.publish(&mut self.buffer);
        }
        shown
    }

    /// Waits for the server's next message and decodes it whole.
    ///
    /// # Errors
    /// [`RfbError`]; the connection is of no use afterwards.
    // No iterator: it ends with an error, and is of no use after it.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Told, RfbError> {
        loop {
            if let Some(told) = self.hear()? {
                return Ok(told);
            }
        }
    }

    /// The same, but `None` where the server has said nothing for as long as its line waits.
    pub(super) fn hear(&mut self) -> Result<Option<Told>, RfbError> {
        self.wire.doing = "waiting for a picture";
        if self.wire.wait()? { self.message().map(Some) } else { Ok(None) }
    }

    /// Whether the server is QEMU's, by its name.
    pub(super) fn is_qemu(&self) -> bool {
        self.is_qemu
    }

    fn message(&mut self) -> Result<Told, RfbError> {
        match self.wire.u8()? {
            0 => self.update().map(Told::Updated),
            1 => {
                // Colour maps are for pixel formats that we never ask for.
                self.wire.skip(3)?;
                let colours = usize::from(self.wire.u16()?);
                self.wire.skip(colours * 6)?;
                Ok(Told::Nothing)
            }
            2 => Ok(Told::Bell),
            3 => {
                self.wire.doing = "sending its clipboard";
                clipboard::read(&mut self.wire).map(Told::Clipboard)
            }
            255 => audio::read(&mut self.wire).map(Told::Sound),
            kind => Err(RfbError::garbage(format!("a message of kind {kind}"))),
        }
    }

    fn update(&mut self) -> Result<Update, RfbError> {
        self.wire.doing = "sending a picture";
        self.wire.skip(1)?;
        let mut update = Update::default();
        let painted = self.painted;
        for _ in 0..self.wire.u16()? {
            let (rect, encoding) = header(self.wire.array()?);
            if encoding == LAST_RECT {
                break;
            }
            self.rectangle(rect, encoding, &mut update)?;
            let (width, height) = self.buffer.size();
            if self.painted - painted > (OVER_AND_OVER * (width * height).max(1 << 20)) as u64 {
                return Err(RfbError::garbage("an update that paints the screen over and over"));
            }
        }
        update.pixels = self.painted - painted;
        self.tight.rest();
        Ok(update)
    }

    fn rectangle(&mut self, rect: Rect, encoding: i32, update: &mut Update) -> Result<(), RfbError> {
        match encoding {
            CURSOR => update.cursor = Some(cursor::masked(&mut self.wire, rect)?),
            CURSOR_WITH_ALPHA => update.cursor = Some(cursor::with_alpha(&mut self.wire, rect, self.is_qemu)?),
            DESKTOP_SIZE => self.resize(rect, update)?,
            EXTENDED_DESKTOP_SIZE => self.extended_size(rect, update)?,
            POINTER_MOTION => update.relative = Some(rect.x == 0),
            EXTENDED_KEY => update.extended_keys = true,
            LED_STATE => update.locks = Some(Locks::from_bits(self.wire.u8()?.into())),
            VMWARE_LED_STATE => update.locks = Some(Locks::from_bits(self.wire.u32()?)),
            EXTENDED_MOUSE_BUTTONS => update.extended_buttons = true,
            AUDIO => update.audio = true,
            _ => self.pixels(rect, encoding)?,
        }
        Ok(())
    }

    fn pixels(&mut self, rect: Rect, encoding: i32) -> Result<(), RfbError> {
        let Self { wire, buffer, zrle, tight, painted, .. } = self;
        *painted = painted.saturating_add(rect.area() as u64);
        if !buffer.fits(rect) {
            return Err(RfbError::garbage("a rectangle outside the screen"));
        }
        wire.expect_large(encoding == RAW && rect.area() * 4 >= DIRECT);
        // One pixel is what a server is asked for that is to say whether it is there; QEMU answers with a block of its own.
        let asked = rect.height == 1 && (1..=ANSWER).contains(&rect.width);
        let before = asked.then(|| {
            let mut before = [[0; 4]; ANSWER];
            before[..rect.width].copy_from_slice(buffer.row(rect, 0));
            before
        });
        match encoding {
            RAW => match buffer.rows(rect) {
                Some(rows) => wire.fill(rows.as_flattened_mut())?,
                None if rect.area() * 4 >= DIRECT => wire.fill_all(&mut buffer.rows_apart(rect))?,
                None => {
                    // QEMU sends text as thousands of small ones: each is taken out of what is read ahead at once.
                    let rows = wire.take(rect.area() * 4)?.as_chunks::<4>().0;
                    for (row, line) in rows.chunks_exact(rect.width.max(1)).enumerate() {
                        buffer.row(rect, row).copy_from_slice(line);
                    }
                }
            },
            COPY_RECT => {
                let (x, y) = (usize::from(wire.u16()?), usize::from(wire.u16()?));
                let fitted = buffer.copy(rect, Rect { x, y, ..rect });
                if !fitted && rect.area() > 0 {
                    return Err(RfbError::garbage("a copy from outside the screen"));
                }
                return Ok(());
            }
            HEXTILE => hextile::paint(wire, buffer, rect)?,
            TIGHT => tight.paint(wire, buffer, rect)?,
            ZRLE => zrle.paint(wire, buffer, rect)?,
            _ => return Err(RfbError::garbage(format!("encoding {encoding}, which was not asked for"))),
        }
        let same = before
            .is_some_and(|before| buffer.row(rect, 0).iter().zip(&before).all(|(now, before)| now[..3] == before[..3]));
        if same {
            buffer.seen(rect);
        } else {
            buffer.touch(rect);
        }
        Ok(())
    }

    fn resize(&mut self, rect: Rect, update: &mut Update) -> Result<(), RfbError> {
        if self.buffer.size() != (rect.width, rect.height) {
            self.buffer = sized(rect.width, rect.height)?;
            update.resized = true;
        }
        Ok(())
    }

    /// The place of the rectangle says why: x 0 the server itself, 1 our wish, 2 another client's; y the status of a wish.
    fn extended_size(&mut self, rect: Rect, update: &mut Update) -> Result<(), RfbError> {
        let count = usize::from(self.wire.u8()?);
        self.wire.skip(3)?;
        for number in 0..count {
            let id = self.wire.u32()?;
            self.wire.skip(8)?;
            let flags = self.wire.u32()?;
            if number == 0 {
                update.monitor = Some((id, flags));
            }
        }
        // A server without a monitor yet takes a new one, whose id we choose.
        update.monitor.get_or_insert((0, 0));
        let status = u16::try_from(rect.y).unwrap_or(u16::MAX);
        if rect.x == 1 {
            update.size_status = Some(status);
        }
        if rect.x == 1 && status != 0 { Ok(()) } else { self.resize(rect, update) }
    }
}

/// A rectangle's place, size and encoding (RFC 6143 §7.6.1).
fn header(bytes: [u8; 12]) -> (Rect, i32) {
    let [x0, x1, y0, y1, w0, w1, h0, h1, encoding @ ..] = bytes;
    let number = |high, low| usize::from(u16::from_be_bytes([high, low]));
    let rect = Rect { x: number(x0, x1), y: number(y0, y1), width: number(w0, w1), height: number(h0, h1) };
    (rect, i32::from_be_bytes(encoding))
}

fn sized(width: usize, height: usize) -> Result<Framebuffer, RfbError> {
    Framebuffer::new(width, height).ok_or(RfbError::TooLarge { width, height })
}
