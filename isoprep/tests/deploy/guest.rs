//! On USB sticks: a guest with a kernel of its own has them, and this side makes them, pulls one, spoils another, and looks at the end
//! what is on each. What is done with them is in `inside`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::inside::{IMAGE, MIB, Stick};
use crate::pattern::pattern;
use crate::qemu::{Drive, Guest};

/// This very program, in the guest.
const SCRIPT: &str = "CARTRIDGE_INSIDE=1 /bin/inside --exact inside::all --nocapture --test-threads 1\n";

/// A stick's file, full of `0xEE`, as if something had been on it.
fn made(dir: &Path, stick: Stick) -> PathBuf {
    let path = dir.join(stick.id());
    std::fs::write(&path, vec![0xee; stick.bytes()]).unwrap();
    path
}

/// Gives it one partition, from its second MiB on, with a file system in it.
fn partition(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    let bytes = file.metadata().unwrap().len();
    let (from, sectors) = (2048_u32, u32::try_from(bytes / 512).unwrap() - 2048);
    let mut table = [0; 512];
    // Kind 0x83, addresses in sectors alone.
    table[446..450].copy_from_slice(&[0, 0xfe, 0xff, 0xff]);
    table[450..454].copy_from_slice(&[0x83, 0xfe, 0xff, 0xff]);
    table[454..458].copy_from_slice(&from.to_le_bytes());
    table[458..462].copy_from_slice(&sectors.to_le_bytes());
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    file.write_all_at(&table, 0).unwrap();
    let blocks = (sectors / 8).to_string();
    let made = Command::new("mkfs.ext4")
        .args(["-qF", "-b", "4096", "-O", "^has_journal", "-E", "offset=1048576"])
        .arg(path)
        .arg(blocks)
        .status()
        .unwrap();
    assert!(made.success());
}

fn drive(path: &Path, stick: Stick) -> Drive {
    let file = path.display();
    // Some write slowly, so that there is a middle of writing.
    let drive = match stick {
        Stick::Failing => format!(
            "driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={file},\
             file.inject-error.0.event=write_aio,file.inject-error.0.iotype=write,file.inject-error.0.sector={},\
             file.inject-error.0.errno=5,file.inject-error.0.once=off",
            12 * MIB / 512
        ),
        Stick::ReadOnly => format!("format=raw,readonly=on,file={file}"),
        Stick::Pulled | Stick::Cancelled => format!("format=raw,throttling.bps-write={},file={file}", 4 * MIB),
        _ => format!("format=raw,file={file}"),
    };
    let device = match stick {
        Stick::BuiltIn => "virtio-blk-pci",
        // A case with a disk in it: what is taken away is the case.
        Stick::Case => "usb-storage,bus=xhci.0,removable=off",
        _ => "usb-storage,bus=xhci.0,removable=on",
    };
    Drive { id: stick.id(), drive, device }
}

fn head_is_blank(path: &Path) -> bool {
    std::fs::read(path).unwrap()[..4 * MIB].iter().all(|it| *it == 0)
}

fn holds_image(path: &Path) -> bool {
    let there = std::fs::read(path).unwrap();
    there[..IMAGE] == pattern(IMAGE) && there[there.len() - MIB..].iter().all(|it| *it == 0)
}

/// The helper, where this workspace has built it: its package's own tests need it.
fn helper() -> Option<PathBuf> {
    let beside = std::env::current_exe().unwrap().parent()?.parent()?.join("deploy-helper");
    beside.exists().then_some(beside)
}

#[test]
fn sticks_of_a_guest_are_written_refused_pulled_and_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let file = |stick| dir.path().join(Stick::id(stick));
    for stick in Stick::ALL {
        made(dir.path(), stick);
    }
    partition(&file(Stick::InUse));
    let drives: Vec<_> = Stick::ALL.iter().map(|it| drive(&file(*it), *it)).collect();
    let dmsetup = ["/usr/sbin/dmsetup", "/sbin/dmsetup", "/usr/bin/dmsetup"].map(PathBuf::from);
    let dmsetup = dmsetup.into_iter().find(|it| it.exists());
    let own = std::env::current_exe().unwrap();
    let mut programs = vec![(own, PathBuf::from("/bin/inside"))];
    programs.extend(dmsetup.into_iter().map(|it| (it, PathBuf::from("/bin/dmsetup"))));
    let helper = helper();
    let helps = helper.is_some();
    match helper {
        Some(helper) => {
            let pkexec = dir.path().join("pkexec");
            let script = "#!/bin/sh\n[ \"$1\" = --disable-internal-agent ] && shift\nPKEXEC_UID=1000 exec \"$@\"\n";
            std::fs::write(&pkexec, script).unwrap();
            programs.extend([(helper, isoprep::deploy::HELPER.into()), (pkexec, "/bin/pkexec".into())]);
        }
        None => eprintln!("the helper is not built: cargo build -p deploy-helper"),
    }
    let guest = Guest::start(dir.path(), &drives, &programs, SCRIPT);

    guest.until("SPOIL NOW");
    File::options().write(true).open(file(Stick::Lying)).unwrap().write_all_at(&[0x99; 512], 9 * MIB as u64).unwrap();
    guest.until("PULL NOW");
    guest.pull(Stick::Pulled.id());
    assert!(guest.end().contains("INSIDE DID ALL"));

    for stick in [Stick::Good, Stick::Case, Stick::InUse] {
        assert!(holds_image(&file(stick)), "{stick:?}");
    }
    if helps {
        assert!(holds_image(&file(Stick::Helped)));
    }
    for stick in [Stick::Cancelled, Stick::Pulled, Stick::Lying, Stick::Failing] {
        assert!(head_is_blank(&file(stick)), "{stick:?}");
    }
    for stick in [Stick::Small, Stick::ReadOnly, Stick::BuiltIn] {
        assert!(std::fs::read(file(stick)).unwrap().iter().all(|it| *it == 0xee), "{stick:?}");
    }
}
