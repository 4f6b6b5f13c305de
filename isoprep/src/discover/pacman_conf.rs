//! Finds the files that configure pacman for a build, and tells those that need a network from those that need a local
//! mirror. Pure; the whole format is for the reader of profiles.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::listing::{Listing, is_live, name};
use super::profiles::FoundProfile;

/// Where packages come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// From a network, at least in part.
    Online,
    /// From this machine alone: `file://` servers only.
    Offline,
}

/// A file that configures pacman.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundConf {
    /// The file.
    pub file: PathBuf,
    /// Where its packages come from.
    pub reach: Reach,
    /// Its repositories, in order.
    pub repositories: Vec<String>,
}

impl FoundConf {
    /// Whether it is called the one for a network, as in `pacman-online.conf`.
    #[must_use]
    pub fn is_called_online(&self) -> bool {
        name(&self.file).is_some_and(|name| name.contains("online"))
    }

    /// The lower, the more it is the one for a first build: called online, online, stable, not of a channel that may break.
    #[must_use]
    pub fn preference(&self) -> (bool, bool, bool, bool) {
        let called = |words: &[&str]| {
            let parts = name(&self.file).unwrap_or_default().split(['-', '_', '.']);
            parts.into_iter().any(|part| words.contains(&part))
        };
        let risky = ["edge", "rc", "testing", "unstable", "dev", "devel", "nightly", "beta", "git"];
        (!self.is_called_online(), self.reach == Reach::Offline, called(&risky), !called(&["stable"]))
    }
}

pub(super) fn is_called_like_one(file: &str) -> bool {
    file.starts_with("pacman") && file.ends_with(".conf")
}

/// All of them but those inside a live system, and but those of archiso's own profiles.
pub(super) fn find(listing: &Listing, profiles: &[FoundProfile]) -> Vec<FoundConf> {
    let upstream = |path: &Path| profiles.iter().any(|profile| profile.upstream && path.starts_with(&profile.dir));
    let texts = listing.texts.iter().filter(|(path, _)| name(path).is_some_and(is_called_like_one));
    let texts = texts.filter(|(path, _)| !is_live(path) && !upstream(path));
    texts.filter_map(|(path, text)| read(path, text)).collect()
}

fn read(file: &Path, text: &str) -> Option<FoundConf> {
    let (mut repositories, mut servers, mut local) = (Vec::new(), 0_usize, 0_usize);
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            repositories.extend((section != "options").then(|| section.to_owned()));
        } else if let Some((key, value)) = line.split_once('=')
            && ["Server", "Include"].contains(&key.trim())
            && !repositories.is_empty()
        {
            servers += 1;
            local += usize::from(key.trim() == "Server" && value.trim().starts_with("file:"));
        }
    }
    let reach = if servers > 0 && servers == local { Reach::Offline } else { Reach::Online };
    (!repositories.is_empty()).then(|| FoundConf { file: file.to_owned(), reach, repositories })
}

#[cfg(test)]
mod tests {
    use super::super::listing::listed;
    use super::*;

    #[test]
    fn a_conf_with_file_servers_alone_is_offline() {
        let offline = "[options]\nInclude = /x\n[offline]\nServer = file:///var/cache/m/\n";
        let online = "[options]\n[core]\nInclude = /etc/pacman.d/mirrorlist\n[mine]\nServer = file:///x\n";
        let found = find(
            &listed(&[
                ("c/pacman-offline.conf", offline),
                ("c/pacman-online-edge.conf", online),
                ("c/pacman-online-stable.conf", online),
                ("c/pacman.conf", online),
                ("c/pacman-options.conf", "[options]\nColor\n"),
                ("c/airootfs/etc/pacman.conf", online),
            ]),
            &[],
        );
        let said: Vec<_> = found.iter().map(|it| (it.file.to_str().unwrap(), it.reach == Reach::Online)).collect();
        assert_eq!(
            said,
            [
                ("c/pacman-offline.conf", false),
                ("c/pacman-online-edge.conf", true),
                ("c/pacman-online-stable.conf", true),
                ("c/pacman.conf", true)
            ]
        );
        assert_eq!(found[3].repositories, ["core", "mine"]);
        let mut order: Vec<_> = found.iter().collect();
        order.sort_by_key(|conf| conf.preference());
        let order: Vec<_> = order.iter().map(|it| name(&it.file).unwrap()).collect();
        assert_eq!(
            order,
            ["pacman-online-stable.conf", "pacman-online-edge.conf", "pacman.conf", "pacman-offline.conf"]
        );
    }
}
