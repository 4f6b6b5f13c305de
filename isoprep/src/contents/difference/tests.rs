//! What every difference obeys, and the corners of it.

use cartridge_treehash::TreeHash;
use proptest::prelude::*;

use super::*;
use crate::contents::model::{BootEntry, Content, Entry, Kind, Loader, PackageEntry, PackageManager, RootFormat, Tree};
use crate::contents::tree_path::TreePath;

fn file(size: u64, hash: Option<u8>) -> Kind {
    Kind::File { size, content: Content { hash: hash.map(|byte| TreeHash([byte; 32])), packed: None } }
}

fn entry() -> impl Strategy<Value = Entry> {
    let target = prop_oneof![Just("a"), Just("b/c")].prop_map(|target| Kind::Symlink { target: target.into() });
    let kind = prop_oneof![
        Just(Kind::Directory),
        (0..4_u64, proptest::option::of(0..3_u8)).prop_map(|(size, hash)| file(size, hash)),
        target,
        proptest::option::of((0..2_u32, 0..2_u32)).prop_map(Kind::Character),
        Just(Kind::Fifo),
    ];
    let attributes = proptest::option::of(proptest::collection::btree_map("user.[ab]", "0[01]", 0..3));
    let package = proptest::option::of(prop_oneof![Just("bash"), Just("zlib")]);
    (kind, 0o644..0o647_u32, 0..2_u32, attributes, package).prop_map(|(kind, mode, uid, attributes, package)| Entry {
        uid,
        attributes,
        package: package.map(Into::into),
        ..Entry::new(kind, mode)
    })
}

fn tree() -> impl Strategy<Value = Tree> {
    let path = "(usr/|etc/)?[a-c](/[a-c])?".prop_map(|path| TreePath::from(path.as_str()));
    proptest::collection::vec((path, entry()), 0..12).prop_map(Tree::from_iter)
}

fn boot_entry() -> impl Strategy<Value = BootEntry> {
    let loader = prop_oneof![Just(Loader::Syslinux), Just(Loader::SystemdBoot)];
    let options =
        proptest::collection::vec(prop_oneof![Just("quiet"), Just("x=1"), Just("l=ONE"), Just("l=TWO")], 0..4);
    (loader, "[ab]", "[AB]", proptest::option::of("/[kv]".boxed()), options).prop_map(
        |(loader, file, title, kernel, options)| BootEntry {
            loader,
            file: file.as_str().into(),
            title,
            kernel,
            initrds: vec!["/i".to_owned()],
            options: options.join(" "),
        },
    )
}

fn contents() -> impl Strategy<Value = ImageContents> {
    let version = "[0-2](\\.[0-2])?(-[12])?";
    let packages = proptest::collection::btree_map("[a-d]", version, 0..4);
    let manager = prop_oneof![Just(None), Just(Some(PackageManager::Pacman)), Just(Some(PackageManager::Dpkg))];
    let root = proptest::option::of(prop_oneof![Just("zstd"), Just("xz")]);
    let boot = proptest::collection::vec(boot_entry(), 0..5);
    let label = prop_oneof![Just("ONE"), Just("TWO"), Just("")];
    ((label, 0..3_u64, root, manager), packages, tree(), tree(), boot).prop_map(
        |((label, bytes, root, package_manager), packages, files, iso_files, boot_entries)| ImageContents {
            label: label.to_owned(),
            bytes,
            root: root.map(|compression| RootImage {
                parts: vec!["a".into()],
                format: RootFormat::Squashfs,
                compression: compression.to_owned(),
                bytes,
            }),
            package_manager,
            packages: packages
                .into_iter()
                .map(|(name, version)| (name, PackageEntry { version, ..PackageEntry::default() }))
                .collect(),
            files,
            iso_files,
            boot_entries,
            ..ImageContents::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_image_does_not_differ_from_itself(one in contents()) {
        let found = difference(&one, &one);
        prop_assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn turning_the_images_round_turns_the_difference_round(one in contents(), two in contents()) {
        let (there, back) = (difference(&one, &two), difference(&two, &one));
        let sort = |mut it: Difference| {
            // Changed entries stand in the order of the first image.
            it.boot.changed.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
            it
        };
        prop_assert_eq!(sort(there.clone().reversed()), sort(back.clone()));
        prop_assert_eq!(there.is_empty(), back.is_empty());
        prop_assert_eq!(there.root.added.total, back.root.removed.total);
    }

    #[test]
    fn sums_add_up(one in contents(), two in contents()) {
        let found = difference(&one, &two).root;
        let sums = found.folders.values();
        let (mut counts, mut growth) = ([0; 3], 0);
        for sum in sums {
            counts = [counts[0] + sum.added, counts[1] + sum.removed, counts[2] + sum.changed];
            growth += sum.growth;
        }
        prop_assert_eq!(counts, [found.added.total, found.removed.total, found.changed.total]);
        let whole = i64::try_from(found.bytes.to).unwrap() - i64::try_from(found.bytes.from).unwrap();
        prop_assert_eq!(growth, whole);
    }

    #[test]
    fn what_is_undecided_is_what_settling_would_read(one in contents(), two in contents()) {
        let found = difference(&one, &two).root;
        let wanted = undecided(&one.files, &two.files, |_| false);
        prop_assert_eq!(found.undecided.items, wanted);
    }
}

fn root(entries: &[(&str, Entry)]) -> ImageContents {
    let files = entries.iter().map(|(path, entry)| (TreePath::from(*path), entry.clone())).collect();
    ImageContents { files, ..ImageContents::default() }
}

#[test]
fn everything_that_can_change_in_a_file_is_told() {
    let owned = |uid, gid, mode, kind| Entry { uid, gid, ..Entry::new(kind, mode) };
    let with = |attributes: &[(&str, &str)], kind| Entry {
        attributes: Some(attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()),
        ..Entry::new(kind, 0o755)
    };
    let one = root(&[
        ("etc/a", owned(0, 0, 0o644, file(5, Some(1)))),
        ("etc/b", owned(0, 0, 0o644, file(5, Some(1)))),
        ("etc/c", owned(0, 0, 0o777, Kind::Symlink { target: "x".into() })),
        ("etc/d", owned(0, 0, 0o644, file(5, Some(1)))),
        ("usr/bin/ping", with(&[("security.capability", "01")], file(9, Some(4)))),
        ("usr/lib/same", owned(0, 0, 0o644, file(5, None))),
    ]);
    let two = root(&[
        ("etc/a", owned(0, 7, 0o600, file(8, None))),
        ("etc/b", owned(0, 0, 0o644, file(5, Some(2)))),
        ("etc/c", owned(0, 0, 0o755, Kind::Symlink { target: "y".into() })),
        ("etc/d", owned(0, 0, 0o755, Kind::Directory)),
        ("usr/bin/ping", with(&[], file(9, Some(4)))),
        ("usr/lib/same", owned(0, 0, 0o644, file(5, None))),
    ]);
    let found = difference(&one, &two).root;
    let [a, b, c, d, ping] = found.changed.items.as_slice() else { panic!("{:#?}", found.changed) };
    assert_eq!((a.size, a.content), (Change::of(5, 8), true));
    assert_eq!((a.mode, a.owner), (Change::of(0o644, 0o600), Change::of((0, 0), (0, 7))));
    assert_eq!((b.size, b.content, b.mode), (None, true, None));
    assert_eq!((c.target.clone(), c.mode), (Change::of("x".into(), "y".into()), None), "a link's bits do not count");
    assert_eq!(d.kind, Change::of("file", "directory"));
    assert!(!ping.content && ping.attributes.len() == 1 && ping.attributes[0].value.to.is_none());
    assert_eq!(found.undecided.items, ["usr/lib/same".into()]);
    let folders: Vec<_> = found.folders.iter().map(|(path, sum)| format!("{path} {}", sum.growth)).collect();
    assert_eq!(folders, ["etc -2", "usr/bin 0"]);
}

#[test]
fn lists_end_and_the_rest_is_counted() {
    let many = MOST_LISTED + 7;
    let files = (0..many)
        .map(|number| (TreePath::from(format!("d/{number:06}").as_str()), Entry::new(file(1, Some(1)), 0o644)));
    let two = ImageContents { files: files.collect(), ..ImageContents::default() };
    let found = difference(&ImageContents::default(), &two).root;
    assert_eq!((found.added.items.len(), found.added.unlisted()), (MOST_LISTED, 7));
    assert_eq!(found.folders[&TreePath::from("d")].added, many as u64);
}

#[test]
fn what_is_in_the_root_image_is_compared_and_not_the_file() {
    let image = |hash| {
        let mut contents = ImageContents::default();
        let parts = vec!["arch/airootfs.sfs".into()];
        contents.root =
            Some(RootImage { parts, format: RootFormat::Squashfs, compression: "xz".to_owned(), bytes: 10 });
        for path in ["arch/airootfs.sfs", "arch/airootfs.sha512"] {
            contents.iso_files.insert(path.into(), Entry::new(file(10, Some(hash)), 0o644));
        }
        contents
    };
    let found = difference(&image(1), &image(2));
    assert_eq!(found.iso.changed.total, 1);
    assert_eq!(found.iso.changed.items[0].path, "arch/airootfs.sha512".into());
    assert!(found.root_image.is_none());
}

#[test]
fn words_of_the_command_line_are_compared_but_not_the_images_own_names() {
    let image = |label: &str, uuid: &str, options: &str| ImageContents {
        label: label.to_owned(),
        uuid: uuid.to_owned(),
        boot_entries: vec![BootEntry {
            loader: Loader::Grub,
            file: "boot/grub/grub.cfg".into(),
            title: "Arch".to_owned(),
            kernel: Some("/vmlinuz".to_owned()),
            initrds: Vec::new(),
            options: options.to_owned(),
        }],
        ..ImageContents::default()
    };
    let one = image("ARCH_1", "2026-01", "archisosearchuuid=2026-01 l=ARCH_1 quiet quiet console=tty0");
    let two = image("ARCH_2", "2026-02", "archisosearchuuid=2026-02 l=ARCH_2 quiet console=ttyS0 copytoram");
    let found = difference(&one, &two);
    assert!(found.label.is_some());
    let [change] = found.boot.changed.as_slice() else { panic!("{:?}", found.boot) };
    assert_eq!(change.words.from, ["quiet", "console=tty0"]);
    assert_eq!(change.words.to, ["console=ttyS0", "copytoram"]);
    assert!(!change.reordered);
    let turned = image("ARCH_1", "2026-01", "l=ARCH_1 archisosearchuuid=2026-01 quiet quiet console=tty0");
    assert!(difference(&one, &turned).boot.changed[0].reordered);
}

#[test]
fn a_renamed_entry_is_a_changed_one_and_not_two() {
    let entry = |file: &str, title: &str| BootEntry {
        loader: Loader::SystemdBoot,
        file: file.into(),
        title: title.to_owned(),
        kernel: None,
        initrds: Vec::new(),
        options: String::new(),
    };
    let one = ImageContents { boot_entries: vec![entry("a", "Old"), entry("b", "Gone")], ..Default::default() };
    let two = ImageContents { boot_entries: vec![entry("a", "New"), entry("c", "Came")], ..Default::default() };
    let found = difference(&one, &two).boot;
    assert_eq!(found.changed.len(), 1);
    assert_eq!(found.changed[0].title, Change { from: "Old".to_owned(), to: "New".to_owned() });
    assert_eq!((found.removed[0].title.as_str(), found.added[0].title.as_str()), ("Gone", "Came"));
}

#[test]
fn versions_are_judged_only_by_one_package_manager() {
    let image = |manager, list: &[(&str, &str)]| ImageContents {
        package_manager: Some(manager),
        packages: list
            .iter()
            .map(|(name, version)| {
                ((*name).to_owned(), PackageEntry { version: (*version).to_owned(), ..PackageEntry::default() })
            })
            .collect(),
        ..ImageContents::default()
    };
    let one = image(PackageManager::Pacman, &[("a", "1.9-1"), ("b", "2-1"), ("c", "1-1"), ("e", "1.0")]);
    let two = image(PackageManager::Pacman, &[("a", "1.10-1"), ("b", "1-1"), ("d", "1-1"), ("e", "1.00")]);
    let found = difference(&one, &two).packages;
    let directions: Vec<_> = found.changed.items.iter().map(|it| it.direction).collect();
    assert_eq!(directions, [Direction::Newer, Direction::Older, Direction::Other]);
    assert_eq!((found.newer, found.older, found.count), (1, 1, Change { from: 4, to: 4 }));
    assert_eq!((found.removed.items[0].name.as_str(), found.added.items[0].name.as_str()), ("c", "d"));
    let other = image(PackageManager::Dpkg, &[("a", "1.10-1")]);
    assert_eq!(difference(&one, &other).packages.changed.items[0].direction, Direction::Other);
}
