//! What is built again, and what is not: same inputs, same bytes, no work.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use crate::bench::Bench;

/// Makes everything in the repository old enough to be remembered.
fn settle(_: &Bench) {
    std::thread::sleep(Duration::from_millis(3100));
}

#[test]
fn an_unchanged_repository_costs_nothing_and_a_changed_file_only_its_stages() {
    let bench = Bench::new();
    settle(&bench);
    assert_eq!(bench.redone().len(), 5);
    let before = fs::metadata(bench.iso()).unwrap();
    assert_eq!(bench.redone(), [] as [&str; 0]);
    let after = fs::metadata(bench.iso()).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    assert!(bench.build().unwrap().reused);

    // Another time, same content: read again, nothing else.
    File::open(bench.repo().join("README")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(bench.redone(), ["assemble"]);

    bench.write("README", "hullo");
    assert_eq!(bench.redone(), ["assemble", "inject", "bootloader", "iso"]);
    // Back again: everything is still known but the ISO, of which there is one.
    bench.write("README", "hello");
    assert_eq!(bench.redone(), ["assemble", "iso"]);
}

#[test]
fn a_change_that_hides_behind_an_equal_time_and_size_is_seen() {
    let bench = Bench::new();
    let file = bench.repo().join("README");
    let first = bench.build().unwrap().tree_hash;
    let time = fs::metadata(&file).unwrap().modified().unwrap();
    fs::write(&file, "HELLO").unwrap();
    File::open(&file).unwrap().set_modified(time).unwrap();
    assert_ne!(bench.build().unwrap().tree_hash, first);
}

#[test]
fn equal_inputs_give_equal_bytes_whatever_the_cache_and_the_times() {
    let (one, two) = (Bench::new(), Bench::new());
    let first = one.build().unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    File::open(two.repo().join("README")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let second = two.build().unwrap();
    assert!(fs::read(&first.iso).unwrap() == fs::read(&second.iso).unwrap());
}

#[test]
fn a_lost_or_altered_image_is_made_again_and_a_damaged_cache_entry_too() {
    let bench = Bench::new();
    let image = bench.build().unwrap();
    let bytes = fs::read(&image.iso).unwrap();
    fs::remove_file(&image.iso).unwrap();
    assert!(bench.redone().ends_with(&["iso"]));
    fs::write(&image.iso, "somebody else's").unwrap();
    assert!(!bench.build().unwrap().reused);
    File::options().write(true).open(&image.initrds[1]).unwrap().set_len(100).unwrap();
    assert!(bench.redone().contains(&"inject"));
    assert!(fs::read(&image.iso).unwrap() == bytes);
}

#[test]
fn a_cache_that_cannot_remember_what_was_read_is_a_warning() {
    let bench = Bench::new();
    bench.build().unwrap();
    // A folder where the index should go stands in for a disk that fills up at just this moment.
    for entry in fs::read_dir(bench.request.cache.join("index")).unwrap() {
        let path = entry.unwrap().path();
        fs::remove_file(&path).unwrap();
        fs::create_dir_all(path.join("in the way")).unwrap();
    }
    bench.write("README", "other");
    let (_, _, lines) = bench.build_telling();
    assert_eq!(lines.iter().filter(|line| line.starts_with("warning: the cache cannot")).count(), 2, "{lines:?}");
}

#[test]
fn settings_change_only_what_depends_on_them() {
    let mut bench = Bench::new();
    settle(&bench);
    bench.build().unwrap();
    bench.request.recipe.image.cmdline = "quiet".into();
    assert_eq!(bench.redone(), ["bootloader", "iso"]);
    bench.request.recipe.image.env = [("A".to_owned(), "1".to_owned())].into();
    assert_eq!(bench.redone(), ["inject", "bootloader", "iso"]);
    bench.request.recipe.source.into = "/srv/demo".into();
    assert_eq!(bench.redone(), ["inject", "bootloader", "iso"]);
    bench.request.init = b"\x7fELF another";
    assert_eq!(bench.redone(), ["initramfs", "bootloader", "iso"]);
    bench.parts_mut().kernel.modules = None;
    assert_eq!(bench.redone(), ["initramfs", "bootloader", "iso"]);
}

#[test]
fn two_builders_at_once_share_a_cache_and_agree() {
    let bench = Bench::new();
    let images: Vec<_> = std::thread::scope(|scope| {
        let builders: Vec<_> = (0..4).map(|_| scope.spawn(|| bench.build().unwrap())).collect();
        builders.into_iter().map(|builder| builder.join().unwrap()).collect()
    });
    assert!(images.iter().all(|image| image.tree_hash == images[0].tree_hash && image.iso == images[0].iso));
    bench.assert_no_litter();
    let bytes = fs::read(bench.iso()).unwrap();
    let alone = Bench::new();
    alone.build().unwrap();
    assert!(bytes == fs::read(alone.iso()).unwrap());
}

#[test]
fn the_cache_keeps_a_few_results_and_no_more() {
    let bench = Bench::new();
    for round in 0..7 {
        bench.write("README", &format!("round {round}"));
        bench.build().unwrap();
    }
    for (stage, kept) in [("initramfs", 1), ("inject", 4), ("bootloader", 4)] {
        assert_eq!(fs::read_dir(bench.request.cache.join(stage)).unwrap().count(), kept, "{stage}");
    }
    // A draft of a killed build is gone after the next one.
    fs::create_dir(bench.request.cache.join("drafts/inject-killed")).unwrap();
    bench.build().unwrap();
    bench.assert_no_litter();
}
