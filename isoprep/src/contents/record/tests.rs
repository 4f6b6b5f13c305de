//! Records: that they say the same after being read, and that nothing else is taken for one.

use cartridge_treehash::TreeHash;

use super::*;
use crate::contents::model::{BootEntry, Content, Entry, Loader, PackageEntry, PackageManager, RootFormat, RootImage};
use crate::contents::tree_path::TreePath;

fn record() -> BuildRecord {
    let mut contents = ImageContents {
        label: "ARCH".to_owned(),
        uuid: "2026-11-24-00-00-00-00".to_owned(),
        bytes: 77,
        root: Some(RootImage {
            parts: vec!["arch/x86_64/airootfs.sfs".into()],
            format: RootFormat::Squashfs,
            compression: "zstd".to_owned(),
            bytes: 5,
        }),
        package_manager: Some(PackageManager::Pacman),
        unread: vec!["a part".to_owned()],
        ..ImageContents::default()
    };
    let package = PackageEntry { version: "6.11-1".to_owned(), size: Some(9), repository: Some("core".to_owned()) };
    contents.packages.insert("linux".to_owned(), package);
    let content = Content { hash: Some(TreeHash([7; 32])), packed: Some(TreeHash([8; 32])) };
    let kinds = [
        (&b""[..], Kind::Directory),
        (b"a\nb\xff", Kind::File { size: 3, content }),
        (b"b", Kind::Symlink { target: TreePath::new(&b"../\xfe"[..]) }),
        (b"c", Kind::Character(Some((5, 1)))),
        (b"d", Kind::Block(None)),
        (b"e", Kind::Fifo),
        (b"f", Kind::Socket),
        (b"g", Kind::file(0)),
    ];
    for (path, kind) in kinds {
        let attributes = Some([("security.capability".to_owned(), "01".to_owned())].into());
        let entry = Entry { uid: 5, gid: 6, attributes, package: Some("linux".into()), ..Entry::new(kind, 0o4755) };
        contents.files.insert(TreePath::new(path), entry);
    }
    contents.iso_files.insert("x".into(), Entry::new(Kind::file(1), 0o444));
    contents.efi_files.insert("y".into(), Entry::new(Kind::Directory, 0o755));
    contents.boot_entries.push(BootEntry {
        loader: Loader::SystemdBoot,
        file: "loader/entries/a.conf".into(),
        title: "A".to_owned(),
        kernel: Some("/v".to_owned()),
        initrds: vec!["/i".to_owned()],
        options: "quiet".to_owned(),
    });
    let facts = BuildFacts {
        cartridge: "0.1.0".to_owned(),
        name: "demo".to_owned(),
        engine: "archiso".to_owned(),
        way: Some("user namespace".to_owned()),
        recipe: Some("ab".to_owned()),
        tools: [("pacman".to_owned(), "6.0.2".to_owned())].into(),
        stages: vec![StageTime { stage: "iso".to_owned(), reused: false, ms: 12 }],
        source_date_epoch: Some(-1),
        tree_hash: Some("cd".to_owned()),
        repositories: BTreeMap::new(),
    };
    BuildRecord { stamp: Stamp { bytes: 77, inode: 3, modified: (1, 2) }, facts, contents }
}

fn json() -> String {
    String::from_utf8(record().to_bytes().unwrap()).unwrap()
}

#[test]
fn a_record_says_the_same_after_being_read_short_or_long() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("demo.record");
    let mut record = record();
    record.write(&path).unwrap();
    assert!(fs::read(&path).unwrap().starts_with(b"{\"cartridge_record\":1,"));
    assert_eq!(BuildRecord::read(&path).unwrap(), record);
    for number in 0..5000 {
        record.contents.files.insert(TreePath::from(format!("z{number}").as_str()), Entry::new(Kind::Fifo, 0));
    }
    record.write(&path).unwrap();
    assert!(fs::read(&path).unwrap().starts_with(&ZSTD));
    assert_eq!(BuildRecord::read(&path).unwrap(), record);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
}

#[test]
fn what_is_no_record_is_told_apart_from_a_damaged_one() {
    let parse = |text: &str| BuildRecord::parse(text.as_bytes()).unwrap_err();
    for foreign in ["", "{}", "[1]", "MZ", "{\"version\":1}"] {
        assert_eq!(parse(foreign), wire::Misread::Foreign, "{foreign}");
    }
    assert_eq!(parse(&json().replace("{\"cartridge_record\":1", "{\"cartridge_record\":2")), wire::Misread::Later(2));
    assert!(matches!(parse(&json()[..200]), wire::Misread::Damaged(_)));
    let packed = zstd::bulk::compress(json().as_bytes(), 3).unwrap();
    assert!(BuildRecord::parse(&packed).is_ok());
    for cut in [5, packed.len() / 2, packed.len() - 1] {
        assert!(matches!(BuildRecord::parse(&packed[..cut]), Err(wire::Misread::Damaged(_))), "{cut}");
    }
    // Zeros without end.
    let bomb = zstd::stream::encode_all(io::repeat(b' ').take(LARGEST + 10), 3).unwrap();
    assert_eq!(BuildRecord::parse(&bomb).unwrap_err(), wire::Misread::TooLarge);
}

#[test]
fn a_record_that_says_what_cannot_be_is_damaged() {
    let lie = |from: &str, to: &str| {
        let text = json();
        assert!(text.contains(from), "{from} in {text}");
        match BuildRecord::parse(text.replacen(from, to, 1).as_bytes()) {
            Err(wire::Misread::Damaged(why)) => why,
            other => panic!("{from} → {to}: {other:?}"),
        }
    };
    assert!(lie("\"p\":\"b\"", "\"p\":\"../b\"").contains("no path"));
    assert!(lie("\"p\":\"b\"", "\"p\":\"/b\"").contains("no path"));
    assert!(lie("\"p\":\"c\"", "\"p\":\"b\"").contains("out of order"));
    assert!(lie("\"s\":3", "\"s\":18446744073709551615").contains("size"));
    assert!(lie("\"s\":3", "\"s\":-3").contains("invalid value"));
    assert!(lie("\"k\":\"f\"", "\"k\":\"z\"").contains("kind"));
    assert!(lie("\"m\":2541", "\"m\":99999").contains("mode"));
    assert!(lie(&"07".repeat(32), &"07".repeat(31)).contains("hash"));
    assert!(lie(&"07".repeat(32), &"0g".repeat(32)).contains("hash"));
    assert!(lie("\"p\":\"e\"", "\"p\":\"\\\\q\"").contains("escape"));
    assert!(lie("\"inode\":3", "\"inodes\":3").contains("unknown field"));
}

#[test]
fn a_record_is_about_one_file_only() {
    let dir = tempfile::tempdir().unwrap();
    let iso = dir.path().join("demo.iso");
    fs::write(&iso, "x").unwrap();
    let mut record = record();
    assert!(!record.is_about(&iso));
    record.stamp = Stamp::of(&iso).unwrap();
    assert!(!record.is_about(&iso), "the contents have another size");
    record.contents.bytes = 1;
    assert!(record.is_about(&iso));
    File::options().write(true).open(&iso).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert!(!record.is_about(&iso));
    assert_eq!(BuildRecord::beside(&iso), dir.path().join("demo.record"));
}

#[test]
fn other_files_are_refused_without_being_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(BuildRecord::read(&dir.path().join("none")), Err(RecordError::Io { .. })));
    assert!(matches!(BuildRecord::read(dir.path()), Err(RecordError::Foreign { .. })));
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(matches!(BuildRecord::read(&pipe), Err(RecordError::Foreign { .. })));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_taken(bytes: Vec<u8>, at: proptest::sample::Index, byte: u8) {
        let _ = BuildRecord::parse(&bytes);
        let _ = BuildRecord::parse(&[&ZSTD, bytes.as_slice()].concat());
        let mut real = json().into_bytes();
        let at = at.index(real.len());
        real[at] = byte;
        let _ = BuildRecord::parse(&real);
    }
}
