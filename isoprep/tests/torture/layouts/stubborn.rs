//! What stays where it is for other reasons than a process: disks made of files inside, ways that no path can name, a file system
//! that stops to answer.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use super::Build;
use super::mounts::tmpfs;
use crate::room::{Expect, HOME, Room, Skip, needs};

pub const TABLE: &[(&str, Build)] = &[
    ("a file inside is a loop device's", |room| {
        let (device, image) = attached(room)?;
        room.settle.push(Box::new(move || {
            let bound = is_bound(&device, &image);
            detach(&device, &image);
            assert!(!bound, "{} still shows the file", device.display());
        }));
        Ok(Expect::Gone)
    }),
    ("a loop device of a file inside is mounted outside", |room| {
        let (device, image) = attached(room)?;
        let made = Command::new("mke2fs").args(["-q", "-F"]).arg(&image).output();
        needs(needs(made, "mke2fs")?.status.success().then_some(()).ok_or("it failed"), "mke2fs")?;
        fs::create_dir("/mnt/disk").unwrap();
        needs(mount(&device, "/mnt/disk", "ext4", MountFlags::empty(), None), "ext4")?;
        fs::write("/mnt/disk/letter", "dear reader").unwrap();
        let words = [device.display().to_string(), "mounted on /mnt/disk".into(), "umount /mnt/disk".into()];
        let gone = device.clone();
        room.settle.push(Box::new(move || {
            let kept = fs::read_to_string("/mnt/disk/letter").is_ok_and(|text| text == "dear reader");
            let bound = is_bound(&gone, &image);
            let _ = unmount("/mnt/disk", UnmountFlags::DETACH);
            // The second eject detaches it, if there is one.
            if !image.exists() {
                detach(&gone, &image);
            }
            assert!(kept && bound, "the disk was taken away");
        }));
        room.passed_over.push("/mnt/disk".into());
        room.release.push(Box::new(|| ()));
        Ok(Expect::Kept(words.to_vec()))
    }),
    ("mounts in a FUSE that stops to answer", |room| {
        room.fill(2);
        mount_bind(HOME, room.dir("a")).unwrap();
        let answers = Fuse::mount(room, "fuse")?;
        tmpfs(&room.at("fuse/sub"));
        answers.0.store(false, Ordering::Relaxed);
        room.release.push(Box::new(move || answers.0.store(true, Ordering::Relaxed)));
        Ok(Expect::Kept(vec!["fuse/sub".into(), "does not answer".into()]))
    }),
];

/// A disk of a file in the work directory.
fn attached(room: &mut Room) -> Result<(PathBuf, PathBuf), Skip> {
    room.fill(2);
    needs(mount("sysfs", "/sys", "sysfs", MountFlags::RDONLY, None), "sysfs")?;
    room.passed_over.push("/sys".into());
    // A name that no other test's file has: the device may be another's once it is let go.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let image = room.file(format!("out/root-{}.img", now.as_nanos()));
    fs::File::options().write(true).open(&image).unwrap().set_len(4 << 20).unwrap();
    let made = needs(Command::new("losetup").args(["-f", "--show"]).arg(&image).output(), "losetup")?;
    let said = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    let failed = String::from_utf8_lossy(&made.stderr).trim().to_owned();
    needs((made.status.success() && !said.is_empty()).then_some(()).ok_or(failed), "a loop device")?;
    Ok((PathBuf::from(said), image))
}

/// Whether the device shows that file, gone or not.
fn is_bound(device: &Path, image: &Path) -> bool {
    let file = Path::new("/sys/block").join(device.file_name().unwrap()).join("loop/backing_file");
    let shown = fs::read_to_string(file).unwrap_or_default();
    Path::new(shown.trim_end().trim_end_matches(" (deleted)")).file_name() == image.file_name()
}

/// Detaches it, if it is still that file's.
fn detach(device: &Path, image: &Path) {
    if is_bound(device, image) {
        let _ = Command::new("losetup").arg("-d").arg(device).output();
    }
}

/// The server of a FUSE with one folder, `sub`: it answers as long as this is set. Of nothing in it the kernel remembers anything.
struct Fuse(Arc<AtomicBool>);

impl Fuse {
    fn mount(room: &mut Room, at: &str) -> Result<Self, Skip> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let server: OwnedFd = needs(rustix::fs::open("/dev/fuse", flags, Mode::empty()), "FUSE")?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&server);
        let text = format!("fd={number},rootmode=40000,user_id=0,group_id=0,allow_other");
        let text = std::ffi::CString::new(text).unwrap();
        let place = room.dir(at);
        needs(mount("slow", place, "fuse.slow", MountFlags::NOSUID | MountFlags::NODEV, &*text), "FUSE")?;
        let answers = Arc::new(AtomicBool::new(true));
        let goes_on = Arc::clone(&answers);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 18];
            loop {
                if !goes_on.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
                match rustix::io::read(&server, &mut buffer[..]) {
                    Ok(length) => {
                        if let Some(answer) = answer(&buffer[..length]) {
                            let _ = rustix::io::write(server.as_fd(), &answer);
                        }
                    }
                    Err(rustix::io::Errno::NODEV) => return,
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Ok(Self(answers))
    }
}

/// What is answered to a request (linux/fuse.h, version 7.31).
fn answer(request: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().unwrap());
    let long = |at: usize| u64::from_le_bytes(request[at..at + 8].try_into().unwrap());
    let (code, unique, node) = (word(4), long(8), long(16));
    // A folder, 0755: node, size, blocks and three times; then three times, mode, names, user, group, device, block and flags.
    let attributes = |node: u64| {
        let mut bytes: Vec<u8> = [node, 0, 0, 0, 0, 0].iter().flat_map(|it| it.to_le_bytes()).collect();
        bytes.extend([0, 0, 0, 0o040_755, 2, 0, 0, 0, 4096, 0_u32].iter().flat_map(|it| it.to_le_bytes()));
        bytes
    };
    let (error, body) = match code {
        // FORGET, BATCH_FORGET and INTERRUPT have no answer.
        2 | 42 | 36 => return None,
        // INIT
        26 => (
            0,
            [7, 31, 0, 0, 0, 4096, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0_u32].iter().flat_map(|it| it.to_le_bytes()).collect(),
        ),
        // LOOKUP of what is called `sub`: valid for no time.
        1 if &request[40..] == b"sub\0" => {
            let mut bytes: Vec<u8> = [2, 1, 0, 0, 0_u64].iter().flat_map(|it| it.to_le_bytes()).collect();
            bytes.extend(attributes(2));
            (0, bytes)
        }
        1 => (-2, Vec::new()),
        // GETATTR
        3 => {
            let mut bytes = vec![0; 16];
            bytes.extend(attributes(node));
            (0, bytes)
        }
        _ => (-38, Vec::new()),
    };
    let mut whole = u32::try_from(16 + body.len()).unwrap().to_le_bytes().to_vec();
    whole.extend(i32::to_le_bytes(error));
    whole.extend(unique.to_le_bytes());
    whole.extend(body);
    Some(whole)
}
