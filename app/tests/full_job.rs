//! The main job, headless, on real parts: build, boot, the guest's own report, screenshot, eject; nothing is left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::path::Path;

use support::{Console, nasty_tree};

/// The tree that should arrive: a copy without what is left out, hashed here and not by the code under test's walk.
fn expected_hash(console: &Console, source: &Path) -> String {
    let copy = console.dir("expected");
    let status = std::process::Command::new("cp").arg("-a").arg(source.join(".")).arg(&copy).status().unwrap();
    assert!(status.success());
    fs::remove_dir_all(copy.join(".git")).unwrap();
    for ignored in ["build-output", "notes.tmp"] {
        let path = copy.join(ignored);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    cartridge_treehash::hash_tree(&copy).unwrap().hash.to_string()
}

fn full_job(firmware: &str, medium: &str) {
    let console = Console::new();
    let repo = console.repository("a distro");
    nasty_tree(&repo);
    for (name, content) in [(".gitignore", "build-output/\n"), ("build-output/big", "x"), ("notes.tmp", "x")] {
        fs::create_dir_all(repo.join(name).parent().unwrap()).unwrap();
        fs::write(repo.join(name), content).unwrap();
    }
    let toml = repo.join("cartridge.toml");
    let text = fs::read_to_string(&toml).unwrap();
    fs::write(&toml, format!("name = \"distro\"\n[source]\nexclude = [\"*.tmp\"]\n{text}")).unwrap();
    let git = std::process::Command::new("git").args(["init", "-q"]).arg(&repo).status().unwrap();
    assert!(git.success());
    let expected = expected_hash(&console, &repo);
    let before = cartridge_treehash::hash_tree(&repo).unwrap();

    let shot = console.home.path().join("shot.png");
    let video = console.home.path().join("guest.mp4");
    let (firmware_set, medium_set) = (format!("guest.firmware={firmware}"), format!("guest.medium={medium}"));
    let run = console.run(&[
        "up",
        "--json",
        "--set",
        &firmware_set,
        "--set",
        &medium_set,
        "--shot",
        shot.to_str().unwrap(),
        "--record",
        video.to_str().unwrap(),
        repo.to_str().unwrap(),
    ]);
    assert_eq!(run.code, 0, "{:#?}\n{}", run.events, run.stderr);

    let built = &run.event("image_built")["image"];
    assert_eq!(built["tree_hash"], expected.as_str(), "what was injected is not what should have been");
    let report = run.event("guest_reported");
    assert_eq!(report["report"]["tree"], expected.as_str(), "what the guest found is not what was injected");
    assert_eq!(report["matches"], true);
    assert_eq!(report["report"]["firmware"], firmware);
    assert_eq!(report["report"]["path"], "/root/distro");
    assert_eq!(report["report"]["accelerator"], "tcg");
    assert_eq!(run.phases()[1..], ["preparing", "building", "booting", "running", "ejecting", "idle"]);

    let picture = image::open(&shot).unwrap().to_rgb8();
    let first = picture.get_pixel(0, 0);
    assert!(picture.width() >= 640 && picture.height() >= 400);
    assert!(picture.pixels().any(|p| p != first), "the screen is uniform");

    let recorded = run.event("recording_ended");
    assert_eq!(recorded["files"][0], video.to_str().unwrap());
    let words = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"];
    let probe = std::process::Command::new("ffprobe").args(words).arg(&video).output().unwrap();
    let whole: f64 = String::from_utf8(probe.stdout).unwrap().trim().parse().unwrap();
    let length = recorded["length_ms"].as_f64().unwrap() / 1000.0;
    // A guest whose screen grows continues in another file.
    assert!(whole > 0.5 && whole < length + 0.3, "{whole} s of {recorded}");

    assert_eq!(run.event("ejected")["report"]["untouched"], serde_json::json!([]));
    console.assert_clean();
    assert!(Path::new(built["iso"].as_str().unwrap()).is_file(), "the image is kept by an eject");
    assert_eq!(cartridge_treehash::hash_tree(&repo).unwrap(), before, "the repository is only read");
}

#[test]
fn bios_from_cd() {
    full_job("bios", "cd");
}

#[test]
fn bios_from_usb() {
    full_job("bios", "usb");
}

#[test]
fn uefi_from_cd() {
    full_job("uefi", "cd");
}

#[test]
fn uefi_from_usb() {
    full_job("uefi", "usb");
}

#[test]
fn the_builtin_cartridge_builds_again_in_no_time_and_boots_from_a_later_session() {
    let console = Console::new();
    let first = console.run(&["build", "--builtin", "--json"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let again = console.run(&["build", "--builtin", "--json"]);
    assert_eq!(again.event("image_built")["image"]["reused"], true);
    let boot = console.run(&["boot", "--builtin", "--json", "--set", "guest.memory=1G"]);
    assert_eq!(boot.code, 0, "{:#?}\n{}", boot.events, boot.stderr);
    assert_eq!(boot.event("guest_reported")["matches"], true);
    console.assert_clean();

    // Everything goes only when it is said, and the user is shown what.
    let dry = console.run(&["eject", "--dry-run", "--json"]);
    let listed = dry.event("surveyed")["surveys"].as_array().unwrap().len();
    assert!(listed >= 2 && console.home.path().join("cache/cartridge/images").exists());
    let unasked = console.run(&["eject", "--everything", "--json"]);
    assert_eq!(unasked.code, 2, "nobody could be asked");
    assert!(unasked.failure()["detail"].as_str().unwrap().contains("say --yes"));
    assert_eq!(console.run(&["eject", "--everything", "--yes", "--json"]).code, 0);
    assert!(!console.home.path().join("cache/cartridge/images").exists());
    assert!(!console.home.path().join("cache/cartridge/stages").exists());
    let gone = console.run(&["boot", "--builtin", "--json"]);
    assert_eq!((gone.code, gone.event("refused")["denied"].as_str()), (3, Some("no_image")));
}
