//! What is done with the sticks, in the guest: the same program, started by the guest's first process.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cartridge_supervise::Cancel;
use isoprep::deploy::{
    Away, Bus, DeployError, DeployRequest, DeployStage, DeployStep, Deployed, Disk, OpenError, Policy, Refusal, Tree,
    Wanted, Way, deploy, named, scan, verdict,
};

use crate::pattern::image;

pub const MIB: usize = 1 << 20;
/// The image's bytes: no whole block.
pub const IMAGE: usize = 20 * MIB + 700;

/// The guest's sticks. Each has a size of its own, by which it is known inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stick {
    Good,
    Case,
    InUse,
    Helped,
    Small,
    ReadOnly,
    BuiltIn,
    Failing,
    Lying,
    Cancelled,
    Pulled,
}

impl Stick {
    pub const ALL: [Self; 11] = [
        Self::Good,
        Self::Case,
        Self::InUse,
        Self::Helped,
        Self::Small,
        Self::ReadOnly,
        Self::BuiltIn,
        Self::Failing,
        Self::Lying,
        Self::Cancelled,
        Self::Pulled,
    ];

    pub fn id(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Case => "case",
            Self::InUse => "in-use",
            Self::Helped => "helped",
            Self::Small => "small",
            Self::ReadOnly => "read-only",
            Self::BuiltIn => "built-in",
            Self::Failing => "failing",
            Self::Lying => "lying",
            Self::Cancelled => "cancelled",
            Self::Pulled => "pulled",
        }
    }

    pub fn bytes(self) -> usize {
        let index = Self::ALL.iter().position(|it| *it == self).unwrap();
        if self == Self::Small { 16 * MIB } else { (40 + index) * MIB }
    }

    fn disk(self) -> Disk {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            let all = scan(&Tree::default()).unwrap();
            if let Some(disk) = all.iter().find(|it| it.bytes == self.bytes() as u64 && it.bus != Bus::Virtual) {
                return disk.clone();
            }
            assert!(Instant::now() < end, "{self:?} is not there: {all:#?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn refusal(self) -> Refusal {
        verdict(&self.disk(), IMAGE as u64, Policy::Removable).unwrap_err()
    }

    /// As the program does it: the policy is its own.
    fn request(self) -> DeployRequest {
        DeployRequest {
            image: "/tmp/image".into(),
            disk: Wanted::of(&self.disk()),
            policy: Policy::Removable,
            ways: Way::ALL.to_vec(),
            eject: true,
        }
    }

    fn deploy(self, tell: &mut dyn FnMut(DeployStep)) -> Result<Deployed, DeployError> {
        let began = Instant::now();
        let result = deploy(&self.request(), &Cancel::new(), tell);
        println!("{self:?}: {result:?}, {:.1} s", began.elapsed().as_secs_f64());
        result
    }
}

fn sh(script: &str) {
    assert!(Command::new("sh").args(["-ec", script]).status().unwrap().success(), "{script}");
}

/// Only in the guest, where the first process starts it.
#[test]
fn all() {
    if std::env::var_os("CARTRIDGE_INSIDE").is_none() {
        return;
    }
    image(Path::new("/tmp/image"), IMAGE);
    for stick in Stick::ALL {
        let disk = stick.disk();
        println!("{stick:?}: {} {:?} {:?} removable {}", disk.name, disk.title(), disk.bus, disk.removable);
    }
    written();
    refused();
    in_use();
    if Path::new(isoprep::deploy::HELPER).exists() {
        helped();
    }
    failing();
    lying();
    cancelled();
    pulled();
    println!("INSIDE DID ALL");
}

fn written() {
    let disk = Stick::Good.disk();
    assert_eq!((disk.bus, disk.removable, disk.title()), (Bus::Usb, true, "QEMU QEMU HARDDISK"));
    let done = Stick::Good.deploy(&mut |_| ()).unwrap();
    assert_eq!((done.way, done.away), (Way::Directly, Away::Ejected));
    // What is ejected has no medium any more, and is not written to again.
    let wanted = Wanted::of(&disk);
    let end = Instant::now() + Duration::from_secs(60);
    while wanted.is_there(&Tree::default()) {
        // The kernel notices when somebody opens it.
        let opened = std::fs::File::open(disk.path()).map(drop);
        assert!(Instant::now() < end, "it is still there: {opened:?} {:?}", scan(&Tree::default()));
        std::thread::sleep(Duration::from_millis(100));
    }
    let error =
        deploy(&DeployRequest { disk: wanted, ..Stick::Case.request() }, &Cancel::new(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, DeployError::Open(OpenError::Another(_) | OpenError::Gone(_))), "{error}");
    // It says that its medium stays.
    assert!(Stick::Case.disk().removable);
    Stick::Case.deploy(&mut |_| ()).unwrap();
}

fn refused() {
    assert!(matches!(Stick::Small.refusal(), Refusal::TooSmall { .. }));
    assert_eq!(Stick::ReadOnly.refusal(), Refusal::ReadOnly);
    assert_eq!(Stick::BuiltIn.refusal(), Refusal::BuiltIn);
    for stick in [Stick::Small, Stick::ReadOnly, Stick::BuiltIn] {
        let error = stick.deploy(&mut |_| ()).unwrap_err();
        assert!(matches!(error, DeployError::Open(OpenError::Refused { .. })) && !error.touched(), "{error}");
    }
}

fn in_use() {
    let disk = Stick::InUse.disk();
    let [part] = &disk.parts[..] else { panic!("{disk:?}") };
    let (name, node) = (part.name.clone(), PathBuf::from("/dev").join(&part.name));
    let node = node.display();
    let refuses = |wanted: Refusal| {
        assert_eq!(Stick::InUse.refusal(), wanted);
        let error = Stick::InUse.deploy(&mut |_| ()).unwrap_err();
        let refused = matches!(&error, DeployError::Open(OpenError::Refused { refusal, .. }) if *refusal == wanted);
        assert!(refused && !error.touched(), "{error}");
    };
    // A partition is none of the disks, and is told whose it is.
    let all = scan(&Tree::default()).unwrap();
    let partition = Refusal::Partition { name: name.clone(), disk: disk.name.clone() };
    assert_eq!(named(&all, &name), Some(Err(partition)));

    sh(&format!("mount {node} /mnt"));
    refuses(Refusal::Mounted { device: name.clone(), at: "/mnt".into() });
    sh("mkdir -p /run/archiso/bootmnt; mount --move /mnt /run/archiso/bootmnt");
    refuses(Refusal::System { device: name.clone(), at: "/run/archiso/bootmnt".into() });
    sh("umount /run/archiso/bootmnt");

    // By the whole disk's node, from a loop device.
    let looped = Command::new("losetup").args(["-f"]).output().unwrap();
    let looped = String::from_utf8(looped.stdout).unwrap().trim().to_owned();
    sh(&format!("losetup {looped} {}", disk.path().display()));
    refuses(Refusal::Held { device: disk.name.clone(), holder: looped.trim_start_matches("/dev/").to_owned() });
    sh(&format!("losetup -d {looped}"));

    // By the device mapper.
    if Path::new("/sbin/dmsetup").exists() || Path::new("/bin/dmsetup").exists() {
        sh(&format!("dmsetup create --noudevsync held --table '0 2048 linear {node} 0'"));
        refuses(Refusal::Held { device: name.clone(), holder: "dm-0 (held)".into() });
        sh("dmsetup remove --noudevsync held");
    }

    // In a mount namespace of its own, where nobody sees it.
    let mut child = Command::new("unshare")
        .args(["-m", "sh", "-c", &format!("mount {node} /mnt && echo mounted && read _; umount /mnt")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    assert_eq!(line, "mounted\n");
    let error = Stick::InUse.deploy(&mut |_| ()).unwrap_err();
    assert!(matches!(error, DeployError::Open(OpenError::InUse(_))) && !error.touched(), "{error}");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    sh(&format!("mkswap {node} && swapon {node}"));
    refuses(Refusal::Swap { device: name.clone() });
    sh(&format!("swapoff {node}"));

    // Nothing uses it any more; while it is written to nobody can mount it.
    let mut tried = 0;
    Stick::InUse
        .deploy(&mut |step| {
            if step.stage == DeployStage::Writing {
                assert!(!Command::new("mount").args([&node.to_string(), "/mnt"]).status().unwrap().success());
                tried += 1;
            }
        })
        .unwrap();
    assert!(tried > 1);
}

fn helped() {
    let request = DeployRequest { ways: vec![Way::Helper], ..Stick::Helped.request() };
    // It looks for itself, and does not take what it is told for true.
    let small = DeployRequest { disk: Wanted { bytes: 7, ..request.disk.clone() }, ..request.clone() };
    assert!(deploy(&small, &Cancel::new(), &mut |_| ()).is_err());
    let done = deploy(&request, &Cancel::new(), &mut |_| ()).unwrap();
    println!("Helped: {done:?}");
    assert_eq!(done.way, Way::Helper);
}

fn failing() {
    let error = Stick::Failing.deploy(&mut |_| ()).unwrap_err();
    let DeployError::Write { at, .. } = &error else { panic!("{error}") };
    assert!(*at <= 12 * MIB as u64 && error.touched() && error.advice().contains("not bootable"), "{error}");
}

fn lying() {
    let mut spoilt = false;
    let error = Stick::Lying.deploy(&mut |step| {
        if step.stage == DeployStage::Verifying && !std::mem::replace(&mut spoilt, true) {
            println!("SPOIL NOW");
            // Until it is seen past the page cache, in which there may be what was before.
            let seen = || {
                let disk = Stick::Lying.disk().path();
                let _ = Command::new("blockdev").arg("--flushbufs").arg(&disk).status();
                let mut bytes = [0; 512];
                std::fs::File::open(disk).unwrap().read_exact_at(&mut bytes, 9 * MIB as u64).unwrap();
                bytes == [0x99; 512]
            };
            while !seen() {
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    });
    let error = error.unwrap_err();
    let (from, to) = (8 * MIB as u64, 12 * MIB as u64);
    assert!(matches!(error, DeployError::Differs { from: a, to: b, .. } if (a, b) == (from, to)), "{error}");
}

fn cancelled() {
    let (cancel, began) = (Cancel::new(), Instant::now());
    let (told, mut seen) = (cancel.clone(), None);
    let error = deploy(&Stick::Cancelled.request(), &cancel, &mut |step| {
        if step.stage == DeployStage::Writing && step.done > 8 * MIB as u64 && seen.is_none() {
            seen = Some(Instant::now());
            told.cancel();
        }
    })
    .unwrap_err();
    println!("Cancelled: {error:?} {:?} after {:?}", seen.map(|it| it.elapsed()), began.elapsed());
    assert!(matches!(error, DeployError::Cancelled { touched: true }), "{error}");
    assert!(error.advice().contains("The disk is now not bootable"), "{}", error.advice());
}

fn pulled() {
    let mut asked = false;
    let error = Stick::Pulled.deploy(&mut |step| {
        if step.stage == DeployStage::Writing && step.done > 4 * MIB as u64 && !std::mem::replace(&mut asked, true) {
            println!("PULL NOW");
        }
    });
    let error = error.unwrap_err();
    assert!(matches!(error, DeployError::Pulled { .. }) && error.to_string().contains("pulled out"), "{error}");
    assert!(error.advice().contains("Plug it in again"), "{}", error.advice());
}
