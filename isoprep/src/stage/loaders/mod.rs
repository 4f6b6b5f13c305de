//! What lies on the disc of a distribution's image and what starts it: decided from the files that the root image brought, as
//! a list of paths and where each comes from. Pure; `bootloader` and `disc` act on it.

pub(crate) mod archiso;
pub(crate) mod grub;
pub(crate) mod live;
mod microcode;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) use microcode::carries_microcode;

/// Where a file of the disc comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// A file that is there.
    File(PathBuf),
    /// Made here.
    Bytes(Vec<u8>),
}

/// A disc before it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disc {
    /// Files by their path on the disc, without a leading slash.
    pub(crate) files: BTreeMap<String, From>,
    /// Files of the EFI system partition, if there is one.
    pub(crate) efi: BTreeMap<String, From>,
    /// The path of `isolinux.bin` on the disc, if it starts with BIOS.
    pub(crate) isolinux: Option<String>,
    /// What starts it from a USB disk with BIOS.
    pub(crate) mbr: Option<PathBuf>,
    /// What could not be done as the profile asks, in sentences.
    pub(crate) warnings: Vec<String>,
}

/// Names and dates of a disc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiscNames {
    /// Volume label.
    pub(crate) label: String,
    /// Publisher.
    pub(crate) publisher: String,
    /// Application.
    pub(crate) application: String,
    /// Seconds since 1970 of everything on it.
    pub(crate) epoch: u64,
}

/// The files of a boot folder: path in the root image (without a leading slash) to where it is.
pub(crate) type BootFiles = BTreeMap<String, PathBuf>;

/// Lists a folder as [`BootFiles`]. What is not text has no place on a disc that loaders read.
pub(crate) fn boot_files(dir: &Path) -> std::io::Result<BootFiles> {
    fn walk(top: &Path, dir: &Path, files: &mut BootFiles) -> std::io::Result<()> {
        for entry in std::fs::read_dir(dir)? {
            let (entry, path) = entry.map(|it| (it.file_type(), it.path()))?;
            if entry?.is_dir() {
                walk(top, &path, files)?;
            } else if let Some(name) = path.strip_prefix(top).ok().and_then(Path::to_str) {
                files.insert(name.to_owned(), path.clone());
            }
        }
        Ok(())
    }
    let mut files = BootFiles::new();
    if dir.is_dir() {
        walk(dir, dir, &mut files)?;
    }
    Ok(files)
}

/// The identity of an ISO volume as Linux shows it: its modification time (ISO 9660, 8.4.26.1; what `blkid` makes of it).
pub(crate) fn volume_uuid(epoch: u64) -> String {
    let (days, seconds) = (epoch / 86_400, epoch % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}-{:02}-{:02}-{:02}-00", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar (H. Hinnant, "chrono-compatible low-level
/// date algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_known_by_its_date() {
        assert_eq!(volume_uuid(0), "1970-01-01-00-00-00-00");
        assert_eq!(volume_uuid(1_700_000_000), "2023-11-14-22-13-20-00");
        assert_eq!(volume_uuid(951_782_400), "2000-02-29-00-00-00-00");
        assert_eq!(volume_uuid(4_102_444_799), "2099-12-31-23-59-59-00");
    }
}
