//! The hand-over to an init that nobody here knows: a kernel that was booted directly runs a root or an initramfs with nothing of
//! ours in it that reports. Such a guest is taken to run when it has been silent for a while, the sooner the more is known of it.
//!
//! Pure and incremental: any bytes, in any chunks, in constant memory. Whoever asks does the waiting.

use std::time::Duration;

use vmtools::EscapeFilter;

use super::kernel_line::is_kernels;
use super::prompt::is_prompt;

/// The longest line that is looked at, bytes.
const LINE_LIMIT: usize = 1024;
/// How long a root that has said nothing since its init took over is waited for.
const SILENT: Duration = Duration::from_secs(2);
/// The same where not even the kernel has said that something took over: most print so little that this is not among it.
const UNKNOWN: Duration = Duration::from_secs(30);
/// An initramfs that is not ours may prepare a root for so long without a word.
const PREPARING: Duration = Duration::from_secs(10);
/// Who talks comes up: emulated, a system is silent for so long in between.
const TALKING: Duration = Duration::from_secs(15);
/// What looks like a panic is one or is none by then: `vmtools` says which.
const DOUBT: Duration = Duration::from_secs(30);
/// What the kernel prints when it gives up (kernel/panic.c).
const PANIC: &str = "Kernel panic - not syncing: ";
/// What the kernel says when it starts the first program (Linux, init/main.c, `run_init_process`).
const FIRST_PROGRAM: (&str, &str) = ("Run ", " as init process");
/// What our own programs write.
const OURS: &str = "CARTRIDGE-";

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nobody has taken over.
    #[default]
    Before,
    /// An initramfs that is not ours.
    Initramfs,
    /// The root's own init.
    Root,
}

/// What is known of the hand-over in one guest.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// The initramfs is not ours: the kernel's word for it is all there is.
    foreign: bool,
    stage: Stage,
    /// Its programs have said something.
    talks: bool,
    /// Its kernel may have panicked.
    doubtful: bool,
    /// Its kernel has: until it begins again nobody takes over.
    over: bool,
    line: Vec<u8>,
    escapes: EscapeFilter,
}

impl Handover {
    /// Of a guest whose initramfs is `foreign`, or ours.
    pub(super) fn new(foreign: bool) -> Self {
        Self { foreign, ..Self::default() }
    }

    /// It begins again: it was reset.
    pub(super) fn again(&mut self) {
        *self = Self::new(self.foreign);
    }

    /// Its kernel has panicked.
    pub(super) fn panicked(&mut self) {
        self.over = true;
    }

    /// Our init has told that the root's own takes over.
    pub(super) fn told(&mut self) {
        (self.stage, self.talks, self.doubtful) = (Stage::Root, false, false);
    }

    /// Takes the next bytes of the serial line. Says whether the waiting begins anew with them.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        let mut anew = false;
        for &byte in bytes {
            if byte == b'\n' || byte == b'\r' {
                self.escapes.line_ended();
                anew |= self.line_ended();
            } else if self.escapes.is_text(byte) && self.line.len() < LINE_LIMIT {
                self.line.push(byte);
            }
        }
        // Where nothing else is known each word counts; an open line may be a question, or the beginning of anything.
        match self.stage {
            Stage::Before => self.foreign && !bytes.is_empty(),
            _ => anew || (!self.line.is_empty() && !self.of_kernel()),
        }
    }

    /// How long nothing more must be said for the guest to count as running; `None` as long as our init is at work.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self.stage {
            _ if self.over => None,
            Stage::Before if !self.foreign => None,
            Stage::Before if self.doubtful => Some(DOUBT),
            Stage::Before => Some(UNKNOWN),
            _ if self.doubtful => Some(DOUBT),
            _ if self.prompts() => Some(SILENT),
            _ if self.talks => Some(TALKING),
            Stage::Initramfs => Some(PREPARING),
            Stage::Root => Some(SILENT),
        }
    }

    fn line_ended(&mut self) -> bool {
        let text = String::from_utf8_lossy(&self.line).into_owned();
        let (ours, kernel, empty) = (text.contains(OURS), self.of_kernel(), text.trim().is_empty());
        self.line.clear();
        let panics = text.contains(PANIC);
        self.doubtful |= panics;
        if self.stage == Stage::Before {
            let begins = kernel && text.contains(FIRST_PROGRAM.0) && text.trim_end().ends_with(FIRST_PROGRAM.1);
            if self.foreign && begins {
                self.stage = Stage::Initramfs;
            }
            return self.foreign;
        }
        let said = !ours && !kernel && !empty;
        self.talks |= said;
        said || panics
    }

    fn of_kernel(&self) -> bool {
        is_kernels(&self.line)
    }

    /// Whether the open line looks like one that somebody is to go on with.
    fn prompts(&self) -> bool {
        is_prompt(&self.line) || self.line.ends_with(b": ")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(foreign: bool, told: bool, text: &str) -> Option<Duration> {
        let mut handover = Handover::new(foreign);
        if told {
            handover.told();
        }
        handover.push(text.as_bytes());
        handover.patience()
    }

    #[test]
    fn a_root_that_says_nothing_is_soon_believed_and_one_that_talks_is_waited_for() {
        assert_eq!(after(false, false, "hello\n"), None);
        assert_eq!(after(false, true, ""), Some(SILENT));
        for quiet in
            ["CARTRIDGE-BOOT {\"v\":1,\"step\":\"exec\"}\r\n", "[    2.5] random: crng init done\r\n", "\r\n\r\n"]
        {
            assert_eq!(after(false, true, quiet), Some(SILENT), "{quiet:?}");
            let mut handover = Handover::new(false);
            handover.told();
            assert!(!handover.push(quiet.as_bytes()), "{quiet:?}");
        }
        for talk in ["[  OK  ] Mounted tmp.mount.\r\n", "[    5.1] systemd[1]: Detected.\n", "Welcome!\n\n"] {
            assert_eq!(after(false, true, talk), Some(TALKING), "{talk:?}");
        }
        assert_eq!(after(false, true, "Welcome!\nsh-5.2# "), Some(SILENT));
        assert_eq!(after(false, true, "[    2.1] Kernel panic - not syncing: Attempted to kill init!\n"), Some(DOUBT));
    }

    #[test]
    fn the_kernels_word_counts_where_the_initramfs_is_not_ours() {
        let run = "[    0.912345] Run /init as init process\r\n";
        assert_eq!(after(false, false, run), None);
        assert_eq!(after(true, false, run), Some(PREPARING));
        assert_eq!(after(true, false, "Run /init as init process\n"), Some(UNKNOWN), "anybody can say that");
        assert_eq!(after(true, false, &format!("{run}going\n")), Some(TALKING));
        let mut handover = Handover::new(true);
        assert!(handover.push(run.as_bytes()) && handover.push(b"a\n") && !handover.push(b"[ 1.0] "));
        handover.again();
        assert_eq!(handover.patience(), Some(UNKNOWN));
        assert!(handover.push(run.as_bytes()), "it is foreign after a reset too");
    }

    #[test]
    fn after_a_panic_nobody_takes_over_until_it_begins_again() {
        let mut handover = Handover::new(true);
        handover.push(b"[    1.0] Run /init as init process\r\n");
        assert_eq!(handover.patience(), Some(PREPARING));
        handover.panicked();
        handover.push(b"what it still says\r\n");
        assert_eq!(handover.patience(), None);
        handover.again();
        handover.push(b"[    0.1] booting\r\n");
        assert_eq!(handover.patience(), Some(UNKNOWN), "its initramfs is still somebody else's");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_in_constant_memory(
            bytes in proptest::collection::vec(any::<u8>(), 0..3000), chunk in 1_usize..200,
        ) {
            let mut handover = Handover::new(true);
            handover.told();
            for chunk in bytes.chunks(chunk) {
                handover.push(chunk);
                prop_assert!(handover.line.len() <= LINE_LIMIT && handover.patience().is_some());
            }
        }
    }
}
