//! A root that is there already, as a folder and as a tarball; and roots that are none.

use std::fs;
use std::path::{Path, PathBuf};

use cartridge_supervise::{CommandLine, run};
use isoprep::{BuildError, Cancel};

use crate::arch::{Firmware, Medium};
use crate::bench::{Bench, as_root, base};
use crate::boots::whole;
use crate::facts::boot;

/// Takes what a guest does not need out of the base's root, so that it packs quickly, and makes a tarball of it.
const UNPACK: &str = r#"unsquashfs -no-progress -quiet -dest "$2" "$1" >/dev/null
cd "$2"
rm -rf usr/lib/modules/*/kernel/{drivers,net,sound} usr/share/{doc,man,locale,zoneinfo,perl*,i18n} usr/lib/x86_64-linux-gnu/{gconv,perl*}
echo demo >etc/hostname
tar --zstd -cf "$3" .
"#;

struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("tree of mine").tempdir_in(crate::bench::place()).unwrap();
        let tree = Self { dir };
        as_root(tree.dir.path(), UNPACK, &[&base(), &tree.folder(), &tree.tarball()]);
        tree
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn tarball(&self) -> PathBuf {
        self.dir.path().join("root.tar.zst")
    }

    /// Everything about every file that a change would change.
    fn looks(&self) -> String {
        let script = r#"cd "$1" && find . -printf '%y %m %U %G %s %T@ %C@ %i %p %l\n' | sort | sha256sum"#;
        as_root(self.dir.path(), script, &[&self.folder()])
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = isoprep::reclaim(self.dir.path(), &Cancel::new());
    }
}

/// A bench whose cache lies beside the root.
fn with_base(base: &Path, more: &str) -> Bench {
    let mut bench = Bench::without_base("tree", &format!("base = {:?}\n{more}", base.to_str().unwrap()));
    bench.request.cache = base.parent().unwrap().join("cache");
    bench
}

#[test]
fn a_folder_and_a_tarball_become_the_same_image_and_it_runs() {
    let tree = Tree::new();
    let looks = tree.looks();
    let (folder, tarball) = (with_base(&tree.folder(), ""), with_base(&tree.tarball(), ""));
    let (one, two) = (folder.build(), tarball.build());
    assert_eq!(tree.looks(), looks, "the folder was written to");
    assert!(fs::read(&one.iso).unwrap() == fs::read(&two.iso).unwrap(), "they differ");
    assert_eq!(folder.redone(), [] as [&str; 0]);
    assert_eq!(tarball.redone(), [] as [&str; 0]);
    // One file of the root is another root.
    as_root(tree.dir.path(), r#"echo changed >"$1/etc/motd""#, &[&tree.folder()]);
    assert_eq!(folder.redone(), ["packages", "inject", "squash", "bootloader", "iso"]);
    let booted = boot(&two.iso, (Firmware::Bios, Medium::Usb), true);
    whole(&booted, &two);
}

#[test]
fn a_release_has_everything_in_its_root_and_nothing_of_ours() {
    let tree = Tree::new();
    let release = with_base(&tree.tarball(), "build = \"release\"");
    let image = release.build();
    let booted = boot(&image.iso, (Firmware::Uefi, Medium::Cd), false);
    whole(&booted, &image);
    let told = &booted.report;
    assert!(!told.fact("root").contains("zz-cartridge"), "{}", told.fact("root"));
    assert_eq!((told.fact("report"), told.fact("logins")), ("", "0"), "{}", booted.serial);
    assert!(!told.fact("cmdline").contains("ttyS0"));
}

/// The words of the refusal of a root.
fn refusal(base: &Path) -> String {
    match with_base(base, "").fails() {
        error @ BuildError::Refused { .. } => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_root_of_a_live_system_is_refused_with_what_is_missing() {
    let dir = tempfile::Builder::new().prefix("no trees").tempdir_in(crate::bench::place()).unwrap();
    let at = |name: &str| dir.path().join(name);
    for folder in ["empty", "nested/rootfs/usr", "plain/usr", "kernel/usr", "kernel/boot", "ours"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    let says = |base: &str, words: &[&str]| {
        let text = refusal(&at(base));
        for word in words {
            assert!(text.contains(word), "{base}: {text}");
        }
    };
    says("none", &["there is no", "none"]);
    says("empty", &["no root file system", "nothing at all"]);
    says("nested", &["but rootfs"]);
    says("plain", &["no kernel", "nothing of the kind", "initrd.img-<release>"]);
    fs::write(at("kernel/boot/vmlinuz-6.1"), "MZ").unwrap();
    says("kernel", &["there is /boot/vmlinuz-6.1"]);
    // An initramfs that is one, and knows no live system.
    let script = r#"cd "$1" && mkdir scripts && : >scripts/local && echo scripts/local | cpio -o -H newc --quiet | gzip >boot/initrd.img-6.1"#;
    as_root(dir.path(), script, &[&at("kernel")]);
    says("kernel", &["/boot/initrd.img-6.1", "neither live-boot nor archiso's hook", "Install live-boot"]);
    fs::write(at("kernel/boot/initrd.img-6.1"), "\x1f\u{8b}rubbish").unwrap();
    says("kernel", &["/boot/initrd.img-6.1"]);

    let ours = with_base(&at("ours"), "");
    let mut request = ours.request.clone();
    request.work = at("ours/work");
    fs::create_dir(&request.work).unwrap();
    let error = isoprep::build(&request, &Cancel::new(), &|_| ()).unwrap_err().to_string();
    assert!(error.contains("where this build writes"), "{error}");
}

#[test]
fn a_boot_loader_of_the_host_that_changed_is_on_the_disc() {
    let dir = tempfile::Builder::new().prefix("loaders").tempdir_in(crate::bench::place()).unwrap();
    let at = |name: &str| dir.path().join(name);
    for folder in ["root/usr", "root/boot", "root/scripts"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    fs::write(at("root/boot/vmlinuz-6.1"), "MZ").unwrap();
    let script =
        r#"cd "$1" && : >scripts/live && echo scripts/live | cpio -o -H newc --quiet | gzip >boot/initrd.img-6.1"#;
    as_root(dir.path(), script, &[&at("root")]);
    let mut bench = with_base(&at("root"), "");
    let isoprep::Host::Distribution(tools) = &mut bench.request.host else { panic!("another host") };
    let loaders = tools.loaders.as_mut().unwrap();
    let mut own = Vec::new();
    for (part, stages) in [
        (&mut loaders.isolinux, vec!["iso"]),
        (&mut loaders.isohdpfx, vec!["iso"]),
        (&mut loaders.ldlinux, vec!["iso"]),
        (&mut loaders.systemd_boot, vec!["bootloader", "iso"]),
    ] {
        let copy = at(part.file_name().unwrap().to_str().unwrap());
        fs::copy(&*part, &copy).unwrap();
        *part = copy.clone();
        own.push((copy, stages));
    }
    bench.build();
    assert_eq!(bench.redone(), [] as [&str; 0]);
    for (file, stages) in own {
        let mut bytes = fs::read(&file).unwrap();
        // In the middle of a master boot record is code; what is behind it may be checked.
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert_eq!(bench.redone(), stages, "{}", file.display());
        assert_eq!(bench.redone(), [] as [&str; 0]);
    }
}

#[test]
fn a_tarball_cannot_reach_out_of_its_root() {
    let dir = tempfile::Builder::new().prefix("tarballs").tempdir_in(crate::bench::place()).unwrap();
    let at = |name: &str| dir.path().join(name);
    let tar = |words: &[&str]| {
        let line = CommandLine::new("tar").args(words.iter().copied()).cwd(dir.path());
        run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    };
    fs::create_dir_all(at("in/usr")).unwrap();
    fs::write(at("evil"), "evil").unwrap();
    fs::write(at("in/usr/big"), vec![7; 1 << 20]).unwrap();
    // Names that lead out.
    tar(&["-cPf", "up.tar", "--transform=s,^evil,../../escaped,", "in/usr", "evil"]);
    let text = refusal(&at("up.tar"));
    assert!(text.contains("cannot be unpacked") && text.contains(".."), "{text}");
    // A link that leads out, and a file behind it.
    let outside = at("outside");
    fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, at("in/door")).unwrap();
    tar(&["-cPf", "link.tar", "-C", "in", "usr", "door"]);
    tar(&["-rPf", "link.tar", "--transform=s,^evil,door/escaped,", "evil"]);
    let _ = with_base(&at("link.tar"), "").fails();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(!dir.path().parent().unwrap().join("escaped").exists() && !at("escaped").exists());
    // One that ends too early, and one that is none.
    tar(&["-czf", "whole.tar.gz", "-C", "in", "usr"]);
    let bytes = fs::read(at("whole.tar.gz")).unwrap();
    fs::write(at("cut.tar.gz"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(at("none.tar"), "this is no tarball").unwrap();
    for (name, advice) in [("cut.tar.gz", "tar --list --file"), ("none.tar", "tar --list --file")] {
        let text = refusal(&at(name));
        assert!(text.contains("cannot be unpacked") && text.contains(advice), "{text}");
    }
}
