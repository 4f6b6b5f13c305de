//! The guest's settings from the recipe to the guest: what stays of it, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use support::Console;

const GUEST: &str = "[guest]\nmemory = \"512M\"\ncpus = 1\naccelerator = \"tcg\"\n";

/// The file of a kept disk, found by its name.
fn kept(console: &Console, name: &str) -> std::path::PathBuf {
    let listed = console.run(&["disks", "--json"]);
    let disk =
        listed.events.iter().find(|it| it["disk"]["name"] == name).unwrap_or_else(|| panic!("{}", listed.stdout));
    disk["disk"]["path"].as_str().unwrap().into()
}

fn has(file: &Path, words: &[u8]) -> bool {
    fs::read(file).unwrap().windows(words.len()).any(|bytes| bytes == words)
}

#[test]
fn a_kept_disk_outlives_every_eject_and_the_others_do_not() {
    let console = Console::new();
    let repo = console.repository("distro");
    let settings = format!("{GUEST}disk = \"32M\"\ndisks = {{ data = \"16M\", system = \"64M keep\" }}\n");
    fs::write(repo.join("cartridge.toml"), settings).unwrap();
    let path = repo.to_str().unwrap();
    let up = console.run(&["up", "--json", "--until-report", path]);
    assert_eq!(up.code, 0, "{}", up.stderr);
    let command = up.event("guest_started")["command"].as_str().unwrap().to_owned();
    assert!(command.contains("-serial mon:stdio") && !command.contains("/run/cartridge"), "{command}");
    let disk = kept(&console, "system");
    let stamp = || fs::metadata(&disk).unwrap().created().unwrap();
    let (made, mut file) = (stamp(), fs::OpenOptions::new().append(true).open(&disk).unwrap());
    file.write_all(b"the user's own").unwrap();
    drop(file);
    let booted = console.run(&["boot", "--json", "--until-report", path]);
    assert_eq!(booted.code, 0, "{}", booted.stderr);
    assert_eq!(console.run(&["eject", "--everything", "--yes"]).code, 0);
    assert!(stamp() == made && has(&disk, b"the user's own"), "the kept disk was made anew");
    let mut images = Vec::new();
    walk(console.home.path(), &mut images);
    assert_eq!(images, std::slice::from_ref(&disk), "another disk is left");

    let asked = console.run(&["disks", "--remove", "system", path]);
    assert!(asked.code == 130 && disk.exists(), "nobody could be asked");
    let wrong = console.run(&["disks", "--remove", "data", "--yes", path]);
    assert!(wrong.code == 9 && wrong.stderr.contains("no kept disk called data"), "{}", wrong.stderr);
    let removed = console.run(&["disks", "--remove", "system", "--yes", path]);
    assert!(removed.code == 0 && !disk.exists(), "{}", removed.stderr);
    console.assert_clean();
}

/// All disk images below `dir`.
fn walk(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), found);
        } else if entry.path().extension().is_some_and(|it| it == "qcow2") {
            found.push(entry.path());
        }
    }
}

#[test]
fn what_a_guest_cannot_have_is_said_before_it_boots() {
    let console = Console::new();
    let repo = console.repository("distro");
    let path = repo.to_str().unwrap().to_owned();
    assert_eq!(console.run(&["build", "--json", &path]).code, 0);
    fs::write(repo.join("raw.img"), b"QFI\xfb and more").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let web = format!("{{ web = \"{}:80\" }}", port.local_addr().unwrap().port());
    for (set, code, words) in [
        ("guest.disks={ x = \"absent.img\" }", 3, "absent.img does not exist"),
        ("guest.disks={ x = \"raw.img\" }", 3, "called like a raw image, but begins like qcow2"),
        ("guest.extra_iso=none.iso", 3, "none.iso does not exist"),
        ("guest.gpu=virtio-gl", 4, "virtio-gl"),
        ("guest.qemu_args=-monitor, tcp::1", 3, "Cartridge controls the guest"),
        (&format!("guest.forward={web}"), 6, "choose another one"),
    ] {
        if set.ends_with("virtio-gl") && Path::new("/dev/dri/renderD128").exists() {
            continue;
        }
        let run = console.run(&["boot", "--json", "--until-report", "--set", set, &path]);
        let failure = run.failure();
        assert_eq!(run.code, code, "{set}: {failure}");
        let said = format!("{} {}", failure["title"], failure["detail"]);
        assert!(said.contains(words), "{set}: {said}");
    }
    console.assert_clean();
}
