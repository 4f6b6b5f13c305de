//! A small Linux guest of our own making: the host's kernel, our init, busybox, the modules that disks and layers need,
//! and a repository with one file. Booted directly, with a shell on the serial line.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::time::Duration;
use vmtools::{Boot, GuestEvent, GuestReport, INIT, Machine};

use crate::harness::{Guest, Plan, kernel, machine, plan};

/// Where its repository lies.
pub const INTO: &str = "/root/demo";

const MODULES: [&str; 9] = [
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "squashfs",
    "overlay",
    "pvpanic-pci",
    "9p",
    "9pnet_virtio",
    "rtc-cmos",
];

/// A plan of it with 256 MiB, and one disk if `disk` says so.
pub fn linux(disk: bool) -> Plan {
    linux_with(disk, &[], &[])
}

/// As [`linux`], with more modules, and programs of C (their sources) in `/bin`.
pub fn linux_with(disk: bool, modules: &[&str], programs: &[&str]) -> Plan {
    let mut plan = plan(machine(), Boot::Nothing);
    let initrd = plan.dir.path().join("initrd");
    let built = programs.iter().map(|source| (*source, compiled(source, plan.dir.path()))).collect::<Vec<_>>();
    std::fs::write(&initrd, initramfs(modules, &built)).unwrap();
    if disk {
        let path = plan.dir.path().join("disk.qcow2");
        vmtools::create_disk(Path::new("qemu-img"), &path, 1 << 30, &vmtools::Cancel::new()).unwrap();
        plan.plan.machine = Machine { disks: vec![vmtools::Disk::at("disk", path)], ..plan.plan.machine };
    }
    let cmdline = "console=ttyS0 no_timer_check cryptomgr.notests panic=-1 quiet".to_owned();
    plan.plan.boot = Boot::Direct { kernel: kernel(), initrds: vec![initrd], cmdline };
    plan
}

impl Guest {
    pub async fn until_report(&mut self) -> GuestReport {
        self.until("a report", |event| match event {
            GuestEvent::Reported(report) => Some(report.clone()),
            _ => None,
        })
        .await
    }

    /// Runs a command in the guest's shell and returns what it wrote.
    pub async fn run(&mut self, command: &str) -> String {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(100);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // The shell shows what is typed, and that must not be taken for the answer.
        self.handle.send_serial(format!("echo \"<$(({number}+0)) $({command} 2>&1) $(({number}+0))>\"\n").into_bytes());
        let (start, end) = (format!("<{number} "), format!(" {number}>"));
        let mut seen = String::new();
        self.until(&format!("the end of `{command}`"), |event| {
            if let GuestEvent::Serial(bytes) = event {
                seen.push_str(&String::from_utf8_lossy(bytes));
            }
            let rest = &seen[seen.find(&start)? + start.len()..];
            Some(rest[..rest.find(&end)?].trim().replace('\r', ""))
        })
        .await
    }

    /// Waits for the shell, which may come a little after the report.
    pub async fn until_shell(&mut self) {
        for _ in 0..60 {
            self.handle.send_serial(b"echo up$((1+1))\n".to_vec());
            tokio::time::sleep(Duration::from_millis(250)).await;
            while let Ok(event) = self.events.try_recv() {
                if let GuestEvent::Serial(bytes) = event {
                    self.serial.extend_from_slice(&bytes);
                }
            }
            if self.serial_text().contains("up2") {
                return;
            }
        }
        panic!("no shell: {}", self.serial_text());
    }
}

/// A squashfs with a repository of one file.
pub fn layer(dir: &Path, text: &str) -> PathBuf {
    let (root, target) = (dir.join("layer-root"), dir.join(format!("{}.sfs", text.len())));
    let into = root.join(INTO.trim_start_matches('/'));
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(&into).unwrap();
    std::fs::write(into.join("file"), text).unwrap();
    let packed = Command::new("mksquashfs").arg(&root).arg(&target).args(["-quiet", "-noappend", "-all-root"]).output();
    assert!(packed.unwrap().status.success());
    target
}

/// The hash of a repository of one file, computed by the init as on any host.
pub fn tree_of(dir: &Path, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let (init, tree) = (dir.join("init"), dir.join("tree"));
    std::fs::write(&init, INIT).unwrap();
    std::fs::set_permissions(&init, std::fs::Permissions::from_mode(0o755)).unwrap();
    let _ = std::fs::remove_dir_all(&tree);
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("file"), text).unwrap();
    let said = Command::new(&init).arg(&tree).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.split_whitespace().nth(1).unwrap().to_owned()
}

/// The program of `tests/guests/<source>.c`, static.
fn compiled(source: &str, dir: &Path) -> Vec<u8> {
    let program = dir.join(source);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/guests/{source}.c"));
    let built = Command::new("cc").args(["-static", "-O1", "-o"]).arg(&program).arg(file).status();
    assert!(built.unwrap().success());
    std::fs::read(program).unwrap()
}

fn initramfs(more: &[&str], programs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut cpio = Cpio::default();
    for dir in
        ["bin", "sbin", "dev", "proc", "sys", "run", "tmp", "etc", "etc/cartridge", "root", "root/demo", "mnt", "lib"]
    {
        cpio.entry(dir, 0o040_755, b"");
    }
    cpio.entry("init", 0o100_755, INIT);
    cpio.entry("bin/busybox", 0o100_755, &std::fs::read("/usr/bin/busybox").expect("a static /usr/bin/busybox"));
    for name in
        ["sh", "cat", "mount", "umount", "dd", "date", "sync", "ls", "head", "mkdir", "grep", "tail", "dmesg", "true"]
    {
        cpio.entry(&format!("bin/{name}"), 0o120_777, b"/bin/busybox");
    }
    cpio.entry("etc/cartridge/guest.json", 0o100_644, br#"{"name":"demo","into":"/root/demo","env":{}}"#);
    cpio.entry("root/demo/file", 0o100_644, b"of the image");
    for (name, bytes) in programs {
        cpio.entry(&format!("bin/{name}"), 0o100_755, bytes);
    }
    let (release, modules) = modules(more);
    for dir in ["lib/modules".to_owned(), format!("lib/modules/{release}")] {
        cpio.entry(&dir, 0o040_755, b"");
    }
    let mut list = String::new();
    for (name, bytes) in modules {
        cpio.entry(&format!("lib/modules/{release}/{name}"), 0o100_644, &bytes);
        list.push_str(&format!("{name}\n"));
    }
    cpio.entry("etc/cartridge/modules.load", 0o100_644, list.as_bytes());
    cpio.entry("TRAILER!!!", 0, b"");
    cpio.0
}

/// The kernel's release, and the wanted modules and what they need, in the order in which they load.
fn modules(more: &[&str]) -> (String, Vec<(String, Vec<u8>)>) {
    let kernel = kernel();
    let near = kernel.parent().unwrap();
    let named = kernel.file_name().unwrap().to_string_lossy().trim_start_matches("vmlinuz-").to_owned();
    let (release, dir) = if near.join("modules").is_dir() {
        (near.file_name().unwrap().to_string_lossy().into_owned(), near.join("modules"))
    } else if near.join("modules.dep").is_file() {
        (near.file_name().unwrap().to_string_lossy().into_owned(), near.to_owned())
    } else {
        (named.clone(), Path::new("/lib/modules").join(named))
    };
    let text = std::fs::read_to_string(dir.join("modules.dep")).unwrap();
    let needs: HashMap<&str, Vec<&str>> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(file, of)| (file, of.split_whitespace().collect()))
        .collect();
    let mut order: Vec<&str> = Vec::new();
    for wanted in MODULES.iter().chain(more) {
        let same = |file: &&&str| {
            let name = file.rsplit('/').next().unwrap().split('.').next().unwrap();
            name.replace('-', "_") == wanted.replace('-', "_")
        };
        // What is built in has no file.
        let Some(file) = needs.keys().find(same) else { continue };
        // Deepest last in modules.dep(5).
        for it in needs[file].iter().rev().chain([file]) {
            if !order.contains(it) {
                order.push(it);
            }
        }
    }
    let read = |file: &str| {
        let path = dir.join(file);
        let unpacker = match path.extension().unwrap().to_str().unwrap() {
            "xz" => "xz",
            "zst" => "zstd",
            "gz" => "gzip",
            _ => return std::fs::read(&path).unwrap(),
        };
        Command::new(unpacker).arg("-dc").arg(&path).output().unwrap().stdout
    };
    let plain = |file: &str| file.split(".ko").next().unwrap().rsplit('/').next().unwrap().to_owned() + ".ko";
    (release, order.into_iter().map(|file| (plain(file), read(file))).collect())
}

/// A cpio archive in the form "newc" (cpio(5)).
#[derive(Default)]
struct Cpio(Vec<u8>);

impl Cpio {
    fn entry(&mut self, name: &str, mode: u32, bytes: &[u8]) {
        let inode = self.0.len() + 1;
        let (length, name_length) = (bytes.len(), name.len() + 1);
        let head = format!(
            "070701{inode:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{length:08x}{0:08x}{0:08x}{0:08x}{0:08x}{name_length:08x}{0:08x}",
            0, 1
        );
        self.0.extend(head.bytes());
        self.0.extend(name.bytes());
        self.0.push(0);
        self.align();
        self.0.extend(bytes);
        self.align();
    }

    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}
