//! A disc is written: its EFI system partition made, what was decided as text stored, and xorriso run over the list of files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use cartridge_supervise::CommandLine;
use cartridge_treehash::TreeHash;

use crate::build::{BuildError, room_for};
use crate::cache::{Cache, Entry, atomic};
use crate::engine;
use crate::plan::Key;
use crate::progress::{Meter, Reporter};
use crate::stage::esp::{self, Content};
use crate::stage::iso::graft;
use crate::stage::loaders::{Disc, DiscNames, From};

/// The EFI system partition in its cache entry.
pub(crate) const ESP: &str = "efiboot.img";
/// The folder of files that were made here, in the cache entry of the boot loader's stage, by number.
const MADE: &str = "made";

/// Makes the EFI system partition.
pub(crate) fn esp(
    disc: &Disc,
    label: [u8; 11],
    (cache, key): (&Cache, Key),
    reporter: &Reporter<'_>,
) -> Result<Entry, BuildError> {
    let stage = reporter.stage;
    let mut copied = 0;
    for from in disc.efi.values() {
        copied += match from {
            From::File(path) => atomic::size(path).map_err(BuildError::io(stage, "read", path))?,
            From::Bytes(bytes) => bytes.len() as u64,
        };
    }
    let size = esp::image_size(copied);
    let draft = cache.draft(engine::ESP, key).map_err(BuildError::write(stage, Path::new("the cache"), size))?;
    let target = draft.file(ESP);
    room_for(stage, target.parent().unwrap_or(&target), size + (1 << 20))?;
    let failed = |e: io::Error| BuildError::write(stage, &target, size)(e);
    let content = |from: &'_ From| match from {
        From::File(path) => Content::Copy(path.clone()),
        From::Bytes(bytes) => Content::Bytes(bytes.clone()),
    };
    let files: Vec<(&str, Content)> = disc.efi.iter().map(|(path, from)| (path.as_str(), content(from))).collect();
    let meter = Meter::new(reporter, copied);
    let written = esp::write(&target, (size, label), &files, &mut |bytes| {
        meter.add(bytes);
        if reporter.cancel.is_cancelled() { Err(io::Error::other("cancelled")) } else { Ok(()) }
    });
    reporter.go_on()?;
    written.map_err(failed)?;
    draft.commit().map_err(failed)
}

/// Makes what no other stage made: every file of the disc that is text of ours.
pub(crate) fn made(disc: &Disc, (cache, key): (&Cache, Key), reporter: &Reporter<'_>) -> Result<Entry, BuildError> {
    let stage = reporter.stage;
    let draft = cache.draft(stage, key).map_err(BuildError::write(stage, Path::new("the cache"), 1 << 20))?;
    let made = draft.file(MADE);
    let failed = |e: io::Error| BuildError::write(stage, &made, 1 << 20)(e);
    std::fs::create_dir(&made).map_err(failed)?;
    for (number, from) in disc.files.values().enumerate() {
        if let From::Bytes(bytes) = from {
            atomic::write_new(&made.join(number.to_string()), bytes).map_err(failed)?;
        }
    }
    reporter.go_on()?;
    draft.commit().map_err(failed)
}

/// Where each file of the disc is, once [`made`] has made its own.
pub(crate) fn places(disc: &Disc, entry: &Entry) -> Vec<(String, PathBuf)> {
    let place = |(number, (path, from)): (usize, (&String, &From))| {
        let file = match from {
            From::File(file) => file.clone(),
            From::Bytes(_) => entry.file(MADE).join(number.to_string()),
        };
        (path.clone(), file)
    };
    disc.files.iter().enumerate().map(place).collect()
}

/// What decides what [`made`] and [`esp`] make: all paths, what is text of ours, and the files of the EFI system partition
/// as `content` knows them. Other files of the disc are in [`contents`], because they change without these.
pub(crate) fn description<E>(disc: &Disc, content: &mut Contents<'_, E>) -> Result<Vec<u8>, E> {
    let mut text = Vec::new();
    described(&mut text, b'd', &disc.files, &mut |_| Ok(None))?;
    text.extend(efi_description(disc, content)?);
    Ok(text)
}

/// What decides what [`esp`] makes.
pub(crate) fn efi_description<E>(disc: &Disc, content: &mut Contents<'_, E>) -> Result<Vec<u8>, E> {
    let mut text = Vec::new();
    described(&mut text, b'e', &disc.efi, &mut |file| content(file).map(Some))?;
    Ok(text)
}

/// Paths, and what stands for each file's content, if anything does.
fn described<E>(
    text: &mut Vec<u8>,
    kind: u8,
    files: &BTreeMap<String, From>,
    content: &mut dyn FnMut(&Path) -> Result<Option<TreeHash>, E>,
) -> Result<(), E> {
    for (path, from) in files {
        text.push(kind);
        text.extend((path.len() as u64).to_le_bytes());
        text.extend(path.bytes());
        match from {
            From::File(file) => match content(file)? {
                None => text.push(0),
                Some(hash) => {
                    text.push(2);
                    text.extend(hash.0);
                }
            },
            From::Bytes(bytes) => {
                text.push(1);
                text.extend((bytes.len() as u64).to_le_bytes());
                text.extend(bytes);
            }
        }
    }
    Ok(())
}

/// What the disc has besides what is made here: its other files, and what starts it from a USB disk.
pub(crate) fn contents<E>(disc: &Disc, content: &mut Contents<'_, E>) -> Result<Vec<TreeHash>, E> {
    let files = disc.files.values().filter_map(|from| if let From::File(file) = from { Some(file) } else { None });
    files.chain(&disc.mbr).map(|file| content(file)).collect()
}

/// Tells a file's content from any other.
type Contents<'a, E> = dyn FnMut(&Path) -> Result<TreeHash, E> + 'a;

/// The xorriso command for the disc. The partition is appended and shared by El Torito and GPT: a GPT that is not valid, as
/// `-isohybrid-gpt-basdat` makes it, does not start from USB with UEFI.
pub(crate) fn command(
    xorriso: &Path,
    disc: &Disc,
    names: &DiscNames,
    places: &[(String, PathBuf)],
    esp: Option<&Path>,
    out: &Path,
) -> CommandLine {
    let line =
        CommandLine::new(xorriso).args(["-no_rc", "-as", "mkisofs", "-iso-level", "3", "-full-iso9660-filenames"]);
    let line = line.args(["-joliet", "-joliet-long", "-rational-rock", "-volid", &names.label]);
    let line = line.args(["-appid", &names.application, "-publisher", &names.publisher]);
    let mut line = line.args(["-preparer", "prepared by Cartridge"]);
    line = line.arg("--set_all_file_dates").arg(format!("={}", names.epoch));
    line = line.args(["-partition_offset", "16"]);
    if let Some(isolinux) = &disc.isolinux {
        let catalogue = Path::new(isolinux).with_file_name("boot.cat");
        line = line.arg("-eltorito-boot").arg(isolinux).arg("-eltorito-catalog").arg(catalogue);
        line = line.args(["-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "--mbr-force-bootable"]);
        if let Some(mbr) = &disc.mbr {
            line = line.arg("-isohybrid-mbr").arg(mbr);
        }
    }
    if let Some(esp) = esp {
        line = line.args(["-append_partition", "2", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"]).arg(esp);
        line = line.args(["-appended_part_as_gpt", "-eltorito-alt-boot"]);
        line = line.args(["-e", "--interval:appended_partition_2:all::", "-no-emul-boot"]);
        if disc.isolinux.is_none() {
            line = line.args(["-eltorito-catalog", "EFI/boot.cat"]);
        }
    }
    let grafts = places.iter().map(|(path, file)| graft(path, file));
    let line = line.arg("-o").arg(out).arg("-graft-points").args(grafts);
    // Sets the volume's dates and identifiers, which would differ from run to run (xorrisofs(1), SOURCE_DATE_EPOCH).
    line.env("SOURCE_DATE_EPOCH", names.epoch.to_string()).env("LC_ALL", "C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disc_starts_the_way_it_can() {
        let names = DiscNames { label: "L".into(), publisher: "P".into(), application: "A".into(), epoch: 7 };
        let show = |disc: &Disc, esp: Option<&Path>| {
            command(Path::new("x"), disc, &names, &[("a".into(), "/b=c".into())], esp, Path::new("/o")).to_string()
        };
        let bios =
            Disc { isolinux: Some("boot/syslinux/isolinux.bin".into()), mbr: Some("/m".into()), ..Disc::default() };
        let text = show(&bios, None);
        assert!(
            text.contains("-eltorito-catalog boot/syslinux/boot.cat") && !text.contains("-append_partition"),
            "{text}"
        );
        let text = show(&Disc::default(), Some(Path::new("/e")));
        assert!(text.contains("-eltorito-catalog EFI/boot.cat") && text.contains("-appended_part_as_gpt"), "{text}");
    }

    #[test]
    fn each_file_is_in_the_key_of_what_it_is_part_of() {
        let file = |name: &str| From::File(name.into());
        let disc = Disc {
            files: [("splash.png".to_owned(), file("/p/splash")), ("a.cfg".to_owned(), From::Bytes(b"a".to_vec()))]
                .into(),
            efi: [("BOOT.EFI".to_owned(), file("/h/efi"))].into(),
            mbr: Some("/h/mbr".into()),
            ..Disc::default()
        };
        let described = |changed: &str| {
            let mut content = |path: &Path| Ok::<_, ()>(TreeHash([u8::from(path == Path::new(changed)); 32]));
            (description(&disc, &mut content).unwrap(), contents(&disc, &mut content).unwrap())
        };
        let differs = |changed: &str| {
            let (before, after) = (described(""), described(changed));
            (before.0 != after.0, before.1 != after.1)
        };
        assert_eq!(["/p/splash", "/h/efi", "/h/mbr"].map(differs), [(false, true), (true, false), (false, true)]);
    }
}
