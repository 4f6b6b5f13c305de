//! What a save keeps of the file that it replaces, and each way in which it can be done.

use std::os::unix::fs::PermissionsExt as _;

use rustix::fs::{XattrFlags, getxattr, setxattr};

use super::*;
use crate::draft::is_at;

/// The ways to a new file: without a name, with one because there are no others, and with one because that one gets none: it is on
/// another file system.
const WAYS: [fn(&Path) -> Option<File>; 3] = [nameless, |_| None, |_| nameless(Path::new("/dev/shm"))];

/// Names of files, sorted.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn each_way_replaces_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert_ne!(fs::metadata("/dev/shm").unwrap().dev(), fs::metadata(dir.path()).unwrap().dev());
    for (way, text) in WAYS.into_iter().zip(["one", "two", "three"]) {
        for again in ["", " again"] {
            save_by(&at("a.toml"), format!("{text}{again}").as_bytes(), way).unwrap();
            assert_eq!(fs::read_to_string(at("a.toml")).unwrap(), format!("{text}{again}"));
        }
    }
    assert_eq!(names(dir.path()), ["a.toml"]);
    // One that cannot be finished goes too.
    let full = |way| save_by(&dir.path().join("no/a.toml"), b"x", way).is_err();
    assert!(WAYS.into_iter().all(full));
    assert_eq!(names(dir.path()), ["a.toml"]);
}

#[test]
fn each_way_takes_the_first_name_that_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // What a link leads to is not written to.
    std::os::unix::fs::symlink(at("gone"), at("0")).unwrap();
    for (way, free) in WAYS.into_iter().zip(["1", "2", "3"]) {
        assert_eq!(save_new_by(["0", "1", "2", "3"].map(at), b"new", way).unwrap(), at(free));
        assert_eq!(fs::read(at(free)).unwrap(), b"new");
        let error = save_new_by(["0"].map(at), b"new", way).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }
    assert_eq!(names(dir.path()), ["0", "1", "2", "3"]);
}

#[test]
fn what_somebody_dead_was_saving_goes_with_the_next_save() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (_, name) = parts(&at("a b.toml")).unwrap();
    let alive = Draft::begin(dir.path(), &name).unwrap();
    let others =
        [".b.cartridge-7.new", ".b.cartridge-7-1.new.mine", "b.cartridge-7-1.new", ".cartridge-7-x.new", ".new"];
    for name in [".a b.toml.cartridge-7-1.new", ".b.png.cartridge-7-1.new"].iter().chain(&others) {
        fs::write(at(name), "half").unwrap();
    }
    save_atomically(&at("a b.toml"), "new").unwrap();
    assert!(!at(".a b.toml.cartridge-7-1.new").exists() && at(".b.png.cartridge-7-1.new").exists());
    // A new file sweeps where it needs a name itself.
    save_new_by([at("c.png")], b"x", |_| None).unwrap();
    assert!(!at(".b.png.cartridge-7-1.new").exists() && alive.path().exists());
    assert!(others.iter().all(|name| at(name).exists()), "{:?}", names(dir.path()));
}

#[test]
fn it_stays_whose_it_was_and_what_is_no_file_stays_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (file, other) = (at("a.toml"), 65_534);
    fs::write(&file, "old").unwrap();
    // Who is not root can give nothing away.
    let given = std::os::unix::fs::chown(&file, Some(other), Some(other)).is_ok();
    save_atomically(&file, "new").unwrap();
    let now = fs::metadata(&file).unwrap();
    assert!(!given || (now.uid(), now.gid()) == (other, other), "{} {}", now.uid(), now.gid());
    let listener = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    let before = fs::metadata(at("socket")).unwrap();
    assert_eq!(save_atomically(&at("socket"), "new").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let after = fs::metadata(at("socket")).unwrap();
    assert_eq!((before.dev(), before.ino()), (after.dev(), after.ino()));
    drop(listener);
    assert!(save_atomically(Path::new("/dev/null"), "new").is_err());
}

/// An access control list as the kernel has it (`linux/posix_acl_xattr.h`): version 2, then tag, rights and id of each entry. The
/// owner reads and writes, user 4711 too, the group reads, others nothing.
fn list() -> Vec<u8> {
    let none = u32::MAX;
    let entries: [(u16, u16, u32); 5] = [(1, 6, none), (2, 6, 4711), (4, 4, none), (0x10, 6, none), (0x20, 0, none)];
    let entries = entries.iter().flat_map(|(tag, rights, id)| {
        [tag.to_le_bytes().as_slice(), &rights.to_le_bytes(), &id.to_le_bytes()].concat()
    });
    2_u32.to_le_bytes().into_iter().chain(entries).collect()
}

fn attribute(file: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 256];
    let length = getxattr(file, name, &mut value).ok()?;
    Some(value[..length].to_vec())
}

#[test]
fn access_lists_and_attributes_stay_and_none_come() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (acl, of_user) = ("system.posix_acl_access", "user.note");
    let (kept, plain) = (at("kept"), at("plain"));
    let set = |file: &Path, name: &str, value: &[u8]| setxattr(file, name, value, XattrFlags::empty());
    for file in [&kept, &plain] {
        fs::write(file, "old").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
    }
    set(&kept, acl, &list()).expect("a file system with access control lists");
    set(&kept, of_user, b"mine\0too").expect("a file system with attributes");
    set(&kept, "user.empty", b"").unwrap();
    // Of the content alone, and root's.
    let root = rustix::process::geteuid().is_root();
    if root {
        set(&kept, "trusted.x", b"root's").unwrap();
        // A file's rights (`linux/capability.h`): version 2, nothing.
        set(&kept, "security.capability", &[0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        // A kernel that looks at these takes none that is wrong.
        let _ = set(&kept, "security.ima", b"\x01of the content");
    }
    // What is made in this folder has one of its own.
    set(dir.path(), "system.posix_acl_default", &list()).unwrap();
    for way in WAYS.into_iter().take(2) {
        save_by(&kept, b"new", way).unwrap();
        save_by(&plain, b"new", way).unwrap();
        assert_eq!(fs::read(&kept).unwrap(), b"new");
        assert_eq!(attribute(&kept, acl), Some(list()));
        assert_eq!(attribute(&kept, of_user).as_deref(), Some(&b"mine\0too"[..]));
        assert_eq!(attribute(&kept, "user.empty").as_deref(), Some(&b""[..]));
        assert_eq!(attribute(&kept, "trusted.x").is_some(), root);
        assert_eq!(["security.capability", "security.ima"].map(|name| attribute(&kept, name)), [None, None]);
        let modes = [&kept, &plain].map(|it| fs::metadata(it).unwrap().permissions().mode() & 0o7777);
        assert_eq!((modes, attribute(&plain, acl)), ([0o660, 0o640], None));
    }
}

#[test]
fn a_new_file_has_no_name_until_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let file = nameless(dir.path()).expect("a file system of today");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let (_, name) = parts(&dir.path().join("a")).unwrap();
    let path = give_name(&file, &name, dir.path()).unwrap();
    assert!(is_at(&file, &path));
}
