//! Judges single values: sizes, names, paths, patterns. Pure; says what is wrong and what to write instead.

use std::path::{Component, Path, PathBuf};

use super::guest_places;
use super::model::EngineKind;

/// What is wrong with a value and what to do about it.
pub(crate) type Problem = (String, String);

fn problem(message: impl Into<String>, advice: impl Into<String>) -> Problem {
    (message.into(), advice.into())
}

/// Longest name, characters: what a host name's label may have (RFC 1035, 2.3.4), as the guest is called by it.
const NAME_LIMIT: usize = 63;
/// Longest addition to the kernel's command line: x86 takes 2048 in all (`COMMAND_LINE_SIZE`).
const CMDLINE_LIMIT: usize = 1024;

/// Makes a cartridge's name out of a folder's name: what is not allowed becomes `-`. `"cartridge"` when nothing is left.
#[must_use]
pub fn safe_name(folder: &str) -> String {
    let mut name = String::new();
    for c in folder.chars() {
        let c = if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let skipped = if name.is_empty() { !c.is_ascii_alphanumeric() } else { c == '-' && name.ends_with('-') };
        if !skipped {
            name.push(c);
        }
    }
    name.truncate(NAME_LIMIT);
    let name = name.trim_end_matches(['-', '.', '_']);
    if name.is_empty() { "cartridge".to_owned() } else { name.to_owned() }
}

pub(super) fn name(text: &str) -> Result<String, Problem> {
    let advice = || format!("try \"{}\"", safe_name(text));
    if text.is_empty() {
        return Err(problem("is empty", "remove the line to use the folder's name"));
    }
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-".contains(*c)) {
        return Err(problem(format!("{bad:?} is not allowed in a name"), advice()));
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(problem("must start with a letter or digit", advice()));
    }
    if text.len() > NAME_LIMIT {
        return Err(problem(format!("has {} characters, {NAME_LIMIT} are allowed", text.len()), advice()));
    }
    Ok(text.to_owned())
}

/// Reads a size: a whole number and `M`, `G` or `T`, with or without `iB`; powers of 1024. Returns bytes.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Writes a size in the largest unit that keeps it whole: `"4G"`. Sizes below 1 MiB are rounded up to it.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    match [(40, 'T'), (30, 'G')].iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{}M", bytes.div_ceil(1 << 20)),
    }
}

pub(super) fn size(text: &str, range: (u64, u64)) -> Result<u64, Problem> {
    let Some(bytes) = parse_size(text) else {
        return Err(problem(format!("{text:?} is not a size"), size_advice(text)));
    };
    if bytes < range.0 || bytes > range.1 {
        let (low, high) = (format_size(range.0), format_size(range.1));
        return Err(problem(format!("{} is out of range", text.trim()), format!("use {low} to {high}")));
    }
    Ok(bytes)
}

/// Guesses what was meant: `4 gigs` → `4G`, `4GB` → `4G`, `4` → `4G`.
fn size_advice(text: &str) -> String {
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    let unit = text.trim()[digits.len()..].trim_start().chars().next().map(|c| c.to_ascii_uppercase());
    match unit {
        Some(unit @ ('M' | 'G' | 'T')) if !digits.is_empty() => format!("write \"{digits}{unit}\""),
        None if !digits.is_empty() => format!("add a unit: \"{digits}G\" or \"{digits}M\""),
        _ => "write a whole number and M, G or T, like \"4G\" or \"512M\"".to_owned(),
    }
}

/// A path in the guest: absolute, without `..`, not the root.
pub(super) fn guest_path(text: &str) -> Result<PathBuf, Problem> {
    let path = Path::new(text);
    if let Some(bad) = text.chars().find(|c| c.is_control()) {
        return Err(problem(format!("{bad:?} is not allowed in a path"), "use a path without control characters"));
    }
    if !path.is_absolute() {
        let advice = format!("start it with /: \"/{}\"", text.trim_start_matches("./"));
        return Err(problem(format!("{text:?} is not an absolute path in the guest"), advice));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(problem(format!("{text:?} has .. in it"), "write the path that is meant"));
    }
    let path: PathBuf = path.components().collect();
    if path == Path::new("/") {
        return Err(problem("is the guest's whole root", "use a folder below it, like \"/root/work\""));
    }
    Ok(path)
}

/// Where the repository is put in the guest.
pub(super) fn guest_folder(text: &str, engine: EngineKind) -> Result<PathBuf, Problem> {
    let path = guest_path(text)?;
    guest_places::judge_into(&path, engine)?;
    Ok(path)
}

/// Where a single file is put in the guest.
pub(super) fn guest_file(text: &str, into: &Path, engine: EngineKind) -> Result<PathBuf, Problem> {
    let path = guest_path(text)?;
    guest_places::judge_file(&path, into, engine)?;
    Ok(path)
}

/// A path inside the cartridge's folder, made absolute. `..` is resolved by name only; links are looked at in `check`.
pub(super) fn inside(text: &str, root: &Path) -> Result<PathBuf, Problem> {
    let path = host_path(text, root)?;
    if !path.starts_with(by_name(root)) {
        let advice = "use a path inside it, or move cartridge.toml up to a folder that holds both";
        return Err(problem(format!("{text:?} leaves the cartridge's folder"), advice));
    }
    Ok(path)
}

/// A path on the host, made absolute against `root`.
pub(super) fn host_path(text: &str, root: &Path) -> Result<PathBuf, Problem> {
    if text.is_empty() {
        return Err(problem("is empty", "write a path relative to cartridge.toml, or remove the line"));
    }
    if text.starts_with('~') {
        return Err(problem(format!("{text:?}: ~ is not expanded here"), "write a path relative to cartridge.toml"));
    }
    if let Some(bad) = text.chars().find(|c| c.is_control()) {
        return Err(problem(format!("{bad:?} is not allowed in a path"), "use a path without control characters"));
    }
    Ok(by_name(&root.join(text)))
}

/// `path` without `.` and `..`, by name only.
fn by_name(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

pub(super) fn pattern(text: &str) -> Result<String, Problem> {
    if text.trim().is_empty() {
        return Err(problem("is empty", "remove it"));
    }
    if let Err(error) = ignore::gitignore::GitignoreBuilder::new("/").add_line(None, text) {
        return Err(problem(format!("{text:?} is not a pattern: {error}"), "write it as in a .gitignore"));
    }
    Ok(text.to_owned())
}

pub(super) fn cmdline(text: &str) -> Result<String, Problem> {
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic() && *c != ' ') {
        return Err(problem(format!("{bad:?} is not allowed"), "use printable ASCII on one line"));
    }
    if text.len() > CMDLINE_LIMIT {
        return Err(problem(format!("has {} characters", text.len()), format!("use at most {CMDLINE_LIMIT}")));
    }
    Ok(text.trim().to_owned())
}

pub(super) fn variable(name: &str) -> Result<(), Problem> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(good) || name.starts_with(|c: char| c.is_ascii_digit()) {
        let advice = "use letters, digits and _, not starting with a digit";
        return Err(problem(format!("{name:?} is not a variable's name"), advice));
    }
    Ok(())
}

/// Ports that `"auto"` knows by name (IANA service names).
const SERVICES: &[(&str, u16)] =
    &[("ssh", 22), ("http", 80), ("https", 443), ("vnc", 5900), ("rdp", 3389), ("postgresql", 5432), ("mysql", 3306)];

pub(super) fn service(name: &str) -> Result<u16, Problem> {
    let known = SERVICES.iter().find(|(known, _)| *known == name);
    known.map(|known| known.1).ok_or_else(|| {
        let names: Vec<_> = SERVICES.iter().map(|known| known.0).collect();
        let advice = format!("write the guest's port, like {name} = 8080, or use one of {}", names.join(", "));
        problem(format!("no port is known for {name:?}"), advice)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_and_nonsense_is_refused() {
        for (text, mib) in [("4G", 4096), ("512M", 512), ("4GiB", 4096), ("1T", 1 << 20), (" 2 gib ", 2048)] {
            assert_eq!(parse_size(text), Some(mib << 20), "{text}");
        }
        for text in ["", "G", "4", "4K", "4GB", "-1G", "1.5G", "99999999999999999999G", "99999999999T", "4 gigs", "4Gé"]
        {
            assert_eq!(parse_size(text), None, "{text}");
        }
        assert_eq!(size_advice("4 gigs"), "write \"4G\"");
        assert_eq!(size_advice("4"), "add a unit: \"4G\" or \"4M\"");
    }

    #[test]
    fn safe_names_pass_the_check_for_names() {
        for folder in
            ["homerchy", "My Project (1)", "..hidden", "日本", "", "-", "a b\nc", &"x".repeat(200), "é.", "a--b"]
        {
            let safe = safe_name(folder);
            assert_eq!(name(&safe), Ok(safe.clone()), "{folder:?}");
        }
        assert_eq!(safe_name("My Project (1)"), "My-Project-1");
        assert_eq!(safe_name("日本"), "cartridge");
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused_however_they_are_written() {
        let root = Path::new("/home/u/p");
        for text in ["..", "../x", "a/../../x", "/etc/passwd", "/home/u/pp", "./../p2", "~/x", ""] {
            assert!(inside(text, root).is_err(), "{text}");
        }
        assert_eq!(inside("a/../b/./c", root), Ok(PathBuf::from("/home/u/p/b/c")));
        assert_eq!(inside(".", root), Ok(root.to_owned()));
        assert_eq!(inside("/home/u/p/x", root), Ok(PathBuf::from("/home/u/p/x")));
    }
}
