//! The EFI system partition: a FAT image with systemd-boot, the kernel and both initramfs parts, the same bytes for the
//! same content.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use fatfs::{Date, DateTime, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider};

use crate::stage::fat_file::FatFile;
use crate::stage::hashing::open_part;

/// Makes the volume's identity; fixed, so that equal inputs give equal images.
const VOLUME_ID: u32 = 0xCA27_21D6;
/// The volume label of our own images.
pub(crate) const LABEL: [u8; 11] = *b"CARTRIDGE  ";

/// The time of every entry: 2020-01-01, as in the archives.
#[derive(Debug)]
struct NewYear;

static NEW_YEAR: NewYear = NewYear;

impl TimeProvider for NewYear {
    fn get_current_date(&self) -> Date {
        Date { year: 2020, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime { date: self.get_current_date(), time: Time { hour: 0, min: 0, sec: 0, millis: 0 } }
    }
}

/// What is put into a file of the partition.
pub(crate) enum Content {
    /// Text or a small file.
    Bytes(Vec<u8>),
    /// A file of the host.
    Copy(PathBuf),
}

/// The size of the image for `bytes` of content: with room for the tables, in whole MiB.
pub(crate) fn image_size(bytes: u64) -> u64 {
    const MIB: u64 = 1 << 20;
    // Tables need at most 4 bytes in 512, twice; a cluster is lost for each of a dozen files and folders.
    (bytes + bytes / 50 + 2 * MIB).next_multiple_of(MIB)
}

/// Writes the image. `step` is called with the bytes just written, and stops everything by failing.
pub(crate) fn write(
    target: &Path,
    (size, label): (u64, [u8; 11]),
    files: &[(&str, Content)],
    step: &mut dyn FnMut(u64) -> io::Result<()>,
) -> io::Result<()> {
    let image = File::options().read(true).write(true).create_new(true).open(target)?;
    image.set_len(size)?;
    let mut image = FatFile::new(image, size)?;
    let format = FormatVolumeOptions::new().volume_id(VOLUME_ID).volume_label(label);
    fatfs::format_volume(&mut image, format)?;
    let options = FsOptions::new().time_provider(&NEW_YEAR).update_accessed_date(false);
    let volume = FileSystem::new(&mut image, options)?;
    for (path, content) in files {
        let mut dir = volume.root_dir();
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        for folder in folders.split('/').filter(|it| !it.is_empty()) {
            dir = dir.create_dir(folder)?;
        }
        let mut file = dir.create_file(name)?;
        match content {
            Content::Bytes(bytes) => file.write_all(bytes)?,
            Content::Copy(from) => copy(open_part(from)?, &mut file, step)?,
        }
        file.flush()?;
    }
    volume.unmount()?;
    image.finish()
}

fn copy(mut from: impl Read, to: &mut impl Write, step: &mut dyn FnMut(u64) -> io::Result<()>) -> io::Result<()> {
    let mut chunk = vec![0; 1 << 20];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                to.write_all(&chunk[..read])?;
                step(read as u64)?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
