//! Which repositories have the packages that Arch's own do not have: by the names that their projects give them.

/// A family of packages.
pub(super) struct Family {
    /// A name, or a beginning with `*`.
    pub(super) packages: &'static [&'static str],
    /// The repositories that have them: a name, or a beginning with `*`.
    pub(super) repositories: &'static [&'static str],
}

/// Known families. A package of one is in none of Arch's own repositories.
pub(super) const FAMILIES: &[Family] = &[
    Family { packages: &["lib32-*", "steam"], repositories: &["multilib*"] },
    Family { packages: &["omarchy", "omarchy-*"], repositories: &["omarchy*"] },
    Family { packages: &["chaotic-keyring", "chaotic-mirrorlist"], repositories: &["chaotic-aur"] },
    Family { packages: &["cachyos-*", "linux-cachyos*"], repositories: &["cachyos*"] },
    Family { packages: &["archlinuxcn-keyring", "archlinuxcn-mirrorlist-git"], repositories: &["archlinuxcn"] },
    Family { packages: &["endeavouros-*", "eos-*"], repositories: &["endeavouros"] },
    Family { packages: &["blackarch-keyring", "blackarch-mirrorlist"], repositories: &["blackarch"] },
    Family { packages: &["garuda-*"], repositories: &["garuda", "chaotic-aur"] },
    Family { packages: &["arcolinux-*"], repositories: &["arcolinux*"] },
    Family { packages: &["archcraft-*"], repositories: &["archcraft"] },
    Family { packages: &["archstrike-keyring", "archstrike-mirrorlist"], repositories: &["archstrike"] },
    Family { packages: &["parabola-keyring"], repositories: &["libre"] },
    Family { packages: &["alhp-keyring", "alhp-mirrorlist"], repositories: &["core-x86-64-*", "extra-x86-64-*"] },
    Family {
        packages: &["zfs-dkms", "zfs-linux", "zfs-linux-*", "zfs-utils"],
        repositories: &["archzfs*", "cachyos*", "chaotic-aur"],
    },
    Family { packages: &["linux-t2", "linux-t2-*"], repositories: &["arch-mact2", "chaotic-aur"] },
    Family { packages: &["linux-surface", "linux-surface-*"], repositories: &["linux-surface"] },
    Family {
        packages: &["linux-mainline", "linux-xanmod", "linux-xanmod-*"],
        repositories: &["chaotic-aur", "archlinuxcn", "miffe"],
    },
    Family {
        packages: &["paru", "paru-bin", "yay", "yay-bin"],
        repositories: &["archlinuxcn", "blackarch", "cachyos*", "chaotic-aur", "endeavouros", "garuda", "omarchy*"],
    },
];

/// Packages of Arch itself whose names end with `-keyring`.
pub(super) const ARCH_KEYRINGS: [&str; 8] = [
    "archlinux-keyring",
    "debian-archive-keyring",
    "gnome-keyring",
    "libgnome-keyring",
    "python-keyring",
    "python-keyring-pass",
    "ubuntu-keyring",
    "xsec-keyring",
];

/// Whether a name is meant by a pattern of the table.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}
