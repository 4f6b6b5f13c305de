//! What stays where it is for other reasons than a process: disks made of files inside, ways that no path can name, a file system
//! that stops to answer.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use cartridge_supervise::Cancel;
use isoprep::eject::{EjectError, eject};

use super::Build;
use super::mounts::tmpfs;
use crate::hold::{Child, Process};
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
        mounted_outside(room, device, image)
    }),
    ("a file inside is a loop device's, by the path of a bind of the directory", |room| {
        let image = image(room)?;
        let device = attach(&by_view(room, &image))?;
        room.settle.push(Box::new(move || {
            let bound = is_bound(&device, &image);
            detach(&device, &image);
            assert!(!bound, "{} still shows the file", device.display());
        }));
        Ok(Expect::Gone)
    }),
    ("a loop device of a file inside, by the path of a bind of the directory, is mounted outside", |room| {
        let image = image(room)?;
        let device = attach(&by_view(room, &image))?;
        mounted_outside(room, device, image)
    }),
    ("a loop device of a file inside is mounted outside, all in another mount namespace", |room| {
        let image = image(room)?;
        filesystem(&image)?;
        fs::create_dir("/mnt/view").unwrap();
        fs::create_dir("/mnt/disk").unwrap();
        // No path of ours leads to the file that was opened there.
        let script = "mount --bind \"$1\" /mnt/view && mount -o loop \"/mnt/view/$2\" /mnt/disk && umount -l /mnt/view && \
                      cd / && echo ready && exec sleep 1000";
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", script, "sh"]);
        command.arg(&room.work).arg(image.strip_prefix(&room.work).unwrap());
        let process = Process::start(&command)?;
        room.hold(process);
        room.release.push(Box::new(|| ()));
        let name = image.display().to_string();
        Ok(Expect::Kept(vec![name, "(loop device)".into(), "mounted on /mnt/disk".into()]))
    }),
    ("a loop device of a file inside is open", |room| {
        let (device, image) = attached(room)?;
        let process = Process::ready("exec 3<\"$1\"; echo ready; exec sleep 1000", &[device.as_os_str()])?;
        let words =
            vec![device.display().to_string(), format!("process {} (sleep 1000)", process.pid()), "open".into()];
        room.hold(process);
        let bound = device.clone();
        room.release
            .push(Box::new(move || assert!(is_bound(&bound, &image), "it was taken away from who has it open")));
        Ok(Expect::Kept(words))
    }),
    ("a child of ours has a loop device of a file inside open", |room| {
        let (device, image) = attached(room)?;
        let mut command = Command::new("sh");
        room.hold(Child::start(command.args(["-c", "exec 3<\"$1\"; echo ready; exec sleep 1000", "sh"]).arg(&device)));
        room.settle.push(Box::new(move || {
            let bound = is_bound(&device, &image);
            detach(&device, &image);
            assert!(!bound, "{} still shows the file", device.display());
        }));
        Ok(Expect::Gone)
    }),
    ("a loop device of a file inside was mounted outside and unmounted lazily, and somebody works in it", |room| {
        let image = image(room)?;
        filesystem(&image)?;
        fs::create_dir("/mnt/disk").unwrap();
        // One that detaches itself, so that it goes with the last who uses it.
        let mounted = Command::new("mount").args(["-o", "loop"]).arg(&image).arg("/mnt/disk").output();
        needs(needs(mounted, "mount")?.status.success().then_some(()).ok_or("it failed"), "a loop device")?;
        let listed = Command::new("losetup").args(["-n", "-O", "NAME", "-j"]).arg(&image).output();
        let device = PathBuf::from(String::from_utf8_lossy(&needs(listed, "losetup")?.stdout).trim());
        let stay = "echo ready; exec sleep 1000";
        let process = Process::start(Command::new("sh").args(["-c", stay]).current_dir("/mnt/disk"))?;
        unmount("/mnt/disk", UnmountFlags::DETACH).unwrap();
        let words =
            vec![device.display().to_string(), format!("process {} (sleep 1000)", process.pid()), "works in".into()];
        room.hold(process);
        let bound = device.clone();
        room.release
            .push(Box::new(move || assert!(is_bound(&bound, &image), "it was taken away from who works in it")));
        Ok(Expect::Kept(words))
    }),
    ("a file beside the directory, on the same disk, is a loop device's", |room| {
        let inside = image(room)?;
        let image = Path::new(HOME).join(inside.file_name().unwrap());
        fs::rename(inside, &image).unwrap();
        let device = attach(&image)?;
        room.settle.push(Box::new(move || {
            let bound = is_bound(&device, &image);
            detach(&device, &image);
            assert!(bound, "{} was detached", device.display());
        }));
        Ok(Expect::Gone)
    }),
    ("mounts in a FUSE that stops to answer", |room| {
        room.fill(2);
        mount_bind(HOME, room.dir("a")).unwrap();
        let answers = Fuse::mount(room, "fuse")?;
        tmpfs(&room.at("fuse/sub"));
        answers.0.store(false, Ordering::Relaxed);
        room.release.push(Box::new(move || {
            answers.0.store(true, Ordering::Relaxed);
            wait_for_attempts();
        }));
        Ok(Expect::Kept(vec!["fuse/sub".into(), "does not answer".into()]))
    }),
    ("a FUSE that answers when nobody waits any more", |room| {
        let answers = Fuse::mount(room, "fuse")?;
        tmpfs(&room.at("fuse/sub"));
        answers.0.store(false, Ordering::Relaxed);
        // Not even its ties are cut.
        called_off(room, answers, |line| line.contains(" shared:"))
    }),
    (
        "a FUSE that stops to answer just before its mount is unmounted, and answers when nobody waits any more",
        |room| {
            let answers = Fuse::mount(room, "fuse")?;
            tmpfs(&room.at("fuse/sub"));
            *answers.1.lock().unwrap() = Some(room.at("fuse/sub"));
            called_off(room, answers, |line| !line.contains(" shared:"))
        },
    ),
];

/// A second eject is not begun with while the first hangs, and when that answers nothing is done any more. `kept` says of the line of
/// what is mounted at `fuse/sub` whether it is as it should be.
fn called_off(room: &mut Room, answers: Fuse, kept: fn(&str) -> bool) -> Result<Expect, Skip> {
    room.fill(2);
    let (work, at) = (room.work.clone(), room.at("fuse/sub"));
    room.settle.push(Box::new(move || {
        let hung = isoprep::eject::hanging_unmounts();
        if hung == 0 {
            // Nobody has tried to unmount it, as those do not that Eject is compared with.
            *answers.1.lock().unwrap() = None;
            return answers.0.store(true, Ordering::Relaxed);
        }
        // A second one does not wait for the same once more.
        if let Err(error @ EjectError::StillMounted { .. }) = eject(&work, &Cancel::new(), &|_| {}) {
            let said = error.to_string();
            assert!(said.contains("not tried again") && hung == 1, "{hung}: {said}");
            assert_eq!(isoprep::eject::hanging_unmounts(), 1);
        }
        *answers.1.lock().unwrap() = None;
        answers.0.store(true, Ordering::Relaxed);
        wait_for_attempts();
        // Nobody waits for it, so it could be somebody else's by now.
        let line = line_of(&at).expect("it was unmounted after it had been called off");
        assert!(kept(&line), "it was changed after it had been called off: {line}");
    }));
    room.release.push(Box::new(|| ()));
    Ok(Expect::Kept(vec!["fuse/sub".into(), "does not answer".into(), "called off".into()]))
}

/// The line of a mount in the table.
fn line_of(at: &Path) -> Option<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let at = format!(" {} ", at.display());
    table.lines().find(|line| line.contains(&at)).map(str::to_owned)
}

/// Until no attempt to unmount something hangs any more.
fn wait_for_attempts() {
    while isoprep::eject::hanging_unmounts() > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A disk of a file in the work directory.
fn attached(room: &mut Room) -> Result<(PathBuf, PathBuf), Skip> {
    let image = image(room)?;
    Ok((attach(&image)?, image))
}

/// A file in the work directory that a disk can be made of.
fn image(room: &mut Room) -> Result<PathBuf, Skip> {
    room.fill(2);
    needs(mount("sysfs", "/sys", "sysfs", MountFlags::RDONLY, None), "sysfs")?;
    room.passed_over.push("/sys".into());
    // A name that no other test's file has: the device may be another's once it is let go.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let image = room.file(format!("out/root-{}.img", now.as_nanos()));
    fs::File::options().write(true).open(&image).unwrap().set_len(4 << 20).unwrap();
    Ok(image)
}

fn attach(image: &Path) -> Result<PathBuf, Skip> {
    let made = needs(Command::new("losetup").args(["-f", "--show"]).arg(image).output(), "losetup")?;
    let said = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    let failed = String::from_utf8_lossy(&made.stderr).trim().to_owned();
    needs((made.status.success() && !said.is_empty()).then_some(()).ok_or(failed), "a loop device")?;
    Ok(PathBuf::from(said))
}

fn filesystem(image: &Path) -> Result<(), Skip> {
    let made = Command::new("mke2fs").args(["-q", "-F"]).arg(image).output();
    needs(needs(made, "mke2fs")?.status.success().then_some(()).ok_or("it failed"), "mke2fs")
}

/// The path of a file in the work directory by a bind of that.
fn by_view(room: &mut Room, file: &Path) -> PathBuf {
    let view = Path::new("/mnt/view");
    fs::create_dir(view).unwrap();
    mount_bind(&room.work, view).unwrap();
    room.passed_over.push(view.into());
    view.join(file.strip_prefix(&room.work).unwrap())
}

/// The disk has a letter in it, and must be there afterwards.
fn mounted_outside(room: &mut Room, device: PathBuf, image: PathBuf) -> Result<Expect, Skip> {
    filesystem(&image)?;
    fs::create_dir("/mnt/disk").unwrap();
    needs(mount(&device, "/mnt/disk", "ext4", MountFlags::empty(), None), "ext4")?;
    fs::write("/mnt/disk/letter", "dear reader").unwrap();
    let words = [device.display().to_string(), "mounted on /mnt/disk".into(), "umount /mnt/disk".into()];
    let words = [&words[..], &[image.display().to_string()]].concat();
    room.settle.push(Box::new(move || {
        let kept = fs::read_to_string("/mnt/disk/letter").is_ok_and(|text| text == "dear reader");
        let bound = is_bound(&device, &image);
        let _ = unmount("/mnt/disk", UnmountFlags::DETACH);
        // The second eject detaches it, if there is one.
        if !image.exists() {
            detach(&device, &image);
        }
        assert!(kept && bound, "the disk was taken away");
    }));
    room.passed_over.push("/mnt/disk".into());
    room.release.push(Box::new(|| ()));
    Ok(Expect::Kept(words))
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

/// The server of a FUSE with one folder, `sub`: it answers as long as the first is set, and until the ties of what is mounted at the
/// second are cut. Of nothing in it the kernel remembers anything.
struct Fuse(Arc<AtomicBool>, Arc<Mutex<Option<PathBuf>>>);

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
        let until_cut = Arc::new(Mutex::new(None::<PathBuf>));
        let (goes_on, stops) = (Arc::clone(&answers), Arc::clone(&until_cut));
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 18];
            loop {
                if !goes_on.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
                match rustix::io::read(&server, &mut buffer[..]) {
                    Ok(length) => {
                        let cut = |at: &PathBuf| line_of(at).is_some_and(|line| !line.contains(" shared:"));
                        while stops.lock().unwrap().as_ref().is_some_and(cut) {
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        if let Some(answer) = answer(&buffer[..length]) {
                            let _ = rustix::io::write(server.as_fd(), &answer);
                        }
                    }
                    Err(rustix::io::Errno::NODEV) => return,
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Ok(Self(answers, until_cut))
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
