//! Boot entries of an ISO taken for a boot without its loader: what is found, in which order, what is passed over and why,
//! and the files taken out of it.

use std::fs;
use std::path::Path;

use isoprep::Cancel;
use isoprep::contents::{BootMenu, ChoiceError, Extracted, Loader, Watch, boot_menu, extract};

use crate::bench::Bench;
use crate::studio::{Studio, tool};

fn menu(iso: &Path) -> Result<BootMenu, ChoiceError> {
    boot_menu(iso, &Watch { cancel: &Cancel::new(), tell: &|_| () })
}

fn take(iso: &Path, menu: &BootMenu, at: usize, into: &Path) -> Result<Extracted, ChoiceError> {
    fs::create_dir_all(into).unwrap();
    extract(iso, &menu.choices[at], into, &Watch { cancel: &Cancel::new(), tell: &|_| () })
}

/// A file with the header of a Linux kernel.
fn kernel(seed: u8) -> Vec<u8> {
    let mut bytes = vec![seed; 20_000];
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes
}

#[test]
fn an_iso_laid_out_as_archiso_offers_its_default_first_and_each_entry_once() {
    let studio = Studio::new();
    studio.write("iso/arch/boot/x86_64/vmlinuz-linux", kernel(1));
    studio.write("iso/arch/boot/x86_64/initramfs-linux.img", vec![7; 3_000_000]);
    studio.write("iso/arch/boot/intel-ucode.img", "ucode");
    studio.write("iso/boot/memtest86+/memtest", kernel(3));
    studio.write(
        "iso/boot/syslinux/syslinux.cfg",
        "DEFAULT select\nLABEL select\nCOM32 whichsys.c32\nAPPEND -sys- sys\nLABEL sys\nCONFIG sys.cfg\n",
    );
    studio.write(
        "iso/boot/syslinux/sys.cfg",
        "DEFAULT arch64\nLABEL arch64speech\nMENU LABEL Demo with speech\nLINUX /arch/boot/x86_64/vmlinuz-linux\n\
         INITRD /arch/boot/intel-ucode.img,/ARCH/boot/x86_64/Initramfs-linux.img\nAPPEND archisobasedir=arch archisolabel=DEMO accessibility=on\n\
         LABEL arch64\nMENU LABEL Demo ^install medium\nLINUX ../../arch/boot/x86_64/vmlinuz-linux\n\
         INITRD /arch/boot/intel-ucode.img,/arch/boot/x86_64/initramfs-linux.img\nAPPEND archisobasedir=arch archisolabel=%ARCHISO_LABEL%\n\
         LABEL memtest\nLINUX /boot/memtest86+/memtest\nLABEL reboot\nCOM32 reboot.c32\n\
         LABEL net\nLINUX /arch/boot/x86_64/vmlinuz-linux\nAPPEND archiso_http_srv=http://${pxeserver}/\n",
    );
    studio.write(
        "iso/boot/grub/grub.cfg",
        "set where=/arch/boot/x86_64\nsearch --no-floppy --set=found --file /x\ndefault=demo\n\
         menuentry \"Demo (UEFI, ${platform})\" --id 'demo' {\n linux ($root)${where}/vmlinuz-linux archisobasedir=arch archisolabel=DEMO img=$found\n\
         initrd /arch/boot/intel-ucode.img ${where}/initramfs-linux.img\n}\n\
         menuentry 'Gone' {\n linux /arch/boot/vmlinuz-lts\n}\nmenuentry 'Other' {\n linux ($found)/arch/boot/x86_64/vmlinuz-linux x\n}\n\
         menuentry 'Text' {\n linux /readme.txt\n}\nmenuentry 'Later' {\n linux $found/vmlinuz\n}\n",
    );
    let iso = studio.master("demo.iso");
    let found = menu(&iso).unwrap_or_else(|e| panic!("{e}"));
    let told: Vec<_> =
        found.choices.iter().map(|it| (it.title.as_str(), it.loader, it.cmdline.as_str(), it.is_default)).collect();
    assert_eq!(
        told,
        [
            ("Demo install medium", Loader::Syslinux, "archisobasedir=arch archisolabel=DEMO", true),
            ("Other", Loader::Grub, "x", false),
            ("Demo with speech", Loader::Syslinux, "archisobasedir=arch archisolabel=DEMO accessibility=on", false),
            ("net", Loader::Syslinux, "archiso_http_srv=http://${pxeserver}/", false),
        ],
        "GRUB's default is the same entry as syslinux's"
    );
    let passed: Vec<_> = found.passed_over.iter().map(|it| (it.title.as_str(), it.why.as_str())).collect();
    assert_eq!(
        passed[0],
        ("Gone", "the kernel \"/arch/boot/vmlinuz-lts\" that it names is not there: the image is not complete")
    );
    assert_eq!(passed[1], ("Text", "\"readme.txt\" is no Linux kernel"));
    assert!(passed[2].0 == "Later" && passed[2].1.contains("$found"), "{passed:?}");

    let into = studio.at("out");
    let first = take(&iso, &found, 0, &into).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(fs::read(&first.kernel).unwrap(), kernel(1));
    let initrds: Vec<_> = first.initrds.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(initrds[0] == b"ucode" && initrds[1] == vec![7; 3_000_000] && initrds.len() == 2);
    assert!(!first.reused);
    let again = take(&iso, &found, 0, &into).unwrap();
    assert!(again.reused && again.kernel == first.kernel);
    assert_eq!(fs::read_dir(&into).unwrap().count(), 1, "no draft stays");

    // Another ISO at the same place is another one.
    studio.write("iso/arch/boot/x86_64/vmlinuz-linux", kernel(2));
    let iso = studio.master("demo.iso");
    let other = take(&iso, &menu(&iso).unwrap(), 0, &into).unwrap();
    assert_eq!((other.reused, fs::read(&other.kernel).unwrap()), (false, kernel(2)));
    fs::remove_file(studio.at("iso/arch/boot/intel-ucode.img")).unwrap();
    let shrunk = studio.master("demo.iso");
    assert!(matches!(take(&shrunk, &found, 0, &studio.at("out2")), Err(ChoiceError::Changed { .. })));
    assert_eq!(fs::read_dir(studio.at("out2")).unwrap().count(), 0);
}

#[test]
fn systemd_boot_takes_its_files_from_the_efi_partition() {
    let studio = Studio::new();
    let text = String::from_utf8(kernel(b'k')).unwrap();
    let esp = studio.esp(&[
        ("loader/loader.conf", "timeout 5\ndefault 02-*\n"),
        ("loader/entries/01-toram.conf", "title To RAM\nlinux /LIVE/vmlinuz\ninitrd /live/initrd.img\noptions toram\n"),
        (
            "loader/entries/02-live.conf",
            "title Live\nlinux /live/vmlinuz\ninitrd /live/initrd.img\noptions boot=live\n",
        ),
        ("live/vmlinuz", &text),
        ("live/initrd.img", "initrd"),
    ]);
    studio.write("iso/live/vmlinuz", kernel(9));
    let iso = studio.master_efi("demo.iso", &esp);
    let found = menu(&iso).unwrap_or_else(|e| panic!("{e}"));
    let titles: Vec<_> = found.choices.iter().map(|it| it.title.as_str()).collect();
    assert_eq!(titles, ["Live", "To RAM"]);
    assert!(found.choices[0].kernel.on_efi && found.choices[0].is_default);
    let files = take(&iso, &found, 0, &studio.at("out")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(fs::read(&files.kernel).unwrap(), kernel(b'k'));
    assert_eq!(fs::read(&files.initrds[0]).unwrap(), b"initrd");
}

#[test]
fn names_without_rock_ridge_and_links_are_found() {
    let studio = Studio::new();
    studio.write("iso/LIVE/VMLINUZ", kernel(1));
    studio.write("iso/live/isolinux.cfg", "label live\nlinux vmlinuz\nappend boot=live\n");
    let plain = studio.at("plain.iso");
    let line = cartridge_supervise::CommandLine::new("xorriso").args(["-no_rc", "-as", "mkisofs", "--norock", "-o"]);
    tool(
        line.arg(&plain).arg("-graft-points").args(
            ["isolinux/isolinux.cfg", "isolinux/vmlinuz"]
                .iter()
                .zip(["iso/live/isolinux.cfg", "iso/LIVE/VMLINUZ"])
                .map(|(to, from)| format!("{to}={}", studio.at(from).display())),
        ),
    );
    let found = menu(&plain).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(found.choices[0].cmdline, "boot=live");

    std::os::unix::fs::symlink("../LIVE/VMLINUZ", studio.at("iso/live/vmlinuz")).unwrap();
    let linked = studio.master("linked.iso");
    let found = menu(&linked).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(found.choices[0].kernel.path.to_string(), "LIVE/VMLINUZ");
}

#[test]
fn isos_that_cannot_be_booted_so_are_told_with_the_reason() {
    let studio = Studio::new();
    let text = studio.write("notes.txt", "no image");
    assert!(menu(&text).unwrap_err().to_string().contains("is not an ISO 9660 image"));
    assert!(menu(&studio.at("absent.iso")).unwrap_err().to_string().contains("absent.iso"));
    let bare = studio.master("bare.iso");
    let error = menu(&bare).unwrap_err();
    assert!(matches!(error, ChoiceError::NoEntries(_)) && error.to_string().contains("has no boot entries"), "{error}");
    studio.write("iso/boot/grub/grub.cfg", "menuentry 'Demo' {\n linux /gone\n}\nmenuentry 'Off' { halt }\n");
    let error = menu(&studio.master("gone.iso")).unwrap_err();
    assert!(matches!(&error, ChoiceError::NoneUsable { passed_over, .. } if passed_over.len() == 1));
    assert!(error.to_string().contains("\"Demo\" (boot/grub/grub.cfg): the kernel \"/gone\""), "{error}");
    let cancelled = Cancel::new();
    cancelled.cancel();
    let error = boot_menu(&bare, &Watch { cancel: &cancelled, tell: &|_| () }).unwrap_err();
    assert!(error.is_cancelled());
}

#[test]
fn a_full_disk_leaves_nothing_half() {
    let studio = Studio::new();
    studio.write("iso/k", kernel(1));
    studio.write("iso/i", vec![1; 4 << 20]);
    studio.write("iso/boot/grub/grub.cfg", "menuentry 'Demo' {\n linux /k\n initrd /i\n}\n");
    let iso = studio.master("demo.iso");
    let small = studio.at("small");
    fs::create_dir(&small).unwrap();
    let line = cartridge_supervise::CommandLine::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]);
    tool(line.arg(&small));
    let taken = take(&iso, &menu(&iso).unwrap(), 0, &small);
    let left = fs::read_dir(&small).unwrap().count();
    tool(cartridge_supervise::CommandLine::new("umount").arg(&small));
    assert!(taken.unwrap_err().to_string().contains("No space left on device"));
    assert_eq!(left, 0);
}

#[test]
fn an_image_of_ours_offers_what_it_was_made_of() {
    let bench = Bench::new();
    let image = bench.build().unwrap();
    let found = menu(&image.iso).unwrap_or_else(|e| panic!("{e}"));
    let first = &found.choices[0];
    let files = take(&image.iso, &found, 0, &bench.dir.path().join("out")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(fs::read(&files.kernel).unwrap(), fs::read(&image.kernel).unwrap());
    assert_eq!(files.initrds.len(), image.initrds.len());
    for (ours, taken) in image.initrds.iter().zip(&files.initrds) {
        assert_eq!(fs::read(ours).unwrap(), fs::read(taken).unwrap());
    }
    assert_eq!(first.cmdline, image.cmdline);
    assert_eq!(found.choices.len(), 1, "one entry, whichever loader offers it: {:?}", found.choices);
}
