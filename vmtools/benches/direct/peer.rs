//! virtme-ng, which boots a kernel on this host's own tree, for comparison: the same kernel and modules, emulated, 9p.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Instant;

use cartridge_supervise::{Cancel, CommandLine, run};

use crate::{Outcome, kernel};

/// What its shell prints; in halves, so that the command itself is not taken for it.
const HALVES: (&str, &str) = ("here is", "the shell");

/// virtme-ng with our kernel.
pub struct Peer {
    kernel: PathBuf,
}

impl Peer {
    /// Lays the kernel out as virtme-ng looks for it, if that is installed and works here.
    pub fn find(place: &Path) -> Result<Self, String> {
        let asked = run(&CommandLine::new("vng").arg("--version"), &Cancel::new(), |_, _| ());
        asked.map_err(|_| "`vng` is not installed (pip install virtme-ng)".to_owned())?;
        let kernel = kernel().map_err(|e| e.to_string())?;
        let dir = kernel.parent().ok_or("the kernel lies nowhere")?;
        let release = dir.file_name().ok_or("the kernel's folder has no name")?;
        let modules = [dir.join("modules"), dir.to_path_buf()].into_iter().find(|it| it.join("modules.dep").exists());
        let modules = modules.ok_or("the kernel has no modules beside it")?;
        let root = place.join("virtme");
        let made = [root.join("boot"), root.join("lib/modules")].iter().try_for_each(std::fs::create_dir_all);
        let placed = root.join("boot/vmlinuz");
        made.and_then(|()| symlink(modules, root.join("lib/modules").join(release)))
            .and_then(|()| std::fs::copy(kernel, &placed))
            .map_err(|e| e.to_string())?;
        let peer = Self { kernel: placed };
        peer.boot().map(|_| peer).map_err(|e| e.to_string())
    }

    /// Seconds from its start to what its shell prints.
    pub fn boot(&self) -> Outcome<f64> {
        let began = Instant::now();
        let (sender, heard) = channel();
        let words = format!("printf '%s %s\\n' '{}' '{}'", HALVES.0, HALVES.1);
        // Where the guest has no udev, what the shell prints goes to the console, which only says it when asked to.
        let line = CommandLine::new("vng").args(["--verbose", "--run"]).arg(&self.kernel);
        let line = line.args(["--disable-kvm", "--force-9p", "--cpus", "1", "--memory", "512M", "--exec", &words]);
        let ran = run(&line, &Cancel::new(), move |_, bytes| {
            let _ = sender.send((began.elapsed().as_secs_f64(), bytes.to_vec()));
        });
        let mut text = Vec::new();
        for (seconds, bytes) in heard {
            text.extend(bytes);
            if String::from_utf8_lossy(&text).contains(&format!("{} {}", HALVES.0, HALVES.1)) {
                return Ok(seconds);
            }
        }
        let said = String::from_utf8_lossy(&text).chars().take(400).collect::<String>();
        Err(format!("its shell printed nothing: {said} {ran:?}").into())
    }
}
