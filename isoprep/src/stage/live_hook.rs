//! What in an initramfs finds the root of a live system: live-boot, or archiso's hook. The names of its files tell, so
//! that an image that cannot start is refused before it is made. Several archives may follow one another, the last of
//! them compressed (Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::io::{self, BufRead, Read};

use crate::build::BuildError;
use crate::progress::StageName;
use crate::stage::hashing;
use crate::stage::loaders::{BootFiles, live};

/// What finds the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finder {
    /// live-boot (its script `scripts/live`).
    LiveBoot,
    /// mkinitcpio-archiso (its hook `hooks/archiso`).
    Archiso,
}

/// Why nothing was found.
#[derive(Debug)]
pub(crate) enum NotFound {
    /// It was read to its end, and has neither.
    Neither,
    /// It is compressed in a way that is not read here, or it is no initramfs.
    Unknown,
    /// It is damaged, or cannot be read.
    Broken(io::Error),
}

/// Length of a header, and where the sizes of content and name stand in it: cpio(5), "New ASCII Format".
const HEADER: usize = 110;
const CONTENT_SIZE: std::ops::Range<usize> = 54..62;
const NAME_SIZE: std::ops::Range<usize> = 94..102;
/// Linux's own limit on a path.
const LONGEST: u64 = 4096;
/// The most that is unpacked, bytes: no initramfs is larger.
const MOST: u64 = 8 << 30;

/// Looks through an initramfs.
pub(crate) fn finder(mut initramfs: impl BufRead) -> Result<Finder, NotFound> {
    loop {
        let magic = match magic(&mut initramfs) {
            Ok(magic) => magic,
            Err(e) => return Err(NotFound::Broken(e)),
        };
        let found = match magic.as_slice() {
            [] => return Err(NotFound::Neither),
            [b'0', b'7', b'0', b'7', b'0', b'1' | b'2', ..] => archive(&mut initramfs),
            rest => return compressed(rest.to_vec(), initramfs),
        };
        match found {
            Ok(Some(finder)) => return Ok(finder),
            Ok(None) => {}
            Err(e) => return Err(NotFound::Broken(e)),
        }
    }
}

/// The first bytes of what follows the padding; they are not taken.
fn magic(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    loop {
        let buffer = stream.fill_buf()?;
        let zeros = buffer.iter().take_while(|byte| **byte == 0).count();
        if buffer.is_empty() || zeros < buffer.len() {
            let magic = buffer[zeros..].iter().take(6).copied().collect();
            stream.consume(zeros);
            return Ok(magic);
        }
        stream.consume(zeros);
    }
}

fn compressed(magic: Vec<u8>, stream: impl BufRead) -> Result<Finder, NotFound> {
    // What programs write first: RFC 8878 3.1.1, RFC 1952 2.3.1, xz-file-format 2.1.1.1.
    match magic.as_slice() {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => match zstd::stream::read::Decoder::with_buffer(stream) {
            Ok(unpacked) => whole(unpacked),
            Err(e) => Err(NotFound::Broken(e)),
        },
        [0x1f, 0x8b, ..] => whole(flate2::bufread::MultiGzDecoder::new(stream)),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => whole(liblzma::bufread::XzDecoder::new_multi_decoder(stream)),
        _ => Err(NotFound::Unknown),
    }
}

/// The archives of an unpacked stream.
fn whole(unpacked: impl Read) -> Result<Finder, NotFound> {
    let mut stream = io::BufReader::with_capacity(1 << 16, unpacked.take(MOST));
    loop {
        let more = magic(&mut stream).and_then(|magic| match magic.as_slice() {
            [] => Ok(Err(NotFound::Neither)),
            [b'0', b'7', b'0', b'7', ..] => archive(&mut stream).map(Ok),
            _ => Ok(Err(NotFound::Unknown)),
        });
        match more {
            Ok(Ok(Some(finder))) => return Ok(finder),
            Ok(Ok(None)) => {}
            Ok(Err(nothing)) => return Err(nothing),
            Err(e) => return Err(NotFound::Broken(e)),
        }
    }
}

/// The names of one archive, up to its trailer.
fn archive(stream: &mut impl Read) -> io::Result<Option<Finder>> {
    let mut header = [0; HEADER];
    loop {
        stream.read_exact(&mut header)?;
        let number = |range: std::ops::Range<usize>| {
            let text = std::str::from_utf8(&header[range]).map_err(io::Error::other)?;
            u64::from_str_radix(text, 16).map_err(io::Error::other)
        };
        let (size, name_size) = (number(CONTENT_SIZE)?, number(NAME_SIZE)?);
        if !header.starts_with(b"0707") || name_size == 0 || name_size > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a cpio archive"));
        }
        let mut name = Vec::new();
        let padding = |length: u64| (4 - length % 4) % 4;
        let length = name_size + padding(HEADER as u64 + name_size);
        stream.by_ref().take(length).read_to_end(&mut name)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        if name == b"TRAILER!!!" {
            return Ok(None);
        }
        let path = name.strip_prefix(b"./").unwrap_or(name);
        match path {
            b"scripts/live" => return Ok(Some(Finder::LiveBoot)),
            b"hooks/archiso" => return Ok(Some(Finder::Archiso)),
            _ => {}
        }
        let content = size + padding(size);
        if io::copy(&mut stream.by_ref().take(content), &mut io::sink())? < content {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// What finds the root, according to the initramfs that will be started.
pub(crate) fn finds_the_root(boot: &BootFiles, stage: StageName) -> Result<Finder, BuildError> {
    let Some((_, path)) = live::kernel_and_initramfs(boot) else { return Err(no_kernel(boot, stage)) };
    let file = hashing::open_part(&boot[&path]).map_err(BuildError::io(stage, "read", &boot[&path]))?;
    let advice = "Install live-boot in the root (Debian, Ubuntu), or mkinitcpio-archiso with its hook \"archiso\" (Arch), and make the \
                  initramfs again.";
    let what = match finder(io::BufReader::with_capacity(1 << 16, file)) {
        Ok(finder) => return Ok(finder),
        Err(NotFound::Neither) => {
            format!("/{path} cannot find the root of a live system: it has neither live-boot nor archiso's hook")
        }
        Err(NotFound::Unknown) => {
            format!("/{path} is compressed in a way that is not known here (zstd, gzip and xz are)")
        }
        Err(NotFound::Broken(e)) => format!("/{path} is damaged: {e}"),
    };
    Err(BuildError::Refused { stage, what, advice: advice.to_owned() })
}

pub(crate) fn no_kernel(boot: &BootFiles, stage: StageName) -> BuildError {
    let found: Vec<_> = boot.keys().filter(|path| path.starts_with("boot/")).map(|path| format!("/{path}")).collect();
    let found = if found.is_empty() { "nothing of the kind".to_owned() } else { found.join(", ") };
    BuildError::Refused {
        stage,
        what: format!("the root has no kernel with its initramfs in /boot: there is {found}"),
        advice: "It needs /boot/vmlinuz-<release> and /boot/initrd.img-<release> (or initramfs-<release>.img): install a kernel in the root."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn cpio(names: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in names.iter().chain(&["TRAILER!!!"]) {
            let content = if *name == "TRAILER!!!" { "" } else { "hello" };
            let header = format!(
                "070701{}{:08x}{}{:08x}{:08x}",
                "0".repeat(48),
                content.len(),
                "0".repeat(32),
                name.len() + 1,
                0
            );
            assert_eq!(header.len(), HEADER);
            for part in [format!("{header}{name}\0"), content.to_owned()] {
                bytes.extend(part.bytes());
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
        }
        bytes
    }

    fn look(bytes: &[u8]) -> Result<Finder, NotFound> {
        finder(bytes)
    }

    #[test]
    fn both_are_found_behind_microcode_and_compression() {
        let mut early = cpio(&["kernel/x86/microcode/GenuineIntel.bin"]);
        early.resize(1024, 0);
        for (name, found) in [("scripts/live", Finder::LiveBoot), ("./hooks/archiso", Finder::Archiso)] {
            let main = cpio(&["init", "scripts/functions", name, "bin/sh"]);
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&main).unwrap();
            let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
            xz.write_all(&main).unwrap();
            let zstd = zstd::stream::encode_all(&*main, 1).unwrap();
            for packed in [main.clone(), gzip.finish().unwrap(), xz.finish().unwrap(), zstd] {
                assert_eq!(look(&[early.clone(), packed].concat()).unwrap(), found);
            }
        }
    }

    #[test]
    fn what_is_not_there_is_told_from_what_cannot_be_seen() {
        let plain = cpio(&["init", "scripts/local"]);
        assert!(matches!(look(&plain), Err(NotFound::Neither)));
        assert!(matches!(look(&zstd::stream::encode_all(&*plain, 1).unwrap()), Err(NotFound::Neither)));
        assert!(matches!(look(b"\x02\x21\x4c\x18lz4"), Err(NotFound::Unknown)));
        assert!(matches!(look(b"MZ"), Err(NotFound::Unknown)));
        assert!(matches!(look(b""), Err(NotFound::Neither)));
        assert!(matches!(look(&plain[..300]), Err(NotFound::Broken(_))));
        assert!(matches!(look(b"\x28\xb5\x2f\xfdrubbish"), Err(NotFound::Broken(_))));
    }

    #[test]
    fn a_root_without_a_kernel_says_what_there_is() {
        let boot = BootFiles::from([("boot/vmlinuz-6.1".to_owned(), std::path::PathBuf::new())]);
        let error = finds_the_root(&boot, crate::engine::PACKAGES).unwrap_err().to_string();
        assert!(error.contains("there is /boot/vmlinuz-6.1") && error.contains("install a kernel"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn no_file_is_too_odd(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), at in 0_usize..400) {
            let _ = look(&bytes);
            let mut archive = cpio(&["init", "a", "scripts/live"]);
            let end = (at + bytes.len()).min(archive.len());
            if at < end {
                archive[at..end].copy_from_slice(&bytes[..end - at]);
            }
            let _ = look(&archive);
        }
    }
}
