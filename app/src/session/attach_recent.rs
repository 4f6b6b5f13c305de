//! Addresses of VNC servers that were attached to, newest first, remembered in the state directory: one a line.

use std::path::{Path, PathBuf};

/// How many are remembered.
const LIMIT: usize = 8;

/// The list, and the file it is kept in.
#[derive(Clone, Debug, Default)]
pub(super) struct AttachRecent {
    file: PathBuf,
    addresses: Vec<String>,
}

impl AttachRecent {
    /// Reads the list; a missing or broken file is an empty list.
    pub(super) fn load(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let addresses = text.lines().filter(|line| vmtools::attach::Place::parse(line).is_ok()).take(LIMIT);
        Self { file: file.to_owned(), addresses: addresses.map(str::to_owned).collect() }
    }

    /// Puts an address first. Says whether that changes anything.
    ///
    /// # Errors
    /// When the file cannot be written; the list in memory has changed all the same.
    pub(super) fn insert(&mut self, address: &str) -> std::io::Result<bool> {
        if self.addresses.first().is_some_and(|first| first == address) {
            return Ok(false);
        }
        self.addresses.retain(|it| it != address);
        self.addresses.insert(0, address.to_owned());
        self.addresses.truncate(LIMIT);
        if let Some(dir) = self.file.parent() {
            std::fs::create_dir_all(dir)?;
        }
        isoprep::save_atomically(&self.file, &(self.addresses.join("\n") + "\n"))?;
        Ok(true)
    }

    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_first_without_doubles_and_what_is_no_address_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deep/vnc-recent");
        let mut recent = AttachRecent::load(&file);
        for (address, changes) in
            [("box:5901", true), ("ssh://me@box/localhost:5901", true), ("box:5901", true), ("box:5901", false)]
        {
            assert_eq!(recent.insert(address).unwrap(), changes, "{address}");
        }
        assert_eq!(AttachRecent::load(&file).addresses(), ["box:5901", "ssh://me@box/localhost:5901"]);
        for number in 0..20 {
            recent.insert(&format!("box:{}", 6000 + number)).unwrap();
        }
        assert_eq!(AttachRecent::load(&file).addresses().len(), LIMIT);
        std::fs::write(&file, "a b\nrdp://x\nbox:5900\n").unwrap();
        assert_eq!(AttachRecent::load(&file).addresses(), ["box:5900"]);
    }
}
