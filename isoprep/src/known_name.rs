//! Names that are part of the program (of stages, rules, kinds), read back from what another process of ours tells. Each is kept
//! once for as long as the program runs, and only so many: what is told is never trusted to be short or few.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer};

/// A name that is part of the program.
pub(crate) type KnownName = &'static str;

/// So many names are kept. The program has some hundred.
const MOST: usize = 1024;
/// The longest name that is kept, bytes.
const LONGEST: usize = 64;

/// Reads a name.
///
/// # Errors
/// It is too long, or there are too many.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KnownName, D::Error> {
    static NAMES: Mutex<BTreeSet<KnownName>> = Mutex::new(BTreeSet::new());
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = names.get(&*text) {
        return Ok(name);
    }
    if text.len() > LONGEST || names.len() >= MOST {
        return Err(serde::de::Error::custom("a name that this version does not know"));
    }
    let name: KnownName = Box::leak(text.into_owned().into_boxed_str());
    names.insert(name);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_a_long_one_not_at_all() {
        let read = |text: &str| read(&mut serde_json::Deserializer::from_str(text));
        let (one, two) = (read("\"squash\"").unwrap(), read("\"squa\\u0073h\"").unwrap());
        assert!(one == "squash" && std::ptr::eq(one, two));
        assert!(read(&format!("\"{}\"", "x".repeat(65))).is_err() && read("7").is_err());
    }
}
