//! Every format of a root image that archiso makes, and what lies in it: found as it was put there.

use std::fs;
use std::path::Path;
use std::process::Command;

use cartridge_supervise::CommandLine;
use isoprep::contents::{Kind, RootFormat, TreePath};

use crate::studio::{Studio, fill, lines, lines_of, open, read, tool};

fn has(program: &str) -> bool {
    Command::new(program).arg("-V").output().is_ok()
}

#[test]
fn squashfs_of_every_compressor_is_read_whole() {
    let studio = Studio::new();
    fill(&studio.at("root"));
    let expected = lines_of(&studio.at("root"));
    for (compressor, more) in [
        ("gzip", &[][..]),
        ("xz", &["-Xbcj", "x86", "-b", "1M"]),
        ("lz4", &["-Xhc"]),
        ("zstd", &["-b", "64K"]),
        ("zstd", &["-no-fragments", "-noI", "-noD"]),
        ("zstd", &["-always-use-fragments", "-no-duplicates"]),
    ] {
        studio.squash(&[&["-comp", compressor], more].concat());
        let found = read(&studio.master("demo.iso"));
        assert_eq!(lines(&found.files), expected, "{compressor} {more:?}");
        let root = found.root.unwrap();
        assert_eq!((root.format, root.parts), (RootFormat::Squashfs, vec!["arch/x86_64/airootfs.sfs".into()]));
        assert!(root.compression.starts_with(compressor), "{}", root.compression);
        assert!(found.files.get(&TreePath::default()).is_some(), "the root itself is there");
    }
}

#[test]
fn owners_devices_and_attributes_are_read() {
    let studio = Studio::new();
    let ping = studio.write("root/usr/bin/ping", "ping");
    studio.write("root/plain", "x");
    let value = b"\x01\x00\x00\x02";
    rustix::fs::setxattr(&ping, "user.test", value, rustix::fs::XattrFlags::empty()).unwrap();
    rustix::fs::setxattr(&ping, "user.long", &[7; 300], rustix::fs::XattrFlags::empty()).unwrap();
    let pseudo = [
        "-p",
        "plain m 640 1234 70000",
        "-p",
        "null c 666 0 0 1 3",
        "-p",
        "sda b 660 0 6 259 1048575",
        "-p",
        "dir d 2775 5 5",
    ];
    studio.squash(&[&["-comp", "zstd"], &pseudo[..]].concat());
    let found = read(&studio.master("demo.iso")).files;
    let of = |path: &str| found.get(&path.into()).unwrap();
    assert_eq!((of("plain").mode, of("plain").uid, of("plain").gid), (0o640, 1234, 70000));
    assert_eq!(of("null").kind, Kind::Character(Some((1, 3))));
    assert_eq!(of("sda").kind, Kind::Block(Some((259, 1_048_575))));
    assert_eq!((of("dir").mode, of("dir").uid), (0o2775, 5));
    let attributes = of("usr/bin/ping").attributes.as_ref().unwrap();
    assert_eq!(attributes["user.test"], "01000002");
    assert_eq!(attributes["user.long"], format!("blake3:{}", blake3::hash(&[7; 300])));
    assert!(of("plain").attributes.as_ref().unwrap().is_empty());
}

#[test]
fn file_capabilities_are_read_where_they_can_be_set() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let studio = Studio::new();
    let ping = studio.write("root/ping", "ping");
    // cap_net_raw+ep, version 2 (linux/capability.h).
    let capability = [&[1, 0, 0, 2, 0, 0x20, 0, 0], &[0; 12][..]].concat();
    rustix::fs::setxattr(&ping, "security.capability", &capability, rustix::fs::XattrFlags::empty()).unwrap();
    studio.squash(&[]);
    let with = studio.master("with.iso");
    rustix::fs::removexattr(&ping, "security.capability").unwrap();
    studio.squash(&[]);
    let found = crate::studio::compare(&with, &studio.master("without.iso")).root;
    let [change] = found.changed.items.as_slice() else { panic!("{found:?}") };
    assert!(!change.content && change.attributes[0].name == "security.capability", "{change:?}");
}

#[test]
fn erofs_is_read_whole_plain_and_compressed() {
    if !has("mkfs.erofs") {
        return;
    }
    let studio = Studio::new();
    fill(&studio.at("root"));
    let expected = lines_of(&studio.at("root"));
    let image = studio.at("iso/arch/x86_64/airootfs.erofs");
    fs::create_dir_all(image.parent().unwrap()).unwrap();
    for (options, compression) in [(&[][..], "not compressed"), (&["-zlz4hc,12", "-C65536"], "lz4")] {
        let line = CommandLine::new("mkfs.erofs").args(["--quiet"]).args(options.iter().copied());
        tool(line.arg(&image).arg(studio.at("root")));
        let found = read(&studio.master("demo.iso"));
        assert_eq!(lines(&found.files), expected, "{options:?}");
        let root = found.root.unwrap();
        assert_eq!((root.format, root.compression.as_str()), (RootFormat::Erofs, compression));
    }
}

#[test]
fn an_ext4_inside_a_squashfs_is_read_whole() {
    let studio = Studio::new();
    fill(&studio.at("root"));
    // A name of a link's target over one block is none of ext4's.
    let expected = lines_of(&studio.at("root"));
    let image = studio.at("packed/airootfs.img");
    fs::create_dir_all(image.parent().unwrap()).unwrap();
    let line = CommandLine::new("mkfs.ext4").args(["-q", "-O", "^has_journal,^resize_inode", "-E"]);
    let line = line.args(["lazy_itable_init=0", "-m", "0", "-F", "-U", "clear", "-d"]).arg(studio.at("root"));
    tool(line.arg(&image).arg("1G").env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap())));
    studio.squash_as("packed", "iso/arch/x86_64/airootfs.sfs", &["-comp", "zstd"]);
    let found = read(&studio.master("demo.iso"));
    let mut listed = lines(&found.files);
    assert!(listed.remove(&b"lost+found"[..]).is_some());
    // mkfs.ext4 -d gives the files to root.
    let owned = |line: &str| line.rsplit_once(' ').unwrap().0.to_owned();
    let plain = |lines: std::collections::BTreeMap<Vec<u8>, String>| {
        lines.into_iter().map(|(path, line)| (path, owned(&line))).collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(plain(listed), plain(expected));
    assert_eq!(found.root.unwrap().format, RootFormat::Ext4InSquashfs);
}

#[test]
fn layers_lie_over_one_another_as_in_an_overlay() {
    let studio = Studio::new();
    studio.write("root/etc/kept", "kept");
    studio.write("root/etc/changed", "old");
    studio.write("root/gone/file", "x");
    studio.write("upper/etc/changed", "new!");
    studio.write("upper/big", vec![1; 100_000]);
    // The repository's layer may be the larger one, and the smallest of all.
    for (root, layer) in [
        ("iso/live/filesystem.squashfs", "iso/live/zz-cartridge.squashfs"),
        ("iso/arch/x86_64/airootfs.sfs", "iso/arch/x86_64/cartridge.sfs"),
    ] {
        studio.squash_as("root", root, &["-comp", "gzip", "-nopad"]);
        studio.squash_as("upper", layer, &["-comp", "gzip", "-noF", "-nopad", "-p", "gone c 0 0 0 0 0"]);
        let found = read(&studio.master("demo.iso"));
        let parts: Vec<_> = found.root.unwrap().parts.iter().map(|part| format!("iso/{part}")).collect();
        assert_eq!(parts, [root, layer]);
        let listed: Vec<_> = found.files.iter().map(|(path, entry)| format!("{path} {}", entry.size())).collect();
        assert_eq!(listed, [" 0", "big 100000", "etc 0", "etc/changed 4", "etc/kept 4"]);
        let Kind::File { content, .. } = found.files.get(&"etc/changed".into()).unwrap().kind else { panic!() };
        assert_eq!(content.hash.unwrap().to_string(), blake3::hash(b"new!").to_hex().to_string());
        fs::remove_dir_all(studio.at("iso")).unwrap();
        studio.write("iso/readme.txt", "hello");
    }
}

#[test]
fn a_compressor_that_is_not_read_is_told_and_the_rest_is_compared() {
    let studio = Studio::new();
    studio.write("root/a", "one");
    studio.squash(&["-comp", "lzo"]);
    studio.write("iso/arch/pkglist.x86_64.txt", "linux 6.11-1\n");
    let one = studio.master("one.iso");
    let (contents, _) = open(&one).unwrap();
    assert!(contents.root.is_none() && contents.unread[0].contains("lzo"), "{:?}", contents.unread);
    assert_eq!(contents.packages["linux"].version, "6.11-1");
    studio.write("root/a", "two");
    studio.squash(&["-comp", "lzo"]);
    let found = crate::studio::compare(&one, &studio.master("two.iso"));
    assert_eq!(found.iso.changed.items.len(), 1, "{found:?}");
    assert_eq!(found.iso.changed.items[0].path, "arch/x86_64/airootfs.sfs".into());
}

#[test]
fn the_iso_tree_has_real_names_modes_links_and_a_date() {
    let studio = Studio::new();
    fill(&studio.at("iso/all"));
    let expected = lines_of(&studio.at("iso"));
    // Hard links and names of other bytes pass; so does what is deeper than ISO 9660 allows without Rock Ridge.
    let found = read(&studio.master("demo.iso"));
    assert_eq!(lines(&found.iso_files), expected);
    assert_eq!((found.label.as_str(), found.uuid.as_str()), ("DEMO", "2023-11-14-22-13-20-00"));
    assert_eq!(found.bytes, fs::metadata(studio.at("demo.iso")).unwrap().len());
    assert!(found.root.is_none() && found.files.is_empty());
}

#[test]
fn an_iso_without_rock_ridge_is_read_too() {
    let studio = Studio::new();
    studio.write("iso/boot/kernel.img", "kernel");
    let iso = studio.at("plain.iso");
    let line = CommandLine::new("xorriso").args(["-no_rc", "-as", "mkisofs", "--norock", "-o"]).arg(&iso);
    tool(line.arg(studio.at("iso")));
    let found = read(&iso).iso_files;
    let names: Vec<_> = found.iter().map(|(path, entry)| format!("{path} {:o}", entry.mode)).collect();
    assert_eq!(names, [" 555", "BOOT 555", "BOOT/KERNEL.IMG 444", "README.TXT 444"]);
}

#[test]
fn the_packages_of_pacman_and_of_dpkg_are_found_with_what_they_own() {
    let studio = Studio::new();
    let local = "root/var/lib/pacman/local";
    studio.write(&format!("{local}/tool-1:2.0-3/desc"), "%NAME%\ntool\n\n%VERSION%\n1:2.0-3\n\n%SIZE%\n12\n");
    studio.write(&format!("{local}/tool-1:2.0-3/files"), "%FILES%\nusr/\nusr/bin/\nusr/bin/tool\n");
    studio.write("root/usr/bin/tool", "tool");
    studio.squash(&[]);
    let found = read(&studio.master("demo.iso"));
    assert_eq!((found.packages["tool"].version.as_str(), found.packages["tool"].size), ("1:2.0-3", Some(12)));
    let owner = |path: &str| found.files.get(&path.into()).unwrap().package.as_deref().map(str::to_owned);
    assert_eq!((owner("usr/bin/tool").as_deref(), owner("usr/bin")), (Some("tool"), None));
    // This very machine's list, if it has one.
    if Path::new("/var/lib/dpkg/status").exists() {
        let studio = Studio::new();
        studio.write("root/var/lib/dpkg/status", fs::read("/var/lib/dpkg/status").unwrap());
        studio.squash(&[]);
        let found = read(&studio.master("demo.iso"));
        let told =
            tool(CommandLine::new("dpkg-query").args(["-W", "-f", "${db:Status-Status} ${Package} ${Version}\n"]));
        let told = String::from_utf8(told).unwrap();
        let installed: std::collections::BTreeMap<_, _> = told
            .lines()
            .filter_map(|line| line.strip_prefix("installed ")?.split_once(' '))
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .collect();
        let listed = found.packages.into_iter().map(|(name, package)| (name, package.version)).collect();
        assert_eq!(installed, listed);
    }
}
