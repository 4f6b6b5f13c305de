//! pacman for a root that is not the host's: its configuration, its command lines, and what of it a key depends on.

use std::path::{Path, PathBuf};

use cartridge_supervise::CommandLine;
use cartridge_treehash::{TreeHash, hash_content};

use crate::plan::KeyHasher;
use crate::profile::{Directive, PacmanConf};
use crate::stage::hashing::open_part;

/// Options that are about the host or about a system that is kept, not about an image that is made.
const DROPPED: [&str; 8] =
    ["CacheDir", "DBPath", "HookDir", "LogFile", "RootDir", "GPGDir", "DownloadUser", "CheckSpace"];
/// Arch's own front of all its mirrors (archlinux.org/mirrors).
const MIRROR: &str = "https://geo.mirror.pkgbuild.com/$repo/os/$arch";
/// What a `pacman.conf` of Arch includes, and other distributions do not have.
pub(crate) const MIRRORLIST: &str = "/etc/pacman.d/mirrorlist";

/// The text of a `pacman.conf` with `mirror` in place of the mirror list, or with Arch's own front of mirrors where this host
/// has no mirror list. Servers that a repository names itself stay.
pub(crate) fn with_servers(text: &str, conf: &PacmanConf, mirror: Option<&str>) -> String {
    let on = |list: &[Directive], line: usize| {
        list.iter().any(|it| it.file == conf.file && it.line == line && it.value == MIRRORLIST)
    };
    let mut out = String::new();
    for (index, line) in text.lines().enumerate() {
        let replaced = on(&conf.missing_includes, index + 1) || (mirror.is_some() && on(&conf.includes, index + 1));
        if replaced {
            out.push_str(&format!("Server = {}\n", mirror.unwrap_or(MIRROR)));
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// The configuration to install with, from what `pacman-conf` printed of the profile's: everything included and expanded.
/// `modern` is pacman 7 and later, whose own sandbox needs more than ours gives.
pub(crate) fn private_conf(expanded: &str, modern: bool) -> String {
    let (mut out, mut section) = (String::new(), String::new());
    for line in expanded.lines().map(str::trim) {
        let key = line.split('=').next().unwrap_or("").trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
            out.push_str(&format!("[{section}]\n"));
            if section == "options" && modern {
                out.push_str("DisableSandbox\n");
            }
            continue;
        }
        if section == "options" && (DROPPED.contains(&key) || key == "DisableSandbox") {
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// Whether packages or databases are checked against keys: in what `pacman-conf` prints, a level that is not `Never`.
pub(crate) fn checks_signatures(expanded: &str) -> bool {
    let levels = expanded.lines().filter_map(|line| line.trim().strip_prefix("SigLevel"));
    levels.map(|rest| rest.trim_start_matches([' ', '='])).any(|level| !level.contains("Never"))
}

/// Folders of repositories that lie on this host.
pub(crate) fn local_repositories(expanded: &str) -> Vec<(String, PathBuf)> {
    let (mut section, mut found) = (String::new(), Vec::new());
    for line in expanded.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some(path) = line
            .strip_prefix("Server")
            .map(|rest| rest.trim_start_matches([' ', '=']))
            .and_then(|url| url.strip_prefix("file://"))
        {
            found.push((section.clone(), PathBuf::from(decoded(path))));
        }
    }
    found
}

/// A key that also depends on the databases of this host's repositories. They are looked at each time; those of the network
/// when packages are installed again.
pub(crate) fn with_local_databases(mut key: KeyHasher, expanded: &str) -> KeyHasher {
    for (name, dir) in local_repositories(expanded) {
        let database = dir.join(format!("{name}.db"));
        let hash = open_part(&database).and_then(hash_content).map_or(TreeHash([0; 32]), |it| it.0);
        key = key.bytes(name.as_bytes()).hash(&hash);
    }
    key
}

/// A path as it stands in a URL, with its `%20` and the like as they are meant (RFC 3986, 2.1): pacman's downloader reads it so.
/// What is no such escape stays.
pub(crate) fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|it| std::str::from_utf8(it).ok());
        let escaped = digits.filter(|it| it.bytes().all(|b| b.is_ascii_hexdigit()));
        match escaped.and_then(|it| u8::from_str_radix(it, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where pacman keeps what.
pub(crate) struct Pacman<'a> {
    pub(crate) program: &'a Path,
    pub(crate) conf: &'a Path,
    pub(crate) root: &'a Path,
    /// Where fetched packages are kept.
    pub(crate) cache: &'a Path,
    pub(crate) keys: &'a Path,
}

impl Pacman<'_> {
    fn line(&self) -> CommandLine {
        let line = CommandLine::new(self.program).arg("--root").arg(self.root).arg("--config").arg(self.conf);
        let line = line.arg("--dbpath").arg(self.root.join("var/lib/pacman"));
        let line = line.arg("--logfile").arg(self.root.join("var/log/pacman.log"));
        let line = line.arg("--hookdir").arg(self.root.join("etc/pacman.d/hooks"));
        let line = line.arg("--gpgdir").arg(self.keys).args(["--noconfirm", "--color", "never"]);
        line.arg("--cachedir").arg(self.cache)
    }

    /// Fetches the databases.
    pub(crate) fn refresh(&self) -> CommandLine {
        self.line().arg("-Sy")
    }

    /// Says what would be installed: a line a package, with its size to be fetched. Not in one with [`refresh`](Self::refresh):
    /// what that prints would come between the lines of an error.
    pub(crate) fn list(&self, packages: &[String]) -> CommandLine {
        self.line().args(["-Sp", "--print-format", "%r/%n %v %s %l", "--"]).args(packages)
    }

    /// Fetches packages, installs them and runs their hooks.
    pub(crate) fn install(&self, packages: &[String]) -> CommandLine {
        self.line().args(["-S", "--noprogressbar", "--"]).args(packages)
    }
}

/// A package that pacman is going to install.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) repository: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// Bytes to be fetched.
    pub(crate) bytes: u64,
    /// The file's name.
    pub(crate) file: String,
}

/// Reads what [`Pacman::list`] prints; other lines are passed over.
pub(crate) fn wanted(listed: &str) -> Vec<Wanted> {
    let read = |line: &str| {
        let mut words = line.split(' ');
        let (repository, name) = words.next()?.split_once('/')?;
        let (version, bytes, url) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
        let file = url.rsplit('/').next()?.to_owned();
        Some(Wanted {
            repository: repository.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            bytes,
            file,
        })
    };
    listed.lines().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPANDED: &str = "[options]\nRootDir = /\nDBPath = /x\nCacheDir = /var/cache/pacman/pkg/\nGPGDir = /g\n\
        DownloadUser = alpm\nParallelDownloads = 5\nSigLevel = PackageNever\n[core]\nServer = https://a/core/x\nServer = https://b/core/x\n\
        [mine]\nServer = file:///srv/my repo\nSigLevel = PackageNever\n";

    #[test]
    fn only_what_is_about_packages_is_kept() {
        let conf = private_conf(EXPANDED, true);
        assert_eq!(
            conf,
            "[options]\nDisableSandbox\nParallelDownloads = 5\nSigLevel = PackageNever\n[core]\nServer = https://a/core/x\n\
             Server = https://b/core/x\n[mine]\nServer = file:///srv/my repo\nSigLevel = PackageNever\n"
        );
        assert_eq!(local_repositories(EXPANDED), [("mine".to_owned(), PathBuf::from("/srv/my repo"))]);
        assert_eq!(decoded("/a%20b%2Fc%zz%"), "/a b/c%zz%");
    }

    #[test]
    fn never_checking_is_told_from_checking() {
        assert!(!checks_signatures(EXPANDED));
        assert!(checks_signatures("[options]\nSigLevel = PackageRequired\nSigLevel = DatabaseOptional\n"));
        assert!(!checks_signatures("[options]\nArchitecture = x86_64\n"));
    }

    #[test]
    fn what_will_be_installed_is_read() {
        let list = wanted("core/linux 6.1-1 1200 file:///r/linux-6.1-1-x86_64.pkg.tar.zst\n:: nonsense\n");
        assert_eq!((list.len(), list[0].bytes, &*list[0].file), (1, 1200, "linux-6.1-1-x86_64.pkg.tar.zst"));
    }

    #[test]
    fn a_mirror_stands_in_for_the_mirror_list_alone() {
        let text = "[options]\n[core]\nInclude = /etc/pacman.d/mirrorlist\n[chaotic]\nServer = https://c/$repo\n\
            [extra]\nInclude = /etc/other\n";
        let read = |there: bool| {
            let found = |_: &str| there.then(|| (PathBuf::from(MIRRORLIST), Ok(String::new()))).into_iter().collect();
            crate::profile::parse_pacman_conf(Path::new("/p/pacman.conf"), text, &mut { found }).0
        };
        let with = |server: &str| text.replace("Include = /etc/pacman.d/mirrorlist", &format!("Server = {server}"));
        assert_eq!(with_servers(text, &read(true), None), text);
        assert_eq!(with_servers(text, &read(false), None), with(MIRROR));
        for there in [true, false] {
            assert_eq!(with_servers(text, &read(there), Some("http://m/$repo")), with("http://m/$repo"));
        }
    }
}
