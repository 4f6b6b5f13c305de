//! A Wayland compositor without a screen of its own: sway, with a window on every inch of one output, photographed by grim.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::desktop::Desk;
use crate::fingers::Fingers;
use crate::support::user::User;

/// What it runs at Super-x and at Alt-Tab writes a line into a file each; a second window floats.
const CONFIG: &str = "xwayland disable
output HEADLESS-1 resolution 1280x800 position 0 0
default_border none
seat seat0 fallback true
for_window [title=\"guest screen\"] floating enable, resize set 700 500, move absolute position 500 200
bindsym Mod4+x exec echo x >> $HOME/acted
bindsym Mod1+Tab exec echo tab >> $HOME/acted
";

pub struct Sway {
    child: Child,
    home: tempfile::TempDir,
    socket: PathBuf,
    ipc: PathBuf,
    /// Whoever runs it: sway does not run as root.
    _user: User,
}

impl Sway {
    pub fn start() -> Self {
        let home = tempfile::Builder::new().prefix("cs").tempdir_in("/tmp").unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let config = home.path().join("config");
        fs::write(&config, CONFIG).unwrap();
        let log = fs::File::create(home.path().join("log")).unwrap();
        let user = User::ordinary();
        user.own(home.path());
        let mut command = user.command("sway");
        command
            .arg("-c")
            .arg(&config)
            .env("HOME", home.path())
            .env("XDG_RUNTIME_DIR", home.path())
            .env("WLR_BACKENDS", "headless")
            .env("WLR_RENDERER", "pixman")
            .env("WLR_LIBINPUT_NO_DEVICES", "1")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let mut child = command.spawn().expect("sway and setpriv are installed by packaging/setup");
        let end = Instant::now() + Duration::from_secs(60);
        let (socket, ipc) = loop {
            let named = |begin: &str| {
                let names = fs::read_dir(home.path()).unwrap().flatten().map(|entry| entry.file_name());
                names.into_iter().find(|name| {
                    let name = name.to_string_lossy();
                    name.starts_with(begin) && !name.ends_with(".lock")
                })
            };
            if let (Some(socket), Some(ipc)) = (named("wayland-"), named("sway-ipc.")) {
                break (home.path().join(socket), home.path().join(ipc));
            }
            let log = || fs::read_to_string(home.path().join("log")).unwrap_or_default();
            assert!(child.try_wait().unwrap().is_none(), "sway has ended: {}", log());
            assert!(Instant::now() < end, "sway does not listen: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        };
        let sway = Self { child, home, socket, ipc, _user: user };
        // It takes commands before it has read its configuration.
        sway.until("sway's output", || sway.tell(&["-t", "get_outputs"]).contains("\"width\": 1280"));
        sway
    }

    /// Its words to swaymsg's.
    pub fn tell(&self, words: &[&str]) -> String {
        let out = Command::new("swaymsg").arg("-s").arg(&self.ipc).args(words).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
    }

    /// Has it do something.
    pub fn does(&self, what: &str) {
        let said = self.tell(&[what]);
        assert!(said.contains("\"success\": true"), "{what}: {said}");
    }

    /// How often it has done what it does at its own keys.
    pub fn acted(&self) -> usize {
        fs::read_to_string(self.home.path().join("acted")).unwrap_or_default().lines().count()
    }

    /// What it tells of the window with that in its title.
    pub fn shows(&self, title: &str) -> Option<Value> {
        fn find(node: &Value, title: &str) -> Option<Value> {
            let own = node["app_id"].is_string() && node["name"].as_str().is_some_and(|name| name.contains(title));
            let below = ["nodes", "floating_nodes"].into_iter().filter_map(|key| node[key].as_array()).flatten();
            if own { Some(node.clone()) } else { below.into_iter().find_map(|node| find(node, title)) }
        }
        find(&serde_json::from_str(&self.tell(&["-r", "-t", "get_tree"])).unwrap(), title)
    }

    /// Whether a window with that in its title is there.
    pub fn has(&self, title: &str) -> bool {
        self.shows(title).is_some()
    }

    /// A keyboard of that layout, and a pointer.
    pub fn fingers(&self, layout: &str) -> Fingers {
        Fingers::on(&self.socket, layout)
    }

    /// Waits for it; the limit is for a loaded machine.
    pub fn until(&self, what: &str, done: impl FnMut() -> bool) {
        assert!(self.within(90, done), "waiting for {what}");
    }

    /// Whether that comes in so many seconds.
    pub fn within(&self, seconds: u64, mut done: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + Duration::from_secs(seconds);
        loop {
            if done() {
                return true;
            }
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A program of its desktop.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        self.show(&mut command);
        command
    }

    /// Has a program find it.
    pub fn show(&self, command: &mut Command) {
        command.env("WAYLAND_DISPLAY", &self.socket).env("XDG_RUNTIME_DIR", self.home.path()).env_remove("DISPLAY");
    }
}

impl Desk for Sway {
    fn show_on(&self, command: &mut Command) {
        command.env("WAYLAND_DISPLAY", &self.socket).env_remove("DISPLAY");
    }

    fn focus(&self) {
        // A screen reader's tree is there before the window is.
        let asked = || self.tell(&["[app_id=\"io.github.cartridge_console.Cartridge\" title=\"Cartridge$\"] focus"]);
        self.until("the window", || asked().contains("\"success\": true"));
    }

    fn close(&self) {
        self.does("[app_id=\"io.github.cartridge_console.Cartridge\" title=\"Cartridge$\"] kill");
    }

    fn photograph(&self, file: &Path) -> bool {
        self.program("grim").args(["-o", "HEADLESS-1"]).arg(file).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Sway {
    fn drop(&mut self) {
        // Orderly, so that it ends what it has started.
        let _ = self.tell(&["exit"]);
        let end = Instant::now() + Duration::from_secs(10);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
