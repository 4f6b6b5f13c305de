//! The guest's settings from the recipe to the guest: what it sees, what stays of it, and the command that boots it without us.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::Console;

/// How long a guest may take to come up and go, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(240);

const GUEST: &str = "[guest]\nmemory = \"512M\"\ncpus = 1\naccelerator = \"tcg\"\n";

/// What the guest's shell is asked to do. The marks are put together, so that the echo of the command is no answer.
const ASKED: &str = r#"
modprobe -a virtio_pci virtio_blk ahci sr_mod; sleep 3
for d in /sys/block/vd*; do echo "DI""SK $(cat $d/serial) $(cat $d/size)"; echo kept-words | dd of=/dev/${d##*/} conv=fsync 2>/dev/null; done
echo "TP""M $(ls /sys/class/tpm)"; echo "NE""T $(ls /sys/class/net | tr '\n' ' ')"; echo "C""D $(cat /sys/block/sr1/size)"; sync; echo "DO""NE"; poweroff -f
"#;

/// Runs `line` in a shell as a terminal would, types [`ASKED`] once a prompt is there, and returns all that was printed.
fn terminal(console: &Console, line: &str) -> String {
    let mut child = Command::new("sh")
        .args(["-c", line])
        .env("TMPDIR", console.dir("tmp dir"))
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (sender, pieces) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(more @ 1..) = screen.read(&mut bytes) {
            let _ = sender.send(bytes[..more].to_vec());
        }
    });
    let (mut text, mut asked, end) = (String::new(), false, Instant::now() + LIMIT);
    loop {
        match pieces.recv_timeout(Duration::from_millis(200)) {
            Ok(piece) => text.push_str(&String::from_utf8_lossy(&piece)),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
        }
        let line = text.trim_end_matches("\u{1b}[6n");
        if !asked && (line.ends_with("# ") || line.ends_with("$ ")) {
            asked = true;
            keys.write_all(ASKED.replace('\n', "\r").as_bytes()).unwrap();
            keys.flush().unwrap();
        }
        if Instant::now() > end {
            let _ = child.kill();
            panic!("the guest did not end: {text}");
        }
    }
    assert!(child.wait().unwrap().success(), "{text}");
    assert!(asked, "no prompt: {text}");
    text
}

fn answers(text: &str, mark: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix(mark));
    lines.map(|rest| rest.trim().to_owned()).collect()
}

#[test]
fn the_printed_command_boots_the_guest_with_all_its_devices_and_without_us() {
    let console = Console::new();
    let repo = console.repository("distro");
    let old = console.dir("my images").join("an old one.img");
    fs::write(&old, vec![7; 8 << 20]).unwrap();
    let iso = console.home.path().join("extra.iso");
    fs::write(&iso, vec![0; 3 << 20]).unwrap();
    let settings = format!(
        "{GUEST}network = \"none\"\ntpm = true\ndisk = \"32M\"\nextra_iso = \"../extra.iso\"\n\
         disks = {{ data = \"16M\", system = \"64M keep\", old = \"../my images/an old one.img\" }}\n"
    );
    fs::write(repo.join("cartridge.toml"), settings).unwrap();
    let path = repo.to_str().unwrap();
    let early = console.run(&["boot", "--print-command", path]);
    assert!(early.code == 3 && early.stderr.contains("There is no image yet"), "{}{}", early.code, early.stderr);
    let built = console.run(&["build", "--json", path]);
    assert_eq!(built.code, 0, "{}", built.stderr);

    let printed = console.run(&["boot", "--print-command", path]);
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    let line = printed.stdout.trim_end();
    assert!(!line.contains('\n') && !line.contains("/run/"), "{line}");
    // After an eject, as somebody who has copied it does.
    assert_eq!(console.run(&["eject"]).code, 0);
    let text = terminal(&console, line);
    let mut disks = answers(&text, "DISK ");
    disks.sort();
    assert_eq!(disks, ["data 32768", "disk 65536", "old 16384", "system 131072"], "{text}");
    assert_eq!(answers(&text, "TPM "), ["tpm0"], "{text}");
    assert_eq!(answers(&text, "NET "), ["lo"], "{text}");
    assert_eq!(answers(&text, "CD "), [(3 * 2048).to_string()], "{text}");
    assert_eq!(answers(&text, "DONE").len(), 1, "{text}");

    assert_eq!(fs::read(&old).unwrap(), vec![7; 8 << 20], "an image of the user's was written");
    assert_eq!(fs::read_dir(console.dir("tmp dir")).unwrap().count(), 0, "the temporary folder stayed");
    let kept = kept(&console, "system");
    assert!(has(&kept, b"kept-words"), "the kept disk has lost what the guest wrote");
}

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
    assert!(asked.code == 2 && disk.exists() && asked.stderr.contains("say --yes"), "{} {}", asked.code, asked.stderr);
    let wrong = console.run(&["disks", "--remove", "data", "--yes", path]);
    assert!(wrong.code == 2 && wrong.stderr.contains("no kept disk called data; it has system"), "{}", wrong.stderr);
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
        ("guest.disks={ x = \"absent.img\" }", 2, "absent.img does not exist"),
        ("guest.disks={ x = \"raw.img\" }", 3, "called like a raw image, but begins like qcow2"),
        ("guest.extra_iso=none.iso", 2, "none.iso does not exist"),
        ("guest.gpu=virtio-gl", 4, "virtio-gl"),
        ("guest.qemu_args=-monitor, tcp::1", 2, "Cartridge controls the guest"),
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
