//! Eject without mounts: what it refuses, what it deletes, and that nothing else is touched.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod eject_support;

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Instant;

use cartridge_supervise::Cancel;
use eject_support::{Place, as_user, contents};
use isoprep::eject::{EjectError, MARKER, Refusal, WorkDir, count_entries, eject, ensure_marked, survey};
use rustix::fs::{CWD, FileType, Mode, OFlags};

fn refusal(dir: &Path) -> Refusal {
    let seen = survey(dir).expect_err("the survey let it pass");
    let error = eject(dir, &Cancel::new(), &|_| {}).expect_err("it was ejected");
    let (EjectError::Refused { reason: seen, .. }, EjectError::Refused { reason, .. }) = (seen, error) else {
        panic!("{} was not refused", dir.display())
    };
    assert_eq!(seen, reason);
    reason
}

#[test]
fn a_tree_of_every_kind_of_entry_is_deleted_and_links_are_not_followed() {
    let place = Place::new();
    place.file("a/b/c");
    symlink(&place.precious, place.work.join("link-to-directory")).unwrap();
    symlink(place.precious.join("thesis.tex"), place.work.join("a/link-to-file")).unwrap();
    symlink("..", place.work.join("a/up")).unwrap();
    symlink("nowhere", place.work.join("a/dangling")).unwrap();
    fs::hard_link(place.precious.join("thesis.tex"), place.work.join("a/hard")).unwrap();
    for name in ["new\nline", " ", "-rf", "*", "\\", "é"] {
        place.file(&format!("names/{name}"));
        place.dir(&format!("names/{name}.d/inner"));
    }
    fs::write(place.work.join("names").join(OsStr::from_bytes(b"\xff\xfe")), "x").unwrap();
    rustix::fs::mknodat(CWD, place.work.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.work.join("socket")).unwrap();
    // A marker deeper down is a file like any other.
    place.file(&format!("a/{MARKER}"));
    let seen = survey(&place.work).unwrap();
    let last = RefCell::new(0);
    let report = eject(&place.work, &Cancel::new(), &|advance| *last.borrow_mut() = advance.removed.files).unwrap();
    assert_eq!((report.removed, report.bytes), (seen.files, seen.bytes));
    assert_eq!((report.untouched.len(), *last.borrow()), (0, seen.files));
    place.assert_gone();
}

#[test]
fn what_is_not_a_marked_directory_of_ours_is_refused() {
    let place = Place::new();
    let top = place.top.path();
    assert_eq!(refusal(&place.precious), Refusal::NoMarker);
    assert_eq!(refusal(&top.join("nothing")), Refusal::Missing);
    assert_eq!(refusal(&top.join("nothing/at/all")), Refusal::Missing);
    assert_eq!(refusal(&place.precious.join("thesis.tex")), Refusal::NotADirectory);
    symlink(&place.work, top.join("link")).unwrap();
    assert_eq!(refusal(&top.join("link")), Refusal::Link);
    assert_eq!(refusal(&top.join("link/")), Refusal::Link);
    assert_eq!(refusal(&place.work.join("..")), Refusal::NoName);
    for name in ["symlink", "directory", "fifo", "empty", "other", "binary"] {
        let dir = top.join(name);
        let marker = dir.join(MARKER);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("mine"), "x").unwrap();
        match name {
            "symlink" => symlink(place.work.join(MARKER), &marker).unwrap(),
            "directory" => fs::create_dir(&marker).unwrap(),
            "fifo" => rustix::fs::mknodat(CWD, &marker, FileType::Fifo, Mode::RUSR, 0).unwrap(),
            "empty" => fs::write(&marker, "").unwrap(),
            "other" => fs::write(&marker, "cartridge-work 1\ntoken nope\nname x\n").unwrap(),
            _ => fs::write(&marker, b"cartridge-work 1\ntoken \xff").unwrap(),
        }
        assert!(matches!(refusal(&dir), Refusal::BadMarker(_)), "{name}");
        assert!(dir.join("mine").exists());
    }
    assert_eq!(place.eject().unwrap().untouched, []);
    place.assert_gone();
}

#[test]
fn the_root_the_home_and_what_holds_it_are_refused() {
    let home = std::env::home_dir().expect("there is a home");
    assert!(matches!(refusal(&home), Refusal::Home(_)));
    assert_eq!(refusal(Path::new("/")), Refusal::NoName);
    for shallow in ["/usr", "/usr/lib", "/var/tmp"] {
        assert_eq!(refusal(Path::new(shallow)), Refusal::Shallow, "{shallow}");
    }
    // However the way there is written.
    let around = home.join("x/..");
    assert!(matches!(refusal(&around), Refusal::NoName | Refusal::Missing));
}

#[test]
fn a_directory_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        assert_eq!(refusal(Path::new("/usr/share/doc")), Refusal::ForeignOwner(0));
        return;
    }
    let place = Place::new();
    std::os::unix::fs::chown(&place.work, Some(12345), None).unwrap();
    assert_eq!(refusal(&place.work), Refusal::ForeignOwner(12345));
    std::os::unix::fs::chown(&place.work, Some(0), None).unwrap();
    std::os::unix::fs::chown(place.work.join(MARKER), Some(12345), None).unwrap();
    assert!(matches!(refusal(&place.work), Refusal::BadMarker(_)));
}

#[test]
fn directories_of_ours_that_may_not_be_written_or_read_are_deleted_all_the_same() {
    as_user("directories_of_ours_that_may_not_be_written_or_read_are_deleted_all_the_same", || {
        assert!(!rustix::process::geteuid().is_root());
        let place = Place::new();
        for (name, mode) in [("readonly", 0o555), ("closed", 0o000), ("listable", 0o444), ("enterable", 0o111)] {
            place.file(&format!("{name}/inner/file"));
            fs::set_permissions(place.work.join(name).join("inner"), fs::Permissions::from_mode(mode)).unwrap();
            fs::set_permissions(place.work.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        assert!(fs::read_dir(place.work.join("closed")).is_err(), "this user may read everything");
        let report = place.eject().unwrap();
        assert_eq!(report.untouched, []);
        place.assert_gone();
    });
}

#[test]
fn a_tree_deeper_than_any_path_is_deleted() {
    let place = Place::new();
    // 3000 levels of 10 characters are longer than PATH_MAX and more than the usual limit of open files.
    let mut here = rustix::fs::open(&place.work, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&here, "directory0", Mode::RWXU).unwrap();
        rustix::fs::mkdirat(&here, "other", Mode::RWXU).unwrap();
        here = rustix::fs::openat(&here, "directory0", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    drop(here);
    assert_eq!(survey(&place.work).unwrap().files, 6002);
    let report = place.eject().unwrap();
    assert_eq!((report.removed, report.untouched.len()), (6002, 0));
    place.assert_gone();
}

#[test]
fn twenty_thousand_files_are_deleted_in_one_go() {
    let place = Place::new();
    for dir in 0..20 {
        for number in 0..1000 {
            place.file(&format!("{dir}/{number}"));
        }
    }
    let started = Instant::now();
    let report = place.eject().unwrap();
    println!("20 k files in {:?}", started.elapsed());
    assert_eq!((report.removed, report.untouched.len()), (20 * 1001 + 2, 0));
    assert!(report.bytes >= 20_000);
    place.assert_gone();
}

#[test]
fn a_path_through_a_link_or_relative_names_the_same_directory() {
    let place = Place::new();
    let top = place.top.path();
    symlink(place.work.parent().unwrap(), top.join("shortcut")).unwrap();
    let name = place.work.file_name().unwrap();
    let seen = survey(&top.join("shortcut").join(name)).unwrap();
    assert_eq!(seen.path, place.work.canonicalize().unwrap());
    eject(&top.join("shortcut").join(".").join(name).join("."), &Cancel::new(), &|_| {}).unwrap();
    place.assert_gone();
}

#[test]
fn two_ejects_of_the_same_directory_do_not_meet() {
    let place = Place::new();
    for number in 0..20_000 {
        place.file(&number.to_string());
    }
    let second = RefCell::new(None);
    let report = eject(&place.work, &Cancel::new(), &|_| {
        if second.borrow().is_none() {
            *second.borrow_mut() = Some(place.eject());
        }
    });
    assert_eq!(report.unwrap().untouched, []);
    let second = second.into_inner().expect("it was too quick for a second one");
    assert!(matches!(second, Err(EjectError::Refused { reason: Refusal::Busy | Refusal::Missing, .. })), "{second:?}");
    place.assert_gone();
}

#[test]
fn a_folder_that_is_moved_out_while_it_is_deleted_keeps_what_is_put_into_it() {
    moved_out("inner/folder", "");
}

#[test]
fn one_further_up_keeps_what_is_put_below_it_too() {
    moved_out("inner", "folder");
}

/// Moves `moved` away while `inner/folder` is deleted, which is `below` in it then.
fn moved_out(moved: &str, below: &str) {
    let place = Place::new();
    for number in 0..6000 {
        place.file(&format!("inner/folder/{number}"));
    }
    let (taken, away) = (place.precious.join("taken"), place.precious.join("taken").join(below));
    let left = std::cell::Cell::new(0);
    let report = eject(&place.work, &Cancel::new(), &|_| {
        if !taken.exists() && place.work.join("inner/folder").exists() {
            fs::rename(place.work.join(moved), &taken).unwrap();
            for number in 6000..9000 {
                fs::write(away.join(number.to_string()), "precious").unwrap();
            }
            left.set(fs::read_dir(&away).unwrap().count());
        }
    });
    let report = report.unwrap();
    assert!(left.get() > 3000, "it was too quick to be moved: {}", left.get());
    assert_eq!(fs::read_dir(&away).unwrap().count(), left.get(), "what is not ours any more was deleted");
    assert!(report.untouched.iter().any(|it| it.reason.contains("moved")), "{report:?}");
    fs::remove_dir_all(&taken).unwrap();
    assert_eq!(place.eject().unwrap().untouched, []);
    place.assert_gone();
}

#[test]
fn work_directories_are_private_marked_and_never_the_same() {
    let place = Place::new();
    let parent = place.top.path().join("new/parent");
    let one = WorkDir::create(&parent, "my session\n1").unwrap();
    let two = WorkDir::create(&parent, "my session\n1").unwrap();
    assert_ne!(one.path(), two.path());
    assert_ne!(one.marker().token, two.marker().token);
    assert_eq!(one.marker().name, "my session-1");
    assert!(one.path().file_name().unwrap().to_str().unwrap().starts_with("my-session-1-"));
    assert_eq!(fs::metadata(one.path()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(one.path().join(MARKER)).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(
        WorkDir::create(Path::new("/cartridge-test"), "x"),
        Err(EjectError::Refused { reason: Refusal::Shallow, .. })
    ));
    assert!(!Path::new("/cartridge-test").exists(), "something was made where nothing of ours may be");
}

#[test]
fn many_that_mark_the_same_directory_at_once_have_one_marker() {
    let place = Place::new();
    for round in 0..200 {
        let dir = place.top.path().join(round.to_string());
        let start = std::sync::Barrier::new(4);
        let made: Vec<_> = std::thread::scope(|scope| {
            let mark = || {
                start.wait();
                let made = ensure_marked(&dir, "cache");
                // What is in it from then on is no stranger's.
                let _ = fs::write(dir.join("result"), "");
                made
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(mark)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
        });
        assert!(made.iter().all(|one| *one == made[0]), "{made:?}");
    }
}

#[test]
fn a_cache_is_made_adopted_when_empty_and_refused_when_it_is_somebody_elses() {
    let place = Place::new();
    let cache = place.top.path().join("cache/cartridge");
    let made = ensure_marked(&cache, "cache").unwrap();
    assert_eq!((made.path(), made.marker().name.as_str()), (cache.canonicalize().unwrap().as_path(), "cache"));
    fs::write(cache.join("blob"), "x").unwrap();
    assert_eq!(ensure_marked(&cache, "cache").unwrap(), made, "a marked one is left as it is");
    assert!(cache.join("blob").exists());
    let empty = place.top.path().join("empty");
    fs::create_dir(&empty).unwrap();
    ensure_marked(&empty, "cache").unwrap();
    let before = contents(&place.precious);
    for (dir, reason) in
        [(place.precious.clone(), Refusal::NotEmpty), (place.precious.join("thesis.tex"), Refusal::NotADirectory)]
    {
        let error = ensure_marked(&dir, "cache").unwrap_err();
        let EjectError::Refused { reason: said, .. } = error else { panic!("{error}") };
        assert_eq!(said, reason);
    }
    symlink(&place.precious, place.top.path().join("link")).unwrap();
    let error = ensure_marked(&place.top.path().join("link"), "cache").unwrap_err();
    assert!(matches!(error, EjectError::Refused { reason: Refusal::Link, .. }), "{error}");
    assert_eq!(contents(&place.precious), before);
    assert_eq!(eject(&cache, &Cancel::new(), &|_| {}).unwrap().untouched, []);
    assert!(!cache.exists());
}

#[test]
fn what_there_is_to_remove_is_counted_beside_the_removal() {
    let place = Place::new();
    for folder in 0..200 {
        for file in 0..100 {
            place.file(&format!("{}/{folder}/deep/{file}", folder % 7));
        }
    }
    let seen = survey(&place.work).unwrap().files;
    assert_eq!(count_entries(&place.work, &Cancel::new()), Some(seen));
    let stopped = Cancel::new();
    stopped.cancel();
    assert_eq!(count_entries(&place.work, &stopped), None);
    let told = RefCell::new(Vec::new());
    let report = eject(&place.work, &Cancel::new(), &|advance| told.borrow_mut().push(advance)).unwrap();
    assert_eq!((report.removed, report.untouched.len()), (seen, 0));
    let told = told.into_inner();
    assert_eq!(told.last().map(|it| it.removed.files), Some(seen));
    // On a busy machine the removal may be the quicker one; then there is no total, and never a wrong one.
    let totals: Vec<u64> = told.iter().filter_map(|it| it.total).collect();
    assert!(totals.iter().all(|total| *total == seen), "{totals:?} of {seen}");
    assert!(told.iter().skip_while(|it| it.total.is_none()).all(|it| it.total.is_some()));
    place.assert_gone();
}

#[test]
fn a_count_does_not_guess_what_cannot_be_seen_before() {
    let place = Place::new();
    fs::set_permissions(place.dir("closed/inner"), std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    place.file("a");
    let known = count_entries(&place.work, &Cancel::new());
    // Root sees it.
    assert_eq!(known, rustix::process::geteuid().is_root().then_some(5));
    assert_eq!(count_entries(&place.precious, &Cancel::new()), None);
    place.eject().unwrap();
    place.assert_gone();
}
