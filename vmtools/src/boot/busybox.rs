//! A static busybox of this host, for guests: their shell where nothing else has one.

use std::path::{Path, PathBuf};

use cartridge_initramfs::busybox::{Linking, linking, listed, missing};
use cartridge_supervise::{Cancel, CommandLine, run};

/// Where distributions put one, besides the folders of `PATH`.
const KNOWN: [&str; 4] = ["/usr/lib/initcpio/busybox", "/usr/bin/busybox.static", "/usr/sbin/busybox", "/bin/busybox"];

/// A busybox that runs without libraries.
#[derive(Debug)]
pub(super) struct Busybox {
    pub(super) program: Vec<u8>,
    /// Paths of its applets, such as `bin/ls`.
    pub(super) applets: Vec<String>,
}

/// Finds one, or says where it was looked for and what was wrong there.
pub(super) fn find(cancel: &Cancel) -> Result<Busybox, Vec<String>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::split_paths(&path).map(|dir| dir.join("busybox"));
    let mut looked = Vec::new();
    for place in named.chain(KNOWN.map(PathBuf::from)) {
        match std::fs::read(&place) {
            Ok(program) if linking(&program) == Linking::Static => match applets(&place, cancel) {
                Ok(applets) => return Ok(Busybox { program, applets }),
                Err(why) => looked.push(format!("{} ({why})", place.display())),
            },
            Ok(_) => looked.push(format!("{} (not static)", place.display())),
            Err(_) => looked.push(place.display().to_string()),
        }
    }
    looked.dedup();
    Err(looked)
}

fn applets(program: &Path, cancel: &Cancel) -> Result<Vec<String>, String> {
    let line = CommandLine::new(program).arg("--list-full");
    let output = run(&line, cancel, |_, _| ()).map_err(|e| e.to_string())?;
    let applets = listed(&String::from_utf8_lossy(&output.stdout));
    match &*missing(&applets) {
        [] => Ok(applets),
        lacks => Err(format!("it has no {}", lacks.join(", "))),
    }
}
