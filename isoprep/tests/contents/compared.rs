//! Two real images, and exactly what differs between them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use isoprep::Cancel;
use isoprep::contents::{Direction, Reading, Side, Watch, show};

use crate::studio::{Studio, compare, fill};

fn package(studio: &Studio, name: &str, version: &str, files: &str) {
    let dir = format!("root/var/lib/pacman/local/{name}-{version}");
    studio.write(&format!("{dir}/desc"), format!("%NAME%\n{name}\n\n%VERSION%\n{version}\n"));
    studio.write(&format!("{dir}/files"), format!("%FILES%\n{files}\n"));
}

#[test]
fn every_kind_of_change_is_found_and_nothing_else() {
    let studio = Studio::new();
    fill(&studio.at("root"));
    package(&studio, "sudo", "1.9.9-1", "usr/bin/sudo");
    package(&studio, "old", "1-1", "etc/old");
    studio.squash(&["-comp", "zstd"]);
    let one = studio.master("one.iso");

    // One byte in the middle of a large file of the same size, and of a small one.
    let large = studio.at("root/usr/bin/large");
    let mut bytes = fs::read(&large).unwrap();
    bytes[333_333] ^= 1;
    fs::write(&large, bytes).unwrap();
    studio.write("root/etc/passwd", "root:x:0:1\n");
    fs::set_permissions(studio.at("root/usr/lib/even"), fs::Permissions::from_mode(0o600)).unwrap();
    studio.write("root/usr/bin/sudo", "other");
    fs::remove_file(studio.at("root/many/file 007")).unwrap();
    studio.write("root/many/file 700", "new");
    fs::remove_file(studio.at("root/up")).unwrap();
    std::os::unix::fs::symlink("down", studio.at("root/up")).unwrap();
    fs::remove_dir_all(studio.at("root/var/lib/pacman/local")).unwrap();
    package(&studio, "sudo", "1.9.10-1", "usr/bin/sudo");
    package(&studio, "new", "2-1", "usr/bin/large");
    // Packed with other blocks: nothing can be told from the packed content.
    for options in [&["-comp", "zstd"][..], &["-comp", "zstd", "-b", "32K"], &["-comp", "gzip"]] {
        studio.squash(options);
        let found = compare(&one, &studio.master("two.iso"));
        let changed: Vec<_> = found.root.changed.items.iter().map(|it| it.path.to_string()).collect();
        let expected =
            ["etc/passwd", "etc/passwd-", "up", "usr/bin/hard", "usr/bin/large", "usr/bin/sudo", "usr/lib/even"];
        assert_eq!(changed, expected, "{options:?}");
        let of = |path: &str| found.root.changed.items.iter().find(|it| it.path == path.into()).unwrap();
        assert!(of("usr/bin/large").content && of("usr/bin/large").size.is_none());
        assert!(!of("usr/lib/even").content && of("usr/lib/even").mode.is_some());
        assert_eq!(of("usr/bin/sudo").package.as_deref(), Some("sudo"));
        let growth = 5 - 100;
        assert_eq!(found.root.packages["sudo"].growth, growth);
        assert_eq!(found.root.undecided.total, 0);
        let added: Vec<_> = found.root.added.items.iter().filter(|it| it.kind == "file").collect();
        assert!(added.iter().any(|it| it.path == "many/file 700".into()), "{added:?}");
        assert_eq!(found.packages.changed.items[0].direction, Direction::Newer);
        assert_eq!((found.packages.added.total, found.packages.removed.total), (1, 1));
        assert_eq!(found.root_image.is_some(), options.len() > 2 || options[1] == "gzip");
        let told = show::sentence(&found);
        assert!(told.starts_with("1 package newer, 1 package added, 1 package removed, 7 files changed"), "{told}");
    }
}

#[test]
fn the_same_root_packed_otherwise_and_at_another_time_is_the_same() {
    let studio = Studio::new();
    fill(&studio.at("root"));
    studio.squash(&["-comp", "zstd", "-mkfs-time", "1"]);
    let one = studio.master("one.iso");
    for path in ["root/etc/passwd", "root/usr/bin/large"] {
        let file = fs::File::options().write(true).open(studio.at(path)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    studio.squash(&["-comp", "zstd", "-mkfs-time", "2"]);
    let two = studio.master("two.iso");
    assert_ne!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    let found = compare(&one, &two);
    assert!(found.is_empty() && found.undecided() == 0, "{found:#?}");
    studio.squash(&["-comp", "xz", "-mkfs-time", "2"]);
    let found = compare(&one, &studio.master("three.iso"));
    assert!(found.root.is_empty() && found.root_image.is_some() && !found.is_empty(), "{found:#?}");
}

#[test]
fn comparing_like_packed_images_unpacks_no_large_file_and_tells_how_far_it_is() {
    let studio = Studio::new();
    fill(&studio.at("root"));
    studio.squash(&["-comp", "xz"]);
    let one = studio.master("one.iso");
    studio.write("root/etc/passwd", "root:x:0:1\n");
    studio.squash(&["-comp", "xz"]);
    let two = studio.master("two.iso");
    let told = std::sync::Mutex::new(Vec::new());
    let cancel = Cancel::new();
    let tell = |progress| told.lock().unwrap().push(progress);
    let watch = Watch { cancel: &cancel, tell: &tell };
    let load = |path| Side::load(path, &watch).unwrap_or_else(|e| panic!("{e}"));
    let (mut from, mut to) = (load(&one), load(&two));
    let found = from.compare(&mut to, &watch).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(found.root.changed.total, 2, "a file and its hard link");
    let told = told.into_inner().unwrap();
    assert!(told.iter().any(|it| it.doing == Reading::Listing) && told.iter().any(|it| it.doing == Reading::Comparing));
    assert!(told.iter().all(|it| it.doing != Reading::Hashing), "{told:?}");
    assert!(told.iter().all(|it| it.total.is_none_or(|total| it.done <= total) || it.doing == Reading::Listing));
}
