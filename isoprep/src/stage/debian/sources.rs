//! Where a Debian comes from: the suite, and the sources that apt reads, of Debian itself, of a mirror, or of this
//! host. Pure.

use std::path::{Path, PathBuf};

/// Debian's own mirrors, behind one name (deb.debian.org).
const MIRROR: &str = "http://deb.debian.org/debian";
const SECURITY: &str = "http://deb.debian.org/debian-security";
/// Debian's keys, where its own package debian-archive-keyring has them, on every distribution that has the package.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Ubuntu's, for a mirror of Ubuntu.
const OTHER_KEYRING: &str = "/usr/share/keyrings/ubuntu-archive-keyring.gpg";
/// The suite where the host is not Debian and none is named.
const SUITE: &str = "stable";
/// Suites that have neither updates nor security of their own.
const ALONE: [&str; 4] = ["sid", "unstable", "experimental", "rc-buggy"];
/// The parts of the archive of Debian and of Ubuntu; other components belong to other archives.
const COMPONENTS: [&str; 7] =
    ["main", "contrib", "non-free", "non-free-firmware", "restricted", "universe", "multiverse"];

/// One line of sources.list(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) uri: String,
    pub(crate) suite: String,
    pub(crate) components: Vec<String>,
    /// Files with the keys that may have signed it.
    pub(crate) keys: Vec<PathBuf>,
}

impl Source {
    fn of_debian(uri: &str, suite: String) -> Self {
        let components = vec!["main".to_owned()];
        Self { uri: uri.to_owned(), suite, components, keys: vec![KEYRING.into()] }
    }

    /// For the build. apt copies from a folder of this host: it would else hand out its path, which the root does not
    /// have.
    pub(crate) fn line(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(|it| it.display().to_string()).collect();
        let uri = self.uri.strip_prefix("file:").map_or_else(|| self.uri.clone(), |path| format!("copy:{path}"));
        format!("deb [signed-by={}] {uri} {} {}", keys.join(","), self.suite, self.components.join(" "))
    }

    /// For the image, which has Debian's own keys only, and nobody's login.
    fn line_inside(&self) -> String {
        let keys =
            if self.keys == [PathBuf::from(KEYRING)] { format!("[signed-by={KEYRING}] ") } else { String::new() };
        format!("deb {keys}{} {} {}", without_login(&self.uri), self.suite, self.components.join(" "))
    }

    /// The folder of this host that it is, if it is one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.uri.strip_prefix("file://").map(Path::new)
    }
}

/// What the host says of itself that matters here.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostFacts {
    /// `/etc/os-release`.
    pub(crate) os_release: String,
    /// The files that apt reads its sources from, with their content.
    pub(crate) sources: Vec<(PathBuf, String)>,
}

impl HostFacts {
    fn value(&self, key: &str) -> Option<&str> {
        let pairs = self.os_release.lines().filter_map(|line| line.split_once('='));
        pairs.filter(|it| it.0 == key).map(|it| it.1.trim().trim_matches(['"', '\''])).next()
    }

    /// The suite that is meant where none is named.
    pub(crate) fn suite(&self) -> String {
        let own = self.value("VERSION_CODENAME").filter(|_| self.value("ID") == Some("debian"));
        own.unwrap_or(SUITE).to_owned()
    }

    /// The sources of a suite: the mirror's, if one is named; the host's own, if it is of that suite; Debian's.
    pub(crate) fn sources(&self, suite: &str, mirror: Option<&str>, exists: impl Fn(&Path) -> bool) -> Vec<Source> {
        if let Some(mirror) = mirror {
            let mut source = Source::of_debian(mirror.trim_end_matches('/'), suite.to_owned());
            let found = [KEYRING, OTHER_KEYRING].into_iter().map(PathBuf::from).filter(|it| exists(it));
            let found: Vec<_> = found.collect();
            if !found.is_empty() {
                source.keys = found;
            }
            return vec![source];
        }
        if self.value("VERSION_CODENAME") == Some(suite) {
            let own: Vec<Source> = self.sources.iter().flat_map(|(file, text)| read(file, text)).collect();
            let own: Vec<Source> = own.into_iter().filter(|it| belongs(it, suite)).collect();
            if own.iter().any(|it| it.suite == suite) {
                return own;
            }
        }
        of_debian(suite)
    }
}

/// Debian's own sources of a suite.
fn of_debian(suite: &str) -> Vec<Source> {
    let mut sources = vec![Source::of_debian(MIRROR, suite.to_owned())];
    if !ALONE.contains(&suite) {
        sources.push(Source::of_debian(MIRROR, format!("{suite}-updates")));
        sources.push(Source::of_debian(SECURITY, format!("{suite}-security")));
    }
    sources
}

/// The sources.list(5) of the image.
pub(crate) fn inside(sources: &[Source], suite: &str) -> String {
    let of_host = sources.iter().any(|it| it.folder().is_some());
    let lines = if of_host { of_debian(suite) } else { sources.to_vec() };
    lines.iter().map(|it| it.line_inside() + "\n").collect()
}

/// An address without the name and the password in it (apt_auth.conf(5) is where they belong, and stay on this host).
fn without_login(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let host = rest.find('/').unwrap_or(rest.len());
    let login = rest[..host].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[login..])
}

/// Whether a source of this host is of the suite itself, and not of somebody else for it.
fn belongs(source: &Source, suite: &str) -> bool {
    let of_suite = source.suite.strip_prefix(suite).is_some_and(|rest| ["", "-updates", "-security"].contains(&rest));
    let online = ["http://", "https://"].iter().any(|it| source.uri.starts_with(it));
    of_suite && online && source.components.iter().any(|it| it == "main")
}

/// Reads a file of sources in either of its two forms (sources.list(5)). What has options besides its keys is passed
/// over.
fn read(file: &Path, text: &str) -> Vec<Source> {
    if file.extension().is_some_and(|it| it == "sources") {
        let paragraphs = text.split("\n\n");
        return paragraphs.flat_map(paragraph).collect();
    }
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim().strip_prefix("deb")?;
    let rest = line.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut keys = None;
    for option in options.split_whitespace() {
        match option.split_once('=') {
            Some(("signed-by", files)) => keys = Some(files),
            Some(("arch", _)) => {}
            _ => return None,
        }
    }
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    source(uri, suite, words, keys)
}

fn paragraph(text: &str) -> Vec<Source> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            fields.push((key.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    let field = |key: &str| fields.iter().find(|it| it.0 == key).map(|it| it.1.as_str());
    let is = |key: &str, word: &str| field(key).is_some_and(|value| value.split_whitespace().any(|it| it == word));
    if !is("types", "deb") || is("enabled", "no") || field("trusted").is_some() {
        return Vec::new();
    }
    let (uris, suites) = (field("uris").unwrap_or(""), field("suites").unwrap_or(""));
    let components = field("components").unwrap_or("");
    let pairs = uris.split_whitespace().flat_map(|uri| suites.split_whitespace().map(move |suite| (uri, suite)));
    pairs.filter_map(|(uri, suite)| source(uri, suite, components.split_whitespace(), field("signed-by"))).collect()
}

/// Keys that stand in the file itself have no place in a line: such a source is passed over.
fn source<'a>(uri: &str, suite: &str, components: impl Iterator<Item = &'a str>, keys: Option<&str>) -> Option<Source> {
    let keys: Vec<PathBuf> = match keys {
        Some(files) => files.split([',', ' ']).filter(|it| !it.is_empty()).map(PathBuf::from).collect(),
        None => vec![KEYRING.into()],
    };
    let components = components.filter(|it| COMPONENTS.contains(it)).map(str::to_owned).collect();
    let uri = uri.trim_end_matches('/').to_owned();
    keys.iter().all(|it| it.is_absolute()).then(|| Source { uri, suite: suite.to_owned(), components, keys })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "Types: deb\n# a comment\nURIs: http://deb.debian.org/debian/\nSuites: bookworm bookworm-updates bookworm-backports\n\
        Components: main non-free-firmware\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
        Types: deb deb-src\nURIs: http://deb.debian.org/debian-security\nSuites: bookworm-security\nComponents: main\n\n\
        Types: deb\nURIs: https://somebody.else/debian\nSuites: bookworm\nComponents: stable\nSigned-By: /k.gpg\n\n\
        Types: deb\nURIs: https://inline.key\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n\n\
        Types: deb\nURIs: https://off\nSuites: bookworm\nComponents: main\nEnabled: no\n";

    fn host(id: &str, codename: &str, sources: &[(&str, &str)]) -> HostFacts {
        HostFacts {
            os_release: format!("NAME=\"X Y\"\nID={id}\nVERSION_CODENAME=\"{codename}\"\n"),
            sources: sources.iter().map(|(file, text)| (PathBuf::from(file), (*text).to_owned())).collect(),
        }
    }

    fn lines(sources: &[Source]) -> Vec<String> {
        sources.iter().map(Source::line).collect()
    }

    #[test]
    fn the_hosts_own_sources_are_taken_for_its_own_suite() {
        let host = host("debian", "bookworm", &[("/etc/apt/sources.list.d/debian.sources", DEB822)]);
        assert_eq!(host.suite(), "bookworm");
        let key = format!("[signed-by={KEYRING}]");
        let own = host.sources("bookworm", None, |_| true);
        assert_eq!(
            lines(&own),
            [
                format!("deb {key} http://deb.debian.org/debian bookworm main non-free-firmware"),
                format!("deb {key} http://deb.debian.org/debian bookworm-updates main non-free-firmware"),
                format!("deb {key} http://deb.debian.org/debian-security bookworm-security main"),
            ]
        );
        let other = lines(&host.sources("trixie", None, |_| true));
        assert_eq!(other[2], format!("deb {key} {SECURITY} trixie-security main"));
        assert_eq!(host.sources("sid", None, |_| true).len(), 1);
    }

    #[test]
    fn the_older_form_is_read_too() {
        let text = "deb-src http://a/debian bookworm main\n# deb http://b/debian bookworm main\n\
            deb [arch=amd64 signed-by=/k.gpg] https://c/debian/ bookworm main contrib # why\n\
            deb [trusted=yes] http://d/debian bookworm main\ndeb cdrom:[x]/ bookworm main\n";
        let host = host("debian", "bookworm", &[("/etc/apt/sources.list", text)]);
        let own = lines(&host.sources("bookworm", None, |_| true));
        assert_eq!(own, ["deb [signed-by=/k.gpg] https://c/debian bookworm main contrib"]);
    }

    #[test]
    fn a_login_of_this_host_does_not_reach_the_image() {
        let text = "deb https://ann:hunter2@c.net/debian@x bookworm main\n";
        let host = host("debian", "bookworm", &[("/etc/apt/sources.list", text)]);
        for sources in [
            host.sources("bookworm", None, |_| true),
            host.sources("bookworm", Some("https://ann:hunter2@c.net/debian@x"), |_| true),
        ] {
            assert!(sources[0].line().contains("hunter2"), "the build needs it");
            let inside = inside(&sources, "bookworm");
            assert!(inside.contains(" https://c.net/debian@x bookworm main") && !inside.contains("ann"), "{inside}");
        }
    }

    #[test]
    fn elsewhere_it_is_debians_stable() {
        let host = host("arch", "", &[]);
        assert_eq!(host.suite(), "stable");
        let sources = host.sources("stable", None, |_| true);
        assert_eq!(sources.len(), 3);
        let inside = inside(&sources, "stable");
        assert!(inside.starts_with(&format!("deb [signed-by={KEYRING}] {MIRROR} stable main\n")), "{inside}");
    }

    #[test]
    fn a_mirror_stands_alone_and_a_folder_is_copied_from() {
        let host = host("debian", "bookworm", &[("/x.sources", DEB822)]);
        let sources = host.sources("bookworm", Some("file:///srv/m/"), |it| it == Path::new(OTHER_KEYRING));
        assert_eq!(lines(&sources), [format!("deb [signed-by={OTHER_KEYRING}] copy:///srv/m bookworm main")]);
        assert_eq!(sources[0].folder(), Some(Path::new("/srv/m")));
        assert!(inside(&sources, "bookworm").contains(MIRROR));
        let none = host.sources("noble", Some("http://m/ubuntu"), |_| false);
        assert_eq!(none[0].keys, [PathBuf::from(KEYRING)]);
    }
}
