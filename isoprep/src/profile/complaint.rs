//! What bash says on standard error: its complaints with their places, and from how it ended which error that is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::assignments::scan;
use super::error::{Bound, Place, ProfileError};
use super::evaluate::EvaluationLimits;
use super::quoting::text;

/// How much of what a profile printed is shown with an error, characters.
const SHOWN: usize = 1500;
/// What the script calls itself: see `evaluate.rs`.
pub(super) const OWN_NAME: &str = "/usr/bin/mkarchiso";
/// What bash calls the file of a function that came with `-c`, as ours did.
const OWN_FUNCTION: &str = "environment";

/// What a profile's evaluation left besides its answer.
#[derive(Clone, Debug)]
pub(super) struct Remains {
    /// The exit code, or the signal that killed it.
    pub(super) status: Result<i32, i32>,
    /// Everything on standard error: the profile's own output, bash's complaints, and the records of its `ERR` trap.
    pub(super) errors: Vec<u8>,
    pub(super) took: Duration,
    /// It was stopped by us because its time was over.
    pub(super) timed_out: bool,
    /// It was stopped by us because it printed too much.
    pub(super) overflowed: bool,
}

/// A complaint of bash: `file: line 3: words`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) file: PathBuf,
    pub(super) line: usize,
    pub(super) words: String,
}

impl Complaint {
    /// Whether it is about our script and not about the profile.
    pub(super) fn is_ours(&self) -> bool {
        self.file == Path::new(OWN_NAME) || self.file == Path::new(OWN_FUNCTION)
    }
}

/// Standard error, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) complaints: Vec<Complaint>,
    /// The last command that failed, as the `ERR` trap told: its place and itself.
    pub(super) failed: Option<Complaint>,
    /// Everything else.
    pub(super) output: String,
}

/// Takes standard error apart. `file` is the path under which `profiledef.sh` was sourced.
pub(super) fn take_apart(errors: &[u8], file: &Path) -> Said {
    let mut said = Said::default();
    let mut parts = errors.split(|byte| *byte == 0);
    let mut plain = String::new();
    while let Some(part) = parts.next() {
        if part != b"at" {
            plain.push_str(&text(part.to_vec()));
            continue;
        }
        let mut next = || parts.next().map(|it| text(it.to_vec())).unwrap_or_default();
        let (file, line, words) = (PathBuf::from(next()), next().parse().unwrap_or(0), next());
        said.failed = Some(Complaint { file, line, words });
    }
    // A path may hold anything, even the end of a line; there is no NUL left in what was said.
    let own = file.to_string_lossy();
    for line in plain.replace(&*own, "\0").lines() {
        match complaint(line, file) {
            // Bash 5.2 says this of itself when it ends in a function.
            Some(it) if it.words.starts_with("pop_var_context") => {}
            Some(it) => match said.complaints.last_mut() {
                // Bash shows the line that it does not understand as a second complaint.
                Some(last) if it.words.starts_with('`') && (&last.file, last.line) == (&it.file, it.line) => {
                    last.words = format!("{}\n{}", last.words, it.words);
                }
                _ => said.complaints.push(it),
            },
            None => {
                said.output.push_str(&line.replace('\0', &own));
                said.output.push('\n');
            }
        }
    }
    said
}

fn complaint(line: &str, own: &Path) -> Option<Complaint> {
    let (file, rest) = line.split_once(": line ")?;
    let (number, words) = rest.split_once(": ")?;
    let file = if file == "\0" { own } else { Path::new(file) };
    let words = words.replace('\0', &own.to_string_lossy());
    Some(Complaint { file: file.to_path_buf(), line: number.parse().ok()?, words })
}

/// The error that ended the evaluation of `file`, whose text is `source`.
pub(super) fn explain(remains: &Remains, file: &Path, source: &str, limits: &EvaluationLimits) -> ProfileError {
    let said = take_apart(&remains.errors, file);
    let output = tail(&said.output);
    let shown_file = file.to_path_buf();
    // Bash waits and tries again when it may not fork, so that bound comes before the time is over.
    if let Some(bound) = bound(remains, limits) {
        return ProfileError::OutOfBounds { file: shown_file, bound, output };
    }
    if remains.timed_out {
        return ProfileError::TimedOut { file: shown_file, after: remains.took, output };
    }
    let code = match remains.status {
        Ok(code) => code,
        Err(signal) => return ProfileError::Killed { file: shown_file, signal, output },
    };
    let dir = file.parent().unwrap_or(file);
    let place = |it: &Complaint| Place { file: dir.join(&it.file).components().collect(), line: Some(it.line) };
    if let Some(it) = said.complaints.iter().rev().find(|it| is_syntax(&it.words)) {
        return ProfileError::Syntax { place: place(it), words: it.words.clone() };
    }
    let (failed, whole) = (said.failed.as_ref().filter(|it| it.line > 0 && !it.is_ours()), said.failed.is_some());
    // The last complaint is the cause if it is about the command that failed, or if none is known to have failed.
    let is_cause =
        |it: &&Complaint| failed.map_or(!it.is_ours(), |failed| failed.file == it.file && failed.line == it.line);
    let words = said.complaints.iter().rev().find(is_cause);
    let otherwise = || match (failed, said.complaints.last()) {
        (None, Some(ours)) => ours.words.clone(),
        (None, None) if whole && code != 0 => "the file's last command, or its return, gave this code".to_owned(),
        _ => String::new(),
    };
    let nowhere = || Place { file: shown_file.clone(), line: leaving_line(source) };
    ProfileError::Ended {
        place: failed.or(words).map_or_else(nowhere, place),
        code,
        command: failed.map(|it| it.words.clone()),
        words: words.map_or_else(otherwise, |it| it.words.clone()),
        output,
    }
}

/// The line of the only `exit` or `exec` in the file. Bash does not tell where it was when these ended it.
fn leaving_line(source: &str) -> Option<usize> {
    let commands = scan(source).commands;
    let mut lines = commands.iter().filter(|(_, word)| word == "exit" || word == "exec").map(|(line, _)| *line);
    lines.next().filter(|_| lines.next().is_none())
}

fn bound(remains: &Remains, limits: &EvaluationLimits) -> Option<Bound> {
    if remains.overflowed {
        return Some(Bound::Output(limits.output_bytes));
    }
    let signal = match remains.status {
        Err(signal) => signal,
        // A child of the shell that a signal killed.
        Ok(code) => code - 128,
    };
    let computed = !remains.timed_out && remains.took >= Duration::from_secs(limits.cpu_seconds);
    match signal {
        libc_signal::XFSZ => return Some(Bound::FileSize(limits.file_bytes)),
        libc_signal::XCPU => return Some(Bound::Processor(limits.cpu_seconds)),
        libc_signal::KILL if computed => return Some(Bound::Processor(limits.cpu_seconds)),
        _ => {}
    }
    let errors = String::from_utf8_lossy(&remains.errors).to_lowercase();
    if errors.contains("fork: ") && errors.contains("resource temporarily unavailable") {
        return Some(Bound::Processes(limits.processes));
    }
    // The first process of a namespace ignores the signal and is told by an error instead.
    if errors.contains("file too large") || errors.contains("no space left on device") {
        return Some(Bound::FileSize(limits.file_bytes));
    }
    // glibc's and bash's words when the address space is used up.
    (errors.contains("cannot allocate")).then_some(Bound::Memory(limits.memory_bytes))
}

/// Signal numbers of Linux on every architecture that archiso knows.
mod libc_signal {
    pub(super) const KILL: i32 = 9;
    pub(super) const XCPU: i32 = 24;
    pub(super) const XFSZ: i32 = 25;
}

fn is_syntax(words: &str) -> bool {
    words.starts_with("syntax error") || words.starts_with("unexpected EOF") || words.contains(": syntax error")
}

fn tail(output: &str) -> String {
    let output = output.trim();
    let skipped = output.chars().count().saturating_sub(SHOWN);
    let shown: String = output.chars().skip(skipped).collect();
    if skipped > 0 { format!("…{shown}") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/p: line 9: x\ny/profiledef.sh";

    fn remains(status: Result<i32, i32>, errors: &str) -> Remains {
        let took = Duration::from_millis(10);
        Remains { status, errors: errors.replace("FILE", FILE).into_bytes(), took, timed_out: false, overflowed: false }
    }

    fn explained(status: Result<i32, i32>, errors: &str) -> String {
        let error = explain(&remains(status, errors), Path::new(FILE), "a=1\nexit\n", &EvaluationLimits::default());
        format!("{error:?}")
    }

    fn ended(place: &str, line: Option<usize>, code: i32, command: Option<&str>, words: &str, output: &str) -> String {
        let place = Place { file: place.into(), line };
        let (command, words, output) = (command.map(str::to_owned), words.to_owned(), output.to_owned());
        format!("{:?}", ProfileError::Ended { place, code, command, words, output })
    }

    #[test]
    fn failures_are_told_with_the_command_and_the_words_that_belong_to_it() {
        let said = "hello\nFILE: line 2: nosuch: command not found\n\0at\0FILE\x002\0x=$(nosuch)\0";
        assert_eq!(
            explained(Ok(127), said),
            ended(FILE, Some(2), 127, Some("x=$(nosuch)"), "nosuch: command not found", "hello")
        );
        let said = "FILE: line 2: a: command not found\n\0at\0FILE\x005\0false\0";
        assert_eq!(explained(Ok(1), said), ended(FILE, Some(5), 1, Some("false"), "", ""));
        let said = "./lib.sh: line 3: foo: unbound variable\n";
        assert_eq!(
            explained(Ok(1), said),
            ended("/p: line 9: x\ny/lib.sh", Some(3), 1, None, "foo: unbound variable", "")
        );
        assert_eq!(explained(Ok(0), ""), ended(FILE, Some(2), 0, None, "", ""));
        let said = "\0at\0environment\x0017\0. \"$profile/profiledef.sh\"\0";
        assert_eq!(
            explained(Ok(3), said),
            ended(FILE, Some(2), 3, None, "the file's last command, or its return, gave this code", "")
        );
    }

    #[test]
    fn syntax_errors_have_both_lines_of_bash() {
        let said =
            "FILE: line 7: syntax error near unexpected token `)'\nFILE: line 7: `x=)'\n\0at\0environment\x0017\0.\0";
        let wanted = ProfileError::Syntax {
            place: Place { file: FILE.into(), line: Some(7) },
            words: "syntax error near unexpected token `)'\n`x=)'".to_owned(),
        };
        assert_eq!(explained(Ok(2), said), format!("{wanted:?}"));
        assert!(
            explained(Ok(2), "FILE: line 2: unexpected EOF while looking for matching `\"'\n").starts_with("Syntax")
        );
    }

    #[test]
    fn every_bound_is_known_by_its_sign() {
        assert!(explained(Err(25), "").contains("FileSize"));
        assert!(explained(Ok(153), "").contains("FileSize"));
        assert!(explained(Ok(1), "FILE: line 1: printf: write error: File too large").contains("FileSize"));
        assert!(explained(Err(24), "").contains("Processor"));
        assert!(explained(Err(9), "").starts_with("Killed"));
        assert!(explained(Ok(254), "FILE: fork: retry: Resource temporarily unavailable").contains("Processes"));
        assert!(explained(Ok(2), "/usr/bin/mkarchiso: xmalloc: cannot allocate 99 bytes").contains("Memory"));
        let after = |errors: &str, change: fn(&mut Remains)| {
            let mut it = remains(Err(9), errors);
            change(&mut it);
            format!("{:?}", explain(&it, Path::new(FILE), "", &EvaluationLimits::default()))
        };
        assert!(after("", |it| it.took = Duration::from_secs(60)).contains("Processor"));
        assert!(after("x", |it| it.timed_out = true).starts_with("TimedOut"));
        assert!(after("", |it| it.overflowed = true).contains("Output"));
    }

    proptest::proptest! {
        #[test]
        fn anything_on_standard_error_is_taken(errors: Vec<u8>, pieces in proptest::collection::vec(0_usize..5, 0..9), code in -2..300) {
            let parts: [&[u8]; 5] = [b"\0at\0", b"FILE: line 2: x\n", b"\0", b"5", &errors];
            let built: Vec<u8> = pieces.iter().flat_map(|index| parts[*index].to_vec()).collect();
            for errors in [built, errors] {
                let remains = Remains { errors, ..remains(Ok(code), "") };
                let _ = explain(&remains, Path::new("FILE"), "", &EvaluationLimits::default()).to_string();
            }
        }
    }
}
