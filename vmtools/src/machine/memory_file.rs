//! A guest's memory as a file of this host: one that the guest fills, or one that it begins with and never changes. Pure.

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
    /// Whether what the guest writes goes into it. Otherwise each guest has pages of its own for that.
    pub(crate) filled: bool,
}

/// Puts the memory of a machine with `memory_mib` MiB into `file`. Nothing happens to one that has a backend already.
pub(crate) fn memory_in_file(arguments: &mut Vec<OsString>, memory_mib: u64, file: &MemoryFile) {
    let at = arguments.iter().position(|word| word == "-machine").map(|at| at + 1);
    let Some(board) = at.and_then(|at| arguments.get_mut(at)) else { return };
    if board.to_string_lossy().contains("memory-backend=") {
        return;
    }
    board.push(format!(",memory-backend={NAME}"));
    let share = if file.filled { "on" } else { "off" };
    let before = format!(
        "memory-backend-file,id={NAME},size={memory_mib}M,share={share},x-use-canonical-path-for-ramblock-id=off,mem-path="
    );
    arguments.extend(["-object".into(), value().text(&before).escaped(&file.path).into()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_named_as_the_machine_names_it() {
        let words = |words: &[&str]| words.iter().map(Into::into).collect::<Vec<OsString>>();
        let mut arguments = words(&["-S", "-machine", "q35", "-m", "512M"]);
        let file = MemoryFile { path: "/a,b".into(), filled: false };
        memory_in_file(&mut arguments, 512, &file);
        assert_eq!(arguments[2], "q35,memory-backend=pc.ram");
        let object =
            "memory-backend-file,id=pc.ram,size=512M,share=off,x-use-canonical-path-for-ramblock-id=off,mem-path=/a,,b";
        assert_eq!(arguments[5..], words(&["-object", object]));
        let before = arguments.clone();
        memory_in_file(&mut arguments, 512, &MemoryFile { filled: true, ..file });
        assert_eq!(arguments, before);
    }
}
