//! A shell script that is made of quoted words: what is done to a root file system as its root, written down before it is
//! run, so that it can be read, tested and run again.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A bash script that stops at its first failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script(Vec<u8>);

impl Script {
    pub(crate) fn new() -> Self {
        Self(b"set -euo pipefail\numask 022\nshopt -s nullglob\n".to_vec())
    }

    /// One command, each word as it is.
    pub(crate) fn run<S: AsRef<OsStr>>(&mut self, words: impl IntoIterator<Item = S>) -> &mut Self {
        for (index, word) in words.into_iter().enumerate() {
            if index > 0 {
                self.0.push(b' ');
            }
            self.0.extend(quoted(word.as_ref()).as_bytes());
        }
        self.0.push(b'\n');
        self
    }

    /// Text of our own, with nothing of anybody else in it.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend(text.trim_end().bytes());
        self.0.push(b'\n');
        self
    }

    /// Everything that `other` does.
    pub(crate) fn then(&mut self, other: &Self) -> &mut Self {
        self.0.extend(&other.0);
        self
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.0.extend(name.bytes());
        self.0.push(b'=');
        self.0.extend(quoted(value.as_ref()).as_bytes());
        self.0.push(b'\n');
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// `word` in single quotes, which protect every byte but the quote itself (bash(1), QUOTING).
pub(crate) fn quoted(word: &OsStr) -> OsString {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(b);
    let bytes = word.as_bytes();
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return word.to_owned();
    }
    let mut quoted = vec![b'\''];
    for byte in bytes {
        if *byte == b'\'' {
            quoted.extend(b"'\\''");
        } else {
            quoted.push(*byte);
        }
    }
    quoted.push(b'\'');
    OsString::from_vec(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn bash_reads_back_every_word(bytes in proptest::collection::vec(1_u8.., 0..40)) {
            let word = OsString::from_vec(bytes);
            let mut script = Script::new();
            script.run([OsStr::new("printf"), OsStr::new("%s"), &word]);
            let line = cartridge_supervise::CommandLine::new("bash").stdin(script.bytes());
            let output = cartridge_supervise::run(&line, &crate::Cancel::new(), |_, _| ()).unwrap();
            proptest::prop_assert_eq!(output.stdout, word.as_bytes());
        }
    }
}
