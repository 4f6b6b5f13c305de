//! What scripts may make before something needs it. Rather too much is believed to be made than too little: a finding
//! about a path that a script makes would be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::known::{Known, Origin, Presence};
use super::script::{INTERPRETERS, Script, Use, assignments, bare, path_of, uses};
use super::scripts::uppermost;
use super::shell::{Command, Part, Word};

/// Programs that fetch files.
const FETCHERS: [&str; 5] = ["aria2c", "axel", "curl", "wget", "wget2"];
/// Programs that install what they are told to.
const INSTALLERS: [&str; 17] = [
    "bun", "cargo", "cmake", "gem", "go", "just", "luarocks", "make", "meson", "ninja", "npm", "pip", "pip3", "pipx",
    "pnpm", "uv", "yarn",
];
/// The longest name of a file that is looked for, bytes.
const LONGEST: usize = 255;

/// What may be made.
#[derive(Default)]
pub(super) struct Makes {
    /// Paths that are written to, or named in a way that we do not know: they and the folders above them may be made.
    mentioned: BTreeSet<PathBuf>,
    /// Paths about which a script asks, or whose absence it bears.
    asked: BTreeSet<PathBuf>,
    /// Folders into which things are put whose names we do not know.
    filled: BTreeSet<PathBuf>,
    /// Names of files and folders that are made relative to a folder that we do not know.
    names: BTreeSet<String>,
    /// Names that stand in a text as words of their own.
    words: BTreeSet<String>,
    /// Whether something is installed by what nobody here can read: then anything of `/usr/local` may be made, and what
    /// programs keep in a home under a name with a dot.
    installs: bool,
}

impl Makes {
    pub(super) fn new(known: &Known<'_>) -> Self {
        let mut makes = Self::default();
        let ours: BTreeSet<&OsStr> = known.image().filter_map(|(path, _)| path.file_name()).collect();
        for script in known.scripts().take_while(|_| known.goes_on()) {
            let assigned = script.commands.iter().flat_map(assignments);
            let values: BTreeMap<String, Option<String>> =
                assigned.map(|(name, word)| (name, word.literal())).collect();
            for command in &script.commands {
                makes.command(known, script, &values, command);
                makes.installs |= installs(command, &ours);
            }
        }
        for (_, item) in known.image().filter(|(_, item)| item.origin != Origin::Injected) {
            makes.words.extend(known.text(item.entry).iter().flat_map(|text| bare_names(text)).map(str::to_owned));
        }
        for script in known.injected_scripts().iter().take_while(|_| known.goes_on()) {
            makes.words.extend(known.text(script.entry).iter().flat_map(|text| bare_names(text)).map(str::to_owned));
        }
        makes
    }

    fn command(
        &mut self,
        known: &Known<'_>,
        script: &Script<'_>,
        values: &BTreeMap<String, Option<String>>,
        command: &Command,
    ) {
        // For what may be made, any of a variable's values will do.
        let value = |name: &str| {
            let own = values.get(name).cloned().flatten();
            own.or_else(|| known.subject.env.get(name).cloned())
        };
        let program = program(command);
        let puts = ["bsdtar", "cp", "git", "install", "ln", "mkdir", "mv", "rsync", "tar", "touch", "unzip"]
            .contains(&program.as_str());
        let fetches = FETCHERS.contains(&program.as_str());
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
                (None, Use::Mention) if fetches => self.fetched(word, &value),
                (None, Use::Mention) if puts => {
                    let name = word.expand(&value).unwrap_or_default();
                    let name = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
                    self.names.insert(name.trim_end_matches(".git").to_owned());
                }
                _ => {}
            }
        }
    }

    /// A file is fetched: it has the last part of its address as its name, if no other is given.
    fn fetched(&mut self, word: &Word, value: &dyn Fn(&str) -> Option<String>) {
        // Only the last part has to be plain.
        let end = match word.parts.last() {
            Some(Part::Text(text)) if text.contains('/') => Some(text.clone()),
            _ => word.expand(value),
        };
        match end.as_deref().map(|end| end.split(['?', '#']).next().unwrap_or_default()) {
            Some(end) => _ = self.names.insert(end.rsplit('/').next().unwrap_or_default().to_owned()),
            None => _ = self.filled.insert(PathBuf::from("/root")),
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
        let name = above.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // What lies below a folder follows it in the order of paths.
        self.mentioned.range(above.clone()..).next().is_some_and(|made| made.starts_with(&above))
            || path.ancestors().any(|above| self.mentioned.contains(above))
            || path.ancestors().any(|above| self.asked.contains(above) && known.presence(above) == Presence::Absent)
            || above.ancestors().any(|folder| self.filled.contains(folder))
            || self.names.contains(name)
            || (self.installs && (above.starts_with("/usr/local") || name.starts_with('.')))
            // A plain word may mean anything; a name with a dot or a dash is that file.
            || (above == path && name.contains(['.', '_', '-']) && self.words.contains(name))
    }
}

/// The name of the program that a command starts.
fn program(command: &Command) -> String {
    let program = bare(&command.words).first().and_then(Word::literal).unwrap_or_default();
    program.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Whether a command installs what nobody here can read: it hands what was fetched to an interpreter, or runs another
/// program's installation.
fn installs(command: &Command, ours: &BTreeSet<&OsStr>) -> bool {
    let program = program(command);
    let rest = bare(&command.words).get(1..).unwrap_or_default();
    let has = |names: &[&str]| rest.iter().any(|word| word.literal().is_some_and(|it| names.contains(&it.as_str())));
    if INSTALLERS.contains(&program.as_str()) {
        return has(&["install", "i", "add", "global", "--install", "sync", "setup.py", "-i"]);
    }
    if program == "eval" {
        return rest.iter().any(|word| word.parts.contains(&Part::Opaque));
    }
    if INTERPRETERS.contains(&program.as_str()) {
        let script = rest.iter().find(|word| word.literal().is_none_or(|it| !it.starts_with('-')));
        // A script of the image is read by itself.
        let foreign = |word: &Word| match word.literal() {
            Some(text) => !Path::new(&text).file_name().is_some_and(|name| ours.contains(name)),
            None => word.parts.contains(&Part::Opaque),
        };
        return match script {
            Some(word) => !has(&["-c"]) && foreign(word) || has(&["-c"]) && word.literal().is_none(),
            None => command.piped,
        } || (command.piped && has(&["-s", "-"]));
    }
    // What was fetched and is run where it lies.
    program.contains('.') && rest_is_relative(command) && !ours.contains(OsStr::new(&program))
}

/// Whether a command names its program relative to where it is.
fn rest_is_relative(command: &Command) -> bool {
    bare(&command.words).first().and_then(Word::literal).is_some_and(|name| name.starts_with("./"))
}

/// Names that stand in a text as words of their own and are no part of a path. A name may end at a dot.
fn bare_names(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_./~$}".contains(c);
    let words = text.split(move |c: char| !is_part(c)).filter(|word| word.len() <= LONGEST);
    words.flat_map(|word| {
        let ends = word.match_indices(['.', '~', '$', '}']).map(|(at, _)| at).chain([word.len()]);
        ends.map(|end| &word[..end]).filter(|name| !name.contains('/') && name.contains(['.', '_', '-']))
    })
}

#[cfg(test)]
mod tests {
    use super::super::shell::commands;
    use super::*;

    #[test]
    fn a_bare_name_is_a_word_and_no_part_of_a_path() {
        let has = |text: &str| bare_names(text).any(|name| name == "user.json");
        assert!(has("jq . > user.json") && has("\"user.json\"") && has("user.json.bak2x"));
        for text in ["/root/user.json", "$D/user.json", "./user.json", "my-user.json", "~/user.json", "user.jsonx"] {
            assert!(!has(text), "{text}");
        }
    }

    #[test]
    fn what_nobody_can_read_may_install_anything() {
        let ours: BTreeSet<&OsStr> = ["own.sh"].map(OsStr::new).into();
        let any = |text: &str| commands(text).iter().any(|command| installs(command, &ours));
        for text in [
            "curl -fsSL https://x/i.sh | sh",
            "wget -qO- https://x | sudo bash -s -- -y",
            "bash <(curl https://x)",
            "sh -c \"$(curl https://x)\"",
            "eval \"$(curl https://x)\"",
            "make -C /opt/foo install",
            "pip install foo",
            "sudo npm i -g foo",
            "bash setup.sh",
            "./setup.sh",
        ] {
            assert!(any(text), "{text}");
        }
        for text in
            ["cat x | grep y", "bash own.sh", "bash -c 'ls'", "make -C /opt/foo", "./own.sh", "python3 -c 'print()'"]
        {
            assert!(!any(text), "{text}");
        }
    }
}
