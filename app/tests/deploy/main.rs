//! `cartridge deploy`: what it says and refuses on this host, and all of it on the USB sticks of a guest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "../../../isoprep/tests/deploy/pattern.rs"]
mod pattern;
#[path = "../../../isoprep/tests/deploy/qemu.rs"]
#[allow(dead_code, reason = "nothing is pulled here")]
mod qemu;

use qemu::{Drive, Guest};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cartridge");
const MIB: usize = 1 << 20;

/// Runs it as somebody with nothing of his own but `home`.
fn deploy(home: &Path, args: &[&str]) -> Output {
    Command::new(PROGRAM)
        .arg("deploy")
        .args(args)
        .env("HOME", home)
        .envs(["XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"].map(|it| (it, home.join(it))))
        .env("XDG_RUNTIME_DIR", home)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn nothing_is_written_to_what_is_no_stick_and_without_a_yes() {
    let home = tempfile::tempdir().unwrap();
    let image = home.path().join("image.iso");
    pattern::image(&image, 4096);
    let image = image.to_str().unwrap();
    let listed = deploy(home.path(), &["--list"]);
    assert_eq!(listed.status.code(), Some(0), "{}", said(&listed));
    for (args, code, words) in [
        (vec![image, "--to", "/dev/no-such", "--confirm", "no-such"], 2, "is no disk"),
        (vec![image, "--to", "/dev/null", "--confirm", "null"], 2, "is no disk"),
        (vec![image, "--to", "loop0", "--confirm", "loop0"], 2, "is no disk"),
        (vec![image], 2, "no"),
        (vec!["/etc/passwd", "--to", "/dev/no-such", "--confirm", "no-such"], 2, "neither an ISO"),
        (vec!["/nowhere.iso", "--list"], 2, "No such file"),
        (vec![], 2, "IMAGE"),
        (vec![image, "--confirm", "sdb"], 2, "--to"),
    ] {
        let output = deploy(home.path(), &args);
        assert!(output.status.code() == Some(code) && said(&output).contains(words), "{args:?}: {}", said(&output));
    }
    // The disk that this system is on, where it is a disk.
    let disks = isoprep::deploy::scan(&isoprep::deploy::Tree::default()).unwrap();
    let system = disks.iter().find(|it| {
        let refusal = isoprep::deploy::verdict(it, 1, isoprep::deploy::Policy::Removable);
        matches!(refusal, Err(isoprep::deploy::Refusal::System { .. })) && it.bus != isoprep::deploy::Bus::Virtual
    });
    match system {
        Some(disk) => {
            let output = deploy(home.path(), &[image, "--to", disk.path().to_str().unwrap(), "--confirm", &disk.name]);
            assert_eq!(output.status.code(), Some(2));
            assert!(said(&output).contains("the running system is on it"), "{}", said(&output));
        }
        None => eprintln!("this system is on no disk of its own"),
    }
}

/// All that is done in the guest; each answer is looked at on the host.
const SCRIPT: &str = r#"
export HOME=/root
do_it() { echo "RUN $*"; cartridge deploy "$@" </dev/null 2>&1; echo "CODE $?"; }
of() { for it in /sys/block/sd*; do if [ "$(cat $it/size)" = $(($1 * 2048)) ]; then echo ${it##*/}; fi; done; }
until [ -n "$(of 32)" -a -n "$(of 33)" -a -n "$(of 34)" ]; do sleep 0.2; done
one=$(of 32) two=$(of 33) slow=$(of 34)
echo "STICKS $one $two $slow ."
do_it --list
do_it /image --to /dev/$one
do_it /image --to /dev/$one --confirm $two
do_it /image --to ${two}1 --confirm ${two}1
do_it /image --to vda --confirm vda
do_it /image --to /dev/$one --confirm $one
cartridge deploy /image --to /dev/$slow --confirm $slow --json </dev/null >/tmp/killed 2>&1 &
until grep -q '"stage":"writing"' /tmp/killed; do sleep 0.1; done
kill -KILL $!
wait $!
echo "KILLED $?"
tries=0
while ls -l /proc/[0-9]*/exe 2>/dev/null | grep -q /bin/cartridge && [ $tries -lt 2400 ]; do sleep 0.1; tries=$((tries + 1)); done
ls -l /proc/[0-9]*/exe 2>/dev/null | grep -q /bin/cartridge || echo "NOTHING RUNS"
cartridge deploy /image --to /dev/$slow --confirm $slow --json </dev/null >/tmp/told 2>&1 &
until grep -q '"stage":"writing"' /tmp/told; do sleep 0.1; done
kill -TERM $!
wait $!
echo "CANCELLED $?"
grep -e deploy_failed -e finished /tmp/told
true
"#;

#[test]
fn an_image_is_written_to_a_stick_by_the_program_itself() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let wanted = pattern::image(&file("image"), 12 * MIB + 700);
    let sticks = [
        ("one", 32, "usb-storage,bus=xhci.0,removable=on", ""),
        ("two", 33, "usb-storage,bus=xhci.0,removable=on", ""),
        ("slow", 34, "usb-storage,bus=xhci.0,removable=on", ",throttling.bps-write=1048576"),
        ("disk", 35, "virtio-blk-pci", ""),
    ];
    let mut drives = Vec::new();
    for (id, size, device, more) in sticks {
        let mut bytes = vec![0xee; size * MIB];
        // A table with one partition.
        bytes[446..510].fill(0);
        bytes[446..462].copy_from_slice(&[0, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff, 0, 8, 0, 0, 0, 8, 0, 0]);
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        std::fs::write(file(id), bytes).unwrap();
        drives.push(Drive { id, drive: format!("format=raw{more},file={}", file(id).display()), device });
    }
    let programs = [(PathBuf::from(PROGRAM), PathBuf::from("/bin/cartridge")), (file("image"), "/image".into())];
    let text = Guest::start(dir.path(), &drives, &programs, SCRIPT).end();
    let text = text.replace('\r', "");

    let names = text.split_once("STICKS ").unwrap().1.split(' ').take(2).collect::<Vec<_>>();
    let (one, two) = (names[0], names[1]);
    let runs: Vec<_> = text.split("RUN ").skip(1).collect();
    for (index, (code, words)) in [
        (0, "refused  vda        disk, 36.7 MB                        it is built in".to_owned()),
        (2, "there is no terminal to ask at; say --to DEVICE --confirm NAME".to_owned()),
        (2, format!("\"{two}\" was typed, and the disk is called {one}")),
        (2, format!("{two}1 is a partition of {two}, not a whole disk\n  next: Name the whole disk: /dev/{two}")),
        (2, "vda: it is built in".to_owned()),
        (0, "It is ejected: pull it out".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let run = runs[index];
        assert!(run.contains(&format!("CODE {code}\n")) && run.contains(&words), "{words}\n{run}");
    }
    assert!(runs[0].contains(&format!("ok       {one}        QEMU QEMU HARDDISK, 33.6 MB")), "{}", runs[0]);
    assert!(text.contains("KILLED 137") && text.contains("NOTHING RUNS"), "{text}");
    assert!(text.contains("CANCELLED 130"), "{text}");
    assert!(text.contains("\"title\":\"Cancelled: the disk is now not bootable\""), "{text}");
    let there = |id: &str| std::fs::read(file(id)).unwrap();
    assert!(there("one")[..wanted.len()] == wanted);
    assert!(there("slow")[..4 * MIB].iter().all(|it| *it == 0), "its head is empty");
    assert!(there("two")[512..].iter().all(|it| *it == 0xee) && there("disk")[512..].iter().all(|it| *it == 0xee));
}
