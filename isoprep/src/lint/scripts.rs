//! Rules about the scripts of the live system: paths that the image will not have, environment variables that point
//! elsewhere, Windows line ends. A path is judged where packages put nothing: in `/root`, `/usr/local` and the injected
//! repository. What any script may make is left alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::edit::Edit;
use super::finding::{LintFinding, Place, Severity};
use super::known::{Known, Origin, Presence};
use super::packages::makes_an_image;
use super::rule::Rule;
use super::script::{Script, Use, assignments, path_of, uses};
use super::script_variables::Variables;
use super::shell::Word;

pub(super) const RULES: &[Rule] = &[
    Rule::new("script-path-missing", "a script that uses a path that the image will not have", path_missing),
    Rule::new(
        "env-path-missing",
        "an environment variable that points to a path that the image will not have",
        env_missing,
    ),
    Rule::new("env-overridden", "a script that sets a variable of image.env to something else", overridden),
    Rule::new("script-carriage-returns", "a script with Windows line ends", carriage_returns),
];

/// A path that has to be there and will not be.
struct Missing<'k> {
    script: &'k Script<'k>,
    line: usize,
    path: PathBuf,
    word: &'k Word,
    does: Use,
}

/// Everything that scripts need and that will not be there.
fn missing<'k>(known: &'k Known<'_>) -> Vec<Missing<'k>> {
    let mut found = Vec::new();
    let into = known.subject.injected.map(|injected| injected.into);
    for script in known.scripts().take_while(|_| known.goes_on()) {
        let variables = Variables::new(known, script);
        for command in &script.commands {
            for (word, does) in uses(command).into_iter().filter(|(_, does)| does.needs()) {
                let Some(path) = path_of(&script.path, word, &|name| variables.value(name)) else { continue };
                if known.presence(&path) != Presence::Absent || known.makes().may_make(known, &path) {
                    continue;
                }
                // Scripts of the repository run elsewhere too: only what they expect of themselves is judged.
                let own = script.origin != Origin::Injected
                    || (does != Use::Read && into.is_some_and(|into| path.starts_with(into)));
                if own {
                    found.push(Missing { script, line: command.line, path, word, does });
                }
            }
        }
    }
    found
}

/// The uppermost folder of a path that will not be there.
pub(super) fn uppermost(known: &Known<'_>, path: &Path) -> PathBuf {
    let absent = path.ancestors().take_while(|above| known.presence(above) == Presence::Absent);
    absent.last().unwrap_or(path).to_path_buf()
}

/// The path in the injected repository that was probably meant.
fn meant(known: &Known<'_>, path: &Path) -> Option<(PathBuf, PathBuf)> {
    let into = known.subject.injected?.into;
    let above = uppermost(known, path);
    let rest = path.strip_prefix(&above).ok().filter(|rest| !rest.as_os_str().is_empty())?;
    (!path.starts_with(into) && known.item(&into.join(rest)).is_some()).then(|| (above, into.to_path_buf()))
}

fn path_missing(known: &Known<'_>) -> Vec<LintFinding> {
    if !makes_an_image(known) {
        return Vec::new();
    }
    let blamed: BTreeSet<String> = known.assigned().iter().map(|it| it.name.clone()).collect();
    let mut found = Vec::new();
    for it in missing(known) {
        // What a wrong variable does is said where it is set.
        if it.word.variables().any(|name| blamed.contains(name) || is_wrong(known, name)) {
            continue;
        }
        let (verb, consequence) = match it.does {
            Use::Run => ("runs", "It ends there with \"No such file or directory\"."),
            Use::Source => ("reads", "The shell says \"No such file or directory\", and nothing of that file is set."),
            Use::Interpret => ("starts", "It ends there with \"No such file or directory\"."),
            _ => ("needs", "It says \"No such file or directory\" and goes on, or ends if it has set -e."),
        };
        let place = it.script.at(known, it.line);
        let who = it.script.path.display();
        let what = format!("{who} {verb} {}, and nothing puts it into the image.", it.path.display());
        let strict = it.script.origin != Origin::Injected && it.does != Use::Read;
        let finding = LintFinding::error(place.clone(), what, consequence).graded(if strict {
            Severity::Error
        } else {
            Severity::Warning
        });
        found.push(match meant(known, &it.path) {
            Some((above, into)) => {
                let (old, new) = (above.display().to_string(), into.display().to_string());
                let edit = known.replace(&place, |line| line.contains(&old).then(|| line.replace(&old, &new)));
                let fallback = || Edit::SetCartridgeField { key: "source.into".to_owned(), value: old.clone() };
                let says = if edit.is_some() {
                    format!("Write {new} for {old}")
                } else {
                    format!("Put the repository into {old}")
                };
                finding.fixed_by(says, Some(edit.unwrap_or_else(fallback)))
            }
            None => finding,
        });
    }
    found
}

/// Whether a variable of `image.env` points nowhere.
fn is_wrong(known: &Known<'_>, name: &str) -> bool {
    known.subject.env.get(name).is_some_and(|value| {
        value.starts_with('/')
            && known.presence(Path::new(value)) == Presence::Absent
            && !known.makes().may_make(known, Path::new(value))
    })
}

fn env_missing(known: &Known<'_>) -> Vec<LintFinding> {
    let into = known.subject.injected.map(|injected| injected.into.display().to_string());
    let has = into.as_ref().map_or(String::new(), |into| format!(" The repository is in {into}."));
    let consequence = "Whatever is started from there in the live system is not found.";
    let mut found = Vec::new();
    for (name, value) in known.subject.env.iter().filter(|(name, _)| is_wrong(known, name)) {
        let what = format!("image.env sets {name} to {value}, and nothing puts that into the image.{has}");
        let edit = into.as_ref().map(|into| {
            let mut env: toml::Table =
                known.subject.env.iter().map(|(key, value)| (key.clone(), toml::Value::from(value.as_str()))).collect();
            env.insert(name.clone(), toml::Value::from(into.as_str()));
            Edit::SetCartridgeField { key: "image.env".to_owned(), value: toml::Value::Table(env).to_string() }
        });
        let says = into.as_ref().map_or(String::new(), |into| format!("Set {name} to {into}"));
        let place = known.at_field(&format!("image.env.{name}"));
        found.push(LintFinding::error(place, what, consequence).fixed_by(says, edit));
    }
    for it in known.assigned() {
        let script = it.script(known);
        let place = script.at(known, it.line);
        let value = it.value.display().to_string();
        let what = format!(
            "{} sets {} to {value}, and nothing puts that into the image.{has}",
            script.path.display(),
            it.name
        );
        let edit = into.as_ref().and_then(|into| {
            known.replace(&place, |line| line.contains(&value).then(|| line.replacen(&value, into, 1)))
        });
        let says = into.as_ref().map_or(String::new(), |into| format!("Set {} to {into}", it.name));
        let also: Vec<Place> = known
            .subject
            .env
            .contains_key(&it.name)
            .then(|| known.at_field(&format!("image.env.{}", it.name)))
            .into_iter()
            .collect();
        found.push(LintFinding::error(place, what, consequence).fixed_by(says, edit).seen_at(also));
    }
    found
}

fn overridden(known: &Known<'_>) -> Vec<LintFinding> {
    let wrong: BTreeSet<(PathBuf, usize)> =
        known.assigned().iter().map(|it| (it.script(known).path.clone(), it.line)).collect();
    let mut found = Vec::new();
    for script in known.live_scripts() {
        for command in &script.commands {
            for (name, word) in assignments(command) {
                let (Some(given), Some(value)) = (known.subject.env.get(&name), word.literal()) else { continue };
                if value == *given
                    || is_wrong(known, &name)
                    || asks(script, &name)
                    || wrong.contains(&(script.path.clone(), command.line))
                {
                    continue;
                }
                let place = script.at(known, command.line);
                let what =
                    format!("{} sets {name} to {value:?}; image.env sets it to {given:?}.", script.path.display());
                let consequence = "From there on the script's value holds, and not the cartridge's.";
                let edit = known.replace(&place, |line| {
                    let quoted =
                        [format!("{name}=\"{value}\""), format!("{name}='{value}'"), format!("{name}={value}")];
                    let written = quoted.iter().find(|written| line.contains(written.as_str()))?;
                    Some(line.replacen(written, &format!("{name}=\"${{{name}:-{value}}}\""), 1))
                });
                let also = known.at_field(&format!("image.env.{name}"));
                found.push(
                    LintFinding::warning(place, what, consequence)
                        .fixed_by(format!("Set {name} only where nobody else has"), edit)
                        .seen_at([also]),
                );
            }
        }
    }
    found
}

/// Whether a script asks about a variable: then it may set it only where nobody else has.
fn asks(script: &Script<'_>, name: &str) -> bool {
    let mut tests = script.commands.iter().flat_map(uses).filter(|(_, does)| *does == Use::Test);
    tests.any(|(word, _)| word.variables().any(|it| it == name))
}

fn carriage_returns(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for (path, item) in known.image().filter(|(_, item)| item.entry.is_file() && !known.is_copy(*item)) {
        let head = known.subject.host.read(&item.entry.from, 256).unwrap_or_default();
        let first = head.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
        if !first.starts_with(b"#!") || !first.ends_with(b"\r\n") {
            continue;
        }
        let place = known.at(item.entry, Some(1));
        let interpreter = String::from_utf8_lossy(first).trim_end().trim_start_matches("#!").to_owned();
        let what = format!("{} has Windows line ends (CR LF).", path.display());
        let consequence = format!(
            "Linux looks for an interpreter called {interpreter:?} with a CR at its end, and the script does not start."
        );
        let edit = known.editable(&place).map(|file| Edit::UnixLineEnds { file });
        found.push(
            LintFinding::error(place, what, consequence).fixed_by("Turn the line ends of the file into LF", edit),
        );
    }
    found
}
