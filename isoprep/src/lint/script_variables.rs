//! The variables of scripts: what a script can be sure of, and which of them are set to paths that will not be there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::known::{Known, Presence};
use super::script::{Script, assignments, path_of, uses};

/// The variables that a script can be sure of: those of `image.env` and its own, if they have one plain value.
pub(super) struct Variables<'a> {
    env: &'a BTreeMap<String, String>,
    own: BTreeMap<String, Option<String>>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(known: &Known<'a>, script: &Script<'_>) -> Self {
        let mut all = Self { env: known.subject.env, own: BTreeMap::new() };
        for command in &script.commands {
            for (name, word) in assignments(command) {
                let value = word.expand(&|it| all.value(it));
                all.own
                    .entry(name)
                    .and_modify(|old| {
                        if *old != value {
                            *old = None;
                        }
                    })
                    .or_insert(value);
            }
        }
        all
    }

    pub(super) fn value(&self, name: &str) -> Option<String> {
        let value = self.own.get(name).cloned().unwrap_or_else(|| self.env.get(name).cloned());
        // A home that was set to what nobody knows is not root's.
        let unknown = name == "HOME" && value.is_none() && self.own.contains_key(name);
        if unknown { Some("$HOME".to_owned()) } else { value }
    }
}

/// A variable that a script sets to a path that will not be there.
pub(super) struct Assigned {
    /// Which of the live scripts.
    script: usize,
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) value: PathBuf,
}

impl Assigned {
    /// The script that sets it.
    pub(super) fn script<'k, 'a>(&self, known: &'k Known<'a>) -> &'k Script<'a> {
        &known.live_scripts()[self.script]
    }
}

/// The assignments that matter: the variable is one of `image.env`, or something needs a path below it.
pub(super) fn assigned(known: &Known<'_>) -> Vec<Assigned> {
    let mut needed: BTreeSet<String> = known.subject.env.keys().cloned().collect();
    for command in known.scripts().flat_map(|script| &script.commands) {
        for (word, _) in uses(command).into_iter().filter(|(_, does)| does.needs()) {
            needed.extend(word.variables().map(str::to_owned));
        }
    }
    let mut found = Vec::new();
    for (at, script) in known.live_scripts().iter().enumerate().take_while(|_| known.goes_on()) {
        let variables = Variables::new(known, script);
        for command in &script.commands {
            for (name, word) in assignments(command) {
                // `NAME=${NAME:-default}` takes the value of `image.env`, about which there is a finding of its own.
                let own = word.variables().all(|it| it == name && !variables.env.contains_key(it));
                if !own || variables.value(&name).is_none() {
                    continue;
                }
                let Some(value) = path_of(&script.path, &word, &|_| None) else { continue };
                if needed.contains(&name)
                    && known.presence(&value) == Presence::Absent
                    && !known.makes().may_make(known, &value)
                {
                    found.push(Assigned { script: at, line: command.line, name, value });
                }
            }
        }
    }
    found
}
