//! On loop devices of this host: real block devices, as far as one machine lends them. They cannot be pulled and are no hardware, so
//! the policy of these tests takes what the program never does; the guest's sticks need no such thing.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use cartridge_supervise::Cancel;
use isoprep::deploy::{
    Away, DeployError, DeployRequest, DeployStage, DeployStep, Deployed, Disk, OpenError, Policy, Refusal, Tree,
    Wanted, Way, deploy, scan,
};
use rustix::fs::OFlags;

use crate::pattern::{image, pattern};

const MIB: usize = 1 << 20;

/// A loop device over a file of `0xEE`, as if something had been on it.
struct LoopDevice {
    node: PathBuf,
    file: PathBuf,
    top: tempfile::TempDir,
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // Somebody else's by now, maybe.
        if self.is_ours() {
            let _ = Command::new("losetup").arg("-d").arg(&self.node).status();
        }
    }
}

impl LoopDevice {
    /// Whether the device shows our file.
    fn is_ours(&self) -> bool {
        let name = self.node.file_name().unwrap().to_str().unwrap();
        let shown = std::fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).unwrap_or_default();
        Path::new(shown.trim_end()) == self.file
    }

    /// `None` where this host lends none, which is said.
    fn new(bytes: usize, block: u32) -> Option<Self> {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("disk");
        std::fs::write(&file, vec![0xee; bytes]).unwrap();
        let block = block.to_string();
        let made = Command::new("losetup").args(["-f", "--show", "-b", &block]).arg(&file).output();
        match made {
            Ok(made) if made.status.success() => {
                let node = String::from_utf8(made.stdout).unwrap().trim().into();
                Some(Self { node, file, top })
            }
            other => {
                assert!(!rustix::process::geteuid().is_root() || !Path::new("/dev/loop-control").exists(), "{other:?}");
                eprintln!("skipped: this host lends no loop device");
                None
            }
        }
    }

    fn disk(&self) -> Disk {
        let name = self.node.file_name().unwrap().to_str().unwrap();
        scan(&Tree::default()).unwrap().into_iter().find(|it| it.name == name).unwrap()
    }

    fn request(&self, policy: Policy) -> DeployRequest {
        let disk = Wanted::of(&self.disk());
        DeployRequest { image: self.image(), disk, policy, ways: vec![Way::Directly], eject: true }
    }

    fn image(&self) -> PathBuf {
        self.top.path().join("image")
    }

    fn deploy(&self, tell: &mut dyn FnMut(DeployStep)) -> Result<Deployed, DeployError> {
        deploy(&self.request(Policy::Any), &Cancel::new(), tell)
    }

    /// What is on it, read past the device.
    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.file).unwrap()
    }

    /// Whether nothing would start from it: what firmware looks at is empty.
    fn is_blank(&self) -> bool {
        self.bytes()[..4 * MIB].iter().all(|it| *it == 0)
    }
}

fn writes_all(device: &LoopDevice, len: usize, block: usize) {
    let wanted = image(&device.image(), len);
    let mut steps = Vec::new();
    let done = device.deploy(&mut |step| steps.push(step)).unwrap();
    assert_eq!((done.bytes, done.way), (len as u64, Way::Directly));
    // A loop device cannot be ejected, and that is said.
    assert!(matches!(&done.away, Away::Stays { why: Some(_) }), "{done:?}");
    let there = device.bytes();
    let end = len.next_multiple_of(block);
    assert!(there[..len] == wanted, "the image is there");
    assert!(there[len..end].iter().all(|it| *it == 0));
    let tail = there.len() - MIB;
    assert!(there[end..tail].iter().all(|it| *it == 0xee), "what is not the image's stays");
    assert!(there[tail.max(end)..].iter().all(|it| *it == 0), "the disk's end is cleared");
    let stages: Vec<_> = steps.iter().map(|it| it.stage).collect();
    let mut order = stages.clone();
    order.dedup();
    assert_eq!(order, [DeployStage::Opening, DeployStage::Writing, DeployStage::Verifying, DeployStage::Ejecting]);
    for stage in [DeployStage::Writing, DeployStage::Verifying] {
        let of: Vec<_> = steps.iter().filter(|it| it.stage == stage).collect();
        assert!(of.is_sorted_by_key(|it| it.done) && of.last().is_some_and(|it| it.done == it.total), "{of:?}");
        assert!(of.iter().all(|it| it.total == end as u64));
    }
}

#[test]
fn an_image_is_written_and_nothing_else_but_the_end_is_touched() {
    let Some(device) = LoopDevice::new(32 * MIB, 512) else { return };
    writes_all(&device, 13 * MIB + 700, 512);
}

#[test]
fn blocks_of_4096_bytes_and_an_image_that_ends_within_one() {
    let Some(device) = LoopDevice::new(16 * MIB, 4096) else { return };
    assert_eq!(device.disk().block, 4096);
    writes_all(&device, 9 * MIB + 4097, 4096);
}

#[test]
fn an_image_smaller_than_its_head() {
    let Some(device) = LoopDevice::new(8 * MIB, 512) else { return };
    writes_all(&device, 1000, 512);
}

#[test]
fn an_image_that_just_fits_is_taken_and_a_byte_more_is_not() {
    let Some(device) = LoopDevice::new(8 * MIB, 512) else { return };
    let wanted = image(&device.image(), 8 * MIB);
    device.deploy(&mut |_| ()).unwrap();
    assert!(device.bytes() == wanted);
    image(&device.image(), 8 * MIB + 1);
    let before = device.bytes();
    let error = device.deploy(&mut |_| ()).unwrap_err();
    let small = Refusal::TooSmall { bytes: 8 * MIB as u64, needed: 8 * MIB as u64 + 1 };
    assert!(matches!(&error, DeployError::Open(OpenError::Refused { refusal, .. }) if *refusal == small), "{error}");
    assert!(!error.touched() && device.bytes() == before);
}

#[test]
fn nobody_else_gets_it_meanwhile() {
    let Some(device) = LoopDevice::new(16 * MIB, 512) else { return };
    image(&device.image(), 9 * MIB);
    let exclusive = || File::options().read(true).custom_flags(OFlags::EXCL.bits().cast_signed()).open(&device.node);
    drop(exclusive().unwrap());
    let mut refused = 0;
    device
        .deploy(&mut |step| {
            if matches!(step.stage, DeployStage::Writing | DeployStage::Verifying) {
                assert_eq!(exclusive().unwrap_err().raw_os_error(), Some(rustix::io::Errno::BUSY.raw_os_error()));
                refused += 1;
            }
        })
        .unwrap();
    assert!(refused > 3, "{refused}");
    drop(exclusive().unwrap());
}

#[test]
fn a_deploy_that_is_cancelled_leaves_a_disk_that_is_plainly_empty() {
    let Some(device) = LoopDevice::new(32 * MIB, 512) else { return };
    image(&device.image(), 20 * MIB);
    for (stage, at) in
        [(DeployStage::Opening, 0), (DeployStage::Writing, 4), (DeployStage::Writing, 12), (DeployStage::Verifying, 8)]
    {
        let before = device.bytes();
        let cancel = Cancel::new();
        let told = cancel.clone();
        let error = deploy(&device.request(Policy::Any), &cancel, &mut |step| {
            if step.stage == stage && step.done >= at * MIB as u64 {
                told.cancel();
            }
        })
        .unwrap_err();
        let touched = stage != DeployStage::Opening;
        assert!(matches!(error, DeployError::Cancelled { touched: it } if it == touched), "{stage:?}: {error}");
        assert_eq!(error.advice().contains("not bootable"), touched, "{}", error.advice());
        assert!(if touched { device.is_blank() } else { device.bytes() == before }, "{stage:?}");
    }
    device.deploy(&mut |_| ()).unwrap();
    assert!(device.bytes()[..20 * MIB] == pattern(20 * MIB));
}

#[test]
fn a_disk_that_does_not_keep_what_is_written_is_found_out() {
    let Some(device) = LoopDevice::new(32 * MIB, 512) else { return };
    image(&device.image(), 20 * MIB);
    let mut spoilt = false;
    let error = device.deploy(&mut |step| {
        if step.stage == DeployStage::Verifying && !std::mem::replace(&mut spoilt, true) {
            let file = File::options().write(true).open(&device.file).unwrap();
            file.write_all_at(&[1], 13 * MIB as u64 + 77).unwrap();
        }
    });
    let error = error.unwrap_err();
    let (from, to) = (12 * MIB as u64, 16 * MIB as u64);
    assert!(matches!(error, DeployError::Differs { from: a, to: b, .. } if (a, b) == (from, to)), "{error}");
    assert!(error.touched() && device.is_blank());
}

#[test]
fn an_image_that_somebody_writes_into_is_found_out() {
    let Some(device) = LoopDevice::new(32 * MIB, 512) else { return };
    for stage in [DeployStage::Writing, DeployStage::Verifying] {
        image(&device.image(), 20 * MIB);
        let mut changed = false;
        let error = device.deploy(&mut |step| {
            if step.stage == stage && !std::mem::replace(&mut changed, true) {
                // A clock of jiffies may stamp two writes alike.
                std::thread::sleep(std::time::Duration::from_millis(50));
                File::options().write(true).open(device.image()).unwrap().write_all_at(&[1], 77).unwrap();
            }
        });
        let error = error.unwrap_err();
        assert!(matches!(error, DeployError::ImageChanged { .. }), "{error}");
        assert!(device.is_blank());
    }
    image(&device.image(), 20 * MIB);
    let mut changed = false;
    let error = device.deploy(&mut |step| {
        if step.stage == DeployStage::Writing && !std::mem::replace(&mut changed, true) {
            File::options().write(true).open(device.image()).unwrap().set_len(10 * MIB as u64).unwrap();
        }
    });
    assert!(matches!(error, Err(DeployError::ImageChanged { .. })), "{error:?}");
}

#[test]
fn the_program_s_own_policy_takes_no_loop_device() {
    let Some(device) = LoopDevice::new(8 * MIB, 512) else { return };
    image(&device.image(), 4096);
    let before = device.bytes();
    let error = deploy(&device.request(Policy::Removable), &Cancel::new(), &mut |_| ()).unwrap_err();
    let refused = matches!(&error, DeployError::Open(OpenError::Refused { refusal: Refusal::Virtual, .. }));
    assert!(refused && device.bytes() == before, "{error}");
}

#[test]
fn another_disk_under_the_same_name_is_not_it() {
    let Some(device) = LoopDevice::new(8 * MIB, 512) else { return };
    image(&device.image(), 4096);
    let request = device.request(Policy::Any);
    let losetup = |args: &[&str]| assert!(Command::new("losetup").args(args).status().unwrap().success());
    let (node, file) = (device.node.to_str().unwrap(), device.file.to_str().unwrap());
    // Loop devices are shared by all who run here: another one may take the number in between.
    losetup(&["-d", node]);
    let gone = deploy(&request, &Cancel::new(), &mut |_| ()).unwrap_err();
    assert!(matches!(gone, DeployError::Open(OpenError::Another(_) | OpenError::Gone(_))), "{gone}");
    if Command::new("losetup").args([node, file]).status().unwrap().success() {
        let before = device.bytes();
        let error = deploy(&request, &Cancel::new(), &mut |_| ()).unwrap_err();
        assert!(matches!(error, DeployError::Open(OpenError::Another(_))) && device.bytes() == before, "{error}");
    } else {
        eprintln!("another one took {node}");
    }
}

#[test]
fn what_is_mounted_where_nobody_sees_it_is_in_use() {
    let Some(device) = LoopDevice::new(16 * MIB, 512) else { return };
    image(&device.image(), 4096);
    assert!(Command::new("mkfs.ext4").arg("-qF").arg(&device.node).status().unwrap().success());
    let at = tempfile::tempdir().unwrap();
    let script = "mount \"$0\" \"$1\" && echo mounted && read _; umount \"$1\"";
    let mut child = Command::new("unshare")
        .args(["-m", "sh", "-c", script])
        .args([device.node.as_path(), at.path()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    assert_eq!(line, "mounted\n");
    assert_eq!(device.disk().uses, []);
    let error = device.deploy(&mut |_| ()).unwrap_err();
    assert!(matches!(error, DeployError::Open(OpenError::InUse(_))) && !error.touched(), "{error}");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    device.deploy(&mut |_| ()).unwrap();
}

#[test]
fn who_may_not_write_to_the_disk_is_told_what_each_way_said() {
    let Some(device) = LoopDevice::new(8 * MIB, 512) else { return };
    image(&device.image(), 4096);
    // No bus and no helper here; this process may write to it, so it is not asked.
    let mut request = device.request(Policy::Any);
    request.ways = vec![Way::Udisks, Way::Helper];
    if Path::new("/run/dbus/system_bus_socket").exists() || Path::new(isoprep::deploy::HELPER).exists() {
        return eprintln!("skipped: somebody here can be asked");
    }
    let error = deploy(&request, &Cancel::new(), &mut |_| ()).unwrap_err();
    let DeployError::NoWay { said, .. } = &error else { panic!("{error}") };
    assert!(said[0].contains("udisks2") && said[1].contains("is not installed"), "{said:?}");
}
