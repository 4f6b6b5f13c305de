//! apt for a root that is not the host's: its configuration, what it is asked, and what it says it will fetch. Pure.

use std::path::Path;

use crate::rootfs::Script;
use crate::stage::packages::pacman::Wanted;

/// Where the work directory and the fetched packages are seen by apt and mmdebstrap, whatever they are called outside:
/// neither takes a path with a line break or a quote in it.
pub(super) const WORK: &str = "/tmp/work";
pub(super) const FETCHED: &str = "/tmp/fetched";
/// The folder of our own apt in the work directory.
pub(super) const DIR: &str = "apt";
/// What every image needs besides its kernel: an init, what finds the root on a medium, what an init needs of others,
/// and what makes the initramfs small in little time.
const BASE: [&str; 5] = ["systemd-sysv", "live-boot", "dbus", "libpam-systemd", "zstd"];
/// The kernel, unless the recipe names one.
const KERNEL: &str = "linux-image-amd64";
/// What mmdebstrap installs in its variant "required", as apt patterns (apt-patterns(7)).
const REQUIRED: [&str; 3] = ["?essential", "?priority(required)", "apt"];
/// Settings of the host's apt that say how this machine reaches its mirrors.
const KEPT: [&str; 6] = [
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::ForceIPv4",
    "Acquire::ForceIPv6",
];

/// What is installed besides the required: the base, a kernel, and the recipe's own.
pub(crate) fn packages(own: &[String]) -> Vec<String> {
    let has_kernel = own.iter().any(|it| it.starts_with("linux-image-"));
    let base = (!has_kernel).then_some(KERNEL).into_iter().chain(BASE).map(str::to_owned);
    let mut packages: Vec<String> = base.filter(|it| !own.contains(it)).collect();
    packages.extend(own.iter().cloned());
    packages
}

/// Our apt's configuration (apt.conf(5)): nothing of the host's but what `host` says, which is what `apt-config dump`
/// printed of the host's own.
pub(super) fn configuration(host: &str) -> String {
    let dir = format!("{WORK}/{DIR}");
    let mut text = format!(
        "Dir \"/\";\nDir::Etc \"{dir}\";\nDir::Etc::SourceList \"{dir}/sources.list\";\nDir::Etc::SourceParts \"/dev/null\";\n\
         Dir::Etc::Main \"/dev/null\";\nDir::Etc::Parts \"/dev/null\";\nDir::Etc::Trusted \"/dev/null\";\n\
         Dir::Etc::TrustedParts \"/dev/null\";\nDir::State \"{dir}\";\nDir::State::Lists \"{dir}/lists\";\n\
         Dir::State::Status \"{dir}/status\";\nDir::Cache \"{dir}\";\nDir::Cache::Archives \"{FETCHED}\";\nDir::Log \"/dev/null\";\n\
         APT::Architecture \"amd64\";\nAPT::Architectures \"amd64\";\nAPT::Sandbox::User \"root\";\n\
         APT::Install-Recommends \"false\";\nAcquire::Languages \"none\";\nAcquire::Retries \"2\";\n\
         Acquire::http::Timeout \"20\";\nAcquire::https::Timeout \"20\";\npkgCacheGen::ForceEssential \",\";\n"
    );
    for line in host.lines().map(str::trim) {
        if KEPT.iter().any(|key| line.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', ':']))) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// Puts the folders in their place for what follows.
fn placed(work: &Path, fetched: &Path) -> Script {
    let mut script = Script::new();
    script.set("work", work).set("fetched", fetched);
    script.text(&format!(
        "mkdir -- {WORK} {FETCHED}; mount --rbind -- \"$work\" {WORK}; mount --bind -- \"$fetched\" {FETCHED}"
    ));
    script.text(&format!("cd {WORK}/{DIR}; mkdir -p lists/partial preferences.d {FETCHED}/partial; : >>status"));
    script.text(&format!("export APT_CONFIG={WORK}/{DIR}/apt.conf"));
    script
}

/// Fetches the indexes of the suite.
pub(super) fn refresh(work: &Path, fetched: &Path) -> Script {
    let mut script = placed(work, fetched);
    script.run(["apt-get", "-q", "update", "--error-on=any"]);
    script
}

/// Says what would be installed, a line a package.
pub(super) fn list(work: &Path, fetched: &Path, packages: &[String]) -> Script {
    let mut script = placed(work, fetched);
    // A file that is there already would not be named.
    let words =
        ["apt-get", "-q", "--yes", "-o", "Dir::Cache::Archives=lists", "--print-uris", "--download-only", "install"];
    script.run(words.into_iter().chain(REQUIRED).chain(packages.iter().map(String::as_str)));
    script
}

/// Fetches packages.
pub(super) fn fetch(work: &Path, fetched: &Path, packages: &[String]) -> Script {
    let mut script = placed(work, fetched);
    let words = ["apt-get", "-q", "--yes", "--download-only", "install"];
    script.run(words.into_iter().chain(REQUIRED).chain(packages.iter().map(String::as_str)));
    script
}

/// Prints the name of every package that there is.
pub(super) fn names(work: &Path, fetched: &Path) -> Script {
    let mut script = placed(work, fetched);
    script.run(["apt-cache", "pkgnames"]);
    script
}

/// Reads what [`list`] prints: `'address' file bytes hash`; other lines are passed over.
pub(super) fn wanted(listed: &str) -> Vec<Wanted> {
    let read = |line: &str| {
        let (address, rest) = line.strip_prefix('\'')?.split_once("' ")?;
        let mut words = rest.split(' ');
        let (file, bytes) = (words.next()?, words.next()?.parse().ok()?);
        let mut parts = file.strip_suffix(".deb")?.split('_');
        let (name, version) = (parts.next()?, parts.next()?);
        let repository = address.split_once("/pool/").map_or(address, |it| it.0);
        Some(Wanted {
            repository: repository.to_owned(),
            name: name.to_owned(),
            version: version.replace("%3a", ":"),
            bytes,
            file: file.to_owned(),
        })
    };
    listed.lines().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_added_unless_one_is_named() {
        let own = |names: &[&str]| packages(&names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert_eq!(own(&["git"]).join(" "), "linux-image-amd64 systemd-sysv live-boot dbus libpam-systemd zstd git");
        assert_eq!(own(&["linux-image-cloud-amd64", "zstd"])[0], "systemd-sysv");
        assert_eq!(own(&["zstd"]).iter().filter(|it| *it == "zstd").count(), 1);
    }

    #[test]
    fn only_the_way_to_the_mirror_is_the_hosts() {
        let host = "Acquire \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://p:3142\";\nAcquire::Languages \"none\";\n\
            Acquire::http::Proxy::internal \"DIRECT\";\nAcquire::Check-Date \"false\";\nAcquire::GzipIndexes \"true\";\n";
        let text = configuration(host);
        let own = configuration("");
        assert_eq!(
            text.strip_prefix(&own).unwrap(),
            "Acquire::http::Proxy \"http://p:3142\";\nAcquire::http::Proxy::internal \"DIRECT\";\nAcquire::Check-Date \"false\";\n"
        );
    }

    #[test]
    fn what_will_be_fetched_is_read() {
        let list = wanted(
            "Reading package lists...\n'http://deb.debian.org/debian/pool/main/l/live-boot/live-boot_20230131%2bdeb12u1_all.deb' \
             live-boot_1%3a20230131+deb12u1_all.deb 28956 MD5Sum:3c\n'copy:///m/pool/x/a_1_amd64.deb' a_1_amd64.deb 7 \n'broken\n",
        );
        let shown: Vec<_> = list.iter().map(|it| (&*it.name, &*it.version, it.bytes, &*it.repository)).collect();
        let live = ("live-boot", "1:20230131+deb12u1", 28_956, "http://deb.debian.org/debian");
        assert_eq!(shown, [live, ("a", "1", 7, "copy:///m")]);
        assert_eq!(list[0].file, "live-boot_1%3a20230131+deb12u1_all.deb");
    }

    #[test]
    fn every_script_is_bash() {
        let (work, fetched) = (Path::new("/w/a'b\nc"), Path::new("/f"));
        let packages = packages(&["git".to_owned()]);
        for script in [
            refresh(work, fetched),
            list(work, fetched, &packages),
            fetch(work, fetched, &packages),
            names(work, fetched),
        ] {
            let line = cartridge_supervise::CommandLine::new("bash").arg("-n").stdin(script.bytes());
            cartridge_supervise::run(&line, &crate::Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
        }
    }
}
