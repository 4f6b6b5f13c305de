//! The words of a kernel's panic out of a guest's serial line, to be said with it. Whether it is one is `vmtools`' to know.
//!
//! Pure and incremental: any bytes, in any chunks, in constant memory.

use vmtools::EscapeFilter;

/// What the kernel prints when it gives up (kernel/panic.c).
const PANIC: &str = "Kernel panic - not syncing: ";
/// The longest line that is looked at, bytes.
const LONGEST: usize = 512;

/// Takes a serial line's bytes as they come and keeps the words of the last panic.
#[derive(Debug, Default)]
pub(super) struct PanicWords {
    line: Vec<u8>,
    escapes: EscapeFilter,
    words: Option<String>,
}

impl PanicWords {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' || byte == b'\r' {
                self.escapes.line_ended();
                let line = String::from_utf8_lossy(&self.line).into_owned();
                // The end of a panic repeats it.
                if let Some((before, words)) = line.split_once(PANIC)
                    && !before.contains("end ")
                {
                    self.words = Some(words.trim().to_owned());
                }
                self.line.clear();
            } else if self.escapes.is_text(byte) && self.line.len() < LONGEST {
                self.line.push(byte);
            }
        }
    }

    /// The words of the last panic, once.
    pub(super) fn take(&mut self) -> Option<String> {
        self.words.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_after_the_well_known_ones() {
        let mut panic = PanicWords::default();
        for chunk in b"[    2.1] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n[ 2.2] ---[ end Kernel panic - not syncing: VFS ]---\r\n".chunks(7) {
            panic.push(chunk);
        }
        assert_eq!(panic.take().as_deref(), Some("VFS: Unable to mount root fs"));
        assert_eq!(panic.take(), None);
        panic.push(&[b'x'; 2000]);
        panic.push(b"\nnothing\n");
        assert!(panic.take().is_none() && panic.line.len() <= LONGEST);
    }
}
