//! The scripts of the live system, read into commands: shell scripts of `airootfs`, of `image.files` and of the
//! injected repository, and what systemd's units start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::finding::Place;
use super::known::{Known, Origin, plain};
use super::shell::{Command, Part, Word, commands};
use super::subject::Entry;

/// The most text of the repository that is looked through, bytes: beyond it nothing more is said about its scripts.
const MOST_TEXT: u64 = 16 << 20;
/// Files that a shell reads by their name.
const DOT_FILES: [&str; 12] = [
    ".automated_script.sh",
    ".bash_login",
    ".bash_logout",
    ".bash_profile",
    ".bashrc",
    ".profile",
    ".zlogin",
    ".zlogout",
    ".zprofile",
    ".zshenv",
    ".zshrc",
    "customize_airootfs.sh",
];
/// Interpreters of scripts that are read here.
const SHELLS: [&str; 6] = ["ash", "bash", "dash", "ksh", "sh", "zsh"];
/// Programs that run the script that they are given.
pub(super) const INTERPRETERS: [&str; 13] =
    ["ash", "bash", "dash", "fish", "ksh", "lua", "node", "perl", "python", "python3", "ruby", "sh", "zsh"];

/// A script.
pub(super) struct Script<'a> {
    pub(super) origin: Origin,
    /// Its path in the image.
    pub(super) path: PathBuf,
    pub(super) entry: &'a Entry,
    pub(super) commands: Vec<Command>,
}

/// What a command does with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Runs it.
    Run,
    /// Reads it into the shell.
    Source,
    /// Hands it to an interpreter.
    Interpret,
    /// Reads it, goes there, copies or changes it.
    Read,
    /// Asks whether it is there.
    Test,
    /// Anything else: it may be made.
    Mention,
}

impl Use {
    /// Whether the path has to be there.
    pub(super) const fn needs(self) -> bool {
        !matches!(self, Self::Test | Self::Mention)
    }
}

impl Script<'_> {
    /// What it does, line by line.
    pub(super) fn at(&self, known: &Known<'_>, line: usize) -> Place {
        known.at(self.entry, Some(line))
    }
}

/// Whether a text is a shell script, by its first line, its name or its folder.
fn is_shell(path: &Path, text: &str) -> bool {
    if let Some(line) = text.strip_prefix("#!").and_then(|rest| rest.lines().next()) {
        let mut words = line.split_whitespace().flat_map(|word| word.rsplit('/').next());
        let first = words.next().unwrap_or_default();
        let name = if first == "env" { words.find(|word| !word.starts_with('-')).unwrap_or_default() } else { first };
        return SHELLS.contains(&name);
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    DOT_FILES.contains(&name) || ["sh", "bash", "zsh"].contains(&extension)
}

fn is_unit(path: &Path) -> bool {
    let in_systemd = path.starts_with("/etc/systemd") || path.starts_with("/usr/lib/systemd");
    in_systemd && path.extension().is_some_and(|it| it == "service" || it == "conf")
}

/// The scripts of the live system. Those of the repository are read while they are not too much.
pub(super) fn read_scripts<'a>(known: &Known<'a>, injected: bool) -> Vec<Script<'a>> {
    let mut left = MOST_TEXT;
    let mut all = Vec::new();
    for (path, item) in known.image().filter(|(_, item)| item.entry.is_file()).take_while(|_| known.goes_on()) {
        if (item.origin == Origin::Injected) != injected || known.is_copy(item) {
            continue;
        }
        if injected {
            let likely = item.entry.is_executable()
                || path.extension().is_none_or(|it| it == "sh" || it == "bash" || it == "zsh");
            if !likely || item.entry.size() > left {
                continue;
            }
            left -= item.entry.size();
        }
        let Some(text) = known.text(item.entry) else { continue };
        let (unit, shell) = (is_unit(path), is_shell(path, &text));
        let mut commands = match (unit, shell) {
            (true, _) => unit_commands(&text),
            (_, true) => commands(&text),
            _ => continue,
        };
        let given: Vec<Command> = commands.iter().flat_map(given).collect();
        commands.extend(given);
        all.push(Script { origin: item.origin, path: path.to_path_buf(), entry: item.entry, commands });
    }
    all
}

/// The commands that a shell is given after `-c`.
fn given(command: &Command) -> Vec<Command> {
    let words = bare(&command.words);
    let mut literals = words.iter().map(Word::literal);
    let shell = literals.next().flatten().is_some_and(|name| SHELLS.contains(&name.rsplit('/').next().unwrap_or("")));
    let dash_c = |word: &Option<String>| {
        word.as_ref().is_some_and(|it| it.starts_with('-') && !it.starts_with("--") && it.ends_with('c'))
    };
    let text = if shell { literals.skip_while(|word| !dash_c(word)).nth(1).flatten() } else { None };
    let (line, outer) = (command.line, command.tolerant);
    let inner = commands(&text.unwrap_or_default()).into_iter();
    inner.map(|it| Command { line, tolerant: outer || it.tolerant, ..it }).collect()
}

/// What a unit starts and reads (systemd.exec(5), systemd.service(5)), with `ConditionPath…=` as tests.
fn unit_commands(text: &str) -> Vec<Command> {
    let mut all = Vec::new();
    for (at, line) in (1..).zip(text.lines()) {
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        let (prefix, value) =
            value.split_at(value.len() - value.trim_start_matches(['-', '@', '!', ':', '+', '|']).len());
        let tolerant = prefix.contains('-');
        let line = if key.starts_with("Exec") {
            // Specifiers are known to systemd alone.
            value.replace('%', "$")
        } else if key.starts_with("ConditionPath") || key.starts_with("ConditionFile") || key.starts_with("AssertPath")
        {
            format!("[[ {value} ]]")
        } else if key == "EnvironmentFile" {
            format!("cat {}", value.replace('%', "$"))
        } else if key == "WorkingDirectory" {
            format!("cd {}", value.replace('%', "$"))
        } else {
            continue;
        };
        all.extend(commands(&line).into_iter().map(|command| Command { line: at, tolerant, ..command }));
    }
    all
}

/// The words of a command without assignments and programs that run another one before it.
pub(super) fn bare(words: &[Word]) -> &[Word] {
    let mut rest = words;
    while let Some(first) = rest.first() {
        let text = first.literal().unwrap_or_default();
        let assignment = matches!(first.parts.first(), Some(Part::Text(text)) if is_assignment(text));
        let options = match text.as_str() {
            "sudo" | "env" | "command" | "exec" | "nohup" | "setsid" | "nice" | "time" | "builtin" => {
                // An option with a value ends it: nothing is said about such a command.
                let flag = |word: &&Word| {
                    word.literal().is_some_and(|it| ["-E", "-H", "-n", "-i", "-a", "--"].contains(&it.as_str()))
                };
                rest[1..].iter().take_while(flag).count()
            }
            _ if assignment => 0,
            _ => break,
        };
        rest = &rest[1 + options..];
    }
    rest
}

/// Whether a word begins with `NAME=`.
pub(super) fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        let name = name.strip_suffix('+').unwrap_or(name);
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// What a command does with each of its words.
pub(super) fn uses(command: &Command) -> Vec<(&Word, Use)> {
    let mut all: Vec<(&Word, Use)> = command.writes.iter().map(|word| (word, Use::Mention)).collect();
    let tolerant = |it: Use| {
        // Who throws the complaint away expects it.
        let expected = command.tolerant || (command.quiet && matches!(it, Use::Read | Use::Source));
        if expected && it.needs() { Use::Test } else { it }
    };
    all.extend(command.reads.iter().map(|word| (word, tolerant(Use::Read))));
    let words = bare(&command.words);
    let Some((first, rest)) = words.split_first() else { return all };
    let name = first.literal().unwrap_or_default();
    let program = name.rsplit('/').next().unwrap_or_default();
    let is_option = |word: &&Word| word.literal().is_some_and(|text| text.starts_with('-'));
    let operands: Vec<&Word> = rest.iter().filter(|word| !is_option(word)).collect();
    let has = |option: &str| rest.iter().any(|word| word.literal().is_some_and(|text| text == option));
    all.push((first, tolerant(Use::Run)));
    let (first_use, other, last) = match program {
        "[" | "[[" | "test" => (Use::Test, Use::Test, Use::Test),
        "source" | "." => (Use::Source, Use::Mention, Use::Mention),
        _ if INTERPRETERS.contains(&program) && !has("-c") && !has("-m") => {
            (Use::Interpret, Use::Mention, Use::Mention)
        }
        "cd" | "pushd" => (Use::Read, Use::Read, Use::Read),
        "cat" => (Use::Read, Use::Read, Use::Read),
        "chmod" | "chown" => (Use::Mention, Use::Read, Use::Read),
        "cp" | "mv" | "rsync" if !has("-t") => (Use::Read, Use::Read, Use::Mention),
        "mount" if has("--bind") || has("--rbind") => (Use::Read, Use::Mention, Use::Mention),
        _ => (Use::Mention, Use::Mention, Use::Mention),
    };
    let count = operands.len();
    for (at, word) in operands.into_iter().enumerate() {
        let it = if at + 1 == count && count > 1 {
            last
        } else if at == 0 {
            first_use
        } else {
            other
        };
        all.push((word, tolerant(it)));
    }
    all.extend(rest.iter().filter(is_option).map(|word| (word, Use::Mention)));
    all
}

/// What a command assigns: names with their values. `export`, `declare` and their like take assignments as words.
pub(super) fn assignments(command: &Command) -> Vec<(String, Word)> {
    let first = command.words.first().and_then(Word::literal).unwrap_or_default();
    let declares = ["export", "declare", "local", "readonly", "typeset"].contains(&first.as_str());
    let mut all = Vec::new();
    for word in command.words.iter().skip(usize::from(declares)) {
        match word.parts.first() {
            Some(Part::Text(text)) if is_assignment(text) => {
                let (name, rest) = text.split_once('=').unwrap_or_default();
                let mut parts = vec![Part::Text(rest.to_owned())];
                parts.extend(word.parts.iter().skip(1).cloned());
                // What is appended is not known to be a whole value.
                if name.ends_with('+') {
                    parts.push(Part::Opaque);
                }
                all.push((name.trim_end_matches('+').to_owned(), Word { parts }));
            }
            _ if declares => {}
            _ => break,
        }
    }
    all
}

/// A path that a word means in a script: absolute, or below the home of root where the script is root's own.
pub(super) fn path_of(script: &Path, word: &Word, value: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let root = script.starts_with("/root");
    let home = |name: &str| value(name).or_else(|| (name == "HOME" && root).then(|| "/root".to_owned()));
    let text = word.expand(&home)?;
    // The value of an option is a word's second half.
    let text =
        text.strip_prefix('-').and_then(|option| option.split_once('=')).map_or(text.clone(), |(_, it)| it.to_owned());
    let text = match text.strip_prefix("~/").zip(home("HOME")) {
        Some((below, home)) => format!("{home}/{below}"),
        None => text,
    };
    (text.starts_with('/') && !text.contains('\n')).then(|| plain(Path::new(&text)))
}

/// The names of the files that something reads into a shell.
pub(super) fn sourced_names(known: &Known<'_>) -> BTreeSet<String> {
    let commands = known.scripts().flat_map(|script| &script.commands);
    let sources = commands.filter_map(|command| {
        let words = bare(&command.words);
        let name = words.first().and_then(Word::literal)?;
        if name == "source" || name == "." { words.get(1)?.parts.last() } else { None }
    });
    let name =
        |part: &Part| if let Part::Text(text) = part { text.rsplit('/').next().map(str::to_owned) } else { None };
    sources.filter_map(name).collect()
}

/// The paths that something runs by their name, each with the first place that does.
pub(super) fn runs(known: &Known<'_>) -> BTreeMap<PathBuf, Place> {
    let mut all = BTreeMap::new();
    let none = |_: &str| None;
    for script in known.scripts() {
        for command in &script.commands {
            for (word, it) in uses(command) {
                if it == Use::Run
                    && let Some(path) = path_of(&script.path, word, &none)
                {
                    all.entry(path).or_insert_with(|| script.at(known, command.line));
                }
            }
        }
    }
    all
}
