//! A guest's memory as a file of this host: one that the guest fills, one that it begins with and never
//! changes, or one of its own that others see too. Pure.

use std::ffi::OsString;
use std::path::PathBuf;

use super::arguments::value;

/// What q35 calls its memory by itself (QEMU, hw/i386/pc.c): under this name what was saved fits a machine with a file and
/// one without.
const NAME: &str = "pc.ram";

/// The file that a guest's memory lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryFile {
    pub(crate) path: PathBuf,
    pub(crate) used: MemoryUse,
}

/// What becomes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryUse {
    /// What the guest writes goes into it.
    Filled,
    /// Each guest has pages of its own for what it writes.
    Private,
    /// It is this guest's own, and programs that serve it folders see it too.
    Lent,
}

/// The same arguments with the memory of a machine with `memory_mib` MiB in `file`. A machine that has a backend already
/// keeps that.
pub(crate) fn memory_in_file(mut arguments: Vec<OsString>, memory_mib: u64, file: &MemoryFile) -> Vec<OsString> {
    let at = arguments.iter().position(|word| word == "-machine").map(|at| at + 1);
    let Some(board) = at.and_then(|at| arguments.get_mut(at)) else { return arguments };
    if board.to_string_lossy().contains("memory-backend=") {
        return arguments;
    }
    board.push(format!(",memory-backend={NAME}"));
    let share = if file.used == MemoryUse::Private { "off" } else { "on" };
    let before = format!(
        "memory-backend-file,id={NAME},size={memory_mib}M,share={share},x-use-canonical-path-for-ramblock-id=off,mem-path="
    );
    arguments.extend(["-object".into(), value().text(&before).escaped(&file.path).into()]);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_named_as_the_machine_names_it() {
        let words = |words: &[&str]| words.iter().map(Into::into).collect::<Vec<OsString>>();
        let plain = words(&["-S", "-machine", "q35", "-m", "512M"]);
        let file = |used| MemoryFile { path: "/a,b".into(), used };
        for (used, share) in [(MemoryUse::Private, "off"), (MemoryUse::Filled, "on"), (MemoryUse::Lent, "on")] {
            let arguments = memory_in_file(plain.clone(), 512, &file(used));
            assert_eq!(arguments[2], "q35,memory-backend=pc.ram");
            let object = format!(
                "memory-backend-file,id=pc.ram,size=512M,share={share},x-use-canonical-path-for-ramblock-id=off,mem-path=/a,,b"
            );
            assert_eq!(arguments[5..], words(&["-object", &object]));
            assert_eq!(memory_in_file(arguments.clone(), 512, &file(MemoryUse::Filled)), arguments);
        }
    }
}
