//! How a file is compressed, told by its first bytes and never by its name: kernels, their modules and initial RAM disks
//! come in all of these (Linux, `lib/decompress.c`).

use std::io::{self, Read};

/// Blocks of the LZ4 legacy format hold at most this much, bytes (lz4's `doc/lz4_Frame_format.md`, "Legacy frame").
const LZ4_BLOCK: usize = 8 << 20;
/// Memory that an LZMA stream may ask for, bytes: more than any level of the tools needs.
const LZMA_MEMORY: u64 = 256 << 20;

/// A way to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952.
    Gzip,
    /// The XZ file format.
    Xz,
    /// RFC 8878.
    Zstd,
    /// The legacy frame of LZ4, the only one that Linux unpacks.
    Lz4,
    /// `LZMA_alone`.
    Lzma,
    /// bzip2.
    Bzip2,
    /// The LZO file format of lzop.
    Lzo,
}

impl Packing {
    /// What a file that begins with `head` is compressed with; `None` for one that is not, or in a way that Linux does
    /// not know. Thirteen bytes are enough.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b | 0x9e, ..] => Some(Self::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0x02, 0x21, 0x4c, 0x18, ..] => Some(Self::Lz4),
            [b'B', b'Z', b'h', ..] => Some(Self::Bzip2),
            [0x89, b'L', b'Z', b'O', 0, ..] => Some(Self::Lzo),
            // Properties, the dictionary's size (a power of two), and a size that is plausible or unknown.
            [0x5d, 0, 0, _, _, size @ ..] if size.len() >= 8 && (size[..8] == [0xff; 8] || size[5..8] == [0; 3]) => {
                Some(Self::Lzma)
            }
            _ => None,
        }
    }

    /// The word that people know it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Lzma => "lzma",
            Self::Bzip2 => "bzip2",
            Self::Lzo => "lzo",
        }
    }

    /// Unpacks `packed`, at most `limit` bytes of content. What follows the stream is passed over.
    ///
    /// # Errors
    /// Damaged content, content beyond the limit, and the two ways that are told but not unpacked: bzip2 and lzo.
    pub fn unpack(self, packed: &[u8], limit: u64) -> io::Result<Vec<u8>> {
        let reader: Box<dyn Read + '_> = match self {
            Self::Gzip => Box::new(flate2::bufread::GzDecoder::new(packed)),
            Self::Xz => Box::new(liblzma::bufread::XzDecoder::new(packed)),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(packed)?.single_frame()),
            Self::Lzma => {
                let stream = liblzma::stream::Stream::new_lzma_decoder(LZMA_MEMORY)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
            }
            Self::Lz4 => return lz4(packed, limit),
            Self::Bzip2 | Self::Lzo => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!("{} is not unpacked here", self.name()),
                ));
            }
        };
        let mut bytes = Vec::new();
        reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit { Err(too_large(limit)) } else { Ok(bytes) }
    }
}

/// The content of a file that may be compressed: gzip, xz or zstd, of any number of streams, as depmod takes modules.
///
/// # Errors
/// See [`Packing::unpack`].
pub fn module(packed: Vec<u8>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let reader: Box<dyn Read> = match Packing::of(&packed) {
        Some(Packing::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(&packed[..])),
        Some(Packing::Xz) => Box::new(liblzma::read::XzDecoder::new_multi_decoder(&packed[..])),
        Some(Packing::Zstd) => Box::new(zstd::Decoder::new(&packed[..])?),
        _ => return Ok(packed),
    };
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_large(limit)) } else { Ok(bytes) }
}

/// Blocks with their packed size before each; what cannot be a size ends them: a kernel's payload has its own behind.
fn lz4(packed: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let mut rest = packed.get(4..).unwrap_or_default();
    let mut bytes = Vec::new();
    let mut block = vec![0; LZ4_BLOCK];
    while let Some((size, more)) = rest.split_first_chunk::<4>() {
        let size = u32::from_le_bytes(*size) as usize;
        if size == 0 || size > more.len() {
            break;
        }
        let (this, more) = more.split_at(size);
        let unpacked = lz4_flex::block::decompress_into(this, &mut block);
        let unpacked = unpacked.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        bytes.extend_from_slice(&block[..unpacked]);
        if bytes.len() as u64 > limit {
            return Err(too_large(limit));
        }
        rest = more;
    }
    if bytes.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}

fn too_large(limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("unpacked it is larger than {} MiB", limit >> 20))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn every_way(content: &[u8]) -> Vec<(Packing, Vec<u8>)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(content).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(content).unwrap();
        let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
        let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
        let mut lzma = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        lzma.write_all(content).unwrap();
        let mut lz4 = vec![0x02, 0x21, 0x4c, 0x18];
        for block in content.chunks(LZ4_BLOCK) {
            let block = lz4_flex::block::compress(block);
            lz4.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
            lz4.extend(block);
        }
        vec![
            (Packing::Gzip, gzip.finish().unwrap()),
            (Packing::Xz, xz.finish().unwrap()),
            (Packing::Zstd, zstd::stream::encode_all(content, 1).unwrap()),
            (Packing::Lzma, lzma.finish().unwrap()),
            (Packing::Lz4, lz4),
        ]
    }

    #[test]
    fn each_way_is_told_and_unpacked_with_its_size_behind_it() {
        let content = b"a kernel ".repeat(2_000_000);
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        for (packing, mut packed) in every_way(&content) {
            assert_eq!(Packing::of(&packed), Some(packing));
            packed.extend(size);
            assert_eq!(packing.unpack(&packed, 1 << 30).unwrap(), content, "{packing:?}");
            let error = packing.unpack(&packed, 1 << 20).unwrap_err().to_string();
            assert!(error.contains("larger than 1 MiB"), "{packing:?}: {error}");
        }
    }

    #[test]
    fn modules_of_every_packing_are_the_same() {
        for (packing, packed) in every_way(b"module") {
            let known = matches!(packing, Packing::Gzip | Packing::Xz | Packing::Zstd);
            assert_eq!(module(packed, 100).unwrap() == b"module", known, "{packing:?}");
        }
        assert_eq!(module(b"\x7fELF".to_vec(), 1).unwrap(), b"\x7fELF");
    }

    #[test]
    fn other_files_are_not_compressed() {
        for head in [&b"\x7fELF\x02\x01"[..], b"070701", b"", b"\x5d\0\0", b"#!/bin/sh\n", b"]\0\0 a text that is long"]
        {
            assert_eq!(Packing::of(head), None, "{head:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, which in 0_usize..5) {
            static GOOD: std::sync::LazyLock<Vec<(Packing, Vec<u8>)>> = std::sync::LazyLock::new(|| every_way(b"hello"));
            let (packing, good) = &GOOD[which];
            let _ = packing.unpack(&bytes, 1 << 16);
            let _ = packing.unpack(&[&good[..good.len() / 2], &bytes].concat(), 1 << 16);
            let _ = module(bytes, 1 << 16);
        }
    }
}
