//! Names of files beside one that is there already: "name 2", "name 3".

use std::path::{Path, PathBuf};

/// The file of that number: the first, 0, has the name itself, the others "name 2", "name 3".
#[must_use]
pub(crate) fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(" {}", number + 1));
    if let Some(kind) = path.extension() {
        name.push(".");
        name.push(kind);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_before_the_kind() {
        assert_eq!(numbered(Path::new("/v/a b.mp4"), 0), Path::new("/v/a b.mp4"));
        assert_eq!(numbered(Path::new("/v/a b.mp4"), 1), Path::new("/v/a b 2.mp4"));
        assert_eq!(numbered(Path::new("a"), 2), Path::new("a 3"));
    }
}
