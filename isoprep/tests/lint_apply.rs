//! Edits are done whole or not at all, only to the text that they were made for, and nowhere but in the repository.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use isoprep::lint::{ApplyError, Edit, apply};

fn repository() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap().join("re po\n");
    fs::create_dir_all(root.join("configs")).unwrap();
    (dir, root)
}

fn replace(file: &str, line: usize, old: &str, new: &str) -> Edit {
    Edit::ReplaceLine { file: file.into(), line, old: old.into(), new: new.into() }
}

fn insert(line: usize, above: &str, text: &str) -> Edit {
    Edit::InsertLine { file: "list".into(), line, above: above.into(), text: text.into() }
}

fn remove(line: usize, old: &str) -> Edit {
    Edit::RemoveLine { file: "list".into(), line, old: old.into() }
}

#[test]
fn lines_are_replaced_inserted_and_removed_and_ends_and_modes_stay() {
    let (_dir, root) = repository();
    let file = root.join("list");
    for (before, edit, after) in [
        ("a\nb\nc\n", replace("list", 2, "b", "x"), "a\nx\nc\n"),
        ("a\r\nb\r\nc\r\n", replace("list", 2, "b", "x\ny"), "a\r\nx\r\ny\r\nc\r\n"),
        ("a\nb", replace("list", 2, "b", "x"), "a\nx"),
        ("a\nb", replace("list", 2, "b", "b\n"), "a\nb\n"),
        ("a\nb\n", insert(2, "a", "x"), "a\nx\nb\n"),
        ("a\r\nb\r\n", insert(2, "a", "x\ny"), "a\r\nx\r\ny\r\nb\r\n"),
        ("a\nb", insert(3, "b", "x"), "a\nb\nx"),
        ("a\r\nb", insert(3, "b", "x"), "a\r\nb\r\nx"),
        ("a\nb\nc", remove(2, "b"), "a\nc"),
        ("a\n", remove(1, "a"), ""),
        ("a\r\nb\nc\r", Edit::UnixLineEnds { file: "list".into() }, "a\nb\nc\r"),
    ] {
        fs::write(&file, before).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o754)).unwrap();
        assert!(edit.asks());
        apply(&root, &edit).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), after, "{edit:?} of {before:?}");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o754);
    }
    assert_eq!(fs::read_dir(&root).unwrap().count(), 2, "something was left behind");
}

#[test]
fn a_text_that_is_no_longer_the_same_stays_as_it_is() {
    let (_dir, root) = repository();
    let file = root.join("list");
    fs::write(&file, b"a\nb\xff\nc\n").unwrap();
    for edit in [
        replace("list", 1, "A", "x"),
        replace("list", 0, "a", "x"),
        replace("list", 9, "a", "x"),
        replace("list", usize::MAX, "a", "x"),
        insert(2, "b", "x"),
        insert(0, "a", "x"),
        remove(3, "c "),
    ] {
        let error = apply(&root, &edit).unwrap_err();
        assert!(matches!(error, ApplyError::Changed { .. }), "{edit:?}: {error}");
        assert_eq!(fs::read(&file).unwrap(), b"a\nb\xff\nc\n");
    }
    // Bytes that are no text are kept beside an edit.
    apply(&root, &replace("list", 1, "a", "x")).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"x\nb\xff\nc\n");
}

#[test]
fn nothing_outside_of_the_repository_and_nothing_of_git_is_edited() {
    let (dir, root) = repository();
    let outside = dir.path().join("precious");
    fs::write(&outside, "a\n").unwrap();
    fs::create_dir(root.join(".git")).unwrap();
    fs::write(root.join(".git/config"), "a\n").unwrap();
    symlink(&outside, root.join("link")).unwrap();
    symlink(".git/config", root.join("into-git")).unwrap();
    symlink(dir.path(), root.join("up")).unwrap();
    for file in [
        "../precious",
        outside.to_str().unwrap(),
        "link",
        "up/precious",
        ".git/config",
        "into-git",
        "",
        ".",
        "configs",
        "configs/../.git/config",
    ] {
        for edit in [
            replace(file, 1, "a", "x"),
            Edit::Chmod { file: file.into(), mode: 0o777 },
            Edit::UnixLineEnds { file: file.into() },
        ] {
            assert!(apply(&root, &edit).is_err(), "{edit:?}");
        }
    }
    assert_eq!(fs::read_to_string(&outside).unwrap(), "a\n");
    assert_eq!(fs::metadata(&outside).unwrap().mode() & 0o111, 0);
    assert!(matches!(apply(&root, &replace("none", 1, "a", "x")), Err(ApplyError::Io { .. })));
    // A link that stays inside is followed, and stays a link.
    fs::write(root.join("configs/real"), "a\n").unwrap();
    symlink("configs/real", root.join("alias")).unwrap();
    apply(&root, &replace("alias", 1, "a", "x")).unwrap();
    assert_eq!(fs::read_to_string(root.join("configs/real")).unwrap(), "x\n");
    assert!(root.join("alias").is_symlink());
}

#[test]
fn a_file_that_is_no_work_of_hands_is_not_read() {
    let (_dir, root) = repository();
    fs::File::create(root.join("large")).unwrap().set_len(5 << 20).unwrap();
    let error = apply(&root, &replace("large", 1, "a", "x")).unwrap_err();
    assert!(matches!(error, ApplyError::TooLarge { size, .. } if size == 5 << 20), "{error}");
}

#[test]
fn modes_are_changed() {
    let (_dir, root) = repository();
    fs::write(root.join("tool"), "#!/bin/sh\n").unwrap();
    apply(&root, &Edit::Chmod { file: "tool".into(), mode: 0o755 }).unwrap();
    assert_eq!(fs::metadata(root.join("tool")).unwrap().mode() & 0o7777, 0o755);
}

fn add(key: &str, value: &str) -> Edit {
    Edit::AddToCartridgeList { key: key.into(), value: value.into() }
}

fn cartridge(root: &Path) -> String {
    fs::read_to_string(root.join("cartridge.toml")).unwrap()
}

#[test]
fn the_cartridge_is_edited_without_asking_and_comments_stay() {
    let (_dir, root) = repository();
    let set = Edit::SetCartridgeField { key: "guest.memory".into(), value: "4G".into() };
    assert!(!set.asks() && !add("image.packages", "x").asks());
    apply(&root, &set).unwrap();
    assert_eq!(cartridge(&root), "[guest]\nmemory = \"4G\"\n");
    let text = "# mine\n[image]\nengine = \"archiso\" # native\npackages = [\n    \"git\", # needed\n]\n";
    fs::write(root.join("cartridge.toml"), text).unwrap();
    apply(&root, &add("image.packages", "plymouth")).unwrap();
    let edited = cartridge(&root);
    assert!(edited.starts_with("# mine\n[image]\nengine = \"archiso\" # native\n"), "{edited}");
    assert!(edited.contains("git") && edited.contains("plymouth"), "{edited}");
    apply(&root, &add("image.packages", "plymouth")).unwrap();
    assert_eq!(cartridge(&root), edited);
    for name in ["git", "plymouth", "none"] {
        apply(&root, &Edit::RemoveFromCartridgeList { key: "image.packages".into(), value: name.into() }).unwrap();
    }
    assert!(!cartridge(&root).contains("git"), "{}", cartridge(&root));
    for bad in [
        add("image.engine", "x"),
        add("image.nothing", "x"),
        Edit::SetCartridgeField { key: "gest.x".into(), value: "1".into() },
    ] {
        let before = cartridge(&root);
        assert!(apply(&root, &bad).is_err(), "{bad:?}");
        assert_eq!(cartridge(&root), before);
    }
    fs::write(root.join("cartridge.toml"), "[image\n").unwrap();
    assert!(apply(&root, &add("image.packages", "x")).is_err());
    assert_eq!(cartridge(&root), "[image\n");
}
