//! The licence texts of everything that is compiled in, in one file: most of those licences ask for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::{Failure, cargo};

/// How a licence's file begins, in capitals.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "COPYRIGHT"];
/// More than this is no licence's text, bytes.
const LONGEST: u64 = 256 * 1024;

/// Writes `file`.
pub fn write(file: &Path) -> Result<String, Failure> {
    let metadata = cargo::metadata()?;
    let mut list = Vec::new();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in metadata.foreign() {
        let name = format!("{} {}", package.name, package.version);
        list.push(format!("{name}: {}", package.license.as_deref().unwrap_or("see its file below")));
        let folder = Path::new(&package.manifest_path).parent().unwrap_or(Path::new("/"));
        for text in licence_texts(folder) {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    list.sort();
    fs::write(file, page(&list, &texts))?;
    Ok(format!("notices: {} packages, {} texts, {}", list.len(), texts.len(), file.display()))
}

/// The licence files in a package's own folder. One that cannot be read is passed over: the list names its licence.
fn licence_texts(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    let is_licence = |path: &&std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        let small = path.metadata().is_ok_and(|m| m.is_file() && m.len() <= LONGEST);
        small && NAMES.iter().any(|start| name.starts_with(start))
    };
    files
        .iter()
        .filter(is_licence)
        .filter_map(|path| fs::read_to_string(path).ok())
        .map(|text| text.trim().to_owned())
        .collect()
}

/// The list of packages, then each text once, under the names of those that have it.
fn page(list: &[String], texts: &BTreeMap<String, Vec<String>>) -> String {
    let mut page = format!("Cartridge is made with these packages:\n\n{}\n", list.join("\n"));
    for (text, names) in texts {
        page.push_str(&format!("\n{}\n{}\n\n{text}\n", "=".repeat(80), names.join(", ")));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_comes_once_under_all_its_packages() {
        let texts = BTreeMap::from([("Do as you like.".to_owned(), vec!["a 1".to_owned(), "b 2".to_owned()])]);
        let page = page(&["a 1: MIT".to_owned(), "b 2: MIT".to_owned()], &texts);
        assert_eq!(page.matches("Do as you like.").count(), 1);
        assert!(page.contains("a 1, b 2\n\nDo as you like."));
    }

    #[test]
    fn our_own_licences_are_found_as_a_packages_would_be() {
        let texts = licence_texts(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")));
        assert_eq!(texts.len(), 2);
    }
}
