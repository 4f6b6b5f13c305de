//! Reads a `pacman.conf` that the profile does not name: the one that a cartridge chose.

use std::io;
use std::path::Path;

use super::model::PacmanConf;
use super::pacman_conf::parse_pacman_conf;
use super::pattern::included;
use super::text_file;

/// Reads `file` and what it includes. What is not understood is left to `pacman-conf`, which reads it again.
///
/// # Errors
/// The file is not there, not a regular file, or too large.
pub fn read_pacman_conf(file: &Path) -> io::Result<PacmanConf> {
    let text = text_file::read(file)?.text;
    Ok(parse_pacman_conf(file, &text, &mut included).0)
}
