//! Records beside real images: used where they are true, and the image read where they are not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use isoprep::Cancel;
use isoprep::contents::{
    BuildFacts, BuildRecord, Content, ImageContents, Kind, RecordError, Side, TreeName, Watch, leave_record,
};

use crate::studio::{Studio, compare, fill, read};

fn leave(iso: &Path) -> BuildRecord {
    let cancel = Cancel::new();
    let repositories = BTreeMap::from([("tool".to_owned(), "extra".to_owned())]);
    let facts =
        BuildFacts { name: "demo".to_owned(), engine: "archiso".to_owned(), repositories, ..Default::default() };
    leave_record(iso, facts, &Watch { cancel: &cancel, tell: &|_| () }).unwrap_or_else(|e| panic!("{e}"))
}

fn load(path: &Path) -> Result<Side, RecordError> {
    let cancel = Cancel::new();
    Side::load(path, &Watch { cancel: &cancel, tell: &|_| () })
}

/// An image with a record.
fn recorded() -> (Studio, std::path::PathBuf) {
    let studio = Studio::new();
    fill(&studio.at("root"));
    let desc = "%NAME%\ntool\n\n%VERSION%\n1-1\n";
    studio.write("root/var/lib/pacman/local/tool-1-1/desc", desc);
    studio.squash(&["-comp", "zstd"]);
    let iso = studio.master("demo.iso");
    leave(&iso);
    (studio, iso)
}

/// The contents without what is known of packed content.
fn plain(mut contents: ImageContents) -> ImageContents {
    let bare = |(path, mut entry): (_, isoprep::contents::Entry)| {
        if let Kind::File { content, .. } = &mut entry.kind {
            *content = Content { packed: None, ..*content };
        }
        (path, entry)
    };
    contents.files = contents.files.into_iter().map(bare).collect();
    contents
}

#[test]
fn a_record_has_what_the_image_has_and_is_read_instead_of_it() {
    let (studio, iso) = recorded();
    let mut found = read(&iso);
    let record = BuildRecord::read(&studio.at("demo.record")).unwrap();
    assert_eq!(record.contents.packages["tool"].repository.as_deref(), Some("extra"));
    found.packages.get_mut("tool").unwrap().repository = Some("extra".to_owned());
    assert_eq!(plain(record.contents.clone()), plain(found));
    let side = load(&iso).unwrap();
    assert_eq!(side.facts.unwrap().engine, "archiso");
    assert!(side.notice.is_none());
    // Everything but what is in the root image is hashed.
    for tree in TreeName::ALL {
        for (path, entry) in side.contents.tree(tree).iter() {
            let Kind::File { content, .. } = entry.kind else { continue };
            let part = tree == TreeName::Iso && side.contents.is_root_part(path);
            assert_eq!(content.hash.is_some(), !part, "{path}");
        }
    }
}

#[test]
fn a_record_alone_stands_for_its_image() {
    let (studio, iso) = recorded();
    let old = studio.at("old.record");
    fs::copy(studio.at("demo.record"), &old).unwrap();
    studio.write("root/usr/bin/large", vec![3; 700_001]);
    studio.squash(&["-comp", "gzip"]);
    studio.master("demo.iso");
    let found = compare(&old, &iso);
    let changed: Vec<_> = found.root.changed.items.iter().map(|it| it.path.to_string()).collect();
    assert_eq!(changed, ["usr/bin/hard", "usr/bin/large"]);
    assert_eq!(found.undecided(), 0);
    // Not called like a record: known by its beginning.
    let other = studio.at("other");
    fs::copy(&old, &other).unwrap();
    assert!(compare(&other, &old).is_empty());
}

#[test]
fn a_record_that_is_not_true_to_the_image_is_not_used() {
    let (studio, iso) = recorded();
    let record = studio.at("demo.record");
    let good = fs::read(&record).unwrap();
    let expect = |word: &str| {
        let side = load(&iso).unwrap_or_else(|e| panic!("{e}"));
        let notice = side.notice.unwrap_or_default();
        assert!(notice.contains(word) && notice.contains("ISO itself"), "{word}: {notice}");
        assert!(side.facts.is_none());
        assert_eq!(side.contents.files.len(), read(&iso).files.len());
    };
    fs::write(&record, &good[..good.len() / 2]).unwrap();
    expect("damaged");
    fs::write(&record, "something else").unwrap();
    expect("no record");
    // It was written about a file of the same size, which has another content now.
    fs::write(&record, &good).unwrap();
    assert!(load(&iso).unwrap().notice.is_none());
    let bytes = fs::read(&iso).unwrap();
    fs::remove_file(&iso).unwrap();
    fs::write(&iso, &bytes).unwrap();
    expect("another image");
    // It lies about itself, in every other way than its stamp.
    let side = leave(&iso);
    let mut lie = side.clone();
    lie.contents.bytes += 1;
    lie.stamp.bytes += 1;
    lie.write(&record).unwrap();
    expect("another image");
    // And alone it is an error.
    fs::write(&record, &good[..good.len() / 2]).unwrap();
    assert!(matches!(load(&record), Err(RecordError::Damaged { .. })));
}

#[test]
fn the_record_of_the_build_before_is_kept_and_its_hashes_are_used() {
    let (studio, iso) = recorded();
    let first = BuildRecord::read(&studio.at("demo.record")).unwrap();
    // A hash that only a record can know: if it is found in the next one, the file was not unpacked.
    let mut marked = first.clone();
    let forged = cartridge_treehash::TreeHash([0xaa; 32]);
    let mark = |contents: &mut ImageContents, path: &str| {
        let entry = contents.files.get_mut(&path.into()).unwrap();
        let Kind::File { content, .. } = &mut entry.kind else { panic!() };
        assert!(content.packed.is_some(), "{path} has blocks of its own");
        content.hash = Some(forged);
    };
    mark(&mut marked.contents, "usr/bin/large");
    mark(&mut marked.contents, "usr/lib/zeros");
    marked.write(&studio.at("demo.record")).unwrap();
    studio.write("root/usr/lib/zeros", vec![1; 400_000]);
    studio.squash(&["-comp", "zstd"]);
    studio.master("demo.iso");
    let second = leave(&iso);
    let hash = |path: &str| match second.contents.files.get(&path.into()).unwrap().kind {
        Kind::File { content, .. } => content.hash.unwrap(),
        _ => panic!(),
    };
    assert_eq!(hash("usr/bin/large"), forged);
    assert_eq!(hash("usr/lib/zeros").to_string(), blake3::hash(&vec![1; 400_000]).to_string());
    let before = BuildRecord::read(&BuildRecord::of_the_build_before(&iso)).unwrap();
    assert_eq!(before, marked);
    // Written again about the same image: nothing is moved.
    leave(&iso);
    assert_eq!(BuildRecord::read(&BuildRecord::of_the_build_before(&iso)).unwrap(), marked);
}
