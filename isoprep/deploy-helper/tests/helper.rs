//! The helper as pkexec starts it: what it refuses, with the reason, and that nothing is handed over then. That it opens a stick is
//! tested where there is one, in a guest (isoprep, tests/deploy).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use cartridge_disks::{Disk, Tree, Wanted, scan};

/// Starts it with a socket as its input, and says how it ended and what it said.
fn ask(uid: Option<&str>, args: &[&str], request: &str) -> (Option<i32>, String) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_deploy-helper"));
    command.args(args).env_clear().stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs))).stderr(Stdio::piped());
    if let Some(uid) = uid {
        command.env("PKEXEC_UID", uid);
    }
    let child = command.spawn().unwrap();
    drop(command);
    ours.write_all(request.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    // Nothing came back: a descriptor would have come with a byte. Input that it had not read resets the socket.
    let mut back = Vec::new();
    let _ = ours.read_to_end(&mut back);
    assert_eq!(back, b"");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn request(wanted: &Wanted) -> String {
    let text = format!(
        r#"{{"disk":{{"name":"{}","number":{{"major":{},"minor":{}}},"sequence":{},"bytes":{}}},"needed":1}}"#,
        wanted.name,
        wanted.number.major,
        wanted.number.minor,
        wanted.sequence.map_or("null".to_owned(), |it| it.to_string()),
        wanted.bytes
    );
    text + "\n"
}

fn refused(wanted: &Wanted, words: &str) {
    let (code, said) = ask(Some("1000"), &[&wanted.name], &request(wanted));
    assert!(code == Some(70) && said.contains(words), "{wanted:?}: {code:?} {said}");
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: this is for root to try");
    }
    root
}

#[test]
fn it_takes_a_request_of_pkexec_s_and_nothing_else() {
    for (uid, args, text, words) in [
        (Some("1000"), &[][..], "", "takes one argument"),
        (Some("1000"), &["sdb", "sdc"], "", "takes one argument"),
        (None, &["sdb"], "", "PKEXEC_UID names none"),
        (Some("0"), &["sdb"], "", "PKEXEC_UID names none"),
    ] {
        let (code, said) = ask(uid, args, text);
        assert!(code == Some(70) && said.contains(words), "{said}");
    }
    let root = rustix::process::geteuid().is_root();
    let (code, said) = ask(Some("1000"), &["sdb"], "{}\n");
    let words = if root { "the request is not one" } else { "it is not root" };
    assert!(code == Some(70) && said.contains(words), "{said}");
    // Who agreed has read another name.
    let number = cartridge_disks::DeviceNumber { major: 8, minor: 16 };
    let wanted = Wanted { name: "sdb".into(), number, sequence: None, bytes: 1 << 30 };
    let (code, said) = ask(Some("1000"), &["sdc"], &request(&wanted));
    let words = if root { "a request for that disk" } else { "it is not root" };
    assert!(code == Some(70) && said.contains(words), "{said}");
}

#[test]
fn it_opens_no_disk_of_this_host_that_is_no_stick() {
    if !is_root() {
        return;
    }
    let disks = scan(&Tree::default()).unwrap();
    // Loop devices come and go while others are tested.
    let kept: Vec<&Disk> = disks.iter().filter(|it| !it.removable && !it.name.starts_with("loop")).collect();
    if kept.is_empty() {
        eprintln!("skipped: this host shows no disk");
    }
    for disk in kept {
        refused(&Wanted::of(disk), "is not written to");
    }
}

#[test]
fn it_believes_nothing_that_it_is_told_of_a_disk() {
    if !is_root() {
        return;
    }
    let disks = scan(&Tree::default()).unwrap();
    let Some(disk) = disks.iter().find(|it| !it.name.starts_with("loop")) else {
        return eprintln!("skipped: this host shows no disk");
    };
    let wanted = Wanted::of(disk);
    refused(&Wanted { bytes: wanted.bytes + 512, ..wanted.clone() }, "is another disk now");
    refused(&Wanted { sequence: Some(u64::MAX), ..wanted.clone() }, "is another disk now");
    refused(&Wanted { name: "sdzz".into(), ..wanted.clone() }, "is another disk now");
    let number = cartridge_disks::DeviceNumber { major: 4095, minor: 7 };
    refused(&Wanted { number, ..wanted }, "not there any more");
}
