//! Five kinds of graphics that QEMU has (standard, Cirrus, VMware, ATI, virtio) show the same picture, whether Cartridge offers them or not: to
//! our client, vnc-rs and libvncclient. Whoever attaches to a guest of others meets any of them.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cartridge_supervise::{CommandLine, ProcessHandle, spawn};

use crate::boot_sector;
use crate::example_server::Silent;
use crate::harness::SOON;
use crate::libvnc::LibVnc;
use crate::own_client::colours;
use crate::recorded::record;

/// A QEMU that nobody but this test knows; it ends with this.
struct Bare {
    process: ProcessHandle,
    dir: tempfile::TempDir,
}

impl Bare {
    fn with(device: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let medium = dir.path().join("medium.img");
        std::fs::rename(boot_sector::medium(dir.path(), boot_sector::COLOURS), &medium).unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let line = CommandLine::new("qemu-system-x86_64")
            .args(["-nodefaults", "-accel", "tcg", "-m", "64", "-device", device, "-drive"])
            .arg(format!("file={},format=raw", medium.display()))
            .args(["-vnc", &format!("unix:{}", at("vnc"))])
            .args(["-serial", &format!("unix:{},server=on,wait=off", at("serial"))]);
        Self { process: spawn(&line, Silent).unwrap(), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_clients_see_the_same_of_five_vga_devices() {
    let libvnc = LibVnc::compile().unwrap();
    let mut first = None;
    for device in ["VGA", "cirrus-vga", "vmware-svga", "ati-vga", "virtio-vga"] {
        let bare = Bare::with(device);
        let end = Instant::now() + SOON;
        while UnixStream::connect(bare.path("vnc")).is_err() {
            assert!(Instant::now() < end && bare.process.exit().is_none(), "{device}: {:?}", bare.process.exit());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut serial = UnixStream::connect(bare.path("serial")).unwrap();
        let path = bare.path("vnc");
        let drawn = |rgba: &[u8]| colours(rgba) > 100 && rgba.ends_with(&[0, 0, 168, 255]);
        let recording = tokio::task::spawn_blocking(move || record(&path, 0, |decoder| drawn(&decoder.rgba())));
        while !recording.is_finished() {
            assert!(Instant::now() < end, "{device}: the guest does not draw");
            // It misses what comes while the firmware still works.
            serial.write_all(b"a").unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let recorded = recording.await.unwrap();
        let all = recorded.bytes.len();
        let ours = recorded.ours(all);
        let theirs = libvnc.picture(&recorded, all, "raw");
        assert!(ours == (theirs.size, theirs.rgba), "{device}: libvncclient sees another picture");
        assert!(ours == recorded.by_vnc_rs(all, vnc::VncEncoding::Raw).await, "{device}: vnc-rs sees another picture");
        assert!(*first.get_or_insert_with(|| ours.clone()) == ours, "{device} shows another picture");
    }
}
