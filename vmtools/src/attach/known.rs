//! Certificates of VNC servers that the user has said yes to, remembered by the server: a line for each, the fingerprint and
//! where the server is.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::place::Place;
use crate::display::rfb::Fingerprint;

/// The file that remembers them.
#[derive(Clone, Debug)]
pub struct KnownServers {
    file: PathBuf,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} the certificates of VNC servers in {}: {source}", file.display())]
pub struct KnownError {
    /// "read", "write".
    action: &'static str,
    /// The file.
    file: PathBuf,
    /// What the system said.
    source: io::Error,
}

impl KnownServers {
    /// Those in `file`, which need not be there.
    #[must_use]
    pub fn new(file: &Path) -> Self {
        Self { file: file.to_owned() }
    }

    /// The fingerprint that the server at `place` is known by.
    ///
    /// # Errors
    /// [`KnownError`] when the file is there and cannot be read: nobody is then known.
    pub fn find(&self, place: &Place) -> Result<Option<Fingerprint>, KnownError> {
        Ok(find(&self.read()?, &place.server()))
    }

    /// Remembers a server's, in place of the one that it had. The file is the user's alone (mode 600).
    ///
    /// # Errors
    /// [`KnownError`] when the file cannot be read or written; it is then as it was.
    pub fn keep(&self, place: &Place, fingerprint: Fingerprint) -> Result<(), KnownError> {
        let failed = |source| KnownError { action: "write", file: self.file.clone(), source };
        let folder = self.file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        // Two who remember something at once must not forget it for each other.
        let lock = File::open(folder).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let text = with(&self.read()?, &place.server(), fingerprint);
        // It is made with mode 600, and in its place whole or not at all.
        let mut new = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        new.write_all(text.as_bytes()).and_then(|()| new.as_file().sync_all()).map_err(failed)?;
        new.persist(&self.file).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    fn read(&self) -> Result<String, KnownError> {
        match std::fs::read_to_string(&self.file) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(source) => Err(KnownError { action: "read", file: self.file.clone(), source }),
        }
    }
}

/// A line's fingerprint and server; a line that is something else has none.
fn entry(line: &str) -> Option<(Fingerprint, &str)> {
    let (fingerprint, server) = line.split_once(' ')?;
    Some((Fingerprint::parse(fingerprint)?, server.trim()))
}

fn find(text: &str, server: &str) -> Option<Fingerprint> {
    text.lines().filter_map(entry).find(|(_, known)| *known == server).map(|(fingerprint, _)| fingerprint)
}

/// The text with that server's fingerprint; what else is in it stays.
fn with(text: &str, server: &str, fingerprint: Fingerprint) -> String {
    let others = text.lines().filter(|line| entry(line).is_none_or(|(_, known)| known != server));
    others.map(str::to_owned).chain([format!("{fingerprint} {server}")]).map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_server_is_known_by_its_last_certificate_and_the_file_is_the_users_alone() {
        let dir = tempfile::tempdir().unwrap();
        let known = KnownServers::new(&dir.path().join("state/vnc-servers"));
        let place = |text: &str| Place::parse(text).unwrap();
        assert_eq!(known.find(&place("box")).unwrap(), None);
        for (text, byte) in [("box", 1), ("ssh://me@box/:1", 2), ("vnc://ann@box:0", 3)] {
            known.keep(&place(text), Fingerprint([byte; 32])).unwrap();
        }
        assert_eq!(known.find(&place("box:5900")).unwrap(), Some(Fingerprint([3; 32])), "whoever logs in there");
        assert_eq!(known.find(&place("ssh://me@box/:1")).unwrap(), Some(Fingerprint([2; 32])));
        assert_eq!(known.find(&place(":1")).unwrap(), None, "another machine's localhost");
        let mode = std::fs::metadata(known.file()).unwrap().permissions().mode();
        assert_eq!((std::fs::read_to_string(known.file()).unwrap().lines().count(), mode & 0o777), (2, 0o600));
        std::fs::remove_file(known.file()).unwrap();
        std::fs::create_dir(known.file()).unwrap();
        assert!(known.find(&place("box")).unwrap_err().to_string().contains("vnc-servers"));
    }

    #[test]
    fn lines_that_are_something_else_stay() {
        let text = with("# mine\nnonsense\n", "box:5900", Fingerprint([7; 32]));
        assert!(text.starts_with("# mine\nnonsense\n07:07:") && text.ends_with(" box:5900\n"), "{text}");
        assert_eq!(find(&text, "box:5900"), Some(Fingerprint([7; 32])));
    }
}
