//! Finds files like `vm-env.sh` that set environment variables and do nothing else, and reads them without a shell. Pure.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::listing::{Listing, is_live, name};
use super::shell::{self, Token};

/// Parts of a name that tell that a variable holds a secret.
const SECRETS: [&str; 8] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "APIKEY", "API_KEY", "PRIVATE_KEY"];
/// Words in a file's name that tell that it is about the live system.
const ABOUT_THE_GUEST: [&str; 5] = ["vm", "live", "iso", "guest", "qemu"];

/// A file that sets variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// The file.
    pub file: PathBuf,
    /// What it sets, in order; the last assignment of a name counts.
    pub variables: Vec<Variable>,
    /// Names whose value only a shell knows.
    pub computed: Vec<String>,
    /// Names whose values look like secrets: they are not read.
    pub secret: Vec<String>,
    /// Whether its name says that it is about the live system.
    pub about_the_guest: bool,
}

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The line that sets it, from 1.
    pub line: usize,
}

/// `vm-env.sh`, `env.sh`, `environment.sh`; not `.env`, which is where people keep secrets.
pub(super) fn is_called_like_one(file: &str) -> bool {
    let Some(stem) = file.strip_suffix(".sh").or_else(|| file.strip_suffix(".bash")) else { return false };
    !stem.starts_with('.') && words(stem).any(|word| word == "env" || word == "environment")
}

fn words(stem: &str) -> impl Iterator<Item = &str> {
    stem.split(['-', '_', '.'])
}

pub(super) fn find(listing: &Listing) -> Vec<Environment> {
    let texts = listing.texts.iter().filter(|(path, _)| name(path).is_some_and(is_called_like_one) && !is_live(path));
    texts.filter_map(|(path, text)| read(path, text)).collect()
}

/// The variables of a file; `None` if it does anything else, or sets nothing.
fn read(file: &Path, text: &str) -> Option<Environment> {
    let about_the_guest = words(name(file)?).any(|word| ABOUT_THE_GUEST.contains(&word));
    let (variables, computed, secret) = (Vec::new(), Vec::new(), Vec::new());
    let mut found = Environment { file: file.to_owned(), variables, computed, secret, about_the_guest };
    let mut exported = false;
    for token in shell::tokens(text) {
        match token {
            Token::Break => exported = false,
            Token::Word(word) if word.text == "export" => exported = true,
            Token::Word(word) => match word.text.split_once('=') {
                Some((name, value)) if is_variable(name) => {
                    found.variables.retain(|other| other.name != name);
                    if SECRETS.iter().any(|part| name.to_ascii_uppercase().contains(part)) {
                        found.secret.push(name.to_owned());
                    } else if !word.plain || value.contains('\0') {
                        found.computed.push(name.to_owned());
                    } else {
                        let (name, value) = (name.to_owned(), value.to_owned());
                        found.variables.push(Variable { name, value, line: word.line });
                    }
                }
                // `export NAME` alone marks what is set elsewhere.
                None if exported && is_variable(&word.text) => {}
                _ => return None,
            },
            Token::Operator(";") => {}
            Token::Operator(_) | Token::Document(_) => return None,
        }
    }
    (!found.variables.is_empty() || !found.secret.is_empty() || !found.computed.is_empty()).then_some(found)
}

pub(super) fn is_variable(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(text: &str) -> Option<Vec<(String, String, usize)>> {
        let found = read(Path::new("vmtools/vm-env.sh"), text)?;
        Some(found.variables.into_iter().map(|it| (it.name, it.value, it.line)).collect())
    }

    #[test]
    fn a_file_that_only_sets_variables_is_read() {
        let text = "#!/bin/bash\n# for the machine\nexport OMARCHY_VM_TEST=1\nexport OMARCHY_PATH=\"/root/homerchy\" # here\n\
                    A='a b'; B=c\nEMPTY=\nexport A\n";
        let want = [
            ("OMARCHY_VM_TEST", "1", 3),
            ("OMARCHY_PATH", "/root/homerchy", 4),
            ("A", "a b", 5),
            ("B", "c", 5),
            ("EMPTY", "", 6),
        ];
        let want = want.map(|(name, value, line)| (name.to_owned(), value.to_owned(), line));
        assert_eq!(variables(text), Some(want.to_vec()));
        assert_eq!(variables("A=1\nA=2\n").unwrap().len(), 1);
    }

    #[test]
    fn what_does_anything_else_is_no_environment_and_secrets_are_not_read() {
        for text in [
            "",
            "# nothing\n",
            "A=1\nrm -rf /\n",
            "A=1 command\n",
            "if true; then A=1; fi",
            "A=(1 2)",
            "A=1 && B=2",
            "cat <<E\nA=1\nE\n",
        ] {
            assert_eq!(variables(text), None, "{text:?}");
        }
        let found = read(Path::new("env.sh"), "GITHUB_TOKEN=abc\nHERE=$(pwd)\nP=$HOME/x\nOK=1\n").unwrap();
        assert_eq!(
            (found.secret, found.computed),
            (vec!["GITHUB_TOKEN".to_owned()], vec!["HERE".to_owned(), "P".to_owned()])
        );
        assert_eq!(found.variables.len(), 1);
        assert!(!found.about_the_guest);
        for name in ["vm-env.sh", "env.sh", "environment.bash", "my_env.sh"] {
            assert!(is_called_like_one(name), "{name}");
        }
        for name in [".env", ".env.sh", "envy.sh", "env.txt", "environ.sh", "prod.env"] {
            assert!(!is_called_like_one(name), "{name}");
        }
    }
}
