//! What scripts may make before something needs it. Rather too much is believed to be made than too little: a finding
//! about a path that a script makes would be wrong.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::known::{Known, Origin, Presence};
use super::script::{Script, Use, assignments, path_of, uses};
use super::scripts::uppermost;
use super::shell::{Command, Word};

/// What may be made.
pub(super) struct Makes {
    /// Paths that are written to, or named in a way that we do not know: they and the folders above them may be made.
    mentioned: BTreeSet<PathBuf>,
    /// Paths about which a script asks, or whose absence it bears.
    asked: BTreeSet<PathBuf>,
    /// Folders into which things are put whose names we do not know.
    filled: BTreeSet<PathBuf>,
    /// Names of files and folders that are made relative to a folder that we do not know.
    names: BTreeSet<String>,
    /// All texts that may make a file by its name.
    texts: Vec<String>,
}

impl Makes {
    pub(super) fn new(known: &Known<'_>) -> Self {
        let mut makes = Self {
            mentioned: BTreeSet::new(),
            asked: BTreeSet::new(),
            filled: BTreeSet::new(),
            names: BTreeSet::new(),
            texts: Vec::new(),
        };
        for script in known.scripts() {
            let values: Vec<(String, Word)> = script.commands.iter().flat_map(assignments).collect();
            for command in &script.commands {
                makes.command(known, script, &values, command);
            }
        }
        let texts = known
            .image()
            .filter(|(_, item)| item.origin != Origin::Injected)
            .filter_map(|(_, item)| known.text(item.entry));
        makes.texts.extend(texts);
        makes.texts.extend(known.injected_scripts().iter().filter_map(|script| known.text(script.entry)));
        makes
    }

    fn command(&mut self, known: &Known<'_>, script: &Script<'_>, values: &[(String, Word)], command: &Command) {
        // For what may be made, any of a variable's values will do.
        let value = |name: &str| {
            let own = values.iter().rev().find(|(own, _)| own == name).and_then(|(_, word)| word.literal());
            own.or_else(|| known.subject.env.get(name).cloned())
        };
        let program = command.words.first().and_then(Word::literal).unwrap_or_default();
        let program = program.rsplit('/').next().unwrap_or_default();
        let puts = ["bsdtar", "cp", "git", "install", "ln", "mkdir", "mv", "rsync", "tar", "touch", "unzip"]
            .contains(&program);
        let relative =
            command.writes.iter().filter_map(|word| word.expand(&value)).filter(|name| !name.starts_with('/'));
        self.names.extend(relative.filter_map(|name| name.rsplit('/').next().map(str::to_owned)));
        for (word, does) in uses(command) {
            let path = path_of(&script.path, word, &value);
            match (&path, does) {
                (Some(path), Use::Test) => _ = self.asked.insert(path.clone()),
                (Some(path), Use::Mention) => {
                    // An existing folder is not made; something may be put into it.
                    if known.presence(path) == Presence::There {
                        if puts {
                            self.put(path, command);
                        }
                    } else {
                        self.mentioned.insert(path.clone());
                    }
                }
                (None, Use::Mention) if puts => {
                    let name = word.expand(&value).unwrap_or_default();
                    let name = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
                    self.names.insert(name.trim_end_matches(".git").to_owned());
                }
                _ => {}
            }
        }
    }

    /// Something is put into an existing folder: under the names of its sources, if these are plain.
    fn put(&mut self, folder: &Path, command: &Command) {
        let sources = command.words.iter().skip(1).map(Word::literal);
        for source in sources {
            match source.as_deref().and_then(|source| source.trim_end_matches('/').rsplit('/').next()) {
                Some(name) if name != "." && !name.is_empty() => _ = self.mentioned.insert(folder.join(name)),
                _ => _ = self.filled.insert(folder.to_path_buf()),
            }
        }
        let unpacks = command.words.first().and_then(Word::literal);
        if unpacks.is_some_and(|program| ["bsdtar", "tar", "unzip"].contains(&program.as_str())) {
            self.filled.insert(folder.to_path_buf());
        }
    }

    /// Whether a script may make a path, or a folder above it.
    pub(super) fn may_make(&self, known: &Known<'_>, path: &Path) -> bool {
        let above = uppermost(known, path);
        let made = |made: &PathBuf| made.starts_with(&above) || path.starts_with(made);
        let name = above.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        self.mentioned.iter().any(made)
            || path.ancestors().any(|above| self.asked.contains(above) && known.presence(above) == Presence::Absent)
            || self.filled.iter().any(|folder| above.starts_with(folder))
            || self.names.contains(name)
            // A plain word may mean anything; a name with a dot or a dash is that file.
            || (above == path
                && name.contains(['.', '_', '-'])
                && self.texts.iter().any(|text| has_bare_name(text, name)))
    }
}

/// Whether a text has a name as a word of its own that is no part of a path.
fn has_bare_name(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_./~$}".contains(c);
    !name.is_empty()
        && text.match_indices(name).any(|(at, _)| {
            let after = &text[at + name.len()..];
            !text[..at].ends_with(is_part)
                && !after.starts_with(|c: char| c.is_ascii_alphanumeric() || "-_/".contains(c))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_a_word_and_no_part_of_a_path() {
        assert!(has_bare_name("jq . > user.json", "user.json"));
        assert!(has_bare_name("\"user.json\"", "user.json"));
        for text in [
            "/root/user.json",
            "$D/user.json",
            "./user.json",
            "my-user.json",
            "user.json.bak2x",
            "~/user.json",
            "user.jsonx",
        ] {
            assert_eq!(has_bare_name(text, "user.json"), text == "user.json.bak2x", "{text}");
        }
    }
}
