//! A guest with USB sticks: its initramfs is busybox, the modules that sticks need, and programs of the host with their libraries.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use cartridge_initramfs::cpio::Cpio;
use cartridge_initramfs::modules::ModuleTree;
use cartridge_initramfs::packing;
use cartridge_supervise::{Cancel, Channel, CommandLine, Exit, Observer, ProcessHandle, run, spawn};
use isoprep::{HostSearch, Kernel, kernels};

/// For anything that a guest does; long, because many tests share few processors, and nothing is accelerated.
const SOON: Duration = Duration::from_secs(300);

/// What a guest with sticks needs of the kernel.
const MODULES: &[&str] =
    &["virtio_pci", "virtio_blk", "xhci_pci", "usb_storage", "sd_mod", "ext4", "crc32c_generic", "loop", "dm_mod"];

const FOLDERS: &[&str] = &["/bin", "/dev", "/proc", "/sys", "/tmp", "/run", "/mnt", "/root", "/modules", "/etc"];

/// The guest's first process: devices, then the test, then the end.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
for module in /modules/*.ko; do insmod $module || echo \"insmod $module failed\"; done
INSIDE
echo \"INSIDE ENDED $?\"
poweroff -f
";

/// A drive of the guest: words for QEMU's `-drive`, and for its device.
pub struct Drive {
    pub id: &'static str,
    pub drive: String,
    pub device: &'static str,
}

pub struct Guest {
    qemu: ProcessHandle,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    qmp: PathBuf,
}

#[derive(Default)]
struct Heard {
    serial: Vec<u8>,
    errors: Vec<u8>,
    exited: bool,
}

struct Ear(Arc<(Mutex<Heard>, Condvar)>);

impl Observer for Ear {
    fn output(&mut self, channel: Channel, bytes: &[u8]) {
        // Of a test that has failed nobody hears any more.
        let mut heard = self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match channel {
            Channel::Stdout => heard.serial.extend_from_slice(bytes),
            Channel::Stderr => heard.errors.extend_from_slice(bytes),
        }
        self.0.1.notify_all();
    }

    fn exited(&mut self, _exit: &Exit) {
        self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).exited = true;
        self.0.1.notify_all();
    }
}

/// The best kernel of this host that has modules.
pub fn kernel() -> Kernel {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let store = home.join(".local/share/cartridge/kernels");
    let search = HostSearch { root: "/".into(), kernel_stores: vec![store], kernel: None, path: vec![] };
    kernels(&search).into_iter().find(|it| it.modules.is_some()).expect("a kernel with modules; see `cartridge doctor`")
}

/// An initramfs with these programs in it.
fn initramfs(kernel: &Kernel, programs: &[(PathBuf, PathBuf)], script: &str) -> Vec<u8> {
    let mut cpio = Cpio::new(Vec::new());
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut folder = |cpio: &mut Cpio<Vec<u8>>, path: &Path| {
        let parents: Vec<_> = path.ancestors().filter(|it| *it != Path::new("/")).collect();
        for parent in parents.into_iter().rev() {
            if !folders.iter().any(|it| it == parent) {
                cpio.dir(parent, 0o755).unwrap();
                folders.push(parent.to_owned());
            }
        }
    };
    FOLDERS.iter().for_each(|it| folder(&mut cpio, Path::new(it)));
    cpio.device(Path::new("/dev/console"), 0o600, 5, 1).unwrap();
    cpio.bytes(Path::new("/init"), 0o755, INIT.replace("INSIDE\n", script).as_bytes()).unwrap();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find_map(|it| std::fs::read(it).ok()).unwrap();
    cpio.bytes(Path::new("/bin/busybox"), 0o755, &busybox).unwrap();

    let modules = kernel.modules.as_deref().unwrap();
    let text = |name: &str| std::fs::read_to_string(modules.join(name)).unwrap_or_default();
    let tree = ModuleTree::parse(&text("modules.dep"), &text("modules.builtin"), &text("modules.softdep"));
    for (index, path) in tree.closure(MODULES.iter().copied()).iter().enumerate() {
        let module = packing::module(std::fs::read(modules.join(path)).unwrap(), 64 << 20).unwrap();
        cpio.bytes(Path::new(&format!("/modules/{index:03}.ko")), 0o644, &module).unwrap();
    }

    let mut libraries: Vec<PathBuf> = Vec::new();
    for (from, to) in programs {
        let found = run(&CommandLine::new("ldd").arg(from), &Cancel::new(), |_, _| ());
        // A script has none.
        let found = found.map(|it| String::from_utf8(it.stdout).unwrap()).unwrap_or_default();
        libraries.extend(found.split_whitespace().filter(|it| it.starts_with('/')).map(PathBuf::from));
        folder(&mut cpio, to.parent().unwrap());
        cpio.bytes(to, 0o755, &std::fs::read(from).unwrap()).unwrap();
    }
    libraries.sort();
    libraries.dedup();
    for library in libraries {
        folder(&mut cpio, library.parent().unwrap());
        cpio.bytes(&library, 0o755, &std::fs::read(&library).unwrap()).unwrap();
    }
    cpio.finish().unwrap()
}

impl Guest {
    /// Starts one with `programs` (files of the host, and where they are in it) and their libraries. It runs `script`, and powers off.
    pub fn start(dir: &Path, drives: &[Drive], programs: &[(PathBuf, PathBuf)], script: &str) -> Self {
        let kernel = kernel();
        let initrd = dir.join("initramfs");
        std::fs::write(&initrd, initramfs(&kernel, programs, script)).unwrap();
        let qmp = dir.join("qmp");
        let mut words: Vec<String> = ["-nodefaults", "-no-user-config", "-no-reboot"].map(String::from).into();
        let mut pair = |option: &str, value: String| words.extend([option.to_owned(), value]);
        pair("-machine", "q35".into());
        pair("-accel", "tcg,thread=multi".into());
        pair("-cpu", "max".into());
        pair("-m", "1024".into());
        pair("-display", "none".into());
        pair("-kernel", kernel.image.display().to_string());
        pair("-initrd", initrd.display().to_string());
        pair("-append", "console=ttyS0 loglevel=1 no_timer_check panic=-1".into());
        pair("-chardev", "stdio,id=serial0,signal=off".into());
        pair("-serial", "chardev:serial0".into());
        pair("-qmp", format!("unix:{},server=on,wait=off", qmp.display()));
        pair("-device", "qemu-xhci,id=xhci,p2=15,p3=15".into());
        for it in drives {
            pair("-drive", format!("if=none,id={},{}", it.id, it.drive));
            pair("-device", format!("{},drive={},id=stick-{}", it.device, it.id, it.id));
        }
        let heard = Arc::<(Mutex<Heard>, Condvar)>::default();
        let line = CommandLine::new("qemu-system-x86_64").args(words);
        let qemu = spawn(&line, Ear(Arc::clone(&heard))).unwrap_or_else(|e| panic!("{e}"));
        Self { qemu, heard, qmp }
    }

    /// Waits until the guest has said `word`.
    pub fn until(&self, word: &str) {
        let end = Instant::now() + SOON;
        let mut heard = self.heard.0.lock().unwrap();
        loop {
            if heard.serial.windows(word.len()).any(|it| it == word.as_bytes()) {
                return;
            }
            let text =
                || format!("{}\n{}", String::from_utf8_lossy(&heard.serial), String::from_utf8_lossy(&heard.errors));
            assert!(!heard.exited, "QEMU ended before {word:?}\n{}", text());
            assert!(!text().contains("INSIDE ENDED"), "the test inside ended before {word:?}\n{}", text());
            assert!(Instant::now() < end, "waiting for {word:?}\n{}", text());
            heard = self.heard.1.wait_timeout(heard, Duration::from_millis(200)).unwrap().0;
        }
    }

    /// Pulls a stick.
    pub fn pull(&self, id: &str) {
        let stream = UnixStream::connect(&self.qmp).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut say = |text: String| {
            (&stream).write_all(format!("{text}\n").as_bytes()).unwrap();
            loop {
                let line = lines.next().unwrap().unwrap();
                assert!(!line.contains("\"error\""), "{line}");
                if line.contains("\"return\"") {
                    return;
                }
            }
        };
        say(r#"{"execute":"qmp_capabilities"}"#.into());
        say(format!(r#"{{"execute":"device_del","arguments":{{"id":"stick-{id}"}}}}"#));
    }

    /// Waits for the end of the script, which must have gone well, and for QEMU's. What it has said.
    pub fn end(self) -> String {
        let exit = self.qemu.wait(SOON);
        let heard = self.heard.0.lock().unwrap();
        let text = String::from_utf8_lossy(&heard.serial).into_owned();
        assert!(exit.is_some(), "the guest does not end\n{text}");
        assert!(text.contains("INSIDE ENDED 0"), "{text}");
        // What it has said is a report: shown where tests show what they print.
        println!("{text}");
        text
    }
}
