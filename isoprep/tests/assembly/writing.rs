//! Writing and hashing: what changes under the hands, what is read again, how a cancel ends it.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use isoprep::{BuildError, Cancel, Progress, Unit};

use crate::bench::{Bench, mode};

#[test]
fn a_file_that_changes_between_the_look_and_the_copy_is_noticed() {
    type Change = fn(&Bench, &Path);
    let changes: [(&str, Change); 5] = [
        ("content", |_, file| fs::write(file, "HELLO\n").unwrap()),
        ("growth", |_, file| fs::write(file, "hello\nhello\n").unwrap()),
        ("link", |bench, file| {
            fs::remove_file(file).unwrap();
            bench.link(file, bench.write("other", "hello\n"));
        }),
        ("twin", |bench, file| {
            // The same bytes, size and time, by a new name: only a careful look tells.
            let time = fs::metadata(file).unwrap().modified().unwrap();
            let twin = bench.write("twin", "hello\n");
            File::open(&twin).unwrap().set_modified(time).unwrap();
            fs::rename(twin, file).unwrap();
        }),
        ("gone", |_, file| fs::remove_file(file).unwrap()),
    ];
    for (name, change) in changes {
        let bench = Bench::new();
        let file = bench.at("base/airootfs/etc/motd");
        let assembly = bench.prepare();
        // Past the tick of a coarse clock.
        std::thread::sleep(Duration::from_millis(20));
        change(&bench, &file);
        let error = bench.try_write(&assembly, &bench.folder("target")).unwrap_err();
        match &error {
            BuildError::Changed { path, .. } => assert!(name != "link" && name != "gone" && *path == file, "{error}"),
            BuildError::Io { doing: "read", path, .. } => {
                assert!((name == "link" || name == "gone") && *path == file, "{error}");
            }
            other => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn a_file_that_changes_while_it_is_copied_is_noticed() {
    for grows in [true, false] {
        let bench = Bench::new();
        let file = bench.write("base/airootfs/big", vec![1; 40 << 20]);
        let assembly = bench.prepare();
        std::thread::sleep(Duration::from_millis(20));
        let changed = std::sync::Once::new();
        let listen = |_| {
            changed.call_once(|| {
                let open = File::options().write(true).open(&file).unwrap();
                open.set_len(if grows { 41 << 20 } else { 40 << 20 }).unwrap();
                std::os::unix::fs::FileExt::write_all_at(&open, b"x", 0).unwrap();
            });
        };
        let error = assembly.write(&bench.folder("target"), &Cancel::new(), &listen).unwrap_err();
        assert!(matches!(&error, BuildError::Changed { path, .. } if *path == file), "{error}");
        assert!(changed.is_completed());
    }
}

#[test]
fn equal_folders_have_equal_hashes_and_every_change_counts() {
    let mut bench = Bench::new();
    let first = bench.hash(&bench.prepare());
    bench.write("base/airootfs/etc/motd", "hello\n");
    assert_eq!(bench.hash(&bench.prepare()), first);
    // The same content by another way.
    let over = bench.overlay("over");
    bench.write(format!("{over}/airootfs/etc/motd"), "hello\n");
    assert_eq!(bench.hash(&bench.prepare()), first);
    let mut seen = vec![first];
    let mut check = |bench: &Bench, what: &str| {
        let hash = bench.hash(&bench.prepare());
        assert!(!seen.contains(&hash), "{what}");
        seen.push(hash);
    };
    bench.write(format!("{over}/airootfs/etc/motd"), "hallo\n");
    check(&bench, "content");
    bench.chmod(format!("{over}/airootfs/etc/motd"), 0o600);
    check(&bench, "mode");
    bench.link(format!("{over}/link"), "a");
    check(&bench, "link");
    bench.folder(format!("{over}/empty"));
    check(&bench, "folder");
    bench.ingredients.packages = vec!["git".into()];
    check(&bench, "packages");
    bench.ingredients.env = [("A".to_owned(), "1".to_owned())].into();
    check(&bench, "env");
    bench.ingredients.remove = vec!["pacman.conf".into()];
    check(&bench, "remove");
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let bench = Bench::new();
    bench.write("base/airootfs/big", vec![7; 1 << 20]);
    std::thread::sleep(Duration::from_millis(3100));
    let read = || {
        let bytes = AtomicU64::new(0);
        let listen = |progress| {
            if let Progress::Advanced { done, unit: Unit::Bytes, .. } = progress {
                bytes.fetch_max(done, Ordering::Relaxed);
            }
        };
        let hash = bench.prepare().hash(&bench.at("cache"), &Cancel::new(), &listen).unwrap();
        (bytes.into_inner(), hash)
    };
    let first = read();
    assert!(first.0 > 1 << 20, "{first:?}");
    assert_eq!(read(), (0, first.1));
    bench.write("base/airootfs/etc/motd", "HELLO\n");
    let third = read();
    assert!(third.0 == 6 && third.1 != first.1, "{third:?}");
}

#[test]
fn a_cancel_ends_it_at_once_at_every_step() {
    let bench = Bench::new();
    for number in 0..64 {
        bench.write(format!("base/airootfs/{number}"), vec![1; 4 << 20]);
    }
    let assembly = bench.prepare();
    let cancelled = Cancel::new();
    cancelled.cancel();
    let target = bench.folder("target");
    let quiet = &|_| ();
    let results = [
        isoprep::assembly::prepare(&bench.ingredients, &cancelled, quiet).map(|_| ()),
        assembly.hash(&bench.at("cache"), &cancelled, quiet).map(|_| ()),
        assembly.write(&target, &cancelled, quiet),
    ];
    assert!(results.iter().all(|it| it.as_ref().is_err_and(BuildError::is_cancelled)), "{results:?}");
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);

    // In the middle of the copying.
    let cancel = Cancel::new();
    let at = std::sync::OnceLock::new();
    let listen = |progress| {
        if let Progress::Advanced { done, total: Some(total), .. } = progress
            && done > total / 4
            && at.set(Instant::now()).is_ok()
        {
            cancel.cancel();
        }
    };
    let error = assembly.write(&target, &cancel, &listen).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert!(at.get().unwrap().elapsed() < Duration::from_secs(2));
    assert!(fs::read_dir(target.join("airootfs")).unwrap().count() < 65);
}

#[test]
fn executables_keep_their_bits_however_the_umask_was() {
    let mut bench = Bench::new();
    // A checkout by somebody with umask 077, one with 002, one with 022 and a private folder.
    let layers = [("a", 0o700, 0o700), ("b", 0o775, 0o775), ("c", 0o755, 0o755)];
    for (name, folder, script) in layers {
        let over = bench.overlay(name);
        for path in [format!("{over}/airootfs/{name}/bin/run"), format!("{over}/airootfs/{name}/plain")] {
            bench.write(&path, "x");
            bench.chmod(&path, script & !0o111);
        }
        bench.chmod(format!("{over}/airootfs/{name}/bin/run"), script);
        for path in ["airootfs", &format!("airootfs/{name}"), &format!("airootfs/{name}/bin")] {
            bench.chmod(Path::new(&over).join(path), folder);
        }
        bench.link(format!("{over}/airootfs/{name}/bin/alias"), "run");
    }
    bench.write("c/airootfs/root/.ssh/config", "x");
    bench.chmod("c/airootfs/root/.ssh", 0o700);
    bench.write("c/airootfs/private-tool", "x");
    bench.chmod("c/airootfs/private-tool", 0o700);
    bench.folder("c/airootfs/spool");
    bench.chmod("c/airootfs/spool", 0o1777);
    bench.write("c/airootfs/setuid", "x");
    bench.chmod("c/airootfs/setuid", 0o4755);
    // An executable that is replaced by a plain file is none any more.
    bench.write("b/airootfs/replaced", "x");
    bench.chmod("b/airootfs/replaced", 0o755);
    bench.write("c/airootfs/replaced", "x");
    // Outside of airootfs nothing has a mode in the live system.
    bench.chmod("base/profiledef.sh", 0o755);
    let (assembly, target) = bench.assemble();
    let expected = [
        ("/a/bin/run", 0o755),
        ("/b/bin/run", 0o755),
        ("/c/bin/run", 0o755),
        ("/private-tool", 0o700),
        ("/root/.ssh", 0o700),
        ("/setuid", 0o755),
        ("/spool", 0o1777),
    ];
    assert_eq!(assembly.modes(&[].into()), expected.map(|(path, mode)| (path.into(), mode)).into());
    assert_eq!(mode(target.join("airootfs/a/bin/run")), 0o700);
    let [warning] = &assembly.warnings[..] else { panic!("{:?}", assembly.warnings) };
    assert_eq!(
        warning.to_string(),
        "airootfs/setuid loses its 4755: setuid and setgid would be root's in the image. If it has to have them, say \
         so in file_permissions"
    );
    let named = ["/a/", "/b/bin/run", "/root", "/spool/"]
        .map(|key| (key.to_owned(), isoprep::profile::FilePermission { uid: 0, gid: 0, mode: 0o755 }));
    let left: Vec<_> = assembly.modes(&named.into()).into_keys().map(|it| it.display().to_string()).collect();
    assert_eq!(left, ["/c/bin/run", "/private-tool", "/root/.ssh", "/setuid"]);
}
