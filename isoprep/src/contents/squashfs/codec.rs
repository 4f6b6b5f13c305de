//! Unpacks one block. What a block unpacks to is bounded by the room that is given for it.

use flate2::{Decompress, FlushDecompress};
use liblzma::stream::{Action, Stream};

use crate::contents::error::Fault;

/// The memory that an xz block may ask for, bytes: its dictionary is no larger than a block of 1 MiB.
const XZ_MEMORY: u64 = 64 << 20;

/// How blocks are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compressor {
    Gzip,
    Xz,
    Lz4,
    Zstd,
}

impl Compressor {
    /// The one that a superblock names.
    pub(super) fn of(id: u16) -> Result<Self, Fault> {
        let unread = |name: &str| {
            Fault::unsupported(format!("it is compressed with {name}, which is not read: its files are not compared"))
        };
        match id {
            1 => Ok(Self::Gzip),
            2 => Err(unread("lzma")),
            3 => Err(unread("lzo")),
            4 => Ok(Self::Xz),
            5 => Ok(Self::Lz4),
            6 => Ok(Self::Zstd),
            _ => Err(Fault::damaged(format!("its compressor has the number {id}, which none has"))),
        }
    }

    /// The name that mksquashfs has for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Unpacks `packed` into `room` and says how many bytes it is.
    pub(super) fn unpack(self, packed: &[u8], room: &mut [u8]) -> Result<usize, Fault> {
        let done = match self {
            Self::Gzip => {
                let mut stream = Decompress::new(true);
                let status = stream.decompress(packed, room, FlushDecompress::Finish);
                matches!(status, Ok(flate2::Status::StreamEnd)).then(|| stream.total_out())
            }
            Self::Xz => {
                let mut stream = Stream::new_stream_decoder(XZ_MEMORY, 0)
                    .map_err(|e| Fault::Io(std::io::Error::other(format!("the xz decoder did not start: {e}"))))?;
                let status = stream.process(packed, room, Action::Finish);
                matches!(status, Ok(liblzma::stream::Status::StreamEnd)).then(|| stream.total_out())
            }
            Self::Lz4 => lz4_flex::block::decompress_into(packed, room).ok().map(|len| len as u64),
            Self::Zstd => zstd::bulk::decompress_to_buffer(packed, room).ok().map(|len| len as u64),
        };
        // For zstd nothing at all is a block of nothing.
        let done = done.and_then(|len| usize::try_from(len).ok()).filter(|_| !packed.is_empty());
        done.ok_or_else(|| Fault::damaged(format!("a block of it does not unpack with {}", self.word())))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(compressor: Compressor, bytes: &[u8]) -> Vec<u8> {
        match compressor {
            Compressor::Gzip => {
                let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
                out.write_all(bytes).unwrap();
                out.finish().unwrap()
            }
            Compressor::Xz => {
                let mut out = liblzma::write::XzEncoder::new(Vec::new(), 6);
                out.write_all(bytes).unwrap();
                out.finish().unwrap()
            }
            Compressor::Lz4 => lz4_flex::block::compress(bytes),
            Compressor::Zstd => zstd::bulk::compress(bytes, 3).unwrap(),
        }
    }

    #[test]
    fn blocks_unpack_into_their_room_and_no_further() {
        let bytes = b"abcabcabc".repeat(1000);
        for compressor in [Compressor::Gzip, Compressor::Xz, Compressor::Lz4, Compressor::Zstd] {
            let packed = packed(compressor, &bytes);
            let mut room = vec![0; bytes.len()];
            assert_eq!(compressor.unpack(&packed, &mut room).unwrap(), bytes.len(), "{compressor:?}");
            assert_eq!(room, bytes);
            let mut small = vec![0; bytes.len() - 1];
            assert!(compressor.unpack(&packed, &mut small).is_err(), "{compressor:?}");
            assert!(compressor.unpack(&packed[..packed.len() / 2], &mut room).is_err(), "{compressor:?}");
            assert!(compressor.unpack(b"", &mut room).is_err(), "{compressor:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_block_is_taken(bytes: Vec<u8>) {
            for compressor in [Compressor::Gzip, Compressor::Xz, Compressor::Lz4, Compressor::Zstd] {
                let _ = compressor.unpack(&bytes, &mut [0; 512]);
            }
        }
    }
}
