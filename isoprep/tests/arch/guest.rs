//! Starts an ISO image the four ways that a person would, emulated, and waits for the guest's report with a deadline.
//! QEMU dies with the test.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use cartridge_supervise::{Channel, CommandLine, Exit, Observer, spawn};

use super::firmware::find_firmware;
use super::report::{Report, parse};

/// How long a guest may take to report; long, because many tests share few processors, and nothing is accelerated.
const DEADLINE: Duration = Duration::from_secs(300);

/// How the guest starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    Bios,
    Uefi,
}

/// What the image is to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// An optical disc in a SATA drive.
    Cd,
    /// A USB stick.
    Usb,
}

/// One start of an image.
#[derive(Clone, Debug)]
pub struct Boot {
    iso: PathBuf,
    firmware: Firmware,
    medium: Medium,
    memory_mib: u32,
    deadline: Duration,
    automated: bool,
}

/// A guest that has reported, and was ended.
#[derive(Clone, Debug)]
pub struct Booted<R = Report> {
    pub report: R,
    /// Everything that was heard from the serial line.
    pub serial: String,
    /// From the start of QEMU to the end of the report.
    pub took: Duration,
}

/// A guest that has not reported.
#[derive(Debug)]
pub struct BootFailure {
    pub why: String,
    /// Everything that was heard from the serial line.
    pub serial: String,
}

impl fmt::Display for BootFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.serial.char_indices().rev().nth(6000).map_or(0, |(at, _)| at);
        write!(f, "{}\n--- the end of the serial line ---\n{}", self.why, &self.serial[from..])
    }
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
        let mut heard = self.0.0.lock().unwrap();
        match channel {
            Channel::Stdout => heard.serial.extend_from_slice(bytes),
            Channel::Stderr => heard.errors.extend_from_slice(bytes),
        }
        self.0.1.notify_all();
    }

    fn exited(&mut self, _exit: &Exit) {
        self.0.0.lock().unwrap().exited = true;
        self.0.1.notify_all();
    }
}

/// Looks at what came on the serial line so far: nothing yet, what was waited for, or why that will never come.
type Look<'a, R> = &'a dyn Fn(&[u8]) -> Result<Option<R>, String>;

impl Boot {
    pub fn new(iso: &Path, firmware: Firmware, medium: Medium) -> Self {
        Self { iso: iso.into(), firmware, medium, memory_mib: 1024, deadline: DEADLINE, automated: false }
    }

    /// All four ways: BIOS and UEFI, disc and stick.
    pub fn all(iso: &Path) -> [Self; 4] {
        let of = |firmware, medium| Self::new(iso, firmware, medium);
        [
            of(Firmware::Bios, Medium::Cd),
            of(Firmware::Bios, Medium::Usb),
            of(Firmware::Uefi, Medium::Cd),
            of(Firmware::Uefi, Medium::Usb),
        ]
    }

    pub fn memory_mib(mut self, memory: u32) -> Self {
        self.memory_mib = memory;
        self
    }

    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Waits for the automated script to end too.
    pub fn until_automated(mut self) -> Self {
        self.automated = true;
        self
    }

    /// Starts the guest, waits for its report and ends it.
    ///
    /// # Errors
    /// QEMU ended, the initramfs gave up, a line of the report is broken, or the deadline passed.
    pub fn run(&self) -> Result<Booted, BootFailure> {
        self.until(|serial| {
            let report = parse(serial)?;
            Ok((report.complete && (!self.automated || report.automated.is_some())).then_some(report))
        })
    }

    /// Starts the guest, waits until `look` finds what it wants in what was heard so far, and ends it.
    ///
    /// # Errors
    /// As [`run`](Self::run), and what `look` says.
    pub fn until<R>(&self, look: impl Fn(&[u8]) -> Result<Option<R>, String>) -> Result<Booted<R>, BootFailure> {
        let dir = tempfile::tempdir().unwrap();
        let heard = Arc::<(Mutex<Heard>, Condvar)>::default();
        let started = Instant::now();
        let line = self.command_line(dir.path());
        let qemu = spawn(&line, Ear(Arc::clone(&heard))).unwrap_or_else(|e| panic!("{e}"));
        let result = self.wait(&heard, started, &look);
        let _ = qemu.end(Duration::from_secs(1));
        result.map_err(|why| {
            let heard = heard.0.lock().unwrap();
            let errors = String::from_utf8_lossy(&heard.errors).into_owned();
            BootFailure {
                why: format!("{:?} from {:?}: {why}\n{errors}\n  command: {line}", self.firmware, self.medium),
                serial: String::from_utf8_lossy(&heard.serial).into_owned(),
            }
        })
    }

    fn wait<R>(
        &self,
        heard: &(Mutex<Heard>, Condvar),
        started: Instant,
        look: Look<'_, R>,
    ) -> Result<Booted<R>, String> {
        let mut state = heard.0.lock().unwrap();
        loop {
            if let Some(report) = look(&state.serial)? {
                let serial = String::from_utf8_lossy(&state.serial).into_owned();
                return Ok(Booted { report, serial, took: started.elapsed() });
            }
            // The prompt of an initramfs that waits for a person who is not there.
            for sign in ["[rootfs ", "(initramfs) ", "Kernel panic - not syncing"] {
                if state.serial.windows(sign.len()).any(|it| it == sign.as_bytes()) {
                    return Err(format!("the guest gave up: its serial line says {sign:?}"));
                }
            }
            if state.exited {
                return Err("QEMU ended before the guest had reported".into());
            }
            let left = self.deadline.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(format!("no report after {} s", self.deadline.as_secs()));
            }
            // The whole line is read anew each time: not for every byte.
            drop(state);
            std::thread::sleep(left.min(Duration::from_millis(100)));
            state = heard.0.lock().unwrap();
        }
    }

    fn command_line(&self, dir: &Path) -> CommandLine {
        let escaped = |path: &Path| path.to_str().expect("a path in UTF-8").replace(',', ",,");
        let mut words: Vec<String> = ["-nodefaults", "-no-user-config", "-no-reboot"].map(String::from).into();
        let mut pair = |option: &str, value: String| words.extend([option.to_owned(), value]);
        pair("-machine", "q35".into());
        pair("-accel", "tcg,thread=multi".into());
        pair("-cpu", "max".into());
        pair("-m", self.memory_mib.to_string());
        pair("-display", "none".into());
        pair("-device", "VGA".into());
        pair("-device", "virtio-rng-pci".into());
        pair("-monitor", "none".into());
        pair("-chardev", "stdio,id=serial0,signal=off".into());
        pair("-serial", "chardev:serial0".into());
        if self.firmware == Firmware::Uefi {
            let found = find_firmware(Path::new("/")).unwrap_or_else(|e| panic!("{e}"));
            let vars = dir.join("vars");
            std::fs::copy(&found.vars, &vars).unwrap();
            let flash = |unit, format: &str, more, file: &Path| {
                format!("if=pflash,unit={unit},format={format}{more},file={}", escaped(file))
            };
            pair("-drive", flash(0, found.code_format.name(), ",readonly=on", &found.code));
            pair("-drive", flash(1, found.vars_format.name(), "", &vars));
        }
        let (media, device) = match self.medium {
            Medium::Cd => ("cdrom", "ide-cd,bus=ide.0,drive=medium,bootindex=1"),
            Medium::Usb => ("disk", "usb-storage,bus=xhci.0,drive=medium,bootindex=1,removable=on"),
        };
        pair("-device", "qemu-xhci,id=xhci".into());
        pair("-drive", format!("if=none,id=medium,media={media},format=raw,readonly=on,file={}", escaped(&self.iso)));
        pair("-device", device.into());
        CommandLine::new("qemu-system-x86_64").args(words)
    }
}
