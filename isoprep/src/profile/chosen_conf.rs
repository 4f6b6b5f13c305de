//! Reads a `pacman.conf` that the profile does not name: the one that a cartridge chose.

use std::io;
use std::path::{Path, PathBuf};

use super::model::PacmanConf;
use super::pacman_conf::parse_pacman_conf;
use super::pattern::matching;
use super::text_file;

/// Reads `file` and what it includes. What is not understood is left to `pacman-conf`, which reads it again.
///
/// # Errors
/// The file is not there, not a regular file, or too large.
pub fn read_pacman_conf(file: &Path) -> io::Result<PacmanConf> {
    let text = text_file::read(file)?.text;
    let mut include = |pattern: &str| {
        let read = |path: PathBuf| {
            let text = text_file::read(&path).map(|found| found.text).map_err(|e| e.to_string());
            (path, text)
        };
        matching(pattern).into_iter().map(read).collect()
    };
    Ok(parse_pacman_conf(file, &text, &mut include).0)
}
