//! Clipboard messages: cut text in Latin-1 (RFC 6143, 7.5.6 and 7.6.4), and the extended clipboard's caps, request, peek,
//! notify and provide, whose text is UTF-8 with lines ended by CRLF, a NUL after it, and packed by zlib (rfbproto, 7.5.6.1).

use std::io::{Read, Write as _};

use flate2::write::ZlibEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};

use super::RfbError;
use super::wire::Wire;
use crate::display::{CLIPBOARD_LIMIT, Copied};

/// A text may end each line with a byte more than it has here.
const UNPACKED: usize = 2 * CLIPBOARD_LIMIT + 1;
/// What packing may add to a text that cannot be packed.
const PACKED: usize = UNPACKED + (1 << 16);
/// A message that claims to be longer is no clipboard's.
const MOST: usize = 256 << 20;

const TEXT: u32 = 1;
const CAPS: u32 = 1 << 24;
const REQUEST: u32 = 1 << 25;
const PEEK: u32 = 1 << 26;
const NOTIFY: u32 = 1 << 27;
const PROVIDE: u32 = 1 << 28;

/// What a server says of its clipboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clip {
    /// The guest has copied this.
    Copied(Copied),
    /// The server knows the extended clipboard.
    Caps {
        /// It wants to be told of a text first, and asks for it; libvncserver takes texts at once alone.
        notify: bool,
    },
    /// It wants the text that it was offered.
    Request,
    /// It wants to know whether there is a text for it.
    Peek,
    /// The guest has copied something; whether that is a text, which has to be asked for.
    Notify {
        /// There is a text.
        text: bool,
    },
    /// Nothing that concerns texts.
    Nothing,
}

/// Reads what follows the kind of a message that is about the clipboard.
pub(super) fn read<R: Read>(wire: &mut Wire<R>) -> Result<Clip, RfbError> {
    wire.skip(3)?;
    let length = wire.i32()?;
    let extended = length < 0;
    let length = length.unsigned_abs() as usize;
    if length > MOST {
        return Err(RfbError::garbage(format!("a clipboard of {length} bytes")));
    }
    if extended {
        return read_extended(wire, length);
    }
    if length > CLIPBOARD_LIMIT {
        wire.skip(length)?;
        return Ok(Clip::Copied(Copied::TooLong { bytes: length }));
    }
    let mut latin = vec![0; length];
    wire.fill(&mut latin)?;
    let text: String = latin.iter().map(|&byte| char::from(byte)).collect();
    Ok(Clip::Copied(copied(&text)))
}

fn read_extended<R: Read>(wire: &mut Wire<R>, length: usize) -> Result<Clip, RfbError> {
    let Some(length) = length.checked_sub(4) else {
        return Err(RfbError::garbage(format!("an extended clipboard of {length} bytes")));
    };
    let flags = wire.u32()?;
    let text = flags & TEXT != 0;
    if flags & CAPS == 0 && flags & PROVIDE != 0 && text && length <= PACKED {
        let mut packed = vec![0; length];
        wire.fill(&mut packed)?;
        return Ok(Clip::Copied(unpack(&packed)?));
    }
    wire.skip(length)?;
    Ok(match flags {
        _ if flags & CAPS != 0 => Clip::Caps { notify: flags & NOTIFY != 0 },
        _ if flags & PROVIDE != 0 && text => Clip::Copied(Copied::TooLong { bytes: length }),
        _ if flags & REQUEST != 0 && text => Clip::Request,
        _ if flags & PEEK != 0 => Clip::Peek,
        _ if flags & NOTIFY != 0 => Clip::Notify { text },
        _ => Clip::Nothing,
    })
}

/// The text of a `provide`: its length and itself, which is the first of what is packed.
fn unpack(packed: &[u8]) -> Result<Copied, RfbError> {
    let mut stream = Decompress::new(true);
    let mut length = [0; 4];
    inflate(&mut stream, packed, &mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > UNPACKED {
        return Ok(Copied::TooLong { bytes: length });
    }
    let mut text = vec![0; length];
    let taken = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
    inflate(&mut stream, packed.get(taken..).unwrap_or_default(), &mut text)?;
    Ok(copied(&String::from_utf8_lossy(&text)))
}

/// Fills `target` with what `packed` goes on with.
fn inflate(stream: &mut Decompress, mut packed: &[u8], mut target: &mut [u8]) -> Result<(), RfbError> {
    while !target.is_empty() {
        let (taken, given) = (stream.total_in(), stream.total_out());
        let status = stream
            .decompress(packed, target, FlushDecompress::None)
            .map_err(|error| RfbError::garbage(format!("a clipboard that cannot be unpacked: {error}")))?;
        let taken = usize::try_from(stream.total_in() - taken).unwrap_or(usize::MAX).min(packed.len());
        let given = usize::try_from(stream.total_out() - given).unwrap_or(usize::MAX).min(target.len());
        packed = &packed[taken..];
        target = &mut target[given..];
        if !target.is_empty() && (status == Status::StreamEnd || taken == 0 && given == 0) {
            return Err(RfbError::garbage("a clipboard that is shorter than it says"));
        }
    }
    Ok(())
}

/// A text that came from a guest: up to its NUL, lines ended by `\n`, nothing that steers a terminal.
fn copied(text: &str) -> Copied {
    let text = text.split('\0').next().unwrap_or_default();
    let text: String = text
        .replace("\r\n", "\n")
        .chars()
        .map(|c| if c == '\r' { '\n' } else { c })
        .filter(|&c| !c.is_control() || c == '\n' || c == '\t')
        .collect();
    if text.len() > CLIPBOARD_LIMIT { Copied::TooLong { bytes: text.len() } } else { Copied::Text(text.into()) }
}

/// What we can do, and how long a text may be that comes unasked.
pub(super) fn caps() -> Vec<u8> {
    extended(CAPS | REQUEST | PEEK | NOTIFY | PROVIDE | TEXT, &(CLIPBOARD_LIMIT as u32).to_be_bytes())
}

/// Asks for the text that the guest has copied.
pub(super) fn request() -> Vec<u8> {
    extended(REQUEST | TEXT, &[])
}

/// Says whether there is a text for the guest.
pub(super) fn notify(text: bool) -> Vec<u8> {
    extended(NOTIFY | if text { TEXT } else { 0 }, &[])
}

/// Hands over a text.
pub(super) fn provide(text: &str) -> Vec<u8> {
    let text = text.replace('\n', "\r\n");
    let length = text.len() as u32 + 1;
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    let written = [&length.to_be_bytes()[..], text.as_bytes(), &[0]].iter().try_for_each(|part| packed.write_all(part));
    // Writing to memory does not fail; if it did, an empty text would be handed over.
    let packed = written.and_then(|()| packed.finish()).unwrap_or_default();
    extended(PROVIDE | TEXT, &packed)
}

/// A text in Latin-1; what that does not have is a question mark.
pub(super) fn cut_text(text: &str) -> Vec<u8> {
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
    [&[6, 0, 0, 0][..], &(latin.len() as u32).to_be_bytes(), &latin].concat()
}

fn extended(flags: u32, body: &[u8]) -> Vec<u8> {
    let length = -(body.len() as i32 + 4);
    [&[6, 0, 0, 0][..], &length.to_be_bytes(), &flags.to_be_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a message that we say means to who reads it as a server's: both have one form.
    fn heard(message: &[u8]) -> Result<Clip, RfbError> {
        let mut wire = Wire::new(&message[1..]);
        let clip = read(&mut wire)?;
        assert_eq!(wire.consumed() + 1, message.len() as u64);
        Ok(clip)
    }

    fn text(text: &str) -> Clip {
        Clip::Copied(Copied::Text(text.into()))
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    fn provided(bytes: &[u8]) -> Result<Clip, RfbError> {
        heard(&extended(PROVIDE | TEXT, &packed(bytes)))
    }

    fn garbage(heard: Result<Clip, RfbError>, words: &str) {
        let error = heard.unwrap_err();
        assert!(matches!(&error, RfbError::Garbage { what } if what.contains(words)), "{error}");
    }

    #[test]
    fn texts_come_as_they_were() {
        for words in ["", "plain", "zwei\nZeilen\n", "Größe ☃ 𝄞\t€"] {
            assert_eq!(heard(&provide(words)).unwrap(), text(words));
        }
        assert_eq!(heard(&cut_text("Größe\n")).unwrap(), text("Größe\n"));
        assert_eq!(heard(&cut_text("5 € ☃")).unwrap(), text("5 ? ?"));
        let long = "é\n".repeat(CLIPBOARD_LIMIT / 3);
        assert_eq!(heard(&provide(&long)).unwrap(), text(&long));
        let most = "x".repeat(CLIPBOARD_LIMIT);
        assert_eq!(heard(&provide(&most)).unwrap(), text(&most));
        assert_eq!(heard(&cut_text(&most)).unwrap(), text(&most));
    }

    #[test]
    fn nuls_returns_and_escapes_do_not_pass() {
        assert_eq!(heard(b"\x03\0\0\0\0\0\0\x10a\r\nb\rc\x1b[2J\xe9\0rest").unwrap(), text("a\nb\nc[2Jé"));
        assert_eq!(provided(b"\0\0\0\x09a\r\nb\0rest").unwrap(), text("a\nb"));
        assert_eq!(provided(b"\0\0\0\x04a\xff\xc3b").unwrap(), text("a\u{fffd}\u{fffd}b"));
        assert_eq!(provided(b"\0\0\0\0").unwrap(), text(""));
        // What else is packed after the text is none of ours.
        assert_eq!(provided(b"\0\0\0\x02a\0\0\0\0\x05<p>x\0").unwrap(), text("a"));
    }

    #[test]
    fn what_is_too_long_is_told_and_not_kept() {
        let bytes = CLIPBOARD_LIMIT + 1;
        let long = "x".repeat(bytes);
        assert_eq!(heard(&cut_text(&long)).unwrap(), Clip::Copied(Copied::TooLong { bytes }));
        assert_eq!(heard(&provide(&long)).unwrap(), Clip::Copied(Copied::TooLong { bytes }));
        // Four gigabytes of zeros in few bytes: only their length is unpacked.
        let bomb = provided(&[&[255; 4][..], &vec![0; 1 << 22]].concat()).unwrap();
        assert_eq!(bomb, Clip::Copied(Copied::TooLong { bytes: u32::MAX as usize }));
        let large = extended(PROVIDE | TEXT, &vec![7; PACKED + 1]);
        assert_eq!(heard(&large).unwrap(), Clip::Copied(Copied::TooLong { bytes: PACKED + 1 }));
    }

    #[test]
    fn actions_are_told_apart() {
        assert_eq!(heard(&caps()).unwrap(), Clip::Caps { notify: true });
        // As libvncserver 0.9.14 says it.
        assert_eq!(heard(&extended(0x1700_0001, &[0, 16, 0, 0])).unwrap(), Clip::Caps { notify: false });
        assert_eq!(heard(&request()).unwrap(), Clip::Request);
        assert_eq!(heard(&extended(PEEK, &[])).unwrap(), Clip::Peek);
        assert_eq!(heard(&notify(true)).unwrap(), Clip::Notify { text: true });
        assert_eq!(heard(&notify(false)).unwrap(), Clip::Notify { text: false });
        // Pictures and files.
        assert_eq!(heard(&extended(REQUEST | 8, &[])).unwrap(), Clip::Nothing);
        assert_eq!(heard(&extended(PROVIDE | 16, &[1; 99])).unwrap(), Clip::Nothing);
        assert_eq!(heard(&extended(0, &[])).unwrap(), Clip::Nothing);
    }

    #[test]
    fn lies_are_refused() {
        let claims = |length: i32| [&[3, 0, 0, 0][..], &length.to_be_bytes()].concat();
        garbage(heard(&claims(i32::MAX)), "a clipboard of 2147483647 bytes");
        garbage(heard(&claims(i32::MIN)), "a clipboard of 2147483648 bytes");
        garbage(heard(&claims(-3)), "an extended clipboard of 3 bytes");
        assert!(matches!(heard(&claims(5)), Err(RfbError::Closed { .. })));
        assert!(matches!(heard(&claims(-5)), Err(RfbError::Closed { .. })));
        garbage(heard(&extended(PROVIDE | TEXT, b"no zlib")), "cannot be unpacked");
        garbage(heard(&extended(PROVIDE | TEXT, &[])), "shorter than it says");
        garbage(provided(b"\0\0"), "shorter than it says");
        garbage(provided(b"\0\0\0\x09short"), "shorter than it says");
    }
}
