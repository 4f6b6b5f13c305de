//! The last build's image, and its ISO taken for one of somebody else's.

use std::fs;

use crate::support::Console;

const SMALL: [&str; 4] = ["--set", "guest.memory=1G", "--set", "guest.accelerator=tcg"];

#[test]
fn the_image_of_the_last_build_boots_with_its_own_kernel_and_reports() {
    let console = Console::new();
    let built = console.run(&["build", "--builtin", "--json"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let image = built.event("image_built")["image"].clone();
    let words = ["boot", "--builtin", "--direct", "--append", "cartridge.test=1", "--json"];
    let run = console.run(&[&words[..], &SMALL].concat());
    assert_eq!(run.code, 0, "{:#?}\n{}", run.events, run.stderr);
    let chosen = &run.event("direct_chosen")["view"];
    assert_eq!((&chosen["kernel"], &chosen["disk"]), (&image["kernel"], &image["iso"]));
    let cmdline = chosen["cmdline"].as_str().unwrap();
    assert!(cmdline.ends_with(" cartridge.test=1"), "{cmdline}");
    for word in image["cmdline"].as_str().unwrap().split_whitespace() {
        assert!(cmdline.split_whitespace().any(|it| it == word), "{word}: {cmdline}");
    }
    assert!(run.event("guest_started")["command"].as_str().unwrap().contains(" -kernel "));
    assert_eq!(run.event("guest_reported")["matches"], true);
    assert_eq!(run.phases()[1..], ["preparing", "booting", "running", "ejecting", "idle"]);
    console.assert_clean();

    // The cartridge can say so too. Parts that the cache keeps no longer come out of the ISO.
    for part in image["initrds"].as_array().unwrap() {
        fs::remove_file(part.as_str().unwrap()).unwrap();
    }
    let run = console.run(&[&["boot", "--builtin", "--json", "--set", "boot.way=kernel"][..], &SMALL].concat());
    assert_eq!((run.code, &run.event("guest_reported")["matches"]), (0, &true.into()), "{:#?}", run.events);
    run.event("direct_chosen");

    // Nobody has named an initramfs that the cache has lost the content of. The kernel is the machine's own: it is never touched.
    let initrds = image["initrds"].as_array().unwrap();
    initrds.iter().for_each(|it| fs::write(it.as_str().unwrap(), "x").unwrap());
    for asked in [&["--direct"][..], &["--set", "boot.way=kernel"]] {
        let broken = console.run(&[&["boot", "--builtin", "--json"], asked].concat());
        assert_eq!((broken.code, broken.failure()["exit_code"].as_i64()), (6, Some(6)), "{asked:?}: {}", broken.stderr);
    }

    // Without an image there is nothing to boot so.
    assert_eq!(console.run(&["eject", "--everything", "--yes", "--json"]).code, 0);
    let gone = console.run(&["boot", "--builtin", "--direct", "--json"]);
    assert_eq!((gone.code, gone.event("refused")["denied"].as_str()), (3, Some("no_image")));
}

#[test]
fn an_iso_is_listed_and_boots_without_its_loader() {
    let console = Console::new();
    let built = console.run(&["build", "--builtin", "--json"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let iso = console.home.path().join("somebody's.iso");
    fs::copy(built.event("image_built")["image"]["iso"].as_str().unwrap(), &iso).unwrap();
    let iso = iso.to_str().unwrap();

    let list = console.run(&["boot", "--iso", iso, "--list"]);
    assert_eq!(list.code, 0, "{}", list.stderr);
    assert!(list.stdout.contains("  1  ") && list.stdout.contains("kernel     boot/vmlinuz"), "{}", list.stdout);
    let listed = console.run(&["boot", "--iso", iso, "--list", "--json"]);
    assert_eq!(listed.event("menu_read")["view"]["menu"]["choices"].as_array().unwrap().len(), 1);

    let run = console.run(&[&["boot", "--iso", iso, "--json", "--entry", "1"][..], &SMALL].concat());
    assert_eq!(run.code, 0, "{:#?}\n{}", run.events, run.stderr);
    let chosen = &run.event("direct_chosen")["view"];
    assert_eq!(chosen["disk"], iso);
    assert!(chosen["kernel"].as_str().unwrap().contains("cache/cartridge/direct/"), "{chosen}");
    let report = run.event("guest_reported");
    assert_eq!(report["report"]["tree"], built.event("image_built")["image"]["tree_hash"]);
    assert!(report["matches"].is_null(), "nobody knows what should be in it");
    console.assert_clean();

    assert_eq!(console.run(&["eject", "--everything", "--yes", "--json"]).code, 0);
    assert!(!console.home.path().join("cache/cartridge/direct").exists());
}
