//! What is shown is exactly this, on lines of its own, whatever an image calls its files.

use super::*;
use crate::contents::difference::difference;
use crate::contents::model::{
    BootEntry, Content, Entry, ImageContents, Kind, Loader, PackageEntry, PackageManager, RootFormat,
};
use crate::contents::tree_path::TreePath;

fn image(newer: bool) -> ImageContents {
    let pick = |old: &'static str, new: &'static str| if newer { new } else { old };
    let packages =
        [("linux", pick("6.11-1", "6.12-1")), ("vim", pick("9.1-2", "9.1-1")), (pick("nano", "htop"), "1-1")];
    let package = |version: &str| PackageEntry { version: version.to_owned(), size: Some(5 << 20), repository: None };
    let options = pick("quiet label=OLD", "label=NEW copytoram");
    let mut contents = ImageContents {
        label: pick("OLD", "NEW").to_owned(),
        bytes: if newer { 615 << 20 } else { 612 << 20 },
        package_manager: Some(PackageManager::Pacman),
        packages: packages.into_iter().map(|(name, version)| (name.to_owned(), package(version))).collect(),
        root: Some(RootImage {
            parts: vec!["a.sfs".into()],
            format: RootFormat::Squashfs,
            compression: pick("xz", "zstd").to_owned(),
            bytes: 1,
        }),
        boot_entries: vec![BootEntry {
            loader: Loader::SystemdBoot,
            file: "loader/entries/01.conf".into(),
            title: pick("Demo", "Demo \x1b[2J").to_owned(),
            kernel: Some("/vmlinuz".to_owned()),
            initrds: Vec::new(),
            options: options.to_owned(),
        }],
        ..ImageContents::default()
    };
    let mut add = |path: &[u8], entry: Entry| drop(contents.files.insert(TreePath::new(path), entry));
    let file = |size, byte| {
        let hash = Some(cartridge_treehash::TreeHash([byte; 32]));
        Kind::File { size, content: Content { hash, packed: None } }
    };
    add(b"etc/motd", Entry::new(file(9, u8::from(newer)), if newer { 0o600 } else { 0o644 }));
    add(b"etc/link", Entry::new(Kind::Symlink { target: pick("a", "b\nc").into() }, 0o777));
    add(
        b"usr/bin/tool",
        Entry { package: Some("linux".into()), ..Entry::new(file(if newer { 5000 } else { 12 }, 1), 0o755) },
    );
    add(b"usr/share/unknown", Entry::new(Kind::file(7), 0o644));
    if newer {
        add(b"root/evil\n  D /etc/shadow\xff\x1b[2J", Entry::new(file(3, 3), 0o644));
    } else {
        add(b"gone", Entry::new(Kind::Directory, 0o755));
    }
    contents
}

const NAMES: Change<&str> = Change { from: "a.iso", to: "b.iso" };

#[test]
fn text_is_like_this() {
    let found = difference(&image(false), &image(true));
    let shown = text(&found, &NAMES, Style { colour: false, most: 20 });
    insta::assert_snapshot!("text", shown);
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    let coloured = text(&found, &NAMES, Style { colour: true, most: 20 });
    let plain = coloured.split("\x1b[").map(|part| {
        part.split_once('m').map_or(
            part,
            |(code, rest)| {
                if code.bytes().all(|b| b.is_ascii_digit()) { rest } else { part }
            },
        )
    });
    assert_eq!(plain.collect::<String>(), shown);
}

#[test]
fn long_lists_are_cut_and_counted() {
    let found = difference(&image(false), &image(true));
    let shown = text(&found, &NAMES, Style { colour: false, most: 1 });
    assert!(shown.contains("… and 2 more"), "{shown}");
}

#[test]
fn one_sentence_says_it() {
    let (old, new) = (image(false), image(true));
    let told = sentence(&difference(&old, &new));
    let expected = "1 package newer, 1 package older, 1 package added, 1 package removed, 3 files changed, 1 file added, \
                    1 file removed, 1 boot entry changed, root image packed otherwise, another label, \
                    1 file not compared, image +3.0 MiB";
    assert_eq!(told, expected);
    assert_eq!(sentence(&Difference::default()), "nothing changed");
    let smaller = Difference { bytes: Change { from: 2048, to: 1024 }, ..Difference::default() };
    assert_eq!(sentence(&smaller), "nothing changed, image -1.0 KiB");
}

#[test]
fn json_has_its_version_and_says_whether_they_are_the_same() {
    let found = json(&difference(&image(false), &image(true)), &NAMES).unwrap();
    assert_eq!((&found["version"], &found["same"]), (&1.into(), &false.into()));
    assert_eq!(found["packages"]["changed"]["items"][0]["direction"], "newer");
    assert_eq!(found["root"]["changed"]["items"][1]["mode"], serde_json::json!({ "from": 0o644, "to": 0o600 }));
    assert_eq!(found["root"]["added"]["items"][0]["path"], "root/evil\\n  D /etc/shadow\\xff\\x1b[2J");
    assert_eq!(json(&Difference::default(), &NAMES).unwrap()["same"], true);
}

#[test]
fn sizes_have_units() {
    let shown = [0, 1023, 1024, 1 << 20, (1 << 30) - 1, 5 << 30].map(size);
    assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1024.0 MiB", "5.00 GiB"]);
}
