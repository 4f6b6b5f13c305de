//! What apt, dpkg and mmdebstrap print, read while they run: which package they are at, and what went wrong, in words
//! that say what to do. Pure: bytes in, news out; English (`LC_ALL=C.UTF-8`), in a pipe.

use cartridge_supervise::Channel;

use crate::pacman_log::{FaultKind, Findings, LineCutter, LogFinding, Piece, Weight};

/// One thing that was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A line for the log.
    Line(String),
    /// dpkg unpacks a package.
    Unpacking(String),
    /// dpkg runs a package's script: the last that is done to it.
    SettingUp(String),
}

/// Reads one run.
#[derive(Debug, Default)]
pub(super) struct AptLog {
    cutters: [LineCutter; 2],
    lines: usize,
    findings: Findings,
    /// The finding that indented lines belong to.
    open: Option<LogFinding>,
    /// Why a signature was not good: told before what it is about.
    signature: Option<String>,
}

impl AptLog {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Takes what came out of one of the pipes, in chunks that may end anywhere.
    pub(super) fn feed(&mut self, channel: Channel, bytes: &[u8]) -> Vec<News> {
        let mut lines = Vec::new();
        self.cutters[usize::from(channel == Channel::Stderr)].feed(bytes, |piece| lines.extend(kept(piece)));
        self.read(lines)
    }

    /// Takes the end of both pipes.
    pub(super) fn finish(&mut self) -> Vec<News> {
        let mut lines = Vec::new();
        for cutter in &mut self.cutters {
            cutter.finish(|piece| lines.extend(kept(piece)));
        }
        let news = self.read(lines);
        self.close();
        news
    }

    /// The failure to show, if there is one.
    pub(super) fn first_error(&self, succeeded: bool) -> Option<&LogFinding> {
        // Everything that looks like an error may be harmless in a run that did what it should.
        if succeeded { None } else { self.findings.first_error(false) }
    }

    fn close(&mut self) {
        if let Some(finding) = self.open.take() {
            self.findings.add(finding);
        }
    }

    fn read(&mut self, lines: Vec<String>) -> Vec<News> {
        let mut news = Vec::new();
        for line in lines {
            self.lines += 1;
            if line.starts_with([' ', '\t']) {
                self.detail(&line);
            } else {
                self.close();
                self.open = self.found(&line);
                news.extend(step(&line));
            }
            news.push(News::Line(line));
        }
        news
    }

    fn detail(&mut self, line: &str) {
        let said = line.trim();
        let Some(finding) = &mut self.open else { return };
        finding.detail(said, None);
        if said.starts_with("trying to overwrite '") {
            let file = said.split('\'').nth(1).map(str::to_owned);
            let details = std::mem::take(&mut finding.details);
            *finding = explained(FaultKind::FileConflict, Weight::Cause, (finding.line, &finding.text), file);
            finding.details = details;
        } else if said.contains("No space left on device") {
            finding.kind = FaultKind::DiskFull;
        }
    }

    fn found(&mut self, line: &str) -> Option<LogFinding> {
        let at = (self.lines, line);
        let word = |text: &str, index: usize| text.split_whitespace().nth(index).map(str::to_owned);
        let quoted = |text: &str| text.split('\'').nth(1).map(str::to_owned);
        let cause = |kind, subject| Some(explained(kind, Weight::Cause, at, subject));
        if line.contains("No space left on device") || line.contains("You don't have enough free space in") {
            return cause(FaultKind::DiskFull, None);
        }
        if let Some(rest) = line.strip_prefix("dpkg: error processing package ") {
            return cause(FaultKind::Scriptlet, word(rest, 0).map(|it| bare(&it)));
        }
        if let Some(rest) = line.strip_prefix("dpkg: error processing archive ") {
            return cause(FaultKind::Extract, word(rest, 0).map(|it| it.rsplit('/').next().unwrap_or("").to_owned()));
        }
        if line.starts_with("The following packages have unmet dependencies") {
            return cause(FaultKind::Dependency, None);
        }
        if let Some(rest) = line.strip_prefix("W: GPG error: ") {
            // "address suite InRelease: The following signatures …": told again as an error, without the reason.
            self.signature = rest.split_once(": ").map(|it| it.1.to_owned());
            return None;
        }
        if let Some(rest) = line.strip_prefix("Err:") {
            let address = word(rest, 1);
            return Some(explained(FaultKind::Download, Weight::Doubt, at, address));
        }
        let said = line.strip_prefix("E: ")?;
        if let Some(name) = said.strip_prefix("Unable to locate package ") {
            return cause(FaultKind::PackageNotFound, Some(name.trim().to_owned()));
        }
        if said.contains("has no installation candidate") || (said.contains("for '") && said.ends_with("was not found"))
        {
            let name =
                if said.starts_with("Package") { quoted(said) } else { said.split('\'').nth(3).map(str::to_owned) };
            return cause(FaultKind::PackageNotFound, name);
        }
        if let Some(rest) = said.strip_prefix("Failed to fetch ") {
            let (address, why) = rest.split_once(' ').unwrap_or((rest, ""));
            let damaged = ["Hash Sum mismatch", "unexpected size", "Clearsigned file isn't valid"];
            let kind =
                if damaged.iter().any(|it| why.contains(it)) { FaultKind::CorruptPackage } else { FaultKind::Download };
            return cause(kind, Some(address.to_owned()));
        }
        if said.contains("does not have a Release file") || said.contains("no longer has a Release file") {
            let subject =
                quoted(said).map(|it| it.trim_end_matches(" Release").trim_end_matches(" InRelease").to_owned());
            return cause(FaultKind::BadDatabase, subject);
        }
        if said.starts_with("Release file for ") {
            return cause(FaultKind::Other, word(said, 3));
        }
        if said.ends_with("is not signed.") || said.contains("signatures couldn't be verified") {
            let mut finding = explained(FaultKind::Signature, Weight::Cause, at, quoted(said));
            if let Some(why) = self.signature.take() {
                finding.detail(&why, None);
            }
            return Some(finding);
        }
        // What a tool says of another that it ran, and of itself at the end.
        Some(explained(FaultKind::Other, Weight::Summary, at, None))
    }
}

fn kept(piece: Piece) -> Option<String> {
    if let Piece::Line(line) = piece { Some(line) } else { None }
}

/// What dpkg says that it does to a package.
fn step(line: &str) -> Option<News> {
    let package = |rest: &str| rest.split_whitespace().next().map(bare);
    if let Some(rest) = line.strip_prefix("Unpacking ") {
        return package(rest).map(News::Unpacking);
    }
    package(line.strip_prefix("Setting up ")?).map(News::SettingUp)
}

/// A package's name without its architecture.
fn bare(name: &str) -> String {
    name.split(':').next().unwrap_or(name).to_owned()
}

/// A finding with the words for its kind.
fn explained(kind: FaultKind, weight: Weight, (line, text): (usize, &str), subject: Option<String>) -> LogFinding {
    let mut finding = LogFinding::new(kind, weight, (line, text), subject);
    let it = finding.subject.clone().unwrap_or_else(|| "something".to_owned());
    let (title, cause, advice) = match kind {
        FaultKind::PackageNotFound => (
            format!("There is no package \"{it}\""),
            "The suite has none of that name.",
            "Correct the name in image.packages, or choose another suite as image.base.",
        ),
        FaultKind::Dependency => (
            "The packages cannot be installed together".to_owned(),
            "One needs another that the suite does not have, or that a third one excludes.",
            "Take one of them out of image.packages.",
        ),
        FaultKind::Download => (
            format!("{it} could not be fetched"),
            "The mirror is down, slow or does not have the file, or there is no network.",
            "Try again, or set image.mirror to another mirror.",
        ),
        FaultKind::CorruptPackage => (
            format!("{it} is damaged"),
            "What was fetched is not what the mirror's index promises: the mirror may be changing right now.",
            "Build again; if it stays, set image.mirror to another mirror.",
        ),
        FaultKind::BadDatabase => (
            format!("There is no suite at \"{it}\""),
            "The mirror has no index for it.",
            "Correct the suite in image.base, or set image.mirror to a mirror that has it.",
        ),
        FaultKind::Signature => (
            format!("The signature of {it} is not good"),
            "The index is not signed by a key of the keyring: the keyring may be older than the suite.",
            "Update the package debian-archive-keyring of this machine.",
        ),
        FaultKind::FileConflict => (
            format!("{it} is in two packages"),
            "Two packages have the same file and do not say that they exclude one another.",
            "Take one of them out of image.packages.",
        ),
        FaultKind::Extract => (
            format!("{it} could not be unpacked"),
            "The package is damaged, or its files cannot be written as they should be.",
            "Empty the cache and build again.",
        ),
        FaultKind::Scriptlet => (
            format!("The install script of {it} failed"),
            "A package's own script failed; some want a running system, which an image is not yet.",
            "Read the lines above it in the log, or take the package out of image.packages.",
        ),
        FaultKind::Other if text.contains("Release file for") => (
            format!("The index of {it} is of another day"),
            "It is not valid now: the mirror is no longer updated, or this machine's clock is wrong.",
            "Set the clock, or set image.mirror to another mirror.",
        ),
        _ => return finding,
    };
    (finding.title, finding.cause, finding.advice) = (title, cause.to_owned(), advice.to_owned());
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(text: &str) -> LogFinding {
        let mut log = AptLog::new();
        log.feed(Channel::Stderr, text.as_bytes());
        log.finish();
        assert_eq!(log.first_error(true), None);
        log.first_error(false).unwrap().clone()
    }

    #[test]
    fn what_went_wrong_is_found_and_explained() {
        let unresolved = "Ign:1 http://no.such/debian bookworm InRelease\nErr:1 http://no.such/debian bookworm InRelease\n  \
            Temporary failure resolving 'no.such'\nReading package lists...\nE: Failed to fetch http://no.such/debian/dists/bookworm/InRelease  \
            Temporary failure resolving 'no.such'\nE: Some index files failed to download. They have been ignored, or old ones used instead.\n";
        let no_suite = "Err:2 http://d/debian nosuch Release\n  404  Not Found [IP: 1.2.3.4 80]\n\
            E: The repository 'http://d/debian nosuch Release' does not have a Release file.\n";
        let unsigned = "W: GPG error: http://d trixie InRelease: The following signatures couldn't be verified because the public key is \
            not available: NO_PUBKEY 0123\nE: The repository 'http://d trixie InRelease' is not signed.\n";
        let broken = "Setting up foo:amd64 (1) ...\nE: nonsense\ndpkg: error processing package foo:amd64 (--configure):\n installed foo \
            package post-installation script subprocess returned error exit status 1\nErrors were encountered while processing:\n foo\n\
            E: Sub-process env returned an error code (1)\n";
        let clash = "dpkg: error processing archive /var/cache/apt/archives/b_1_all.deb (--unpack):\n trying to overwrite '/etc/x', which is \
            also in package a 1\n";
        let unmet = "The following packages have unmet dependencies:\n a : Conflicts: b but 1 is to be installed\nE: Unable to correct \
            problems, you have held broken packages.\n";
        for (text, kind, subject, words) in [
            ("E: Unable to locate package giit\n", FaultKind::PackageNotFound, "giit", "image.packages"),
            ("E: Package 'x' has no installation candidate\n", FaultKind::PackageNotFound, "x", "There is no package"),
            ("E: Version '9' for 'bash' was not found\n", FaultKind::PackageNotFound, "bash", "image.base"),
            (unresolved, FaultKind::Download, "http://no.such/debian/dists/bookworm/InRelease", "image.mirror"),
            (no_suite, FaultKind::BadDatabase, "http://d/debian nosuch", "no suite"),
            (unsigned, FaultKind::Signature, "http://d trixie InRelease", "NO_PUBKEY 0123"),
            (broken, FaultKind::Scriptlet, "foo", "exit status 1"),
            (clash, FaultKind::FileConflict, "/etc/x", "also in package a"),
            (unmet, FaultKind::Dependency, "", "Conflicts: b"),
            (
                "E: Failed to fetch http://d/a.deb  Hash Sum mismatch\n",
                FaultKind::CorruptPackage,
                "http://d/a.deb",
                "damaged",
            ),
            (
                "E: Release file for http://d/InRelease is expired (invalid since 1d).\n",
                FaultKind::Other,
                "http://d/InRelease",
                "clock",
            ),
            (
                "dpkg: error processing archive /x/b.deb (--unpack):\n cannot copy: No space left on device\n",
                FaultKind::DiskFull,
                "b.deb",
                "",
            ),
            ("E: mmdebstrap failed to run\n", FaultKind::Other, "", "mmdebstrap failed"),
        ] {
            let found = error(text);
            assert_eq!((found.kind, found.subject.as_deref().unwrap_or("")), (kind, subject), "{text}");
            assert!(found.to_string().contains(words), "{text}\n{found}");
        }
    }

    #[test]
    fn steps_are_told_by_package() {
        let mut log = AptLog::new();
        let mut news = log.feed(Channel::Stderr, b"Unpacking libc6:amd64 (2.36) ...\nSetting up li");
        news.extend(log.feed(Channel::Stderr, b"bc6:amd64 (2.36) ...\nUnpacking\n"));
        news.extend(log.finish());
        let steps: Vec<_> = news.into_iter().filter(|it| !matches!(it, News::Line(_))).collect();
        assert_eq!(steps, [News::Unpacking("libc6".into()), News::SettingUp("libc6".into())]);
    }

    proptest! {
        #[test]
        fn no_output_is_too_odd(parts in prop::collection::vec(prop_oneof![
            Just("E: ".to_owned()), Just("Err:1 ".to_owned()), Just("dpkg: error processing archive ".to_owned()), Just("\n".to_owned()),
            Just(" ".to_owned()), Just("'".to_owned()), Just("for '".to_owned()), Just("was not found".to_owned()), ".{0,8}"], 0..40))
        {
            let mut log = AptLog::new();
            let text = parts.concat();
            let lines = log.feed(Channel::Stdout, text.as_bytes()).len() + log.finish().len();
            prop_assert!(lines <= 2 * (text.matches('\n').count() + text.matches('\r').count() + 1) + 1);
        }
    }
}
