//! Images that are cut, damaged, or made to hurt: each ends in an error or in sound contents, soon, and never in a panic.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cartridge_supervise::CommandLine;
use isoprep::Cancel;
use isoprep::contents::{ContentsError, Fault, ImageContents, TreePath, Watch, open_image};

use crate::studio::{Studio, fill, open, tool};

/// Opens an image and reads all of it.
fn whole(iso: &Path) -> Result<ImageContents, ContentsError> {
    let cancel = Cancel::new();
    let watch = Watch { cancel: &cancel, tell: &|_| () };
    let (mut contents, reader) = open_image(iso, &watch)?;
    reader.know_all(&mut contents, &watch)?;
    Ok(contents)
}

/// Two small images with everything in them: metadata as it is, so that damage hits its meaning.
fn specimens(studio: &Studio) -> Vec<PathBuf> {
    fill(&studio.at("root"));
    studio.write("iso/boot/grub/grub.cfg", "menuentry 'Demo' {\n linux /v x=1\n initrd /i\n}\n");
    studio.squash(&["-comp", "zstd", "-noI", "-noX"]);
    let esp = studio.esp(&[("loader/entries/a.conf", "title A\nlinux /v\n"), ("EFI/BOOT/BOOTX64.EFI", "x")]);
    let mut made = vec![studio.master_efi("squashfs.iso", &esp)];
    fs::remove_file(studio.at("iso/arch/x86_64/airootfs.sfs")).unwrap();
    if std::process::Command::new("mkfs.erofs").arg("-V").output().is_ok() {
        let image = studio.at("iso/arch/x86_64/airootfs.erofs");
        tool(CommandLine::new("mkfs.erofs").args(["--quiet", "-zlz4"]).arg(&image).arg(studio.at("root")));
        made.push(studio.master("erofs.iso"));
        fs::remove_file(image).unwrap();
    }
    let image = studio.at("packed/airootfs.img");
    fs::create_dir_all(image.parent().unwrap()).unwrap();
    let line = CommandLine::new("mkfs.ext4").args(["-q", "-F", "-d"]).arg(studio.at("root")).arg(&image).arg("16M");
    tool(line.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap())));
    studio.squash_as("packed", "iso/arch/x86_64/airootfs.sfs", &["-comp", "zstd", "-noI", "-noD", "-noF"]);
    made.push(studio.master("ext4.iso"));
    made
}

#[test]
fn images_cut_anywhere_are_told_to_be_cut() {
    let studio = Studio::new();
    for iso in specimens(&studio) {
        let bytes = fs::read(&iso).unwrap();
        let cut = studio.at("cut.iso");
        for at in
            [0, 1, 32_767, 32_768, 34_815, 34_816, 40_000, bytes.len() / 3, bytes.len() / 2, bytes.len() - 400_000]
        {
            fs::write(&cut, &bytes[..at]).unwrap();
            let Err(error) = whole(&cut) else { panic!("{} of {} bytes are read as a whole", at, bytes.len()) };
            let text = error.to_string();
            assert!(matches!(error.fault, Fault::Damaged(_) | Fault::Foreign { .. }), "{at}: {text}");
            assert!(text.contains("cut.iso") && !text.contains('\u{fffd}'), "{text}");
        }
    }
}

#[test]
fn what_is_no_image_is_told_so() {
    let studio = Studio::new();
    let foreign = |path: &Path| match open(path) {
        Err(error) => assert!(matches!(error.fault, Fault::Foreign { .. }), "{error}"),
        Ok(_) => panic!("{}", path.display()),
    };
    foreign(&studio.write("empty", ""));
    foreign(&studio.write("text", "no image\n".repeat(10_000)));
    foreign(&studio.write("zeros", vec![0; 1 << 20]));
    foreign(&studio.at("iso"));
    foreign(&std::env::current_exe().unwrap());
    let pipe = studio.at("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    foreign(&pipe);
    let error = open(&studio.at("missing")).err().unwrap();
    assert!(matches!(error.fault, Fault::Io(_)), "{error}");
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

#[test]
fn damage_anywhere_ends_in_an_error_or_in_sound_contents() {
    let studio = Studio::new();
    for (number, iso) in specimens(&studio).into_iter().enumerate() {
        let bytes = fs::read(&iso).unwrap();
        let mut dice = Dice(number as u64 + 1);
        // Where metadata is: the beginning of the ISO, the end of a squashfs, all of the rest now and then.
        let busy: Vec<usize> =
            (0..bytes.len()).step_by(512).filter(|at| bytes[*at..].iter().take(512).any(|b| *b != 0)).collect();
        let target = studio.at("damaged.iso");
        fs::write(&target, &bytes).unwrap();
        let mut file = fs::File::options().write(true).open(&target).unwrap();
        let (mut good, mut bad) = (0, 0);
        for _ in 0..120 {
            let mut places = Vec::new();
            for _ in 0..=dice.roll(6) {
                let at = (busy[dice.roll(busy.len())] + dice.roll(512)).min(bytes.len() - 1);
                let value = [0, 0xff, 0x7f, 0x80, 1][dice.roll(5)] ^ (dice.roll(2) * dice.roll(256)) as u8;
                places.push(at);
                file.seek(SeekFrom::Start(at as u64)).unwrap();
                file.write_all(&[value]).unwrap();
            }
            let began = Instant::now();
            match whole(&target) {
                Ok(contents) => {
                    good += 1;
                    for tree in [&contents.files, &contents.iso_files, &contents.efi_files] {
                        assert!(tree.iter().all(|(path, _)| path.as_bytes().is_empty() || path.is_sound()));
                    }
                }
                Err(error) => {
                    bad += 1;
                    assert!(!matches!(error.fault, Fault::Cancelled | Fault::Io(_)), "{error}");
                }
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{places:?} took {:?}", began.elapsed());
            for at in places {
                file.seek(SeekFrom::Start(at as u64)).unwrap();
                file.write_all(&bytes[at..=at]).unwrap();
            }
        }
        assert!(good > 0 && bad > 0, "{}: {good} read, {bad} refused", iso.display());
    }
}

/// Replaces the only place where `old` stands.
fn patch(iso: &Path, old: &[u8], new: &[u8]) {
    let mut bytes = fs::read(iso).unwrap();
    let found: Vec<usize> = (0..bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(old)).collect();
    assert_eq!(found.len(), 1, "{} places", found.len());
    bytes[found[0]..found[0] + old.len()].copy_from_slice(new);
    fs::write(iso, bytes).unwrap();
}

#[test]
fn a_directory_that_is_its_own_parent_does_not_hold_us() {
    let studio = Studio::new();
    fs::create_dir_all(studio.at("root/aaaa/selfselfself")).unwrap();
    studio.squash(&["-noI"]);
    let iso = studio.master("loop.iso");
    // The list's entry: offset of the inode, difference of its number, kind, length of the name less one, name.
    let bytes = fs::read(&iso).unwrap();
    let name = b"selfselfself";
    let at = (0..bytes.len()).find(|at| bytes[*at..].starts_with(name)).unwrap();
    let entry = bytes[at - 8..at + name.len()].to_vec();
    let parent = b"aaaa";
    let up = (at..bytes.len()).find(|at| bytes[*at..].starts_with(parent)).unwrap();
    // The parent's inode instead of its own.
    let new = [&bytes[up - 8..up - 6], &entry[2..]].concat();
    patch(&iso, &entry, &new);
    let Err(error) = whole(&iso) else { panic!("it is read") };
    assert!(matches!(error.fault, Fault::Damaged(_) | Fault::TooMuch { .. }), "{error}");
    assert!(error.to_string().contains("airootfs.sfs"), "{error}");
}

#[test]
fn absurd_sizes_are_refused_before_anything_is_made_of_them() {
    let studio = Studio::new();
    studio.write("root/file", vec![7; 1234]);
    // An attribute makes it an inode with a size of 64 bits.
    let file = studio.at("root/file");
    rustix::fs::setxattr(&file, "user.x", b"1", rustix::fs::XattrFlags::empty()).unwrap();
    studio.squash(&["-noI", "-noF"]);
    let iso = studio.master("absurd.iso");
    let size = 1234_u64.to_le_bytes();
    for absurd in [u64::MAX, 1 << 50, 1 << 41, 200 << 20] {
        let bad = studio.at("bad.iso");
        fs::copy(&iso, &bad).unwrap();
        patch(&bad, &size, &absurd.to_le_bytes());
        let Err(error) = whole(&bad) else { panic!("a file of {absurd} bytes is read") };
        assert!(matches!(error.fault, Fault::Damaged(_) | Fault::TooMuch { .. }), "{absurd}: {error}");
    }
}

#[test]
fn names_that_lead_out_of_the_tree_are_refused() {
    let studio = Studio::new();
    studio.write("root/longenoughname", "x");
    studio.squash(&["-noI"]);
    let iso = studio.master("names.iso");
    for name in [&b"../../../../etc"[..], b"a/b/c/d/e/f/g/h", b"longenough\0name"] {
        let bad = studio.at("bad.iso");
        fs::copy(&iso, &bad).unwrap();
        let new = &name[..14.min(name.len())];
        let new = [new, &b"longenoughname"[new.len()..]].concat();
        patch(&bad, b"longenoughname", &new);
        let Err(error) = whole(&bad) else { panic!("{name:?} is read") };
        assert!(matches!(error.fault, Fault::Damaged(_)), "{error}");
    }
}

#[test]
fn a_cancel_ends_the_reading() {
    let studio = Studio::new();
    studio.write("root/large", vec![1; 40 << 20]);
    studio.squash(&["-comp", "gzip"]);
    let iso = studio.master("demo.iso");
    let cancel = Cancel::new();
    let (mut contents, reader) = open_image(&iso, &Watch { cancel: &cancel, tell: &|_| () }).unwrap();
    // Told from within the hashing: the first time it says how far it is, it is stopped.
    let tell = |_| cancel.cancel();
    let watch = Watch { cancel: &cancel, tell: &tell };
    let error = reader.know_all(&mut contents, &watch).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    let error = open_image(&iso, &watch).err().unwrap();
    assert!(error.is_cancelled(), "{error}");
    assert!(contents.files.get(&TreePath::from("large")).is_some());
}
