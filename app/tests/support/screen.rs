//! An X server with a window manager and an accessibility bus: what the real window is tested on.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::process::{Child, Command, Stdio};

pub struct Screen {
    children: Vec<Child>,
    pub display: String,
}

impl Screen {
    /// `None` when Xvfb or openbox is not installed.
    pub fn start() -> Option<Self> {
        Self::sized("1280x800x24")
    }

    /// One of that width, height and depth.
    pub fn sized(size: &str) -> Option<Self> {
        let mut xvfb = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", size, "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(xvfb.stdout.take()?), &mut line).ok()?;
        let display = format!(":{}", line.trim());
        let openbox = Command::new("openbox").env("DISPLAY", &display).stderr(Stdio::null()).spawn().ok()?;
        Some(Self { children: vec![openbox, xvfb], display })
    }

    pub fn xdotool(&self, args: &[&str]) -> bool {
        // `--sync` waits for ever for a window that does not come.
        let mut command = Command::new("timeout");
        command
            .args(["90", "xdotool"])
            .args(args)
            .env("DISPLAY", &self.display)
            .stderr(Stdio::null())
            .stdout(Stdio::null());
        command.status().is_ok_and(|s| s.success())
    }

    /// Left, top, width and height of the window with that title, pixels.
    pub fn place(&self, title: &str) -> [i32; 4] {
        let found = ["search", "--sync", "--onlyvisible", "--name", title, "getwindowgeometry", "--shell"];
        let out =
            Command::new("timeout").args(["90", "xdotool"]).args(found).env("DISPLAY", &self.display).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')?.parse().ok());
        ["X", "Y", "WIDTH", "HEIGHT"].map(|key| value(key).unwrap_or_else(|| panic!("{title}: {text}")))
    }

    /// Where the pointer is, pixels.
    pub fn pointer(&self) -> [i32; 2] {
        let mut command = Command::new("xdotool");
        let out = command.args(["getmouselocation", "--shell"]).env("DISPLAY", &self.display).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.parse().ok());
        ["X=", "Y="].map(|key| value(key).unwrap_or_else(|| panic!("{text}")))
    }

    /// Gives the X server's keyboard another layout.
    pub fn layout(&self, name: &str) {
        let mut command = Command::new("setxkbmap");
        assert!(command.args(["-layout", name]).env("DISPLAY", &self.display).status().unwrap().success());
    }

    /// A picture of the whole screen.
    pub fn photograph(&self, file: &Path) -> bool {
        let mut command = Command::new("import");
        command.args(["-silent", "-window", "root"]).arg(file).env("DISPLAY", &self.display);
        command.status().is_ok_and(|s| s.success())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
