//! File name patterns of `Include` (glob(7)), matched on the disk with bounds: a pattern is the profile's, and so is untrusted.

use std::fs;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::pacman_conf::Included;
use super::text_file;

/// How many directory entries may be looked at for one pattern. `/*/*/*/*` would walk the whole disk.
const MOST_LOOKS: usize = 20_000;
/// How many files one pattern may match.
const MOST_FOUND: usize = 200;

/// What an `Include` of a `pacman.conf` leads to on this machine.
pub(super) fn included(pattern: &str) -> Included {
    let read = |path: PathBuf| {
        let text = text_file::read(&path).map(|found| found.text).map_err(|e| e.to_string());
        (path, text)
    };
    matching(pattern).into_iter().map(read).collect()
}

/// The files that match an absolute pattern, sorted. Files whose name begins with a dot are matched by a dot alone.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let path = Path::new(pattern);
    if !path.is_absolute() {
        return Vec::new();
    }
    let (mut found, mut looks) = (vec![PathBuf::from("/")], 0);
    for component in path.components().filter(|it| *it != Component::RootDir) {
        let part = component.as_os_str();
        let text = part.to_string_lossy();
        if !text.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|dir| dir.push(part));
            found.retain(|path| fs::symlink_metadata(path).is_ok());
            continue;
        }
        found = found.iter().flat_map(|dir| inside(dir, &text, &mut looks)).collect();
        found.sort();
        found.truncate(MOST_FOUND);
    }
    found
}

/// The entries of `dir` that match.
fn inside(dir: &Path, pattern: &str, looks: &mut usize) -> Vec<PathBuf> {
    // Within one name `**` is `*`; the library takes it for folders at any depth.
    let mut single = pattern.to_owned();
    while single.contains("**") {
        single = single.replace("**", "*");
    }
    let Ok(pattern) = Pattern::new(&single) else { return Vec::new() };
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let left = MOST_LOOKS.saturating_sub(*looks);
    let mut matched = Vec::new();
    for entry in entries.take(left).flatten() {
        *looks += 1;
        if pattern.matches_with(&entry.file_name().to_string_lossy(), options) {
            matched.push(entry.path());
        }
    }
    matched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_glob_does() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        for name in ["conf.d/b.conf", "conf.d/a.conf", "conf.d/.hidden.conf", "conf.d/c.txt", "other/a.conf"] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "").unwrap();
        }
        let found = |pattern: &str| matching(at(pattern).to_str().unwrap());
        assert_eq!(found("conf.d/*.conf"), [at("conf.d/a.conf"), at("conf.d/b.conf")]);
        assert_eq!(found("*/[!b].conf"), [at("conf.d/a.conf"), at("other/a.conf")]);
        assert_eq!(found("conf.d/**"), [at("conf.d/a.conf"), at("conf.d/b.conf"), at("conf.d/c.txt")]);
        assert_eq!(found("conf.d/c.txt"), [at("conf.d/c.txt")]);
        assert_eq!(found("conf.d/?"), Vec::<PathBuf>::new());
        assert_eq!(found("nowhere/a.conf"), Vec::<PathBuf>::new());
        assert_eq!(found("conf.d/["), Vec::<PathBuf>::new());
        assert_eq!(matching("conf.d/*.conf"), Vec::<PathBuf>::new(), "relative to nothing");
        let began = std::time::Instant::now();
        let _ = matching("/*/*/*/*/*/*/*");
        assert!(began.elapsed() < std::time::Duration::from_secs(20));
    }
}
