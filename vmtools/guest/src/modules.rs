//! Kernel modules: loaded in the order of a list that the host computed, so that nothing is resolved at boot.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::io::Errno;

/// The list: one path a line, relative to `/lib/modules/<release>/`, dependencies first.
const LIST: &str = "/etc/cartridge/modules.load";

/// Loads every listed module and returns a note for each that failed.
pub(crate) fn load_listed() -> Vec<String> {
    let Ok(list) = std::fs::read_to_string(LIST) else {
        // An image for a kernel without modules has no list.
        return Vec::new();
    };
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let root = Path::new("/lib/modules").join(&release);
    if !root.is_dir() {
        return vec![format!("the running kernel is {release}, and this image has no modules for it")];
    }
    let wanted = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    wanted.filter_map(|line| load(&root.join(line)).err().map(|e| format!("module {line}: {e}"))).collect()
}

fn load(path: &Path) -> io::Result<()> {
    match rustix::system::finit_module(File::open(path)?, c"", 0) {
        // Already there, or built in; or a driver that wants hardware which this machine does not have.
        Ok(()) | Err(Errno::EXIST | Errno::NODEV) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
