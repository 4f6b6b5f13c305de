//! The kernel's command line: our words, then the user's, who is always right. Pure.

use super::BootError;

/// The most that x86 takes, bytes, less the final NUL (Linux, `COMMAND_LINE_SIZE`).
const LIMIT: usize = 2047;

/// What the kernel is told besides the user's words. `no_timer_check`: without it a few boots in a hundred panic under
/// emulation with load. `panic=0`: a kernel that panics before anything can tell the host stands still with its words on
/// the screen. `cryptomgr.notests`: its self-tests are a sixteenth of an emulated boot. The last console is `/dev/console`.
const OURS: [&str; 6] =
    ["console=tty0", "console=ttyS0,115200", "no_timer_check", "panic=0", "cryptomgr.notests", "loglevel=5"];

/// Joins them: a word of ours whose name the user's words have is left out. One `console=` of the user's replaces all of ours.
pub(super) fn joined(user: &str) -> Result<String, BootError> {
    if let Some(found) = user.chars().find(|c| c.is_control() && *c != '\t') {
        return Err(BootError::CommandLine { found: format!("{found:?}"), limit: LIMIT });
    }
    let theirs: Vec<&str> = user.split_whitespace().collect();
    // Behind a lone `--` everything is init's.
    let named = |name: &str| theirs.iter().take_while(|it| **it != "--").any(|word| name_of(word) == name);
    let loud = ["debug", "ignore_loglevel", "quiet"].iter().any(|word| named(word));
    let kept = OURS.iter().copied().filter(|word| !(named(&name_of(word)) || loud && name_of(word) == "loglevel"));
    let line = kept.chain(theirs.iter().copied()).collect::<Vec<_>>().join(" ");
    if line.len() > LIMIT {
        return Err(BootError::CommandLine { found: format!("{} bytes", line.len()), limit: LIMIT });
    }
    Ok(line)
}

/// The kernel takes dashes and underscores for the same (`parameqn` in kernel/params.c).
fn name_of(word: &str) -> String {
    word.split('=').next().unwrap_or(word).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_words_win() {
        assert_eq!(
            joined(" root=LABEL=x  quiet ").unwrap(),
            "console=tty0 console=ttyS0,115200 no_timer_check panic=0 cryptomgr.notests root=LABEL=x quiet"
        );
        let line = joined("console=ttyS0 panic=-1 loglevel=7 no-timer-check").unwrap();
        assert_eq!(line, "cryptomgr.notests console=ttyS0 panic=-1 loglevel=7 no-timer-check");
        assert!(joined("-- panic=1").unwrap().contains("panic=0"), "those are init's");
    }

    #[test]
    fn what_cannot_be_passed_on_is_refused() {
        assert!(joined("a\nb").unwrap_err().to_string().contains("'\\n'"));
        assert!(joined(&"x".repeat(2000)).unwrap_err().to_string().contains("2047"));
        assert_eq!(joined("\u{7f}").is_err(), joined("a\0").is_err());
    }
}
