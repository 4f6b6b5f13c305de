//! The real mkarchiso, where it is installed, run on a profile in namespaces of its own.
//!
//! It wants to be root, a pacstrap that may mount a devtmpfs, and newer coreutils than some distributions have: what is
//! lacking is put in front of `PATH` for it, and nothing of it is changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine, run};

/// `cp` of coreutils before 9.3 has no `--update=none`; `-n` is the same for it.
const CP: &str = r#"#!/usr/bin/env bash
words=()
for word in "$@"; do
    if [[ $word == --update=none ]]; then word=-n; fi
    words+=("$word")
done
exec /usr/bin/cp "${words[@]}"
"#;

/// In a user namespace devtmpfs cannot be mounted: pacstrap's own way for ordinary users can do without, and needs no
/// second namespace there. The links in /dev of version 28 point out of the new root, so that mkinitcpio refuses.
const PACSTRAP: &str = r#"#!/usr/bin/env bash
exec bash <(sed -e 's|^mount_unshare=.*|mount_unshare=$pid_unshare|' \
    -e 's|chroot_add_link "$1/proc/|chroot_add_link "/proc/|' /usr/bin/pacstrap) -N "$@"
"#;

/// Debian's GRUB comes without the file that tells its revision to Secure Boot.
const GRUB: &str = r#"#!/usr/bin/env bash
words=()
for word in "$@"; do
    if [[ $word == --sbat=* && ! -e ${word#--sbat=} ]]; then continue; fi
    words+=("$word")
done
exec /usr/bin/grub-mkstandalone "${words[@]}"
"#;

/// Where mkarchiso is, if it is installed. A test that does without says so with [`skipped`].
pub fn find() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join("mkarchiso")).find(|path| path.is_file())
}

/// Tells that a comparison was left out.
pub fn skipped(test: &str) {
    eprintln!("{test}: skipped, as mkarchiso is not installed");
}

/// Builds the profile's ISO image below `dir`, dated now.
///
/// # Errors
/// The end of what it printed.
pub fn build(mkarchiso: &Path, profile: &Path, dir: &Path) -> Result<PathBuf, String> {
    build_at(mkarchiso, profile, dir, None)
}

/// Builds the profile's ISO image below `dir`, dated `epoch` (seconds since 1970) where that is given.
///
/// # Errors
/// The end of what it printed.
pub fn build_at(mkarchiso: &Path, profile: &Path, dir: &Path, epoch: Option<u64>) -> Result<PathBuf, String> {
    let shims = dir.join("bin");
    fs::create_dir_all(&shims).unwrap();
    let user = !rustix::process::geteuid().is_root();
    for (name, text) in [("cp", CP), ("grub-mkstandalone", GRUB), ("pacstrap", PACSTRAP)] {
        if name != "pacstrap" || user {
            fs::write(shims.join(name), text).unwrap();
            fs::set_permissions(shims.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    let path = std::env::join_paths(
        // The last ones are not in an ordinary user's PATH.
        [shims]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()))
            .chain(["/usr/sbin".into(), "/sbin".into()]),
    )
    .unwrap();
    let mut line = CommandLine::new("unshare").args(["-m", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    if user {
        line = line.args(["-U", "--map-root-user", "--map-auto"]);
    }
    // Without a cache of the profile's own it would fill the machine's with packages that only look like Arch's.
    let cache = dir.join("cache");
    fs::create_dir_all(&cache).unwrap();
    let conf = fs::read_to_string(profile.join("pacman.conf")).unwrap();
    let own = dir.join("mkarchiso-pacman.conf");
    fs::write(&own, conf.replacen("[options]\n", &format!("[options]\nCacheDir = {}/\n", cache.display()), 1)).unwrap();
    let (work, out) = (dir.join("work"), dir.join("out"));
    line = line.arg(mkarchiso).arg("-v").arg("-C").arg(&own).arg("-w").arg(&work).arg("-o").arg(&out);
    line = line.arg(profile).env("PATH", path);
    if let Some(epoch) = epoch {
        line = line.env("SOURCE_DATE_EPOCH", epoch.to_string());
    }
    run(&line, &Cancel::new(), |_, _| ()).map_err(|e| e.to_string())?;
    let made = fs::read_dir(&out).map_err(|e| format!("{}: {e}", out.display()))?;
    made.filter_map(|it| Some(it.ok()?.path()))
        .find(|it| it.extension().is_some_and(|it| it == "iso"))
        .ok_or_else(|| format!("mkarchiso ended well and left no image in {}", out.display()))
}
