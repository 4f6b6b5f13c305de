//! Signed packages on a host that has a distribution's keyring and no pacman keys of its own. Runs this program again, in a
//! mount namespace where it may lay out such a host.

use std::fs;
use std::path::Path;

use cartridge_supervise::{CommandLine, run};
use isoprep::Cancel;
use rustix::mount::{MountFlags, mount, mount_bind};

use crate::arch::{Repository, Signatures};
use crate::bench::{Bench, profile};

/// Where Arch and Debian keep keyrings of pacman, and where a host keeps keys that it has initialised.
const PLACES: [&str; 2] = ["/usr/share/pacman/keyrings", "/usr/share/keyrings"];
const INITIALISED: &str = "/etc/pacman.d/gnupg";

#[test]
fn an_installed_keyring_is_trusted() {
    let flags: &[&str] =
        if rustix::process::geteuid().is_root() { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    let own = std::env::current_exe().unwrap();
    let line = CommandLine::new("unshare").args(flags).arg("--").arg(own);
    let line = line.args(["--exact", "keys::trusted_inside", "--ignored", "--nocapture"]);
    let output = run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "runs in the mount namespace that an_installed_keyring_is_trusted makes"]
fn trusted_inside() {
    let repository = Repository::get();
    let keyring = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let key = repository.path().join("key");
    fs::copy(key.join("public.gpg"), keyring.path().join("archtest.gpg")).unwrap();
    let print = fs::read_to_string(key.join("fingerprint")).unwrap();
    fs::write(keyring.path().join("archtest-trusted"), format!("{}:4:\n", print.trim())).unwrap();
    // A keyring of another program, which pacman has no use for.
    fs::write(keyring.path().join("other-archive-keyring.gpg"), "no keys\n").unwrap();
    for place in PLACES.into_iter().filter(|it| Path::new(it).is_dir()) {
        mount_bind(keyring.path(), place).unwrap();
    }
    if Path::new(INITIALISED).is_dir() {
        mount("tmpfs", INITIALISED, "tmpfs", MountFlags::empty(), None).unwrap();
    }
    let bench = Bench::new(&profile().signatures(repository, Signatures::Required), "");
    let (image, _, lines) = bench.build_telling();
    image.unwrap_or_else(|e| panic!("{e}\n{}", lines.join("\n")));
    bench.assert_clean();
}
