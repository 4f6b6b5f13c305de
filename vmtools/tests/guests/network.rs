//! What of a guest can be reached, and by whom.

use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use vmtools::{Boot, Forward, GuestEvent, Machine, Network};

use crate::harness::{Guest, machine, plan};

/// The local addresses, in /proc/net's hexadecimal form, of the TCP and UDP sockets of process `pid`.
fn sockets(pid: u32) -> BTreeSet<String> {
    let inodes: BTreeSet<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|fd| std::fs::read_link(fd.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    assert!(inodes.len() >= 3, "QEMU's own unix sockets were not seen");
    let mut found = BTreeSet::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        for line in std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default().lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            if inodes.contains(fields[9]) {
                found.insert(format!("{table} {}", fields[1]));
            }
        }
    }
    found
}

fn check_directory(guest: &Guest) {
    assert_eq!(guest.runtime.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let sockets = std::fs::read_dir(&guest.runtime).unwrap().flatten();
    assert_eq!(sockets.filter(|entry| entry.file_type().unwrap().is_socket()).count(), 3);
    let pid = std::fs::read_to_string(guest.runtime.join("qemu.pid")).unwrap();
    assert_eq!(pid.trim(), guest.handle.pid().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens_unless_asked() {
    let guest = plan(machine(), Boot::Nothing).start().await.unwrap();
    check_directory(&guest);
    assert_eq!(sockets(guest.handle.pid()), BTreeSet::new());
    guest.handle.end(|_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_listens_on_this_machine_only() {
    let forward = |name: &str, guest_port| Forward { name: name.into(), guest_port, host_port: None };
    let forwards = vec![forward("ssh", 22), forward("web", 80)];
    let mut guest = plan(Machine { forwards, ..machine() }, Boot::Nothing).start().await.unwrap();
    check_directory(&guest);
    let mut expected = BTreeSet::new();
    for (name, port) in [("ssh", 22), ("web", 80)] {
        let host_port = guest
            .until("a forward", |event| match event {
                GuestEvent::Forwarded { name: n, guest_port, host_port } if n == name && *guest_port == port => {
                    Some(*host_port)
                }
                _ => None,
            })
            .await;
        std::net::TcpStream::connect(("127.0.0.1", host_port)).unwrap();
        expected.insert(format!("tcp 0100007F:{host_port:04X}"));
    }
    let found = sockets(guest.handle.pid());
    assert!(expected.is_subset(&found), "{expected:?} {found:?}");
    assert!(found.iter().all(|address| address.starts_with("tcp 0100007F:")), "{found:?}");
    guest.handle.end(|_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_was_asked_for_is_had_or_said_to_be_taken() {
    // One that was free a moment ago.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host_port = held.local_addr().unwrap().port();
    let forwards = vec![Forward { name: "web".into(), guest_port: 80, host_port: Some(host_port) }];
    let machine = Machine { forwards, ..machine() };
    let error = plan(machine.clone(), Boot::Nothing).start().await.err().unwrap().to_string();
    for part in [&format!("port {host_port} of this machine"), "port 80 (web)", "in use", "choose another one"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    drop(held);
    let mut guest = plan(machine, Boot::Nothing).start().await.unwrap();
    let told = guest
        .until("the forward", |event| match event {
            GuestEvent::Forwarded { host_port, .. } => Some(*host_port),
            _ => None,
        })
        .await;
    assert_eq!(told, host_port);
    std::net::TcpStream::connect(("127.0.0.1", host_port)).unwrap();
    guest.handle.end(|_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_without_a_network_has_no_card() {
    let alone = Machine { network: Network::None, ..machine() };
    let guest = plan(alone, Boot::Nothing).start().await.unwrap();
    check_directory(&guest);
    assert_eq!(sockets(guest.handle.pid()), BTreeSet::new());
    guest.handle.end(|_, _| {}).await;
}
