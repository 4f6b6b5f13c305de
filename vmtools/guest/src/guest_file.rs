//! `/etc/cartridge/guest.json`: what the host says about this guest. Read tolerantly: a key that is missing, unknown or
//! of the wrong kind costs a note and its default, never the boot.

use std::path::PathBuf;

use serde_json::Value;

/// Where the host puts it.
const FILE: &str = "/etc/cartridge/guest.json";

/// What the host says about this guest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Guest {
    /// The cartridge's name.
    pub(crate) name: String,
    /// Where the repository lies.
    pub(crate) into: PathBuf,
    /// What every shell finds in its environment.
    pub(crate) env: Vec<(String, String)>,
}

/// Whether the host has put it there.
pub(crate) fn is_there() -> bool {
    std::path::Path::new(FILE).exists()
}

/// What stands in for the file where there is none, and none is missed.
pub(crate) fn plain() -> Guest {
    Guest { name: "cartridge".to_owned(), into: PathBuf::from("/root"), env: Vec::new() }
}

/// Reads the file, or says in `notes` why the defaults stand in for it.
pub(crate) fn read(notes: &mut Vec<String>) -> Guest {
    match std::fs::read_to_string(FILE) {
        Ok(text) => parse(&text, notes),
        Err(e) => {
            notes.push(format!("{FILE} cannot be read ({e}): no name and no repository are known"));
            parse("{}", &mut Vec::new())
        }
    }
}

fn parse(text: &str, notes: &mut Vec<String>) -> Guest {
    let json: Value = serde_json::from_str(text).unwrap_or_else(|e| {
        notes.push(format!("{FILE} is not JSON ({e}): no name and no repository are known"));
        Value::Null
    });
    let mut word = |key: &str, otherwise: &str| match json.get(key) {
        Some(Value::String(word)) => word.clone(),
        _ => {
            notes.push(format!("{FILE} has no text for {key:?}: {otherwise:?} is used"));
            otherwise.to_owned()
        }
    };
    let (name, into) = (word("name", "cartridge"), word("into", "/root"));
    // A NUL cannot be in an environment, and '=' not in a name: exec would refuse them and take the shell with it.
    let legal =
        |(key, value): &(String, String)| !key.is_empty() && !key.contains(['=', '\0']) && !value.contains('\0');
    let env = json.get("env").and_then(Value::as_object).into_iter().flatten();
    let env = env.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).filter(legal).collect();
    Guest { name, into: PathBuf::from(into), env }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_it_understands_and_notes_the_rest() {
        let mut notes = Vec::new();
        let guest = parse(r#"{"name":"x","into":"/root/x","env":{"A":"1","B=":"2","C":3},"new":[]}"#, &mut notes);
        assert_eq!((guest.name.as_str(), guest.into.as_path()), ("x", std::path::Path::new("/root/x")));
        assert_eq!(guest.env, [("A".to_owned(), "1".to_owned())]);
        assert!(notes.is_empty());
        for broken in ["", "[]", "{\"name\":7", "{\"name\":7}"] {
            assert_eq!(parse(broken, &mut notes).name, "cartridge");
        }
        assert!(notes.len() >= 4);
    }
}
