//! Last stage: the hybrid ISO. One file that boots as a CD and as a USB disk, with BIOS and with UEFI, the same bytes for
//! the same content; it replaces the old one in one step or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cartridge_initramfs::cpio::EPOCH;
use cartridge_supervise::{Channel, CommandLine, run};
use serde::{Deserialize, Serialize};

use crate::build::{BuildError, room_for};
use crate::cache::{Cache, atomic, drafts};
use crate::host::HostParts;
use crate::plan::Key;
use crate::progress::{Reporter, Unit, ticking};
use crate::stage::hashing::Fingerprinter;

/// What xorriso adds to the content: tables, padding, boot catalogue, bytes, generously.
const OVERHEAD: u64 = 4 << 20;

/// Everything that goes into the ISO.
pub(crate) struct Contents<'a> {
    pub(crate) parts: &'a HostParts,
    pub(crate) base: &'a Path,
    pub(crate) inject: &'a Path,
    pub(crate) esp: &'a Path,
    pub(crate) isolinux_cfg: &'a Path,
}

/// Which ISO lies at a path: written after it, compared before it is made again.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    key: String,
    bytes: u64,
    inode: u64,
    modified: (i64, i64),
}

/// Whether the ISO at `target` is the one for `key`, untouched since we wrote it.
pub(crate) fn is_current(cache: &Cache, target: &Path, key: Key) -> bool {
    let Ok(file) = record_file(cache, target) else { return false };
    let known: Option<Record> = fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let seen = record(target, key).ok();
    known.is_some() && known == seen
}

/// Masters the ISO of engine micro.
pub(crate) fn iso(
    (contents, prints): (&Contents<'_>, &Fingerprinter),
    target: &Path,
    cache: (&Cache, Key),
    reporter: &Reporter<'_>,
) -> Result<(), BuildError> {
    let parts = contents.parts;
    let mut needed = 0;
    for path in [&parts.kernel.image, contents.base, contents.inject, contents.esp] as [&Path; 4] {
        needed += atomic::size(path).map_err(BuildError::io(reporter.stage, "read", path))?;
    }
    let read = [&parts.kernel.image, &parts.isolinux, &parts.ldlinux, &parts.isohdpfx];
    let still = || prints.still(read.map(PathBuf::as_path), reporter);
    put(&|out| command(contents, out), needed, &still, target, cache, reporter)
}

/// Masters an ISO of about `needed` bytes beside `target`, with the command that `line` makes for its name, and renames it.
/// `still` says whether what was read is still what was meant.
pub(crate) fn put(
    line: &dyn Fn(&Path) -> CommandLine,
    needed: u64,
    still: &dyn Fn() -> Result<(), BuildError>,
    target: &Path,
    (cache, key): (&Cache, Key),
    reporter: &Reporter<'_>,
) -> Result<(), BuildError> {
    let stage = reporter.stage;
    let dir = target.parent().unwrap_or(Path::new("/"));
    let needed = needed + OVERHEAD;
    let stem = target.file_stem().unwrap_or_default().to_string_lossy();
    drafts::sweep_image(dir, &stem);
    room_for(stage, dir, needed)?;
    let draft = drafts::image(dir, &stem).map_err(BuildError::write(stage, target, needed))?;
    // Open until the image has its name: the lock on it tells other builds that it is being written.
    let (_lock, draft) = draft.into_parts();
    let line = line(&draft);
    let percent = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    master(&line, &percent, reporter).map_err(|e| match e {
        // xorriso has its own words for a full disk; ours say how much was missing.
        BuildError::Tool { .. } => match room_for(stage, dir, needed.saturating_sub(atomic::size(&draft).unwrap_or(0)))
        {
            Err(full @ BuildError::DiskFull { .. }) => full,
            _ => e,
        },
        e => e,
    })?;
    still()?;
    reporter.advanced(100, Some(100), Unit::Percent);
    let put = || -> std::io::Result<()> {
        let made = File::open(&draft)?;
        made.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        made.sync_all()
    };
    put().map_err(BuildError::write(stage, target, needed))?;
    reporter.go_on()?;
    draft.persist(target).map_err(|e| BuildError::write(stage, target, needed)(e.error))?;
    remember(cache, target, key, reporter);
    Ok(())
}

/// Takes an image that a tool has made: moved to `target` in one step, and remembered.
pub(crate) fn adopt(
    made: &Path,
    target: &Path,
    (cache, key): (&Cache, Key),
    reporter: &Reporter<'_>,
) -> Result<(), BuildError> {
    let stage = reporter.stage;
    let dir = target.parent().unwrap_or(Path::new("/"));
    let bytes = atomic::size(made).map_err(BuildError::io(stage, "read", made))?;
    let stem = target.file_stem().unwrap_or_default().to_string_lossy();
    drafts::sweep_image(dir, &stem);
    let draft = drafts::image(dir, &stem).map_err(BuildError::write(stage, target, bytes))?;
    // The same file system lets it be renamed; another one needs room and time.
    if fs::rename(made, draft.path()).is_err() {
        room_for(stage, dir, bytes)?;
        fs::copy(made, draft.path()).map_err(BuildError::write(stage, target, bytes))?;
    }
    let (_lock, draft) = draft.into_parts();
    let finish = || -> std::io::Result<()> {
        let file = File::open(&draft)?;
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.sync_all()
    };
    finish().map_err(BuildError::write(stage, target, bytes))?;
    draft.persist(target).map_err(|e| BuildError::write(stage, target, bytes)(e.error))?;
    remember(cache, target, key, reporter);
    Ok(())
}

/// Notes which image lies at `target`. Without that the next build makes the same one again: slower, not wrong.
fn remember(cache: &Cache, target: &Path, key: Key, reporter: &Reporter<'_>) {
    let note = || -> std::io::Result<()> {
        atomic::sync_dir(target.parent().unwrap_or(Path::new("/")))?;
        let record = serde_json::to_vec(&record(target, key)?).map_err(std::io::Error::other)?;
        atomic::write(&record_file(cache, target)?, &record)
    };
    if let Err(e) = note() {
        reporter.line(format!("warning: the image was written, but the cache did not note it: {e}"));
    }
}

fn master(
    line: &CommandLine,
    percent: &std::sync::Arc<std::sync::atomic::AtomicU64>,
    reporter: &Reporter<'_>,
) -> Result<(), BuildError> {
    use std::sync::atomic::Ordering::Relaxed;
    let seen = std::sync::Arc::clone(percent);
    let watch = move |_: Channel, bytes: &[u8]| {
        if let Some(done) = percent_in(bytes) {
            seen.store(done, Relaxed);
        }
    };
    // The observer lives longer than a borrow may, so the number crosses over and is told from here.
    let tick = || reporter.advanced(percent.load(Relaxed).min(99), Some(100), Unit::Percent);
    let work = || run(line, reporter.cancel, watch).map(drop).map_err(BuildError::tool(reporter.stage));
    ticking(std::time::Duration::from_millis(50), tick, work)
}

/// The last percentage in what xorriso prints: "xorriso : UPDATE :  23.41% done".
fn percent_in(bytes: &[u8]) -> Option<u64> {
    let end = bytes.iter().rposition(|b| *b == b'%')?;
    let start = bytes[..end].iter().rposition(|b| !(b.is_ascii_digit() || *b == b'.')).map_or(0, |at| at + 1);
    let number = std::str::from_utf8(&bytes[start..end]).ok()?;
    number.split('.').next()?.parse().ok().filter(|it| *it <= 100)
}

/// The xorriso command. The partition is appended and shared by El Torito and GPT; the fake MBR partition is marked
/// bootable because some firmware starts nothing else.
fn command(contents: &Contents<'_>, out: &Path) -> CommandLine {
    let parts = contents.parts;
    let isohybrid: [&OsStr; 10] = [
        "-partition_offset".as_ref(),
        "16".as_ref(),
        "--mbr-force-bootable".as_ref(),
        "-isohybrid-mbr".as_ref(),
        parts.isohdpfx.as_os_str(),
        "-append_partition".as_ref(),
        "2".as_ref(),
        "0xef".as_ref(),
        contents.esp.as_os_str(),
        "-appended_part_as_gpt".as_ref(),
    ];
    let line = CommandLine::new(&parts.xorriso).args(["-no_rc", "-as", "mkisofs"]);
    let line = line.args(["-iso-level", "3", "-rational-rock", "-volid", "CARTRIDGE", "-appid", "Cartridge"]);
    let line = line.arg("--set_all_file_dates").arg(format!("={EPOCH}"));
    let line = line.args(["-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot"]);
    let line = line.args(["-boot-load-size", "4", "-boot-info-table"]).args(isohybrid);
    let line = line.args(["-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot"]);
    let line = line.arg("-o").arg(out).arg("-graft-points").args([
        graft("isolinux/isolinux.bin", &parts.isolinux),
        graft("isolinux/ldlinux.c32", &parts.ldlinux),
        graft("isolinux/isolinux.cfg", contents.isolinux_cfg),
        graft("boot/vmlinuz", &parts.kernel.image),
        graft("boot/base.img", contents.base),
        graft("boot/inject.img", contents.inject),
    ]);
    // Sets the volume's dates and identifiers, which would differ from run to run (xorrisofs(1), SOURCE_DATE_EPOCH).
    line.env("SOURCE_DATE_EPOCH", EPOCH.to_string()).env("LC_ALL", "C")
}

/// `target=source`, with the source's backslashes and equal signs escaped (xorrisofs(1), -graft-points).
pub(crate) fn graft(target: &str, source: &Path) -> OsString {
    let mut word = target.as_bytes().to_vec();
    word.push(b'=');
    for byte in source.as_os_str().as_bytes() {
        if matches!(byte, b'\\' | b'=') {
            word.push(b'\\');
        }
        word.push(*byte);
    }
    OsString::from_vec(word)
}

fn record(target: &Path, key: Key) -> std::io::Result<Record> {
    let meta = fs::metadata(target)?;
    let modified = (meta.mtime(), meta.mtime_nsec());
    Ok(Record { key: key.0.to_string(), bytes: meta.len(), inode: meta.ino(), modified })
}

fn record_file(cache: &Cache, target: &Path) -> std::io::Result<PathBuf> {
    let name = blake3::hash(target.as_os_str().as_bytes()).to_hex();
    Ok(cache.room("images")?.join(format!("{}.json", name.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_found_in_what_xorriso_prints() {
        assert_eq!(percent_in(b"xorriso : UPDATE :  23.41% done\n"), Some(23));
        assert_eq!(percent_in(b"UPDATE : 1% done\nUPDATE :  99.90% done, estimate"), Some(99));
        assert_eq!(percent_in(b"nothing"), None);
        assert_eq!(percent_in(b"%"), None);
        assert_eq!(percent_in(b"777%"), None);
    }

    #[test]
    fn grafts_are_escaped() {
        assert_eq!(graft("a", Path::new("/x=y\\z w")), OsString::from("a=/x\\=y\\\\z w"));
    }
}
