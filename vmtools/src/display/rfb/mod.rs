//! A VNC client of our own (RFC 6143, and what QEMU and others have added to it, as in the community's rfbproto).
//!
//! One thread reads and decodes, straight into one picture; another writes, so that input never waits for a picture. The
//! next update is asked for before the last one is shown, and a picture is shown only when its update is complete. Nothing
//! that a server claims is believed: each length has an end, and no more is unpacked than a rectangle has pixels.

mod address;
mod audio;
mod clipboard;
mod connection;
mod cursor;
mod decoder;
mod error;
mod handshake;
mod hextile;
mod inflate;
mod meeting;
mod news;
mod outgoing;
mod source;
mod tight;
mod tls;
mod typed;
mod vencrypt;
mod wire;
mod zrle;

#[cfg(test)]
mod tests;

pub use address::Address;
pub use clipboard::Clip;
pub use decoder::{Decoder, Told, Update};
pub use error::RfbError;
pub use news::News;
pub use outgoing::Encoding;
pub use source::RfbSource;
pub use tls::{Fingerprint, Trust};
