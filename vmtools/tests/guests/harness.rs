//! Starts a guest for a test in a directory of its own and listens to it with deadlines. QEMU is killed when a test ends
//! in any way: the handle's drop does it, and the kernel does it if the test process dies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use vmtools::{
    Accelerator, Boot, Firmware, Gpu, GuestError, GuestEvent, GuestHandle, GuestPlan, GuestStatus, Machine, Medium,
    Network, RuntimeDir, Screen, Sharing, start,
};

/// A deadline for anything a guest does; long, because many tests share few processors.
pub const SOON: Duration = Duration::from_secs(60);

pub fn machine() -> Machine {
    Machine {
        name: "test, guest".into(),
        cpus: 1,
        memory_mib: 256,
        firmware: Firmware::Bios,
        gpu: Gpu::Std,
        medium: Medium::Cd,
        disks: vec![],
        accelerator: Accelerator::Tcg,
        network: Network::User,
        forwards: vec![],
        tpm: false,
        clipboard: false,
        audio: false,
        extra_iso: None,
        usb: vec![],
        extra: vec![],
        shares: vec![],
        layers: vec![],
        told: vec![],
    }
}

pub struct Guest {
    pub handle: GuestHandle,
    pub events: mpsc::Receiver<GuestEvent>,
    pub screen: Arc<Screen>,
    pub runtime: PathBuf,
    /// Everything heard so far from the serial line.
    pub serial: Vec<u8>,
    _dir: tempfile::TempDir,
}

pub struct Plan {
    pub plan: GuestPlan,
    pub dir: tempfile::TempDir,
}

pub fn plan(machine: Machine, boot: Boot) -> Plan {
    let dir = tempfile::Builder::new().prefix("vm").tempdir_in("/tmp").unwrap();
    let runtime = RuntimeDir::create_in(&dir.path().join("run"), &machine.name).unwrap().path().to_owned();
    let plan = GuestPlan {
        machine,
        boot,
        runtime,
        qemu: "qemu-system-x86_64".into(),
        firmware: None,
        sharing: Sharing::default(),
    };
    Plan { plan, dir }
}

impl Plan {
    pub async fn start(self) -> Result<Guest, GuestError> {
        let (sender, events) = mpsc::channel(64);
        let screen = Arc::new(Screen::new());
        let runtime = self.plan.runtime.clone();
        let handle = start(self.plan, sender, Arc::clone(&screen)).await?;
        Ok(Guest::new(handle, events, screen, runtime, self.dir))
    }
}

impl Guest {
    pub fn new(
        handle: GuestHandle,
        events: mpsc::Receiver<GuestEvent>,
        screen: Arc<Screen>,
        runtime: PathBuf,
        dir: tempfile::TempDir,
    ) -> Self {
        Self { handle, events, screen, runtime, serial: Vec::new(), _dir: dir }
    }

    /// The next event that `wanted` wants; the test fails when it does not come in time.
    pub async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(&GuestEvent) -> Option<T>) -> T {
        let end = Instant::now() + SOON;
        let mut seen = Vec::new();
        loop {
            let event = match timeout_at(end, self.events.recv()).await {
                Ok(Some(event)) => event,
                other => panic!("waiting for {what}: {other:?}\nseen: {seen:#?}\nserial: {}", self.serial_text()),
            };
            if let GuestEvent::Serial(bytes) = &event {
                self.serial.extend_from_slice(bytes);
            } else {
                seen.push(event.clone());
            }
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    }

    pub async fn until_status(&mut self, wanted: &GuestStatus) {
        let what = format!("{wanted:?}");
        self.until(&what, |event| matches!(event, GuestEvent::Status(s) if s == wanted).then_some(())).await;
    }

    pub fn serial_text(&self) -> String {
        String::from_utf8_lossy(&self.serial).into_owned()
    }

    /// Whether QEMU uses less than a tenth of a processor for half a second.
    pub fn qemu_rests(&self) -> bool {
        let ticks = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.handle.pid())).unwrap();
            // proc(5): fields 14 and 15, hundredths of a second.
            let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
        };
        let before = ticks();
        std::thread::sleep(Duration::from_millis(500));
        ticks() - before < 5
    }

    /// The picture in words, for a failing test.
    fn picture(&self) -> String {
        match self.screen.snapshot() {
            None => "nothing".into(),
            Some(f) => {
                let kind = if f.is_uniform() { "uniform" } else { "mixed" };
                format!("{}x{} {kind}, live {}, first pixel {:?}", f.width, f.height, self.screen.live(), &f.rgba[..4])
            }
        }
    }

    /// Waits until `done` holds, looking often.
    pub async fn wait(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + SOON;
        while !done(self) {
            assert!(Instant::now() < end, "waiting for {what}; the screen shows {}", self.picture());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A kernel to boot: the user's kernel store first, then what the system has installed.
pub fn kernel() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let mut found = Vec::new();
    for (dir, file) in [(home.join(".local/share/cartridge/kernels"), "vmlinuz"), ("/lib/modules".into(), "vmlinuz")] {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            found.push(entry.path().join(file));
        }
    }
    for entry in std::fs::read_dir("/boot").into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("vmlinuz") {
            found.push(entry.path());
        }
    }
    found.into_iter().find(|path| std::fs::File::open(path).is_ok()).expect(
        "this test needs a readable Linux kernel in ~/.local/share/cartridge/kernels/<version>/vmlinuz, \
         /lib/modules/<version>/vmlinuz or /boot/vmlinuz-<version>",
    )
}

pub fn alive(pid: u32) -> bool {
    // A zombie has an empty command line.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| !words.is_empty())
}

/// A fake QEMU for injecting faults: a shell script.
pub fn script(dir: &Path, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join("fake-qemu");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}
