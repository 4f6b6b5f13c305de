//! Makes repositories of the layouts that people have: a distribution with archiso as a submodule, an overlay with a
//! definition, single profiles.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// An empty checkout called `name`.
pub fn repository(name: &str) -> (tempfile::TempDir, PathBuf) {
    let top = tempfile::tempdir().unwrap();
    let root = top.path().canonicalize().unwrap().join(name);
    fs::create_dir_all(root.join(".git")).unwrap();
    (top, root)
}

/// Makes files; a path that ends in `/` is a folder.
pub fn make(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let full = root.join(path);
        if path.ends_with('/') {
            fs::create_dir_all(full).unwrap();
        } else {
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            fs::write(full, text).unwrap();
        }
    }
}

/// A conf for a network.
pub const ONLINE: &str = "[options]\nSigLevel = Required\n[core]\nInclude = /etc/pacman.d/mirrorlist\n[extra]\nServer = \
                          https://mirror.example.org/$repo/os/$arch\n";
/// A conf for the mirror on the image.
pub const OFFLINE: &str =
    "[options]\n[offline]\nSigLevel = Optional TrustAll\nServer = file:///var/cache/mirror/offline/\n";

/// A whole profile at `at`, which is empty or ends in `/`.
pub fn profile(root: &Path, at: &str) {
    let place = |path: &str| format!("{at}{path}");
    make(
        root,
        &[
            (&place("profiledef.sh"), "iso_name=x\npacman_conf=\"pacman.conf\"\nbootmodes=('bios.syslinux')\n"),
            (&place("packages.x86_64"), "base\nlinux\nmkinitcpio-archiso\n"),
            (&place("pacman.conf"), ONLINE),
            (&place("airootfs/etc/motd"), "hello\n"),
            (&place("airootfs/etc/systemd/system/multi-user.target.wants/reflector.service"), ""),
            (&place("syslinux/syslinux.cfg"), "APPEND archisobasedir=%INSTALL_DIR%\n"),
        ],
    );
}

/// A distribution as its makers keep it: archiso as a submodule, an overlay with a conf for a network, the file that sets
/// the test machine's environment, the old builder's folders, and the script that put it all together.
pub fn homerchy(root: &Path, fetched: bool) {
    let modules = "[submodule \"iso-builder/archiso\"]\n\tpath = iso-builder/archiso\n\turl = \
                   https://gitlab.archlinux.org/archlinux/archiso.git\n";
    make(
        root,
        &[
            (".gitmodules", modules),
            ("install.sh", "#!/bin/bash\nset -e\nsource \"$OMARCHY_PATH/install/all.sh\"\n"),
            ("iso-builder/archiso/", ""),
            ("iso-builder/configs/airootfs/root/.automated_script.sh", LIVE),
            ("iso-builder/configs/airootfs/etc/mkinitcpio.conf.d/archiso.conf", "HOOKS=(base udev plymouth archiso)\n"),
            ("iso-builder/configs/efiboot/loader/entries/01.conf", "options archisobasedir=%INSTALL_DIR%\n"),
            ("iso-builder/configs/syslinux/syslinux.cfg", "APPEND archisobasedir=%INSTALL_DIR%\n"),
            ("iso-builder/configs/pacman-online.conf", ONLINE),
            ("iso-builder/configs/pacman-offline.conf", OFFLINE),
            ("isoprep/build-iso.sh", BUILDER),
            ("isoprep/work/x86_64/airootfs/root/homerchy/vmtools/vm-env.sh", "STALE=1\n"),
            ("isoprep/work/iso/arch/x", ""),
            ("isoprep/isoout/homerchy-2026.11.01-x86_64.iso", "x"),
            (
                "vmtools/vm-env.sh",
                "#!/bin/bash\n# The test machine.\nexport OMARCHY_VM_TEST=1\nexport OMARCHY_PATH=/root/homerchy\n",
            ),
            ("vmtools/vm-index.json", "{}"),
        ],
    );
    if fetched {
        make(root, &[("iso-builder/archiso/archiso/mkarchiso", "#!/usr/bin/env bash\n")]);
        profile(root, "iso-builder/archiso/configs/releng/");
        profile(root, "iso-builder/archiso/configs/baseline/");
    }
}

const BUILDER: &str = r#"#!/bin/bash
set -euo pipefail
profile="$WORK/profile"
cp -r iso-builder/archiso/configs/releng/. "$profile"
rm -f "$profile/airootfs/etc/motd"
rm -f "$profile/airootfs/etc/systemd/system/multi-user.target.wants/reflector.service"
rm -rf "$profile/airootfs/etc/not-there-any-more"
cp -r iso-builder/configs/. "$profile"
cp iso-builder/configs/pacman-online.conf "$profile/pacman.conf"
extra=(git gum jq openssl)
printf '%s\n' "${extra[@]}" >> "$profile/packages.x86_64"
mkdir -p "$profile/airootfs/root/homerchy"
cp vmtools/vm-env.sh "$profile/airootfs/root/vm-env.sh"
sudo mkarchiso -v -w isoprep/work -o isoprep/isoout "$profile"
"#;

const LIVE: &str = r#"#!/usr/bin/env bash
[[ -f /root/vm-env.sh ]] && source /root/vm-env.sh
export OMARCHY_PATH="${OMARCHY_PATH:-/root/omarchy}"
archinstall --config user_configuration.json --creds user_credentials.json --silent
"#;

/// An overlay that brings its own definition, which names a conf for the mirror on the image, and a conf for each channel.
pub fn omarchy_iso(root: &Path) {
    let builder = "#!/bin/bash\nrm \"$dir/airootfs/etc/motd\"\n\
                   arch_packages=(linux-t2 git plymouth \"$SETTINGS_PACKAGE\")\n\
                   printf '%s\\n' \"${arch_packages[@]}\" >>\"$dir/packages.x86_64\"\n";
    make(
        root,
        &[
            (
                ".gitmodules",
                "[submodule \"archiso\"]\n path = archiso\n url = https://gitlab.archlinux.org/archlinux/archiso.git\n",
            ),
            ("archiso/archiso/mkarchiso", ""),
            ("builder/build-iso.sh", builder),
            ("configs/profiledef.sh", "iso_name=omarchy\npacman_conf=\"pacman-offline.conf\"\n"),
            ("configs/airootfs/root/.automated_script.sh", "#!/bin/bash\nexport OMARCHY_PATH=/usr/share/omarchy\n"),
            ("configs/grub/grub.cfg", "linux /%INSTALL_DIR%/boot/vmlinuz\n"),
            ("configs/pacman-offline.conf", OFFLINE),
            ("configs/pacman-online-edge.conf", ONLINE),
            ("configs/pacman-online-rc.conf", ONLINE),
            ("configs/pacman-online-stable.conf", ONLINE),
            ("release/omarchy.iso", "x"),
        ],
    );
    profile(root, "archiso/configs/releng/");
    profile(root, "archiso/configs/baseline/");
}
