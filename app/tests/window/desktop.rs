//! The real window on a desktop of its own: an X server with a window manager or a Wayland compositor, a session bus, and the
//! driver that presses what a screen reader would see.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::screen::Screen;
use crate::support::Console;

/// Where the window is shown.
pub trait Desk {
    /// Has a program show its windows there.
    fn show_on(&self, command: &mut Command);
    /// Gives the main window the focus, and all of the screen.
    fn focus(&self);
    /// Closes it, as its frame does.
    fn close(&self);
    /// A picture of the whole screen.
    fn photograph(&self, file: &Path) -> bool;
}

impl Desk for Screen {
    fn show_on(&self, command: &mut Command) {
        command.env("DISPLAY", &self.display);
    }

    fn focus(&self) {
        let found = [
            "search",
            "--sync",
            "--onlyvisible",
            "--name",
            "Cartridge",
            "windowsize",
            "1280",
            "800",
            "windowmove",
            "0",
            "0",
            "windowfocus",
            "--sync",
        ];
        assert!(self.xdotool(&found), "the window is not there");
    }

    fn close(&self) {
        assert!(self.xdotool(&["search", "--onlyvisible", "--name", "Cartridge", "windowclose"]));
    }

    fn photograph(&self, file: &Path) -> bool {
        Self::photograph(self, file)
    }
}

/// The app, a session bus of its own around it, and the driver that presses what a screen reader would see.
pub struct Window<'a> {
    pub console: &'a Console,
    desk: &'a dyn Desk,
    bus: Bus,
    app: Child,
}

struct Bus {
    daemon: Child,
    address: String,
}

impl Bus {
    fn start(console: &Console, desk: &dyn Desk) -> Self {
        let mut daemon = Command::new("dbus-daemon");
        desk.show_on(&mut daemon);
        let mut daemon = daemon
            .args(["--session", "--nofork", "--print-address=1"])
            .env("XDG_RUNTIME_DIR", console.home.path().join("run"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        let out = daemon.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut address).unwrap();
        Self { daemon, address: address.trim().to_owned() }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl<'a> Window<'a> {
    /// One with a cartridge that was built and whose guest runs.
    pub fn running(console: &'a Console, desk: &'a dyn Desk) -> Self {
        let repo = console.repository("distro");
        let window = Self::open(console, desk, &[repo.to_str().unwrap()]);
        window.press("Build & Boot");
        window.wait("State: Running");
        window
    }

    pub fn open(console: &'a Console, desk: &'a dyn Desk, args: &[&str]) -> Self {
        let bus = Bus::start(console, desk);
        drive(console, desk, &bus, &["--enable"]);
        let mut command = console.command(args);
        desk.show_on(&mut command);
        command.env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
        command.env("LIBGL_ALWAYS_SOFTWARE", "1").stdout(Stdio::null()).stderr(Stdio::null());
        let app = command.spawn().unwrap();
        let window = Self { console, desk, bus, app };
        window.wait("Build & Boot");
        window.focus();
        window
    }

    /// How often the program writes, and how much of a processor it has, hundredths of a second, in two seconds.
    pub fn work(&self) -> (u64, u64) {
        let now = || {
            let of = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.pid())).unwrap();
            let writes = of("io").lines().find_map(|line| line.strip_prefix("syscw: ")?.parse::<u64>().ok()).unwrap();
            // proc(5): fields 14 and 15.
            let stat = of("stat");
            let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
            (writes, fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap())
        };
        let before = now();
        std::thread::sleep(Duration::from_secs(2));
        let after = now();
        (after.0 - before.0, after.1 - before.1)
    }

    pub fn pid(&self) -> u32 {
        self.app.id()
    }

    pub fn focus(&self) {
        self.desk.focus();
    }

    pub fn press(&self, name: &str) {
        drive(self.console, self.desk, &self.bus, &["--app", "cartridge", "--timeout", "600", "press", "-", name]);
    }

    pub fn wait(&self, name: &str) {
        drive(self.console, self.desk, &self.bus, &["--app", "cartridge", "--timeout", "600", "wait", "-", name]);
    }

    /// Whether it comes within ten seconds.
    pub fn shows(&self, name: &str) -> bool {
        let args = ["--app", "cartridge", "--timeout", "10", "wait", "-", name];
        driven(self.console, self.desk, &self.bus, &args).status.success()
    }

    pub fn log(&self, name: &str) -> String {
        let sessions = fs::read_dir(self.console.home.path().join("state/cartridge/sessions")).unwrap();
        let read = |e: fs::DirEntry| fs::read(e.path().join(name)).unwrap_or_default();
        sessions.flatten().map(|e| String::from_utf8_lossy(&read(e)).into_owned()).collect()
    }

    pub fn wait_for_log(&self, name: &str, word: &str) {
        self.wait_for_log_times(name, word, 1);
    }

    pub fn wait_for_log_times(&self, name: &str, word: &str, times: usize) {
        let end = Instant::now() + Duration::from_secs(600);
        while self.log(name).matches(word).count() < times {
            assert!(Instant::now() < end, "{word:?} never came in {name}:\n{}", self.log(name));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Closing ends the session, and the process.
    pub fn close(self) {
        self.focus();
        self.desk.close();
        self.ends();
    }

    pub fn ends(mut self) {
        let end = Instant::now() + Duration::from_secs(600);
        while self.app.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the window does not close");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn photograph(&self, name: &str) -> image::RgbImage {
        let file = self.console.home.path().join(name);
        assert!(self.desk.photograph(&file));
        // For people: what the test saw.
        if let Some(dir) = std::env::var_os("KEEP_PHOTOGRAPHS") {
            fs::copy(&file, Path::new(&dir).join(name)).unwrap();
        }
        image::open(&file).unwrap().to_rgb8()
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        let _ = self.app.kill();
        let _ = self.app.wait();
    }
}

fn driven(console: &Console, desk: &dyn Desk, bus: &Bus, args: &[&str]) -> std::process::Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/drive.py");
    let mut command = Command::new("/usr/bin/python3");
    desk.show_on(&mut command);
    command
        .arg(script)
        .args(args)
        .env("DBUS_SESSION_BUS_ADDRESS", &bus.address)
        .env("XDG_RUNTIME_DIR", console.home.path().join("run"))
        .output()
        .unwrap()
}

fn drive(console: &Console, desk: &dyn Desk, bus: &Bus, args: &[&str]) {
    let out = driven(console, desk, bus, args);
    assert!(
        out.status.success(),
        "{args:?}: {}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}
