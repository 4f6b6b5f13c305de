//! Fourth stage: what the firmware starts. systemd-boot on an EFI system partition, and isolinux's configuration; both
//! without a menu or a wait, both with the kernel and the two initramfs parts.

use std::io;
use std::path::Path;

use crate::build::{BuildError, room_for};
use crate::cache::{Cache, Entry, atomic};
use crate::host::HostParts;
use crate::plan::Key;
use crate::progress::{Meter, Reporter};
use crate::stage::esp::{self, Content};
use crate::stage::hashing::Fingerprinter;

/// The EFI system partition's image in the cache entry.
pub(crate) const ESP: &str = "esp.img";
/// isolinux's configuration in the cache entry.
pub(crate) const ISOLINUX: &str = "isolinux.cfg";
/// The longest command line that the kernel and isolinux take, bytes (`COMMAND_LINE_SIZE` on x86 less the final NUL).
const LONGEST_CMDLINE: usize = 2047;

/// What is booted.
pub(crate) struct Payload<'a> {
    pub(crate) title: &'a str,
    pub(crate) cmdline: &'a str,
    pub(crate) base: &'a Path,
    pub(crate) inject: &'a Path,
}

pub(crate) fn bootloader(
    (parts, prints): (&HostParts, &Fingerprinter),
    payload: &Payload<'_>,
    (cache, key): (&Cache, Key),
    reporter: &Reporter<'_>,
) -> Result<Entry, BuildError> {
    let stage = reporter.stage;
    check_cmdline(payload.cmdline, reporter)?;
    let loader = std::fs::read(&parts.systemd_boot).map_err(BuildError::io(stage, "read", &parts.systemd_boot))?;
    let mut copied = 0;
    for path in [&parts.kernel.image, payload.base, payload.inject] as [&Path; 3] {
        copied += atomic::size(path).map_err(BuildError::io(stage, "read", path))?;
    }
    let size = esp::image_size(copied + loader.len() as u64);
    let draft = cache.draft(stage, key).map_err(BuildError::write(stage, Path::new("the cache"), size))?;
    let target = draft.file(ESP);
    room_for(stage, target.parent().unwrap_or(&target), size + (1 << 20))?;
    let failed = |e: io::Error| BuildError::write(stage, &target, size)(e);
    let entry = entry_conf(payload.title, payload.cmdline);
    let files = [
        ("EFI/BOOT/BOOTX64.EFI", Content::Bytes(loader)),
        ("loader/loader.conf", Content::Bytes(LOADER_CONF.into())),
        ("loader/entries/cartridge.conf", Content::Bytes(entry.into_bytes())),
        ("cartridge/vmlinuz", Content::Copy(parts.kernel.image.clone())),
        ("cartridge/base.img", Content::Copy(payload.base.into())),
        ("cartridge/inject.img", Content::Copy(payload.inject.into())),
    ];
    let meter = Meter::new(reporter, copied);
    let written = esp::write(&target, (size, esp::LABEL), &files, &mut |bytes| {
        meter.add(bytes);
        if reporter.cancel.is_cancelled() { Err(io::Error::other("cancelled")) } else { Ok(()) }
    });
    reporter.go_on()?;
    written.map_err(failed)?;
    std::fs::write(draft.file(ISOLINUX), isolinux_cfg(payload.cmdline)).map_err(failed)?;
    prints.still([parts.kernel.image.as_path(), &parts.systemd_boot], reporter)?;
    draft.commit().map_err(failed)
}

/// All configuration that will be written: what the stage's result depends on besides files.
pub(crate) fn configuration(title: &str, cmdline: &str) -> String {
    [LOADER_CONF, &entry_conf(title, cmdline), &isolinux_cfg(cmdline)].join("\0")
}

const LOADER_CONF: &str = "default cartridge.conf\ntimeout 0\neditor no\n";

/// A type #1 boot loader entry (uapi-group.org, Boot Loader Specification).
fn entry_conf(title: &str, cmdline: &str) -> String {
    let title: String = title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!(
        "title {title}\nlinux /cartridge/vmlinuz\ninitrd /cartridge/base.img\ninitrd /cartridge/inject.img\noptions {cmdline}\n"
    )
}

/// `timeout 0` with `prompt 0` starts the default at once (syslinux wiki, Config).
fn isolinux_cfg(cmdline: &str) -> String {
    format!(
        "default cartridge\nprompt 0\ntimeout 0\nlabel cartridge\n  linux /boot/vmlinuz\n  \
         initrd /boot/base.img,/boot/inject.img\n  append {cmdline}\n"
    )
}

fn check_cmdline(cmdline: &str, reporter: &Reporter<'_>) -> Result<(), BuildError> {
    if cmdline.len() > LONGEST_CMDLINE || cmdline.chars().any(char::is_control) {
        return Err(BuildError::Refused {
            stage: reporter.stage,
            what: format!(
                "image.cmdline makes a kernel command line of {} bytes or with a line break in it",
                cmdline.len()
            ),
            advice: format!("Keep it on one line, and the whole below {LONGEST_CMDLINE} bytes."),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_loaders_get_both_parts_and_the_command_line() {
        let entry = entry_conf("a\nb", "quiet x=1");
        assert!(entry.starts_with("title a b\nlinux ") && entry.ends_with("options quiet x=1\n"), "{entry}");
        assert_eq!(entry.matches("initrd ").count(), 2);
        let cfg = isolinux_cfg("quiet x=1");
        assert!(
            cfg.contains("initrd /boot/base.img,/boot/inject.img\n") && cfg.ends_with("append quiet x=1\n"),
            "{cfg}"
        );
    }
}
