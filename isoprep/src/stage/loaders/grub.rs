//! GRUB for UEFI: the command that makes it, and the configuration that is inside of it. Pure.

use std::path::Path;

use cartridge_supervise::CommandLine;

/// File systems, partition tables, terminals and commands that a configuration of a live image may use.
const MODULES: &str = "all_video at_keyboard boot btrfs cat chain configfile echo efifwsetup efinet exfat ext2 f2fs fat font \
    gfxmenu gfxterm gzio halt hfsplus iso9660 jpeg keylayouts linux loadenv loopback lsefi lsefimmap minicmd normal ntfs ntfscomp \
    part_apple part_gpt part_msdos png probe read reboot regexp search search_fs_file search_fs_uuid search_label serial sleep \
    test tpm udf usb usbserial_common usbserial_ftdi usbserial_pl2303 usbserial_usbdebug video xfs zstd";

/// A processor of EFI firmware: GRUB's name for it, and what the default loader is called for it (UEFI 2.10, 3.5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EfiTarget {
    pub(crate) grub: &'static str,
    pub(crate) file: &'static str,
}

/// 64 bit, and 32 bit firmware on 64-bit machines.
pub(crate) const TARGETS: [EfiTarget; 2] =
    [EfiTarget { grub: "x86_64-efi", file: "BOOTx64.EFI" }, EfiTarget { grub: "i386-efi", file: "BOOTIA32.EFI" }];

/// Where distributions keep GRUB's modules.
pub(crate) fn module_folder(target: EfiTarget) -> std::path::PathBuf {
    Path::new("/usr/lib/grub").join(target.grub)
}

/// The command that makes GRUB for `target`.
pub(crate) fn command(program: &Path, target: EfiTarget, embedded: &Path, out: &Path) -> CommandLine {
    let folder = module_folder(target);
    let there = |name: &&str| folder.join(format!("{name}.mod")).exists() || !folder.is_dir();
    let modules: Vec<&str> = MODULES.split_whitespace().filter(there).collect();
    let mut line = CommandLine::new(program).args(["-O", target.grub]).arg(format!("--modules={}", modules.join(" ")));
    line = line.args(["--locales=en@quot", "--themes="]);
    let sbat = Path::new("/usr/share/grub/sbat.csv");
    if sbat.exists() {
        line = line.arg(format!("--sbat={}", sbat.display()));
    }
    let mut graft = std::ffi::OsString::from("boot/grub/grub.cfg=");
    graft.push(embedded);
    line.arg("--disable-shim-lock").arg("-o").arg(out).arg(graft)
}

/// What GRUB does first: finds the volume that it belongs to by a file on it, starting where it was started from, and goes on
/// with the configuration there. `ARCHISO_HINT` and `ARCHISO_UUID` are what archiso's configurations read.
pub(crate) fn embedded(search: &str) -> String {
    format!(
        "regexp --set=1:ARCHISO_HINT '^\\(([^)]+)\\)' \"${{cmdpath}}\"\n\
         if search --no-floppy --set=cartridge_volume --file '{search}' --hint \"${{ARCHISO_HINT}}\"; then\n\
         \x20   set ARCHISO_HINT=\"${{cartridge_volume}}\"\n\
         \x20   if probe --set=ARCHISO_UUID --fs-uuid \"${{ARCHISO_HINT}}\"; then\n\
         \x20       export ARCHISO_UUID\n\
         \x20   fi\n\
         else\n\
         \x20   echo 'There is no volume with {search} on it.'\n\
         fi\n\
         export ARCHISO_HINT\n\
         set root=\"${{ARCHISO_HINT}}\"\n\
         configfile \"(${{ARCHISO_HINT}})/boot/grub/grub.cfg\"\n"
    )
}

/// A GRUB environment block: 1024 bytes, filled up with `#` (GRUB manual, "Environment block").
pub(crate) fn environment(variables: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::from("# GRUB Environment Block\n");
    for (name, value) in variables {
        text.push_str(&format!("{name}={value}\n"));
    }
    let mut block = text.into_bytes();
    block.resize(1024, b'#');
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_block_has_its_size() {
        let block = environment(&[("NAME", "x"), ("VERSION", "1")]);
        assert_eq!(block.len(), 1024);
        assert!(block.starts_with(b"# GRUB Environment Block\nNAME=x\nVERSION=1\n###"));
    }

    #[test]
    fn the_embedded_configuration_finds_the_volume() {
        let text = embedded("/boot/x.uuid");
        assert!(text.contains("--file '/boot/x.uuid' --hint \"${ARCHISO_HINT}\""));
        assert!(text.ends_with("configfile \"(${ARCHISO_HINT})/boot/grub/grub.cfg\"\n"));
    }
}
